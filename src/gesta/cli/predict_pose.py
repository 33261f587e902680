"""`gesta predict` for a hand pose model: joints in depth images, folders, data sets and recordings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from rich.markup import escape

from gesta.cli.common import console, json_line
from gesta.schema import GestaError
from gesta.untrusted import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gesta.runtime.pose import PoseRecogniser
    from gesta.schema import Camera, HandEstimate, HandFrame

SHOWN = 4
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Center:
    """What --center asks for: the data's centre (else the nearest object's), always the latter, or a pixel.

    `uv` with `depth_mm`, or None for the depth that the image has there.
    """

    nearest: bool = False
    uv: tuple[float, float] | None = None
    depth_mm: float | None = None


@dataclass(frozen=True)
class Found:
    """One image's joints, with what is needed to draw them; `error_mm` where the truth is known."""

    id: str
    time_s: float | None
    estimate: HandEstimate
    depth_mm: NDArray[np.float32]
    camera: Camera
    error_mm: float | None = None


def predict_pose(
    bundle: str,
    inputs: list[Path],
    *,
    camera: str | None,
    center: str,
    annotate: Path | None,
    engine: str | None,
    layout: str | None,
    device: str,
    json: bool,
) -> None:
    """Joints in mm and pixels; one line (or JSON document) an image. Exit code 1 if one of them failed."""
    from gesta.runtime.pose import load_pose

    wanted = parse_center(center)
    recogniser = load_pose(bundle, engine, device)
    failed: list[str] = []
    found = _found(recogniser, inputs, camera, layout, wanted, failed)
    if annotate is not None:
        from gesta.cli.predict_pose_drawing import drawn

        found = drawn(found, annotate, recogniser.manifest)
    for one in found:
        _line(_document(one, recogniser.joints) if json else _text(one, recogniser.joints))
    if annotate is not None:
        console.print(f"Wrote {annotate}", highlight=False, markup=False, soft_wrap=True)
    for reason in failed:
        console.print(f"[red]Failed:[/red] {escape(reason)}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def parse_center(text: str) -> Center:
    """`data`, `nearest`, `U,V` or `U,V,DEPTH`. Raises GestaError (usage) for anything else."""
    if text in ("data", "nearest"):
        return Center(nearest=text == "nearest")
    try:
        numbers = [float(cell) for cell in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not np.isfinite(numbers).all() or (len(numbers) == 3 and numbers[2] <= 0):
        raise GestaError(
            f"--center {text!r}: expected data, nearest, or the hand's middle as U,V (pixels) or U,V,DEPTH (mm).",
            usage=True,
        )
    return Center(uv=(numbers[0], numbers[1]), depth_mm=numbers[2] if len(numbers) == 3 else None)


def _found(
    recogniser: PoseRecogniser,
    inputs: list[Path],
    camera: str | None,
    layout: str | None,
    center: Center,
    failed: list[str],
) -> Iterator[Found]:
    """One after the other; what cannot be predicted is added to `failed`."""
    from gesta.runtime.hand_inputs import find_hands, is_recording

    for path in inputs:
        try:
            if is_recording(path):
                yield from _followed(recogniser, path, camera, center, failed)
                continue
            frames = find_hands(path, camera, layout, _note)
        except GestaError as error:
            if error.usage:
                raise
            failed.append(str(error))
            continue
        for frame in frames:
            try:
                yield _one(recogniser, frame, center)
            except GestaError as error:
                failed.append(str(error))


def _one(recogniser: PoseRecogniser, frame: HandFrame, center: Center) -> Found:
    from gesta.clips.hand_read import read_hand
    from gesta.runtime.pose import centre_of

    depth, color = read_hand(frame, color=recogniser.manifest.transform.needs_color)
    try:
        given = center_mm(center, depth, frame.camera)
        place, source = centre_of(frame, given, "nearest" if center.nearest else "data")
        said = recogniser.predict_images(depth, color, frame.camera, place, source, input=str(frame.depth))
    except GestaError as error:
        raise GestaError(f"{frame.depth}: {error}") from error
    error_mm = None
    if frame.joints_mm is not None and frame.joints_mm.shape == said.joints_mm.shape:
        error_mm = float(np.linalg.norm(said.joints_mm - frame.joints_mm, axis=1).mean())
    return Found(frame.id, None, said, depth, frame.camera, error_mm)


def _followed(
    recogniser: PoseRecogniser, path: Path, camera: str | None, center: Center, failed: list[str]
) -> Iterator[Found]:
    """Every image of a recording; those without a hand are added to `failed`. Raises GestaError as decoding does."""
    from gesta.runtime.hand_inputs import iter_recording

    lens, shots = iter_recording(path, camera)
    for index, shot in enumerate(shots):
        try:
            given = center_mm(center, shot.depth_mm, lens)
            said = recogniser.predict_images(shot.depth_mm, shot.color, lens, given, input=str(path))
        except GestaError as error:
            failed.append(f"{path}: image {index} at {shot.time_s:.2f} s: {error}")
            continue
        yield Found(f"{path.stem}:{index}", shot.time_s, said, shot.depth_mm, lens)


def center_mm(center: Center, depth_mm: NDArray[np.float32], camera: Camera) -> NDArray[np.float64] | None:
    """The given pixel in camera coordinates; None where none is given. Raises GestaError where it has no depth."""
    if center.uv is None:
        return None
    depth = center.depth_mm
    if depth is None:
        u, v = (round(value) for value in center.uv)
        height, width = depth_mm.shape
        near = depth_mm[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4] if 0 <= u < width and 0 <= v < height else None
        if near is None or not (near > 0).any():
            raise GestaError(
                f"--center {u},{v}: has no depth in the {width} x {height} image. Give it: U,V,DEPTH (mm)."
            )
        depth = float(np.median(near[near > 0]))
    return camera.unproject(np.array([*center.uv, depth]))


def _document(one: Found, names: tuple[str, ...]) -> str:
    said = one.estimate
    document: dict[str, Any] = {"input": said.input, "frame": one.id}
    if one.time_s is not None:
        document["time_s"] = round(one.time_s, 3)
    document["center_mm"] = [round(value, 3) for value in said.center_mm]
    document["center_from"] = said.center_source
    document["joints_mm"] = {n: [round(float(v), 3) for v in p] for n, p in zip(names, said.joints_mm, strict=True)}
    document["joints_uv"] = {n: [round(float(v), 3) for v in p] for n, p in zip(names, said.joints_uv, strict=True)}
    if one.error_mm is not None:
        document["error_mm"] = round(one.error_mm, 3)
    return json_line(document)


def _text(one: Found, names: tuple[str, ...]) -> str:
    said = one.estimate
    joints = list(zip(names, said.joints_mm, strict=True))
    shown = ", ".join(f"{name} ({x:.0f}, {y:.0f}, {z:.0f})" for name, (x, y, z) in joints[:SHOWN])
    more = f", and {len(joints) - SHOWN} more" if len(joints) > SHOWN else ""
    when = "" if one.time_s is None else f" {one.time_s:.2f} s"
    error = "" if one.error_mm is None else f"  error {one.error_mm:.1f} mm"
    return printable(f"{said.input}{when}  mm: {shown}{more}  centre from {said.center_source}{error}")


def _note(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
