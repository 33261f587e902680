"""Joint sets, normalization that looks back only, missing joints, resampling and augmentation in joint space."""

import numpy as np
import pytest

from gesta.clips import skeleton_msr
from gesta.clips.skeleton_augment import SkeletonAugmentation, drop_joints, mirrored, rotation
from gesta.clips.skeleton_sets import (
    BLAZEPOSE_JOINTS,
    FAMILIES,
    HAND_JOINTS,
    TWO_HANDS_JOINTS,
    joint_set,
)
from gesta.clips.skeleton_space import Normalizer, SkeletonSpace, fill, resample, size_of, stretch, to_network
from gesta.schema import KINECT_JOINTS, GestaError


def people(frames=12, joints=KINECT_JOINTS, dimensions=3, seed=0):
    """A random skeleton that moves smoothly, in meters, 2 m away."""
    rng = np.random.default_rng(seed)
    body = rng.normal(0, 0.4, (len(joints), dimensions))
    drift = np.cumsum(rng.normal(0, 0.02, (frames, len(joints), dimensions)), axis=0)
    return (body + drift + np.eye(dimensions)[-1] * 2).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("kinect", 20),
        ("kinect2", 25),
        ("blazepose", 33),
        ("hand", 21),
        ("hands", 42),
        ("holistic", 75),
        ("sfinge3d", 20),
    ],
)
def test_each_set_is_found_in_any_order_and_its_bones_join_all(name, count):
    names = list(FAMILIES[name].joints)
    np.random.default_rng(0).shuffle(names)
    found = joint_set(names)
    assert (found.name, len(found.joints)) == (name, count)
    assert [found.mirror[i] for i in found.mirror] == list(range(count))  # swapping twice changes nothing
    groups = {i: i for i in range(count)}
    for a, b in found.edges:
        groups = {i: groups[a] if g == groups[b] else g for i, g in groups.items()}
    separate = {"hands": 2, "blazepose": 3, "holistic": 3}  # the mouth and the face hang on no bone
    assert len(set(groups.values())) == separate.get(name, 1)
    assert len(found.edges) == len({frozenset(edge) for edge in found.edges})


def test_names_are_matched_whatever_their_style():
    assert joint_set([f"{b.lower()}_{a.lower()}" if b else a for a, b in map(_split, KINECT_JOINTS)]).name == "kinect"
    assert joint_set(skeleton_msr.JOINTS).name == "kinect"
    official = [n.upper().replace("_", "_FINGER_", 1) if n[0] != "w" else "WRIST" for n in HAND_JOINTS]
    assert joint_set(official).name == "hand"
    assert joint_set([n.upper() for n in BLAZEPOSE_JOINTS]).name == "blazepose"
    assert joint_set([n.replace("_hand", "") for n in TWO_HANDS_JOINTS]).name == "hands"


def _split(name):
    for side in ("Left", "Right", "Center"):
        if name.endswith(side):
            return name.removesuffix(side), side
    return name, ""


def test_mirror_swaps_partners_by_name():
    kinect = joint_set(KINECT_JOINTS)
    pairs = [(KINECT_JOINTS[i], KINECT_JOINTS[j]) for i, j in enumerate(kinect.mirror)]
    assert ("HandLeft", "HandRight") in pairs and ("Head", "Head") in pairs
    hands = joint_set(TWO_HANDS_JOINTS)
    assert hands.mirror == tuple(range(21, 42)) + tuple(range(21))
    assert joint_set(["a", "LEFT_x", "RIGHT_x"]).mirror == (0, 2, 1)


def test_unknown_and_impossible_sets():
    other = joint_set(["tip", "left_ear", "right_ear"])
    assert (other.name, other.edges, other.mirror) == ("other", (), (0, 2, 1))
    for names, message in (([], "there is no joint"), (["a", "b", "a"], "a is named twice")):
        with pytest.raises(GestaError, match=message):
            joint_set(names)


def space(**changes):
    return SkeletonSpace(**{"joints": KINECT_JOINTS} | changes)


def test_origin_and_scale_by_hand():
    skeleton = people()
    hip, shoulders = KINECT_JOINTS.index("HipCenter"), KINECT_JOINTS.index("ShoulderCenter")
    found = Normalizer(space())(skeleton)
    lengths = np.linalg.norm(skeleton[:, shoulders] - skeleton[:, hip], axis=1)
    mean_so_far = np.cumsum(lengths) / np.arange(1, len(lengths) + 1)
    expected = (skeleton - skeleton[:, hip : hip + 1]) / mean_so_far[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    first = Normalizer(space(origin="first", scale="first"))(skeleton)
    np.testing.assert_allclose(first, (skeleton - skeleton[0, hip]) / lengths[0], atol=1e-5)
    np.testing.assert_array_equal(Normalizer(space(origin="none", scale="none"))(skeleton), skeleton)


@pytest.mark.parametrize("changes", [{}, {"origin": "first"}, {"scale": "first", "view": "first"}])
def test_place_and_size_of_the_person_change_nothing(changes):
    skeleton = people()
    near = Normalizer(space(**changes))(skeleton)
    far = Normalizer(space(**changes))(skeleton * 1.7 + np.float32([0.5, 0.1, 2.0]))
    np.testing.assert_allclose(near, far, atol=1e-4)


def test_view_takes_a_turn_about_the_vertical_out():
    skeleton = people()
    turned = (skeleton @ rotation(0.7)).astype(np.float32)
    view = space(view="first")
    np.testing.assert_allclose(Normalizer(view)(turned), Normalizer(view)(skeleton), atol=1e-4)
    left, right = (Normalizer(view)(skeleton)[0, KINECT_JOINTS.index(f"Shoulder{s}")] for s in ("Left", "Right"))
    assert right[0] > left[0] and abs(right[2] - left[2]) < 1e-5


@pytest.mark.parametrize("changes", [{}, {"origin": "first", "scale": "first", "view": "first"}])
def test_frame_by_frame_equals_whole(changes):
    skeleton = people(30)
    skeleton[:3] = np.nan
    skeleton[10:14, ::3] = np.nan
    skeleton[20:22] = np.nan
    stream = Normalizer(space(**changes))
    pieces = np.concatenate([stream(skeleton[i : i + 1]) for i in range(30)])
    np.testing.assert_array_equal(pieces, Normalizer(space(**changes))(skeleton))
    stream.reset()
    np.testing.assert_array_equal(stream(skeleton), pieces)


def test_missing_joints_stay_missing_and_hold_the_others():
    skeleton = people()
    lost = skeleton.copy()
    lost[4:, KINECT_JOINTS.index("HipCenter")] = np.nan
    found = Normalizer(space(origin="first"))(lost)
    whole = Normalizer(space(origin="first", scale="first"))(skeleton)
    assert np.isnan(found[4:, 0]).all() and np.isfinite(found[:, 1:]).all()
    np.testing.assert_allclose(Normalizer(space(origin="first", scale="first"))(lost)[:, 1:], whole[:, 1:], atol=1e-5)
    nothing = Normalizer(space())(np.full((3, 20, 3), np.nan))
    assert nothing.shape == (3, 20, 3) and np.isnan(nothing).all()
    assert Normalizer(space())(np.zeros((0, 20, 3))).shape == (0, 20, 3)


def test_a_joint_with_one_missing_coordinate_or_little_confidence_is_missing():
    skeleton = people(2)
    skeleton[0, 3, 1] = np.nan
    confidence = np.ones((2, 20))
    confidence[1, 5] = 0.2
    found = Normalizer(space(least_confidence=0.5))(skeleton, confidence)
    assert np.isnan(found[0, 3]).all() and np.isnan(found[1, 5]).all()
    assert np.isfinite(found).all(axis=-1).sum() == 38


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected a skeleton T 20 3"):
        Normalizer(space())(np.zeros((4, 21, 3)))


def test_size_of_two_hands_counts_those_that_are_there():
    hands = joint_set(TWO_HANDS_JOINTS)
    frame = np.full((42, 2), np.nan)
    assert size_of(frame, hands) == 0
    frame[[0, 9]] = [[0, 0], [3, 4]]
    assert size_of(frame, hands) == 5


def test_fill_holds_the_last_position_and_network_order_pads_with_zeros():
    skeleton = np.arange(8, dtype=np.float32).reshape(4, 1, 2)
    skeleton[[0, 2]] = np.nan
    filled, mask = fill(skeleton)
    assert filled[:, 0].tolist() == [[0, 0], [2, 3], [2, 3], [6, 7]]
    assert mask[:, 0].tolist() == [False, True, False, True]
    batch, masks, lengths = to_network([skeleton, skeleton[:2]])
    assert batch.shape == (2, 4, 1, 2) and lengths.tolist() == [4, 2]
    assert not batch[1, 2:].any() and not masks[1, 2:].any()


def test_resampling_takes_the_latest_frame_that_has_come():
    skeleton = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    times = np.array([10.0, 10.1, 10.1, 10.35, 10.4])
    assert resample(skeleton, times, 10)[:, 0, 0].tolist() == [0, 2, 2, 2, 4]
    assert resample(skeleton, np.arange(5) / 30, 30)[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert resample(skeleton[:0], [], 30).shape == (0, 1, 1)
    with pytest.raises(ValueError, match="5 times"):
        resample(skeleton, times[::-1], 10)


def test_stretching_by_hand():
    skeleton = np.array([0, 1, np.nan, 3], np.float32).reshape(4, 1, 1)
    np.testing.assert_allclose(stretch(skeleton, 7)[:, 0, 0], [0, 0.5, 1, np.nan, np.nan, np.nan, 3])
    assert stretch(skeleton, 1)[:, 0, 0].tolist() == [0]


def test_mirroring_twice_is_nothing_and_once_swaps_hands():
    kinect = joint_set(KINECT_JOINTS)
    skeleton = people()
    np.testing.assert_array_equal(mirrored(mirrored(skeleton, kinect), kinect), skeleton)
    left, right = KINECT_JOINTS.index("HandLeft"), KINECT_JOINTS.index("HandRight")
    np.testing.assert_array_equal(mirrored(skeleton, kinect)[:, left], skeleton[:, right] * [-1, 1, 1])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_rotation_keeps_lengths_and_handedness(dimensions):
    matrix = rotation(0.5, 0.2, -0.3, dimensions=dimensions)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dimensions), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    if dimensions == 3:
        np.testing.assert_allclose([0, 1, 0] @ rotation(0.5), [0, 1, 0])


@pytest.mark.parametrize("dimensions", [2, 3])
def test_augmentation_stays_near_and_is_repeatable(dimensions):
    kinect = joint_set(KINECT_JOINTS)
    skeleton = Normalizer(space(dimensions=dimensions))(people(dimensions=dimensions))
    augment = SkeletonAugmentation(joint_dropout=0.2, noise=0.01)
    one, same, other = (augment(skeleton, kinect, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert one.shape[1:] == skeleton.shape[1:] and one.dtype == np.float32
    assert np.isnan(one).any() and (one.shape != other.shape or not np.array_equal(one, other, equal_nan=True))
    still = SkeletonAugmentation(turn_degrees=0, tilt_degrees=0, scale=0, shear=0, speed=0)
    np.testing.assert_allclose(still(skeleton, kinect, np.random.default_rng(0)), skeleton, atol=1e-6)


def test_speed_changes_the_length_within_its_bounds():
    augment = SkeletonAugmentation(speed=0.2)
    kinect = joint_set(KINECT_JOINTS)
    lengths = [len(augment(people(60), kinect, np.random.default_rng(seed))) for seed in range(40)]
    assert 50 <= min(lengths) < 55 and 66 < max(lengths) <= 75


def test_frames_are_cut_off_at_both_ends_and_not_where_frames_have_labels():
    kinect, skeleton = joint_set(KINECT_JOINTS), people(60)
    augment = SkeletonAugmentation(turn_degrees=0, scale=0, speed=0, cut=0.2)
    cut = [augment(skeleton, kinect, np.random.default_rng(seed)) for seed in range(40)]
    firsts = {int(np.flatnonzero(np.isclose(skeleton[:, 0], one[0, 0]).all(-1))[0]) for one in cut}
    assert {0, 11} <= firsts <= set(range(12))
    assert 36 <= min(map(len, cut)) < 42 < 55 < max(map(len, cut)) <= 60
    assert len(augment.of_fixed_length(skeleton, kinect, np.random.default_rng(0))) == 60
    assert len(augment(skeleton[:1], kinect, np.random.default_rng(0))) == 1


def test_dropped_joints_are_about_as_many_as_told():
    lost = [
        np.isnan(drop_joints(people(), 0.3, np.random.default_rng(seed))).all(-1).any(0).mean() for seed in range(50)
    ]
    assert 0.2 < np.mean(lost) < 0.4
    assert not np.isnan(drop_joints(people(), 0.0, np.random.default_rng(0))).any()
