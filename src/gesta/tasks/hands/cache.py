"""Windows around many hands, cropped once and cached, so that images are not decoded again in every epoch.

A window contains depth in mm and color, cropped to its own cube: the frame's cube, or one that is 1.5 times as wide if
augmentation will shift, rotate and scale the cube within it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.cache import ClipCache
from gesta.leftovers import temporary
from gesta.schema import GestaError, HandFrame, Problem
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.read import read_hand
from gesta.tasks.hands.transform import HAND_TRANSFORM_VERSION, HandTransform, cube_of, stacked
from gesta.threads import Threads

WIDER, FINER = 1.5, 2.0
"""Side of a wide window relative to the cube, and its size in pixels relative to the patch."""
OUTSIDE = 0.5
"""A frame with more than this share of its cube outside the image is skipped."""
PARALLEL = 4


@dataclass(frozen=True)
class HandWindows:
    """Windows of N hands: depth uint16 [N, W, W] in mm (0: no reading), RGB uint8 [N, W, W, 3], and the cubes."""

    depth_mm: NDArray[np.uint16]
    color: NDArray[np.uint8] | None
    cubes: tuple[Cube, ...]
    wide: bool

    def __len__(self) -> int:
        return len(self.cubes)

    def preprocessed(self, index: int, transform: HandTransform, cube: Cube | None = None) -> NDArray[np.float32]:
        """Return the network input [C, S, S] of the hand's own cube, or of another one within a wide window."""
        patch, color = self.patch(index, transform, cube)
        return stacked(patch, color, transform)

    def patch(
        self, index: int, transform: HandTransform, cube: Cube | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Return (normalized depth [S, S], color [S, S, 3] in 0..255, masked if the transform says so)."""
        own = self.cubes[index]
        chosen, size = cube or own, transform.size
        depth, color = np.asarray(self.depth_mm[index]), None if self.color is None else np.asarray(self.color[index])
        if self.wide:
            inside = _within(widened(own), len(depth), chosen, size)
            flags = cv2.WARP_INVERSE_MAP
            depth = cv2.warpAffine(depth, inside, (size, size), flags=flags | cv2.INTER_NEAREST)
            color = None if color is None else cv2.warpAffine(color, inside, (size, size), flags=flags)
        patch = chosen.normal_depth(depth)
        if color is None:
            return patch, None
        seen = np.abs(patch) < 1 if transform.mask else np.ones_like(patch, np.bool_)
        return patch, color.astype(np.float32) * seen[..., None]


def collect(
    frames: Sequence[HandFrame],
    transform: HandTransform,
    *,
    wide: bool = False,
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[HandWindows, list[HandFrame], list[Problem]]:
    """Return the windows of the usable frames, those frames, and a problem for each other frame.

    Skipped: images that cannot be read or do not match each other, empty cubes, cubes of which more than half is
    outside the image, and joints that are not finite. Raises GestaError if no frame is left.
    """
    cache = ClipCache(root)
    key = _key(frames, transform, wide)
    folder = cache.root / "clips" / key[:2]
    meta = folder / f"{key}.json"
    known = _read_meta(meta)
    if known is None:
        known = _write(frames, transform, wide, folder, key, progress)
        cache.evict()
    problems = [Problem(**one) for one in known["problems"]]
    kept = [int(index) for index in known["kept"]]
    if not kept:
        raise GestaError(f"No hand frame can be used ({len(frames)} found). The first problem: {problems[0]}")
    depth = np.load(folder / f"{key}-depth.npy", mmap_mode="r")
    color = np.load(folder / f"{key}-color.npy", mmap_mode="r") if transform.needs_color else None
    cubes = tuple(_cube(frames[i], c, transform) for i, c in zip(kept, known["centers"], strict=True))
    return HandWindows(depth, color, cubes, wide), [frames[i] for i in kept], problems


def _cube(frame: HandFrame, center: Sequence[float], transform: HandTransform) -> Cube:
    return Cube(frame.camera, (center[0], center[1], center[2]), transform.cube_mm)


def widened(cube: Cube) -> Cube:
    """Return the cube of a wide window."""
    return replace(cube, side_mm=cube.side_mm * WIDER)


def _within(wide: Cube, pixels: int, cube: Cube, size: int) -> NDArray[np.float64]:
    """Return the affine map [2, 3] from pixels of the cube's patch to pixels of the window of `wide`."""
    to_image = np.vstack([cube.to_image(size), [0, 0, 1]])
    return np.asarray(_inverse(wide.to_image(pixels)) @ to_image)


def _inverse(to_image: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.invertAffineTransform(to_image), np.float64)


def _cut(
    frame: HandFrame, transform: HandTransform, wide: bool
) -> tuple[NDArray[np.uint16], NDArray[np.uint8] | None, tuple[float, float, float]]:
    """Return a frame's windows and center. Raises GestaError if the frame cannot be used."""
    if frame.joints_mm is not None and not np.isfinite(frame.joints_mm).all():
        raise GestaError(f"{frame.depth}: its joints are not finite numbers. Correct the annotation.")
    depth, color = read_hand(frame, color=transform.needs_color)
    try:
        cube = cube_of(depth, frame.camera, transform, frame.center_mm)
        outside = _outside(cube, depth.shape)
        if outside > OUTSIDE:
            raise GestaError(f"the hand is at the border of the image: {outside:.0%} of the cube around it is outside.")
        cube.patch(depth, transform.size)
    except GestaError as error:
        raise GestaError(f"{frame.depth}: {error}") from error
    window, pixels = (widened(cube), round(transform.size * FINER)) if wide else (cube, transform.size)
    seen = np.clip(np.rint(window.cut(depth, pixels)), 0, 65535).astype(np.uint16)
    if color is None:
        return seen, None, cube.center_mm
    nothing = np.zeros((pixels, pixels), np.float32)  # no mask yet: it moves with the cube
    return seen, window.color_patch(color, nothing).astype(np.uint8), cube.center_mm


def _outside(cube: Cube, shape: tuple[int, ...]) -> float:
    """Return the share of the cube's window outside an image of `shape` (height, width)."""
    corners = np.array([[-0.5, -0.5, 1], [127.5, 127.5, 1]]) @ cube.to_image(128).T  # 2 2: (u, v)
    low, high = np.maximum(corners[0], -0.5), np.minimum(corners[1], np.array([shape[1], shape[0]]) - 0.5)
    inside = np.clip(high - low, 0, None).prod() / (corners[1] - corners[0]).prod()
    return float(1 - inside)


# -- on disk -------------------------------------------------------------------------------------------------------


def _write(
    frames: Sequence[HandFrame],
    transform: HandTransform,
    wide: bool,
    folder: Path,
    key: str,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Write the windows of all frames, then their metadata, each to a temporary file first."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, centers, problems = [], [], []
    parts = {name: temporary(folder / f"{key}-{name}", "part") for name in ("depth", "color", "meta")}
    try:
        with parts["depth"].open("wb") as depths, parts["color"].open("wb") as colors:
            for index, found in enumerate(_all(frames, transform, wide)):
                if isinstance(found, GestaError):
                    problems.append({"path": str(frames[index].depth), "kind": "hand", "reason": _reason(found)})
                else:
                    depth, color, center = found
                    _append(depths, depth)
                    if color is not None:
                        _append(colors, color)
                    kept.append(index)
                    centers.append(center)
                if progress is not None:
                    progress(index + 1, len(frames))
        known = {"kept": kept, "centers": centers, "problems": problems}
        if kept:
            pixels = round(transform.size * (FINER if wide else 1))
            _with_header(parts["depth"], folder / f"{key}-depth.npy", np.uint16, (len(kept), pixels, pixels))
            if transform.needs_color:
                _with_header(parts["color"], folder / f"{key}-color.npy", np.uint8, (len(kept), pixels, pixels, 3))
        parts["meta"].write_text(json.dumps(known), encoding="utf-8")
        parts["meta"].replace(folder / f"{key}.json")
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return known


def _all(
    frames: Sequence[HandFrame], transform: HandTransform, wide: bool
) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.uint8] | None, tuple[float, float, float]] | GestaError]:
    """Yield the windows in the order of the frames, reading a few at a time."""

    def one(frame: HandFrame) -> Any:
        try:
            return _cut(frame, transform, wide)
        except GestaError as error:
            return error

    step = 16 * PARALLEL
    with Threads(min(PARALLEL, os.cpu_count() or 1)) as pool:
        for start in range(0, len(frames), step):
            yield from pool.map(one, frames[start : start + step])


def _reason(error: GestaError) -> str:
    """Return the message without the file name, which the problem already contains."""
    return str(error).partition(": ")[2] or str(error)


HEADER = 128
"""Bytes before the first window: the padded .npy header."""


def _append(stream: BinaryIO, window: NDArray[Any]) -> None:
    if stream.tell() == 0:
        stream.write(b"\0" * HEADER)
    stream.write(np.ascontiguousarray(window).tobytes())


def _with_header(part: Path, path: Path, kind: type, shape: tuple[int, ...]) -> None:
    """Write the .npy header into the space reserved for it and move the file into place."""
    header = {"descr": np.dtype(kind).str, "fortran_order": False, "shape": shape}
    text = repr(header).encode().ljust(HEADER - 11) + b"\n"
    with part.open("r+b") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def _read_meta(path: Path) -> dict[str, Any] | None:
    """Return the metadata of cached windows, or None if they are not complete."""
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        wanted = [path.with_name(f"{path.stem}-depth.npy")] if known["kept"] else []
        if not all(file.exists() for file in wanted):
            return None
        for file in [path, *path.parent.glob(f"{path.stem}-*.npy")]:
            file.touch()  # mark as recently used
    except (OSError, ValueError, KeyError):
        return None
    return known


def _key(frames: Sequence[HandFrame], transform: HandTransform, wide: bool) -> str:
    """Hash paths, sizes and mtimes of the files, the cubes, and everything that affects a window's pixels."""
    content = hashlib.sha256()
    settings = (HAND_TRANSFORM_VERSION, transform.size, transform.cube_mm, transform.needs_color, wide, WIDER, FINER)
    content.update(repr(settings).encode())
    for frame in frames:
        for resource in (frame.depth, *([frame.color] if frame.color and transform.needs_color else [])):
            stat = resource.path.stat() if resource.path.exists() else None
            content.update(
                os.fsencode(f"{resource.path.resolve()}{resource.member}{stat and (stat.st_size, stat.st_mtime_ns)}")
            )
        camera = frame.camera
        content.update(repr((camera.fx, camera.fy, camera.cx, camera.cy, frame.depth_unit_mm)).encode())
        content.update(b"-" if frame.center_mm is None else frame.center_mm.astype("<f8").tobytes())
        finite = frame.joints_mm is None or bool(np.isfinite(frame.joints_mm).all())
        content.update(b"1" if finite else b"0")
    return content.hexdigest()
