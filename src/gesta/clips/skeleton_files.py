"""Readers for skeleton files, each sufficient as a recording: joint positions in space or in the image.

| file | content |
|---|---|
| `.npy` | T J 2, T J 3, or T J 4 with confidence; the joints' names come from `joints.txt` |
| `.skeleton` | NTU RGB+D: the body that is present longest, 25 joints of the second Kinect, meters |
| `.txt` | MSR Action3D (rows `x y z confidence`), or SFINGE3D (140 numbers per row, `;` between: position, rotation) |
| `.csv` | ChaLearn 2014 (9 numbers per joint, no header), or landmarks of MediaPipe with a header |
| `.json` | landmarks of MediaPipe (gesta.clips.skeleton_mediapipe) |

Missing joints are NaN in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gesta.clips import skeleton_mediapipe, skeleton_msr
from gesta.clips.skeleton import suffix_of
from gesta.clips.skeleton_sets import KINECT2_JOINTS, SFINGE3D_JOINTS, UNIQUE_BY_COUNT
from gesta.schema import KINECT_JOINTS, GestaError, Resource
from gesta.untrusted import MAX_TEXT_BYTES, read_npy

LONGEST_S = 24 * 3600.0
RATES_FPS = (0.1, 1000.0)
"""Frame rates that a recording can have."""
CHALEARN_NUMBERS = 9
NTU_NUMBERS = 12
SFINGE3D_NUMBERS = 7
SFINGE3D_FPS = 20.0
SEEN = (0.0, 0.5, 1.0)
"""Confidence of Kinect's states: not tracked, inferred, tracked."""


@dataclass(frozen=True)
class Skeletons:
    """One person over time. `values`: T J D (D = 2 or 3), NaN where a joint is missing; `confidence`: T J in [0, 1]."""

    joints: tuple[str, ...]
    values: NDArray[np.float32]
    confidence: NDArray[np.float32] | None = None
    times_s: NDArray[np.float64] | None = None
    fps: float | None = None


class NobodyTracked(GestaError):
    """A skeleton file without any visible joint."""


def read_skeletons(resource: Resource, joints: Sequence[str] | None = None) -> Skeletons:
    """Reads one skeleton file. `joints`: joint names in file order, for files without names (`.npy`).

    Raises GestaError naming the file if its format is unknown, it has no frame, no joint in any frame, another number
    of joints than named, or times that are not those of a recording.
    """
    suffix = suffix_of(resource)
    if suffix not in READERS:
        raise GestaError(f"{resource}: is not a file of skeletons. Supported are {', '.join(READERS)}.")
    raw = resource.read(MAX_TEXT_BYTES)
    try:
        with np.errstate(over="ignore"):  # becomes infinite, and so counts as missing
            found = READERS[suffix](raw, joints)
        _check_times(found)
    except ValueError as error:
        raise GestaError(f"{resource}: cannot be read as a skeleton: {error}") from error
    if len(found.values) == 0:
        raise GestaError(f"{resource}: contains no frames. Is the file complete?")
    if joints is not None and len(joints) != len(found.joints):
        raise GestaError(
            f"{resource}: has {len(found.joints)} joints, expected {len(joints)} ({', '.join(joints[:3])}, ...)."
        )
    found = replace(found, values=_without_halves(found.values, found.confidence))
    if np.isnan(found.values).all():
        raise NobodyTracked(f"{resource}: nobody is tracked in any of its {len(found.values)} frames. Leave it out.")
    return found


def _npy(raw: bytes, joints: Sequence[str] | None) -> Skeletons:
    values = read_npy(raw)
    if values.ndim != 3 or values.shape[2] not in (2, 3, 4):
        raise ValueError(f"its shape is {values.shape}, expected T J 2, T J 3, or T J 4 with confidence")
    names = tuple(joints or UNIQUE_BY_COUNT.get(values.shape[1], ()))
    if not names:
        raise ValueError(
            f"the names of its {values.shape[1]} joints are not known; list them in joints.txt next to the index"
        )
    if len(names) != values.shape[1]:
        raise ValueError(f"it has {values.shape[1]} joints, but {len(names)} are named")
    values = _unseen_are_nan(values.astype(np.float32))
    return Skeletons(names, values[..., :3], values[..., 3] if values.shape[2] == 4 else None)


def _ntu(raw: bytes, joints: Sequence[str] | None) -> Skeletons:  # noqa: ARG001
    """Frames, each with bodies, each with id and state, then 12 numbers per joint (x y z meters, ..., state)."""
    lines = [line.split() for line in _text(raw).splitlines() if line.strip()]
    rows = iter(lines)
    bodies: list[dict[str, NDArray[np.float32]]] = []
    try:
        for _ in range(_count(next(rows), 10**6)):
            bodies.append({})
            for _ in range(_count(next(rows), 100)):
                name = next(rows)[0]
                table = [next(rows) for _ in range(_count(next(rows), 100))]
                if [len(row) for row in table] != [NTU_NUMBERS] * len(KINECT2_JOINTS):
                    raise ValueError(f"expected {len(KINECT2_JOINTS)} joints of {NTU_NUMBERS} numbers per body")
                bodies[-1][name] = np.array(table, np.float32)
    except (StopIteration, IndexError) as error:
        raise ValueError("it ends in the middle of a frame; is the file complete?") from error
    if next(rows, None) is not None:
        raise ValueError(f"its first line announces {len(bodies)} frames, but it goes on after them")
    every = [name for frame in bodies for name in frame]
    main = max(dict.fromkeys(every), key=every.count, default="")
    nobody = np.full((len(KINECT2_JOINTS), NTU_NUMBERS), np.nan, np.float32)
    whole = np.stack([frame.get(main, nobody) for frame in bodies]) if bodies else nobody[None][:0]  # T 25 12
    state = np.nan_to_num(whole[..., -1], nan=0).astype(int)
    confidence = np.array(SEEN, np.float32)[np.clip(state, 0, len(SEEN) - 1)]
    values = np.where(confidence[..., None] > 0, whole[..., :3], np.nan)
    return Skeletons(KINECT2_JOINTS, values, confidence, fps=30.0)


def _txt(raw: bytes, joints: Sequence[str] | None) -> Skeletons:  # noqa: ARG001
    text = _text(raw)
    if ";" in text:
        table = _table(text, ";")
        expected = len(SFINGE3D_JOINTS) * SFINGE3D_NUMBERS
        if table.shape[1] != expected:
            raise ValueError(f"it has {table.shape[1]} numbers per row, expected {expected} (SFINGE3D)")
        values = table.reshape(-1, len(SFINGE3D_JOINTS), SFINGE3D_NUMBERS)[..., :3]
        return Skeletons(SFINGE3D_JOINTS, _unseen_are_nan(values), fps=SFINGE3D_FPS)
    table = _table(text, None)
    count = len(skeleton_msr.JOINTS)
    if table.shape[1] != 4 or len(table) % count:
        raise ValueError(
            f"it has {len(table)} rows of {table.shape[1]}, expected {count} rows `x y z confidence` per frame"
        )
    values = table.reshape(-1, count, 4)
    return Skeletons(skeleton_msr.JOINTS, _unseen_are_nan(values[..., :3]), values[..., 3], fps=15.0)


def _csv(raw: bytes, joints: Sequence[str] | None) -> Skeletons:  # noqa: ARG001
    text = _text(raw)
    if skeleton_mediapipe.has_header(text):
        return Skeletons(*skeleton_mediapipe.from_csv(text))
    table = _table(text.replace(",", ".") if ";" in text else text, ";" if ";" in text else ",")
    if table.shape[1] != CHALEARN_NUMBERS * len(KINECT_JOINTS):
        expected = f"{CHALEARN_NUMBERS * len(KINECT_JOINTS)} (ChaLearn 2014), or a header with the landmarks' names"
        raise ValueError(f"it has {table.shape[1]} numbers per row, expected {expected}")
    values = table.reshape(len(table), -1, CHALEARN_NUMBERS)
    return Skeletons(KINECT_JOINTS, _unseen_are_nan(values[..., :3]))


def _json(raw: bytes, joints: Sequence[str] | None) -> Skeletons:  # noqa: ARG001
    return Skeletons(*skeleton_mediapipe.from_json(_text(raw)))


READERS: dict[str, Callable[[bytes, Sequence[str] | None], Skeletons]] = {
    ".npy": _npy,
    ".skeleton": _ntu,
    ".txt": _txt,
    ".csv": _csv,
    ".json": _json,
}
"""By file suffix."""


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def _table(text: str, delimiter: str | None) -> NDArray[np.float32]:
    """Rows of numbers; a trailing delimiter is ignored."""
    lines = [line.strip().rstrip(delimiter or " ") for line in text.splitlines() if line.strip()]
    if not lines:
        return np.zeros((0, 0), np.float32)
    try:
        return np.loadtxt(lines, dtype=np.float32, delimiter=delimiter, ndmin=2, comments=None)
    except ValueError as error:
        raise ValueError(f"expected rows of numbers ({error})") from error


def _count(cells: list[str], largest: int) -> int:
    """Parses a line with a single count. Raises ValueError for anything else."""
    count = int(cells[0]) if len(cells) == 1 and cells[0].isdecimal() else -1
    if not 0 <= count <= largest:
        raise ValueError(f"expected a count, found {' '.join(cells)[:40]!r}")
    return count


def _unseen_are_nan(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sets frames that are all zero, which contain no person, to NaN."""
    values = values.copy()
    values[~values.any(axis=(1, 2))] = np.nan
    return values


def _without_halves(values: NDArray[np.float32], confidence: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Sets joints with any missing or infinite coordinate, or with a confidence below 0 or NaN, to NaN."""
    values = np.array(values, np.float32)
    values[~np.isfinite(values).all(axis=-1)] = np.nan
    if confidence is not None:
        values[~(confidence >= 0)] = np.nan
    return values


def _check_times(found: Skeletons) -> None:
    """Raises ValueError for times or a frame rate that a recording cannot have."""
    if found.fps is not None and not RATES_FPS[0] <= found.fps <= RATES_FPS[1]:
        raise ValueError(f"its frame rate is {found.fps:g}, expected {RATES_FPS[0]:g} to {RATES_FPS[1]:g} per second")
    times = found.times_s
    if times is None or not len(times):
        return
    if not np.isfinite(times).all():
        raise ValueError(f"frame {np.isfinite(times).argmin()} (from 0) has no time")
    if (np.diff(times) < 0).any():
        at = int((np.diff(times) < 0).argmax())
        raise ValueError(f"its times jump back, from {times[at]:g} s to {times[at + 1]:g} s. Correct the times")
    if len(times) > 1 and times[-1] == times[0]:
        raise ValueError(f"all its frames have the time {times[0]:g} s. Correct the times, or leave them out")
    if times[-1] - times[0] > LONGEST_S:
        raise ValueError(f"its times span {times[-1] - times[0]:g} s, more than a day. Are they in another unit?")
