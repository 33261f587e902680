"""Generated hands: limits, geometry, three views that agree with the reader's camera, sensor, files."""

import importlib.util
import time

import cv2
import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.sources import nyu
from gesta.sources.cameras import CAMERAS
from gesta.synthetic import nyu_hands
from gesta.synthetic.hand_model import JOINT_PARTS, LIMITS, Flesh, draw_pose, person, pose_hand
from gesta.synthetic.hand_render import NOTHING, render
from gesta.tasks.hands.cube import Cube
from gesta.tasks.hands.read import read_hand

NYU = CAMERAS["nyu"]
MIDDLE = np.array([0.0, 0.0, 800.0])


def test_poses_stay_within_the_limits_and_use_them():
    poses = [draw_pose(np.random.default_rng(i), MIDDLE) for i in range(300)]
    fingers, thumbs = np.array([p.fingers for p in poses]), np.array([p.thumb for p in poses])
    wrists = np.array([p.wrist for p in poses])
    for i, name in enumerate(("root_bend", "root_spread", "middle_bend", "end_bend")):
        low, high = LIMITS[name]
        assert (fingers[..., i] >= low).all() and (fingers[..., i] <= high).all()
        assert np.ptp(fingers[..., i]) > 0.7 * (high - low)
    for i, name in enumerate(("thumb_across", "thumb_out", "thumb_middle", "thumb_end")):
        assert LIMITS[name][0] <= thumbs[:, i].min() < thumbs[:, i].max() <= LIMITS[name][1]
    for i, name in enumerate(("wrist_bend", "wrist_deviation")):
        assert LIMITS[name][0] <= wrists[:, i].min() < wrists[:, i].max() <= LIMITS[name][1]
    turns = np.array([p.turn for p in poses])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.eye(3)[None].repeat(300, 0), atol=1e-9)
    directions = turns[:, :, 2]  # of the palm: to the camera, away, to the sides
    assert directions[:, 2].min() < -0.8 and directions[:, 2].max() > 0.8


def test_bones_keep_their_length_whatever_the_pose():
    shape = person(np.random.default_rng(0))
    joints = np.array([pose_hand(shape, draw_pose(np.random.default_rng(i), MIDDLE))[0] for i in range(30)])
    for a, b in [(0, 2), (2, 3), (3, 5), (18, 20), (24, 25), (25, 27), (27, 29), (30, 31), (31, 32), (5, 11)]:
        lengths = np.linalg.norm(joints[:, a] - joints[:, b], axis=1)
        assert np.ptp(lengths) < 1e-6 and 5 < lengths[0] < 100
    other = pose_hand(person(np.random.default_rng(1)), draw_pose(np.random.default_rng(0), MIDDLE))[0]
    assert abs(np.linalg.norm(other[0] - other[2]) - np.linalg.norm(joints[0, 0] - joints[0, 2])) > 0.1


def test_capsule_is_met_where_a_slow_search_along_the_ray_meets_it():
    flesh = Flesh(np.array([[-30.0, 10, 500]]), np.array([[40.0, -20, 560]]), np.array([15.0]), np.array([3]))
    image = render(flesh, NYU, (640, 480), (0, 0, -1))
    rows, columns = np.nonzero(image.parts == 3)
    a, b = flesh.a[0], flesh.b[0]
    for row, column in list(zip(rows, columns, strict=True))[:: max(len(rows) // 60, 1)]:
        ray = np.array([(column - NYU.cx) / NYU.fx, (NYU.cy - row) / NYU.fy, 1.0])
        points = np.arange(470, 600, 0.05)[:, None] * ray
        s = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        inside = np.linalg.norm(points - a - s[:, None] * (b - a), axis=1) <= 15
        if inside.any():
            assert image.depth_mm[row, column] == pytest.approx(points[inside.argmax(), 2], abs=0.2)
    assert len(rows) > 500 and (image.parts[~np.isfinite(image.depth_mm)] == NOTHING).all()


def on_their_own_part(joint_parts, poses=8):
    """[view] (visible joints on a part of their own, visible joints).

    A joint is visible where the surface lies at most one radius of its own flesh before it; other flesh that hides it
    lies further before, and flesh that should not be there is a miss.
    """
    found = np.zeros((3, 2), int)
    for i in range(poses):
        rng = np.random.default_rng([0, i])
        pose, shape = draw_pose(rng, MIDDLE), person(rng)
        for view in range(3):
            joints, flesh = nyu_hands._seen_from(view, *pose_hand(shape, pose))
            whole = render(flesh, NYU, nyu_hands.SIZE, (0, 0, -1))
            for (u, v), z, parts in zip(
                np.rint(NYU.project(joints)).astype(int), joints[:, 2], joint_parts, strict=True
            ):
                radius = flesh.radii[np.isin(flesh.parts, parts)].max()
                if 0 <= u < 640 and 0 <= v < 480 and z - whole.depth_mm[v, u] <= radius + 1:
                    found[view] += whole.parts[v, u] in parts, 1
    return found


def test_visible_joints_fall_on_their_own_part_in_all_views():
    hit, seen = on_their_own_part(JOINT_PARTS).T
    assert (seen > 100).all() and (hit == seen).all()
    fingers_turned = [*JOINT_PARTS[6:24], *JOINT_PARTS[:6], *JOINT_PARTS[24:]]
    hit, seen = on_their_own_part(fingers_turned, poses=2).T
    assert (hit < 0.8 * seen).all()


def test_views_are_one_hand_seen_from_three_places():
    rng = np.random.default_rng(0)
    scene = nyu_hands.draw_scene(nyu_hands.draw_person(rng), rng)
    distances = [np.linalg.norm(j[:, None] - j[None], axis=-1) for j in scene.joints_mm]
    np.testing.assert_allclose(distances[1], distances[0], atol=1e-9)
    np.testing.assert_allclose(distances[2], distances[0], atol=1e-9)
    assert np.abs(scene.joints_mm[1] - scene.joints_mm[2]).max() > 20


@pytest.mark.integration
def test_written_set_is_read_like_the_original(tmp_path):
    assert nyu_hands.make(tmp_path / "a", images=10, seed=3) == ["train", "test"]
    listing = nyu.read(tmp_path / "a", views=(1, 2, 3))
    assert len(listing.frames) == 36 and not listing.problems
    assert [f.subject for f in listing.frames if f.split == "test" and f.view == 1] == ["1", "2"]
    errors, noise = [], []
    for frame in listing.frames:
        depth, color = read_hand(frame, color=True)
        assert depth.shape == (480, 640) and (color[depth == 0] == 0).all() and (depth == 0).any()
        cube = Cube(frame.camera, tuple(map(float, frame.center_mm)))
        assert cube.patch(depth).min() < 0.5
        errors.append(np.abs(cube.restore(cube.normalize(frame.joints_mm)) - frame.joints_mm).max())
        u, v = np.rint(frame.camera.project(frame.joints_mm)).astype(int).T
        noise.append(np.median(frame.joints_mm[:, 2] - depth[np.clip(v, 0, 479), np.clip(u, 0, 639)]))
    assert max(errors) < 1e-3
    assert 0 < np.median(noise) < 30  # joints lie behind the surface
    nyu_hands.make(tmp_path / "b", images=5, seed=3)
    for path in sorted((tmp_path / "b" / "train").glob("*.png")):
        assert path.read_bytes() == (tmp_path / "a" / "train" / path.name).read_bytes()


@pytest.mark.integration
def test_several_people_in_the_training_part(tmp_path):
    nyu_hands.make(tmp_path / "a", images=10, people=3, seed=3)
    listing = nyu.read(tmp_path / "a")
    of = {part: [f.subject for f in listing.frames if f.split == part] for part in ("train", "test")}
    assert of == {"train": [*"1111222333"], "test": ["1", "4"]}
    nyu_hands.make(tmp_path / "one", images=5, seed=3)  # the first person is the same one
    name = "train/depth_1_0000001.png"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    with pytest.raises(GestaError, match="at least 12"):
        nyu_hands.make(tmp_path / "b", images=10, people=12)


def test_sensor_adds_steps_noise_and_holes():
    rng = np.random.default_rng(0)
    scene = nyu_hands.draw_scene(nyu_hands.draw_person(rng), rng)
    hand = scene.views[0]
    depth = nyu_hands.HandSensor(rng, nyu_hands.SIZE).depth(hand, rng)
    on = (hand.parts != NOTHING) & (depth > 0)
    off = depth[on] - hand.depth_mm[on]
    assert 0.3 < off.std() < 5 and abs(off.mean()) < 1
    assert 0.0005 < (depth == 0).mean() < 0.05
    assert len(np.unique(depth[on])) < 0.8 * np.ptp(depth[on])  # steps wider than 1 mm


def test_rendering_is_faster_than_50_views_a_second():
    rng = np.random.default_rng(0)
    who, sensor = nyu_hands.draw_person(rng), nyu_hands.HandSensor(rng, nyu_hands.SIZE)
    start, views = time.process_time(), 0
    for _ in range(5):
        for hand in nyu_hands.draw_scene(who, rng).views:
            sensor.color(hand, sensor.depth(hand, rng), who.skin, who.sleeve, rng)
            views += 1
    assert views / (time.process_time() - start) > 50


def test_messages(tmp_path, monkeypatch):
    with pytest.raises(GestaError, match="expected at least 5"):
        nyu_hands.make(tmp_path, images=4)
    (tmp_path / "x").touch()
    with pytest.raises(GestaError, match="contains other files"):
        nyu_hands.make(tmp_path, images=5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    with pytest.raises(GestaError, match=r"needs scipy, .* pip install .*\[train\]'"):
        nyu_hands.make(tmp_path / "new", images=5)
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(GestaError, match="could not be encoded"):
        nyu_hands._write_png(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
