"""Writes videos of synthetic people in the layouts of UCF-101, IsoGD and a sign dictionary (LedaSila).

They show the gestures of `gesta.synthetic.gestures`, alone or in pairs, not the actions of the real sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gesta.files import csv_text
from gesta.synthetic.chalearn2014 import split_people
from gesta.synthetic.isolated import GENERATOR_VERSION, Task, Word, check, vocabulary, write_all
from gesta.synthetic.recording import Plan
from gesta.synthetic.stamp import claim, write

Size = tuple[int, int]

_TEST_SHARE = 7 / 25
"""Each split of UCF-101 tests seven of the 25 groups."""
_PLACES = 4
"""Places of each UCF-101 class; those of the next class begin two later."""
_TAIL = 4
"""The sign of rank r (from 0) has 1 / (1 + r / _TAIL) times as many videos as the first."""


@dataclass(frozen=True)
class Settings:
    """What to generate: `people`, `recordings` of each class per person, frames of `size`."""

    people: int = 10
    recordings: int = 1
    classes: int = 20
    size: Size = (160, 120)
    seed: int = 0
    preset: str = "standard"

    def plan(self, person: int, take: int, word: Word, place: int | None = None) -> Plan:
        """Returns the plan of a video of one person performing a word's gestures."""
        return Plan(self.seed, person, take, word.gestures, self.size, self.preset, place)


Written = tuple[list[Task], list[str]]
"""The videos to write, and their names in the set's own lists, which are already written."""


def make(
    generator: str,
    out: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> list[str]:
    """Generates one of SETS; `settings` override the set's defaults. Returns the names of the videos.

    A stopped run resumes. Raises GestaError for settings out of range and for a folder with other content.
    """
    write_set, usual = SETS[generator]
    wanted = replace(usual, **settings)
    check(wanted.people, wanted.recordings, wanted.size, wanted.preset)
    words = vocabulary(wanted.classes, rare=generator == "ledasila")
    claim(out, {"generator": generator, "version": GENERATOR_VERSION, **asdict(wanted), "size": list(wanted.size)})
    tasks, names = write_set(out, wanted, words)
    write_all(tasks, workers, progress)
    return names


def _ucf101(out: Path, wanted: Settings, words: Sequence[Word]) -> Written:
    """Plans `people` groups with `recordings` clips of each class, and three splits with different test groups.

    As in UCF-101, the place is a hint at the class: each class has four places and shares two with the next.
    """
    tasks, names, groups = [], [], []
    for number, word in enumerate(words):
        for person in range(wanted.people):
            for take in range(wanted.recordings):
                name = f"{word.name}/v_{word.name}_g{person + 1:02d}_c{take + 1:02d}.avi"
                place = 2 * number + int(np.random.default_rng([wanted.seed, number, person, take]).integers(_PLACES))
                plan = wanted.plan(person, number * wanted.recordings + take, word, place)
                tasks.append(Task(plan, out / name))
                names.append((name, number + 1))
                groups.append(person)
    held = max(1, round(wanted.people * _TEST_SHARE))
    for split in range(3):
        test = {(split * held + i) % wanted.people for i in range(held)} if wanted.people > 1 else set()
        listed = list(zip(names, groups, strict=True))
        train_rows = [f"{name} {number}" for (name, number), group in listed if group not in test]
        _write_lines(out / f"trainlist{split + 1:02d}.txt", train_rows)
        _write_lines(out / f"testlist{split + 1:02d}.txt", [name for (name, _), group in listed if group in test])
    _write_lines(out / "classInd.txt", [f"{i + 1} {word.name}" for i, word in enumerate(words)])
    return tasks, [name for name, _ in names]


def _isogd(out: Path, wanted: Settings, words: Sequence[Word]) -> Written:
    """Plans color and depth videos, `recordings` of each class per person; the splits have different people."""
    parts = [{"Train": "train", "Validation": "valid", "Test": "test"}[part] for part in split_people(wanted.people)]
    tasks: list[Task] = []
    rows: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for person, part in enumerate(parts):
        for number, word in enumerate(words):
            for take in range(wanted.recordings):
                folder, index = f"{part}/{person + 1:03d}", len(tasks) + 1
                color, depth = f"{folder}/M_{index:05d}.avi", f"{folder}/K_{index:05d}.avi"
                plan = wanted.plan(person, number * wanted.recordings + take, word)
                tasks.append(Task(plan, out / color, out / depth))
                rows[part].append(f"{color} {depth} {number + 1}")
    for part, lines in rows.items():
        if lines:
            _write_lines(out / f"{part}_list.txt", lines)
    return tasks, [line.split()[0] for lines in rows.values() for line in lines]


def _ledasila(out: Path, wanted: Settings, words: Sequence[Word]) -> Written:
    """Plans a long-tailed vocabulary: people x recordings videos of the most frequent sign, ever fewer of the others.

    Up to 151 signs are disjoint from the first 249 classes of the other generators, so that transfer can be tested.
    """
    rng = np.random.default_rng([wanted.seed, 606])
    tasks: list[Task] = []
    rows: list[tuple[str, str, str]] = []
    for rank, word in enumerate(words):
        count = max(1, round(wanted.people * wanted.recordings / (1 + rank / _TAIL)))
        performers = np.resize(rng.permutation(wanted.people), count)
        for take, person in enumerate(int(p) for p in performers):
            name = f"videos/{len(rows) + 1:05d}.mp4"
            tasks.append(Task(wanted.plan(person, 1000 * rank + take, word), out / name))
            rows.append((name, word.name, f"person{person + 1:02d}"))
    write(out / "signs.csv", csv_text([("file", "sign", "person"), *rows]).encode())
    return tasks, [name for name, _, _ in rows]


def _write_lines(path: Path, lines: list[str]) -> None:
    write(path, "".join(f"{line}\n" for line in lines).encode())


SETS: dict[str, tuple[Callable[[Path, Settings, Sequence[Word]], Written], Settings]] = {
    "ucf101": (_ucf101, Settings()),
    "isogd": (_isogd, Settings(people=9)),
    "ledasila": (_ledasila, Settings(people=6, recordings=4, classes=40)),
}
"""Name -> (function that plans the videos and writes the lists, default settings)."""
