"""Cameras of the hand data sets by name, `camera.yaml` files, and what looks wrong about intrinsics."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any

from gesta.schema import Camera, GestaError
from gesta.sources.files import read_yaml

CAMERAS = {
    "nyu": Camera(588.03, 587.07, 320.0, 240.0),  # 640 x 480, Tompson et al. 2014
    "icvl": Camera(241.42, 241.42, 160.0, 120.0),  # 320 x 240, Tang et al. 2014
    "msra": Camera(241.42, 241.42, 160.0, 120.0),  # 320 x 240, Sun et al. 2015
}
"""Intrinsics by data set, for depth images of the size in the comment."""

FIELD_OF_VIEW = (20.0, 120.0)  # degrees
FOCAL_DIFFERENCE = 0.1


def find_camera(name: str) -> Camera:
    """The camera of a data set, or that of a `camera.yaml`. Raises GestaError (usage) where `name` is neither."""
    if name in CAMERAS:
        return CAMERAS[name]
    if Path(name).is_file():
        return read_camera(Path(name))
    near = difflib.get_close_matches(name.lower(), CAMERAS, n=1, cutoff=0.4)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise GestaError(
        f"unknown camera {name!r}; there are {', '.join(CAMERAS)}, or give a camera.yaml with fx, fy, cx, cy.{meant}",
        usage=True,
    )


def read_camera(path: Path, size: tuple[int, int] | None = None) -> Camera:
    """The intrinsics of a `camera.yaml` (fx, fy, cx, cy in pixels; width, height optional).

    `size` is (width, height) of the depth images; without it, the file's own width and height are used to check.
    Raises GestaError where the file cannot be read, lacks a number, or `doubts` about the intrinsics.
    """
    if not path.is_file():
        raise GestaError(f"{path}: not found. Write the depth camera's fx, fy, cx, cy (pixels) into it.")
    values = read_yaml(path)
    try:
        camera = Camera(**{name: float(values[name]) for name in ("fx", "fy", "cx", "cy")})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise GestaError(f"{path}: expected the numbers fx, fy, cx, cy in pixels; {_why(error)}.") from error
    size = size or _stated_size(values, path)
    found = doubts(camera, size)
    if found:
        raise GestaError(f"{path}: the intrinsics look wrong: {'; '.join(found)}.")
    return camera


def doubts(camera: Camera, size: tuple[int, int] | None) -> list[str]:
    """What looks wrong about intrinsics for images of `size` (width, height); [] where nothing does.

    Finds focal lengths that are not positive or differ by more than 10 %, a principal point that is swapped or outside
    the image, and a field of view outside 20 to 120 degrees.
    """
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    if not all(math.isfinite(value) for value in (fx, fy, cx, cy)) or min(fx, fy) <= 0:
        return [f"fx = {fx:g} and fy = {fy:g} should be positive numbers of pixels (y is taken to point up)"]
    found = []
    if abs(fx - fy) > FOCAL_DIFFERENCE * max(fx, fy):
        found.append(f"fx = {fx:g} and fy = {fy:g} differ by more than 10 %, which no depth camera's do")
    if size is None:
        return found
    width, height = size
    off, off_swapped = _off_centre(cx, cy, size), _off_centre(cy, cx, size)
    if width != height and off > 0.1 and off_swapped < off / 2:
        found.append(f"cx = {cx:g} and cy = {cy:g} seem to be swapped: the image is {width} x {height}")
    elif not (0 < cx < width - 1 and 0 < cy < height - 1):
        found.append(
            f"the principal point ({cx:g}, {cy:g}) lies outside the {width} x {height} image; "
            "are the intrinsics those of another resolution?"
        )
    for name, focal, extent in (("fx", fx, width), ("fy", fy, height)):
        degrees = 2 * math.degrees(math.atan(extent / 2 / focal))
        if not FIELD_OF_VIEW[0] <= degrees <= FIELD_OF_VIEW[1]:
            found.append(
                f"{name} = {focal:g} with {extent} pixels means a field of view of {degrees:.0f} degrees, expected "
                "20 to 120; is it in millimetres, or of another resolution?"
            )
    return found


def _off_centre(cx: float, cy: float, size: tuple[int, int]) -> float:
    """How far a principal point is from the image's centre, in image sizes."""
    return math.hypot(cx / size[0] - 0.5, cy / size[1] - 0.5)


def _stated_size(values: dict[str, Any], path: Path) -> tuple[int, int] | None:
    if "width" not in values or "height" not in values:
        return None
    try:
        width, height = int(values["width"]), int(values["height"])
    except (TypeError, ValueError, OverflowError) as error:
        raise GestaError(f"{path}: width and height should be whole numbers of pixels.") from error
    if min(width, height) < 1:
        raise GestaError(f"{path}: width and height should be positive, not {width} and {height}.")
    return width, height


def _why(error: Exception) -> str:
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error).replace("\n", " ")
