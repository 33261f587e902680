"""Networks of the literature on actions, from a recipe to a bundle that runs without PyTorch; updates by share."""

from __future__ import annotations

from pathlib import Path

import pytest
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io
from gesta.export import openvino
from gesta.models.catalog import VIDEO_MODELS, build
from gesta.recipes import RecipeError
from gesta.recipes.schema import TrainingSettings
from gesta.training.fit import fit
from gesta.training.optim import batches_an_update

WINDOW = ("input.size=32", "input.window=16", "model.width=0.0625", "model.memory=0", "training.epochs=1")
RPROP = ("training.optimizer=rprop", "training.schedule=constant", "training.learning_rate=0.001")
WAYS = {
    "c3d": (),
    "i3d": (),
    "st_resnet18": ("model.context=3", "model.kind=linear", "model.overlap=true", *RPROP),
    "st_resnet50": ("model.context=special3",),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO_MODELS)
def test_a_recipe_becomes_a_bundle_that_runs_without_torch(name: str, tmp_path: Path) -> None:
    recipe = tiny("auto", *WINDOW, f"model.name={name}", *WAYS[name], "training.accumulate=0.5")
    result = fit(samples(18), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    transform = io.read(result.bundle).manifest.transform
    assert transform.sampling == "central"
    clips = [MemoryStore().load(sample, transform) for sample in samples(6)]
    parity = openvino.add(result.bundle, clips)
    assert parity.top_class_agreement == 1.0 and parity.largest_difference < 1e-3
    assert gesta.load(result.bundle, engine="openvino").predict(clips[0]).label in ("c0", "c1", "c2")


def test_settings_reach_the_network() -> None:
    network = build("st_resnet18", classes=3, window=8, width=0.0625, context="special3", kind="linear", overlap=True)
    assert network.context == 3 and network.overlap and network.connections[0].kind == "linear"
    assert network.network.conv1.in_channels == 4  # two streams of two channels


def test_recipes_take_contexts_as_numbers_and_names() -> None:
    assert tiny("auto", "model.context=3").model.context == "3"
    assert tiny("auto", "model.context=98-104").model.context == "98-104"
    with pytest.raises(RecipeError, match=r"Allowed: .*st_resnet18.* Did you mean st_resnet18\?"):
        tiny("auto", "model.name=st_resnet81")
    with pytest.raises(RecipeError, match="rprop finds its own steps, so the schedule is constant"):
        tiny("auto", "training.optimizer=rprop", "training.schedule=one_cycle")


def test_recipes_without_these_settings_are_written_as_before() -> None:
    document = tiny("auto").model_dump(mode="json")
    assert not {"context", "kind", "overlap"} & set(document["model"])
    assert "accumulate" not in document["training"]
    assert tiny("auto", "training.accumulate=0.01").model_dump(mode="json")["training"]["accumulate"] == 0.01


@pytest.mark.parametrize(
    ("share", "batches", "together"), [(None, 50, 1), (0.01, 50, 1), (0.1, 50, 5), (1.0, 50, 50), (0.01, 300, 3)]
)
def test_updates_after_a_share_of_the_training_part(share: float | None, batches: int, together: int) -> None:
    assert batches_an_update(TrainingSettings(epochs=1, accumulate=share), batches) == together
