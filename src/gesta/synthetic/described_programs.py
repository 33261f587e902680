"""The movements of described recordings, defined by path alone: start and one repetition of a hand.

Places are as in `gestures`: outward from the middle of the body, up, towards the camera, in torso lengths from
ShoulderCenter; Head is at about (0, 0.33, 0.05).
"""

from __future__ import annotations

import numpy as np

from gesta.synthetic.gestures import Array, Stroke, pose

Movement = tuple[Array, tuple[Stroke, ...]]
_UP, _FRONT, _IN = (-0.1, 1.0, 0.1), (-0.1, 0.4, 0.9), (-0.9, 0.3, 0.2)
"""Directions that the hand points in."""
_PALM = (-0.3, -0.1, 0.9)


def _at(place: tuple[float, float, float], forward: tuple[float, float, float] = _UP, shape: str = "flat") -> Array:
    return pose(place, forward, _PALM, shape)


def _through(frames: float, start: Array, *poses: Array) -> Movement:
    """Returns a movement to each pose, in `frames` frames each, and back to the start."""
    return start, tuple(Stroke(frames, target) for target in (*poses, start))


def _circle() -> Movement:
    places = [(0.3 + 0.24 * np.sin(a), 0.02 + 0.24 * np.cos(a), 0.48) for a in np.arange(9) * np.pi / 4]
    turn = [_at((float(x), float(y), z), _FRONT, "point") for x, y, z in places]
    return turn[0], tuple(Stroke(2.6, target, True) for target in turn[1:])


def _cross() -> Movement:
    corners = ((0.08, 0.24, 0.5), (0.5, -0.2, 0.5), (0.5, 0.24, 0.5), (0.08, -0.2, 0.5))
    first, *others = (_at(corner, _FRONT, "point") for corner in corners)
    return first, tuple(Stroke(6, target) for target in (*others, first))


PROGRAMS: dict[str, Movement] = {
    "wave": _through(5, _at((0.3, 0.32, 0.28)), _at((0.68, 0.22, 0.28))),
    "reach": _through(8, _at((0.4, -0.1, 0.35)), _at((0.28, 0.85, 0.1))),
    "circle": _circle(),
    "push": _through(7, _at((0.28, -0.06, 0.2)), _at((0.24, -0.02, 0.8))),
    "swipe": _through(7, _at((-0.1, -0.1, 0.5), _FRONT), _at((0.75, -0.05, 0.3), _FRONT)),
    "knock": _through(3.5, _at((0.3, 0.2, 0.55), _UP, "fist"), _at((0.3, 0.08, 0.72), _FRONT, "fist")),
    "head": _through(7, _at((0.4, 0.0, 0.3)), _at((0.1, 0.5, 0.08), _IN)),
    "drink": _through(8, _at((0.3, -0.35, 0.4), _IN, "fist"), _at((0.08, 0.2, 0.2), _IN, "fist")),
    "throw": _through(7, _at((0.5, 0.35, -0.12), _UP, "fist"), _at((0.25, -0.1, 0.7), _FRONT, "open")),
    "cross": _cross(),
    "clap": _through(5, _at((0.34, -0.08, 0.42), _FRONT), _at((0.05, -0.08, 0.45), _FRONT)),
    "spread": _through(9, _at((0.12, -0.1, 0.42), _FRONT), _at((0.95, 0.02, 0.1), _FRONT)),
}
"""Gesture of `gesta.grammar` -> its movement."""
