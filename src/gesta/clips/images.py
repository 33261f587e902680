"""A folder of images, one per frame, as a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, Resource, frame_files
from gesta.untrusted import PNG, image_fault

FOLDER_FPS = 30.0
"""Rate assumed for a folder of numbered images, which has no time stamps, unless its resource specifies one."""


def images(folder: Path) -> list[Path]:
    """Image files in natural order. Raises GestaError if there are none, or both JPEG and PNG: two videos at once."""
    files = frame_files(folder)
    if not files:
        raise GestaError(f"{folder}: contains no PNG or JPEG images. Expected a folder of them, one per frame.")
    if len({file.suffix.lower() == ".png" for file in files}) > 1:
        raise GestaError(f"{folder}: contains both JPEG and PNG images. Put each video into its own folder.")
    return files


def read_image(file: Path, depth: bool | None = False) -> NDArray[Any]:
    """Reads H W 3 RGB uint8; with `depth` H W uint16 as stored (None: either).

    Raises GestaError for any other image or file.
    """
    data = file.read_bytes()
    if fault := image_fault(data):
        raise GestaError(f"{file}: {fault}. Copy the file again, or make the image smaller.")
    raw = np.frombuffer(data, np.uint8)
    png = data.startswith(PNG)
    # IMREAD_COLOR applies a photograph's Exif rotation, and supports only eight bits and three colors
    image = cv2.imdecode(raw, cv2.IMREAD_UNCHANGED if png else cv2.IMREAD_COLOR)
    if image is None:
        raise GestaError(f"{file}: is not a readable {'PNG' if png else 'JPEG'}. Copy the file again.")
    is_depth = image.dtype == np.uint16 and image.ndim == 2
    if depth and not is_depth:
        raise GestaError(f"{file}: expected a 16-bit gray PNG of depth, found {image.dtype} {image.shape}.")
    if is_depth and depth is not False:
        return np.asarray(image)
    if is_depth:
        raise GestaError(
            f"{file}: is a 16-bit gray PNG, as for depth, but color was expected. Name the folder in an index.csv: in "
            "the column depth, or in path if there is no color video."
        )
    if image.dtype != np.uint8:
        image = cv2.convertScaleAbs(image, alpha=1 / 257)
    codes = {2: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    return np.asarray(cv2.cvtColor(image, codes[image.shape[2] if image.ndim == 3 else 2]), np.uint8)


def rate(folder: Resource) -> float:
    """Images per second."""
    return folder.fps or FOLDER_FPS


def iter_images(
    folder: Resource, kind: str, wanted: Callable[[int, float], bool] | None
) -> Iterator[tuple[float, NDArray[Any] | None]]:
    """Yields (time in s, image); the image is None if `wanted` returns False. `kind`: as in `clips.decode`."""
    for index, file in enumerate(images(folder.path)):
        time_s = index / rate(folder)
        if wanted is not None and not wanted(index, time_s):
            yield time_s, None
            continue
        image = read_image(file, kind == "gray16")
        yield time_s, np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)) if kind == "gray" else image
