"""Compare files of predicted joints with a file of true joints: errors in mm, success rates, a table.

Kazakos, section 4.4.7. Predictions with only `u v` are lifted to 3D by the rule given there: the depth is that of the
image at the point or, if this is outside the cube around the hand, the true depth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.metrics import joint_errors, success_area, success_rate
from gesta.schema import Camera, DepthEncoding, GestaError, Resource
from gesta.sources.files import walk
from gesta.sources.nyu import PROTOCOL_NAMES
from gesta.tasks.hands.joint_files import Coordinates, Joints, read_joints
from gesta.tasks.hands.read import read_depth

THRESHOLDS_MM = np.arange(81.0)
CUBE_MM = 300.0
PUBLISHED_CAMERAS = {"icvl": Camera(240.99, 240.96, 160.0, 120.0)}
"""Cameras for converting published predictions to mm, where they differ from the data set's own camera."""


@dataclass(frozen=True)
class Compared:
    """The errors of one file, [n, J] in mm, and the coordinates it was read as."""

    path: Path
    coordinates: Coordinates
    errors_mm: NDArray[np.float64]

    @property
    def mean_error_mm(self) -> float:
        return float(self.errors_mm.mean())

    def document(self) -> dict[str, Any]:
        """Return the document shown by `--json`. `area`: area under the curve divided by its last threshold."""
        return {
            "file": str(self.path),
            "coordinates": self.coordinates,
            "frames": len(self.errors_mm),
            "mean_error_mm": self.mean_error_mm,
            "per_joint_mm": self.errors_mm.mean(axis=0).tolist(),
            "success_rate": {
                "thresholds": THRESHOLDS_MM.tolist(),
                "shares": success_rate(self.errors_mm, THRESHOLDS_MM).tolist(),
                "area": success_area(self.errors_mm, float(THRESHOLDS_MM[-1])),
            },
        }


def compare(
    truth: Path,
    predictions: Sequence[Path],
    camera: Camera,
    *,
    depth: Path | None = None,
    depth_unit_mm: float = 1.0,
    coordinates: Coordinates | None = None,
    cube_mm: float = CUBE_MM,
    progress: Callable[[int, int], None] | None = None,
    left_out: list[GestaError] | None = None,
) -> list[Compared]:
    """Return the errors of each file, in the order given. `coordinates`: of all three-number files (None: guessed).

    `depth`: folder of depth images in the order of the rows, needed if a file contains only `u v`; `depth_unit_mm`:
    their depth unit if they are plain 16-bit PNG. `left_out`: receives the errors of files that cannot be compared, if
    others can. Raises GestaError like `read_joints`, and if a file has the wrong number of rows or the images are
    missing.
    """
    true = read_joints(truth, coordinates=coordinates)
    world = true.world_mm(camera)
    found, wrong = [], []
    for number, path in enumerate(predictions):
        try:
            file = read_joints(path, joints=world.shape[1], coordinates=coordinates)
            if len(file.values) != len(world):
                raise GestaError(
                    f"{path}: has {len(file.values)} rows, but the ground truth {truth.name} has {len(world)}. "
                    "Expected one row for each of its frames, in the same order."
                )
            if file.coordinates == "uv":
                place = lift(file, world, camera, depth, cube_mm, depth_unit_mm)
            else:
                place = file.world_mm(camera)
            found.append(Compared(path, file.coordinates, joint_errors(world, place)))
        except GestaError as error:
            if left_out is None or error.usage:
                raise
            wrong.append(error)
        if progress is not None:
            progress(number + 1, len(predictions))
    if wrong and not found:
        raise wrong[0] if len(wrong) == 1 else GestaError("\n".join(map(str, wrong)))
    if left_out is not None:
        left_out += wrong
    return found


def lift(
    file: Joints,
    truth_mm: NDArray[np.float64],
    camera: Camera,
    folder: Path | None,
    cube_mm: float = CUBE_MM,
    depth_unit_mm: float = 1.0,
) -> NDArray[np.float64]:
    """Lift points [n, J, 2] to [n, J, 3] in mm with the depth images in `folder`, by the document's rule.

    The cube is centered at the mean depth of the frame's true joints. Missing readings and points outside the image
    count as outside the cube. Raises GestaError if the numbers of images and rows differ.
    """
    if folder is None:
        raise GestaError(f"{file.path}: contains u v without depth. Give the depth images: --depth DIR.", usage=True)
    images = depth_images(folder)
    if len(images) != len(file.values):
        raise GestaError(
            f"{folder}: has {len(images)} depth images, but {file.path.name} has {len(file.values)} rows. Expected "
            "one image per row."
        )
    depth = truth_mm[..., 2].copy()  # n J
    for row, (resource, encoding) in enumerate(images):
        image = read_depth(resource, encoding, depth_unit_mm if encoding == "gray16" else 1.0)
        u, v = np.rint(file.values[row]).astype(int).T
        inside = (u >= 0) & (v >= 0) & (u < image.shape[1]) & (v < image.shape[0])
        seen = np.where(inside, image[np.where(inside, v, 0), np.where(inside, u, 0)], 0)
        usable = (seen > 0) & (np.abs(seen - truth_mm[row, :, 2].mean()) <= cube_mm / 2)
        depth[row, usable] = seen[usable]
    return camera.unproject(np.concatenate([file.values, depth[..., None]], axis=-1))


def depth_images(folder: Path) -> list[tuple[Resource, DepthEncoding]]:
    """Return the depth images below a folder by path: NYU's frontal view, else MSRA's `.bin`, else all 16-bit PNG.

    Raises GestaError if there are none.
    """
    kinds: tuple[tuple[str, DepthEncoding], ...] = (
        ("depth_1_*.png", "nyu"),
        ("*_depth.bin", "msra"),
        ("*.png", "gray16"),
    )
    files = list(walk(folder))
    for pattern, encoding in kinds:
        paths = [path for path in files if path.match(pattern)]
        if paths:
            return [(Resource(path), encoding) for path in paths]
    raise GestaError(f"{folder}: contains no depth images. Expected depth_1_*.png (NYU), *_depth.bin (MSRA) or *.png.")


def markdown(compared: Sequence[Compared]) -> str:
    """Return the table as Markdown, best first."""
    lines = ["| file | mean error (mm) | under 20 mm | under 40 mm | area to 80 mm |", "|---|---|---|---|---|"]
    for one in sorted(compared, key=lambda c: c.mean_error_mm):
        at_20, at_40 = success_rate(one.errors_mm, (20, 40))
        area = success_area(one.errors_mm, float(THRESHOLDS_MM[-1]))
        lines.append(f"| {one.path.name} | {one.mean_error_mm:.3f} | {at_20:.1%} | {at_40:.1%} | {area:.3f} |")
    return "\n".join(lines) + "\n"


def titles(compared: Sequence[Compared]) -> list[str]:
    """Return a short name for each file: its stem, preceded by number and folder if the stem is not unique."""
    stems = [one.path.stem for one in compared]
    return [
        stem if stems.count(stem) == 1 else f"{number}: {one.path.parent.name}/{stem}"
        for number, (one, stem) in enumerate(zip(compared, stems, strict=True), start=1)
    ]


def joint_names(joints: int) -> tuple[str, ...]:
    """Return joint names for plots: those of NYU's protocol if there are 14 joints, else numbers from 1."""
    return PROTOCOL_NAMES if joints == len(PROTOCOL_NAMES) else tuple(str(n) for n in range(1, joints + 1))
