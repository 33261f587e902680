"""Videos of single gestures or signs, cut from recordings of synthetic people, for several layouts.

A class is one of the twenty gestures or, beyond twenty, two of them in a row, so that there are up to 400 words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from gesta.schema import CHALEARN_GESTURES, GestaError
from gesta.synthetic.person import PRESETS
from gesta.synthetic.recording import FPS, Plan, prepare
from gesta.synthetic.video import VideoWriter
from gesta.synthetic.workers import each

GENERATOR_VERSION = 3
"""Incremented when what is drawn or performed changes. Results of different versions are not comparable."""

_MARGIN = (2, 6)
"""Minimum and maximum number of frames before and after the gesture."""


@dataclass(frozen=True)
class Word:
    """A class: its name and its gestures (ids 1 to 20)."""

    name: str
    gestures: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One video to write: color, depth or both."""

    plan: Plan
    color: Path | None
    depth: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.color, self.depth) if path is not None]


class Writable(Protocol):
    """A task that writes files."""

    @property
    def files(self) -> list[Path]: ...


W = TypeVar("W", bound=Writable)


def vocabulary(count: int, *, rare: bool = False) -> list[Word]:
    """Returns the twenty gestures, then pairs of different ones, in a fixed order; `rare`: starting at its end.

    Up to 151 rare words are thus not among the first 249. Raises GestaError (usage) for fewer than 2 or more than 400.
    """
    total = len(CHALEARN_GESTURES)
    if not 2 <= count <= total * total:
        raise GestaError(f"classes is {count}, expected 2 to {total * total}.", usage=True)
    pairs = [(a, b) for a in range(1, total + 1) for b in range(1, total + 1) if a != b]
    order = np.random.default_rng(404).permutation(len(pairs))
    every = [(g,) for g in range(1, total + 1)] + [pairs[i] for i in order]
    chosen = every[::-1][:count] if rare else every[:count]
    return [Word("".join(CHALEARN_GESTURES[g - 1].capitalize() for g in gestures), gestures) for gestures in chosen]


def check(people: int, recordings: int, size: tuple[int, int], preset: str) -> None:
    """Raises GestaError (usage) for settings out of range."""
    for name, value in (("people", people), ("recordings", recordings)):
        if value < 1:
            raise GestaError(f"{name} is {value}, expected at least 1.", usage=True)
    if min(size) < 64 or size[0] % 2 or size[1] % 2:
        raise GestaError(
            f"size is {size[0]}x{size[1]}, expected even sides of at least 64, such as 160x120.", usage=True
        )
    if preset not in PRESETS:
        raise GestaError(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}.", usage=True)


def write(task: Task) -> None:
    """Writes the videos of a task under temporary names and renames them."""
    recording = prepare(task.plan)
    rng = np.random.default_rng([task.plan.seed, 505, task.plan.person, task.plan.take])
    before, behind = (int(n) for n in rng.integers(*_MARGIN, 2, endpoint=True))
    first = max(0, recording.spans[0].first - before)
    last = min(len(recording) - 1, recording.spans[-1].last + behind)
    targets = {"color": (task.color, 22), "depth": (task.depth, 17)}
    partial = {kind: path.with_name(f".partial-{path.name}") for kind, (path, _) in targets.items() if path is not None}
    for path in partial.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        videos = {
            kind: stack.enter_context(VideoWriter(path, task.plan.size, FPS, targets[kind][1], "ultrafast"))
            for kind, path in partial.items()
        }
        for t in range(first, last + 1):
            reading = recording.sensor.read(*recording.renderer.draw(t, recording.room.color))
            for kind, video in videos.items():
                video.write(getattr(reading, kind))
    for kind, path in partial.items():
        target = targets[kind][0]
        assert target is not None
        path.replace(target)


def write_all(
    tasks: Sequence[W],
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    write: Callable[[W], None] = write,  # type: ignore[assignment]
) -> None:
    """Writes all missing videos in `workers` processes (None: one per core; 1: in this process)."""
    todo = [t for t in tasks if not all(path.exists() for path in t.files)]
    each(write, todo, [task.files[0].name for task in todo], workers, progress, before=len(tasks) - len(todo))
