"""Writes videos of synthetic people in the layouts of UCF-101, IsoGD and a dictionary of signs (LedaSila).

What is seen are the gestures of `gesta.synthetic.gestures`, alone or in pairs, not the actions of the real sets.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gesta.synthetic.chalearn2014 import split_people
from gesta.synthetic.isolated import GENERATOR_VERSION, Task, Word, check, vocabulary, write_all
from gesta.synthetic.recording import Plan
from gesta.synthetic.stamp import claim, write

Progress = Callable[[int, int], None] | None
Size = tuple[int, int]

_TEST_SHARE = 7 / 25
"""Of UCF-101's 25 groups seven are tested in each split."""
_PLACES = 4
"""Of a class of UCF-101's; the next class's begin two further on."""
_TAIL = 4
"""A sign of rank r (from 0) has 1 / (1 + r / _TAIL) as many videos as the first."""


def make_ucf101(
    out: Path,
    *,
    people: int = 10,
    recordings: int = 1,
    size: Size = (160, 120),
    seed: int = 0,
    classes: int = 20,
    workers: int | None = None,
    progress: Progress = None,
    preset: str = "standard",
) -> list[str]:
    """`people` groups with `recordings` clips of each class; three splits that test other groups each.

    As in UCF-101, the place says what it may be: a class has four places, two of them also the next one's.

    Returns the videos' names. A stopped run goes on where it was. Raises GestaError on settings out of range and on a
    folder that holds something else.
    """
    words = _start(out, "ucf101", people, recordings, size, seed, classes, preset)
    tasks, names, groups = [], [], []
    for number, word in enumerate(words):
        for person in range(people):
            for take in range(recordings):
                name = f"{word.name}/v_{word.name}_g{person + 1:02d}_c{take + 1:02d}.avi"
                place = 2 * number + int(np.random.default_rng([seed, number, person, take]).integers(_PLACES))
                plan = Plan(seed, person, number * recordings + take, word.gestures, size, preset, place)
                tasks.append(Task(plan, out / name))
                names.append((name, number + 1))
                groups.append(person)
    held = max(1, round(people * _TEST_SHARE))
    for split in range(3):
        test = {(split * held + i) % people for i in range(held)} if people > 1 else set()
        listed = list(zip(names, groups, strict=True))
        train_rows = [f"{name} {number}" for (name, number), group in listed if group not in test]
        _write_lines(out / f"trainlist{split + 1:02d}.txt", train_rows)
        _write_lines(out / f"testlist{split + 1:02d}.txt", [name for (name, _), group in listed if group in test])
    _write_lines(out / "classInd.txt", [f"{i + 1} {word.name}" for i, word in enumerate(words)])
    write_all(tasks, workers, progress)
    return [name for name, _ in names]


def make_isogd(
    out: Path,
    *,
    people: int = 9,
    recordings: int = 1,
    size: Size = (160, 120),
    seed: int = 0,
    classes: int = 20,
    workers: int | None = None,
    progress: Progress = None,
    preset: str = "standard",
) -> list[str]:
    """Colour and depth videos, `recordings` of each class a person; the parts have other people.

    Returns the colour videos' names. Stopping and errors as in `make_ucf101`.
    """
    words = _start(out, "isogd", people, recordings, size, seed, classes, preset)
    parts = [{"Train": "train", "Validation": "valid", "Test": "test"}[part] for part in split_people(people)]
    tasks: list[Task] = []
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for person, part in enumerate(parts):
        for number, word in enumerate(words):
            for take in range(recordings):
                folder, index = f"{part}/{person + 1:03d}", len(tasks) + 1
                color, depth = f"{folder}/M_{index:05d}.avi", f"{folder}/K_{index:05d}.avi"
                plan = Plan(seed, person, number * recordings + take, word.gestures, size, preset)
                tasks.append(Task(plan, out / color, out / depth))
                rows[part].append(f"{color} {depth} {number + 1}")
    for part, lines in rows.items():
        if lines:
            _write_lines(out / f"{part}_list.txt", lines)
    write_all(tasks, workers, progress)
    return [line.split()[0] for lines in rows.values() for line in lines]


def make_ledasila(
    out: Path,
    *,
    people: int = 6,
    recordings: int = 4,
    size: Size = (160, 120),
    seed: int = 0,
    classes: int = 40,
    workers: int | None = None,
    progress: Progress = None,
    preset: str = "standard",
) -> list[str]:
    """A long-tailed vocabulary: people x recordings videos of the most frequent sign, ever fewer of the others.

    Up to 151 signs are none of the classes of the other generators' first 249, so that transfer has something to move.
    Returns the videos' names. Stopping and errors as in `make_ucf101`.
    """
    words = _start(out, "ledasila", people, recordings, size, seed, classes, preset)
    rng = np.random.default_rng([seed, 606])
    tasks: list[Task] = []
    rows: list[tuple[str, str, str]] = []
    for rank, word in enumerate(words):
        count = max(1, round(people * recordings / (1 + rank / _TAIL)))
        performers = np.resize(rng.permutation(people), count)
        for take, person in enumerate(int(p) for p in performers):
            name = f"videos/{len(rows) + 1:05d}.mp4"
            tasks.append(Task(Plan(seed, person, 1000 * rank + take, word.gestures, size, preset), out / name))
            rows.append((name, word.name, f"person{person + 1:02d}"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("file", "sign", "person"), *rows])
    write(out / "signs.csv", text.getvalue().encode())
    write_all(tasks, workers, progress)
    return [name for name, _, _ in rows]


def _start(
    out: Path, generator: str, people: int, recordings: int, size: Size, seed: int, classes: int, preset: str
) -> list[Word]:
    """Checks the settings, claims the folder, and gives the classes."""
    check(people, recordings, size, preset)
    words = vocabulary(classes, rare=generator == "ledasila")
    claim(
        out,
        {
            "generator": generator,
            "version": GENERATOR_VERSION,
            "preset": preset,
            "seed": seed,
            "people": people,
            "recordings": recordings,
            "classes": classes,
            "size": list(size),
        },
    )
    return words


def _write_lines(path: Path, lines: list[str]) -> None:
    write(path, "".join(f"{line}\n" for line in lines).encode())
