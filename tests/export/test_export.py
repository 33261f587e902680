"""Exported networks say what PyTorch says, or are not kept."""

import numpy as np
import pytest
import torch
from calls import add_networks, clip_examples
from tiny_bundles import MODELS, clips_for, make_bundle

import gesta
from gesta.bundle import io
from gesta.bundle.manifest import Parity
from gesta.engines import convert_openvino as openvino
from gesta.exporting import run
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.classification_parity import compared, passes
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import parts


@pytest.mark.integration
@pytest.mark.parametrize("model", MODELS)
def test_openvino_agrees_and_is_recorded(model, tmp_path):
    folder = make_bundle(tmp_path / "bundle", model)
    parity = add_networks(folder, clips_for(folder))
    assert parity.clips == 4
    assert parity.top_class_agreement == 1
    assert parity.largest_difference < 1e-5
    made = [a for a in io.read(folder, ClipManifest).manifest.artifacts if a.engine == "openvino"]
    assert [a.role for a in made] == (["whole"] if model == "cnn3d" else ["whole", "step"])
    for artifact in made:
        assert artifact.parity is not None
        assert list(artifact.companions) == [artifact.file.replace(".xml", ".bin")]
        assert artifact.inputs[0].dtype == "uint8"
    if model != "cnn3d":
        states = ["h", "c", "votes"] if model == "cnn3d_lstm_memory" else ["h", "c"]
        assert [s.name for s in made[1].states] == states
        assert [t.name for t in made[1].outputs] == ["logits", *(f"{name}_out" for name in states)]
        assert made[0].inputs[0].shape[3] == -1
    assert f"{parity.largest_difference:.2g}" in (folder / io.CARD).read_text()


@pytest.mark.integration
def test_half_the_bytes_at_fp16_and_both_are_kept(exported):
    folder = exported
    task, bundle = catalog.of_bundle(folder)
    for one in run.make(task, bundle, parts(bundle), clip_examples(clips_for(folder)), "openvino", "fp16"):
        bundle = io.add_artifact(bundle, one.artifact, one.files)
        assert 0 < one.artifact.parity.largest_difference < 0.05
    sizes = [(folder / f"openvino_step_{p}.bin").stat().st_size for p in ("fp16", "fp32")]
    assert sizes[0] < 0.6 * sizes[1]
    assert len(io.read(folder, ClipManifest).manifest.artifacts) == 5
    assert gesta.load(folder, precision="fp16").engine.name == "openvino"


@pytest.mark.integration
def test_exporting_again_replaces(exported):
    add_networks(exported, clips_for(exported, (4,)))
    assert [a.parity.clips for a in io.read(exported, ClipManifest).manifest.artifacts if a.parity] == [1, 1]


@pytest.mark.integration
def test_a_network_that_disagrees_is_not_kept(tmp_path, monkeypatch):
    folder = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    real = openvino.convert

    def wrong(part, stem, precision="fp32", feeds=()):
        if part.role == "step":
            with torch.no_grad():
                part.module.network.classifier.bias[0] += 3
        made = real(part, stem, precision, feeds)
        if part.role == "step":
            with torch.no_grad():
                part.module.network.classifier.bias[0] -= 3
        return made

    monkeypatch.setitem(run.FORMATS, "openvino", ("openvino", wrong))
    with pytest.raises(
        GestaError,
        match=r"the step network for openvino does not agree with PyTorch.*not in the bundle.*--engine torch",
    ):
        add_networks(folder, clips_for(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_states_are_two_inputs(exported):
    """Equal states at export must not become one input: h and c are told apart afterwards."""
    found, reference = (gesta.load(exported, engine).engine for engine in ("openvino", "torch"))
    rng = np.random.default_rng(0)
    state = {name: rng.normal(size=(1, 2, v.shape[2])).astype(np.float32) for name, v in reference.start(2).items()}
    chunk = rng.integers(0, 256, (2, 1, 2, 4, 16, 16)).astype(np.uint8)
    (a, after_a), (b, after_b) = (engine.step({"chunk": chunk}, state) for engine in (found, reference))
    assert np.abs(a["logits"] - b["logits"]).max() < 1e-4
    assert {k: np.abs(after_a[k] - after_b[k]).max() < 1e-5 for k in state} == {"h": True, "c": True}
    assert np.abs(after_a["h"] - after_a["c"]).max() > 0.01


@pytest.mark.integration
def test_a_zip_is_never_changed(tmp_path):
    folder = make_bundle(tmp_path / "bundle", "cnn3d_lstm")
    with pytest.raises(GestaError, match="is a zip"):
        add_networks(io.save_zip(io.read(folder, ClipManifest), tmp_path / "b.zip"), clips_for(folder))


def test_nan_never_passes():
    for precision in run.PRECISIONS:
        assert not passes(Parity(clips=1, largest_difference=float("nan"), top_class_agreement=1.0), precision)


def test_parts_name_what_goes_in_and_out(tmp_path):
    bundle = io.read(make_bundle(tmp_path / "bundle", "cnn3d_lstm"), ClipManifest)
    for part in parts(bundle):
        results = part.module(*part.example)
        results = results if isinstance(results, tuple) else (results,)
        for tensors, specs in ((part.example, part.inputs), (results, part.outputs)):
            for tensor, spec in zip(tensors, specs, strict=True):
                assert str(tensor.dtype) == f"torch.{spec.dtype}"
                assert all(n in (-1, m) for n, m in zip(spec.shape, tensor.shape, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_onnx_agrees_streams_and_is_recorded(model, tmp_path):
    folder = make_bundle(tmp_path / "bundle", model)
    clips = clips_for(folder)
    parity = add_networks(folder, clips, "onnxruntime")
    assert parity.largest_difference < 1e-5
    recognizer = gesta.load(folder, "onnxruntime", threads=1)
    expected = gesta.load(folder, "torch").predict_clips([clip.pixels for clip in clips])
    for clip, row in zip(clips, expected, strict=True):
        last = recognizer.open_stream().push_preprocessed(clip.pixels)[-1]
        assert list(last.probabilities.values()) == pytest.approx(row.tolist(), abs=1e-5)
        assert list(recognizer.predict(clip).probabilities.values()) == pytest.approx(row.tolist(), abs=1e-5)


@pytest.mark.parametrize(("gap", "share"), [(2e-7, 1.0), (1e-3, 0.0)])
def test_classes_that_tie_are_both_the_top_class(gap, share):
    """A network that has hardly learned ties; rounding then decides which class comes first."""
    one, other = np.array([[0.4, 0.4 + gap, 0.2]]), np.array([[0.4 + gap, 0.4, 0.2]])
    assert compared([one], [other]).top_class_agreement == share
    assert compared([one], [one]).top_class_agreement == 1.0
