"""Hand shapes and finger geometry.

A hand has its own axes: f (palm to fingers), n (out of the palm), u (to the thumb). A shape is a vector of 18 numbers:
four fingers (index to little) x (bend at the root, bend at the middle, spread to the thumb; degrees), then the
directions of the thumb's two segments in (f, u, n).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROOT_U = np.array([0.030, 0.010, -0.010, -0.029])  # meters, where the fingers leave the palm
_ROOT_F = np.array([0.044, 0.048, 0.045, 0.037])
_LENGTH = np.array([0.089, 0.096, 0.089, 0.072])
_FINGER_RADIUS = 0.0102
_CURLED = (82.0, 105.0, 0.0)
_ACROSS = ((0.55, 0.35, 0.75), (0.25, -0.75, 0.60))  # the thumb over the curled fingers


def _shape(index: tuple, middle: tuple, ring: tuple, little: tuple, thumb: tuple) -> Array:
    return np.concatenate([np.ravel([index, middle, ring, little]), np.ravel(thumb)]).astype(float)


SHAPES: dict[str, Array] = {
    "open": _shape((2, 6, 16), (0, 6, 5), (0, 6, -7), (3, 6, -20), ((0.50, 0.86, 0.1), (0.65, 0.75, 0.1))),
    "flat": _shape((3, 5, 2), (3, 5, 1), (3, 5, -1), (3, 5, -2), ((0.85, 0.45, 0.25), (1.0, 0.05, 0.15))),
    "fist": _shape(_CURLED, _CURLED, _CURLED, _CURLED, _ACROSS),
    "point": _shape((0, 4, 0), _CURLED, _CURLED, _CURLED, _ACROSS),
    "victory": _shape((0, 4, 15), (0, 4, -13), _CURLED, _CURLED, _ACROSS),
    "ring": _shape((44, 76, 6), (4, 8, 4), (0, 6, -9), (0, 6, -22), ((0.80, 0.30, 0.52), (0.80, -0.10, 0.60))),
    "purse": _shape((36, 40, -9), (33, 38, -2), (34, 40, 6), (38, 42, 16), ((0.75, -0.05, 0.65), (0.95, -0.20, 0.20))),
    "thumb": _shape(_CURLED, _CURLED, _CURLED, _CURLED, ((0.25, 0.97, 0.0), (0.15, 0.98, 0.0))),
    "gun": _shape((0, 4, 4), _CURLED, _CURLED, _CURLED, ((0.15, 0.98, 0.1), (0.1, 0.99, 0.05))),
    "claw": _shape((28, 48, 14), (26, 48, 4), (26, 48, -7), (28, 48, -19), ((0.55, 0.80, 0.35), (0.80, 0.30, 0.50))),
    "relaxed": _shape((18, 28, 5), (20, 30, 1), (22, 32, -3), (24, 34, -8), ((0.80, 0.50, 0.30), (0.90, 0.20, 0.30))),
}


def unit(vectors: Array) -> Array:
    """Normalizes vectors along the last axis."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def hand_axes(forward: Array, normal: Array) -> tuple[Array, Array, Array]:
    """Converts desired directions (T, 3) to orthonormal f, n and thumb axis u, in (outward, up, towards camera).

    The outward axis is mirrored between the hands, so that one formula works for both.
    """
    f = unit(forward)
    n = unit(normal - np.sum(normal * f, axis=-1, keepdims=True) * f)
    return f, n, -np.cross(f, n)


def hand_segments(palm: Array, f: Array, n: Array, u: Array, shape: Array, scale: float) -> tuple[Array, Array, Array]:
    """Returns the capsules of one hand over time.

    palm, f, n, u: (T, 3) meters and unit vectors; shape: (T, 18). Returns ends a, b: (T, 13, 3) and radii (13, 2).
    """
    ends_a, ends_b, radii = [], [], []

    def add(a: Array, b: Array, ra: float, rb: float) -> None:
        ends_a.append(a)
        ends_b.append(b)
        radii.append((ra * scale, rb * scale))

    for across in (0.024, 0.0, -0.023):  # the palm
        add(palm - (0.042 * f - 0.6 * across * u) * scale, palm + (0.032 * f + across * u) * scale, 0.019, 0.0165)
    bends = np.radians(shape[:, :12].reshape(-1, 4, 3))
    for finger in range(4):
        root, tip, spread = bends[:, finger, 0:1], bends[:, finger, 1:2], bends[:, finger, 2:3]
        straight = np.cos(spread) * f + np.sin(spread) * u
        knuckle = palm + (_ROOT_F[finger] * f + _ROOT_U[finger] * u) * scale
        half = 0.52 * _LENGTH[finger] * scale
        middle = knuckle + half * (np.cos(root) * straight + np.sin(root) * n)
        end = middle + 0.92 * half * (np.cos(root + tip) * straight + np.sin(root + tip) * n)
        add(knuckle, middle, _FINGER_RADIUS, 0.92 * _FINGER_RADIUS)
        add(middle, end, 0.92 * _FINGER_RADIUS, 0.8 * _FINGER_RADIUS)
    thumb = unit(shape[:, 12:].reshape(-1, 2, 3))
    start = palm + (-0.020 * f + 0.030 * u) * scale
    for segment, length in ((0, 0.044), (1, 0.034)):
        d = thumb[:, segment]
        stop = start + length * scale * (d[:, 0:1] * f + d[:, 1:2] * u + d[:, 2:3] * n)
        add(start, stop, 0.0125 - 0.0015 * segment, 0.011 - 0.0015 * segment)
        start = stop
    return np.stack(ends_a, 1), np.stack(ends_b, 1), np.array(radii)
