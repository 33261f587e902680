"""`gesta export`: a new bundle that runs without PyTorch, only if it says what PyTorch says."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from calls import clip_examples, export, load
from tiny_bundles import LABELS, clips_for, make_bundle

from gesta.bundle import io
from gesta.bundle.manifest import Parity
from gesta.cli import main
from gesta.engines import convert_onnx as onnx
from gesta.engines import convert_openvino as openvino
from gesta.engines.onnx_file import opset
from gesta.exporting import run
from gesta.schema import GestaError
from gesta.tasks.classification_parity import passes as agrees
from gesta.tasks.clips.export import feeds
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.network import load_network, parts

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A joint bundle with votes over time, PyTorch weights only."""
    return make_bundle(tmp_path_factory.mktemp("trained") / "bundle", "cnn3d_lstm_memory")


@pytest.fixture(scope="module")
def clips(trained):
    return [replace(clip, label=LABELS[i % 4]) for i, clip in enumerate(clips_for(trained, (3, 4, 9, 16, 8, 12)))]


def ways(trained, clips, out, to, calibration=None, **settings):
    held = clips if calibration is None else calibration
    return export(trained, out, to, examples=clip_examples(clips), calibration=clip_examples(held), **settings)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_new_bundle_with_what_was_measured(trained, clips, tmp_path, precision):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    report = ways(trained, clips, tmp_path / "out", to="openvino", precision=precision, force=True)
    old, new = io.read(trained, ClipManifest).manifest, io.read(tmp_path / "out", ClipManifest).manifest
    assert [(a.role, a.precision) for a in new.artifacts] == [("whole", precision), ("step", precision)]
    for field in ("labels", "transform", "recipe", "provenance", "metrics", "parameters"):
        assert getattr(new, field) == getattr(old, field)
    for artifact in new.artifacts:
        files = [artifact.file, *artifact.companions]
        assert artifact.measured.bytes == sum((tmp_path / "out" / f).stat().st_size for f in files)
        assert (artifact.measured.clips, artifact.parity.clips) == ("validation", 6)
        assert 0 <= artifact.measured.accuracy <= 1
    assert report.bytes_torch == (trained / io.WEIGHTS).stat().st_size
    assert f"6 validation | {new.artifacts[0].measured.accuracy:.4g}" in (tmp_path / "out" / io.CARD).read_text()
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before
    assert load(tmp_path / "out", threads=1).engine.name == "openvino"


def test_int8_says_nearly_what_torch_says_for_any_batch_and_length(trained, clips, tmp_path):
    ways(trained, clips, tmp_path / "out", to="openvino", precision="int8", force=True)
    found, expected = load(tmp_path / "out", threads=1), load(trained, "torch")
    assert b'element_type="i8"' in (tmp_path / "out" / "openvino_step_int8.xml").read_bytes()
    pixels = [clip.pixels for clip in clips_for(trained, (4, 5, 11, 21, 30))]
    assert np.abs(found.predict_clips(pixels) - expected.predict_clips(pixels)).max() < 0.2
    chunk = np.stack([p[:4].transpose(1, 4, 0, 2, 3) for p in pixels[1:]])  # B S C T H W
    both = (found.engine, expected.engine)
    (one, after), (other, _) = (engine.step({"chunk": chunk}, engine.start(4)) for engine in both)
    a, b = one["logits"], other["logits"]
    assert a.shape == b.shape and np.abs(a - b).max() < 1
    assert set(after) == {"h", "c", "votes"}


@pytest.fixture(scope="module")
def sure(tmp_path_factory):
    """(bundle, clips) of a network that was trained until it told three classes apart."""
    from calls import fit
    from training.learnable import MemoryStore, samples, tiny

    store, recipe = MemoryStore(), tiny("auto", "training.epochs=12", "model.dropout=0", "augmentation.context=0")
    out = tmp_path_factory.mktemp("sure")
    found = fit(samples(30), recipe, out, layout="memory", device="cpu", progress=False, cache=store).bundle
    transform = io.read(found, ClipManifest).manifest.transform
    return found, [store.load(sample, transform) for sample in samples(30)]


@pytest.mark.slow
@pytest.mark.parametrize(("to", "precision"), [("openvino", "int8"), ("onnx", "int8"), ("onnx", "fp16")])
def test_fewer_bits_pass_the_comparison_where_the_network_is_sure(sure, tmp_path, to, precision):
    bundle, clips = sure
    report = ways(bundle, clips, tmp_path / "out", to=to, precision=precision, calibration=clips[:12])
    assert report.agrees and [(a.role, a.precision) for a in report.artifacts] == [
        ("whole", precision),
        ("step", precision),
    ]
    assert all(a.parity.top_class_agreement == 1 and a.measured.accuracy == 1 for a in report.artifacts)
    assert all(a.parity.largest_difference < {"fp16": 0.001, "int8": 0.1}[precision] for a in report.artifacts)
    assert report.bundle.manifest.notes == io.read(bundle, ClipManifest).manifest.notes, "without --force"
    assert load(tmp_path / "out", threads=1).predict(clips[1].pixels).label == clips[1].label


def test_calibration_meets_the_states_of_the_stream(trained, clips):
    bundle = io.read(trained, ClipManifest)
    inputs = feeds(bundle, clip_examples(clips[:3]))
    assert [feed["clip"].shape[3] for feed in inputs["whole", "network"]] == [4, 4, 12]
    assert [bool(feed["votes"].any()) for feed in inputs["step", "network"]] == [False, False, False, True, True]


def test_the_step_alone_predicts_clips_too(trained, clips, tmp_path):
    ways(trained, clips, tmp_path / "out", to="openvino", roles=("step",))
    assert [a.role for a in io.read(tmp_path / "out", ClipManifest).manifest.artifacts] == ["step"]
    pixels = [clip.pixels for clip in clips]
    expected = load(trained, "torch").predict_clips(pixels)
    assert np.abs(load(tmp_path / "out").predict_clips(pixels) - expected).max() < 1e-5


def test_nothing_is_written_unless_the_top_class_agrees_or_by_force(trained, clips, tmp_path, monkeypatch):
    real = openvino.convert

    def wrong(part, stem, precision="fp32", feeds=()):
        bias = next(m.classifier.bias for m in part.module.modules() if hasattr(m, "classifier")).data
        kept = bias.clone()
        bias[0] += 50
        made = real(part, stem, precision, feeds)
        bias.copy_(kept)
        return made

    monkeypatch.setitem(run.FORMATS, "openvino", ("openvino", wrong))
    with pytest.raises(GestaError, match=r"openvino fp32 does not agree with PyTorch.*Nothing was written.*--force"):
        ways(trained, clips, tmp_path / "out", to="openvino")
    assert not (tmp_path / "out").exists()
    report = ways(trained, clips, tmp_path / "out", to="openvino", force=True)
    assert not report.agrees
    assert "exported to openvino fp32 with --force: top class equal on" in (tmp_path / "out/CARD.md").read_text()


@pytest.mark.parametrize(
    ("precision", "share", "passes"),
    [("fp32", 0.99, False), ("fp16", 1, True), ("int8", 0.99, True), ("int8", 0.98, False)],
)
def test_how_many_must_agree(precision, share, passes):
    assert agrees(Parity(clips=100, largest_difference=0.0, top_class_agreement=share), precision) is passes


def test_random_clips_where_no_data_are_given(trained, tmp_path):
    report = ways(trained, (), tmp_path / "out", to="openvino")
    assert report.artifacts[0].measured.clips == "random"
    assert report.artifacts[0].measured.accuracy is None


@pytest.mark.slow
def test_latency_beside_torch(trained, clips, tmp_path):
    (artifact,) = ways(trained, clips, tmp_path / "out", to="openvino", roles=("step",), seconds=0.05).artifacts
    assert 0 < artifact.measured.latency_ms[0] <= artifact.measured.latency_ms[1]
    assert artifact.measured.latency_torch_ms[0] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"to": "openvin"}, "unknown format 'openvin'; choose from onnx, openvino. Did you mean openvino?"),
        (
            {"to": "onnx", "precision": "int9"},
            "unknown precision 'int9'; choose from fp32, fp16, int8. Did you mean int8?",
        ),
        ({"to": "openvino", "precision": "int8", "calibration": ()}, "int8 needs training clips.*--data DATA"),
    ],
)
def test_wrong_use(trained, clips, tmp_path, settings, message):
    with pytest.raises(GestaError, match=message) as error:
        ways(trained, clips, tmp_path / "out", **settings)
    assert error.value.usage
    assert not (tmp_path / "out").exists()


def test_trained_weights_are_never_overwritten(trained, clips, tmp_path):
    with pytest.raises(GestaError, match="is the bundle itself"):
        ways(trained, clips, trained, to="openvino")
    other = make_bundle(tmp_path / "other", "cnn3d_lstm")
    with pytest.raises(GestaError, match="contains a trained bundle, whose weights would be lost"):
        ways(trained, clips, other, to="openvino")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GestaError, match="already exists and is not a bundle"):
        ways(trained, clips, tmp_path, to="openvino")


def test_an_exported_bundle_is_replaced_only_when_asked_for(trained, clips, tmp_path, gesta):
    out = tmp_path / "out"
    ways(trained, clips, out, to="openvino", roles=("step",))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(GestaError, match=r"contains an exported bundle.*--overwrite") as error:
        ways(trained, clips, out, to="onnx", roles=("step",))
    assert error.value.usage
    done = gesta("export", trained, "--to", "openvino", "--out", out)
    assert done.exit_code == 2 and "--overwrite" in done.stderr and "converting" not in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    ways(trained, clips, out, to="openvino", precision="fp16", roles=("step",), overwrite=True)
    assert {a.precision for a in io.read(out, ClipManifest).manifest.artifacts} == {"fp16"}
    assert not (out / "openvino_step_fp32.xml").exists(), "nothing of the former export stays"
    with pytest.raises(GestaError, match="weights would be lost"):
        ways(trained, clips, make_bundle(tmp_path / "other", "cnn3d_lstm"), to="openvino", overwrite=True)


@pytest.mark.slow
def test_command_without_data(trained, tmp_path, monkeypatch, capsys):
    arguments = [
        "gesta",
        "export",
        str(trained),
        "--to",
        "openvino",
        "--out",
        str(tmp_path / "out"),
        "--seconds",
        "0.1",
    ]
    monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["agrees"] and [a["role"] for a in document["artifacts"]] == ["whole", "step"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--precision", "int8", "--out", str(tmp_path / "int8")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "int8 needs training clips" in " ".join(capsys.readouterr().err.split())


def test_the_packages_own_model_passed_its_comparison():
    artifacts = load("demo", threads=1).manifest.artifacts
    assert artifacts
    assert all(a.parity is not None and agrees(a.parity, a.precision) for a in artifacts)


# -- ONNX: the exporter takes seconds a network, so one bundle serves the quick tests ----------------------------------


@pytest.fixture(scope="module")
def in_onnx(trained, clips, tmp_path_factory):
    return ways(trained, clips, tmp_path_factory.mktemp("onnx") / "out", to="onnx", roles=("step",)).bundle


@pytest.fixture
def changed(in_onnx, tmp_path):
    """The ONNX bundle with its network changed by a function, and a manifest that fits its sha256."""
    import onnx as onnx_library

    def make(change):
        (artifact,) = in_onnx.manifest.artifacts
        model = onnx_library.load_from_string(in_onnx.read(artifact))
        change(model)
        data = model.SerializeToString()
        artifact = artifact.model_copy(update={"sha256": io.digest(data)})
        manifest = in_onnx.manifest.model_copy(update={"artifacts": (artifact,)})
        return io.write(tmp_path / "changed", manifest, {artifact.file: data})

    return make


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_both_engines_read_onnx(in_onnx, trained, clips, engine):
    pixels = [clip.pixels for clip in clips]
    found = load(in_onnx.path, engine, threads=1)
    assert np.abs(found.predict_clips(pixels) - load(trained, "torch").predict_clips(pixels)).max() < 1e-5


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_network_that_does_not_match_its_manifest(changed, engine):
    def rename(model):
        model.graph.input[0].name = "pixels"
        for node in model.graph.node:
            node.input[:] = ["pixels" if name == "chunk" else name for name in node.input]

    bundle = changed(rename)
    with pytest.raises(GestaError, match=r"step_fp32.onnx does not match its manifest: input 'chunk' is missing"):
        load(bundle.path, engine).predict_clips([np.zeros((4, 1, 16, 16, 2), np.uint8)])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_network_of_another_shape(in_onnx, tmp_path, engine):
    (artifact,) = in_onnx.manifest.artifacts
    logits, *states = artifact.outputs
    outputs = (logits.model_copy(update={"shape": (-1, 9)}), *states)
    other = in_onnx.manifest.model_copy(update={"artifacts": (artifact.model_copy(update={"outputs": outputs}),)})
    bundle = io.write(tmp_path / "other", other, {artifact.file: in_onnx.read(artifact)})
    with pytest.raises(GestaError, match=r"output 'logits' is float32 \[-1, 4\] in the file, float32 \[-1, 9\] in the"):
        load(bundle.path, engine).predict_clips([np.zeros((4, 1, 16, 16, 2), np.uint8)])


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_unknown_opset(changed, engine):
    def newer(model):
        model.opset_import[0].version = 99

    with pytest.raises(GestaError, match=r"needs ONNX operator set 99; this gesta supports 13 to 26. Update gesta"):
        load(changed(newer).path, engine).predict_clips([np.zeros((4, 1, 16, 16, 2), np.uint8)])


def test_opset_of_a_file(in_onnx):
    data = in_onnx.read(in_onnx.manifest.artifacts[0])
    assert opset(data) == onnx.OPSET
    assert [opset(broken) for broken in (b"", b"rubbish", data[: len(data) // 2], b"\xff" * 20)] == [None] * 4


def test_unknown_engine_in_the_manifest_and_asked_for(in_onnx, tmp_path):
    with pytest.raises(GestaError, match="unknown engine 'tensorrt'; choose from openvino, onnxruntime, torch"):
        load(in_onnx.path, "tensorrt")
    document = json.loads((in_onnx.path / io.MANIFEST).read_text())
    document["artifacts"][0]["engine"] = "tensorrt"
    (tmp_path / io.MANIFEST).write_text(json.dumps(document))
    with pytest.raises(GestaError, match=r"not valid at artifacts.0.engine: Input should be 'torch', 'openvino', "):
        io.read(tmp_path, ClipManifest)


def test_onnx_runs_without_torch_and_without_onnxruntime(in_onnx):
    code = (
        "import sys\n"
        "for name in ('torch', 'onnxruntime', 'onnx', 'nncf', 'lightning'): sys.modules[name] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'onnxruntime' else real(name, package)\n"
        "import gesta, numpy\n"
        f"recognizer = gesta.load({str(in_onnx.path)!r})\n"
        "print(recognizer.engine.name, recognizer.predict(numpy.zeros((9, 1, 16, 16, 2), numpy.uint8)).label)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("openvino ")


def test_the_vote_as_exported_is_the_network_s(trained):
    """For any number of chunks, odd ones too, at each clip's own end."""
    network = load_network(io.read(trained, ClipManifest))
    whole = parts(io.read(trained, ClipManifest), network)[0].module
    generator = torch.Generator().manual_seed(0)
    for frames in (4, 8, 12, 20, 28):
        clip = torch.randint(0, 256, (3, 1, 2, frames, 16, 16), generator=generator, dtype=torch.uint8)
        lengths = torch.tensor([frames, frames - 3, 1])
        torch.testing.assert_close(whole(clip, lengths), network(clip, lengths), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn3d", "cnn3d_lstm", "cnn3d_lstm_memory"])
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_onnx_in_fewer_bytes(model, precision, tmp_path):
    folder = make_bundle(tmp_path / "bundle", model)
    clips = clips_for(folder, (4, 5, 9, 16, 18, 30))
    report = ways(folder, clips, tmp_path / "out", to="onnx", precision=precision, force=True)
    limit = {"fp16": 0.01, "int8": 0.25}[precision]
    assert all(a.parity.largest_difference < limit for a in report.artifacts)
    pixels = [clip.pixels for clip in clips]
    one, other = (load(tmp_path / "out", e).predict_clips(pixels) for e in ("onnxruntime", "openvino"))
    assert np.abs(one - other).max() < limit


def test_large_constants_of_an_8_bit_network_are_stored_in_8_bits_with_a_scale_a_row():
    openvino = pytest.importorskip("openvino")
    from openvino import opset13 as opset

    from gesta.engines.convert_openvino import _narrowed

    values = np.linspace(-1, 1, 2048, dtype=np.float32).reshape(2, 1024)
    x = opset.parameter([2, 1024], np.float32)
    model = openvino.Model([opset.add(opset.multiply(x, opset.constant(values)), opset.constant(np.float32(0.3)))], [x])
    types = {
        node.get_element_type().get_type_name()
        for node in _narrowed(model).get_ops()
        if node.get_type_name() == "Constant"
    }
    assert types == {"i8", "f32"}, "the small one stays"
    found = openvino.compile_model(model, "CPU")(np.ones((2, 1024), np.float32))[0]
    assert found == pytest.approx(values + 0.3, abs=0.5 / 127 + 1e-6)
