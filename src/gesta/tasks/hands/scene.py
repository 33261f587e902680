"""Hands as 3D points that can be rotated with the mouse: a self-contained HTML page with script and canvas."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.draw import hand_bones
from gesta.look import head
from gesta.tasks.hands.drawing import Cloud, Hand

TEMPLATE = Path(__file__).with_name("scene.html")
STEP_MM = 0.1
"""Resolution of the coordinates, which are stored as 16-bit integers."""


@dataclass(frozen=True)
class Shown:
    """A hand, its point cloud, and its title."""

    title: str
    hand: Hand
    cloud: Cloud


def scene_page(title: str, hands: Sequence[Shown]) -> str:
    """Return a complete HTML page."""
    body = f"<h1>{_escaped(title)}</h1>\n{scene(hands)}"
    return f'<!doctype html>\n<html lang="en">\n{head(title)}\n<body>\n{body}\n</body>\n</html>\n'


def scene(hands: Sequence[Shown]) -> str:
    """Return the scene as part of a page: style, canvas, script, data. Raises ValueError without hands."""
    if not hands:
        raise ValueError("a scene needs at least one hand")
    data = json.dumps([_plain(one) for one in hands]).replace("</", "<\\/")
    return TEMPLATE.read_text(encoding="utf-8").replace('"HANDS"', data)


def _plain(one: Shown) -> dict[str, Any]:
    hand = one.hand
    truth = hand.truth_mm
    return {
        "title": one.title,
        "side": hand.cube.side_mm,
        "step": STEP_MM,
        "points": _coded(one.cloud.points_mm),
        "colors": base64.b64encode(one.cloud.colors.tobytes()).decode(),
        "truth": None if truth is None else _about(truth, hand),
        "found": _about(hand.found_mm, hand),
        "bones": [list(pair) for pair in hand_bones(hand.joint_names)],
        "names": list(hand.joint_names),
    }


def _about(joints_mm: NDArray[Any], hand: Hand) -> list[list[float]]:
    return np.round(np.asarray(joints_mm, np.float64) - hand.cube.center_mm, 1).tolist()


def _coded(points_mm: NDArray[np.float32]) -> str:
    steps = np.clip(np.rint(points_mm / STEP_MM), -32768, 32767).astype("<i2")
    return base64.b64encode(steps.tobytes()).decode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
