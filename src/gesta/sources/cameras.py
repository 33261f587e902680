"""Cameras: those of the hand data sets, by name, and `camera.yaml` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gesta.schema import Camera, GestaError
from gesta.sources.files import read_yaml
from gesta.words import did_you_mean

CAMERAS = {
    "nyu": Camera(588.03, 587.07, 320.0, 240.0),  # 640 x 480, Tompson et al. 2014
    "icvl": Camera(241.42, 241.42, 160.0, 120.0),  # 320 x 240, Tang et al. 2014
    "msra": Camera(241.42, 241.42, 160.0, 120.0),  # 320 x 240, Sun et al. 2015
}
"""Intrinsics by data set, for depth images of the size given in the comment."""


def find_camera(name: str) -> tuple[Camera, float]:
    """Returns the camera of a data set or of a `camera.yaml`, and the depth unit in mm (1 if not given).

    Raises GestaError (usage) if `name` is neither.
    """
    if name in CAMERAS:
        return CAMERAS[name], 1.0
    if Path(name).is_file():
        return read_camera(Path(name))
    meant = did_you_mean(name.lower(), CAMERAS)
    raise GestaError(
        f"unknown camera {name!r}; choose from {', '.join(CAMERAS)}, or give a camera.yaml with fx, fy, cx, cy.{meant}",
        usage=True,
    )


def read_camera(path: Path, size: tuple[int, int] | None = None) -> tuple[Camera, float]:
    """Reads a `camera.yaml`: fx, fy, cx, cy in pixels, and depth_unit_mm, the size of one depth step in mm (default 1).

    `size` is the (width, height) of the depth images, used to check the intrinsics; without it, the file's own width
    and height are used if present. Raises GestaError if the file is unreadable, lacks a number, or looks wrong.
    """
    if not path.is_file():
        raise GestaError(f"{path}: not found. Write the depth camera's fx, fy, cx, cy (pixels) into it.")
    values = read_yaml(path)
    try:
        camera = Camera(**{name: float(values[name]) for name in ("fx", "fy", "cx", "cy")})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise GestaError(f"{path}: expected the numbers fx, fy, cx, cy in pixels; {_why(error)}.") from error
    size = size or _stated_size(values, path)
    found = camera.doubts(size)
    if found:
        raise GestaError(f"{path}: the intrinsics look wrong: {'; '.join(found)}.")
    return camera, _depth_unit(values.get("depth_unit_mm", 1), path)


def _depth_unit(value: Any, path: Path) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 100:
        raise GestaError(f"{path}: depth_unit_mm is {value!r}, expected the mm per step of depth, such as 1.")
    return float(value)


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
