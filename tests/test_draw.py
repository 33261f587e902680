"""Skeletons, labels and film strips: drawn where they belong, and not into the caller's image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gesta import draw
from gesta.clips import skeleton_msr
from gesta.clips.skeleton_files import read_skeletons
from gesta.schema import KINECT_JOINTS, Camera, Resource

MSR = Path(__file__).parents[2] / "shared" / "data" / "msr_action3d" / "skeletons"


def blank(height=120, width=160):
    return np.zeros((height, width, 3), np.uint8)


def upright():
    """J 2 pixels of a standing person, right hand raised."""
    places = {
        "Head": (80, 20), "ShoulderCenter": (80, 35), "Spine": (80, 55), "HipCenter": (80, 65),
        "Shoulder": (15, 38), "Elbow": (20, 55), "Wrist": (22, 68), "Hand": (23, 72),
        "Hip": (8, 68), "Knee": (9, 90), "Ankle": (9, 108), "Foot": (11, 112),
    }  # fmt: skip
    rows = []
    for name in KINECT_JOINTS:
        side = 1 if name.endswith("Left") else -1 if name.endswith("Right") else 0
        u, v = places[name.removesuffix("Left").removesuffix("Right")]
        rows.append((80 + side * u, v) if side else (u, v))
    return np.array(rows, np.float32)


def test_every_kinect_joint_is_in_a_bone():
    named = {draw.joint_key(name) for bone in draw.BONES for name in bone}
    assert named == {draw.joint_key(name) for name in KINECT_JOINTS}
    assert len(draw.BONES) == len(KINECT_JOINTS) - 1


def test_names_of_both_styles_draw_the_same():
    snake = [
        "_".join(reversed([w.lower() for w in name.replace("Left", " Left").replace("Right", " Right").split()]))
        if name.endswith(("Left", "Right"))
        else name.replace("Center", "_center").lower()
        for name in KINECT_JOINTS
    ]
    assert snake[7] == "left_hand"
    image = blank()
    drawn = draw.draw_skeleton(image, upright(), KINECT_JOINTS)
    assert np.array_equal(drawn, draw.draw_skeleton(image, upright(), snake))
    assert not image.any()
    assert tuple(drawn[72, 103]) == draw.LEFT
    assert tuple(drawn[72, 57]) == draw.RIGHT


def test_joints_that_are_not_tracked_are_not_drawn():
    nobody = np.full((20, 2), np.nan, np.float32)
    assert not draw.draw_skeleton(blank(), nobody, KINECT_JOINTS).any()
    far = np.full((20, 2), 1e9, np.float32)
    assert draw.draw_skeleton(blank(), far, KINECT_JOINTS).shape == (120, 160, 3)


@pytest.mark.skipif(not MSR.is_dir(), reason="../shared/data/msr_action3d is not here")
def test_msr_skeletons_are_drawn_by_the_same_code():
    frames = read_skeletons(Resource(MSR / "a01_s01_e01_skeleton3D.txt")).values
    uv = Camera(285.0, 285.0, 160.0, 120.0).project(frames[len(frames) // 2])
    drawn = draw.draw_skeleton(blank(240, 320), uv, skeleton_msr.JOINTS)
    rows, columns = drawn.any(axis=2).nonzero()
    assert 60 < rows.max() - rows.min() < 240
    assert columns.max() - columns.min() > 20


def test_label_strip_with_probability():
    image = np.full((120, 160, 3), 200, np.uint8)
    half = draw.draw_label(image, "città 你好", 0.5)
    assert np.array_equal(half[:100], image[:100])
    bar = (half[-1] == draw.LEFT).all(axis=1)
    assert bar[:78].all()
    assert not bar[84:].any()
    assert (draw.draw_label(image, "x" * 200)[-1] == 50).all()


def test_film_strip_takes_first_and_last():
    frames = [np.full((24, 32, 3), i, np.uint8) for i in range(10)]
    strip = draw.film_strip(frames, n=4, height=12)
    assert strip.shape == (12, 4 * 16 + 3 * 2, 3)
    assert [int(strip[6, 8 + i * 18, 0]) for i in range(4)] == [0, 3, 6, 9]
    assert draw.film_strip(frames[:2], n=4, height=24).shape == (24, 66, 3)
    with pytest.raises(ValueError, match="at least one frame"):
        draw.film_strip([])


def test_depth_image_shows_near_bright_and_holes_black():
    depth = np.array([[0, 1000], [2000, 3000]], np.uint16)
    gray = draw.depth_image(depth)[..., 0]
    assert gray[0, 0] == 0
    assert gray[0, 1] > gray[1, 0] > gray[1, 1] > 0
    assert not draw.depth_image(np.zeros((2, 2), np.uint16)).any()
    assert draw.jpeg(blank())[:3] == b"\xff\xd8\xff"


def test_depth_image_gives_the_brighter_grays_to_what_matters():
    depth = np.array([[700.0, 850, 1000, 1500, 1900, 0]])
    grays = draw.depth_image(depth, between=(700, 1000))[0, :, 0].tolist()
    assert grays[0] == 255 and grays[2] == 155 and grays[5] == 0
    assert grays[:5] == sorted(set(grays[:5]), reverse=True)
