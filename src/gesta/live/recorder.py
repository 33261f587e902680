"""Records clips from a camera into class folders with an index.csv, one take after another, with real timestamps."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gesta.files import csv_text, write_whole
from gesta.leftovers import temporary
from gesta.live.sources import Source
from gesta.schema import GestaError
from gesta.sources import catalog
from gesta.sources.index_csv import INDEX_FILE
from gesta.sources.index_write import write_index
from gesta.sources.tables import read_table

SUFFIX = ".mp4"
DIM = 40.0
"""Mean gray level below which an image counts as dim."""
SLOW_FPS = 12.0
FEWEST_FRAMES = 4
TICK = Fraction(1, 90_000)
"""Time base of the written videos."""
COLUMNS = ("path", "label", "subject")


@dataclass(frozen=True)
class Take:
    """One recorded clip: its path, frames, duration and problems."""

    path: Path
    frames: int
    seconds: float
    brightness: float

    @property
    def fps(self) -> float:
        return (self.frames - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def warnings(self) -> list[str]:
        """Problems to fix before recording more."""
        found = []
        if self.brightness < DIM:
            found.append(f"the picture is dim (gray level {self.brightness:.0f} of 255): switch on a light")
        if self.fps < SLOW_FPS:
            found.append(
                f"the camera gave only {self.fps:.1f} frames/s: more light or a smaller picture makes it faster"
            )
        return found


class Writer:
    """Writes an H.264 video in MP4 whose frames keep their capture times."""

    def __init__(self, path: Path) -> None:
        self._container = av.open(str(path), "w", format="mp4")
        self._stream: Any = None
        self._last = -1

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Writes an RGB image H W 3 with its time since the first one; skips it if its time is not later."""
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        if self._stream is None:
            self._stream = self._container.add_stream("h264", rate=30)
            self._stream.height, self._stream.width = image.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = TICK
            self._stream.options = {"crf": "18", "preset": "ultrafast", "bf": "0"}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = round(time_s / TICK), TICK
        if frame.pts <= self._last:
            return
        self._last = frame.pts
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()


Tell = Callable[[str], None]


def take(
    source: Source,
    path: Path,
    seconds: float,
    countdown: int = 0,
    tell: Tell = lambda _text: None,
    clock: Callable[[], float] = time.monotonic,
) -> Take:
    """Records one clip of `seconds` to a file, after a countdown during which the camera is already running.

    Raises GestaError, and leaves no file, if the source gives too few frames or the file cannot be written.
    """
    source.open()
    made = temporary(path)
    made.parent.mkdir(parents=True, exist_ok=True)
    try:
        _count_down(source, countdown, tell, clock)
        tell("go")
        found = _film(source, made, seconds)
        if len(found) < FEWEST_FRAMES:
            raise GestaError(
                f"{path}: the camera gave only {len(found)} of at least {FEWEST_FRAMES} frames. Does another program "
                "use it?"
            )
        made.replace(path)
    except OSError as error:
        raise GestaError(f"{path}: cannot be written ({error}). Is the disk full?") from error
    finally:
        source.close()
        made.unlink(missing_ok=True)
    times, levels = zip(*found, strict=True)
    return Take(path, len(found), times[-1] - times[0], float(np.mean(levels)))


def _count_down(source: Source, countdown: int, tell: Tell, clock: Callable[[], float]) -> None:
    """Counts 3, 2, 1 while reading frames, so that the camera's exposure settles and no frame is stale."""
    for left in range(countdown, 0, -1):
        tell(str(left))
        until = clock() + 1
        while clock() < until and source.take() is not None:
            pass


def _film(source: Source, path: Path, seconds: float) -> list[tuple[float, float]]:
    """Writes the frames of `seconds`; returns (time, mean gray level) of each."""
    writer, found = Writer(path), list[tuple[float, float]]()
    try:
        for image, time_s in _taken(source):
            if found and time_s - found[0][0] > seconds:
                break
            found.append((time_s, float(image.mean())))
            writer.write(image, time_s - found[0][0])
    finally:
        writer.close()
    return found


def _taken(source: Source) -> Iterator[tuple[NDArray[Any], float]]:
    while (found := source.take()) is not None:
        yield found


def next_path(data: Path, label: str, subject: str) -> Path:
    """DATA/label/subject_label_001.mp4: the first free number. Raises GestaError for bad names."""
    for name, value in (("label", label), ("subject", subject)):
        if not re.fullmatch(r"[^\W_][\w .-]*", value) or value.endswith((".", " ")):
            raise GestaError(f"--{name} {value!r}: expected letters, digits, spaces, - and _.", usage=True)
    folder, number = data / label, 1
    while (path := folder / f"{subject}_{label}_{number:03d}{SUFFIX}").exists():
        number += 1
    return path


def add_to_index(data: Path, one: Take, label: str, subject: str) -> None:
    """Adds a row to the folder's index.csv; if there is none, creates it from the clips already in the folder.

    Raises GestaError for an index without a column `path`.
    """
    index, name = data / INDEX_FILE, one.path.relative_to(data).as_posix()
    if not index.is_file():
        _begin_index(data, one.path)
    header, rows = _index(index)
    if "subject" not in header:
        header.append("subject")
    known = dict(zip(COLUMNS, (name, label, subject), strict=True))
    width = len(header)
    kept = [cells + [""] * (width - len(cells)) for cells in rows if cells[header.index("path")] != name]
    write_whole(index, csv_text([header, *kept, [known.get(column, "") for column in header]]))


def check_index(data: Path) -> None:
    """Raises GestaError, before anything is filmed, if clips cannot be added to the folder's index.csv."""
    if data.exists() and not data.is_dir():
        raise GestaError(f"{data}: is a file. Choose a folder for the clips.", usage=True)
    _index(data / INDEX_FILE)


def _index(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header, in lower case, and the rows; of an empty or missing index, our header. Raises GestaError."""
    rows = [cells for _, cells in read_table(path)] if path.exists() else []
    header = [cell.lower() for cell in rows[0]] if rows else list(COLUMNS)
    if not {"path", "label"} <= set(header):
        raise GestaError(f"{path}: has no columns path,label; it has {', '.join(header)}. Use these names.")
    return header, rows[1:]


def _begin_index(data: Path, newest: Path) -> None:
    """Creates an index of the clips already in class folders, or an empty one."""
    others = [path for path in data.glob(f"*/*{SUFFIX}") if path != newest]
    if others:
        write_index(catalog.read(data, "class_folders"))
    else:
        write_whole(data / INDEX_FILE, ",".join(COLUMNS) + "\n")
