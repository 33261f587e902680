"""Draws labels, skeletons and film strips. Images are H W 3 uint8 RGB; the caller's array is never modified."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gesta.schema import grouped

Image = NDArray[np.uint8]

_CHAINS = (
    "head, shoulder center, spine, hip center",
    "shoulder center, shoulder left, elbow left, wrist left, hand left",
    "shoulder center, shoulder right, elbow right, wrist right, hand right",
    "hip center, hip left, knee left, ankle left, foot left",
    "hip center, hip right, knee right, ankle right, foot right",
)
BONES = tuple(pair for chain in _CHAINS for pair in pairwise(chain.split(", ")))
"""Pairs of joints by the words of their names; see `joint_key`."""

LEFT, RIGHT, MIDDLE = (80, 200, 255), (255, 150, 60), (240, 240, 240)


def joint_key(name: str) -> frozenset[str]:
    """`HandLeft`, `left_hand`, `hand left` -> {hand, left}."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    return frozenset({"centre": "center"}.get(word.lower(), word.lower()) for word in words)


def draw_skeleton(image: Image, joints_uv: NDArray[np.float32], joint_names: Sequence[str]) -> Image:
    """The image with joints and bones, left and right in different colors.

    `joints_uv` is J 2 pixels (u, v), NaN if not tracked. Joints are matched by name, e.g. `HandLeft` or `left_hand`.
    """
    drawn = image.copy()
    size = max(1, round(min(image.shape[:2]) / 160))
    points = {joint_key(name): uv for name, uv in zip(joint_names, joints_uv, strict=True) if np.isfinite(uv).all()}
    for one, other in BONES:
        start, end = points.get(joint_key(one)), points.get(joint_key(other))
        if start is not None and end is not None:
            cv2.line(drawn, _pixel(start), _pixel(end), _side(joint_key(other)), size, cv2.LINE_AA)
    for key, point in points.items():
        cv2.circle(drawn, _pixel(point), size + 1, _side(key), -1, cv2.LINE_AA)
    return drawn


TRUTH, ESTIMATE = (40, 110, 255), (235, 50, 40)
"""Blue and red, as in Kazakos, figures 4.10 and 4.11."""

_NYU_HAND = ("P1 P2 C", "R1 R2 C", "M1 M2 C", "I1 I2 C", "T1 T2 T3 C", "W1 C", "W2 C")
_ROOTS = ("palm", "wrist")


def hand_bones(joint_names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of joint indices to connect: for NYU's 14 joints, or for fingers named `index_mcp`, `index_tip`, ...

    A finger's joints are connected in order, the first one to the palm or wrist. Other names give no bones.
    """
    place = {name: index for index, name in enumerate(joint_names)}
    if {"P1", "C"} <= place.keys():
        chains = [chain.split() for chain in _NYU_HAND]
    else:
        root = next((name for name in _ROOTS if name in place), None)
        fingers = grouped((name.rpartition("_")[0], name) for name in joint_names if "_" in name)
        chains = [[root, *chain] if root else chain for chain in fingers.values()]
    return [(place[a], place[b]) for chain in chains for a, b in pairwise(chain) if a in place and b in place]


def draw_hand(
    image: Image, joints_uv: NDArray[Any], bones: Sequence[tuple[int, int]], color: tuple[int, int, int] = ESTIMATE
) -> Image:
    """The image with a hand's joints J 2 (u, v) and bones in one color; joints that are not finite are skipped."""
    drawn = image.copy()
    size = max(1, round(min(image.shape[:2]) / 240))
    there = np.isfinite(joints_uv).all(axis=1)
    for a, b in bones:
        if there[a] and there[b]:
            cv2.line(drawn, _pixel(joints_uv[a]), _pixel(joints_uv[b]), color, size, cv2.LINE_AA)
    for point in joints_uv[there]:
        cv2.circle(drawn, _pixel(point), size + 1, color, -1, cv2.LINE_AA)
    return drawn


def draw_label(image: Image, text: str, probability: float | None = None) -> Image:
    """The image with a dark strip at the bottom: the text, and the probability (0 to 1) as a number and a bar."""
    drawn = image.copy()
    height, width = drawn.shape[:2]
    strip = max(14, height // 12)
    drawn[-strip:] //= 4
    shown = _ascii(text) if probability is None else f"{_ascii(text)}  {probability:.2f}"
    scale = _text_scale(shown, width - 8, strip * 0.55)
    if probability is not None:
        bar = round(float(np.clip(probability, 0, 1)) * (width - 1))
        cv2.rectangle(drawn, (0, height - max(2, strip // 8)), (bar, height - 1), LEFT, -1)
    where = (4, height - round(strip * 0.3))
    cv2.putText(drawn, shown, where, cv2.FONT_HERSHEY_SIMPLEX, scale, MIDDLE, max(1, round(scale * 1.6)), cv2.LINE_AA)
    return drawn


def film_strip(frames: Sequence[Image], n: int = 8, height: int = 120) -> Image:
    """Up to `n` frames, evenly spaced from first to last, side by side at a height of `height` pixels.

    A frame wider than four times its height is squeezed to that: a JPEG has at most 65,500 columns.
    Raises ValueError if there are no frames.
    """
    if not frames:
        raise ValueError("a film strip needs at least one frame")
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int))
    gap = np.full((height, 2, 3), 255, np.uint8)
    parts: list[Image] = []
    for index in chosen:
        image = frames[int(index)]
        width = min(max(1, round(image.shape[1] * height / image.shape[0])), 4 * height)
        smaller = cv2.INTER_AREA if image.shape[0] > height else cv2.INTER_LINEAR
        parts += [np.asarray(cv2.resize(image, (width, height), interpolation=smaller), np.uint8), gap]
    return np.concatenate(parts[:-1], axis=1)


def depth_image(depth_mm: NDArray[Any], between: tuple[float, float] | None = None) -> Image:
    """H W millimeters -> gray RGB, near bright, no reading black; the range is that of the readings (2 to 98 %).

    `between`: nearest and farthest depth of interest in mm, which gets the brighter half of the grays.
    """
    seen = depth_mm[depth_mm > 0]
    if seen.size == 0:
        return np.zeros((*depth_mm.shape, 3), np.uint8)
    near, far = np.percentile(seen, (2, 98))
    marks = [near, far] if between is None else [between[0], between[1], max(far, between[1] + 1)]
    level = np.interp(depth_mm.astype(np.float32), marks, np.linspace(255, 55, len(marks)))
    gray = np.where(depth_mm > 0, level, 0).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def jpeg(image: Image, quality: int = 80) -> bytes:
    """The image as a JPEG file. Raises ValueError if it cannot be encoded."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode an image of shape {image.shape} as JPEG")
    return bytes(data)


def _pixel(uv: Any) -> tuple[int, int]:
    u, v = np.clip(uv, -10_000, 10_000)
    return round(float(u)), round(float(v))


def _side(key: frozenset[str]) -> tuple[int, int, int]:
    return LEFT if "left" in key else RIGHT if "right" in key else MIDDLE


def _ascii(text: str) -> str:
    """Text that OpenCV's font can draw: accents dropped, other letters replaced by `?`."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.encode("ascii", "replace").decode()


def _text_scale(text: str, width: int, height: float) -> float:
    """Font scale at which the text is `height` pixels high, or smaller to fit into `width`."""
    (full, tall), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    return float(min(height / max(tall, 1), width / max(full, 1)))
