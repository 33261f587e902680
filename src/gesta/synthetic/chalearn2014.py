"""Writes synthetic recordings in the layout of ChaLearn LAP 2014, track 3.

    OUT/gesta_synthetic.json                 version, preset, seed, people, size ...
    OUT/gesta_subjects.csv                   recording,subject
    OUT/Train1/Sample0001/Sample0001_color.mp4, _depth.mp4, _user.mp4, _skeleton.csv, _labels.csv, _data.csv
    OUT/Validation1/..., OUT/Test1/...       different people from Train

Recordings have 20 fps, like the original, or a divisor of it. With `zipped`, each recording is a `Sample0001.zip` with
the six files at its root.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gesta.files import csv_text
from gesta.schema import CHALEARN_GESTURES, GestaError
from gesta.synthetic import stamp
from gesta.synthetic.person import PRESETS
from gesta.synthetic.recording import FPS, Plan, write
from gesta.synthetic.workers import each

GENERATOR_VERSION = 3
"""Incremented when what is drawn or performed changes. Results of different versions are not comparable."""

_PER_FOLDER = 60


@dataclass(frozen=True)
class Task:
    """One recording to write: its name, the folder of its split, and its plan."""

    name: str
    folder: str
    plan: Plan


def split_people(people: int) -> list[str]:
    """Returns each person's split: about 5/9 Train, 2/9 Validation, 2/9 Test; at least one each for three or more."""
    if people < 3:
        return ["Train", "Test"][:people]
    held = max(1, round(people * 2 / 9))
    return ["Train"] * (people - 2 * held) + ["Validation"] * held + ["Test"] * held


def _gesture_orders(seed: int, recordings: int, count: int) -> list[tuple[int, ...]]:
    """Returns the gesture ids of each recording: a sequence of random permutations of all 20, cut into `count` each."""
    rng = np.random.default_rng([seed, 303])
    rounds = -(-recordings * count // len(CHALEARN_GESTURES))
    row = np.concatenate([rng.permutation(len(CHALEARN_GESTURES)) + 1 for _ in range(rounds)])
    return [tuple(int(g) for g in row[i * count : (i + 1) * count]) for i in range(recordings)]


def plan_tasks(
    people: int,
    recordings: int,
    size: tuple[int, int],
    seed: int,
    count: int,
    preset: str,
    test_recordings: int | None = None,
    fps: int = FPS,
) -> list[Task]:
    """Returns all recordings, numbered through the splits in order. Each person is in one split only."""
    splits = split_people(people)
    takes = [test_recordings or recordings if split == "Test" else recordings for split in splits]
    orders = _gesture_orders(seed, sum(takes), count)
    tasks: list[Task] = []
    in_split: dict[str, int] = {}
    for person, split in enumerate(splits):
        for take in range(takes[person]):
            nth = in_split.get(split, 0)
            in_split[split] = nth + 1
            plan = Plan(seed, person, take, orders[len(tasks)], size, preset, fps=fps)
            tasks.append(Task(f"Sample{len(tasks) + 1:04d}", f"{split}{nth // _PER_FOLDER + 1}", plan))
    return tasks


def _check(
    people: int, recordings: int, size: tuple[int, int], count: int, preset: str, test_recordings: int | None, fps: int
) -> None:
    counts = {"people": people, "recordings": recordings, "gestures_per_recording": count}
    for name, value in (*counts.items(), ("test_recordings", test_recordings)):
        if value is not None and value < 1:
            raise GestaError(f"{name} is {value}, expected at least 1.", usage=True)
    if min(size) < 64 or size[0] % 2 or size[1] % 2:
        raise GestaError(
            f"size is {size[0]}x{size[1]}, expected even sides of at least 64, such as 320x240.", usage=True
        )
    if fps < 1 or FPS % fps:
        raise GestaError(f"fps is {fps}, expected a divisor of {FPS}, such as 10.", usage=True)
    if preset not in PRESETS:
        raise GestaError(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}.", usage=True)


def _write_subjects(out: Path, tasks: list[Task]) -> None:
    rows = ((task.name, f"person{task.plan.person + 1:02d}") for task in tasks)
    stamp.write(out / "gesta_subjects.csv", csv_text([("recording", "subject"), *rows], "\r\n").encode())


def make_recording(out: Path, task: Task, zipped: bool) -> str:
    """Writes one recording under a temporary name, then renames it. Returns its name."""
    parent = out / task.folder
    parent.mkdir(parents=True, exist_ok=True)
    partial = parent / f".{task.name}.partial"
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir()
    write(task.plan, partial, task.name)
    if not zipped:
        partial.replace(parent / task.name)
        return task.name
    archive = parent / f".{task.name}.zip.partial"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for file in sorted(partial.iterdir()):
            target.write(file, file.name)
    archive.replace(parent / f"{task.name}.zip")
    shutil.rmtree(partial)
    return task.name


def make(
    out: Path,
    *,
    people: int = 27,
    recordings: int = 1,
    size: tuple[int, int] = (320, 240),
    seed: int = 0,
    gestures_per_recording: int = 20,
    zipped: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    preset: str = "standard",
    test_recordings: int | None = None,
    fps: int = FPS,
) -> list[str]:
    """Writes `people` x `recordings` recordings into `out`; returns their names in order.

    test_recordings: recordings of each person in the test part, if different.
    size: (width, height) in pixels. fps: 20 or a divisor of it; fewer frames are faster to generate.
    workers: processes, by default one per core; with 1, everything runs in this process.
    progress: called with (done, total) after each recording, first with the existing ones.
    A stopped run resumes: finished recordings with the same settings are kept.

    Raises GestaError for settings out of range and for a folder with recordings of other settings.
    """
    _check(people, recordings, size, gestures_per_recording, preset, test_recordings, fps)
    out = Path(out)
    settings: dict[str, object] = {
        "generator": "chalearn2014",
        "version": GENERATOR_VERSION,
        "preset": preset,
        "seed": seed,
        "people": people,
        "recordings": recordings,
        "gestures_per_recording": gestures_per_recording,
        "size": list(size),
        "zipped": zipped,
    }
    if test_recordings is not None:
        settings["test_recordings"] = test_recordings
    if fps != FPS:
        settings["fps"] = fps
    stamp.claim(out, settings)
    tasks = plan_tasks(people, recordings, size, seed, gestures_per_recording, preset, test_recordings, fps)
    _write_subjects(out, tasks)
    suffix = ".zip" if zipped else ""
    todo = [task for task in tasks if not (out / task.folder / f"{task.name}{suffix}").exists()]
    write_one = partial(make_recording, out, zipped=zipped)
    each(write_one, todo, [task.name for task in todo], workers, progress, before=len(tasks) - len(todo))
    return [task.name for task in tasks]
