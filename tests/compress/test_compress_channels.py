"""Channel pruning: which channels go, that the rest computes the same, and that the new bundle runs everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from calls import clip_examples, export, fit, in_memory, parts_of
from runtime.tiny_bundles import clips_for, make_bundle
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io as bundle_io
from gesta.compression.channels import ChannelPruning, prune_channels
from gesta.compression.weights import count
from gesta.models.catalog import VIDEO_MODELS, build
from gesta.recipes import RecipeError
from gesta.schema import GestaError
from gesta.tasks.catalog import load_recipe
from gesta.tasks.clips import prune_channels as scoring
from gesta.tasks.clips.channels import layers_of, parameters_left, prunable_channels, taken, widths_of
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.prune_channels import chosen, scores
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.training.run import Run


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SMALL = {"classes": 5, "size": 32, "width": 0.1}


@pytest.mark.parametrize("model", ["cnn3d_lstm", "cnn3d", "lstm"])
def test_taking_channels_out_is_as_if_nothing_read_them(model: str) -> None:
    torch.manual_seed(0)
    whole = build(model, **SMALL).eval()
    weights = {name: tensor.numpy() for name, tensor in whole.state_dict().items()}
    layers = layers_of(weights)
    rng = np.random.default_rng(0)
    keep = {layer.name: rng.random(layer.count) < 0.6 for layer in layers}
    for stays in keep.values():
        stays[0] = True
    left = taken(weights, layers, keep)
    counts = {name: int(stays.sum()) for name, stays in keep.items()}
    assert parameters_left(weights, layers, counts) == count(left)[0] < 0.6 * count(weights)[0]
    narrow = build(model, **SMALL, layers=widths_of(left)).eval()
    narrow.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in left.items()})
    silent = {name: np.array(array) for name, array in weights.items()}
    for layer in layers:
        for reader in layer.readers:
            for channel in np.flatnonzero(~keep[layer.name]):
                start = reader.first + channel * reader.each
                silent[reader.tensor][:, start : start + reader.each] = 0
    whole.load_state_dict({name: torch.from_numpy(array) for name, array in silent.items()})
    clip = 255 * torch.rand(2, 2, 2, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(narrow(clip), whole(clip), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", VIDEO_MODELS)
def test_networks_whose_channels_are_not_pruned(model: str) -> None:
    weights = {name: tensor.numpy() for name, tensor in build(model, **SMALL, window=16).state_dict().items()}
    assert not prunable_channels(weights)
    with pytest.raises(GestaError, match="channel pruning works for cnn3d, lstm and cnn3d_lstm"):
        layers_of(weights)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_the_wanted_number_is_met_and_the_best_stay(share: float) -> None:
    weights = {name: tensor.numpy() for name, tensor in build("cnn3d_lstm", classes=5, width=0.25).state_dict().items()}
    layers = layers_of(weights)
    rng = np.random.default_rng(0)
    found = {layer.name: rng.random(layer.count) for layer in layers}
    total = count(weights)[0]
    keep = chosen(weights, layers, found, round(share * total))
    left = count(taken(weights, layers, keep))[0]
    assert 0.85 * share * total < left <= share * total
    for layer in layers:
        stays = keep[layer.name]
        assert found[layer.name][stays].min() >= found[layer.name][~stays].max(initial=0)
        assert stays.sum() % scoring.MULTIPLE == 0 and stays.sum() >= layer.count / 8


def test_all_stay_where_all_fit() -> None:
    weights = {name: tensor.numpy() for name, tensor in build("cnn3d_lstm", **SMALL).state_dict().items()}
    layers = layers_of(weights)
    keep = chosen(weights, layers, {layer.name: np.ones(layer.count) for layer in layers}, count(weights)[0])
    assert all(stays.all() for stays in keep.values())


def labeled(bundle: Path) -> list[tuple[np.ndarray, int]]:
    return [(clip.pixels, i % 4) for i, clip in enumerate(clips_for(bundle, (4, 9, 16, 8)))]


def test_scores_are_the_change_of_the_loss(tmp_path: Path) -> None:
    """Against turning one channel's readers down by a little, one clip a batch."""
    path = make_bundle(tmp_path / "source", "cnn3d_lstm_memory")
    bundle, clips = bundle_io.read(path, ClipManifest), labeled(path)[:1]
    weights = bundle_io.load_weights(bundle)
    layers = layers_of(weights)
    found = scores(bundle, layers, clips)
    network = build(**SETTINGS, **bundle.manifest.recipe["model"]).eval()

    def loss(silenced: dict[str, np.ndarray]) -> float:
        network.load_state_dict({n: torch.from_numpy(np.array(a)) for n, a in silenced.items()})
        network.double()
        pixels = torch.from_numpy(np.array(clips[0][0])).permute(1, 4, 0, 2, 3).unsqueeze(0).double()
        logits = network(pixels) / scoring.TEMPERATURE
        return torch.nn.functional.cross_entropy(logits, torch.tensor([clips[0][1]])).item()

    for layer in (layers[1], layers[5], layers[-1]):
        for channel in range(min(2, layer.count)):
            ends = []
            for factor in (1 - 1e-3, 1 + 1e-3):
                turned = {n: np.array(a, np.float64 if a.dtype == np.float32 else a.dtype) for n, a in weights.items()}
                for reader in layer.readers:
                    start = reader.first + channel * reader.each
                    turned[reader.tensor][:, start : start + reader.each] *= factor
                network.double()
                ends.append(loss(turned))
            assert found[layer.name][channel] == pytest.approx(abs(ends[1] - ends[0]) / 2e-3, rel=1e-2, abs=1e-6)


SETTINGS = {"classes": 4, "streams": 1, "channels": 2, "size": 16, "chunk": 4, "window": 16}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn3d_lstm_memory", "cnn3d"])
def test_a_channel_pruned_bundle_runs_streams_and_exports(model: str, tmp_path: Path, monkeypatch) -> None:
    source = make_bundle(tmp_path / "source", model)
    bundle = bundle_io.read(source, ClipManifest)
    monkeypatch.setattr(scoring, "judged", lambda *_: labeled(source))
    prune_channels(source, tmp_path / "narrow", ChannelPruning(keep=0.6), parts=parts_of(()))
    narrow = bundle_io.read(tmp_path / "narrow", ClipManifest)
    assert narrow.manifest.parameters <= 0.6 * bundle.manifest.parameters
    assert narrow.manifest.recipe["model"]["layers"]["linear"] < 26
    assert "with pruned channels" in (tmp_path / "narrow" / bundle_io.CARD).read_text()
    clips = clips_for(source)
    pixels = [clip.pixels for clip in clips]
    expected = gesta.load(tmp_path / "narrow", engine="torch").predict_clips(pixels)
    assert np.isfinite(expected).all()
    for to, engine in (("openvino", "openvino"), ("onnx", "onnxruntime"))[: 1 if model == "cnn3d" else 2]:
        export(narrow, tmp_path / to, to, examples=clip_examples(clips))
        found = gesta.load(tmp_path / to, engine=engine, threads=1)
        assert np.abs(found.predict_clips(pixels) - expected).max() < 1e-4
    if model != "cnn3d":
        stream = gesta.load(tmp_path / "openvino", threads=1).open_stream()
        said = [said for i in range(0, 16, 4) for said in stream.push_preprocessed(pixels[3][i : i + 4])]
        assert np.abs(np.array(list(said[-1].probabilities.values())) - expected[3]).max() < 1e-4


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory(monkeypatch, MemoryStore())


OPTIONS = {"parts": parts_of(samples()), "run": Run(Path("unused"), device="cpu", progress=False)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = tiny("auto", "training.epochs=8", "model.dropout=0", "augmentation.context=0", "model.width=0.25")
    out = tmp_path_factory.mktemp("run")
    return fit(samples(), recipe, out, device="cpu", progress=False, cache=MemoryStore()).bundle


@pytest.mark.integration
def test_channels_pruned_and_trained_again(trained: Path, tmp_path: Path) -> None:
    source = trained
    how = ChannelPruning(keep=0.3, steps=2, epochs=3, sets=("training.learning_rate=0.003", f"teacher={source}"))
    step = prune_channels(source, tmp_path / "narrow", how, measured=samples(), **OPTIONS)
    manifest = bundle_io.read(step.bundle, ClipManifest).manifest
    assert step.parameters == manifest.parameters <= 0.3 * bundle_io.read(source, ClipManifest).manifest.parameters
    assert step.comparison is not None and step.comparison.after > 0.6
    assert "of fine-tuning" in manifest.metrics["steps"] and manifest.metrics["fine_tuning_epochs"] == 6
    kept = ClipRecipe.model_validate(manifest.recipe)
    assert kept.model.layers is not None and kept.distillation is None
    assert kept.model_copy(
        update={"model": kept.model.model_copy(update={"layers": None})}
    ) == ClipRecipe.model_validate(bundle_io.read(source, ClipManifest).manifest.recipe)
    again = prune_channels(step.bundle, tmp_path / "again", ChannelPruning(keep=0.6), **OPTIONS)
    assert again.parameters <= 0.6 * step.parameters


@pytest.mark.integration
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (ChannelPruning(keep=0), "--keep must be above 0"),
        (ChannelPruning(parameters=0), "--parameters must be at least 1"),
        (ChannelPruning(steps=0), "--steps must be at least 1"),
        (ChannelPruning(epochs=1, sets=("training.speed=1",)), "unknown key training.speed"),
        (ChannelPruning(parameters=10), "takes more than one step"),
    ],
)
def test_mistakes(trained: Path, how: ChannelPruning, message: str, tmp_path: Path) -> None:
    with pytest.raises(GestaError, match=message):
        prune_channels(trained, tmp_path / "out", how, **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_channel_pruning_needs_training_clips(tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "source", "cnn3d_lstm")
    with pytest.raises(GestaError, match="needs training recordings of the bundle's classes"):
        prune_channels(source, tmp_path / "out", parts=parts_of(()))


def test_widths_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="6 convolutions"):
        build("cnn3d_lstm", classes=2, layers={"convolutions": [[4, 4], [4, 4]]})
    with pytest.raises(ValueError, match="1 streams have their own widths, but there are 2"):
        build("cnn3d_lstm", classes=2, layers={"convolutions": [[4] * 6]})
    with pytest.raises(RecipeError, match="linear"):
        load_recipe("auto", ["model.layers.linear=0"])
    assert "layers" not in load_recipe("auto").model_dump(mode="json")["model"]
