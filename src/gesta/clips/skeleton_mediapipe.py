"""MediaPipe landmarks in common storage formats: several variants of csv and json.

csv, wide: one row per frame, one column per number, `NOSE_x`, `x_nose`, `landmark_0_x`, `x0` or `x1 y1 z1 v1`, ...;
long: one row per landmark, with columns for the frame, the landmark (number or name), `x`, `y`, `z`, `visibility`.
json: a list of frames, or one under `frames`; a frame is a list of landmarks, or has them under `landmarks`,
`pose_landmarks`, `hand_landmarks`, `left_hand_landmarks`, ... ; a landmark is `{x, y, z, visibility}` or `[x, y, z]`.
The number of landmarks identifies them: 33 pose, 21 one hand, 42 two hands, 75 all.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.skeleton_sets import BLAZEPOSE_JOINTS, HAND_JOINTS, UNIQUE_BY_COUNT
from gesta.untrusted import is_number
from gesta.words import counted

AXES = {"x": 0, "y": 1, "z": 2, "v": 3, "vis": 3, "visibility": 3, "conf": 3, "confidence": 3, "score": 3}
TIMES = {"time_s": 1.0, "timestamp_s": 1.0, "seconds": 1.0, "time_ms": 1e-3, "timestamp_ms": 1e-3}
"""Columns of times, and their unit in seconds. `time` and `timestamp` are excluded: their unit is unknown."""
FRAMES = ("frame", "frame_id", "frame_number", "frame_index", "frame_no", "frame_idx")
LANDMARKS = (
    "landmark",
    "landmark_id",
    "landmark_index",
    "landmark_name",
    "joint",
    "joint_id",
    "joint_name",
    "keypoint",
)
LARGEST = 200
Columns = dict[tuple[str, int], int]
MISSING = ("", "nan", "na", "n/a", "none", "null", "-")
"""Cells without a value, in lower case."""
LONGEST_GAP = 10_000
"""Frames without a row in a table of landmarks, beyond which its frame numbers are taken for something else."""
Read = tuple[tuple[str, ...], NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float64] | None, float | None]
"""Names, values T J D, confidence T J, times in seconds (not checked), frames per second."""


def has_header(text: str) -> bool:
    """Whether the first line of a csv contains names."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return not all(cell in MISSING or is_number(cell) for cell in re.split("[,;\t]", re.sub('[" ]', "", first.lower())))


def from_csv(text: str) -> Read:
    """Names, values T J D, confidence, times and rate of a csv.

    Raises ValueError if its columns are not landmarks, or a row is incomplete or has a cell that is not a number.
    """
    header, rows = _cells(text)
    if "x" in header and "y" in header:
        return _long(header, rows)
    columns: Columns = {}
    for index, name in enumerate(header):
        found = _landmark_and_axis(name)
        if found is not None:
            columns.setdefault(found, index)
    names = _in_order([name for name, axis in columns if axis == 0])
    if not names or any((name, 1) not in columns for name in names):
        raise ValueError("its header names no landmarks. Expected columns such as nose_x, nose_y, nose_z, or x, y")
    points = np.full((len(rows), len(names), 4), np.nan)
    for (name, axis), index in columns.items():
        if name in names:
            points[:, names.index(name), axis] = _column(rows, index)
    return _known(names), *_split(points), _times(header, rows), None


def _cells(text: str) -> tuple[list[str], list[list[str]]]:
    """The header in lower case, and the rows; decimal commas become points. Raises ValueError for incomplete rows."""
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = max(",;\t", key=lines[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise ValueError(f"it is not a CSV file ({error})") from error
    header = [cell.lower() for cell in rows[0]]
    for number, row in enumerate(rows[1:], 1):
        if len(row) < len(header) or any(row[len(header) :]):
            raise ValueError(
                f"row {number} below the header has {counted(len(row), 'cell')}, the header {len(header)}. Is the file "
                "complete?"
            )
    if delimiter != ",":
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    return header, rows[1:]


def _column(rows: Sequence[Sequence[str]], index: int) -> list[float]:
    """The numbers of a column, NaN where there is none. Raises ValueError for anything else."""
    for number, row in enumerate(rows, 1):
        if row[index].lower() not in MISSING and not is_number(row[index]):
            raise ValueError(f"row {number} below the header has {row[index][:40]!r} where a number is expected")
    return [math.nan if row[index].lower() in MISSING else float(row[index]) for row in rows]


def from_json(text: str) -> Read:
    """Names, values T J D, confidence, times and rate of a json. Raises ValueError if it has no frames of landmarks."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error})") from error
    known = document if isinstance(document, dict) else {}
    frames = known.get("frames", known.get("data")) if isinstance(document, dict) else document
    if not isinstance(frames, list):
        raise ValueError("expected a list of frames, or one under `frames`")
    found = [_frame(frame) for frame in frames]
    counts = {len(points) for points in found if points is not None}
    if len(counts) > 1:
        raise ValueError(f"its frames have {sorted(counts)} landmarks; expected the same number in each")
    count = counts.pop() if counts else 0
    points = np.full((len(found), count, 4), np.nan)
    for index, frame in enumerate(found):
        if frame is not None:
            points[index] = frame
    names = _names(count) if count else ()
    return names, *_split(points), _json_times(frames), _value(known["fps"]) if "fps" in known else None


def _long(header: list[str], rows: list[list[str]]) -> Read:
    frame = next((header.index(name) for name in FRAMES if name in header), None)
    landmark = next((header.index(name) for name in LANDMARKS if name in header), None)
    if frame is None or landmark is None:
        raise ValueError(
            f"a table with one row per landmark needs the columns {FRAMES[0]} and {LANDMARKS[0]}; it has "
            f"{', '.join(header)}"
        )
    names = _in_order([row[landmark] for row in rows])
    if len(names) > LARGEST:
        raise ValueError(f"it names {len(names)} landmarks")
    numbers = _column(rows, frame)
    places = _places(numbers)
    joint = np.array([names.index(row[landmark]) for row in rows], int)
    seen, counts = np.unique(np.stack([places, joint]), axis=1, return_counts=True)
    if (counts > 1).any():
        at = int(seen[1, counts.argmax()])
        raise ValueError(f"a frame has the landmark {names[at]} twice. Keep the rows of one person")
    points = np.full((int(places.max(initial=-1)) + 1, len(names), 4), np.nan)
    for name, index in reversed(list(enumerate(header))):
        if index in AXES:
            points[places, joint, AXES[index]] = _column(rows, name)
    times = _times(header, rows)
    if times is not None:
        there, first = np.unique(places, return_index=True)
        times = np.interp(np.arange(len(points)), there, times[first])
    return _known(names), *_split(points), times, None


def _places(numbers: Sequence[float]) -> NDArray[np.int64]:
    """Index of the frame with each frame number; frames between them that have no row count.

    Raises ValueError for numbers that are not those of frames.
    """
    if not all(number.is_integer() for number in numbers):  # neither NaN nor infinite
        raise ValueError("its frame numbers are not whole numbers")
    there = np.unique(np.array(numbers, np.float64))
    step = np.diff(there).min(initial=np.inf)
    if there.size and (there[-1] - there[0]) / step > len(there) + LONGEST_GAP:
        raise ValueError(
            f"its {len(there)} frames are numbered from {there[0]:g} to {there[-1]:g}. Number them in a row"
        )
    places: NDArray[np.int64] = np.round((np.array(numbers) - there.min(initial=np.inf)) / step).astype(np.int64)
    return places


def _landmark_and_axis(name: str) -> tuple[str, int] | None:
    """`nose_x`, `x_nose`, `x0`, `landmark_0_x`, `nose.visibility` -> (landmark, axis); None for another column."""
    words = "|".join(sorted(AXES, key=len, reverse=True))
    for pattern in (rf"(?P<name>.+?)[_. ](?P<axis>{words})", rf"(?P<axis>{words})[_. ]?(?P<name>\d+|(?<=[_. ]).+)"):
        found = re.fullmatch(pattern, name)
        if found:
            return re.sub(r"^(landmark|lm|joint|keypoint|kp|point|p)[_. ]?(?=\d+$)", "", found["name"]), AXES[
                found["axis"]
            ]
    return None


def _in_order(names: Sequence[str]) -> list[str]:
    """Different names in the order given; numbers in ascending order."""
    different = list(dict.fromkeys(names))
    return sorted(different, key=int) if _are_numbers(different) else different


def _are_numbers(names: Sequence[str]) -> bool:
    return bool(names) and all(re.fullmatch("[0-9]{1,9}", name) for name in names)


def _known(names: Sequence[str]) -> tuple[str, ...]:
    """Replaces landmark numbers by the names of the set of that size; keeps names. Raises ValueError for gaps."""
    if not _are_numbers(names):
        return tuple(names)
    if len(names) != 1 + int(names[-1]) - int(names[0]):
        raise ValueError(f"its {len(names)} landmarks are numbered from {names[0]} to {names[-1]}, with gaps")
    return _names(len(names))


def _names(count: int) -> tuple[str, ...]:
    if count not in UNIQUE_BY_COUNT:
        raise ValueError(
            f"no known set has {count} landmarks; known are sets of {', '.join(map(str, UNIQUE_BY_COUNT))}"
        )
    return UNIQUE_BY_COUNT[count]


def _frame(frame: Any) -> NDArray[np.float64] | None:
    """Landmarks J 4 (x, y, z, visibility) of one frame; None if there are none."""
    if isinstance(frame, dict):
        parts = {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower(): value for key, value in frame.items()}
        hands = [parts.get(f"{side}_hand_landmarks") for side in ("left", "right")]
        if any(key.endswith("hand_landmarks") and key != "hand_landmarks" for key in parts):
            both = [_points(hand, len(HAND_JOINTS)) for hand in hands]
            body = [_points(parts["pose_landmarks"], len(BLAZEPOSE_JOINTS))] if "pose_landmarks" in parts else []
            return None if all(np.isnan(p).all() for p in [*body, *both]) else np.concatenate([*body, *both])
        keys = ("landmarks", "pose_landmarks", "hand_landmarks", "multi_hand_landmarks", "keypoints", "pose", "joints")
        frame = next((parts[key] for key in keys if key in parts), None)
    if isinstance(frame, dict):
        frame = frame.get("landmark", frame.get("landmarks"))
    while isinstance(frame, list) and len(frame) == 1 and isinstance(frame[0], list) and not _is_point(frame[0]):
        frame = frame[0]  # the first person or hand
    if isinstance(frame, list) and len(frame) > 1 and all(isinstance(p, list) and p and _is_point(p[0]) for p in frame):
        raise ValueError(f"a frame has the landmarks of {len(frame)} people or hands, expected one. Keep one of them")
    return _points(frame, len(frame)) if isinstance(frame, list) and frame else None


def _points(landmarks: Any, count: int) -> NDArray[np.float64]:
    """Array J 4 of a list of landmarks, NaN for None. Raises ValueError if there are not `count` of them."""
    if isinstance(landmarks, dict):
        landmarks = landmarks.get("landmark", landmarks.get("landmarks"))
    if not landmarks:
        return np.full((count, 4), np.nan)
    if not isinstance(landmarks, list) or len(landmarks) != count or not all(map(_is_point, landmarks)):
        raise ValueError(f"expected {count} landmarks with x, y, z, or a list of landmarks for each person")
    return np.array([_point(landmark) for landmark in landmarks], np.float64)


def _is_point(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "x" in value and "y" in value
    return (
        isinstance(value, list) and 2 <= len(value) <= 4 and all(v is None or isinstance(v, int | float) for v in value)
    )


def _point(landmark: Any) -> list[float]:
    if isinstance(landmark, Mapping):
        seen = next((landmark[k] for k in ("visibility", "confidence", "score", "v") if k in landmark), None)
        values = [landmark.get("x"), landmark.get("y"), landmark.get("z"), seen]
    else:
        values = [*landmark, None, None][:4]
    return [_value(v) for v in values]


def _value(value: Any) -> float:
    """A number of a json, NaN for null. Raises ValueError for anything else."""
    if value is None:
        return math.nan
    try:
        return float("") if isinstance(value, bool | list | dict) else float(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"it has {str(value)[:40]!r} where a number is expected") from error


def _split(points: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """T J 4 -> positions T J D, with D = 2 if there is no z at all; confidence, or None if there is none."""
    dimensions = 3 if np.isfinite(points[..., 2]).any() else 2
    seen = points[..., 3].astype(np.float32)
    return points[..., :dimensions].astype(np.float32), seen if np.isfinite(seen).any() else None


def _times(header: list[str], rows: list[list[str]]) -> NDArray[np.float64] | None:
    name = next((name for name in TIMES if name in header), None)
    if name is None:
        return None
    return _given(_column(rows, header.index(name)), TIMES[name])


def _json_times(frames: list[Any]) -> NDArray[np.float64] | None:
    for name, unit in TIMES.items():
        if any(isinstance(frame, dict) and name in frame for frame in frames):
            return _given([_value(frame.get(name) if isinstance(frame, dict) else None) for frame in frames], unit)
    return None


def _given(times: list[float], unit: float) -> NDArray[np.float64] | None:
    """Times in seconds; None if there are none."""
    return None if all(map(math.isnan, times)) else np.array(times, np.float64) * unit
