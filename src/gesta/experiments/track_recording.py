"""Tracking one recording: writes all landmarks to an `.npz`, and the joints in pixels to a skeleton `.npy`.

The skeleton file has the format read by `sources.index_csv`: float32 T J 3 in the coordinates of a camera with a focal
length of one pixel at (0, 0), so that pixel (u, v) is (u, -v, 1); NaN where nothing was detected.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import iter_frames
from gesta.files import replacing
from gesta.leftovers import remove_left_behind, temporary
from gesta.schema import GestaError, Resource
from gesta.trackers.joints import What, with_centers
from gesta.trackers.tracker import Tracker

CAMERA = {"fx": 1.0, "fy": 1.0, "cx": 0.0, "cy": 0.0}


@dataclass(frozen=True)
class Summary:
    """Detection counts of a recording."""

    frames: int
    with_person: int
    with_hand: int
    hands: int
    seconds: float = 0.0


def track_recording(tracker: Tracker, video: Resource, stem: Path, key: str, mask: Path | None = None) -> Summary:
    """Tracks a whole video and writes `stem`.npz and `stem`.npy, and the person's mask as a video.

    The `.npz` contains times_s [T], points_px [T, J, 3], confidence [T, J], joints [J], size (height, width), tracker
    (sha256), key, and the counts of Summary. Raises GestaError naming the video or the file that cannot be written.
    """
    tracker.reset()
    times_s: list[float] = []
    points: list[NDArray[np.float32]] = []
    confidence: list[NDArray[np.float32]] = []
    with_person = with_hand = hands = 0
    masks = None if mask is None else MaskVideo(mask)
    try:
        for time_s, rgb in iter_frames(video, "rgb"):
            if rgb is None:
                continue
            landmarks = tracker.step(rgb, time_s)
            if masks is not None:
                masks.add(landmarks.person.mask if landmarks.person is not None else None, landmarks.size)
            times_s.append(time_s)
            for rows, part in zip((points, confidence), landmarks.joints(tracker.what), strict=True):
                rows.append(part)
            with_person += landmarks.person is not None
            with_hand += bool(landmarks.hands)
            hands += len(landmarks.hands)
        if masks is not None:
            masks.close()
    except BaseException:
        if masks is not None:
            masks.discard()
        raise
    summary = Summary(len(times_s), with_person, with_hand, hands, times_s[-1])
    document: dict[str, Any] = {
        "times_s": np.array(times_s),
        "points_px": np.stack(points),
        "confidence": np.stack(confidence),
        "joints": np.array(tracker.joints),
        "size": np.array(landmarks.size),
        "tracker": np.array(tracker.sha256),
        "key": np.array(key),
        **{name: np.array(value) for name, value in vars(summary).items()},
    }
    joints = skeleton(document["points_px"], tracker.what)
    whole(_with(stem, ".npy"), lambda stream: np.save(stream, joints, allow_pickle=False))
    whole(_with(stem, ".npz"), lambda stream: np.savez_compressed(stream, **document))  # last: marks completion
    return summary


def finished(stem: Path, key: str) -> tuple[Summary, NDArray[np.float64]] | None:
    """Returns (summary, times_s) of a recording completely tracked with this key, else None."""
    try:
        with np.load(_with(stem, ".npz"), allow_pickle=False) as stored:
            if str(stored["key"]) != key or not _with(stem, ".npy").is_file():
                return None
            counts = {name: int(stored[name]) for name in ("frames", "with_person", "with_hand", "hands")}
            return Summary(**counts, seconds=float(stored["seconds"])), stored["times_s"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def content(video: Resource) -> str:
    """Returns the sha256 of a video's content, or of the images in a folder."""
    digest = hashlib.sha256()
    if video.member is None and video.path.is_dir():
        for file in sorted(video.path.iterdir()):
            if file.is_file():
                digest.update(f"{file.name}|{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()
    with video.open() as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def skeleton(points_px: NDArray[np.float32], what: What) -> NDArray[np.float32]:
    """Converts T J 3 pixels in tracker order to T J' 3 of a skeleton file, with BODY_CENTERS."""
    uv = with_centers(points_px[..., :2], what)
    depth = np.where(np.isnan(uv[..., :1]), np.nan, 1.0)
    return np.concatenate([uv[..., :1], -uv[..., 1:], depth], axis=-1).astype(np.float32)


def whole(path: Path, write: Any) -> None:
    """Writes a file atomically: calls write(stream) on a temporary file, then renames it. Raises GestaError."""
    try:
        with replacing(path) as part, part.open("wb") as stream:
            write(stream)
    except OSError as error:
        raise GestaError(f"{path}: cannot be written ({error}). Free space, or give another --out.") from error


def _with(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


class MaskVideo:
    """Writes the person's mask as a lossless grayscale video: 255 on the person, one frame per recorded frame."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, temporary(path, f"part{path.suffix}")
        self._container: Any = None
        self._stream: Any = None

    def add(self, mask: NDArray[np.bool_] | None, size: tuple[int, int]) -> None:
        """Adds the next frame's mask; None if nobody was detected."""
        if self._container is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            remove_left_behind(self._path)
            self._container = av.open(str(self._part), "w")
            self._stream = self._container.add_stream("ffv1", rate=30)
            self._stream.height, self._stream.width = size
            self._stream.pix_fmt = "gray"
        levels = np.zeros(size, np.uint8) if mask is None else mask.astype(np.uint8) * 255
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(levels, format="gray")))

    def close(self) -> None:
        """Finishes the file and renames it to its final name."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
            self._part.replace(self._path)

    def discard(self) -> None:
        """Deletes the unfinished file."""
        if self._container is not None:
            self._container.close()
            self._part.unlink(missing_ok=True)


def job(recordings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Calls `track_recording` for each unfinished recording, with a tracker that is reused across calls.

    Returns `failed`: index in `recordings` -> (exception type, text); failures do not stop the others.
    """
    failed = {}
    for number, arguments in enumerate(recordings):
        mask = arguments["mask"]
        if finished(arguments["stem"], arguments["key"]) is not None and (mask is None or mask.is_file()):
            continue
        try:
            _track(arguments)
        except Exception as error:
            failed[str(number)] = (type(error).__name__, str(error))
    return {"failed": failed}


def _track(arguments: Mapping[str, Any]) -> Summary:
    settings = arguments["settings"]
    name = repr(sorted(settings.items()))
    if name not in _trackers:
        _trackers.clear()
        _trackers[name] = Tracker(**settings, threads=1)
    return track_recording(
        _trackers[name], arguments["video"], key=arguments["key"], stem=arguments["stem"], mask=arguments["mask"]
    )


_trackers: dict[str, Tracker] = {}
