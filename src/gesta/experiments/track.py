"""Tracking a data set: writes a folder of skeletons and links to videos, with an `index.csv` for `sources.index_csv`.

    TRACKED/index.csv      path,skeleton,mask,depth,label,subject,split,start_s,end_s,... one row per sample
    TRACKED/joints.txt, camera.yaml                  what the skeleton files mean
    TRACKED/skeletons/<recording>.npy, .npz          joints in pixels; all landmarks with times and confidence
    TRACKED/videos/<recording>                       links to the recordings (copies where links are not possible)

A recording whose `.npz` has the same key (video content, tracker) is finished, so an interrupted run resumes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.experiments.track_recording import CAMERA, Summary, content, finished, whole
from gesta.files import csv_text
from gesta.jobs.job import Job, key_of
from gesta.jobs.pool import outcomes, portions
from gesta.schema import GestaError, Listing, Problem, Resource, Sample
from gesta.trackers.joints import What, skeleton_names
from gesta.trackers.tracker import identity
from gesta.words import counted

COLUMNS = (
    *("path", "skeleton", "mask", "depth", "depth_unit_mm", "label", "subject", "split", "start_s", "end_s"),
    *("frame_count", "person_share", "hand_share"),
)
MOST_WORKERS = 2  # default number of processes: each takes about 0.3 GB
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recording:
    """One video with the samples it contains, and its name within the folder."""

    video: Resource
    name: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Tracked:
    """Result of a run: summaries by recording, number already finished before, and problems of skipped ones."""

    summaries: Mapping[str, Summary]
    resumed: int
    problems: tuple[Problem, ...]
    rows: int

    def to_json(self) -> dict[str, Any]:
        frames = sum(summary.frames for summary in self.summaries.values())
        return {
            "recordings": len(self.summaries),
            "resumed": self.resumed,
            "rows": self.rows,
            "frames": frames,
            "person_share": _share(sum(s.with_person for s in self.summaries.values()), frames),
            "hand_share": _share(sum(s.with_hand for s in self.summaries.values()), frames),
            "problems": [str(problem) for problem in self.problems],
        }


def track(
    listing: Listing,
    out: Path,
    settings: Mapping[str, Any],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Tracked:
    """Tracks every recording of a listing that has color and writes `out`; failures are reported as problems.

    `settings`: the arguments of `tracker.identity`, including `what`. Raises GestaError if a network is missing, `out`
    is the data folder itself, or nothing could be tracked.
    """
    if out.exists() and listing.root.exists() and out.resolve() == listing.root.resolve():
        raise GestaError(f"{out}: is the data folder itself. Choose another --out.", usage=True)
    sha256 = identity(**settings)  # reports missing networks before any work
    recordings, problems = group(listing)
    keys: dict[str, str] = {}
    for recording in recordings:
        try:
            text = f"{content(recording.video)}|{sha256}|{settings.get('mask', False)}"
            keys[recording.name] = hashlib.sha256(text.encode()).hexdigest()
        except (GestaError, OSError) as error:
            problems.append(_problem(recording.video, error))
    todo = [
        _arguments(recording, out, keys[recording.name], settings)
        for recording in recordings
        if recording.name in keys and not _is_finished(out, recording, keys[recording.name], bool(settings.get("mask")))
    ]
    resumed = len(keys) - len(todo)
    if progress is not None:
        progress(resumed, len(keys))
    done = resumed
    for count, found in _track_all(todo, workers):
        problems += found
        done += count
        if progress is not None:
            progress(done, len(keys))
    summaries, rows = _rows(out, recordings, keys, bool(settings.get("mask")))
    problems = [*listing.problems, *problems]
    if not rows:
        first = f" {counted(len(problems), 'problem')}, the first: {problems[0]}" if problems else ""
        raise GestaError(f"{listing.root}: nothing in it could be tracked.{first}")
    _write_index(out, rows, settings["what"])
    return Tracked(summaries, resumed, tuple(problems), len(rows))


def group(listing: Listing) -> tuple[list[Recording], list[Problem]]:
    """Returns recordings with color, in the order of the listing, and problems for samples without color."""
    found: dict[Resource, list[Sample]] = {}
    problems = []
    for sample in listing.samples:
        if sample.color is None:
            reason = "has no color video, which trackers need."
            problems.append(Problem(str(sample.files[0]), "no-color", reason))
        else:
            found.setdefault(sample.color, []).append(sample)
    names: dict[str, Resource] = {}
    recordings = []
    for video, samples in found.items():
        name = _free(_name(video, listing.root), names)
        names[name] = video
        recordings.append(Recording(video, name, tuple(samples)))
    return recordings, problems


def _name(video: Resource, root: Path) -> str:
    """Returns a relative path to name the recording: the video's path relative to `root`, else its file name."""
    base = root if root.is_dir() else root.parent
    path = video.path.relative_to(base) if video.path.is_relative_to(base) else Path(video.path.name)
    parts = [*path.parts, *(PurePosixPath(video.member).parts if video.member else ())]
    return "/".join(part for part in parts if part not in ("..", "/", "."))


def _free(name: str, taken: Mapping[str, Resource]) -> str:
    path, number = PurePosixPath(name), 2
    while name in taken:
        name = str(path.with_name(f"{path.stem}_{number}{path.suffix}"))
        number += 1
    return name


def _arguments(recording: Recording, out: Path, key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "video": recording.video,
        "stem": _stem(out, recording),
        "mask": out / _mask_name(recording) if settings.get("mask") else None,
        "key": key,
        "settings": dict(settings),
    }


def _is_finished(out: Path, recording: Recording, key: str, mask: bool) -> bool:
    there = not mask or (out / _mask_name(recording)).is_file()
    return there and finished(_stem(out, recording), key) is not None


def _stem(out: Path, recording: Recording) -> Path:
    return out / "skeletons" / recording.name


def _mask_name(recording: Recording) -> str:
    return f"masks/{recording.name}.mkv"


def _problem(video: Resource, error: Exception) -> Problem:
    return _named(video, type(error).__name__, str(error))


def _named(video: Resource, kind: str, text: str) -> Problem:
    """Creates a problem from the name and text of an exception."""
    if kind == "GestaError":
        return Problem(str(video), "unreadable", text.removeprefix(f"{video}: "))
    return Problem(str(video), "failed", f"tracking failed ({kind}: {text}).")


def _track_all(todo: Sequence[dict[str, Any]], workers: int | None) -> Iterator[tuple[int, list[Problem]]]:
    """Tracks recordings given by their arguments; yields (number of recordings just finished, problems)."""
    count = min(workers or min(os.cpu_count() or 1, MOST_WORKERS), len(todo))
    jobs = []
    for part in portions(todo):
        title, key = str(part[0]["video"].name), key_of("track", [one["key"] for one in part])
        jobs.append(Job(title, "gesta.experiments.track_recording:job", {"recordings": part}, key))
    for job, outcome in outcomes(jobs, count, inline=True):
        part = job.arguments["recordings"]
        if outcome.document is None:
            yield len(part), [_named(one["video"], outcome.kind, outcome.why) for one in part]
        else:
            failed = outcome.document["failed"].items()
            yield len(part), [_named(part[int(number)]["video"], *reason) for number, reason in failed]


# -- the folder -------------------------------------------------------------------------------------------------------


def _rows(
    out: Path, recordings: Sequence[Recording], keys: Mapping[str, str], mask: bool
) -> tuple[dict[str, Summary], list[dict[str, Any]]]:
    """Returns the summaries of finished recordings, and an index row for each of their samples."""
    summaries: dict[str, Summary] = {}
    rows: list[dict[str, Any]] = []
    for recording in recordings:
        stored = finished(_stem(out, recording), keys.get(recording.name, ""))
        if stored is None:
            continue
        summaries[recording.name], times_s = stored
        shared = {
            "path": _placed(recording.video, out, f"videos/{recording.name}"),
            "skeleton": f"skeletons/{recording.name}.npy",
            "frame_count": stored[0].frames,
            "person_share": _share(stored[0].with_person, stored[0].frames),
            "hand_share": _share(stored[0].with_hand, stored[0].frames),
        }
        for sample in recording.samples:
            own_mask = _mask_name(recording) if mask else _other(sample.mask, out, recording, "mask")
            rows.append({**shared, **_described(sample, out, recording, times_s), "mask": own_mask})
    return summaries, rows


def _described(sample: Sample, out: Path, recording: Recording, times_s: NDArray[np.float64]) -> dict[str, Any]:
    start_s, end_s = span_s(sample, times_s)
    return {
        "depth": _other(sample.depth, out, recording, "depth"),
        "depth_unit_mm": "" if sample.depth is None else sample.depth_unit_mm,
        "label": sample.label,
        "subject": sample.subject,
        "split": sample.split,
        "start_s": start_s,
        "end_s": end_s,
    }


def span_s(sample: Sample, times_s: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Returns the sample's span in seconds; spans given in frames begin and end halfway between frames."""
    first, last = sample.first_frame, sample.last_frame
    if first is None or last is None:
        return sample.start_s, sample.end_s
    if first >= len(times_s):  # out of range: the reader will reject it
        return float(times_s[-1]) + 1.0, None
    start_s = 0.0 if first == 0 else float(times_s[first - 1] + times_s[first]) / 2
    end_s = None if last + 1 >= len(times_s) else float(times_s[last] + times_s[last + 1]) / 2
    return round(start_s, 6), None if end_s is None else round(end_s, 6)


def _other(resource: Resource | None, out: Path, recording: Recording, what: str) -> str:
    """Returns the path of a recording's depth or mask within the folder; empty if it has none."""
    return "" if resource is None else _placed(resource, out, f"{what}/{recording.name}/{resource.name}")


def _placed(resource: Resource, out: Path, name: str) -> str:
    """Creates a link to the file at `name` (a copy for archive members or if links do not work); returns `name`."""
    target = out / name
    if target.exists():
        return name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # a broken link
    if resource.member is not None:
        data = resource.read()
        whole(target, lambda stream: stream.write(data))
        return name
    try:
        target.symlink_to(os.path.relpath(resource.path.resolve(), target.parent.resolve()))
    except OSError:
        if resource.path.is_dir():
            shutil.copytree(resource.path, target)
        else:
            shutil.copyfile(resource.path, target)
    return name


def _write_index(out: Path, rows: list[dict[str, Any]], what: What) -> None:
    """Writes joints.txt, camera.yaml and, last, index.csv."""
    camera = "".join(f"{name}: {value}\n" for name, value in CAMERA.items())
    note = "# Skeletons are in pixels: (u, -v, 1), seen by a camera of focal length 1 at (0, 0).\n"
    texts = {
        "joints.txt": "".join(f"{name}\n" for name in skeleton_names(what)),
        "camera.yaml": note + camera,
        "index.csv": csv_text([COLUMNS, *([row.get(name, "") for name in COLUMNS] for row in rows)]),
    }
    for name, text in texts.items():
        data = text.encode()
        whole(out / name, lambda file, data=data: file.write(data))


def _share(part: int, whole_count: int) -> float:
    return round(part / whole_count, 4) if whole_count else 0.0
