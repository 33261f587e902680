"""ChaLearn Looking at People 2014, track 3 ("Montalbano"): a zip or folder per recording, with several gestures.

    Train1/Sample0001.zip or Train1/Sample0001/        containing
        Sample0001_color.mp4  Sample0001_depth.mp4  Sample0001_user.mp4
        Sample0001_skeleton.csv  Sample0001_labels.csv  Sample0001_data.csv
    gesta_subjects.csv                                 optional: recording,subject

`_data.csv` is one row `n_frames,fps,max_depth_mm`; `_labels.csv` has rows `gesture_id,first_frame,last_frame`, 1-based
and inclusive. The folders Train*, Validation* and Test* define the split. Depth is 8-bit: value / 255 * max_depth_mm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from gesta.schema import CHALEARN_GESTURES, GestaError, Listing, Problem, Resource, Sample, Split
from gesta.sources.files import decode_text, is_hidden, split_name, walk
from gesta.sources.tables import read_table, table
from gesta.untrusted import MAX_TEXT_BYTES, open_zip
from gesta.words import counted

LAYOUT = "chalearn2014"
SUBJECTS_FILE = "gesta_subjects.csv"
ASSUMED_MAX_DEPTH_MM = 4000.0
"""Range of the first Kinect; assumed, and reported, if `_data.csv` is missing."""

PARTS = {
    "color": "_color.mp4",
    "depth": "_depth.mp4",
    "user": "_user.mp4",
    "skeleton": "_skeleton.csv",
    "labels": "_labels.csv",
    "data": "_data.csv",
}
_PART_NAMES = re.compile(
    r"(?P<name>.+)_(?P<part>color\.mp4|depth\.mp4|user\.mp4|skeleton\.csv|labels\.csv|data\.csv)$", re.I
)
_OWN_NAMES = re.compile(r"(Sample\d+_(color|depth)\.mp4|.+_(user\.mp4|labels\.csv|data\.csv))$", re.I)
"""File names specific to this layout: other sets, too, name their videos ..._color.mp4 and ..._depth.mp4."""
_SPLIT_FOLDER = re.compile(r"(train|training|val|validation|test)[-_ ]?\d*$", re.I)
_MODALITIES = {"color": "color", "depth": "depth", "user": "mask", "skeleton": "skeleton"}
_ZIPS_LOOKED_AT = 10


@dataclass
class Recording:
    """The files of one recording, by part (`color`, `depth`, `user`, `skeleton`, `labels`, `data`)."""

    name: str
    place: Path  # the zip, or the folder of the files
    parts: dict[str, Resource] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """Contents of `_data.csv`; `n_frames` is None if unknown."""

    n_frames: int | None
    max_depth_mm: float


def matches(root: Path) -> bool:
    """Returns True if `root` is or contains a recording of this layout. Searches three folders deep."""
    if root.is_file():
        return root.suffix.lower() == ".zip" and _zip_has_recording(root)
    zips = 0
    for path in walk(root, depth=4):
        if _OWN_NAMES.match(path.name):
            return True
        if path.suffix.lower() == ".zip" and zips < _ZIPS_LOOKED_AT:
            zips += 1
            if _zip_has_recording(path):
                return True
    return False


def read(root: Path) -> Listing:
    """Returns one sample per labeled gesture of all recordings under `root`, in the order of the recordings' names.

    A recording without labels is one unlabeled sample. `root` may be a single recording (folder or zip).
    """
    problems: list[Problem] = []
    recordings = _find_recordings(root, problems)
    single = len(recordings) == 1 and recordings[0].place == root
    folder = root.parent if single else root
    subjects = _read_subjects(folder, {r.name for r in recordings}, problems)
    names = [r.name for r in recordings]
    samples: list[Sample] = []
    used: Counter[str] = Counter()
    for recording in recordings:
        shown = recording.name if names.count(recording.name) == 1 else _place_name(root, recording)
        used[shown] += 1
        if used[shown] > 1:
            shown = f"{shown}#{used[shown]}"
        split = None if single else _split_of(recording.place.relative_to(root))
        subject = subjects.get(recording.name)
        samples += _read_recording(recording, shown, subject, split, single, problems)
    return Listing(root, LAYOUT, tuple(samples), tuple(problems))


def _place_name(root: Path, recording: Recording) -> str:
    """Returns a recording's name by its path: its own folder or zip, or its name within a shared folder."""
    place = recording.place.relative_to(root)
    if recording.place.is_file():
        return place.with_suffix("").as_posix() if place.name else recording.name
    return (place if place.name == recording.name else place / recording.name).as_posix()


def parse_data(text: str) -> Facts:
    """Parses a `_data.csv`: `n_frames,fps,max_depth_mm`. Raises ValueError with the reason if it is invalid."""
    rows = table(text)
    if not rows:
        raise ValueError("is empty")
    cells = [cell for cell in rows[0][1] if cell]
    if len(cells) < 3:
        raise ValueError(f"has {len(cells)} values, expected n_frames,fps,max_depth_mm")
    try:
        n_frames, max_depth_mm = int(float(cells[0])), float(cells[2])
    except (ValueError, OverflowError):
        raise ValueError(f"has {','.join(cells[:3])!r}, expected three numbers n_frames,fps,max_depth_mm") from None
    if n_frames < 1 or not 0 < max_depth_mm < float("inf"):
        raise ValueError(f"has {n_frames} frames and a largest depth of {max_depth_mm:g} mm; both must be positive")
    return Facts(n_frames, max_depth_mm)


def stated_facts(sample: Sample) -> Facts | None:
    """Returns the contents of the `_data.csv` next to a sample's videos, or None if it is missing or invalid."""
    video = sample.color or sample.depth
    match = _PART_NAMES.match(video.name) if video is not None else None
    if video is None or match is None:
        return None
    name = f"{match['name']}{PARTS['data']}"
    if video.member is None:
        file = Resource(video.path.with_name(name))
    else:
        file = Resource(video.path, str(PurePosixPath(video.member).with_name(name)))
    try:
        return parse_data(decode_text(file.read(MAX_TEXT_BYTES), str(file)))
    except (GestaError, ValueError):
        return None


def parse_labels(text: str, n_frames: int | None) -> tuple[list[tuple[str, int, int]], list[tuple[str, str]]]:
    """Parses a `_labels.csv`: ([(gesture, first, last)] 0-based inclusive, sorted by time, [(kind, reason)] rejected).

    A row is rejected if it is not three integers, its id is not 1 to 20, its span ends before it starts or lies
    outside the `n_frames` of the recording, or it overlaps the previous row by more than half of the shorter span.
    """
    spans: list[tuple[str, int, int]] = []
    refused: list[tuple[str, str]] = []
    rows: list[tuple[int, int, int, int]] = []
    for line, cells in table(text, lambda line, reason: refused.append(("bad-label-row", f"line {line}: {reason}"))):
        values = _whole_numbers([cell for cell in cells if cell])
        if values is None:
            refused.append(("bad-label-row", f"line {line} is {','.join(cells)!r}, expected gesture_id,first,last"))
            continue
        rows.append((values[1], values[2], values[0], line))
    for first, last, gesture, line in sorted(rows):
        row = f"line {line} ({gesture},{first},{last})"
        if not 1 <= gesture <= len(CHALEARN_GESTURES):
            refused.append(("unknown-gesture", f"{row}: gesture id {gesture} is not in 1 to {len(CHALEARN_GESTURES)}"))
        elif last < first:
            refused.append(("bad-label-row", f"{row}: ends before it starts"))
        elif first < 1 or (n_frames is not None and last > n_frames):
            end = "" if n_frames is None else f" to {n_frames}"
            refused.append(("label-outside-video", f"{row}: lies outside the recording's frames 1{end}"))
        elif spans and _shared(spans[-1], first - 1, last - 1) > 0.5:
            refused.append(("overlapping-labels", f"{row}: overlaps the gesture before it, {spans[-1][0]}"))
        else:
            spans.append((CHALEARN_GESTURES[gesture - 1], first - 1, last - 1))
    return spans, refused


def _whole_numbers(cells: list[str]) -> tuple[int, int, int] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    if len(values) != 3 or not all(value.is_integer() for value in values):
        return None
    return int(values[0]), int(values[1]), int(values[2])


def _shared(span: tuple[str, int, int], first: int, last: int) -> float:
    """Returns the overlap of two spans as a fraction of the shorter one."""
    common = min(span[2], last) - max(span[1], first) + 1
    return max(common, 0) / min(span[2] - span[1] + 1, last - first + 1)


def _zip_has_recording(path: Path) -> bool:
    try:
        with open_zip(path) as archive:
            return any(_OWN_NAMES.match(PurePosixPath(name).name) for name in archive.namelist())
    except ValueError:
        return False


def _find_recordings(root: Path, problems: list[Problem]) -> list[Recording]:
    """Returns recordings sorted by name; if one exists both as a zip and as a folder, the folder is used."""
    found: dict[tuple[Path, str, str], Recording] = {}
    for path in [root] if root.is_file() else walk(root):
        if path.suffix.lower() == ".zip":
            for member in _zip_members(path, problems):
                _add(found, (path, str(PurePosixPath(member).parent)), path, Resource(path, member))
        else:
            _add(found, (path.parent, ""), path.parent, Resource(path))
    folders = {(r.place.parent, r.name) for r in found.values() if r.place.is_dir()}
    kept = []
    for recording in found.values():
        if recording.place.is_file() and (recording.place.parent, recording.name) in folders:
            reason = f"{recording.name} exists twice, as a zip and as a folder; the folder is used."
            problems.append(Problem(str(recording.place), "recording-twice", reason, "Delete one of the two."))
        else:
            kept.append(recording)
    return sorted(kept, key=lambda r: (r.name, r.place))


def _add(found: dict[tuple[Path, str, str], Recording], key: tuple[Path, str], place: Path, file: Resource) -> None:
    match = _PART_NAMES.match(file.name)
    if match:
        name, part = match["name"], match["part"].split(".")[0].lower()
        found.setdefault((*key, name), Recording(name, place)).parts[part] = file


def _zip_members(path: Path, problems: list[Problem]) -> Iterator[str]:
    try:
        with open_zip(path) as archive:
            names = sorted(n for n in archive.namelist() if not any(map(is_hidden, PurePosixPath(n).parts)))
    except ValueError as error:
        hint = "Copy or download it again."
        problems.append(Problem(str(path), "unreadable", f"cannot be opened as a zip archive ({error}).", hint))
        return
    if any(name.lower().endswith(".zip") for name in names):
        reason = "contains more zip archives, which are not read."
        problems.append(Problem(str(path), "zip-in-zip", reason, "Unpack it once, so that a zip is one recording."))
    yield from names


def _split_of(relative: Path) -> Split | None:
    for part in relative.parts:
        match = _SPLIT_FOLDER.match(part)
        if match:
            return split_name(match[1])
    return None


def _read_subjects(folder: Path, recordings: set[str], problems: list[Problem]) -> dict[str, str]:
    path = folder / SUBJECTS_FILE
    if not path.is_file():
        return {}
    subjects: dict[str, str] = {}
    for line, cells in read_table(path):
        if [cell.lower() for cell in cells[:2]] == ["recording", "subject"]:
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            reason = f"line {line} is {','.join(cells)!r}, expected recording,subject."
            problems.append(Problem(str(path), "bad-subject-row", reason, "Correct the row."))
            continue
        subjects[cells[0]] = cells[1]
    missing = sorted(recordings - set(subjects))
    if missing and len(recordings) > 1:
        reason = f"has no person for {counted(len(missing), 'recording')}, e.g. {missing[0]}."
        problems.append(Problem(str(path), "subject-missing", reason, "Add a row recording,subject for each."))
    return subjects


def _read_recording(
    recording: Recording, shown: str, subject: str | None, split: Split | None, single: bool, problems: list[Problem]
) -> list[Sample]:
    where = f"{recording.place}" if recording.name in recording.place.name else f"{recording.place}: {recording.name}"
    facts = _read_facts(recording, where, problems)
    files: dict[str, Resource] = {}
    for part, modality in _MODALITIES.items():
        if part in recording.parts:
            files[modality] = recording.parts[part]
        else:
            reason = f"has no {recording.name}{PARTS[part]}."
            hint = f"Put the file back, or continue without {modality}."
            problems.append(Problem(where, "missing-modality", reason, hint))
    if "color" not in files and "depth" not in files:
        reason = "has neither a color nor a depth video and is skipped."
        problems.append(Problem(where, "no-video", reason, "Put the videos back."))
        return []
    spans = _read_spans(recording, facts.n_frames, where, quiet=single or split == "test", problems=problems)
    base = Sample(
        id=shown,
        recording=shown,
        color=files.get("color"),
        depth=files.get("depth"),
        mask=files.get("mask"),
        skeleton=files.get("skeleton"),
        subject=subject,
        split=split,
        depth_unit_mm=facts.max_depth_mm / 255,
    )
    return [base] if spans is None else list(_cut(base, spans))


def _cut(base: Sample, spans: list[tuple[str, int, int]]) -> Iterator[Sample]:
    for number, (label, first, last) in enumerate(spans, start=1):
        yield replace(base, id=f"{base.id}/{number:02d}", label=label, first_frame=first, last_frame=last)


def _read_facts(recording: Recording, where: str, problems: list[Problem]) -> Facts:
    assumed = f"The largest depth is assumed to be {ASSUMED_MAX_DEPTH_MM:g} mm."
    file = recording.parts.get("data")
    if file is None:
        problems.append(Problem(where, "missing-data-csv", f"has no {recording.name}{PARTS['data']}.", assumed))
        return Facts(None, ASSUMED_MAX_DEPTH_MM)
    try:
        return parse_data(decode_text(file.read(MAX_TEXT_BYTES), str(file)))
    except ValueError as error:
        problems.append(Problem(str(file), "bad-data-csv", f"{error}.", assumed))
    except GestaError as error:
        problems.append(Problem(str(file), "unreadable", str(error), assumed))
    return Facts(None, ASSUMED_MAX_DEPTH_MM)


def _read_spans(
    recording: Recording, n_frames: int | None, where: str, *, quiet: bool, problems: list[Problem]
) -> list[tuple[str, int, int]] | None:
    """Returns the labeled spans, or None if the recording has no labels."""
    file = recording.parts.get("labels")
    whole = "It is used as one recording without a label."
    if file is None:
        if not quiet:
            problems.append(Problem(where, "no-labels", f"has no {recording.name}{PARTS['labels']}.", whole))
        return None
    try:
        text = decode_text(file.read(MAX_TEXT_BYTES), str(file))
    except GestaError as error:
        problems.append(Problem(str(file), "unreadable", str(error), whole))
        return None
    spans, refused = parse_labels(text, n_frames)
    for kind, reason in refused:
        problems.append(Problem(str(file), kind, f"{reason}; the row is skipped.", "Correct the row."))
    if not spans and not refused:
        problems.append(Problem(str(file), "no-labels", "contains no rows.", whole))
        return None
    return spans
