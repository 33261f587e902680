"""The twenty gestures of ChaLearn 2014 as programs: where the hand goes, how it is held, which shape it takes.

A pose is (place, forward, normal, shape). Places are in torso lengths (HipCenter to Head = 1) from ShoulderCenter:
outward from the middle of the body, up, towards the camera. Head is at about (0, 0.33, 0.05). Loosely modeled on the
Italian gestures; several differ in only one aspect:

- time order: vattene / vieniqui, basta / messidaccordo, freganiente / prendere are each other's time reversal;
- hand shape: ok, perfetto, noncenepiu and chevuoi share one movement;
- rhythm: fame is cheduepalle's path, several times and fast;
- number of hands: combinato is chevuoi with both;
- place: furbo, buonissimo and seipazzo point at the eye, the cheek and the temple.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.synthetic.hand import SHAPES

Array = NDArray[np.float64]


def pose(place: tuple, forward: tuple, normal: tuple, shape: str) -> Array:
    """Returns place, forward, normal and shape as one vector (27,), so that paths can be interpolated."""
    return np.concatenate([place, forward, normal, SHAPES[shape]]).astype(float)


@dataclass(frozen=True)
class Stroke:
    """A movement to a pose in `frames` (at 20 fps and average tempo); `flowing` passes it without stopping."""

    frames: float
    pose: Array
    flowing: bool = False


@dataclass(frozen=True)
class Program:
    """The hand reaches `start`, then repeats `cycle` (minimum, maximum) times. `other` is for the second hand."""

    start: Array
    cycle: tuple[Stroke, ...]
    repeats: tuple[int, int]
    other: tuple[Array, tuple[Stroke, ...]] | None = None

    @property
    def two_handed(self) -> bool:
        return self.other is not None


def _backwards(start: Array, cycle: tuple[Stroke, ...]) -> tuple[Array, tuple[Stroke, ...]]:
    """Returns the time-reversed path: poses in reverse, each with the duration of the step that left it."""
    poses = [start, *(s.pose for s in cycle)]
    steps = [Stroke(s.frames, poses[i], s.flowing) for i, s in enumerate(cycle)][::-1]
    return poses[-1], tuple(steps)


def _reverse(program: Program) -> Program:
    start, cycle = _backwards(program.start, program.cycle)
    other = _backwards(*program.other) if program.other else None
    return Program(start, cycle, program.repeats, other)


def _both(start: Array, cycle: tuple[Stroke, ...], repeats: tuple[int, int]) -> Program:
    return Program(start, cycle, repeats, (start, cycle))


def _beat(shape: str) -> tuple[Array, tuple[Stroke, ...]]:
    """The movement shared by several gestures: next to the shoulder, down and up two or three times."""
    hold, turn = (-0.12, 1.0, 0.1), (-0.5, 0.0, 0.85)
    up = pose((0.43, 0.06, 0.40), hold, turn, shape)
    down = pose((0.41, -0.09, 0.47), hold, turn, shape)
    return up, (Stroke(5, down), Stroke(5, up))


def _sends_away() -> Program:
    """A quick flick away from the body, then slowly back along a higher path."""
    near = pose((0.36, -0.20, 0.28), (-0.45, 0.55, 0.2), (-0.3, -0.3, -0.9), "flat")
    far = pose((0.48, 0.08, 0.60), (0.15, 1.0, 0.35), (0.0, -0.3, 0.9), "flat")
    above = pose((0.38, 0.30, 0.34), (-0.1, 1.0, -0.2), (-0.2, 0.1, 0.9), "flat")
    return Program(near, (Stroke(3.5, far), Stroke(2, far), Stroke(8, above), Stroke(7, near)), (2, 2))


def _flicks_from_chin() -> Program:
    chin = pose((0.10, 0.10, 0.22), (-0.35, 0.9, -0.1), (-0.3, -0.1, -0.9), "fist")
    out = pose((0.40, 0.10, 0.62), (0.1, 0.9, 0.5), (-0.2, -0.4, 0.8), "open")
    return Program(chin, (Stroke(5, chin), Stroke(5, out), Stroke(9, out)), (1, 1))


def _sweeps_out() -> Program:
    crossed = pose((-0.04, -0.06, 0.42), (-0.45, 0.85, 0.3), (-0.1, -0.3, 0.9), "flat")
    wide = pose((0.60, -0.08, 0.40), (0.4, 0.85, 0.3), (-0.1, -0.3, 0.9), "flat")
    return _both(crossed, (Stroke(4, crossed), Stroke(7, wide), Stroke(10, wide)), (1, 1))


def _points_at(tip: tuple, forward: tuple, normal: tuple, path: tuple, frames: float, repeats: tuple) -> Program:
    """Index finger at `tip` (in torso lengths), displaced through `path`."""
    direction = np.array(forward) / np.linalg.norm(forward)
    palm = np.array(tip) - 0.19 * direction
    poses = [pose(tuple(palm + np.array(step[:3])), forward, step[3:] or normal, "point") for step in path]
    flowing = len(path) > 3
    return Program(poses[-1], tuple(Stroke(frames, p, flowing) for p in poses), repeats)


def _circle(radius: float) -> tuple:
    return tuple((0.0, radius * np.sin(a), radius * np.cos(a)) for a in np.arange(1, 7) * np.pi / 3)


def _rolling() -> Program:
    """Both hands circle each other, the other hand half a turn behind."""
    turn = [
        pose((0.07, -0.06 + 0.13 * np.cos(a), 0.40 + 0.11 * np.sin(a)), (-1.0, 0.15, 0.1), (0.0, -0.1, -1.0), "fist")
        for a in np.arange(0, 8) * np.pi / 4
    ]
    main = tuple(Stroke(1.6, turn[(i + 1) % 8], True) for i in range(8))
    second = tuple(Stroke(1.6, turn[(i + 5) % 8], True) for i in range(8))
    return Program(turn[0], main, (3, 3), (turn[4], second))


def _chop(frames: float, repeats: tuple[int, int]) -> Program:
    forward, normal = (-0.9, 0.25, 0.25), (-0.2, -0.6, -0.8)
    high = pose((0.26, 0.04, 0.34), forward, normal, "flat")
    low = pose((0.24, -0.24, 0.30), forward, normal, "flat")
    return Program(high, (Stroke(frames, low), Stroke(frames, high)), repeats)


def _fed_up() -> Program:
    forward, normal = (-0.95, 0.1, 0.1), (0.0, -0.9, -0.3)
    throat = pose((0.20, 0.13, 0.24), forward, normal, "flat")
    brow = pose((0.22, 0.43, 0.20), forward, normal, "flat")
    return Program(throat, (Stroke(9, brow), Stroke(5, brow)), (1, 2))


def _side_by_side() -> Program:
    apart = pose((0.22, -0.06, 0.42), (-0.15, 0.9, 0.3), (-0.5, -0.2, 0.8), "point")
    close = pose((0.075, -0.06, 0.42), (-0.05, 0.9, 0.3), (-0.5, -0.2, 0.8), "point")
    return _both(apart, (Stroke(6, close), Stroke(2, close), Stroke(6, apart)), (2, 2))


def _throttle() -> Program:
    low = pose((0.20, -0.08, 0.44), (-0.4, 0.9, 0.25), (-0.7, -0.1, 0.6), "claw")
    high = pose((0.22, 0.06, 0.44), (-0.4, 0.9, 0.25), (-0.7, -0.1, 0.6), "claw")
    return _both(low, (Stroke(3.2, high), Stroke(3.2, low)), (4, 5))


PROGRAMS: dict[str, Program] = {
    "vattene": _sends_away(),
    "vieniqui": _reverse(_sends_away()),
    "perfetto": Program(*_beat("thumb"), (2, 3)),
    "furbo": _points_at(
        (0.09, 0.34, 0.16), (-0.45, 0.85, -0.25), (-0.5, -0.2, 0.8), ((0.03, -0.07, 0.02), (0.0, 0.0, 0.0)), 6, (2, 3)
    ),
    "cheduepalle": _chop(15, (1, 1)),
    "chevuoi": Program(*_beat("purse"), (2, 3)),
    "daccordo": _side_by_side(),
    "seipazzo": _points_at((0.18, 0.44, 0.10), (-0.6, 0.7, -0.2), (-0.6, -0.3, 0.7), _circle(0.06), 1.6, (3, 3)),
    "combinato": _both(*_beat("purse"), (2, 3)),
    "freganiente": _flicks_from_chin(),
    "ok": Program(*_beat("ring"), (2, 3)),
    "cosatifarei": _throttle(),
    "basta": _sweeps_out(),
    "prendere": _reverse(_flicks_from_chin()),
    "noncenepiu": Program(*_beat("gun"), (2, 3)),
    "fame": _chop(3.4, (4, 4)),
    "tantotempo": _rolling(),
    "buonissimo": _points_at(
        (0.12, 0.21, 0.14),
        (-0.95, 0.2, -0.2),
        (0.0, -0.4, 0.9),
        ((0.0, 0.0, 0.0, 0.0, -0.9, 0.3), (0.01, 0.0, 0.0, 0.0, 0.3, 0.95)),
        4.5,
        (3, 3),
    ),
    "messidaccordo": _reverse(_sweeps_out()),
    "sonostufo": _fed_up(),
}
