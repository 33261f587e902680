"""A folder with an `index.csv`: columns `path,label`, and optionally
`subject,split,depth,mask,skeleton,depth_unit_mm,start_s,end_s`. Common aliases of the first four columns are
accepted, as are the csv variants that spreadsheets write (see `tables`).

Paths are relative to the file and must stay inside its folder; other columns are ignored. Several rows may refer to
one long recording with different spans. `path` may itself be a depth video (9- to 16-bit gray) or a folder of 16-bit
PNGs; then there is no color. `#track=1` or `#track=NAME` after a path selects one of several video tracks. Skeletons
are ChaLearn's csv, or `.npy` float T J 3 in world meters with `joints.txt` (names in order) and `camera.yaml` (fx, fy,
cx, cy, optionally depth_unit_mm) next to the index. `path` may itself be a skeleton file (see `clips.skeleton_files`):
then there is no video, and a column `fps` gives the frame rate if the file does not.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gesta.clips.skeleton_files import RATES_FPS
from gesta.schema import KINECT_JOINTS, TRACK, Camera, GestaError, Listing, Problem, Resource, Sample
from gesta.sources.files import read_text, read_yaml, split_name
from gesta.sources.headers import holds_depth, joint_count, tracks_of
from gesta.sources.index_paths import Finder as Paths
from gesta.sources.skeletons import SUFFIXES, Finder, joints_in
from gesta.sources.tables import surplus, table

LAYOUT = "index_csv"
INDEX_FILE = "index.csv"
TABLE_SUFFIXES = (".csv", ".tsv")
COLUMNS = {
    "path": "path file filename file_name file_path filepath video video_path video_name video_file videoname clip "
    "clip_path clip_name video_filename relative_path rel_path clip_id video_id sample sample_path media folder name",
    "label": "label labels class class_name class_label classname category gesture sign action activity gloss word "
    "label_name gesture_name gesture_label sign_name action_name category_name class_id label_id gesture_id target",
    "subject": "subject subject_id person person_id participant participant_id signer signer_id user user_id actor "
    "performer speaker actor_id performer_id person_name user_name personid userid",
    "split": "split subset partition part set",
}
"""Column -> accepted names, the likeliest first."""
_LIKE_SPANS = re.compile(
    r"(start|end|begin|stop|first|last|from|to|onset|offset|duration)"
    r"(_(s|sec|seconds|ms|time|frame|frames|msec|milliseconds))?|fps|frames?"
)
SELDOM_DEPTH = (".mp4", ".webm")


_PLAIN = ("depth", "mask", "skeleton", "depth_unit_mm", "start_s", "end_s", "fps")
_MEND = "The row is skipped; correct it."


class RowError(Exception):
    """A row that cannot be used, with the kind of problem and the reason."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass
class Folder:
    """State shared by all rows. `depth_seen` and `joints_seen` cache what file headers say, per kind of file."""

    root: Path
    index: Path
    finder: Paths
    joints: tuple[str, ...] | None = None
    camera: Camera | None = None
    depth_unit_mm: float = 1.0
    npy_refused: str | None = None
    depth_seen: dict[tuple[str, str], bool] = field(default_factory=dict)
    joints_seen: dict[str, int | None] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    skeletons: Finder | None = None

    def report(self, line: int, kind: str, reason: str, hint: str) -> None:
        self.problems.append(Problem(str(self.index), kind, f"line {line}: {reason}", hint))


def matches(root: Path) -> bool:
    """Returns True if `root` is a table or contains an `index.csv`, readable or not: then folders are not labels."""
    return _index(root) is not None


def read(root: Path) -> Listing:
    """Returns one sample per row, in order; rows that cannot be used become problems.

    Raises GestaError if there is no index, it is not text, or it has no column of video paths.
    """
    index = _index(root)
    if index is None:
        raise GestaError(f"{root}: has no {INDEX_FILE}. Write one with the columns path,label and one row per video.")
    folder = Folder(index.parent, index, Paths(index.parent))
    rows = table(read_text(index), lambda line, reason: folder.report(line, "bad-row", f"{reason}.", _MEND))
    columns = _columns(folder, rows[0][1] if rows else [])
    _read_camera(folder)
    folder.skeletons = Finder(folder.joints or ())
    if "label" not in columns:
        folder.report(1, "no-labels", "there is no column label.", "Add one to train or evaluate on these videos.")
    samples: dict[tuple[Any, ...], Sample] = {}
    for line, cells in rows[1:]:
        row = {name: cell for name, cell in zip(columns, cells, strict=False) if name}
        try:
            if reason := surplus(columns, cells):
                raise RowError("bad-row", f"{reason}.")
            sample = _sample(folder, line, row)
            span = sample.recording, sample.start_s, sample.end_s
            if span in samples:
                raise RowError("row-twice", f"{sample.id} already exists with label {samples[span].label}.")
            samples[span] = sample
        except RowError as error:
            folder.report(line, error.kind, str(error), _MEND)
    return Listing(root, LAYOUT, tuple(samples.values()), tuple(folder.problems))


def _index(root: Path) -> Path | None:
    """Returns the table: `root` itself, or its index.csv (or .tsv), ignoring case."""
    if root.is_file():
        return root if root.suffix.lower() in TABLE_SUFFIXES else None
    if not root.is_dir():
        return None
    names = {f"index{suffix}" for suffix in TABLE_SUFFIXES}
    found = sorted(path for path in root.iterdir() if path.name.lower() in names and not path.is_dir())
    return min(found, key=lambda path: path.name != INDEX_FILE, default=None)


def _columns(folder: Folder, header: list[str]) -> list[str]:
    """Returns our name of each column, "" for ignored ones. Raises GestaError if no column contains video paths."""
    given = [re.sub(r"[\s-]+", "_", cell.strip().strip('"').lower()) for cell in header]
    chosen = {
        name: next((i for alias in aliases.split() for i in range(len(given)) if given[i] == alias), None)
        for name, aliases in COLUMNS.items()
    }
    ours = [name if name in _PLAIN else "" for name in given]
    for name, place in chosen.items():
        if place is not None:
            ours[place] = name
    if chosen["path"] is None:
        found = ", ".join(cell for cell in header if cell)[:200] or "nothing"
        raise GestaError(
            f"{folder.index}: expected a first line with the columns path,label, found {found}. Rename the columns; "
            "or, if this table is not meant for gesta, rename the file or give another --format."
        )
    unread = [cell for cell, name in zip(given, ours, strict=True) if not name and _LIKE_SPANS.fullmatch(cell)]
    if unread:
        reason = f"not read: column {', '.join(unread)}."
        folder.report(
            1,
            "column-not-read",
            reason,
            "Spans are read from start_s and end_s, in seconds; rename or convert the column.",
        )
    return ours


def _sample(folder: Folder, line: int, row: dict[str, str]) -> Sample:
    name = row.get("path", "")
    if not name:
        raise RowError("missing-file", "the path is empty.")
    resource = _resource(folder, name)
    if resource is None:
        raise RowError("missing-file", f"{name} is not there.")
    path = resource.path
    if path.suffix.lower() in SUFFIXES:
        return _of_skeleton(folder, row, resource)
    depth = _optional(folder, line, row, "depth")
    color: Resource | None = resource
    if depth == resource and sum(tracks := tracks_of(path)) == 1 < len(tracks):  # a Kinect recording: both in one file
        depth = replace(depth, track=str(tracks.index(True)))
        if len(tracks) == 2:
            color = resource = replace(resource, track=str(tracks.index(False)))
    elif _is_depth(folder, resource):
        if depth is not None and depth.path != path:
            raise RowError("two-depths", f"{name} is a depth video, and so is {row['depth']} in column depth.")
        color, depth = None, resource
    skeleton, joints, camera = _skeleton(folder, line, row)
    recording = path.relative_to(folder.root).as_posix()
    if TRACK in name:
        recording += f"{TRACK}{resource.track}"
    return Sample(
        color=color,
        depth=depth,
        mask=_optional(folder, line, row, "mask"),
        skeleton=skeleton,
        depth_unit_mm=_depth_unit(folder, row),
        joints=joints,
        camera=camera,
        **_known(row, recording),
    )


def _of_skeleton(folder: Folder, row: dict[str, str], resource: Resource) -> Sample:
    """Returns a recording with a skeleton file but no video. Raises RowError if the file is not one."""
    path, fps = resource.path, _number(row, "fps")
    if folder.skeletons is None or not folder.skeletons(path):
        raise RowError(
            "no-video",
            f"{row['path']} is not a video, and no skeleton can be read from it; a sample needs a video or a skeleton.",
        )
    if fps is not None and not RATES_FPS[0] <= fps <= RATES_FPS[1]:
        raise RowError("bad-number", f"fps is {fps:g}, expected {RATES_FPS[0]:g} to {RATES_FPS[1]:g}.")
    return Sample(
        skeleton=replace(resource, fps=fps),
        joints=joints_in(path, folder.joints or ()),
        **_known(row, path.relative_to(folder.root).as_posix()),
    )


def _known(row: dict[str, str], recording: str) -> dict[str, Any]:
    """Returns the fields of a sample other than its files. Raises RowError."""
    start_s, end_s = _span(row)
    span = "" if start_s is None and end_s is None else f"@{row.get('start_s') or '0'}-{row.get('end_s') or 'end'}"
    return {
        "id": recording + span,
        "recording": recording,
        "label": row.get("label") or None,
        "subject": row.get("subject") or None,
        "split": _split(row),
        "start_s": start_s,
        "end_s": end_s,
    }


def _existing(folder: Folder, name: str) -> Path | None:
    """Returns the file or folder named by a cell, or None if missing. Raises RowError if it leads out of the index's
    folder, or is a pipe or device."""
    relative = PurePosixPath(os.path.normpath(name.replace("\\", "/")))
    if relative.is_absolute() and relative.is_relative_to(folder.root.resolve()):
        relative = relative.relative_to(folder.root.resolve())
    if relative.is_absolute() or ".." in relative.parts or re.match(r"[A-Za-z]:", name):
        raise RowError("path-outside", f"{name} is outside the folder {folder.root}; paths are relative to the index.")
    path = folder.finder.find(relative)
    if path is not None and not path.is_file() and not path.is_dir():
        raise RowError("no-file", f"{name} is a pipe, socket or device, not a file; it is not opened.")
    return path


def _resource(folder: Folder, name: str) -> Resource | None:
    """Like `_existing`, with the track that may follow the path in `name`."""
    path = _existing(folder, name)
    if path is None and TRACK in name:
        base, _, track = name.rpartition(TRACK)
        path = _existing(folder, base)
        return None if path is None else Resource(path, track=track)
    return None if path is None else Resource(path)


def _optional(folder: Folder, line: int, row: dict[str, str], column: str) -> Resource | None:
    name = row.get(column, "")
    if not name:
        return None
    resource = _resource(folder, name)
    if resource is not None:
        return resource
    hint = f"Put the file back; the sample is used without {column}."
    folder.report(line, "missing-modality", f"{name} is not there.", hint)
    return None


def _is_depth(folder: Folder, resource: Resource) -> bool:
    """Returns whether a file is depth. Each header is read once; for mp4 and webm, rarely depth, once per folder."""
    path = resource.path
    if resource.track is not None:  # a track selected by title is checked when it is decoded
        tracks = tracks_of(path) if resource.track.isdecimal() else []
        return int(resource.track) < len(tracks) and tracks[int(resource.track)]
    key = (str(path.parent), path.suffix.lower() if path.suffix.lower() in SELDOM_DEPTH else path.name)
    if key not in folder.depth_seen:
        answer = holds_depth(path)
        if answer is None:  # unreadable: ask the next file of the kind
            return False
        folder.depth_seen[key] = answer
    return folder.depth_seen[key]


def _skeleton(folder: Folder, line: int, row: dict[str, str]) -> tuple[Resource | None, tuple[str, ...], Camera | None]:
    skeleton = _optional(folder, line, row, "skeleton")
    if skeleton is None:
        return None, KINECT_JOINTS, None
    suffix = skeleton.path.suffix.lower()
    if suffix == ".csv":
        return skeleton, KINECT_JOINTS, None
    if suffix in SUFFIXES and suffix != ".npy":
        return skeleton, (), None
    reason = f"skeleton files are {', '.join(SUFFIXES)}, not {suffix}" if suffix not in SUFFIXES else folder.npy_refused
    found: tuple[Resource | None, tuple[str, ...], Camera | None] = (None, KINECT_JOINTS, None)
    hint = "Correct it; until then the samples are used without skeletons."
    if suffix == ".npy" and folder.joints is not None:
        count = _joint_count(folder, skeleton.path)
        if count is None or count == len(folder.joints):
            found = skeleton, folder.joints, folder.camera
            hint = "Correct it to crop videos with skeletons; input.streams=[skeleton] works without it."
        else:
            reason = f"{row['skeleton']} has {count} joints, but joints.txt lists {len(folder.joints)}"
    if reason is not None and not any(reason in problem.reason for problem in folder.problems):
        folder.report(line, "bad-skeleton", f"{reason}.", hint)
    return found


def _joint_count(folder: Folder, path: Path) -> int | None:
    key = str(path.parent)
    if folder.joints_seen.get(key) is None:
        folder.joints_seen[key] = joint_count(path)
    return folder.joints_seen[key]


def _split(row: dict[str, str]) -> Any:
    text = row.get("split", "")
    if not text:
        return None
    split = split_name(text)
    if split is None:
        raise RowError("unknown-split", f"split {text!r} is unknown; use train, val or test, or leave it empty.")
    return split


def _number(row: dict[str, str], column: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RowError("bad-number", f"{column} is {text!r}, expected a number.")
    return value


def _span(row: dict[str, str]) -> tuple[float | None, float | None]:
    start_s, end_s = _number(row, "start_s"), _number(row, "end_s")
    if (start_s or 0.0) < 0 or (end_s is not None and end_s <= (start_s or 0.0)):
        raise RowError("bad-span", f"the span from {start_s or 0:g} s to {end_s} s is empty or starts before 0.")
    if start_s is None and end_s is not None:
        start_s = 0.0
    return start_s, end_s


def _depth_unit(folder: Folder, row: dict[str, str]) -> float:
    unit = _number(row, "depth_unit_mm")
    if unit is None:
        return folder.depth_unit_mm
    if unit <= 0:
        raise RowError("bad-number", f"depth_unit_mm is {unit:g}, expected more than 0.")
    return unit


def _joints(folder: Folder, path: Path) -> tuple[str, ...] | None:
    try:
        return tuple(line.strip() for line in read_text(path).splitlines() if line.strip())
    except GestaError as error:
        folder.npy_refused = "joints.txt next to the index cannot be read"
        folder.problems.append(Problem(str(path), "bad-joints", str(error), "Correct it to use .npy skeletons."))
        return None


def _read_camera(folder: Folder) -> None:
    """Fills in joints, camera and depth unit; sets `npy_refused` to the reason why `.npy` skeletons cannot be used."""
    joints_file, camera_file = folder.root / "joints.txt", folder.root / "camera.yaml"
    if joints_file.is_file():
        folder.joints = _joints(folder, joints_file)
    else:
        folder.npy_refused = "skeletons in .npy need joints.txt next to the index: the joint names in order"
    if not camera_file.is_file():
        folder.npy_refused = (
            folder.npy_refused or "skeletons in .npy need camera.yaml next to the index: fx, fy, cx, cy"
        )
        return
    try:
        values = read_yaml(camera_file)
        folder.camera = Camera(**{name: float(values[name]) for name in ("fx", "fy", "cx", "cy")})
        unit_mm = float(values.get("depth_unit_mm", 1.0))
        if not 0 < unit_mm < math.inf:
            raise ValueError(f"depth_unit_mm is {unit_mm:g}, expected more than 0")
        folder.depth_unit_mm = unit_mm
    except (GestaError, KeyError, TypeError, ValueError, OverflowError) as error:
        folder.camera = None
        folder.npy_refused = "camera.yaml next to the index cannot be read: expected the numbers fx, fy, cx, cy"
        reason = f"expected the numbers fx, fy, cx, cy and optionally depth_unit_mm ({type(error).__name__}: {error})."
        folder.problems.append(Problem(str(camera_file), "bad-camera", reason, "Correct it to use .npy skeletons."))
