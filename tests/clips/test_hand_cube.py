"""The cube around a hand: by hand, backwards, and with the image that it is cut from."""

from pathlib import Path

import numpy as np
import pytest

from gesta.schema import Camera, GestaError, Resource
from gesta.tasks.hands.center import nearest_object
from gesta.tasks.hands.cube import Cube, hand_mask, standardize, vary
from gesta.tasks.hands.read import read_depth

NYU = Camera(588.03, 587.07, 320, 240)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "nyu_sample" / "depth_1_0000001.png"
CENTER = (40.0, -30.0, 800.0)


def blobs(camera, joints, radius=3, size=(480, 640)):
    """A depth image with a small square at each joint, of its depth, and a wall behind."""
    depth = np.full(size, 2000, np.float32)
    for u, v, z in zip(*camera.project(joints).T, joints[:, 2], strict=True):
        r, c = round(float(v)), round(float(u))
        depth[max(r - radius, 0) : r + radius + 1, max(c - radius, 0) : c + radius + 1] = z
    return depth


def spread_joints():
    """Far enough from each other that their squares do not touch."""
    offsets = [(-90, -80, 20), (0, -70, -40), (80, -60, 60), (-70, 30, -100), (10, 0, 0), (85, 90, 90), (-20, 95, 10)]
    return np.array(offsets, float) + CENTER


def test_values_by_hand():
    cube = Cube(Camera(100, 100, 32, 32), (0, 0, 1000), side_mm=320)
    depth = np.full((65, 65), 1000, np.float32)  # the cube covers 32 x 32 pixels around (32, 32)
    depth[30, 30], depth[32, 32], depth[32, 34], depth[34, 34] = 0, 1040, 1200, 500
    patch = cube.patch(depth, size=33)
    assert patch[14, 14] == 1 and patch[16, 16] == 0.25 and patch[16, 18] == 1 and patch[18, 18] == -1
    assert patch[0, 0] == 0
    np.testing.assert_allclose(cube.normalize([[0, 160, 1000], [-80, 0, 1160]]), [[0, 1, 0], [-0.5, 0, 1]])


@pytest.mark.parametrize("turn", [0.0, 30.0, -140.0])
def test_joints_come_back(turn):
    rng = np.random.default_rng(0)
    cube = Cube(NYU, CENTER, 260, turn)
    joints = np.asarray(CENTER) + rng.uniform(-130, 130, (50, 14, 3))
    np.testing.assert_allclose(cube.restore(cube.normalize(joints)), joints, atol=1e-6)
    as_stored = cube.normalize(joints).astype(np.float32)
    np.testing.assert_allclose(cube.restore(as_stored), joints, atol=1e-3)


@pytest.mark.parametrize("turn", [0.0, 50.0])
def test_depth_and_points_come_back(turn):
    """Each pixel of the patch gives the depth of the pixel it was taken from, and lies on its ray."""
    rng = np.random.default_rng(1)
    depth = rng.uniform(700, 900, (480, 640)).astype(np.float32)
    cube = Cube(NYU, CENTER, 300, turn)
    patch = cube.patch(depth)
    points = cube.points_mm(patch)
    uv = NYU.project(points.astype(np.float32))
    rows, columns = np.nonzero(hand_mask(patch))
    np.testing.assert_allclose(cube.depth_mm(patch)[rows, columns], points[:, 2])
    np.testing.assert_allclose(cube.to_patch(uv), np.column_stack([columns, rows]), atol=1e-2)
    near = np.abs(uv - np.rint(uv)).max(axis=1) < 0.4  # not between two pixels
    taken = np.rint(uv[near]).astype(int)
    np.testing.assert_allclose(points[near, 2], depth[taken[:, 1], taken[:, 0]], atol=1e-3)


def check_joints_lie_on_their_squares(cube, joints, depth, size=128):
    """Normalized joints, drawn into the patch with the cube's own geometry, meet the depth of their square."""
    patch = cube.patch(depth, size)
    normal = cube.normalize(joints)
    kept = 0
    for x, y, z in normal:
        distance = cube.center_mm[2] + z * cube.side_mm / 2  # mm from the camera
        world = np.array((x, y, z)) * cube.side_mm / 2 + cube.center_mm
        flat = Cube(cube.camera, cube.center_mm, cube.side_mm)  # normal coordinates are those of the turned image
        column, row = np.rint(flat.to_patch(cube.camera.project(world), size)).astype(int)
        if 0 <= row < size and 0 <= column < size and abs(z) < 1:
            assert patch[row, column] == pytest.approx((distance - cube.center_mm[2]) / (cube.side_mm / 2), abs=1e-4)
            kept += 1
    return kept


def test_augmentation_moves_the_joints_with_the_image():
    joints = spread_joints()
    depth = blobs(NYU, joints)
    rng = np.random.default_rng(2)
    cube = Cube(NYU, CENTER)
    assert check_joints_lie_on_their_squares(cube, joints, depth) == len(joints)
    seen = [check_joints_lie_on_their_squares(vary(cube, rng), joints, depth) for _ in range(40)]
    assert np.mean(seen) > 0.9 * len(joints)


def test_augmentation_is_exactly_inverted_and_repeatable():
    joints = spread_joints()
    cube = Cube(NYU, CENTER)
    for seed in range(20):
        one, two = (vary(cube, np.random.default_rng(seed)) for _ in range(2))
        assert one == two != cube
        np.testing.assert_allclose(one.restore(one.normalize(joints)), joints, atol=1e-6)
    still = vary(cube, np.random.default_rng(0), turn=0, shift_mm=0, scale=(1, 1))
    assert still == cube


def test_turn_is_counter_clockwise():
    """A joint to the right of the center goes above it."""
    x, y, _ = Cube(Camera(500, 500, 320, 240), (0, 0, 800), turn=90).normalize([[75, 0, 800]])[0]
    assert (x, y) == pytest.approx((0, 0.5))


def test_hand_at_the_border_is_padded():
    camera = Camera(100, 100, 32, 32)
    center = tuple(camera.unproject(np.array([2.0, 30.0, 1000.0])))
    patch = Cube(camera, center, side_mm=320).patch(np.full((65, 65), 1010, np.float32), size=32)
    assert (patch[:, :10] == 1).all() and (patch[:, 20:] == np.float32(10 / 160)).all()


def test_color_is_masked_and_standardized_and_back():
    cube = Cube(NYU, CENTER)
    depth = np.full((480, 640), 2000, np.float32)
    depth[200:300, 300:400] = 800
    color = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    patch = cube.patch(depth)
    masked = cube.color_patch(color, patch)
    assert masked.shape == (128, 128, 3) and (masked[~hand_mask(patch)] == 0).all() and masked[hand_mask(patch)].any()
    mean, deviation = masked.mean(axis=(0, 1)), masked.std(axis=(0, 1))
    standard = standardize(masked, mean, deviation)
    np.testing.assert_allclose(standard.mean(axis=(0, 1)), 0, atol=1e-4)
    np.testing.assert_allclose(standard.std(axis=(0, 1)), 1, atol=1e-4)
    np.testing.assert_allclose(standard * deviation + mean, masked, atol=1e-3)
    with pytest.raises(ValueError, match="positive"):
        standardize(masked, mean, (1, 0, 1))


@pytest.mark.parametrize("depth", [np.zeros((480, 640)), np.full((480, 640), 1500)])
def test_empty_cube(depth):
    with pytest.raises(GestaError, match=r"the cube of 300 mm around \(40, -30, 800\) mm is empty: 0 of 16384"):
        Cube(NYU, CENTER).patch(depth.astype(np.float32))


@pytest.mark.parametrize("center", [(0, 0, 0), (0, 0, -800), (np.nan, 0, 800)])
def test_center_that_cannot_be(center):
    with pytest.raises(GestaError, match="expected numbers with z in front of the camera"):
        Cube(NYU, center)


def test_side_that_cannot_be():
    with pytest.raises(GestaError, match="expected a positive length"):
        Cube(NYU, CENTER, 0)


def test_nearest_object_is_found_in_spite_of_specks():
    depth = np.full((480, 640), 1800, np.float32)
    depth[100:160, 200:260] = 750
    depth[300:400, 400:500] = 1000
    depth[10, 10] = 400  # a speck
    found = np.array(nearest_object(depth, NYU))
    surface = NYU.unproject(np.array([229.5, 129.5, 750]))
    np.testing.assert_allclose(found / found[2], surface / surface[2], atol=0.006)  # on the ray, to a few pixels
    assert 10 < found[2] - 750 < 30  # behind the surface that is seen


def arm(hand_end, elbow_depth=700.0):
    """A forearm across the image with a palm and three fingers at one end ("left" or "right"), before a wall."""
    depth = np.full((480, 640), 1600, np.float32)
    column = np.arange(640, dtype=np.float32)
    along = column / 640 if hand_end == "right" else 1 - column / 640
    surface = elbow_depth + 120 * along  # the elbow is nearest
    inside = np.zeros((480, 640), bool)
    inside[215:265, 150:490] = True
    palm = slice(400, 480) if hand_end == "right" else slice(160, 240)
    inside[200:280, palm] = True
    fingers = slice(480, 540) if hand_end == "right" else slice(100, 160)
    for top in (196, 230, 268):
        inside[top : top + 14, fingers] = True
    inside[:, :100] = False
    rows, columns = np.nonzero(inside)
    depth[rows, columns] = surface[columns]
    return depth


@pytest.mark.parametrize(("hand_end", "palm_u"), [("left", 200), ("right", 440)])
def test_center_lies_at_the_wide_end_of_an_arm_even_if_the_elbow_is_nearer(hand_end, palm_u):
    x, y, z = nearest_object(arm(hand_end), NYU)
    u, v = NYU.cx + NYU.fx * x / z, NYU.cy - NYU.fy * y / z
    assert abs(u - palm_u) < 35 and abs(v - 240) < 15  # 35 pixels: 48 mm


def test_an_arm_that_leaves_the_image_has_its_hand_at_the_other_end():
    depth = arm("right", elbow_depth=550.0)
    depth[170:310, 0:160] = 570  # a sleeve, wider than the hand, out of the image
    x, _, z = nearest_object(depth, NYU)
    assert abs(NYU.cx + NYU.fx * x / z - 440) < 40


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data/nyu_sample is not there")
def test_center_of_the_real_nyu_frame_holds_all_joints_in_the_cube():
    """The first test frame; truth: row 1 of nyu_eval's ground truth."""
    row = np.loadtxt(REAL.parents[1] / "nyu_eval" / "groundtruth" / "nyu_test_groundtruth_label.txt", max_rows=1)
    joints = NYU.unproject(row.reshape(14, 3))
    found = np.array(nearest_object(read_depth(Resource(REAL), "nyu"), NYU))
    assert np.linalg.norm(found - joints[13]) < 45 and (np.abs(joints - found) < 150).all()


def test_nothing_to_find():
    with pytest.raises(GestaError, match="shows no object"):
        nearest_object(np.zeros((48, 64), np.float32), NYU)
