"""Beginning from a trained network: layers by name, what is kept and replaced, learning rates, learning curves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from calls import fit, fit_sequences
from experiments.people import write_set
from training.learnable import MemoryStore, samples, tiny
from training.test_training_features import FOLDER, TINY, feature_folder

from gesta.experiments.action_catalog import ACTION_TABLES
from gesta.experiments.learning_curve import (
    Curve,
    curve_of,
    drawn,
    interval,
    learning_curve,
    markdown,
    one_person,
    parts,
)
from gesta.experiments.parallel import Workers
from gesta.models.catalog import build, build_sequence
from gesta.recipes import changed
from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError
from gesta.tasks.catalog import find, load_recipe, read_bundle
from gesta.training.optim import optimizer_for, schedule_for
from gesta.training.transfer import by_rate, freeze, last_layer, layers, transfer_weights


def lstm(classes: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_sequence("lstm", features=8, classes=classes, hidden=6, layers=2, dense=2, dense_width=5)


def st_resnet() -> torch.nn.Module:
    return build("st_resnet18", classes=3, window=4, width=1 / 16, context="2", kind="linear")


def learns(network: torch.nn.Module) -> set[str]:
    return {layer for layer, names in layers(network).items() if network.get_parameter(names[0]).requires_grad}


def test_layers_have_names() -> None:
    assert list(layers(lstm())) == ["recurrent.0", "recurrent.1", "inner", "classifier"]
    assert list(layers(st_resnet())) == ["conv1", "layer1", "layer2", "layer3", "layer4", "fc", "adapters"]
    assert list(layers(build("cnn3d_lstm", classes=3, width=0.125))) == ["encoder", "lstm", "classifier"]
    assert last_layer(st_resnet()) == ["network.fc"] and last_layer(lstm()) == ["classifier"]
    assert last_layer(build("cnn3d_lstm", classes=3, width=0.125)) == ["classifier"]


def two_streams(name: str = "st_resnet18", **settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(name, classes=3, streams=1, channels=5, window=16, width=1 / 16, fusion="score", stack=2, **settings)


STREAM = ("conv1", "layer1", "layer2", "layer3", "layer4", "fc")
LAYERS = {f"{stream}.{layer}" for stream in ("appearance", "motion") for layer in STREAM}


def test_layers_of_two_streams_and_of_stacked_flow_have_names() -> None:
    assert set(layers(two_streams(context="1"))) == LAYERS
    alone = build("st_resnet18", classes=3, streams=1, channels=2, window=4, width=1 / 16, stack=5)
    assert list(layers(alone)) == list(STREAM)
    assert {"appearance.Mixed_5c", "motion.Conv3d_1a_7x7", "motion.logits"} < set(layers(two_streams("i3d")))
    assert {"appearance.conv1", "motion.fc6", "motion.fc8"} < set(layers(two_streams("c3d")))


@pytest.mark.integration
@pytest.mark.parametrize(
    ("how", "frozen"),
    [
        ("all", {layer for layer in LAYERS if not layer.endswith(".fc")}),
        ("first", {"appearance.conv1", "motion.conv1"}),
        ("appearance.layer1, motion.layer4", {"appearance.layer1", "motion.layer4"}),
        ("motion.network.network.layer4", {"motion.layer4"}),  # as the tensors are called
        ("appearance", {f"appearance.{layer}" for layer in STREAM[:-1]}),
    ],
)
def test_freezing_layers_of_two_streams(how: str, frozen: set[str]) -> None:
    network = two_streams(context="1")
    freeze(network, how)
    assert LAYERS - learns(network) == frozen
    with pytest.raises(
        GestaError, match=r"no layer 'layer1'; choose from appearance\.conv1, .*, appearance, motion, or"
    ):
        freeze(network, "layer1")


def test_rates_reach_the_layers_of_each_stream() -> None:
    rates = {"motion": 0.5, "motion.fc": 2.0, "appearance.layer1": 0.1}
    settings = TrainingSettings(epochs=1, learning_rate=1.0, rates=rates)
    network = two_streams(context="1")
    groups = {group["lr"]: {id(p) for p in group["params"]} for group in by_rate(network, settings)}
    for layer, names in layers(network).items():
        expected = rates.get(layer, rates.get(layer.partition(".")[0], 1.0))
        assert {id(network.get_parameter(name)) for name in names} <= groups[expected], layer
    with pytest.raises(GestaError, match=r"training\.rates: the network has no layer 'layer1'; choose from appearance"):
        by_rate(network, settings.model_copy(update={"rates": {"layer1": 0.1}}))


@pytest.mark.parametrize(
    ("how", "left"),
    [
        ("none", {"recurrent.0", "recurrent.1", "inner", "classifier"}),
        ("all", {"classifier"}),
        ("first", {"recurrent.1", "inner", "classifier"}),
        ("recurrent.0, recurrent.1", {"inner", "classifier"}),
    ],
)
def test_freezing(how: str, left: set[str]) -> None:
    network = lstm()
    freeze(network, how)
    assert learns(network) == left


def test_frozen_normalization_keeps_its_statistics() -> None:
    network = st_resnet()
    still = freeze(network, "first")
    assert {type(module).__name__ for module in still} == {"Conv2d", "BatchNorm2d"} and len(still) == 2
    with pytest.raises(GestaError, match=r"no layer 'layer9'; choose from conv1, .*, or none, all, first"):
        freeze(st_resnet(), "layer9")


def test_the_last_layer_is_kept_for_the_same_classes_alone() -> None:
    network, features = lstm(), torch.randn(2, 4, 8)
    before = network(features)
    assert "the same 3 classes: the last layer is kept" in transfer_weights(
        network, ("c", "a", "b"), ("a", "b", "c"), 0
    )
    torch.testing.assert_close(network(features), before[:, [1, 2, 0]])
    told = transfer_weights(network, ("a", "b", "c"), ("a", "b", "d", "e"), 0)
    assert "2 new (d, e), 1 not in the data (c): the last layer is replaced" in told
    assert network(features).shape == (2, 4)
    other = lstm()
    transfer_weights(other, ("a", "b", "c"), ("a", "b", "d", "e"), 0)
    torch.testing.assert_close(network.classifier.weight, other.classifier.weight)  # by the seed


@pytest.mark.parametrize(
    ("line", "learned"),
    [
        ("from IsoGD, fine-tuned whole", {"recurrent", "inner", "classifier"}),
        ("from IsoGD, fine-tuned, first LSTM frozen", {"recurrent", "inner", "classifier"}),
        ("from IsoGD, both LSTMs frozen", {"inner", "classifier"}),
    ],
)
def test_a_line_with_frozen_recurrent_layers_learns_the_others(line: str, learned: set[str]) -> None:
    row = next(row for row in ACTION_TABLES["sprint/transfer"].rows if row.label == line)
    frozen = [o.removeprefix("training.freeze=") for o in row.overrides if o.startswith("training.freeze=")]
    network = lstm()
    for names in frozen:
        freeze(network, names)
    assert {name.split(".")[0] for name in learns(network)} == learned
    assert ("recurrent.0" in learns(network)) == (not frozen)


def test_a_learning_rate_for_each_layer() -> None:
    settings = TrainingSettings(epochs=1, learning_rate=0.1, schedule="one_cycle", rates={"recurrent.0": 0.1})
    network = lstm()
    freeze(network, "recurrent.1")
    optimizer = optimizer_for(by_rate(network, settings), settings)
    assert {(round(g["lr"], 6), len(g["params"])) for g in optimizer.param_groups} == {(0.01, 4), (0.1, 4)}
    schedule_for(optimizer, settings, 10)
    assert sorted(round(g["max_lr"], 6) for g in optimizer.param_groups) == [0.01, 0.1]
    with pytest.raises(GestaError, match=r"training\.rates: the network has no layer 'lstm'; choose from recurrent\.0"):
        by_rate(network, settings.model_copy(update={"rates": {"lstm": 0.1}}))
    assert (
        "rates" not in TrainingSettings(epochs=1).model_dump()
        and "freeze" not in TrainingSettings(epochs=1).model_dump()
    )


@pytest.mark.integration
def test_training_on_clips_from_a_network(tmp_path: Path) -> None:
    recipe = tiny("auto", "training.freeze=encoder", "training.epochs=1")
    with pytest.raises(GestaError, match=r"training\.freeze needs a trained network: gesta train --from"):
        fit(samples(), recipe, tmp_path / "x", layout="memory", device="cpu", progress=False, cache=MemoryStore())
    plain = tiny("auto", "training.epochs=1")
    first = fit(samples(), plain, tmp_path / "1", layout="memory", device="cpu", progress=False, cache=MemoryStore())
    from gesta.tasks.clips.transfer import recipe_from, warm_start

    chosen = recipe_from(first.bundle, None, ["training.freeze=encoder", "training.epochs=1"])
    assert chosen.model == plain.model and chosen.training.freeze == "encoder"
    fewer = [s for s in samples() if s.label != "c2"]
    base, (note,) = warm_start(first.bundle, fewer, seed=0)
    assert f"From {first.bundle}, " in note and "1 not in the data (c2)" in note
    before = {k: v.clone() for k, v in base.network.state_dict().items() if k.startswith("encoder")}
    fit(fewer, chosen, tmp_path / "2", layout="memory", device="cpu", progress=False, cache=MemoryStore(),
        network=base.network, transform=base.transform)  # fmt: skip
    after = base.network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    all_layers, _ = warm_start(first.bundle, fewer, seed=0)
    plain = recipe_from(first.bundle, None, ["training.epochs=1"])
    fit(fewer, plain, tmp_path / "3", layout="memory", device="cpu", progress=False, cache=MemoryStore(),
        network=all_layers.network, transform=all_layers.transform)  # fmt: skip
    moved = {k for k, v in all_layers.network.state_dict().items() if k in before and not torch.equal(v, before[k])}
    assert {name for name in before if name.endswith("running_mean")} <= moved  # trained in training mode
    with pytest.raises(GestaError, match=r"--set model\.width=1: with --from, network and input are the bundle's"):
        recipe_from(first.bundle, None, ["model.width=1"])


@pytest.mark.integration
def test_dropout_is_the_recipes_when_features_start_from_a_network(tmp_path: Path) -> None:
    folder = feature_folder(tmp_path / "features")
    first = fit_sequences(folder, load_recipe("iqbal/gru", TINY), tmp_path / "1", progress=False, device="cpu")
    recipe = load_recipe("iqbal/gru", (*TINY, "model.dropout=0.25"))
    start = read_bundle(first.bundle)
    fitted = fit_sequences(folder, recipe, tmp_path / "2", progress=False, device="cpu", start=start)
    assert start.manifest.recipe["model"]["dropout"] != 0.25
    assert fitted.network.dropout.p == 0.25
    assert read_bundle(fitted.bundle).manifest.recipe["model"]["dropout"] == 0.25


def test_the_curve_from_scratch_begins_without_published_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny("auto", "model.name=c3d", "model.weights=/nowhere/sports1m.pth")
    manifest = SimpleNamespace(manifest=SimpleNamespace(recipe=own.model_dump(mode="json")))
    monkeypatch.setattr("gesta.bundle.io.read", lambda *_: manifest)
    recipes = curve_of(find("clips"), None, tmp_path / "bundle", [], None)
    assert (recipes["scratch"].model.weights, recipes["transfer"].model.weights) == (None, own.model.weights)


def test_recipes_with_lookups_get_the_curve_of_the_nearest_neighbor() -> None:
    found = curve_of(find("clips"), "dd-net", None, ["training.epochs=2"], None)
    assert list(found) == ["scratch", "neighbor"]
    assert (found["scratch"].deliver, found["neighbor"].deliver) == (None, "nearest neighbor")
    assert list(curve_of(find("clips"), "dd-net", None, ["baselines=false"], None)) == ["scratch"]
    assert list(curve_of(find("clips"), "dd-net", None, ["deliver=nearest class mean"], None)) == ["scratch"]


def test_all_clips_of_a_seed_come_from_one_person() -> None:
    pool = [replace(s, subject=f"p{i % 3}") for i, s in enumerate(samples())]
    people = [{s.subject for s in drawn(one_person(pool, seed), 1, seed)} for seed in range(4)]
    assert all(len(one) == 1 for one in people)
    assert len({*people[0], *people[1], *people[2]}) == 3 and people[3] == people[0]


def test_a_person_with_too_few_clips_is_refused(tmp_path: Path) -> None:
    listing = find("clips").read(write_set(tmp_path / "data", takes=2))
    curve = Curve(find("clips"), {"scratch": load_recipe("auto")}, (1, 5), 2, one_person=True)
    with pytest.raises(GestaError, match=r"--clips 5: the class '\w+' has 2 clips of one person") as caught:
        learning_curve(curve, listing, tmp_path / "out")
    assert caught.value.usage
    nobody = replace(listing, samples=tuple(replace(s, subject=None) for s in listing.samples))
    with pytest.raises(GestaError, match="--one-person needs to know who performs each clip"):
        learning_curve(curve, nobody, tmp_path / "out")


def in_this_process(jobs, *, told=None, **_):
    """run_jobs without processes of their own, whose start takes longer than these trainings."""
    for job in jobs:
        if job.finished() is None:
            found = job.call()
            if told:
                told(job, found)
    return [job.finished() for job in jobs]


def test_a_test_part_without_labels_counts_as_none(tmp_path: Path) -> None:
    folder = feature_folder(tmp_path)
    index = json.loads((folder / "index.json").read_text())
    for number, video in enumerate(index["videos"]):
        video["split"], video["label"] = ("train", video["label"]) if number % 4 else ("test", None)
    (folder / "index.json").write_text(json.dumps(index))
    held = find("features").read(folder).samples
    pool, test, notes = parts(held)
    assert {s.split for s in held if s.label is None} == {"test"}
    assert test and len(pool) + len(test) == len([s for s in held if s.label is not None])
    assert notes[0] == "The test part of the data has no labels, so another one is split off the training part."


class TestLearningCurve:
    @pytest.mark.slow
    def test_with_and_without_transfer(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gesta.experiments.learning_curve.run_jobs", in_this_process)
        folder = feature_folder(tmp_path / "features")
        recipe = load_recipe("iqbal/mean", (*TINY, "features.every=null"))
        fitted = fit_sequences(folder, recipe, tmp_path / "start", progress=False, device="cpu")
        assert fitted.bundle is not None and read_bundle(fitted.bundle).manifest.backbone.name == FOLDER.backbone
        recipe = changed(recipe, ("training.epochs=2",))
        task = find("features")
        curve = Curve(task, {"scratch": recipe, "transfer": recipe}, (1, 4), 2, fitted.bundle)
        held = task.read(folder)
        document = learning_curve(curve, held, tmp_path / "out", Workers(1, "cpu"))
        assert [(r["arm"], r["clips"]) for r in document["rows"]] == [(a, c) for a in curve.recipes for c in (1, 4)]
        assert all(row["interval"][0] <= row["accuracy"] <= row["interval"][1] for row in document["rows"])
        assert document["rows"][2]["accuracy"] > 0.9 and document["gains"][0]["gain"] >= 0
        assert not any("were used in training" in note for note in document["notes"])  # the same test part by seed 0
        assert (tmp_path / "out" / "curve.png").stat().st_size > 1000
        assert "| 4 |" in (tmp_path / "out" / "table.md").read_text() == markdown(document)
        again: list[str] = []
        workers = Workers(device="cpu", told=lambda job, _: again.append(job.title))
        learning_curve(curve, held, tmp_path / "out", workers)
        assert again == [] and json.loads((tmp_path / "out" / "learning_curve.json").read_text())["seeds"] == 2
        with pytest.raises(GestaError, match=r"--clips 99: the class 'class 0' has \d+ clips outside the test part"):
            learning_curve(Curve(task, {"scratch": recipe}, (99,), 1), held, tmp_path / "x")

    def test_an_empty_test_part_is_refused_before_any_training(self, tmp_path: Path) -> None:
        task = find("features")
        listing = task.read(feature_folder(tmp_path / "f"))
        alone = {str(s.label): s for s in task.usable(listing)}  # type: ignore[attr-defined]
        held = replace(listing, samples=tuple(replace(s, subject=None) for s in alone.values()))
        curve = Curve(task, {"scratch": load_recipe("iqbal/mean", TINY)}, (1,), 1)
        with pytest.raises(GestaError, match=r"test part has no clip of a trained class.* two clips of each") as caught:
            learning_curve(curve, held, tmp_path / "out")
        assert not caught.value.usage and not (tmp_path / "out").exists()

    def test_draws_hold_each_other_and_no_test_clip(self, tmp_path: Path) -> None:
        pool, test, _ = parts(find("features").read(feature_folder(tmp_path)).samples)
        small, large = ({s.id for s in drawn(pool, k, 1)} for k in (2, 5))
        assert small < large and len(large) == 15 and not large & {s.id for s in test}
        assert {s.subject for s in pool}.isdisjoint({s.subject for s in test})

    def test_interval_is_the_wider_of_two(self) -> None:
        low, high = interval([0.5, 0.5, 0.5], 100)
        assert low == pytest.approx(0.404, abs=1e-3) and high == pytest.approx(0.596, abs=1e-3)  # Wilson's
        assert interval([0.3, 0.5, 0.7], 10_000) == pytest.approx((0.5 - 4.303 * 0.2 / 3**0.5, 0.9968), abs=1e-3)
