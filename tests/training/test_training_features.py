"""Classifiers of stored features: the documents' sizes, what padding and z-normalization do, training end to end."""

from __future__ import annotations

from pathlib import Path

import checks
import numpy as np
import pytest
import torch
from calls import divided, fit_sequences

from gesta.models.catalog import SEQUENCES, build_sequence
from gesta.recipes import RecipeError, load, names, read_text
from gesta.schema import GestaError, Resource, Sample
from gesta.sources.split import assign_splits
from gesta.tasks.catalog import load_recipe, of_recipe, read_bundle
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.feature_store import FeatureFolder, FeatureRecipe, claim, write_index, write_shard
from gesta.tasks.features.recipe import FeatureClassifierRecipe

RECIPES = [name for name in names() if of_recipe(name).name == "features"]
FOLDER = FeatureRecipe("resnet50", "0" * 64, "layer4", True, 224, frames=None, every=10)
TINY = ("training.epochs=20", "training.batch=16", "model.hidden=8")


def sequences(batch: int = 4, time: int = 6, features: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    found = torch.randn(batch, time, features, generator=generator)
    for i in range(batch):
        found[i, :, i % checks.CLASSES] += 2
    return found


def small(name: str, **settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_sequence(name, features=10, classes=checks.CLASSES, **{"hidden": 16, **settings})


VARIANTS = [
    (name, {"layers": layers, "dense": dense, "normalise": normalise, "changes": changes})
    for name in SEQUENCES
    for layers in ((1,) if name == "mean" else (1, 2))
    for dense in (1, 2)
    for normalise, changes in ((False, False), (True, False), *([] if name == "mean" else [(True, True)]))
]


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
class TestBattery:
    def test_shapes_and_gradients(self, name: str, settings: dict) -> None:
        network = small(name, **settings)
        checks.check_shapes(network, sequences())
        checks.check_gradients(network, sequences())
        checks.check_independence(network, sequences())

    def test_what_stands_behind_a_sequence_changes_nothing(self, name: str, settings: dict) -> None:
        network = small(name, **settings).eval()
        network.fit_statistics(sequences().flatten(0, 1))
        lengths = torch.tensor([3, 6, 6, 6])
        dirty = sequences()
        dirty[0, 3:] = 99
        with torch.no_grad():
            alone = network(sequences()[:1, :3])
            torch.testing.assert_close(network(dirty, lengths)[:1], alone)
            torch.testing.assert_close(network(sequences(), lengths)[1:], network(sequences())[1:])


@pytest.mark.parametrize(
    ("recipe", "features", "classes", "parameters"),
    [
        ("iqbal/gru", 2048, 101, 849_381),
        ("inception-lstm-isogd", 2048, 249, 21_243_129),
        ("iqbal/mean", 2048, 101, 206_949),
    ],
)
def test_sizes_of_the_documents(recipe: str, features: int, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        settings = load_recipe(recipe).model.model_dump()
        network = build_sequence(features=features, classes=classes, **settings)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_z_normalization_by_hand() -> None:
    network = small("mean", normalise=True)
    network.fit_statistics(torch.tensor([[1.0] * 10, [3.0] * 9 + [1.0]]))
    assert network.norm is not None
    seen = network.norm(torch.full((1, 1, 10), 5.0))[0, 0].tolist()
    assert seen == [3.0] * 9 + [4.0]  # (5 - 2) / 1; a feature that never changes keeps its scale


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_changes_do_not_see_what_stays_the_same(name: str) -> None:
    network = small(name, changes=True).eval()
    with torch.no_grad():
        answer = network(sequences())
        torch.testing.assert_close(network(sequences() + torch.arange(10.0)), answer)
        assert not torch.allclose(network(sequences().flip(1)), answer)


def test_wrong_numbers_of_layers() -> None:
    with pytest.raises(ValueError, match="1 or 2 recurrent and linear layers, not 3 and 1"):
        small("lstm", layers=3)
    with pytest.raises(ValueError, match=r"choose from mean, gru, lstm\. Did you mean gru\?"):
        small("grus")


def feature_folder(folder: Path, *, people: int = 5, recipe: FeatureRecipe = FOLDER) -> Path:
    """Three classes that differ in one feature, by five people."""
    rng = np.random.default_rng(0)
    samples, found = [], {}
    for i in range(people * 12):
        name, label = f"v{i:02d}", i % 3
        features = rng.normal(0, 0.5, (int(rng.integers(3, 7)), 8)).astype(np.float32)
        features[:, label] += 2
        found[name] = features
        source = Resource(folder / "x.mp4")
        samples.append(Sample(name, name, source, label=f"class {label}", subject=f"p{i % people}"))
    claim(folder, recipe, "class_folders")
    write_shard(folder, "0000", found, recipe)
    write_index(folder, samples, recipe, [])
    return folder


def test_without_validation_all_but_the_test_people_are_trained_on(tmp_path: Path) -> None:
    folder = feature_folder(tmp_path / "features")
    recipe = load_recipe("iqbal/mean", (*TINY, "training.validation=false"))
    metrics = fit_sequences(folder, recipe, tmp_path / "out", progress=False, device="cpu").metrics
    assert (metrics["train_clips"], metrics["val_clips"], metrics["test_clips"]) == (48, 0, 12)
    assert metrics["best_epoch"] == metrics["epochs"]


@pytest.mark.parametrize("name", ["iqbal/mean-znorm", "iqbal/gru"])
def test_training_on_a_feature_folder(name: str, tmp_path: Path) -> None:
    folder = feature_folder(tmp_path / "features")
    fitted = fit_sequences(folder, load_recipe(name, TINY), tmp_path / "out", progress=False, device="cpu")
    assert fitted.facts["labels"] == ("class 0", "class 1", "class 2")
    assert fitted.metrics["test_accuracy"] >= 0.9 and fitted.metrics["val_accuracy"] >= 0.9
    assert fitted.metrics["train_clips"] + fitted.metrics["val_clips"] + fitted.metrics["test_clips"] == 60
    assert len(fitted.history) == 20 and (tmp_path / "out" / "history.png").is_file()
    kept = read_bundle(fitted.bundle).manifest.metrics
    assert all(kept[name] == value for name, value in fitted.metrics.items())
    assert "z-norm" not in name or fitted.network.norm is not None


def test_videos_without_features_do_not_move_people_between_the_parts(tmp_path: Path) -> None:
    samples = [
        Sample(f"v{i}", f"v{i}", Resource(Path("x")), label="ab"[i % 2], subject=f"p{i // 2}") for i in range(20)
    ]
    claim(tmp_path, FOLDER, "videos")
    held = {s.id: np.zeros((3, 8), np.float32) for s in samples if s.subject not in ("p2", "p7")}
    write_shard(tmp_path, "0000", held, FOLDER)
    assert write_index(tmp_path, samples, FOLDER, []) == 16
    for seed in range(5):
        parts = {s.id: s.split for s in assign_splits(samples, seed=seed)[0]}
        found = divided(tmp_path, seed)[0]
        assert {s.id: s.split for s in found} == {name: parts[name] for name in held}


def test_features_that_are_not_the_recipes(tmp_path: Path) -> None:
    folder = feature_folder(tmp_path / "features")
    wrong = load_recipe("inception-lstm-isogd", TINY)
    with pytest.raises(GestaError, match="backbone inception_v3, but the folder has resnet50"):
        fit_sequences(folder, wrong, tmp_path / "out")
    anything = load_recipe("iqbal/mean", [f"features.{k}=null" for k in ("backbone", "stage", "every")])
    FeatureFolder(folder, anything.features.model_dump())
    one = [sample for sample in _samples(folder) if sample.label == "class 1"]
    with pytest.raises(GestaError, match="has 1 class; at least two are needed"):
        fit_sequences(folder, anything, tmp_path / "out", samples=one)
    maps = feature_folder(tmp_path / "maps", recipe=FeatureRecipe("resnet50", "0", "layer4", False, 224, None, 10))
    with pytest.raises(GestaError, match="contains feature maps"):
        fit_sequences(maps, anything, tmp_path / "out")


def _samples(folder: Path) -> list[Sample]:
    from dataclasses import replace

    return [replace(sample, split="train") for sample in divided(folder)[0]]


class TestRecipes:
    @pytest.mark.parametrize("name", RECIPES)
    def test_each_says_what_it_costs(self, name: str) -> None:
        assert load_recipe(name).name == name
        head = [line for line in read_text(name).splitlines() if line.startswith("#")]
        assert all(any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Measured"))

    def test_the_documents_settings(self) -> None:
        sprint, iqbal = load_recipe("inception-lstm-isogd"), load_recipe("iqbal/gru-znorm")
        assert (sprint.model.layers, sprint.model.hidden, sprint.model.dropout) == (2, 1024, 0.5)
        assert (sprint.training.epochs, sprint.training.learning_rate, sprint.features.frames) == (150, 0.001, 20)
        assert (iqbal.model.hidden, iqbal.training.learning_rate, iqbal.model.normalise) == (128, 0.01, True)

    def test_kinds_are_not_taken_for_one_another(self) -> None:
        with pytest.raises(RecipeError, match="is a recipe for features, but one for clips was expected"):
            load("iqbal/gru", ClipRecipe)
        with pytest.raises(RecipeError, match="auto is a recipe for clips, but one for features was expected"):
            load("auto", FeatureClassifierRecipe)
        with pytest.raises(RecipeError, match="epochs and batch must be numbers"):
            load_recipe("iqbal/gru", ["training.epochs=auto"])
        with pytest.raises(RecipeError, match="their mean is only the last feature less the first"):
            load_recipe("iqbal/mean", ["model.changes=true"])
        with pytest.raises(RecipeError, match=r"Allowed: gru, lstm, mean\. Did you mean gru\?"):
            load_recipe("iqbal/gru", ["model.name=grus"])


class TestKeras:
    def test_first_weights(self) -> None:
        network = small("lstm", layers=2, keras=True)
        lstm = network.recurrent
        for layer in (0, 1):
            recurrent = getattr(lstm, f"weight_hh_l{layer}")  # 4 hidden x hidden
            torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(16), rtol=0, atol=1e-5)
            bias = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
            assert bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32
        limit = (6 / (10 + 64)) ** 0.5
        assert lstm.weight_ih_l0.abs().max() <= limit and lstm.weight_ih_l0.std().item() == pytest.approx(
            limit / 3**0.5, rel=0.1
        )

    @pytest.mark.parametrize("name", ["lstm", "gru"])
    def test_dropout_is_of_the_inputs_with_one_mask_a_sequence(self, name: str) -> None:
        network = small(name, keras=True, dropout=0.5, dense=2).train()
        torch.manual_seed(5)
        found = network(sequences())
        torch.manual_seed(5)
        mask = torch.nn.functional.dropout(torch.ones(4, 1, 10), 0.5)
        assert set(mask.unique().tolist()) == {0.0, 2.0}
        torch.testing.assert_close(found, network.eval()(sequences() * mask))  # nothing is dropped behind

    def test_second_layer_has_a_mask_of_its_own(self) -> None:
        network = small("lstm", keras=True, dropout=0.5, layers=2).train()
        torch.manual_seed(5)
        found = network.forward_features(sequences())
        torch.manual_seed(5)
        masks = [torch.nn.functional.dropout(torch.ones(4, 1, width), 0.5) for width in (10, 16)]
        steps = sequences()
        for layer, mask in enumerate(masks):
            one = torch.nn.LSTM(steps.shape[-1], 16, batch_first=True)
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            one.load_state_dict({f"{n}_l0": getattr(network.recurrent, f"{n}_l{layer}") for n in names})
            steps = one(steps * mask)[0]
        torch.testing.assert_close(found, steps[:, -1])

    def test_trained_it_is_the_same_network(self) -> None:
        one, other = small("lstm", layers=2, keras=True).eval(), small("lstm", layers=2).eval()
        other.load_state_dict(one.state_dict())
        torch.testing.assert_close(one(sequences()), other(sequences()))

    def test_recipes(self) -> None:
        assert load_recipe("inception-lstm-isogd").model.keras and load_recipe("inception-lstm-ledasila").model.keras
        iqbal = load_recipe("iqbal/gru")
        assert not iqbal.model.keras and "keras" not in iqbal.model_dump()["model"]
