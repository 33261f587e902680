"""Hands from any depth camera: a folder of depth images and the camera's intrinsics.

ROOT/depth/*.png    16-bit gray, mm (or depth_unit_mm in camera.yaml), 0 = no reading
ROOT/camera.yaml    fx, fy, cx, cy in pixels, for images of the size in depth/
ROOT/rgb/*          optional color images of the same names, registered to depth
ROOT/joints.csv     optional: file, NAME_x, NAME_y, NAME_z, ... (mm in camera coordinates: x right, y up, z forward)
                    or NAME_u, NAME_v, NAME_d (pixels, pixels, mm); also optional columns subject and split
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.schema import IMAGE_SUFFIXES, Camera, GestaError, HandFrame, HandListing, Problem, Resource, Split
from gesta.sources.cameras import read_camera
from gesta.sources.files import split_name, walk
from gesta.sources.headers import png_header
from gesta.sources.tables import read_table

METERS_BELOW = 20.0
"""Joints closer than this many "millimeters" are assumed to be in meters."""
INSIDE_SHARE = 0.5
FORMS = (("x", "y", "z"), ("u", "v", "d"))


def matches(root: Path) -> bool:
    """Returns True for depth/ with a camera or joints, but no index.csv, which marks a folder of recordings."""
    if (root / "index.csv").exists():
        return False
    return (root / "depth").is_dir() and ((root / "camera.yaml").is_file() or (root / "joints.csv").is_file())


def read(root: Path) -> HandListing:
    """Returns one frame per image in depth/, sorted by name; the center is the mean of the joints, if known.

    Images before the first 16-bit gray one become problems; the others are checked when they are opened.
    Raises GestaError if there is no such image, color has another size, a split has an unknown name, or the
    intrinsics or the unit or positions of the joints look wrong.
    """
    images = [path for path in walk(root / "depth", depth=1) if path.suffix.lower() == ".png"]
    if not images:
        raise GestaError(f"{root / 'depth'}: contains no PNG files. Expected 16-bit gray depth images in millimeters.")
    problems: list[Problem] = []
    size = _first_size(images, problems)
    images = images[len(problems) :]
    camera, unit = read_camera(root / "camera.yaml", size)
    rgb = root / "rgb"
    colors = {p.stem: p for p in walk(rgb, depth=1) if p.suffix.lower() in IMAGE_SUFFIXES} if rgb.is_dir() else {}
    _check_color(colors, images[0], size)
    names, rows = _joints(root / "joints.csv", camera, size, problems)
    known = {path.name for path in images} | {Path(problem.path).name for problem in problems}
    problems += [
        Problem(
            str(root / "joints.csv"), "missing-image", f"{file} is not in depth/.", "Copy it there, or remove its row."
        )
        for file in rows
        if file not in known
    ]
    frames = []
    for path in images:
        joints, subject, split = rows.get(path.name, (None, None, None))
        frames.append(
            HandFrame(
                id=path.stem,
                depth=Resource(path),
                camera=camera,
                color=Resource(colors[path.stem]) if path.stem in colors else None,
                joints_mm=joints,
                center_mm=None if joints is None else joints.mean(axis=0),
                subject=subject or None,
                split=split,
                depth_unit_mm=unit,
            )
        )
    return HandListing(root, "hand_folder", tuple(frames), tuple(problems), names)


def _first_size(images: list[Path], problems: list[Problem]) -> tuple[int, int]:
    """Returns the width and height of the first depth image; files before it become problems."""
    reasons: list[GestaError] = []
    for path in images:
        try:
            size = _depth_size(path)
        except GestaError as error:
            reasons.append(error)
            continue
        problems += [
            Problem(str(bad), "not-depth", str(why).removeprefix(f"{bad}: "), "Store it as 16-bit gray, or remove it.")
            for bad, why in zip(images, reasons, strict=False)
        ]
        return size
    raise reasons[0]


def _depth_size(path: Path) -> tuple[int, int]:
    header = png_header(path)
    if header is None:
        raise GestaError(f"{path}: is not a PNG. Expected 16-bit gray depth in millimeters.")
    width, height, bits, kind = header
    if bits != 16 or kind != 0:
        color = "gray" if kind == 0 else "color"
        raise GestaError(f"{path}: is {bits}-bit {color}; expected 16-bit gray depth in whole millimeters.")
    return width, height


def _check_color(colors: dict[str, Path], depth: Path, size: tuple[int, int]) -> None:
    """Compares the sizes of the first image's color and depth; the others are checked when they are opened."""
    header = png_header(colors[depth.stem]) if depth.stem in colors else None
    if header is not None and header[:2] != size:
        raise GestaError(
            f"{colors[depth.stem]}: is {header[0]} x {header[1]}, but its depth image is {size[0]} x {size[1]}. "
            "Color must be registered to depth, pixel for pixel."
        )


Row = tuple[NDArray[np.float32] | None, str | None, Split | None]


def _joints(
    path: Path, camera: Camera, size: tuple[int, int], problems: list[Problem]
) -> tuple[tuple[str, ...], dict[str, Row]]:
    """Returns (names, file -> (joints J 3 in mm, subject, split))."""
    if not path.is_file():
        return (), {}
    (_, header), *lines = read_table(path) or [(0, [])]
    names, form = _columns(path, header)
    rows: dict[str, Row] = {}
    for number, cells in lines:
        row = dict(zip(header, cells, strict=False))
        try:
            values = np.array([[float(row[f"{name}_{axis}"]) for axis in form] for name in names])
        except (KeyError, ValueError) as error:
            raise GestaError(
                f"{path}: line {number} does not have a number for every coordinate of every joint ({error})."
            ) from error
        if not np.isfinite(values).all():
            problems.append(
                Problem(
                    str(path), "nan-joints", f"line {number} has values that are not finite.", "Correct or remove it."
                )
            )
            continue
        world = camera.unproject(values) if form == FORMS[1] else values
        rows[row["file"]] = (world.astype(np.float32), row.get("subject"), _split(path, number, row.get("split", "")))
    found = [joints for joints, _, _ in rows.values() if joints is not None]
    if found:
        _check_joints(path, np.stack(found), camera, size)
    return names, rows


def _split(path: Path, line: int, text: str) -> Split | None:
    split = split_name(text)
    if text and split is None:
        raise GestaError(f"{path}: line {line}: split {text!r} is unknown; use train, val or test, or leave it empty.")
    return split


def _columns(path: Path, header: list[str]) -> tuple[tuple[str, ...], tuple[str, str, str]]:
    """Returns the names of the joints and the axes of their coordinates."""
    for form in FORMS:
        names = tuple(column[:-2] for column in header if column.endswith(f"_{form[0]}"))
        if names and "file" in header and all(f"{name}_{axis}" in header for name in names for axis in form):
            return names, form
    raise GestaError(
        f"{path}: expected the columns file, NAME_x, NAME_y, NAME_z for each joint (mm, y up), or NAME_u, NAME_v, "
        f"NAME_d; found {', '.join(header) or 'nothing'}."
    )


def _check_joints(path: Path, joints: NDArray[np.float32], camera: Camera, size: tuple[int, int]) -> None:
    """Raises GestaError if joints N J 3 look like meters, or most of them lie outside the image."""
    distance = float(np.median(joints[..., 2]))
    if abs(distance) < METERS_BELOW:
        raise GestaError(f"{path}: the joints are {distance:.2f} from the camera, so they look like meters. Write mm.")
    if distance < 0:
        raise GestaError(f"{path}: the joints are behind the camera (z = {distance:.0f} mm). z must point forward.")
    inside = _inside(joints, camera, size)
    if inside < INSIDE_SHARE:
        turned = _inside(joints * np.array((1, -1, 1), np.float32), camera, size)
        why = "y seems to point down, but must point up" if turned > 2 * inside else "check them and the intrinsics"
        raise GestaError(f"{path}: only {inside:.0%} of the joints are inside the {size[0]} x {size[1]} images: {why}.")


def _inside(joints: NDArray[np.float32], camera: Camera, size: tuple[int, int]) -> float:
    u, v = np.moveaxis(camera.project(joints), -1, 0)
    return float(np.mean((u > -0.5) & (v > -0.5) & (u < size[0] - 0.5) & (v < size[1] - 0.5)))
