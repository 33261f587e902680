"""Continuous recognizers of clips: passages, windows, a training on tiny videos, its bundle, events and report."""

import base64
import json

import cv2
import numpy as np
import pytest

from gesta.clips.transform import Transform
from gesta.metrics_events import Event
from gesta.schema import GestaError, Resource, Sample
from gesta.sources import catalog
from gesta.tasks.clips.continuous import IGNORED, Windows, chunk_classes
from gesta.tasks.clips.passages import Passage, passages
from gesta.tasks.clips.recipe import AugmentationSettings
from gesta.tasks.clips.spot import _strips
from gesta.tasks.events import Seen
from gesta.tasks.events_report import stretches

FPS = 10.0
TRANSFORM = Transform(fps=FPS, size=16, streams=("body",), channels=("gray",), body="frame", chunk=4)


def write(path, label, seed):
    """A bright square that goes right ("right") or down ("down") over a dark picture, for 1.6 s."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (32, 32))
    for n in range(16):
        frame = rng.integers(0, 30, (32, 32, 3)).astype(np.uint8)
        at = 2 * n if label != "none" else 0
        x, y = (at, 12) if label == "right" else (12, at)
        frame[y : y + 8, x : x + 8] = 220
        out.write(frame)
    out.release()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("continuous") / "data"
    rows = ["path,label,subject"]
    for person in range(4):
        for label in ("right", "down", "none"):
            for take in range(2):
                name = f"{label}/p{person}_{take}.avi"
                write(root / name, label, 10 * person + take)
                rows.append(f"{name},{label},p{person}")
    (root / "index.csv").write_text("\n".join(rows) + "\n")
    return root


def test_the_class_of_frames_and_chunks():
    ends = np.array([0.4, 0.8, 1.2])
    passage = Passage("a", np.zeros((12, 1), np.uint8), ends, (Event("wave", 0.4, 0.75),))
    classes = passage.classes(("none", "wave"), FPS)
    assert classes.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert chunk_classes(classes, 4).tolist() == [0, 1, 0]
    assert chunk_classes(np.array([0, 0, 1, 1]), 4).tolist() == [IGNORED]


@pytest.mark.integration
def test_clips_of_one_person_are_joined_in_a_stable_order(data):
    samples = [s for s in catalog.read(data).samples if s.subject in ("p0", "p1")]
    found, problems = passages(samples, TRANSFORM, 1)
    again, _ = passages(samples, TRANSFORM, 1)
    assert not problems
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert len(one.pixels) == 4 * len(one.ends_s)
        assert {event.label for event in one.truth} <= {"right", "down"}
        assert all(a.end < b.start for a, b in zip(one.truth, one.truth[1:], strict=False))
    assert {p.id.split(", ")[1] for p in found} == {"p0", "p1"}


def test_of_a_long_clip_of_nothing_only_short_stretches_are_joined(tmp_path):
    """A brightness that says the time: 4 s of a gesture, half a minute of nothing."""
    for label, count in (("wave", 40), ("none", 300)):
        out = cv2.VideoWriter(str(tmp_path / f"{label}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (32, 32))
        for n in range(count):
            out.write(np.full((32, 32, 3), 50 + n // 2, np.uint8))
        out.release()
    samples = [Sample(n, n, color=Resource(tmp_path / f"{n}.avi"), label=n, subject="a") for n in ("wave", "none")]
    found, problems = passages([*samples[:1] * 8, samples[1]], TRANSFORM, 1)
    assert not problems
    stretches = [(s, end - start) for one in found for s, start, end in one.sources if s.label == "none"]
    assert len(stretches) > 3
    assert all(0.9 <= length <= 4.2 for _, length in stretches)
    assert np.ptp([s.start_s for s, _ in stretches]) > 5
    sample, start, _ = next(part for one in found for part in one.sources if part[0].label == "none")
    one = next(one for one in found if (sample, start) in [part[:2] for part in one.sources])
    seen = one.pixels[round((start + 0.5) * FPS)].mean()
    assert seen == pytest.approx(50 + (sample.start_s + 0.5) * FPS / 2, abs=3)


def test_a_recording_with_spans_is_taken_whole(data):
    video = Resource(next((data / "right").glob("*.avi")))
    spans = [
        Sample(f"r#{n}", "r", color=video, label=n, first_frame=a, last_frame=b)
        for n, a, b in (("x", 2, 5), ("y", 9, 12))
    ]
    (passage,), problems = passages(spans, TRANSFORM, 0)
    assert not problems
    assert [(e.label, round(e.start, 3), round(e.end, 3)) for e in passage.truth] == [("x", 0.2, 0.6), ("y", 0.9, 1.3)]


def test_event_reports_show_the_video_above_what_the_network_sees(data):
    single = [s for s in catalog.read(data).samples if s.subject == "p0"]
    video = single[0].color
    span = Sample("r#x", "r", color=video, label="x", first_frame=4, last_frame=11)
    recordings, _ = passages([span, *single], TRANSFORM, 1)
    strips = _strips(recordings, TRANSFORM)
    assert [name for name, _ in strips("r", 0.4, 1.2)] == ["video", "body, gray"]

    joined = recordings[1]
    sample, start, end = joined.sources[-1]
    names, pictures = zip(*strips(joined.id, start, end), strict=True)
    assert names == (f"video {sample.id}", "body, gray")
    assert pictures[0].startswith("data:image/jpeg") and pictures[1].startswith("data:image/png")
    after = [name for name, _ in strips(joined.id, end + 0.1, end + 0.9)]
    assert after == ["body, gray"], "a generated rest has no video"

    seen = [Seen(joined.id, FPS, len(joined.pixels), 0, joined.truth, ())]
    page = stretches(seen, strips)
    count = len(joined.truth)
    assert page.count("missed: ") == page.count("data:image/jpeg") == page.count("data:image/png") == count > 0
    assert f"<span>video {sample.id}</span>" in page


def test_a_strip_shows_the_frames_of_its_stretch(data):
    """The square is at the left or top in the first half of the video, and at the right or bottom in the second."""
    sample = next(s for s in catalog.read(data).samples if s.label == "right")
    whole = Sample("r#x", "r", color=sample.color, label="x", first_frame=0, last_frame=15)
    strips = _strips(passages([whole], TRANSFORM, 1)[0], TRANSFORM)

    def column(start_s, end_s, which):
        content = base64.b64decode(strips("r", start_s, end_s)[which][1].partition(",")[2])
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
        frames = picture.reshape(picture.shape[0], -1, picture.shape[0]).mean(axis=(0, 1))
        return float((frames * np.arange(len(frames))).sum() / frames.sum() / len(frames))

    for which in (0, 1):
        assert column(0.0, 0.8, which) < 0.5 < column(0.8, 1.6, which)


def test_windows_depend_on_seed_epoch_and_index_alone():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (80, 1, 16, 16, 1), dtype=np.uint8)
    passage = Passage("a", pixels, np.arange(1, 21) * 0.4, (Event("wave", 2.0, 4.0),))
    labels = ("none", "wave")
    windows = Windows([passage], labels, TRANSFORM, AugmentationSettings(speed=(0.8, 1.2)), frames=16, count=3, seed=5)
    first = [windows[n] for n in range(3)]
    for one, other in zip(first, [windows[n] for n in range(3)], strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        assert len(one[0]) == 4 * len(one[1])
    windows.epoch = 1
    assert any(
        len(a[0]) != len(b[0]) or (a[0] != b[0]).any()
        for a, b in zip(first, [windows[n] for n in range(3)], strict=True)
    )
    whole = Windows([passage], labels, TRANSFORM, frames=32)
    batch = whole.collate([whole[n] for n in range(len(whole))])
    assert batch["target"].shape == (3, 8)
    assert batch["target"][2, 4:].tolist() == [IGNORED] * 4


@pytest.mark.slow
def test_a_training_leaves_a_bundle_that_spots(gesta, data, tmp_path):
    sets = ["input.size=16", "input.body=frame", "model.width=0.125", "training.epochs=8", "continuous.windows=64"]
    sets += ["continuous.window_s=3.2", "input.channels=[gray]", "augmentation.shift_px=1", "model.dropout=0"]
    options = [word for change in sets for word in ("--set", change)]
    called = gesta("train", data, "--recipe", "live", "--out", tmp_path / "run", "--json", *options)
    assert called.exit_code == 0, called.stderr
    bundle = tmp_path / "run" / "bundle"
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["labels"] == ["down", "none", "right"]
    assert manifest["decoder"]["none"] == "none"
    measured = gesta("evaluate", bundle, data, "--out", tmp_path / "report", "--json")
    assert measured.exit_code == 0, measured.stderr
    found = json.loads(measured.stdout)
    assert found["detection_rate"] >= 0.75
    page = (tmp_path / "report" / "report.html").read_text()
    assert "data:image/jpeg" in page and "data:image/png" in page and "<svg" in page
    control = gesta("evaluate", bundle, data, "--shuffled", "--json")
    assert json.loads(control.stdout)["accuracy"] < found["accuracy"]
    again = gesta("train", data, "--from", bundle, "--set", "training.epochs=1", "--out", tmp_path / "on", "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads((tmp_path / "on" / "bundle" / "manifest.json").read_text())["labels"] == manifest["labels"]
    final = gesta("train", data, "--recipe", "live", "--final", "--out", tmp_path / "final", "--json", *options)
    assert final.exit_code == 0, final.stderr
    last = json.loads((tmp_path / "final" / "bundle" / "manifest.json").read_text())
    assert last["decoder"] == manifest["decoder"]
    assert last["provenance"]["clips"] == {"train": 24}
    assert "gestures of held-out recordings" in last["metrics"]["final"]
    video = next((data / "right").glob("*.avi"))
    said = gesta("predict", bundle, video, "--json")
    assert said.exit_code == 0, said.stderr
    assert all({"label", "start_s", "decided_s"} <= set(json.loads(line)) for line in said.stdout.splitlines())


def test_what_does_not_go_with_streams_is_refused(gesta, data, tmp_path):
    called = gesta("train", data, "--set", "continuous=true", "--out", tmp_path / "run")
    assert called.exit_code == 2
    assert "continuous does not work with baselines, model.memory" in called.stderr
    called = gesta("train", data, "--recipe", "live", "--set", "model.name=cnn3d", "--out", tmp_path / "run")
    assert called.exit_code == 2
    assert "a network with a streaming step" in called.stderr
    from gesta.tasks.catalog import load_recipe

    with pytest.raises(GestaError, match="continuous"):
        load_recipe("live", ["training.pretrain_epochs=1"])
