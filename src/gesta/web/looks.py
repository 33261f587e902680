"""Measures light, gaps and motion by decoding each clip: once per file, in one background thread."""

from __future__ import annotations

import hashlib
from pathlib import Path
from queue import Queue
from threading import Event, Thread

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import iter_frames
from gesta.files import replacing
from gesta.schema import GestaError, Resource
from gesta.untrusted import read_npy
from gesta.web.clips import Clips
from gesta.web.records import Look, Record

WIDTH, HEIGHT = 80, 60
"""Image size in pixels for motion detection."""
STEP_S = 0.08
"""Each image is compared with the one this long before, so that motion does not depend on the frame rate."""
CHANGED = 14
"""Minimum change of a pixel in gray levels; less is camera noise."""
EDGE_S = 0.15
"""Duration at the clip's start and end that must be at rest."""
TRIM = (0.02, 0.98)
MARGIN_S = 0.15

Strength = NDArray[np.float64]
"""One row per frame: time, gray level, motion, motion at the left, right or top border (fractions of the pixels)."""


def look_at(path: Path) -> Strength:
    """Decodes a file and returns [T, 4]. Raises GestaError if it cannot be decoded."""
    rows: list[tuple[float, float, float, float]] = []
    before: list[tuple[float, NDArray[np.int16]]] = []
    for time_s, image in iter_frames(Resource(path), "gray"):
        if image is None:
            continue
        small = cv2.GaussianBlur(cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), (3, 3), 0)
        level, now = float(image.mean()), small.astype(np.int16)
        while len(before) > 1 and before[1][0] <= time_s - STEP_S:
            before.pop(0)
        changed = np.abs(now - before[0][1]) > CHANGED if before else np.zeros_like(now, bool)
        border = max(changed[:, 0].mean(), changed[:, -1].mean(), changed[0].mean())
        rows.append((time_s, level, float(changed.mean()), float(border)))
        before.append((time_s, now))
    return np.array(rows, np.float64).reshape(-1, 4)


def remembered(path: Path, store: Path) -> Strength:
    """`look_at`, cached until the file changes. Raises GestaError."""
    stat = path.stat()
    key = hashlib.sha256(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:20]
    kept = store / f"{key}.npy"
    try:
        return np.asarray(read_npy(kept.read_bytes()), np.float64).reshape(-1, 4)
    except (OSError, ValueError):
        found = look_at(path)
    with replacing(kept) as made, made.open("wb") as stream:
        np.save(stream, found, allow_pickle=False)
    return found


def span_of_motion(rows: Strength) -> tuple[float, float]:
    """Span from 2 to 98 % of the motion, slightly widened; the whole clip if nothing moves."""
    total = np.cumsum(rows[:, 2])
    if total[-1] <= 0:
        return float(rows[0, 0]), float(rows[-1, 0])
    first, last = np.searchsorted(total, np.array(TRIM) * total[-1])
    start_s, end_s = rows[first, 0] - MARGIN_S, rows[min(last, len(rows) - 1), 0] + MARGIN_S
    return max(0.0, float(start_s)), min(float(end_s), float(rows[-1, 0]))


def look(rows: Strength, start_s: float, end_s: float) -> Look:
    """Summarizes the frames between two times."""
    inside = rows[(rows[:, 0] >= start_s - 1e-6) & (rows[:, 0] <= end_s + 1e-6)]
    if len(inside) < 2:
        inside = rows
    times, motion = inside[:, 0], inside[:, 2]
    better = span_of_motion(inside)
    edges = motion[times <= times[0] + EDGE_S][1:], motion[times >= times[-1] - EDGE_S]
    return Look(
        brightness=float(inside[:, 1].mean()),
        longest_gap_s=float(np.diff(times).max(initial=0.0)),
        most_motion=float(np.quantile(motion, 0.9)),
        first_motion=float(edges[0].mean()) if len(edges[0]) else 0.0,
        last_motion=float(edges[1].mean()) if len(edges[1]) else 0.0,
        border_motion=float(np.sort(inside[:, 3])[-4:].min()),
        start_s=round(better[0], 3),
        end_s=round(better[1], 3),
    )


class Looker:
    """Measures clips in the background. `pending`: how many are left."""

    def __init__(self, clips: Clips) -> None:
        self._clips, self._queue, self._stop = clips, Queue[str | None](), Event()
        self._waiting: set[str] = set()
        self._thread = Thread(target=self._run, daemon=True, name="gesta-looks")

    def start(self) -> None:
        for record in self._clips.all():
            self.want(record)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._queue.put(None)  # wakes it
        self._thread.join(timeout=5)

    @property
    def pending(self) -> int:
        return len(self._waiting)

    def want(self, record: Record) -> None:
        """Queues a clip if it has not been measured or its span has changed."""
        if record.look is None and record.state != "deleted" and record.id not in self._waiting:
            self._waiting.add(record.id)
            self._queue.put(record.id)

    def rows(self, record: Record) -> Strength:
        """Measurements of a clip's whole file. Raises GestaError, and Refuse if it is gone."""
        return remembered(self._clips.file(record), self._clips.folder.place("looks"))

    def _run(self) -> None:
        while (clip_id := self._queue.get()) is not None and not self._stop.is_set():
            try:
                self._clips.looked([(clip_id, self._found(self._clips.get(clip_id)))])
            except Exception:  # gone, or the disk is full: measured again when the server starts
                continue
            finally:
                self._waiting.discard(clip_id)

    def _found(self, record: Record) -> dict[str, object]:
        try:
            rows = self.rows(record)
        except (GestaError, OSError) as error:
            nothing = dict.fromkeys(Look.model_fields, 0.0)
            return {"look": Look.model_validate(nothing | {"fault": str(error)})}
        step_s = float(np.median(np.diff(rows[:, 0]))) if len(rows) > 1 else 0.0
        file_s = record.file_s or round(float(rows[-1, 0]) + step_s, 3)
        values: dict[str, object] = {"look": look(rows, record.start, record.end or file_s), "file_s": file_s}
        if not record.frames and step_s > 0:
            span_s = float(rows[-1, 0] - rows[0, 0])
            values |= {"frames": len(rows), "fps": (len(rows) - 1) / span_s if span_s else 0.0}
        return values
