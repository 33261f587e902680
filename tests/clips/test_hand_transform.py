"""The hand transform and the windows: what a network gets, the way back, and what is left out, each with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from training.hand_sets import CAMERA, make_hands

from gesta.schema import GestaError, HandFrame, Resource
from gesta.tasks.hands.cache import collect
from gesta.tasks.hands.cube import vary
from gesta.tasks.hands.transform import HandTransform, preprocess_hand, preprocess_images

DEPTH = HandTransform(size=32, cube_mm=240)
COLOR = HandTransform(
    inputs="rgbd", size=32, cube_mm=240, color_mean=(20.0, 30.0, 40.0), color_deviation=(50.0, 40.0, 60.0)
)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[HandFrame, ...]:
    return make_hands(tmp_path_factory.mktemp("hands"), 6).frames


def test_there_and_back(frames: tuple[HandFrame, ...]) -> None:
    hand = preprocess_hand(frames[0], DEPTH)
    assert hand.image.shape == (1, 32, 32) and hand.image.dtype == np.float32
    assert frames[0].joints_mm is not None
    output = hand.cube.normalize(frames[0].joints_mm)
    assert np.abs(output).max() < 1
    np.testing.assert_allclose(hand.joints_mm(output), frames[0].joints_mm, atol=1e-3)
    np.testing.assert_allclose(hand.joints_uv(output), CAMERA.project(frames[0].joints_mm), atol=1e-3)


def test_channels_are_depth_then_standardized_color(frames: tuple[HandFrame, ...]) -> None:
    both = preprocess_hand(frames[0], COLOR).image
    alone = preprocess_hand(frames[0], COLOR.model_copy(update={"inputs": "rgb"})).image
    assert both.shape == (4, 32, 32) and alone.shape == (3, 32, 32)
    np.testing.assert_array_equal(both[:1], preprocess_hand(frames[0], DEPTH).image)
    np.testing.assert_array_equal(both[1:], alone)
    outside = np.abs(both[0]) == 1
    for plane, mean, deviation in zip(alone, COLOR.color_mean or (), COLOR.color_deviation or (), strict=True):
        np.testing.assert_allclose(plane[outside], -mean / deviation, rtol=1e-5)  # black, standardized
    unmasked = preprocess_hand(frames[0], COLOR.model_copy(update={"mask": False})).image
    assert not np.allclose(unmasked[1:, outside], both[1:, outside])


def test_the_center_given_the_datas_or_the_nearest_object(frames: tuple[HandFrame, ...]) -> None:
    given = preprocess_hand(frames[0], DEPTH, center_mm=(1.0, 2.0, 500.0))
    assert given.cube.center_mm == (1, 2, 500)
    assert frames[0].center_mm is not None and frames[0].joints_mm is not None
    assert np.allclose(preprocess_hand(frames[0], DEPTH).cube.center_mm, frames[0].center_mm)
    found = preprocess_hand(replace(frames[0], center_mm=None), DEPTH).cube.center_mm
    assert np.linalg.norm(found - frames[0].joints_mm.mean(0)) < 60


@pytest.mark.parametrize("transform", [DEPTH, COLOR], ids=["depth", "rgbd"])
def test_windows_give_what_the_transform_gives(
    frames: tuple[HandFrame, ...], transform: HandTransform, tmp_path: Path
) -> None:
    windows, kept, problems = collect(frames, transform, root=tmp_path)
    assert len(windows) == len(kept) == len(frames) and not problems
    for index, frame in enumerate(frames):
        np.testing.assert_allclose(
            windows.preprocessed(index, transform), preprocess_hand(frame, transform).image, atol=1e-6
        )


def test_wide_windows_hold_every_varied_cube(frames: tuple[HandFrame, ...], tmp_path: Path) -> None:
    """Cut from the wide window, a turned, moved and scaled cube shows what it shows cut from the image."""
    windows, _, _ = collect(frames, COLOR, wide=True, root=tmp_path)
    rng = np.random.default_rng(0)
    shares = []
    for index, frame in enumerate(frames):
        cube = vary(windows.cubes[index], rng, turn=40, shift_mm=6, scale=(0.9, 1.1))
        depth = cv2.imread(str(frame.depth.path), cv2.IMREAD_UNCHANGED).astype(np.float32)
        straight = cube.patch(depth, COLOR.size)
        shares.append(np.mean(np.abs(windows.preprocessed(index, COLOR, cube)[0] - straight) < 0.01))
    assert np.mean(shares) > 0.93  # nearest pixels of nearest pixels: only edges differ


def test_a_second_time_nothing_is_decoded(
    frames: tuple[HandFrame, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = collect(frames, DEPTH, root=tmp_path)
    monkeypatch.setattr("gesta.tasks.hands.cache._cut", None)
    second, _, _ = collect(frames, DEPTH, root=tmp_path)
    np.testing.assert_array_equal(first.depth_mm, second.depth_mm)
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(TypeError):
        collect(frames, DEPTH.model_copy(update={"cube_mm": 200.0}), root=tmp_path)  # another cube, other windows


def refused(frame: HandFrame, good: HandFrame, root: Path, transform: HandTransform = DEPTH) -> str:
    """The reason why `frame` is left out beside a good one."""
    windows, kept, problems = collect([frame, good], transform, root=root)
    assert [f.id for f in kept] == [good.id] and len(windows) == 1
    assert len(problems) == 1 and problems[0].path == str(frame.depth)
    return problems[0].reason


def test_what_cannot_be_used_is_listed_with_the_reason(frames: tuple[HandFrame, ...], tmp_path: Path) -> None:
    good, bad = frames[0], replace(frames[1], id="bad")
    nothing = replace(bad, center_mm=np.array([0, 0, 2000], np.float32))
    assert "empty" in refused(nothing, good, tmp_path / "a")
    border = replace(bad, center_mm=np.array([240, 0, 500], np.float32))
    assert "border" in refused(border, good, tmp_path / "b")
    assert bad.joints_mm is not None
    joints = bad.joints_mm.copy()
    joints[0, 0] = np.nan
    assert "not finite" in refused(replace(bad, joints_mm=joints), good, tmp_path / "c")


def test_image_of_another_size_than_the_cameras_is_told_as_such(frames: tuple[HandFrame, ...], tmp_path: Path) -> None:
    depth = cv2.imread(str(frames[0].depth.path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / "half.png"), depth[::2, ::2])
    small = replace(frames[0], depth=Resource(tmp_path / "half.png"))
    assert "the intrinsics look wrong for it: the principal point (40, 30)" in refused(small, frames[1], tmp_path)
    with pytest.raises(GestaError, match=r"half\.png: the intrinsics look wrong for it: .*40 x 30 image"):
        preprocess_hand(small, DEPTH)


def test_color_of_another_size_or_none(tmp_path: Path) -> None:
    first, second, third = make_hands(tmp_path / "hands", 3).frames
    assert second.color is not None
    image = cv2.imread(str(second.color.path))
    cv2.imwrite(str(second.color.path), cv2.resize(image, (40, 30)))
    assert "40 x 30" in refused(second, first, tmp_path / "a", COLOR)
    assert "no color image" in refused(replace(third, color=None), first, tmp_path / "b", COLOR)


def test_when_none_can_be_used(frames: tuple[HandFrame, ...], tmp_path: Path) -> None:
    nowhere = replace(frames[0], center_mm=np.array([0, 0, 2000], np.float32))
    with pytest.raises(GestaError, match=r"No hand frame can be used \(1 found\)"):
        collect([nowhere], DEPTH, root=tmp_path)


def test_color_that_a_model_needs_and_does_not_get() -> None:
    depth = np.full((60, 80), 500, np.float32)
    with pytest.raises(GestaError, match="needs color"):
        preprocess_images(depth, None, CAMERA, COLOR)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"color_mean": (1.0, 1.0, 1.0)}, "must be given together"),
        ({"color_mean": (1.0, 1.0, 1.0), "color_deviation": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"version": 99}, "newer"),
    ],
)
def test_specifications_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HandTransform(**settings)
