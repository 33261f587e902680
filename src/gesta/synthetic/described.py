"""Described recordings: people performing one to three gestures, and captions of them in several wordings.

A folder of videos with skeletons (`index.csv`) and `captions.csv` (path, caption, group, glosses). People in the test
part perform what the others do (group "seen"), and combinations that nobody else does ("held-out"): a gesture with its
hand, count and speed, or two gestures in a row. Body height is visible only in the skeleton's meters: in the image, all
people are about the same size.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.files import csv_text, write_whole
from gesta.grammar import GESTURES, SPEEDS, TWO_HANDED, Act, Meaning, glosses, say
from gesta.schema import KINECT_JOINTS, GestaError
from gesta.synthetic.chalearn2014 import split_people
from gesta.synthetic.described_programs import PROGRAMS
from gesta.synthetic.isolated import check, write_all
from gesta.synthetic.motion import Actor, Side, Span
from gesta.synthetic.person import Difficulty, Person
from gesta.synthetic.recording import FOCAL, FPS, Plan, prepare
from gesta.synthetic.stamp import claim
from gesta.synthetic.video import VideoWriter

GENERATOR_VERSION = 2
"""Incremented when the drawing, movements or captions change. Results of different versions are not comparable."""
PRESET = "standard"
SLOWNESS = {"slow": 1.7, "": 1.0, "fast": 0.55}
HEIGHTS = {"tall": (1.80, 1.95), "short": (1.50, 1.63)}
"""Range in meters."""
_TORSO = 0.388
"""Torso length as a fraction of the height."""
_ACTS = (0.35, 0.4, 0.25)
"""Fractions of recordings with one, two and three gestures."""
_HELD_ACTS, _HELD_PAIRS = 0.15, 0.2
"""Fractions of combinations that are held out."""
WORDINGS = 4
"""Captions per video."""
_SPLITS = {"Train": "train", "Validation": "val", "Test": "test"}
Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Described:
    """One recording to write: the person, the gestures, and the file paths."""

    plan: Plan
    meaning: Meaning
    video: Path | None
    skeleton: Path

    @property
    def files(self) -> list[Path]:
        return [path for path in (self.video, self.skeleton) if path is not None]


def make(
    out: Path,
    *,
    videos: bool = True,
    size: tuple[int, int] = (160, 120),
    people: int = 18,
    recordings: int = 20,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = None,
) -> list[str]:
    """Writes `recordings` of each person, at 20 fps, with skeletons and captions; each person is in one split.

    `videos`: False writes only skeletons, in a fraction of the time. Returns the names in captions.csv.
    A stopped run resumes. Raises GestaError for settings out of range and for a folder with other content.
    """
    check(people, recordings, size, PRESET)
    if people < 3:
        raise GestaError(
            f"people is {people}, expected at least 3: one each for training, validation and test.", usage=True
        )
    claim(
        out,
        {
            "generator": "captions",
            "version": GENERATOR_VERSION,
            "seed": seed,
            "people": people,
            "recordings": recordings,
            "size": list(size) if videos else None,
        },
    )
    tasks, rows, captions = [], [], []
    for person, split in enumerate(_SPLITS[part] for part in split_people(people)):
        for take in range(recordings):
            name = f"p{person + 1:03d}_{take + 1:03d}"
            meaning, held = _meaning(seed, person, take, split == "test")
            plan = Plan(seed, person, take, (), size, PRESET)
            video, skeleton = f"videos/{name}.mp4", f"skeletons/{name}.npy"
            tasks.append(Described(plan, meaning, out / video if videos else None, out / skeleton))
            label, path = " ".join(act.gesture for act in meaning.acts), video if videos else skeleton
            rows.append((path, label, f"person{person + 1:03d}", split, skeleton if videos else ""))
            rng = np.random.default_rng([seed, 709, person, take])
            said = dict.fromkeys(say(meaning, rng) for _ in range(WORDINGS))
            group, signs = "held-out" if held else "seen", glosses(meaning)
            captions += [(path, caption, group, signs) for caption in said]
    _write_rows(out / "index.csv", [("path", "label", "subject", "split", "skeleton"), *rows])
    _write_rows(out / "captions.csv", [("path", "caption", "group", "glosses"), *captions])
    write_whole(out / "joints.txt", "".join(f"{joint}\n" for joint in KINECT_JOINTS))
    width, height = size
    focal = FOCAL * width
    middle = f"cx: {(width - 1) / 2}\ncy: {(height - 1) / 2}\n"
    write_whole(out / "camera.yaml", f"fx: {focal}\nfy: {focal}\n{middle}")
    write_all(tasks, workers, progress, write)
    return [row[0] for row in rows]


def held_out(meaning: Meaning) -> bool:
    """Returns whether a meaning has a combination that occurs only in the test part; the same for every seed."""
    acts = meaning.acts
    pairs = pairwise(acts)
    return any(_drawn(_HELD_ACTS, *_numbers(act)) for act in acts) or any(
        _drawn(_HELD_PAIRS, _place(a), 100 + _place(b)) for a, b in pairs
    )


def _meaning(seed: int, person: int, take: int, test: bool) -> tuple[Meaning, bool]:
    """Returns what a person does in a take, and whether it is held out: every other one in the test part."""
    rng = np.random.default_rng([seed, 707, person, take])
    who = ("tall", "short")[person % 2]
    wanted = test and take % 2 == 1
    while True:
        count = 1 + int(rng.choice(len(_ACTS), p=_ACTS))
        meaning = Meaning(who, tuple(_act(rng) for _ in range(count)))
        if held_out(meaning) == wanted:
            return meaning, wanted


def _act(rng: np.random.Generator) -> Act:
    gesture = list(GESTURES)[int(rng.integers(len(GESTURES)))]
    hand = "both" if gesture in TWO_HANDED else ("left", "right", "both")[int(rng.choice(3, p=(0.4, 0.4, 0.2)))]
    return Act(gesture, hand, int(rng.integers(1, 4)), list(SPEEDS)[int(rng.integers(len(SPEEDS)))])


def _place(act: Act) -> int:
    return list(GESTURES).index(act.gesture)


def _numbers(act: Act) -> tuple[int, ...]:
    return _place(act), ("left", "right", "both").index(str(act.hand)), act.count, list(SPEEDS).index(act.speed)


def _drawn(share: float, *numbers: int) -> bool:
    return bool(np.random.default_rng([808, *numbers]).random() < share)


def of_height(person: Person, who: str) -> Person:
    """Returns the person scaled to the height that `who` describes."""
    low, high = HEIGHTS[who]
    rng = np.random.default_rng([909, person.index, round(1e6 * person.torso)])
    factor = float(rng.uniform(low, high)) / (person.torso / _TORSO)
    lengths = ("torso", "shoulder", "upper_arm", "forearm", "hand", "girth")
    scaled: dict[str, Any] = {name: getattr(person, name) * factor for name in lengths}
    return replace(person, **scaled)


def play(
    acts: tuple[Act, ...], person: Person, _gestures: list[int], difficulty: Difficulty, rng: np.random.Generator
) -> tuple[NDArray[np.float64], list[Span]]:
    """Like `motion.play`: performs the acts one after another, with the hands down between them."""
    actor = Actor(person, difficulty, rng)
    actor.wait(rng.uniform(4, 10))
    for act in acts:
        actor.act(_place(act), _sides(act, person), act.count, True, SLOWNESS[act.speed])
        actor.wait(rng.uniform(3, 8))
    path = np.stack([t.sample(int(np.ceil(actor.now)) + 1, person.speed_skew) for t in actor.tracks], axis=1)
    return path, actor.spans


def _sides(act: Act, person: Person) -> list[Side]:
    start, cycle = PROGRAMS[act.gesture]
    hands = (0, 1) if act.hand == "both" else (int((act.hand == "left") != person.left_handed),)
    return [(hand, start, cycle) for hand in hands]


def write(task: Described) -> None:
    """Writes a recording's skeleton and then its video, each atomically."""
    recording = prepare(task.plan, partial(play, task.meaning.acts), lambda p: of_height(p, task.meaning.who))
    joints = recording.tracked.astype(np.float32)
    joints[~joints.any(axis=(1, 2))] = np.nan
    content = io.BytesIO()
    np.save(content, joints)
    task.skeleton.parent.mkdir(parents=True, exist_ok=True)
    write_whole(task.skeleton, content.getvalue())
    if task.video is None:
        return
    task.video.parent.mkdir(parents=True, exist_ok=True)
    partial_video = task.video.with_name(f".partial-{task.video.name}")
    with VideoWriter(partial_video, task.plan.size, FPS, 22, "ultrafast") as video:
        for reading in recording.frames():
            video.write(reading.color)
    partial_video.replace(task.video)


def _write_rows(path: Path, rows: list[tuple[str, ...]]) -> None:
    write_whole(path, csv_text(rows))
