"""Points of a hand by depth, and the bar that says which color is which depth."""

from __future__ import annotations

import numpy as np

from gesta.schema import Camera, HandFrame, Resource
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.drawing import BAR, MARGIN, SIDE, Hand, cloud_of, depth_bar

CAMERA = Camera(200.0, 200.0, 80.0, 60.0)
CUBE = Cube(CAMERA, (0.0, 0.0, 600.0), 300.0)


def plane(tmp_path) -> tuple[Hand, np.ndarray]:
    """A plane that goes from 480 mm on the left to 720 mm on the right."""
    depth = np.tile(np.linspace(480, 720, 160, dtype=np.float32), (120, 1))
    frame = HandFrame("f", Resource(tmp_path / "no.png"), CAMERA)
    return Hand(frame, CUBE, ("a",), None, np.zeros((1, 3))), depth


def test_points_have_the_color_that_the_bar_has_at_their_depth(tmp_path) -> None:
    cloud = cloud_of(*plane(tmp_path), tones="depth")
    bar = depth_bar(CUBE)[MARGIN:-MARGIN, 10].astype(int)  # rows 3
    assert depth_bar(CUBE).shape == (SIDE, BAR, 3)
    depth_mm = np.linspace(450, 750, len(bar))
    places = np.interp(600 + cloud.points_mm[:, 2], depth_mm, np.arange(len(bar))).round().astype(int)
    assert np.ptp(places) > len(bar) / 3
    assert np.abs(bar[places] - cloud.colors).max() <= 6  # a row of the bar is about a step of the scale


def test_without_color_natural_tones_are_gray(tmp_path) -> None:
    colors = cloud_of(*plane(tmp_path)).colors.astype(int)
    assert np.abs(colors[:, 0] - colors[:, 2]).max() < 60
    near, far = colors[0].sum(), colors[-1].sum()
    assert near != far
