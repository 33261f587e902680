"""Long skeleton recordings with labels for spans or for every frame: training data for gesture spotting.

    sfinge3d        labels.csv (sequence,label,first_frame,last_frame; from 0, inclusive) and the sequences it lists;
                    optionally dictionary.csv (path,label), files of one gesture each, and joints.txt
    frame_labels    index.csv (path, optionally subject,split) of csv files: one row per frame, columns of landmarks,
                    and `gesture`, the class; optionally classes.csv (id,label)
    any other       spans of recordings with skeletons: ChaLearn 2014, an index.csv with start_s,end_s

Frames with a class in NONE are not gestures. If a set has no frame rate, FPS is assumed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gesta.clips import skeleton_files
from gesta.clips.decode import frame_rate
from gesta.metrics_events import runs
from gesta.schema import GestaError, Listing, Problem, Resource, Sample, Split, grouped
from gesta.sources import catalog
from gesta.sources.files import inside, is_there, read_text, split_name
from gesta.sources.tables import read_table, surplus, table

NONE = ("none", "standby", "nothing", "no_gesture", "rest", "idle", "background")
FPS = 30.0
WHOLE = 10**9
"""Last frame of a span that ends with its recording."""
SPANS = ("sequence", "label", "first_frame", "last_frame")
GESTURES = ("gesture", "label", "class")
SFINGE3D, FRAME_LABELS = "sfinge3d", "frame_labels"


class Span(NamedTuple):
    """One gesture of a recording; frames are 0-based and inclusive."""

    label: str
    first: int
    last: int


@dataclass(frozen=True)
class Recording:
    """One skeleton file and the gestures in it, without the joint positions.

    `joints`: their names, if the file has none. `isolated`: the whole file is one gesture, used only for training.
    `label`: None if the contents are unknown (then `spans` is empty), else "labeled".
    """

    id: str
    skeleton: Resource
    fps: float
    spans: tuple[Span, ...] = ()
    joints: tuple[str, ...] | None = None
    subject: str | None = None
    split: Split | None = None
    label: str | None = "labeled"
    isolated: bool = False

    @property
    def recording(self) -> str:
        return self.id

    @property
    def files(self) -> tuple[Resource, ...]:
        return (self.skeleton,)


def detect(root: Path) -> str | None:
    """Returns the layout of a folder if it is one of the two skeleton-only layouts, else None. Never raises."""
    try:
        if (root / "labels.csv").is_file() and _columns(root / "labels.csv", SPANS):
            return SFINGE3D
        if (root / "index.csv").is_file() and _first_frames(root):
            return FRAME_LABELS
    except (OSError, GestaError):
        pass
    return None


def read(root: Path, layout: str | None = None) -> Listing:
    """Reads the recordings in a folder or one skeleton file. Raises GestaError if there are none."""
    found = layout or detect(root)
    if found in READERS:
        listing = READERS[found](root)
    elif layout is None and root.is_file() and root.suffix.lower() in skeleton_files.READERS:
        listing = Listing(root, "skeletons", (Recording(root.name, Resource(root), FPS, label=None),))
    else:
        listing = _of_samples(catalog.read(root, layout))
    if not listing.samples:
        why = " ".join(str(problem) for problem in listing.problems[:3])
        raise GestaError(f"{root}: contains no skeleton recordings. {why or 'Give skeleton files.'}")
    return listing


def _sfinge3d(root: Path) -> Listing:
    joints = _joints(root)
    rows, problems = _rows(root / "labels.csv", SPANS)
    spans: dict[str, list[Span]] = defaultdict(list)
    for line, row in rows:
        first, last = row["first_frame"], row["last_frame"]
        if _is_frame(first) and _is_frame(last) and int(first) <= int(last):
            spans[row["sequence"]].append(Span(row["label"], int(first), int(last)))
        else:
            problems.append(_bad(root / "labels.csv", line, f"frames {first[:20]} to {last[:20]} are not a span"))
    sequences = [
        Recording(
            name, Resource(inside(root, name, "labels.csv")), skeleton_files.SFINGE3D_FPS, _in_order(found), joints
        )
        for name, found in spans.items()
    ]
    return _there(Listing(root, SFINGE3D, (*sequences, *_dictionary(root, joints, problems)), tuple(problems)))


def _dictionary(root: Path, joints: tuple[str, ...] | None, problems: list[Problem]) -> list[Recording]:
    """Returns the files with one gesture each."""
    file = root / "dictionary.csv"
    if not file.is_file():
        return []
    rows, refused = _rows(file, ("path", "label"))
    problems += refused
    return [
        Recording(
            row["path"],
            Resource(inside(root, row["path"], "dictionary.csv")),
            skeleton_files.SFINGE3D_FPS,
            (Span(row["label"], 0, WHOLE),),
            joints,
            split="train",
            isolated=True,
        )
        for _, row in rows
    ]


def _frame_labels(root: Path) -> Listing:
    rows, problems = _rows(root / "index.csv", ("path",))
    classes = read_table(root / "classes.csv") if (root / "classes.csv").is_file() else []
    names = {cells[0]: cells[1] for _, cells in classes if len(cells) > 1}
    recordings = []
    for line, row in rows:
        path = inside(root, row["path"], "index.csv")
        if not is_there(path):
            problems.append(_bad(root / "index.csv", line, f"{row['path']} is not there"))
            continue
        try:
            spans = _spans_of_frames(path, names)
        except GestaError as error:
            problems.append(Problem(str(path), "unreadable", str(error), "The recording is skipped; correct the file."))
            continue
        subject, split = row.get("subject") or None, split_name(row.get("split", ""))
        recordings.append(Recording(row["path"], Resource(path), FPS, spans, None, subject, split))
    return Listing(root, FRAME_LABELS, tuple(recordings), tuple(problems))


def _spans_of_frames(path: Path, names: Mapping[str, str]) -> tuple[Span, ...]:
    rows = read_table(path)
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    column = next((header.index(name) for name in GESTURES if name in header), None)
    if column is None:
        raise GestaError(f"{path}: has no column {' or '.join(GESTURES)} with each frame's class.")
    labels = [cells[column] if column < len(cells) else "" for _, cells in rows[1:]]
    labels = [names.get(label, label) for label in labels]
    classes = sorted(set(labels))
    frames = np.array([classes.index(label) for label in labels], np.int64)
    found = [Span(classes[index], first, last) for index, first, last in runs(frames)]
    return tuple(span for span in found if span.label and span.label.lower() not in NONE)


def _of_samples(listing: Listing) -> Listing:
    """Groups the spans of samples by recording, if they have a skeleton."""
    problems, recordings = list(listing.problems), []
    for name, samples in grouped((sample.recording, sample) for sample in listing.samples).items():
        if samples[0].skeleton is None:
            problems.append(Problem(str(samples[0].files[0]), "no-skeleton", "has no skeleton.", "It is skipped."))
            continue
        recordings.append(_recording(name, samples))
    return replace(listing, samples=tuple(recordings), problems=tuple(problems))


def _recording(name: str, samples: Sequence[Sample]) -> Recording:
    one = samples[0]
    assert one.skeleton is not None
    video = one.color or one.depth
    fps = (None if video is None else frame_rate(video)) or FPS
    known = [s for s in samples if s.label is not None]
    spans = tuple(_span(s, fps) for s in known if s.label is not None and s.label.lower() not in NONE)
    joints = one.joints if one.skeleton.name.lower().endswith(".npy") else None
    label = "labeled" if known else None
    return Recording(name, one.skeleton, fps, _in_order(spans), joints, one.subject, one.split, label)


def _span(sample: Sample, fps: float) -> Span:
    """Returns a sample's span in frames; without one, the whole recording."""
    if sample.first_frame is not None and sample.last_frame is not None:
        return Span(str(sample.label), sample.first_frame, sample.last_frame)
    last = WHOLE if sample.end_s is None else max(round(sample.end_s * fps) - 1, 0)
    return Span(str(sample.label), round((sample.start_s or 0) * fps), last)


def _in_order(spans: Sequence[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: span.first))


def _there(listing: Listing) -> Listing:
    """Returns the listing without recordings whose file is missing."""
    missing = [r for r in listing.samples if not is_there(r.skeleton.path)]
    problems = [Problem(str(r.skeleton), "missing-file", "is not there.", "Put the file back.") for r in missing]
    kept = tuple(r for r in listing.samples if r not in missing)
    return replace(listing, samples=kept, problems=(*listing.problems, *problems))


def _joints(root: Path) -> tuple[str, ...] | None:
    file = root / "joints.txt"
    return tuple(read_text(file).split()) if file.is_file() else None


def _rows(path: Path, columns: Sequence[str]) -> tuple[list[tuple[int, dict[str, str]]], list[Problem]]:
    """Returns (line, cells by column) of a table whose first column names files. Raises GestaError if a column is
    missing."""
    problems: list[Problem] = []
    rows = table(read_text(path), lambda line, reason: problems.append(_bad(path, line, reason)))
    header = [cell.strip('"').lower() for cell in rows[0][1]] if rows else []
    missing = [name for name in columns if name not in header]
    if missing:
        raise GestaError(f"{path}: has no column {', '.join(missing)}; it has {', '.join(header)[:200] or 'nothing'}.")
    found = []
    for line, cells in rows[1:]:
        row = dict(zip(header, cells, strict=False))
        if reason := surplus(header, cells):
            problems.append(_bad(path, line, reason))
            continue
        if not all(row.get(name) for name in columns):
            problems.append(_bad(path, line, f"expected {','.join(columns)}, found {','.join(cells)[:200]}"))
            continue
        try:
            inside(path.parent, row[columns[0]], "it")
            found.append((line, row))
        except GestaError:
            problems.append(_bad(path, line, f"{row[columns[0]][:200]} is outside the folder {path.parent}"))
    return found, problems


def _is_frame(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < len(str(WHOLE))


def _columns(path: Path, columns: Sequence[str]) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        header = [cell.strip().lower() for cell in stream.readline(10_000).split(",")]
    return set(columns) <= set(header)


def _first_frames(root: Path) -> bool:
    """Returns whether the first file of an index.csv is a table of frames with class and landmarks."""
    with (root / "index.csv").open(encoding="utf-8-sig", errors="replace") as stream:
        header = [cell.strip().lower() for cell in stream.readline(10_000).split(",")]
        row = stream.readline(10_000).strip().split(",")
    if "path" not in header or len(row) <= header.index("path"):
        return False
    path = inside(root, row[header.index("path")], "index.csv")
    if path.suffix.lower() != ".csv" or not is_there(path):
        return False
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        names = [cell.strip().lower() for cell in stream.readline(10_000).split(",")]
    return any(name in names for name in GESTURES) and sum(name.endswith("_x") for name in names) > 1


def _bad(path: Path, line: int, reason: str) -> Problem:
    return Problem(str(path), "bad-row", f"line {line}: {reason}.", "The row is skipped; correct it.")


READERS: dict[str, Callable[[Path], Listing]] = {SFINGE3D: _sfinge3d, FRAME_LABELS: _frame_labels}
