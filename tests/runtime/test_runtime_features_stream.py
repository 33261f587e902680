"""Feature classifiers follow streams: the end of a clip is what `predict` says of it; what cannot follow says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from calls import load
from features.numbered_videos import numbers, video, write_numbered
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.bundle.manifest import Provenance
from gesta.clips.annotated import VideoWriter
from gesta.clips.decode import probe
from gesta.schema import Frame, GestaError, Prediction, Resource
from gesta.tasks.features.annotate import annotate
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.tasks.features.predict import SequenceRecognizer


class Numbers:
    """The feature of a frame (or window) is its gray, twice; the answer depends on every feature and their order."""

    name = "numbers"

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.seen: list[list[float]] = []

    def run(self, feed: dict[str, np.ndarray], stage: str) -> dict[str, np.ndarray]:
        if stage == "backbone":
            self.asked.append(len(feed["frames"]))
            return {"features": numbers(feed["frames"])}
        valid = feed["features"][0, : feed["lengths"][0], 0]
        self.seen.append(valid.tolist())
        return {"logits": np.array([[float(valid @ np.arange(1, len(valid) + 1)) / 500, 1.0]], np.float32)}


def classifier(every: int | None = 2, window: int = 1, frames: int | None = None) -> SequenceRecognizer:
    used = BackboneUse(name="n", weights="0", stage="s", size=8, frames=frames, every=every, window=window, features=2)
    provenance = Provenance(created="now", gesta="0", seed=0, layout="", data_fingerprint="0")
    manifest = FeatureManifest(
        name="n", labels=("a", "b"), backbone=used, recipe={}, parameters=1, provenance=provenance
    )
    return SequenceRecognizer(Numbers(), manifest)


@pytest.mark.parametrize(("every", "window"), [(1, 1), (2, 1), (3, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize("span", [{}, {"first_frame": 3, "last_frame": 8}, {"start_s": 0.1, "end_s": 0.3}])
def test_the_end_of_a_clip_is_what_predict_says(every: int, window: int, span: dict, tmp_path: Path) -> None:
    sample = video(write_numbered(tmp_path / "v.mkv", 11), **span)
    whole, live = classifier(every, window), classifier(every, window)
    expected, found = whole.predict(sample), list(live.stream(sample))
    assert found[-1].probabilities == expected.probabilities
    assert live.engine.seen[-1] == whole.engine.seen[0] and len(found) == len(whole.engine.seen[0])
    assert set(live.engine.asked) == {1}  # each feature is computed once
    times = [p.time_s for p in found]
    assert times[0] == pytest.approx((window - 1) * every / 25) or len(times) == 1
    assert times == sorted(times)


def test_frames_pushed_by_hand_are_the_files(tmp_path: Path) -> None:
    path = write_numbered(tmp_path / "v.mkv", 7)
    images = [np.full((48, 64, 3), 2 * i, np.uint8) for i in range(7)]
    found, live = list(classifier().stream(path)), classifier()
    assert list(live.stream(images, fps=25)) == found
    assert len(found) == 4 and [p.time_s for p in found] == pytest.approx([0, 0.08, 0.16, 0.24])
    assert live.engine.seen[-1] == [0, 4, 8, 12]
    stream = live.open_stream()
    depth = [Frame(i / 25, depth_mm=np.full((48, 64), 32 * i, np.uint16)) for i in range(7)]
    assert [len(stream.push(frame)) for frame in depth] == [1, 0, 1, 0, 1, 0, 1] and stream.finish() == []
    assert live.engine.seen[-1] == [0, 4, 8, 12]  # 16 mm are one level of gray
    stream.push(depth[3])
    assert live.engine.seen[-1] == [6]  # begun anew


@pytest.mark.parametrize(
    ("every", "window", "expected"),
    [(2, 1, [0, 0, 1, 1, 2, 2, 3]), (1, 3, [0, 0, 0, 0, 0, 1, 1]), (3, 4, [0] * 7), (None, 1, [0] * 7)],
)
def test_annotated_frames_carry_the_newest_answer(
    every: int | None, window: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Prediction] = []
    write = VideoWriter.write
    monkeypatch.setattr(VideoWriter, "write", lambda *given: (drawn.append(given[-1]), write(*given)))
    sample, out = video(write_numbered(tmp_path / "v.mkv", 7)), tmp_path / "out.mp4"
    live, plain = (classifier(every, window, None if every else 3) for _ in range(2))
    answers = list(annotate(live, sample, out))
    assert answers == (list(plain.stream(sample)) if every else [plain.predict(sample)])
    assert [answers.index(found) for found in drawn] == expected and probe(Resource(out)).frames == 7


def test_memory_is_bounded_by_a_sliding_window() -> None:
    live = classifier(every=1)
    list(live.stream((np.full((8, 8, 3), i, np.uint8) for i in range(9)), last=3))
    assert live.engine.seen[-1] == [6, 7, 8] and live.engine.seen[1] == [0, 1]
    with pytest.raises(GestaError, match="expected at least 1"):
        live.open_stream(last=0)


def test_exactly_n_frames_cannot_follow() -> None:
    with pytest.raises(
        GestaError, match=r"sees exactly 20 frames.*Predict whole videos.*gesta features DATA --every"
    ) as e:
        classifier(every=None, frames=20).open_stream()
    assert e.value.usage
    with pytest.raises(GestaError, match="no image"):
        classifier().open_stream().push(Frame(0.0))


@pytest.mark.parametrize("name", ["mean", "gru", "lstm"])
def test_every_head_by_pytorch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gesta) -> None:
    torch.set_num_threads(1)
    narrow(monkeypatch)
    videos = write_videos(tmp_path / "videos", each=2)
    model = {} if name == "mean" else {"hidden": 8}
    bundle = make_feature_bundle(tmp_path / "features", videos, every=2, name=name, **model)
    recognizer, path = load(bundle.path), videos / "light" / "light1.mkv"
    expected, found = recognizer.predict(path), list(recognizer.stream(path))
    assert len(found) == 4
    np.testing.assert_allclose(list(found[-1].probabilities.values()), list(expected.probabilities.values()), atol=1e-5)
    assert found[0].probabilities != found[-1].probabilities
    if name == "mean":
        done = gesta("predict", bundle.path, path, "--stream", "--json")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.exit_code == 0 and [row["time_s"] for row in rows] == [0.0, 0.08, 0.16, 0.24]
        assert rows[-1]["label"] == "light"
        done = gesta("predict", bundle.path, videos / "dark", "--stream")
        assert done.exit_code == 0 and done.stdout.count(" s  ") == 8 and "dark1.mkv" in done.stdout
        fixed = make_feature_bundle(tmp_path / "fixed", videos, frames=3)
        for ready, options, lines in ((bundle, ["--stream"], 4), (bundle, [], 1), (fixed, [], 1)):
            out = tmp_path / "drawn.mp4"
            done = gesta("predict", ready.path, path, "--annotate", out, *options, "--json")
            assert done.exit_code == 0 and len(done.stdout.splitlines()) == lines and f"Wrote {out}" in done.stderr
            assert probe(Resource(out)).frames == 8
            out.unlink()
        done = gesta("predict", bundle.path, path, "--annotate", tmp_path / "drawn.avi")
        assert done.exit_code == 2 and "ends in .mp4" in done.stderr
        done = gesta("predict", fixed.path, path, "--stream")
        assert done.exit_code == 2 and "exactly 3 frames" in done.stderr and done.stdout == ""
