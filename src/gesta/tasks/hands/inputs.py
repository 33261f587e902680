"""Inputs of a hand pose model: depth images, folders of them, data sets and recordings, with their camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.clips.read import iter_sample
from gesta.schema import Camera, DepthEncoding, GestaError, HandFrame, Resource
from gesta.sources import hand_catalog, nyu
from gesta.sources.cameras import CAMERAS, find_camera, read_camera
from gesta.sources.files import is_video, walk
from gesta.sources.headers import png_header
from gesta.sources.inputs import one_sample
from gesta.sources.nyu_annotation import CannotReadMat
from gesta.tasks.hands.read import check_unit

NYU_SIZE = (640, 480)


@dataclass(frozen=True)
class Shot:
    """One image of a recording: depth [H, W] in mm, RGB [H, W, 3] or None."""

    time_s: float
    depth_mm: NDArray[np.float32]
    color: NDArray[np.uint8] | None


def find_hands(
    path: Path,
    camera: str | None = None,
    layout: str | None = None,
    told: Callable[[str], None] | None = None,
) -> list[HandFrame]:
    """Return the frames at a path: a hand data set, a depth image or a folder of depth images.

    A depth image is a 16-bit gray PNG (mm), NYU's PNG, or MSRA's .bin.

    `camera`: a name or a camera.yaml; by default the data set's camera, a camera.yaml next to the images, or the one
    implied by the encoding. The unit of 16-bit depth is taken from that camera.yaml; a data set keeps its own.
    If NYU's annotation cannot be read because scipy or h5py is missing, only its images are used; `told` is called with
    a message about this, and about images of a folder that are not depth.
    Raises GestaError if nothing is found, it is not depth, its camera is unknown, or the camera does not seem to fit.
    """
    if path.is_dir() and (layout is not None or hand_catalog.detect(path) is not None):
        try:
            listing = hand_catalog.read(path, layout)
            frames = list(listing.frames)
            for problem in listing.problems:
                if told is not None and problem.kind == "not-depth":
                    told(f"Skipped: {problem}")
        except CannotReadMat as error:
            frames = nyu.read_images(path)
            if told is not None:
                told(f"{path}: used without joints and centers, so the nearest object is taken as the hand: {error}")
        return _with_camera(frames, camera)
    if path.is_dir():
        folder = path / "depth" if (path / "depth").is_dir() else path
        images = [p for p in walk(folder, depth=1) if p.suffix.lower() in (".png", ".bin") and not _is_color(p)]
        if not images:
            raise GestaError(f"{path}: contains no depth images. Expected {_KINDS}.")
        return [_frame(image, camera) for image in images]
    if not path.is_file():
        raise GestaError(f"{path}: does not exist. Give a depth image, a folder of them, or a depth recording.")
    return [_frame(path, camera)]


def one_hand(path: Path) -> HandFrame:
    """Return the only frame at a path. Raises GestaError like `find_hands`, and if there are several."""
    frames = find_hands(path)
    if len(frames) != 1:
        raise GestaError(f"{path}: contains {len(frames)} frames, expected one depth image. Give the images as a list.")
    return frames[0]


def is_recording(path: Path) -> bool:
    return path.is_file() and is_video(path)


def iter_recording(path: Path, camera: str | None) -> tuple[Camera, Iterator[Shot]]:
    """Return (camera, iterator over images) of a 16-bit depth video. Camera and unit are found as for an image.

    Raises GestaError if the video has no depth or its camera is unknown; and, during iteration, if it cannot be decoded
    or its first image does not fit the camera or seems to be in meters.
    """
    sample = one_sample(path)
    if sample.depth is None:
        raise GestaError(
            f"{path}: contains no depth. Give a video of 16-bit gray (e.g. FFV1 gray16le, mm), or depth images."
        )
    lens, unit = _camera(path, "gray16", None, camera)

    def shots() -> Iterator[Shot]:
        checked = False
        for frame in iter_sample(replace(sample, depth_unit_mm=unit), color=True):
            assert frame.depth_mm is not None
            depth = frame.depth_mm.astype(np.float32)
            if not checked and (depth > 0).any():
                _check(lens, (depth.shape[1], depth.shape[0]), str(path))
                check_unit(depth, str(path))
                checked = True
            yield Shot(frame.time_s, depth, frame.color)

    return lens, shots()


_KINDS = "PNG of 16-bit gray (mm) or NYU's, or MSRA's .bin"
_HOW = "Give it: --camera nyu, icvl, msra, or a camera.yaml with fx, fy, cx, cy in pixels."


def _with_camera(frames: list[HandFrame], camera: str | None) -> list[HandFrame]:
    """Replace the camera of a data set's frames, if one is given, and check the camera against the first image."""
    if camera is not None:
        lens, _ = find_camera(camera)
        frames = [replace(frame, camera=lens) for frame in frames]
    header = png_header(frames[0].depth.path) if frames else None
    if header is not None:
        _check(frames[0].camera, header[:2], str(frames[0].depth))
    return frames


def _frame(path: Path, camera: str | None) -> HandFrame:
    encoding, size = _encoding(path)
    lens, unit = _camera(path, encoding, size, camera)
    if size is not None:
        _check(lens, size, str(path))
    color = path.with_name(path.name.replace("depth_", "rgb_", 1)) if encoding == "nyu" else None
    if color is None or color == path or not color.is_file():
        color = next((p for p in (path.parent.parent / "rgb").glob(f"{path.stem}.*")), None)
    return HandFrame(
        id=path.stem,
        depth=Resource(path),
        camera=lens,
        encoding=encoding,
        color=None if color is None else Resource(color),
        depth_unit_mm=unit if encoding == "gray16" else 1.0,
    )


def _encoding(path: Path) -> tuple[DepthEncoding, tuple[int, int] | None]:
    """Return (depth encoding, (width, height) if in the header). Raises GestaError if it is not a depth image."""
    if path.suffix.lower() == ".bin":
        return "msra", None
    header = png_header(path)
    if header is None:
        raise GestaError(f"{path}: is not a depth image. Expected {_KINDS}.")
    width, height, bits, kind = header
    if (bits, kind) == (16, 0):
        return "gray16", (width, height)
    if (bits, kind) == (8, 2) and path.name.startswith("depth_"):
        return "nyu", (width, height)
    color = "gray" if kind == 0 else "color"
    raise GestaError(
        f"{path}: is {bits}-bit {color}; expected depth as 16-bit gray PNG in whole millimeters, or NYU's depth_*.png."
    )


def _camera(
    path: Path, encoding: DepthEncoding, size: tuple[int, int] | None, name: str | None
) -> tuple[Camera, float]:
    """Return (camera, mm per depth unit): by name, from camera.yaml next to or above the image, or implied."""
    if name is not None:
        return find_camera(name)
    for beside in (path.parent / "camera.yaml", path.parent.parent / "camera.yaml"):
        if beside.is_file():
            return read_camera(beside, size)
    if encoding == "nyu" and size == NYU_SIZE:
        return CAMERAS["nyu"], 1.0
    if encoding == "msra":
        return CAMERAS["msra"], 1.0
    raise GestaError(f"{path}: its camera is not known. {_HOW}", usage=True)


def _check(camera: Camera, size: tuple[int, int], name: str) -> None:
    found = camera.doubts(size)
    if found:
        raise GestaError(f"{name}: the intrinsics look wrong for it: {'; '.join(found)}. {_HOW}")


def _is_color(path: Path) -> bool:
    return path.name.startswith("rgb_")
