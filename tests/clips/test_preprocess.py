from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clips.videos import gray_frames, moving_square, skeleton_csv, standing, write_video

from gesta.clips.preprocess import Preprocessor, highest_hand, preprocess, preprocess_recording
from gesta.clips.read import iter_sample
from gesta.clips.transform import Transform
from gesta.schema import KINECT_JOINTS, Frame, GestaError, Problem, Resource, Sample

GRAY = Transform(fps=20, streams=("body",), channels=("gray",), body="frame", smooth=False)


def sample(path, **more):
    return Sample(id="s", recording="s", color=Resource(path), **more)


def person(tmp_path, uv, count=12, **more):
    """A ChaLearn-like sample: color, depth, mask and skeleton."""
    path = write_video(tmp_path / "c.mkv", moving_square(count))
    depth = [np.full((96, 128), 2000, np.uint16) for _ in range(count)]
    mask = [np.zeros((96, 128, 3), np.uint8) for _ in range(count)]
    for m in mask:
        m[:, 40:90] = 255
    return sample(
        path,
        depth=Resource(write_video(tmp_path / "d.mkv", depth, pix_fmt="gray16le", source="gray16le")),
        mask=Resource(write_video(tmp_path / "m.mkv", mask)),
        skeleton=Resource(skeleton_csv(tmp_path / "s.csv", uv)),
        **more,
    )


def levels(pixels):
    """The brightest value of each frame of the first stream and channel."""
    return pixels[:, 0, :, :, 0].max(axis=(1, 2)).tolist()


def test_the_same_rate_takes_every_frame_once(tmp_path):
    clip = preprocess(sample(write_video(tmp_path / "a.mkv", gray_frames(10))), GRAY)
    assert clip.pixels.shape == (10, 1, 64, 64, 1)
    assert levels(clip.pixels) == [20 + 5 * i for i in range(10)]


def test_half_the_rate_takes_every_second_frame(tmp_path):
    clip = preprocess(sample(write_video(tmp_path / "a.mkv", gray_frames(9))), GRAY.model_copy(update={"fps": 10.0}))
    assert levels(clip.pixels)[:4] == [20, 30, 40, 50]


def test_irregular_time_stamps_are_resampled_by_time(tmp_path):
    stamps = [0, 50, 100, 300, 350]  # two frames missing after 100 ms, at 20 frames/s
    path = write_video(tmp_path / "a.mkv", gray_frames(5), pts_ms=stamps)
    assert levels(preprocess(sample(path), GRAY).pixels) == [20, 25, 30, 30, 30, 30, 35, 40]


def test_a_stalled_camera_repeats_its_last_frame_for_two_seconds_at_most():
    preprocessor = Preprocessor(GRAY)
    gray = np.full((48, 64), 100, np.uint8)
    parts = [preprocessor.push(Frame(time_s, gray=gray)) for time_s in (0.0, 0.05, 600.0, 600.05, 600.1)]
    assert len(np.concatenate([*parts, preprocessor.flush()])) == 1 + 2 * 20 + 3


def test_spans_in_frames_and_in_seconds_agree(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(20))
    by_frame = preprocess(sample(path, first_frame=5, last_frame=9), GRAY)
    by_time = preprocess(sample(path, start_s=0.25, end_s=0.5), GRAY)
    assert levels(by_frame.pixels) == [45, 50, 55, 60, 65]
    np.testing.assert_array_equal(by_frame.pixels, by_time.pixels)


def test_a_span_outside_the_video_is_named(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(5))
    with pytest.raises(GestaError, match="span"):
        preprocess(sample(path, first_frame=50, last_frame=60), GRAY)


def test_central_window_cuts_long_and_pads_short_clips(tmp_path):
    window = GRAY.model_copy(update={"sampling": "central", "window": 8})
    long = preprocess(sample(write_video(tmp_path / "a.mkv", gray_frames(20))), window)
    short = preprocess(sample(write_video(tmp_path / "b.mkv", gray_frames(5))), window)
    assert levels(long.pixels) == [20 + 5 * i for i in range(6, 14)]
    assert levels(short.pixels) == [20, 25, 30, 35, 40, 0, 0, 0]


def test_the_letter_box_keeps_the_aspect(tmp_path):
    image = np.full((32, 64, 3), 100, np.uint8)
    pixels = preprocess(sample(write_video(tmp_path / "a.mkv", [image] * 4)), GRAY).pixels[0, 0, :, :, 0]
    assert (pixels[:16] == 0).all() and (pixels[48:] == 0).all() and (pixels[17:47] == 100).all()


def test_difference_is_128_where_nothing_moves(tmp_path):
    t = GRAY.model_copy(update={"channels": ("gray", "gray_difference")})
    still = preprocess(sample(write_video(tmp_path / "a.mkv", [gray_frames(1)[0]] * 5)), t)
    assert (still.pixels[..., 1][:, :, 10:50] == 128).all()
    rising = preprocess(sample(write_video(tmp_path / "b.mkv", gray_frames(5))), t)
    assert (rising.pixels[1:, 0, 32, 32, 1] == 128 + 4 * 5).all()


def test_the_body_crop_follows_equation_3_1(tmp_path):
    uv = standing(4, hip=(64, 60), h=24)
    t = Transform(fps=20, streams=("body",), channels=("depth",), mask=False, smooth=False)
    s = person(tmp_path, uv, 4)
    # h = 24: columns 40..88, rows 26.4..76.8 lie inside the image: no zero anywhere
    assert (preprocess(s, t).pixels > 0).all()
    # moved up by 40: the box starts at row -13.6 and its top part is outside
    moved = person(tmp_path, uv - np.array([0, 40], np.float32), 4)
    crop = preprocess(moved, t).pixels[0, 0, :, :, 0]
    assert (crop[:16] == 0).all() and (crop[20:] > 0).all()


def test_parts_of_other_lengths_are_refused_but_two_frames_do_not_matter(tmp_path):
    t = Transform(fps=20, streams=("body",), channels=("gray", "depth"))
    assert len(preprocess(person(tmp_path, standing(10), count=12), t).pixels) == 10
    with pytest.raises(GestaError, match=r"s.csv: has 8 frames, but the video is longer"):
        preprocess(person(tmp_path, standing(8), count=12), t)
    s = person(tmp_path, standing(20), count=12)
    write_video(tmp_path / "c.mkv", moving_square(20))
    with pytest.raises(GestaError, match="the gray video continues after another one has ended"):
        preprocess(s, t)


def test_gestures_before_a_cut_and_mostly_inside_are_kept(tmp_path):
    path = write_video(tmp_path / "a.avi", moving_square(40), codec="mpeg4", pix_fmt="yuv420p")
    spans = [(0, 9), (10, 19), (30, 45), (36, 60)]
    samples = [replace(sample(path), id=f"g{a}", first_frame=a, last_frame=b) for a, b in spans]
    found = list(preprocess_recording(samples, GRAY))
    assert [len(c.pixels) for c in found[:3]] == [10, 10, 10]
    assert "g36: the recording has 4 frames in its span. Correct the label's" in str(found[3])
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"idx1") - 500])
    whole, *rest = preprocess_recording(samples[:1] + samples[2:], GRAY)
    assert len(whole.pixels) == 10 and all(isinstance(p, Problem) for p in rest)


def test_the_highest_hand_is_that_of_the_span_in_frames_or_seconds(tmp_path):
    joints = standing(40)
    joints[:20, KINECT_JOINTS.index("HandLeft"), 1] = 10
    joints[20:, KINECT_JOINTS.index("HandRight"), 1] = 5
    s = person(tmp_path, joints, count=40)
    spans = [{}, {"first_frame": 0, "last_frame": 19}, {"start_s": 0.0, "end_s": 1.0}, {"start_s": 1.0, "end_s": 2.0}]
    assert [highest_hand(replace(s, **span)) for span in spans] == ["right", "left", "left", "right"]


def test_mask_gives_zero_outside_the_person(tmp_path):
    t = Transform(fps=20, streams=("body",), channels=("gray", "depth"), smooth=False)
    s = person(tmp_path, standing(4, hip=(48, 60)), count=4)
    crop = preprocess(s, t).pixels[0, 0]
    assert (crop[:, :18] == 0).all()  # the box starts at column 24, the person at column 40
    assert (crop[:, 24:] > 0).all()
    bare = preprocess(s, t.model_copy(update={"mask": False})).pixels[0, 0]
    assert (bare[:, :18] > 0).all()


def test_depth_is_scaled_around_the_person():
    t = Transform(fps=20, streams=("body",), channels=("depth",), smooth=False)
    preprocessor = Preprocessor(t)
    depth = np.full((96, 128), 2000, np.uint16)
    depth[60:62] = 1200  # 800 mm in front: 255
    depth[64:66] = 2800  # 800 mm behind: 1
    depth[68:70] = 0  # no reading
    preprocessor.push(Frame(0.0, depth_mm=depth, joints_uv=standing(1)[0]))
    crop = preprocessor.flush()[0, 0, :, :, 0]
    assert crop.max() == 255 and crop.min() == 0 and np.median(crop) == 128


def test_the_highest_hand_of_the_clip_is_taken_and_mirrored(tmp_path):
    uv = standing(12)
    uv[6:8, 11, 1] = 20  # the right hand rises once
    s = person(tmp_path, uv)
    t = Transform(fps=20, channels=("gray",), mask=False, smooth=False)
    assert highest_hand(s) == "right"
    mirrored = preprocess(s, t).pixels
    plain = preprocess(s, t.model_copy(update={"mirror": False})).pixels
    np.testing.assert_array_equal(mirrored, plain[:, :, :, ::-1])


def test_only_the_span_decides_which_hand(tmp_path):
    uv = standing(12)
    uv[10, 11, 1] = 20
    assert highest_hand(person(tmp_path, uv, first_frame=0, last_frame=8)) == "left"


def test_the_highest_hand_so_far_switches_late_and_with_hysteresis(tmp_path):
    uv = standing(12)
    uv[:, 11, 1] = uv[0, 7, 1] - 1  # slightly higher: not enough to switch
    t = Transform(fps=20, channels=("gray",), mask=False, smooth=False, hand_rule="so_far")
    plain = t.model_copy(update={"mirror": False})
    s = person(tmp_path, uv)
    np.testing.assert_array_equal(preprocess(s, t).pixels, preprocess(s, plain).pixels)
    uv[6:, 11, 1] = 20
    s = person(tmp_path, uv)
    out, kept = preprocess(s, t).pixels, preprocess(s, plain).pixels
    np.testing.assert_array_equal(out[:6], kept[:6])
    np.testing.assert_array_equal(out[6:], kept[6:, :, :, ::-1])


def test_while_nobody_is_tracked_the_boxes_stay(tmp_path):
    uv = standing(12)
    uv[4:8] = np.nan
    t = Transform(fps=20, streams=("body",), channels=("depth",), mask=False, smooth=False)
    pixels = preprocess(person(tmp_path, uv), t).pixels
    np.testing.assert_array_equal(pixels[5], pixels[3])


def test_the_motion_box_closes_in_on_what_moves(tmp_path):
    t = Transform(fps=20, streams=("body",), channels=("gray",), body="motion", smooth=False)
    pixels = preprocess(sample(write_video(tmp_path / "a.mkv", moving_square(24))), t).pixels[:, 0, :, :, 0]
    share = (pixels > 150).mean(axis=(1, 2))
    whole = 16 * 16 / (128 * 128)
    assert share[-1] > 3 * whole  # the square fills far more of the crop than of the frame
    still = preprocess(sample(write_video(tmp_path / "b.mkv", [moving_square(1)[0]] * 8)), t).pixels
    assert ((still[:, 0, :, :, 0] > 150).mean() - whole) < 0.005  # nothing moves: the whole frame


def test_live_pushing_equals_preparing_the_file(tmp_path):
    uv = standing(11)
    uv[5:, 11, 1] = 20
    s = person(tmp_path, uv, 11)
    t = Transform(fps=20, channels=("gray", "depth_difference"), hand_rule="so_far", box_smoothing=0.5)
    preprocessor = Preprocessor(t)
    parts = [preprocessor.push(f) for f in iter_sample(s)]
    assert {len(p) for p in parts} == {0, 4}
    np.testing.assert_array_equal(np.concatenate([*parts, preprocessor.flush()]), preprocess(s, t).pixels)


def test_preparing_does_not_depend_on_the_future(tmp_path):
    t = Transform(fps=20, streams=("body",), channels=("gray",), body="motion", box_smoothing=0.8)
    frames = moving_square(24)
    whole = preprocess(sample(write_video(tmp_path / "a.mkv", frames)), t).pixels
    part = preprocess(sample(write_video(tmp_path / "b.mkv", frames[:13])), t).pixels
    np.testing.assert_array_equal(part[:12], whole[:12])


def test_several_spans_of_a_recording_equal_each_alone(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(30))
    spans = [(0, 9), (5, 14), (20, 29)]
    samples = [
        Sample(id=f"s{i}", recording="r", color=Resource(path), first_frame=a, last_frame=b)
        for i, (a, b) in enumerate(spans)
    ]
    together = {c.id: c.pixels for c in preprocess_recording(samples, GRAY)}
    for s in samples:
        np.testing.assert_array_equal(together[s.id], preprocess(s, GRAY).pixels)


def test_what_a_recording_lacks_is_a_problem_not_a_guess(tmp_path):
    path = write_video(tmp_path / "a.mkv", gray_frames(4))
    (problem,) = preprocess_recording([sample(path)], Transform(fps=20))
    assert isinstance(problem, Problem)
    assert "depth and skeleton" in problem.reason


def test_a_damaged_recording_keeps_the_spans_before_the_damage(tmp_path):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(40)]
    path = write_video(tmp_path / "a.avi", noise, codec="mjpeg", pix_fmt="yuvj420p")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples = [
        Sample(id=f"s{i}", recording="r", color=Resource(path), first_frame=i * 10, last_frame=i * 10 + 5)
        for i in range(4)
    ]
    results = list(preprocess_recording(samples, GRAY))
    assert len(results) == 4
    assert not isinstance(results[0], Problem) and isinstance(results[-1], Problem)


def test_a_transform_that_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="hand stream needs a skeleton"):
        Transform(fps=20, streams=("body", "hand"), body="motion")
    with pytest.raises(ValueError, match="newer"):
        Transform(fps=20, version=99)
