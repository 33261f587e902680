"""Everyday gestures for live use: swipes, circles, wave, push, and other movements, as arm landmarks in an image.

A folder in the layout with a label for every frame: `index.csv` (path, subject, split), csv files with the columns
`<joint>_x`, `<joint>_y` (pixels of a 640 x 480 image that is not mirrored, as from a tracker; empty if it lost the
joint) and `gesture`. Directions, also of circles, are from the person's view: clockwise as the person sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.files import write_whole
from gesta.schema import KINECT_JOINTS, GestaError
from gesta.synthetic.body import Stand, pose_body, smooth_noise
from gesta.synthetic.chalearn2014 import split_people
from gesta.synthetic.gestures import PROGRAMS, Stroke, pose
from gesta.synthetic.isolated import check, write_all
from gesta.synthetic.motion import Actor, Side
from gesta.synthetic.person import PRESETS, Difficulty, Person, make_person
from gesta.synthetic.recording import FOCAL
from gesta.synthetic.stamp import claim

Array = NDArray[np.float64]
GENERATOR_VERSION = 1
"""Incremented when what is performed changes. Results of different versions are not comparable."""
GESTURES = (
    "swipe_left",
    "swipe_right",
    "swipe_up",
    "swipe_down",
    "circle_clockwise",
    "circle_counterclockwise",
    "wave",
    "push",
)
NONE = "none"
JOINTS = ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist")
"""The joints that body trackers detect best in ordinary images, also of someone at a desk."""
SIZE, FPS, PLAYED_FPS = (640, 480), 30, 20
ROUNDS = 2
"""Repetitions of each gesture in a recording."""
_KINECT = [
    KINECT_JOINTS.index(f"{part}{side}") for part in ("Shoulder", "Elbow", "Wrist") for side in ("Left", "Right")
]
_SPLITS = {"Train": "train", "Validation": "val", "Test": "test"}
_FORWARD, _NORMAL = (-0.1, 0.9, 0.4), (0.0, -0.4, 0.9)


@dataclass(frozen=True)
class Take:
    """One recording to write."""

    seed: int
    person: int
    take: int
    path: Path

    @property
    def files(self) -> list[Path]:
        return [self.path]


def make(
    out: Path,
    *,
    people: int = 27,
    recordings: int = 1,
    seed: int = 0,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Writes `recordings` of each person, with ROUNDS of every gesture and other movements; one split per person.

    Returns the paths in index.csv. A stopped run resumes. Raises GestaError for settings out of range and for a folder
    with other content.
    """
    check(people, recordings, SIZE, "standard")
    if people < 3:
        raise GestaError(
            f"people is {people}, expected at least 3: one each for training, validation and test.", usage=True
        )
    claim(
        out,
        {
            "generator": "everyday",
            "version": GENERATOR_VERSION,
            "seed": seed,
            "people": people,
            "recordings": recordings,
        },
    )
    (out / "landmarks").mkdir(exist_ok=True)
    takes, rows = [], ["path,subject,split"]
    for person, split in enumerate(_SPLITS[part] for part in split_people(people)):
        for take in range(recordings):
            path = f"landmarks/p{person + 1:03d}_{take + 1:03d}.csv"
            takes.append(Take(seed, person, take, out / path))
            rows.append(f"{path},person{person + 1:03d},{split}")
    write_all(takes, workers, progress, write)
    write_whole(out / "index.csv", "\n".join(rows) + "\n")
    return [row.partition(",")[0] for row in rows[1:]]


def write(take: Take) -> None:
    """Plays a recording and writes its landmarks."""
    difficulty = PRESETS["hard"]
    person = make_person(take.seed, take.person, difficulty)
    rng = np.random.default_rng([take.seed, 606, take.person, take.take])
    path, labels = play(person, difficulty, rng)
    body = pose_body(person, path, _stand(rng), rng)
    pixels = _seen(body.joints[:, _KINECT], rng)
    times = np.arange(0, len(pixels) - 1, PLAYED_FPS / FPS)
    before = times.astype(int)
    part = (times - before)[:, None, None]
    points = (1 - part) * pixels[before] + part * pixels[before + 1]  # NaN where either is lost
    header = [f"{joint}_{axis}" for joint in JOINTS for axis in "xy"]
    lines = [",".join([*header, "gesture"])]
    for frame, index in zip(points.reshape(len(points), -1), before, strict=True):
        lines.append(",".join(["" if np.isnan(x) else f"{x:.1f}" for x in frame] + [labels[index]]))
    write_whole(take.path, "\n".join(lines) + "\n")


def play(person: Person, difficulty: Difficulty, rng: np.random.Generator) -> tuple[Array, list[str]]:
    """Returns the path (T, 2, 27) of main and other hand, and the label of each time step."""
    actor = Actor(person, difficulty, rng)
    actor.wait(rng.uniform(10, 30))
    for number in rng.permutation(np.repeat(np.arange(len(GESTURES)), ROUNDS)):
        for _ in range(int(rng.integers(0, 2))):
            _something_else(actor)
        _perform(actor, int(number))
        actor.wait(rng.uniform(4, 40))
    frames = int(np.ceil(actor.now)) + 1
    labels = [NONE] * frames
    for span in actor.spans:
        if span.gesture < len(GESTURES):
            labels[span.first : span.last + 1] = [GESTURES[span.gesture]] * (span.last + 1 - span.first)
    return np.stack([track.sample(frames, person.speed_skew) for track in actor.tracks], axis=1), labels


def _perform(actor: Actor, number: int) -> None:
    """Performs a gesture with the main hand, or occasionally with the other one."""
    rng, gesture = actor.rng, GESTURES[number]
    hand = int(rng.random() < 0.25)
    left = actor.person.left_handed != (hand == 1)
    if gesture == "wave":
        start, cycle = _wave(rng)
        repeats = int(rng.integers(2, 5))
    elif gesture == "push":
        start, cycle = _push(rng)
        repeats = 1
    elif gesture.startswith("circle"):
        start, cycle = _circle(rng, (gesture == "circle_clockwise") != left)
        repeats = int(rng.integers(1, 4))
    else:
        start, cycle = _swipe(rng, gesture.removeprefix("swipe_"), left)
        repeats = 1
    sides: list[Side] = [(hand, start, cycle)]
    if gesture == "push" and rng.random() < 0.5:
        sides.append((1 - hand, start, cycle))
    actor.act(number, sides, repeats, True, float(rng.uniform(0.7, 1.6)))


def _something_else(actor: Actor) -> None:
    """Performs a movement other than the gestures: a filler, or a gesture of ChaLearn 2014."""
    if actor.rng.random() < 0.5:
        actor.fill()
        return
    program = PROGRAMS[str(actor.rng.choice(sorted(PROGRAMS)))]
    sides = [(0, program.start, program.cycle)] + ([(1, *program.other)] if program.other else [])
    actor.act(len(GESTURES), sides, program.repeats[0], True)


def _at(outward: float, up: float, towards: float) -> Array:
    return pose((outward, up, towards), _FORWARD, _NORMAL, "open")


def _swipe(rng: np.random.Generator, direction: str, left: bool) -> tuple[Array, tuple[Stroke, ...]]:
    """A stroke across, up or down in front of the body; `left`: with the left hand."""
    frames, towards = rng.uniform(4, 9), rng.uniform(0.35, 0.6)
    if direction in ("left", "right"):
        inward = (direction == "left") != left
        height, rise = rng.uniform(-0.25, 0.35), rng.normal(0, 0.06)
        ends = [_at(rng.uniform(0.5, 0.8), height, towards), _at(rng.uniform(-0.4, 0.0), height + rise, towards)]
        middle = _at(rng.uniform(0.2, 0.4), height + rng.uniform(0.0, 0.25), towards + 0.2)
        start, end = ends if inward else ends[::-1]
    else:
        outward, drift = rng.uniform(0.1, 0.5), rng.normal(0, 0.05)
        ends = [_at(outward, rng.uniform(-0.6, -0.3), towards), _at(outward + drift, rng.uniform(0.2, 0.6), towards)]
        middle = _at(outward + drift, rng.uniform(-0.1, 0.1), towards + 0.2)
        start, end = ends if direction == "up" else ends[::-1]
    return start, (Stroke(frames / 2, middle, True), Stroke(frames / 2, end))


def _circle(rng: np.random.Generator, outward_first: bool) -> tuple[Array, tuple[Stroke, ...]]:
    """A loop in front of the body; `outward_first`: from its top, the hand moves outward."""
    wide, high = rng.uniform(0.15, 0.42), rng.uniform(0.15, 0.42)
    outward, up, towards = rng.uniform(0.1, 0.45), rng.uniform(-0.15, 0.25), rng.uniform(0.35, 0.55)
    begin = rng.uniform(-0.7, 0.7) + (np.pi if rng.random() < 0.3 else 0.0)  # from the top, or from below
    angles = begin + (1 if outward_first else -1) * np.linspace(0, 2 * np.pi, 9)
    places = [_at(outward + wide * np.sin(a), up + high * np.cos(a), towards) for a in angles]
    frames = rng.uniform(1.6, 3.2)
    return places[0], tuple(Stroke(frames, place, True) for place in places[1:])


def _wave(rng: np.random.Generator) -> tuple[Array, tuple[Stroke, ...]]:
    """A raised hand moving from side to side."""
    outward, up, towards = rng.uniform(0.25, 0.6), rng.uniform(0.1, 0.55), rng.uniform(0.2, 0.55)
    wide, frames = rng.uniform(0.08, 0.25), rng.uniform(3, 7)
    inner, outer = _at(outward - wide, up, towards), _at(outward + wide, up - 0.03, towards)
    return inner, (Stroke(frames, outer), Stroke(frames, inner))


def _push(rng: np.random.Generator) -> tuple[Array, tuple[Stroke, ...]]:
    """A movement from the chest towards the camera."""
    outward, up = rng.uniform(0.15, 0.45), rng.uniform(-0.25, 0.2)
    near = _at(outward + 0.1, up - rng.uniform(0.0, 0.15), rng.uniform(0.12, 0.25))
    far = _at(outward, up, rng.uniform(0.65, 0.85))
    return near, (Stroke(rng.uniform(4, 8), far), Stroke(rng.uniform(2, 10), far))


def _stand(rng: np.random.Generator) -> Stand:
    """Returns a position from a desk to across a room, seen from slightly below or above."""
    hip = np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.5, -0.1), rng.uniform(1.1, 3.5)])
    return Stand(hip, yaw=float(rng.normal(0, 0.2)), pitch=float(rng.uniform(-0.15, 0.25)))


def _seen(joints: Array, rng: np.random.Generator) -> Array:
    """Converts joints (T, J, 3) in meters to tracker-like pixels (T, J, 2): drifting noise, wrists lost at times."""
    focal = FOCAL * SIZE[0]
    center = (np.array(SIZE) - 1) / 2
    pixels = joints[..., :2] * [1, -1] * focal / np.maximum(joints[..., 2:], 0.2) + center
    shoulders = float(np.linalg.norm(pixels[:, 0] - pixels[:, 1], axis=1).mean())
    frames, count = pixels.shape[:2]
    noise = np.stack([smooth_noise(rng, frames, count, 6) for _ in range(2)], axis=2) * 0.03
    noise += rng.normal(0, 0.01, pixels.shape)
    pixels = pixels + shoulders * rng.uniform(0.3, 1.5) * noise
    for wrist in (4, 5):
        for start in np.flatnonzero(rng.random(frames) < 0.004):
            pixels[start : start + int(rng.integers(1, 6)), wrist] = np.nan
    return np.asarray(pixels)
