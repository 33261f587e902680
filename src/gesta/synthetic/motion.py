"""What a person does in one recording: gestures in random order, rests and unlabeled movements between them.

Times are frames at 20 fps. The result is a path of 27 numbers per hand (see `gestures.pose`) and the labeled spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gesta.schema import CHALEARN_GESTURES
from gesta.synthetic.gestures import PROGRAMS, Program, Stroke, pose
from gesta.synthetic.person import Difficulty, Person

Array = NDArray[np.float64]
Side = tuple[int, Array, tuple[Stroke, ...]]
"""A hand (0 main, 1 other), its start and its cycle."""

REST = {
    "hang": pose((0.40, -0.95, 0.06), (0.05, -1.0, 0.08), (-1.0, 0.0, -0.1), "relaxed"),
    "hip": pose((0.42, -0.62, 0.12), (-0.6, -0.6, 0.5), (-0.6, -0.2, -0.7), "relaxed"),
    "belly": pose((0.14, -0.55, 0.26), (-0.8, -0.3, 0.2), (0.0, 0.0, -1.0), "relaxed"),
}


@dataclass(frozen=True)
class Span:
    """One performed gesture: id 1-20 and frames, 0-based and inclusive."""

    gesture: int
    first: int
    last: int


@dataclass
class Track:
    """Poses of one hand over time, as interpolated keys."""

    times: list[float] = field(default_factory=list)
    poses: list[Array] = field(default_factory=list)
    flowing: list[bool] = field(default_factory=list)

    def add(self, time: float, target: Array, flowing: bool = False) -> None:
        self.times.append(time)
        self.poses.append(target)
        self.flowing.append(flowing)

    def stay(self, time: float) -> None:
        """Holds the last pose until `time`."""
        if time > self.times[-1]:
            self.add(time, self.poses[-1])

    def sample(self, n_frames: int, skew: float) -> Array:
        """Returns (n_frames, 27): minimum-jerk between keys, constant speed where flowing, then light smoothing."""
        times, keys = np.array(self.times), np.array(self.poses)
        t = np.arange(n_frames, dtype=float)
        at = np.clip(np.searchsorted(times, t, "right") - 1, 0, len(times) - 2)
        part = np.clip((t - times[at]) / np.maximum(times[at + 1] - times[at], 1e-6), 0, 1)
        part = part + 0.35 * skew * part * (1 - part)
        smooth = part**3 * (10 - 15 * part + 6 * part**2)
        part = np.where(np.array(self.flowing)[at + 1], part, smooth)[:, None]
        path = keys[at] + part * (keys[at + 1] - keys[at])
        padded = np.concatenate([path[:1], path, path[-1:]])
        return 0.2 * padded[:-2] + 0.6 * padded[1:-1] + 0.2 * padded[2:]


def _rotation(angles: Array) -> Array:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass
class Actor:
    """Plays one recording of a person into two tracks (main hand, other hand)."""

    person: Person
    difficulty: Difficulty
    rng: np.random.Generator
    now: float = 0.0
    tracks: tuple[Track, Track] = field(default_factory=lambda: (Track(), Track()))
    spans: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rests = (self._rest("hang"), self._rest(self.person.idle))
        for track, rest in zip(self.tracks, self._rests, strict=True):
            track.add(0.0, rest)

    def _rest(self, name: str) -> Array:
        rest = REST[name].copy()
        rest[:3] += self.rng.normal(0, 0.015, 3)
        return rest

    def _styled(self, key: Array, center: Array, offset: Array, turn: Array, bend: Array, amplitude: float) -> Array:
        """Returns a program's pose with this person's style and this repetition's random variation."""
        out = key.copy()
        out[:3] = center + amplitude * (key[:3] - center) + offset
        out[3:6] = turn @ key[3:6]
        out[6:9] = turn @ key[6:9]
        out[9:21] += bend
        return out

    def _moves(self, start: Array, cycle: tuple[Stroke, ...], repeats: int, hand: int, mood: dict) -> list[Stroke]:
        """Returns the styled strokes of one hand, with durations in frames; the first entry is the start."""
        person, rng, spread = self.person, self.rng, self.difficulty.repetition
        center = np.mean([start[:3], *(s.pose[:3] for s in cycle)], axis=0)
        offset = person.place_offset[hand] + mood["offset"]
        turn = _rotation(person.tilt + mood["tilt"])
        bend = np.repeat(person.stiffness + mood["bend"], 3) * np.tile([1.0, 1.0, 0.3], 4)
        style = (center, offset, turn, bend, mood["amplitude"])
        out = [Stroke(0, self._styled(start, *style))]
        for repeat in range(repeats):
            fade = 1.0 - 0.06 * repeat
            for stroke in cycle:
                target = self._styled(stroke.pose, *style[:-1], style[-1] * fade)
                target[:3] += rng.normal(0, 0.008, 3) * spread
                out.append(Stroke(stroke.frames * mood["tempo"] * mood["beats"][len(out) - 1], target, stroke.flowing))
        return out

    def _mood(self, n_strokes: int) -> dict:
        """Samples the variation between performances, the same for both hands."""
        rng, spread, person = self.rng, self.difficulty.repetition, self.person
        return {
            "offset": rng.normal(0, 0.022, 3) * spread,
            "tilt": rng.normal(0, np.radians(4), 3) * spread,
            "bend": rng.normal(0, 4, 4) * spread,
            "tempo": person.tempo * float(np.exp(rng.normal(0, 0.06 * spread))),
            "amplitude": person.amplitude * float(np.exp(rng.normal(0, 0.08 * spread))),
            "beats": np.exp(rng.normal(0, 0.08 * spread, n_strokes)),
        }

    def perform(self, gesture: int, back: bool) -> None:
        """Reaches, strokes, and (with `back`) returns to rest; appends the labeled span."""
        program: Program = PROGRAMS[CHALEARN_GESTURES[gesture - 1]]
        low, high = program.repeats
        repeats = low if low == high else low + int(self.rng.random() < self.person.eager)
        sides = [(0, program.start, program.cycle)] + ([(1, *program.other)] if program.other else [])
        self.act(gesture, sides, repeats, back)

    def act(self, number: int, sides: Sequence[Side], repeats: int, back: bool, slowness: float = 1.0) -> None:
        """Like `perform`, with given hands and number of repetitions. `slowness`: factor on the usual durations."""
        mood = self._mood(repeats * len(sides[0][2]))
        mood["tempo"] *= slowness
        begin = self.now
        reach = self.rng.uniform(6, 12) * self.person.tempo
        ends = []
        for place, (hand, start, cycle) in enumerate(sides):
            time = begin + (self.rng.uniform(0, 1.2) if place else 0.0)
            self.tracks[hand].stay(time)
            for i, stroke in enumerate(self._moves(start, cycle, repeats, hand, mood)):
                time += stroke.frames if i else reach
                self.tracks[hand].add(time, stroke.pose, stroke.flowing)
                if i and self.person.pause and i % len(cycle) == 0 and not stroke.flowing:
                    time += self.person.pause
                    self.tracks[hand].stay(time)
            ends.append(time)
        for idle in {0, 1} - {hand for hand, _, _ in sides}:
            if self.tracks[idle].poses[-1][1] > -0.5:  # it was up: bring it down
                self.tracks[idle].stay(begin)
                self.tracks[idle].add(begin + reach, self._rests[idle])
        self.now = max(ends)
        end = self.now
        if back:
            back_frames = self.rng.uniform(6, 12) * self.person.tempo
            self._to_rest(back_frames)
            end += self.rng.uniform(0.6, 0.95) * back_frames
        self.spans.append(Span(number, round(begin + self.rng.uniform(0, 1.5)), round(end)))

    def _to_rest(self, frames: float) -> None:
        for track, rest in zip(self.tracks, self._rests, strict=True):
            track.stay(self.now)
            target = rest.copy()
            target[:3] += self.rng.normal(0, 0.008, 3)
            track.add(self.now + frames, target)
        self.now += frames

    def wait(self, frames: float) -> None:
        """Holds the current pose."""
        self.now += frames

    def fill(self) -> None:
        """Performs one unlabeled movement, then lowers the hands."""
        rng = self.rng
        name = str(rng.choice(sorted(FILLERS)))
        mood = self._mood(40)
        times = []
        for hand, moves in enumerate(FILLERS[name]):
            time = self.now + 8 * mood["tempo"]
            self.tracks[hand].stay(self.now)
            for stroke in self._moves(moves[0].pose, moves, 1, hand, mood):
                time += stroke.frames
                self.tracks[hand].add(time, stroke.pose, stroke.flowing)
            times.append(time)
        self.now = max(times)
        self._to_rest(rng.uniform(7, 11) * self.person.tempo)


def _scratch_head() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((0.10, 0.44, 0.02), (-0.6, 0.6, -0.5), (-0.4, -0.7, -0.5), "claw")
    b = pose((0.13, 0.40, 0.0), (-0.6, 0.6, -0.5), (-0.4, -0.7, -0.5), "claw")
    return ((Stroke(3, b), Stroke(3, a), Stroke(3, b), Stroke(3, a)),)


def _fold_arms() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((-0.12, -0.28, 0.24), (-0.9, 0.3, -0.2), (0.0, 0.0, -1.0), "flat")
    b = pose((-0.14, -0.34, 0.18), (-0.9, 0.2, -0.3), (0.0, 0.0, -1.0), "fist")
    return ((Stroke(12, a), Stroke(12, a)), (Stroke(12, b), Stroke(12, b)))


def _adjust_clothes() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((0.16, -0.45, 0.20), (-0.5, -0.6, -0.3), (0.0, 0.2, -1.0), "purse")
    b = pose((0.18, -0.56, 0.20), (-0.5, -0.6, -0.3), (0.0, 0.2, -1.0), "purse")
    moves = (Stroke(5, b), Stroke(4, a), Stroke(5, b))
    return (moves, moves)


def _point_aside() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((0.72, 0.02, 0.20), (0.9, 0.15, 0.2), (0.0, -0.8, 0.4), "point")
    return ((Stroke(8, a), Stroke(6, a)),)


def _look_at_watch() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((0.06, -0.22, 0.34), (-0.95, 0.1, 0.1), (0.0, -0.7, -0.5), "relaxed")
    return ((Stroke(10, a), Stroke(4, a)),)


def _rub_nose() -> tuple[tuple[Stroke, ...], ...]:
    a = pose((0.10, 0.20, 0.17), (-0.5, 0.75, -0.3), (-0.3, 0.1, -0.9), "relaxed")
    b = pose((0.12, 0.22, 0.17), (-0.6, 0.70, -0.3), (-0.3, 0.1, -0.9), "relaxed")
    return ((Stroke(3, b), Stroke(3, a), Stroke(3, b)),)


FILLERS = {
    "scratch head": _scratch_head(),
    "fold arms": _fold_arms(),
    "adjust clothes": _adjust_clothes(),
    "point aside": _point_aside(),
    "look at watch": _look_at_watch(),
    "rub nose": _rub_nose(),
}


def play(
    person: Person, gestures: list[int], difficulty: Difficulty, rng: np.random.Generator
) -> tuple[Array, list[Span]]:
    """Returns one recording: path (T, 2, 27) of main and other hand, and the labeled spans, sorted and disjoint."""
    actor = Actor(person, difficulty, rng)
    actor.wait(rng.uniform(12, 24))
    for i, gesture in enumerate(gestures):
        last = i == len(gestures) - 1
        back = last or rng.random() < 0.88
        actor.perform(gesture, back)
        if back:
            actor.wait(rng.uniform(4, 22))
            if rng.random() < difficulty.fillers:
                actor.fill()
                actor.wait(rng.uniform(4, 14))
        else:
            actor.wait(rng.uniform(2, 5))
    actor.wait(rng.uniform(8, 16))
    n_frames = int(np.ceil(actor.now)) + 1
    path = np.stack([track.sample(n_frames, person.speed_skew) for track in actor.tracks], axis=1)
    return path, actor.spans
