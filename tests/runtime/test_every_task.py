"""What is the same for every task: `gesta.load`, and videos with predictions drawn over them, in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from calls import load
from runtime.tiny_bundles import LABELS, make_bundle, write_video
from runtime.tiny_feature_bundles import make_feature_bundle, narrow, write_videos

from gesta.schema import GestaError, HandEstimate, Prediction
from gesta.sources import hand_folder


@pytest.fixture
def classifier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    narrow(monkeypatch)
    torch.set_num_threads(1)
    return make_feature_bundle(tmp_path / "features", write_videos(tmp_path / "videos", each=2), every=3).path


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_stored_features_are_loaded(classifier: Path, tmp_path: Path) -> None:
    model = load(classifier)
    assert model.engine.name == "torch" and model.manifest.labels == ("dark", "light")
    for label in ("dark", "light"):
        found = model.predict(tmp_path / "videos" / label / f"{label}1.mkv")
        assert isinstance(found, Prediction) and found.label == label
    assert (
        load(classifier, backbone_weights="random").predict(tmp_path / "videos" / "dark" / "dark0.mkv").label == "dark"
    )
    with pytest.raises(GestaError, match=r"unknown engine 'tensorrt'; choose from openvino") as error:
        load(classifier, "tensorrt")
    assert error.value.usage


def test_hands_are_loaded(pose_bundle: Path, hand_data: Path) -> None:
    frame = hand_folder.read(hand_data).frames[0]
    one, other = (load(pose_bundle, engine, threads=1).predict(frame) for engine in ("openvino", "torch"))
    assert isinstance(one, HandEstimate) and one.joints_mm.shape == (3, 3) and one.center_source == "data"
    np.testing.assert_allclose(one.joints_mm, other.joints_mm, atol=0.1)
    assert load(pose_bundle, center="nearest").predict(frame).center_source == "nearest"
    with pytest.raises(GestaError, match="unknown --center 'middle'"):
        load(pose_bundle, center="middle")


@pytest.mark.parametrize("stream", [(), ("--stream",)])
def test_several_videos_are_drawn_into_a_folder(stream, gesta, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    places = [tmp_path / "data" / name for name in ("one/a.mkv", "two/a.mkv", "two/b.mkv")]
    for seed, path in enumerate(places):
        write_video(path, frames=10 + seed, seed=seed)
    out = tmp_path / "drawn"
    done = gesta("predict", bundle, tmp_path / "data", "--annotate", out, *stream, "--json")
    assert done.exit_code == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["label"] for one in said} <= set(LABELS) and len({one["input"] for one in said}) == 3
    assert {path.name for path in out.glob("*.mp4")} == {"a-1.mp4", "a-2.mp4", "b.mp4"}, "equal names are numbered"
    assert [frames_of(out / name) for name in ("a-1.mp4", "a-2.mp4", "b.mp4")] == [10, 11, 12]
    assert f"Wrote {out / 'b.mp4'}" in done.stderr


def test_of_several_videos_a_broken_one_is_named_and_the_others_are_drawn(gesta, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    whole, cut = (write_video(tmp_path / "data" / f"{name}.mkv") for name in ("whole", "cut"))
    cut.write_bytes(cut.read_bytes()[:200])
    done = gesta("predict", bundle, tmp_path / "data", "--annotate", tmp_path / "drawn")
    assert done.exit_code == 1 and "cut.mkv" in done.stderr
    assert [path.name for path in (tmp_path / "drawn").glob("*.mp4")] == ["whole.mp4"]
    done = gesta("predict", bundle, whole, cut, "--annotate", tmp_path / "one.mp4")
    assert done.exit_code == 2 and "there are 2 recordings. Give a folder." in done.stderr
    done = gesta("predict", bundle, whole, "--annotate", tmp_path / "one.avi")
    assert done.exit_code == 2 and "ends in .mp4, or a folder" in done.stderr


def test_videos_of_stored_features_are_drawn_into_a_folder(gesta, classifier: Path, tmp_path: Path) -> None:
    out = tmp_path / "drawn"
    done = gesta("predict", classifier, tmp_path / "videos", "--annotate", out)
    assert done.exit_code == 0, done.stderr
    assert sorted(path.name for path in out.glob("*.mp4")) == [f"{n}{i}.mp4" for n in ("dark", "light") for i in (0, 1)]
    assert frames_of(out / "dark0.mp4") == 7
