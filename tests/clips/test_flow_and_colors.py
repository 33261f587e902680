"""Color and flow channels: what they hold, that a stream equals the file, and that the others stay as they were."""

from __future__ import annotations

import numpy as np
import pytest
from clips.videos import moving_square, write_video

from gesta.clips.flow import BOUND_PX, STILL, flow_levels, flow_mirrored
from gesta.clips.preprocess import Preprocessor, preprocess
from gesta.clips.read import iter_raw_sample, iter_sample
from gesta.clips.transform import Transform
from gesta.schema import Frame, GestaError, Resource, Sample


def transform(*channels, body="frame", **more):
    return Transform(fps=20, streams=("body",), channels=channels, body=body, **more)


def textured(shift):
    """96 x 128 of smooth noise, moved to the right by whole pixels."""
    noise = np.random.default_rng(3).normal(size=(96, 160))
    kernel = np.hanning(9) / np.hanning(9).sum()
    for axis in (0, 1):
        noise = np.apply_along_axis(lambda line: np.convolve(line, kernel, mode="same"), axis, noise)
    levels = np.clip(128 + noise * 300, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(levels[:, 16 - shift : 144 - shift])


def test_flow_is_the_displacement_in_levels():
    levels = flow_levels(textured(0), textured(4))[16:-16, 16:-16]
    assert np.median(levels[..., 0]) == pytest.approx(STILL + 4 * 127 / BOUND_PX, abs=1.5)
    assert np.median(levels[..., 1]) == pytest.approx(STILL, abs=1.5)
    assert (flow_levels(textured(0), textured(0)) == STILL).all()


def test_a_mirror_turns_the_flow_around_and_leaves_what_is_outside():
    assert flow_mirrored(np.array([0, 1, 100, 128, 255], np.uint8)[:, None], ["flow_x"])[:, 0].tolist() == [
        0,
        255,
        156,
        128,
        1,
    ]


def test_colors_are_the_recordings_own_in_their_order(tmp_path):
    frames = [np.full((48, 64, 3), (200, 100, 20 + i), np.uint8) for i in range(6)]
    sample = Sample(id="s", recording="s", color=Resource(write_video(tmp_path / "a.mkv", frames)))
    pixels = preprocess(sample, transform("red", "green", "blue", "gray", smooth=False)).pixels[:, 0]
    middle = pixels[:, 32, 32].tolist()
    assert [m[:3] for m in middle] == [[200, 100, 20 + i] for i in range(6)]
    assert middle[0][3] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 20)


def test_a_square_that_goes_to_the_right_flows_to_the_right(tmp_path):
    sample = Sample(id="s", recording="s", color=Resource(write_video(tmp_path / "a.mkv", moving_square(12))))
    pixels = preprocess(sample, transform("flow_x", "flow_y")).pixels[:, 0].astype(int)
    assert (pixels[0] == STILL).all()
    strongest = pixels[1:, ..., 0].max(axis=(1, 2))
    assert (strongest > STILL + 4).all()  # 2 pixels a frame, halved by the crop
    assert pixels[1:, ..., 0].min() > STILL - 4


@pytest.mark.parametrize("body", ["frame", "motion"])
def test_a_stream_gives_what_the_file_gives(tmp_path, body):
    sample = Sample(id="s", recording="s", color=Resource(write_video(tmp_path / "a.mkv", moving_square(13))))
    wanted = transform("red", "green", "blue", "flow_x", "flow_y", body=body)
    whole = preprocess(sample, wanted).pixels
    for frames in (iter_raw_sample(sample, wanted.colored), iter_sample(sample, color=True)):
        preprocessor = Preprocessor(wanted)
        parts = [preprocessor.push(frame) for frame in frames]
        np.testing.assert_array_equal(np.concatenate([*parts, preprocessor.flush()]), whole)


def test_stacked_flow_is_between_the_recordings_own_frames():
    """Every fifth frame is kept, each moves by a pixel: the flows of a stack are a pixel each, between kept ones 5."""
    wanted = transform("gray", "flow_x", "flow_y", flow_stack=3)
    assert wanted.planes == ("gray", "flow_x", "flow_y", "flow_x", "flow_y", "flow_x", "flow_y")
    medians = {}
    for stack in (0, 3):
        preprocessor = Preprocessor(wanted.model_copy(update={"fps": 4.0, "size": 128, "flow_stack": stack}))
        parts = [preprocessor.push(Frame(i / 20, gray=textured(i))) for i in range(16)]
        pixels = np.concatenate([*parts, preprocessor.flush()])
        assert pixels.shape == (4, 1, 128, 128, 1 + 2 * (stack or 1))
        medians[stack] = np.median(pixels[:, 0, 40:88, 24:104, 1:].astype(int) - STILL, axis=(1, 2))
    pixel = 127 / BOUND_PX
    assert medians[0][1:3] == pytest.approx(np.array([[5 * pixel, 0]] * 2), abs=1.5)
    assert medians[3][1:3] == pytest.approx(np.array([[pixel, 0] * 3] * 2), abs=1.5)
    assert not medians[0][0].any() and not medians[3][0][4:].any()  # fewer than four frames were before


def test_a_stack_of_flow_must_be_the_last_channels():
    with pytest.raises(ValueError, match="end with flow_x, flow_y"):
        transform("flow_x", "flow_y", "gray", flow_stack=2)


def test_the_chosen_hands_mirror_turns_the_flow_around():
    wanted = Transform(fps=20, streams=("body",), channels=("gray", "flow_x", "flow_y"), hand_rule="clip")
    joints = np.zeros((20, 2), np.float32)
    joints[:] = (64, 48)
    joints[3] = (64, 8)  # the head: a box of 80 pixels around the middle
    found = {}
    for hand in ("left", "right"):
        preprocessor = Preprocessor(wanted, hand=hand)
        for i in range(2):
            preprocessor.push(Frame(i / 20, gray=textured(4 * i), joints_uv=joints))
        found[hand] = preprocessor.flush()[1, 0]
    assert (found["left"][..., 1] != STILL).any()
    np.testing.assert_array_equal(found["right"], flow_mirrored(found["left"][:, ::-1], wanted.planes))


def test_frames_without_colors_are_refused():
    preprocessor = Preprocessor(transform("red", "green", "blue"))
    with pytest.raises(GestaError, match="needs color"):
        for i in range(5):
            preprocessor.push(Frame(i / 20, gray=np.zeros((48, 64), np.uint8)))


def test_keys_of_the_other_channels_are_as_before():
    assert Transform(fps=20).version == 2
    assert Transform(fps=20).key() == KEY_OF_THE_DEFAULTS


KEY_OF_THE_DEFAULTS = "901577e402fc5299"
