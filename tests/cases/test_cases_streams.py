"""Frames pushed by hand: what cannot be used is named, and drawing over a video with a pause keeps its clock."""

from __future__ import annotations

import numpy as np
import pytest
from cases import odd_videos as odd
from cases.shared_cases import case

import gesta
from gesta.clips.plane import RawFrame
from gesta.clips.read import iter_raw_sample
from gesta.schema import Frame, GestaError, Resource
from gesta.tasks.features.stream import SequenceStream

RGB = np.zeros((48, 64, 3), np.uint8)
GRAY = np.zeros((48, 64), np.uint8)

ODD = {
    "empty": (Frame(0.2, color=np.zeros((0, 0, 3), np.uint8)), r"color is uint8 \[0, 0, 3\]"),
    "empty gray": (Frame(0.2, gray=np.zeros((0, 0), np.uint8)), r"gray is uint8 \[0, 0\]"),
    "floats": (Frame(0.2, color=RGB.astype(np.float32)), "color is float32"),
    "a list": (Frame(0.2, color=[[0]]), "color is list"),  # type: ignore[arg-type]
    "four channels": (Frame(0.2, color=np.zeros((48, 64, 4), np.uint8)), r"color is uint8 \[48, 64, 4\]"),
    "gray as color": (Frame(0.2, color=GRAY), r"color is uint8 \[48, 64\]"),
    "depth of floats": (Frame(0.2, gray=GRAY, depth_mm=GRAY.astype(float)), "depth_mm is float64"),
    "mask of numbers": (Frame(0.2, gray=GRAY, mask=GRAY), "mask is uint8"),
    "nothing": (Frame(0.2), "has no image"),
    "a string": ("frame.png", "is a str"),
    "None": (None, "is a NoneType"),
    "time NaN": (Frame(float("nan"), color=RGB), "has the time nan"),
    "time None": (Frame(None, color=RGB), "has the time None"),  # type: ignore[arg-type]
    "time in words": (Frame("soon", color=RGB), "has the time 'soon'"),  # type: ignore[arg-type]
    "time endless": (Frame(float("inf"), color=RGB), "has the time inf"),
    "raw and empty": (RawFrame(0.2), "has no image"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_frame_is_named(name):
    frame, why = ODD[name]
    stream = gesta.load("demo").open_stream()
    stream.push(Frame(0.0, color=RGB))
    stream.push(Frame(0.1, color=RGB))
    with pytest.raises(GestaError, match=f"Frame 3 of the stream.*{why}"):
        stream.push(frame)
    stream.reset()
    assert stream.push(Frame(5.0, color=RGB)) == []  # it can be used again


@pytest.mark.parametrize("name", [name for name in ODD if "raw" not in name and name not in ("empty gray",)])
def test_an_odd_frame_is_named_by_a_feature_classifier(name, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("gesta.tasks.features.stream.kept_every", lambda _manifest: 1)
    backbone = SimpleNamespace(size=32, letterbox=False, window=1, features=2)
    manifest = SimpleNamespace(backbone=backbone, labels=("a", "b"))
    stream = SequenceStream(lambda _f: np.zeros((1, 2), np.float32), lambda _f: np.array([[0.5, 0.5]]), manifest)
    frame, why = ODD[name]
    stream.push(Frame(0.0, color=RGB))
    with pytest.raises(GestaError, match=f"Frame 2 of the stream.*{why}"):
        stream.push(frame)


def test_images_without_times_are_named_too():
    model = gesta.load("demo")
    for images in ([RGB, RGB, np.zeros((0, 0, 3), np.uint8)], [RGB, RGB, "x"], [RGB, RGB, RGB.astype(float)]):
        with pytest.raises(GestaError):
            list(model.stream(images))


def test_the_network_sees_the_same_over_a_pause_as_before():
    """A pause counts as one of two seconds, as it did: only the clock is another."""
    from gesta.clips.preprocess import Preprocessor
    from gesta.clips.transform import Transform

    def preprocessed(pause_s):
        preprocessor = Preprocessor(
            Transform(fps=10, streams=("body",), channels=("gray", "gray_difference"), body="frame")
        )
        times = [*np.arange(10) / 10, *(0.9 + pause_s + np.arange(10) / 10)]
        parts = [
            preprocessor.push(Frame(float(t), gray=np.full((16, 16), 10 * n, np.uint8))) for n, t in enumerate(times)
        ]
        return np.concatenate([*parts, preprocessor.flush()])

    np.testing.assert_array_equal(preprocessed(2), preprocessed(10))


def test_annotations_follow_the_frames_clock(tmp_path):
    """Each frame carries the prediction of its own chunk, also behind a pause."""
    from gesta.clips.annotated import VideoWriter
    from gesta.tasks.clips.annotate import annotate

    times = [*(33 * n for n in range(30)), *(11000 + 33 * n for n in range(30))]
    path = odd.write(tmp_path / "gap.mp4", 60, pts_ms=times, b_frames=0)
    written = []
    plain = VideoWriter.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            VideoWriter, "write", lambda self, t, image, p: (written.append((t, p.time_s)), plain(self, t, image, p))
        )
        list(annotate(gesta.load("demo"), odd.sample(path), tmp_path / "out.mp4"))
    assert [round(1000 * t) for t, _ in written] == pytest.approx(times, abs=1)
    chunk_s, tick_s = 0.4, 0.1
    for time_s, end_s in written:
        assert -tick_s <= end_s - time_s <= chunk_s + tick_s or (0.8 < time_s < 1 and end_s <= 3.0)
    assert odd.shown(tmp_path / "out.mp4")[1][-1] == pytest.approx(times[-1] / 1000, abs=0.01)


@pytest.mark.parametrize("way", ["whole", "stream", "annotate"])
def test_parts_that_the_model_does_not_look_at_may_be_broken(tmp_path, way):
    """The packaged model takes color alone: a color video in `depth`, or a torn skeleton, costs it nothing."""
    from gesta.tasks.clips.annotate import annotate

    color = odd.write(tmp_path / "a.mp4", 40, b_frames=0)
    torn = tmp_path / "s.csv"
    torn.write_text("1,2,3\n")
    short = odd.write(tmp_path / "short.mp4", 5, b_frames=0)
    sample = odd.sample(color, depth=Resource(short), skeleton=Resource(torn))
    model = gesta.load("demo")
    looks = {
        "whole": lambda s: [model.predict(s).label],
        "stream": lambda s: [(p.time_s, p.label) for p in model.stream(s)],
        "annotate": lambda s: [(p.time_s, p.label) for p in annotate(model, s, tmp_path / "out.mp4")],
    }
    assert looks[way](sample) == looks[way](odd.sample(color))


def test_a_stream_of_a_turned_video_sees_it_upright(tmp_path):
    path = odd.with_matrix(odd.write(tmp_path / "a.mp4", 20, b_frames=0), tmp_path / "b.mp4", 0, 1, -1, 0)
    frames = [frame.gray.whole() for frame in iter_raw_sample(odd.sample(path))]
    assert frames[0].shape == (odd.WIDTH, odd.HEIGHT)
    assert [odd.number_in(np.rot90(f)) for f in frames] == list(range(20))


def test_shared_pause_drawn(tmp_path):
    from gesta.clips.annotated import VideoWriter
    from gesta.tasks.clips.annotate import annotate

    written = []
    plain = VideoWriter.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            VideoWriter, "write", lambda self, t, image, p: (written.append((t, p.time_s)), plain(self, t, image, p))
        )
        list(annotate(gesta.load("demo"), odd.sample(case("long_static_gap/gap.mp4")), tmp_path / "out.mp4"))
    frame_s, end_s = min(written, key=lambda pair: abs(pair[0] - 10.99))
    assert abs(frame_s - 10.99) < 0.05 and 10.9 <= end_s <= 11.5
