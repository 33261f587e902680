"""`gesta predict` for hand pose models: joints in depth images, folders, data sets and recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.schema import Camera, GestaError, HandFrame
from gesta.tasks.base import Said, Wanted
from gesta.tasks.hands.annotate import Found, drawn
from gesta.tasks.hands.inputs import find_hands, is_recording, iter_recording
from gesta.tasks.hands.predict import RULES, PoseRecognizer, center_of
from gesta.tasks.hands.read import read_hand

SHOWN = 4


@dataclass(frozen=True)
class Center:
    """The value of --center: one of predict.RULES (`uv` is None then), or a pixel.

    `depth_mm` belongs to `uv`; None means the depth of the image at that pixel.
    """

    uv: tuple[float, float] | None = None
    depth_mm: float | None = None


def predictions(recognizer: PoseRecognizer, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
    """Yield joints in mm and pixels for each image. Errors are added to `failed`. Raises GestaError."""
    told: list[str] = []
    center = parse_center(str(wanted.options.get("center", "data")))
    found = _found(recognizer, wanted, center, failed, told)
    if wanted.annotate is not None:
        found = drawn(found, wanted.annotate, recognizer.manifest)
    for one in found:
        yield Said(_document(one, recognizer.joints), _text(one, recognizer.joints))
    yield from (Said(None, text) for text in told)
    if wanted.annotate is not None:
        yield Said(None, f"Wrote {wanted.annotate}")


def parse_center(text: str) -> Center:
    """Parse `data`, `nearest`, `detector`, `U,V` or `U,V,DEPTH`. Raises GestaError (usage) for anything else."""
    if text in RULES:
        return Center()
    try:
        numbers = [float(cell) for cell in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or not np.isfinite(numbers).all() or (len(numbers) == 3 and numbers[2] <= 0):
        raise GestaError(
            f"--center {text!r}: expected data, nearest, detector, or the center of the hand as U,V (pixels) or "
            "U,V,DEPTH (pixels, mm).",
            usage=True,
        )
    return Center(uv=(numbers[0], numbers[1]), depth_mm=numbers[2] if len(numbers) == 3 else None)


def _found(
    recognizer: PoseRecognizer, wanted: Wanted, center: Center, failed: list[str], told: list[str]
) -> Iterator[Found]:
    """Yield the results one by one. Errors are added to `failed`, warnings to `told`."""
    camera: str | None = wanted.options.get("camera")
    for path in wanted.inputs:
        try:
            if is_recording(path):
                yield from _followed(recognizer, path, camera, center, failed)
                continue
            frames = find_hands(path, camera, wanted.layout, told.append)
        except GestaError as error:
            if error.usage:
                raise
            failed.append(str(error))
            continue
        for frame in frames:
            try:
                yield _one(recognizer, frame, center)
            except GestaError as error:
                failed.append(str(error))


def _one(recognizer: PoseRecognizer, frame: HandFrame, center: Center) -> Found:

    depth, color = read_hand(frame, color=recognizer.manifest.transform.needs_color)
    try:
        given = center_mm(center, depth, frame.camera)
        place, source = center_of(frame, given, recognizer.rule)
        said = recognizer.predict_images(depth, color, frame.camera, place, source, input=str(frame.depth))
    except GestaError as error:
        raise GestaError(f"{frame.depth}: {error}") from error
    error_mm = None
    if frame.joints_mm is not None and frame.joints_mm.shape == said.joints_mm.shape:
        error_mm = float(np.linalg.norm(said.joints_mm - frame.joints_mm, axis=1).mean())
    return Found(frame.id, None, said, depth, frame.camera, error_mm)


def _followed(
    recognizer: PoseRecognizer, path: Path, camera: str | None, center: Center, failed: list[str]
) -> Iterator[Found]:
    """Yield each image of a recording; those without a hand are added to `failed`. Raises GestaError like decoding."""

    lens, shots = iter_recording(path, camera)
    for index, shot in enumerate(shots):
        try:
            given = center_mm(center, shot.depth_mm, lens)
            said = recognizer.predict_images(shot.depth_mm, shot.color, lens, given, input=str(path))
        except GestaError as error:
            failed.append(f"{path}: image {index} at {shot.time_s:.2f} s: {error}")
            continue
        yield Found(f"{path.stem}:{index}", shot.time_s, said, shot.depth_mm, lens)


def center_mm(center: Center, depth_mm: NDArray[np.float32], camera: Camera) -> NDArray[np.float64] | None:
    """Return the given pixel in camera coordinates, or None. Raises GestaError if the pixel has no depth."""
    if center.uv is None:
        return None
    depth = center.depth_mm
    if depth is None:
        u, v = (round(value) for value in center.uv)
        height, width = depth_mm.shape
        near = depth_mm[max(v - 3, 0) : v + 4, max(u - 3, 0) : u + 4] if 0 <= u < width and 0 <= v < height else None
        if near is None or not (near > 0).any():
            raise GestaError(
                f"--center {u},{v}: has no depth in the {width} x {height} image. Give the depth as well: U,V,DEPTH "
                "(mm)."
            )
        depth = float(np.median(near[near > 0]))
    return camera.unproject(np.array([*center.uv, depth]))


def _document(one: Found, names: tuple[str, ...]) -> dict[str, Any]:
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
    return document


def _text(one: Found, names: tuple[str, ...]) -> str:
    said = one.estimate
    joints = list(zip(names, said.joints_mm, strict=True))
    shown = ", ".join(f"{name} ({x:.0f}, {y:.0f}, {z:.0f})" for name, (x, y, z) in joints[:SHOWN])
    more = f", and {len(joints) - SHOWN} more" if len(joints) > SHOWN else ""
    when = "" if one.time_s is None else f" {one.time_s:.2f} s"
    error = "" if one.error_mm is None else f"  error {one.error_mm:.1f} mm"
    return f"{said.input}{when}  mm: {shown}{more}  center from {said.center_source}{error}"
