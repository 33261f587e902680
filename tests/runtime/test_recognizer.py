"""A bundle at work: the engines agree, whole clips and streams agree, and what cannot be done is said."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tiny_bundles import LABELS, MODELS, RGBD, clips_for, make_bundle, write_video

import gesta
from gesta.bundle import io
from gesta.bundle.manifest import Artifact
from gesta.clips.read import iter_sample
from gesta.engines import catalog
from gesta.engines.base import Placement
from gesta.schema import Clip, Frame, GestaError
from gesta.sources.inputs import find, one_sample
from gesta.tasks.classification import softmax
from gesta.tasks.clips import predict as module
from gesta.tasks.clips.annotate import annotate
from gesta.tasks.clips.manifest import ClipManifest

ENGINES = ("torch", "openvino")


def array(prediction):
    assert tuple(prediction.probabilities) == LABELS
    return np.array(list(prediction.probabilities.values()))


def same(one, other):
    assert np.abs(np.asarray(one) - np.asarray(other)).max() < 1e-5


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("engine", ENGINES)
def test_stream_of_a_clip_ends_with_its_prediction(bundles, model, engine):
    recognizer = gesta.load(bundles[model], engine)
    for clip in clips_for(bundles[model]):
        steps = recognizer.open_stream().push_preprocessed(clip.pixels)
        assert len(steps) == -(-len(clip.pixels) // 4)
        same(array(steps[-1]), array(recognizer.predict(clip)))


@pytest.mark.parametrize("model", MODELS)
def test_engines_agree_and_clips_do_not_depend_on_the_batch(bundles, model):
    clips = [clip.pixels for clip in clips_for(bundles[model], (3, 30, 4, 9, 17))]
    torch, openvino = (gesta.load(bundles[model], engine).predict_clips(clips) for engine in ENGINES)
    same(torch, openvino)
    same(openvino, [gesta.load(bundles[model]).predict_clips([clip])[0] for clip in clips])
    assert np.ptp(openvino, axis=0).max() > 0.05  # the clips differ, else this shows nothing
    assert np.allclose(openvino.sum(axis=1), 1)


def test_long_clips_go_through_the_step_with_the_same_result(joint, monkeypatch):
    clips = [clip.pixels for clip in clips_for(joint, (5, 33, 40))]
    whole = gesta.load(joint).predict_clips(clips)
    monkeypatch.setattr(module, "LONG_FRAMES", 8)
    same(gesta.load(joint).predict_clips(clips), whole)


@pytest.mark.parametrize("model", ["cnn3d_lstm", "cnn3d"])
def test_streaming_a_file_equals_predicting_it(bundles, model, tmp_path):
    frames = 23 if model == "cnn3d_lstm" else 15
    video = write_video(tmp_path / "a.mkv", frames)
    recognizer = gesta.load(bundles[model])
    whole = recognizer.predict(video)
    steps = list(recognizer.stream(video))
    assert whole.input == str(video)
    assert whole.time_s is None
    same(array(steps[-1]), array(whole))
    assert [p.time_s for p in steps[:2]] == [0.4, 0.8]
    assert steps[-1].time_s == pytest.approx(frames / 10)
    same(array(recognizer.predict(one_sample(video))), array(whole))


def test_streaming_a_video_of_limited_range_equals_predicting_it(joint, tmp_path):
    """Its gray levels have a table, and the motion box looks at them before the table is applied."""
    video = write_video(tmp_path / "a.mkv", 40, size=(240, 320), pix_fmt="yuv420p")
    recognizer = gesta.load(joint)
    assert array(list(recognizer.stream(video))[-1]).tolist() == array(recognizer.predict(video)).tolist()
    drawn = list(annotate(recognizer, one_sample(video), tmp_path / "drawn.mp4"))
    assert array(drawn[-1]).tolist() == array(recognizer.predict(video)).tolist()


def test_streaming_images_equals_streaming_the_file(joint, tmp_path):
    video = write_video(tmp_path / "a.mkv")
    recognizer = gesta.load(joint)
    images = [frame.color for frame in iter_sample(one_sample(video), color=True)]
    streamed = [array(p) for p in recognizer.stream(images, fps=10)]
    assert len(streamed) == 6
    assert np.abs(np.array(streamed) - [array(p) for p in recognizer.stream(video)]).max() < 0.02  # gray from RGB


def test_labels_that_do_not_fit_the_network_are_refused(tmp_path):
    bundle = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    engine = gesta.load(tmp_path / "bundle", "torch").engine
    recognizer = module.Recognizer(engine, bundle.manifest.model_copy(update={"labels": ("a", "b")}))
    (clip,) = clips_for(tmp_path / "bundle", (8,))
    with pytest.raises(GestaError, match="lists 2 labels, and its network returns 4 numbers"):
        recognizer.predict(clip)
    with pytest.raises(GestaError, match="not int"):
        recognizer.predict(123)


def test_sliding_window_is_the_prediction_of_the_last_frames(bundles):
    recognizer = gesta.load(bundles["cnn3d"])
    (clip,) = clips_for(bundles["cnn3d"], (26,))
    steps = recognizer.open_stream().push_preprocessed(clip.pixels)
    for end, step in zip((4, 8, 12, 16, 20, 24, 26), steps, strict=True):
        same(array(step), recognizer.predict_clips([clip.pixels[max(0, end - 16) : end]])[0])


def test_state_is_reset_after_so_many_chunks(tmp_path):
    folder = make_bundle(tmp_path / "bundle", "cnn3d_lstm", reset_after_chunks=2)
    recognizer = gesta.load(folder, "torch")
    (clip,) = clips_for(folder, (20,))
    steps = [array(p) for p in recognizer.open_stream().push_preprocessed(clip.pixels)]
    expected = [
        recognizer.predict_clips([clip.pixels[a:b]])[0] for a, b in ((0, 4), (0, 8), (8, 12), (8, 16), (16, 20))
    ]
    same(steps, expected)


def test_a_stream_begins_anew_after_finish_and_reset(joint, tmp_path):
    frames = list(iter_sample(one_sample(write_video(tmp_path / "a.mkv", 10))))
    stream = gesta.load(joint).open_stream()
    runs = []
    for end in (stream.finish, stream.reset, stream.finish):
        runs.append([array(p) for frame in frames for p in stream.push(frame)])
        end()
    same(runs[0], runs[1])
    same(runs[0], runs[2])


def test_times_are_on_the_clock_of_the_frames(joint, tmp_path):
    frames = iter_sample(one_sample(write_video(tmp_path / "a.mkv", 10)))
    late = [dataclasses.replace(frame, time_s=frame.time_s + 1000) for frame in frames]
    assert [p.time_s for p in gesta.load(joint).stream(late)] == pytest.approx([1000.4, 1000.8, 1001.0])


def test_two_streams_do_not_mix(joint):
    recognizer = gesta.load(joint)
    one, other = (clip.pixels for clip in clips_for(joint, (12, 12)))
    a, b = recognizer.open_stream(), recognizer.open_stream()
    for i in (0, 4, 8):
        last_a, last_b = (s.push_preprocessed(p[i : i + 4])[-1] for s, p in ((a, one), (b, other)))
    same([array(last_a), array(last_b)], recognizer.predict_clips([one, other]))


def test_zip_and_precision(joint, tmp_path):
    zipped = io.save_zip(io.read(joint, ClipManifest), tmp_path / "joint.zip")
    clips = [clip.pixels for clip in clips_for(joint)]
    same(gesta.load(zipped, threads=1, precision="fp32").predict_clips(clips), gesta.load(joint).predict_clips(clips))
    with pytest.raises(GestaError, match=r"has no network for openvino int8\. It has openvino fp32, torch fp32"):
        gesta.load(joint, precision="int8")


def test_a_zip_of_the_step_alone_predicts_clips_too(joint, tmp_path):
    bundle = io.read(joint, ClipManifest)
    step = [a for a in bundle.manifest.artifacts if a.role == "step"]
    recognizer = gesta.load(io.save_zip(bundle, tmp_path / "step.zip", only=step))
    clips = [clip.pixels for clip in clips_for(joint, (3, 30, 8))]
    same(recognizer.predict_clips(clips), gesta.load(joint).predict_clips(clips))


def test_softmax_of_large_logits():
    assert softmax(np.array([[1000.0, 1000.0, -1000.0]], np.float32)).tolist() == [[0.5, 0.5, 0.0]]


def test_engine_is_the_best_there_is(joint, tmp_path, monkeypatch):
    assert gesta.load(joint).engine.name == "openvino"
    plain = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    assert gesta.load(plain).engine.name == "torch"
    monkeypatch.setattr(catalog.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(GestaError, match=r"runs with torch, which is not installed.*\[train\]"):
        gesta.load(plain)
    with pytest.raises(GestaError, match=r"onnxruntime is not installed.*\[export\]"):
        gesta.load(joint, "onnxruntime")


def test_engines_that_are_not_there(joint, tmp_path):
    with pytest.raises(GestaError, match=r"unknown engine 'openvno'; .* Did you mean openvino") as caught:
        gesta.load(joint, "openvno")
    assert caught.value.usage
    with pytest.raises(GestaError, match=r"has no network for onnxruntime\. It has openvino fp32, torch fp32"):
        gesta.load(joint, "onnxruntime")
    empty = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    with pytest.raises(GestaError, match="no weights and no network"):
        gesta.load(io.update(empty, artifacts=()).path)


@pytest.mark.parametrize("engine", ENGINES)
def test_unknown_device(joint, engine):
    with pytest.raises(GestaError, match=f"{engine} does not run on 'tpu'.*auto, cpu") as caught:
        gesta.load(joint, engine, device="tpu")
    assert caught.value.usage


def test_damaged_network_with_a_fitting_hash(joint, tmp_path):
    bundle = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    for engine, name, reader in (("openvino", "a.xml", "OpenVINO"), ("onnxruntime", "a.onnx", "ONNX Runtime")):
        artifact = Artifact(role="whole", engine=engine, file=name, sha256=io.digest(b"rubbish"))
        folder = io.add_artifact(bundle, artifact, {name: b"rubbish"}).path
        with pytest.raises(
            GestaError, match=f"(?s){name} is not a network that {reader} can read.*export the model again"
        ):
            gesta.load(folder, engine).predict_clips([clips_for(joint)[0].pixels])


def test_onnx_with_outside_data_is_refused(joint, tmp_path):
    data = b"...external_data \x0a\x08location\x12\x0b/etc/passwd"
    artifact = Artifact(role="whole", engine="onnxruntime", file="a.onnx", sha256=io.digest(data))
    folder = io.add_artifact(
        io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest), artifact, {"a.onnx": data}
    ).path
    with pytest.raises(GestaError, match="refers to data in other files"):
        gesta.load(folder, "onnxruntime").predict_clips([clips_for(joint)[0].pixels])


def test_weights_that_do_not_fit_the_recipe(tmp_path):
    bundle = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    io.update(bundle, recipe={"model": {"name": "cnn3d_lstm", "width": 0.1}})
    with pytest.raises(GestaError, match="weights do not fit the network of its recipe"):
        gesta.load(bundle.path, "torch")


def test_whole_network_without_step_does_not_stream(joint):
    bundle = io.read(joint, ClipManifest)
    kept = tuple(a for a in bundle.manifest.artifacts if a.role == "whole")
    manifest = bundle.manifest.model_copy(update={"artifacts": kept})
    recognizer = module.load(io.Bundle(bundle.path, manifest), Placement("openvino", "cpu"))
    clips = [clip.pixels for clip in clips_for(joint, (4, 40))]
    same(recognizer.predict_clips(clips), gesta.load(joint).predict_clips(clips))
    with pytest.raises(GestaError, match="has no streaming step for openvino"):
        recognizer.open_stream()


def test_modalities_that_are_missing(tmp_path):
    recognizer = gesta.load(make_bundle(tmp_path / "bundle", "cnn3d_lstm", **RGBD), "torch")
    video = write_video(tmp_path / "rgb.mkv")
    words = r"rgb.mkv: has color only; .*needs color, depth, skeleton \(missing: depth, skeleton\)"
    with pytest.raises(GestaError, match=words):
        recognizer.predict(video)
    with pytest.raises(GestaError, match=words):
        list(recognizer.stream(video))
    with pytest.raises(GestaError, match="needs a skeleton"):
        list(recognizer.stream(iter_sample(one_sample(video))))


def test_a_mask_that_training_had_is_missed(tmp_path):
    video = write_video(tmp_path / "a.mkv")
    bundle = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    assert gesta.load(bundle.path, "torch").predict(video).notes == ("No user mask: nothing is masked.",)
    io.update(bundle, notes=("No user mask: nothing is masked.",))
    assert gesta.load(bundle.path, "torch").predict(video).notes == ()


def test_wrong_input(joint, tmp_path):
    recognizer = gesta.load(joint)
    with pytest.raises(GestaError, match=r"uint8 \[T, 1, 16, 16, 2\], not uint8 \[4, 1, 32, 32, 2\]"):
        recognizer.predict(np.zeros((4, 1, 32, 32, 2), np.uint8))
    with pytest.raises(GestaError, match="preprocessed clips"):
        recognizer.predict(Clip(np.zeros((0, 1, 16, 16, 2), np.uint8)))
    with pytest.raises(GestaError, match=r"uint8, H W 3\), not float64 \(4, 4, 3\)"):
        list(recognizer.stream([np.zeros((4, 4, 3))]))
    with pytest.raises(GestaError, match="not str"):
        list(recognizer.stream(["frame.png"]))
    with pytest.raises(GestaError, match="needs color"):
        list(recognizer.stream([Frame(i / 10, depth_mm=np.ones((4, 4), np.uint16)) for i in range(9)]))
    for name in ("a.mkv", "b.mkv"):
        write_video(tmp_path / name, 2)
    with pytest.raises(GestaError, match=r"contains 2 samples, expected one video.*gesta predict"):
        recognizer.predict(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(GestaError, match="empty"):
        recognizer.predict(tmp_path / "empty")
    with pytest.raises(GestaError, match=r"nowhere.mp4: does not exist"):
        recognizer.predict(tmp_path / "nowhere.mp4")


def test_files_of_other_types_are_tried(tmp_path):
    video = write_video(tmp_path / "a.mkv", 4).rename(tmp_path / "a.m4v")
    assert find(video).samples[0].color is not None


def test_no_demo_bundle(monkeypatch):
    monkeypatch.setitem(io.PACKAGED, "demo", Path("nowhere.zip"))
    with pytest.raises(GestaError, match="bundle 'demo', which comes with gesta, is missing"):
        gesta.load("demo")
