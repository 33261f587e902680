"""Networks of the literature on actions, from a recipe to a bundle that runs without PyTorch; updates by share."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import torch
from calls import add_networks, fit
from training.learnable import MemoryStore, samples, tiny

import gesta
from gesta.bundle import io
from gesta.models.catalog import MODELS, VIDEO_MODELS, build
from gesta.recipes import RecipeError
from gesta.recipes.schema import TrainingSettings
from gesta.schema import GestaError
from gesta.tasks.clips.manifest import ClipManifest
from gesta.training.optim import batches_an_update

WINDOW = ("input.size=32", "input.window=16", "model.width=0.0625", "model.memory=0", "training.epochs=1")
RPROP = ("training.optimizer=rprop", "training.schedule=constant", "training.learning_rate=0.001")
WAYS = {
    "c3d": (),
    "i3d": (),
    "st_resnet18": ("model.context=3", "model.kind=linear", "model.overlap=true", *RPROP),
    "st_resnet50": ("model.context=special3", "training.loss_over=sequences", "input.sampling=whole"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO_MODELS)
def test_a_recipe_becomes_a_bundle_that_runs_without_torch(name: str, tmp_path: Path) -> None:
    recipe = tiny("auto", *WINDOW, f"model.name={name}", *WAYS[name], "training.accumulate=0.5")
    result = fit(samples(18), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=MemoryStore())
    transform = io.read(result.bundle, ClipManifest).manifest.transform
    assert transform.sampling == ("whole" if "input.sampling=whole" in WAYS[name] else "central")
    clips = [MemoryStore().load(sample, transform) for sample in samples(6)]
    parity = add_networks(result.bundle, clips)
    assert parity.top_class_agreement == 1.0 and parity.largest_difference < 1e-3
    model = gesta.load(result.bundle, engine="openvino")
    assert model.predict(clips[0]).label in ("c0", "c1", "c2")
    if transform.sampling == "whole":
        longer = np.concatenate([clips[0].pixels, clips[1].pixels, clips[2].pixels])  # more than the window
        alone = [model.predict(pixels).confidence for pixels in (clips[0].pixels, longer)]
        together = model.predict_clips([clips[0].pixels, longer]).max(axis=1)
        np.testing.assert_allclose(alone, together, atol=1e-4)


class Untouched(MemoryStore):
    """Prepares nothing."""

    def fill(self, *_: object) -> NoReturn:
        raise AssertionError("clips are preprocessed before the settings are known to be wrong")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("model.name=st_resnet18", "model.context=7"),
            "no context '7' with depth 18; choose from 1, 2, 3, special3, 5, or A-B for any two positions$",
        ),
        (
            ("model.name=st_resnet18", "model.context=98-104"),
            r"no position '98'; .*, 39 layer4\.1\.bn2$",
        ),
        (("model.name=st_resnet50", "model.context=50-55"), "identity needs equal shapes: .* Use linear or nonlinear"),
        (("model.name=st_resnet18", "model.context=5", "input.window=4"), "the context is 5 frames"),
        (("model.name=c3d", "input.window=8"), "c3d cannot be built: 8 frames of 32 pixels are too small"),
    ],
)
def test_wrong_settings_are_said_before_clips_are_prepared(
    changes: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    recipe = tiny("auto", *WINDOW, *changes)
    with pytest.raises(GestaError, match=message) as caught:
        fit(samples(18), recipe, tmp_path, layout="memory", device="cpu", progress=False, cache=Untouched())
    assert caught.value.usage


@pytest.mark.parametrize("name", [*MODELS, *VIDEO_MODELS])
def test_networks_are_built_without_memory(name: str) -> None:
    with torch.device("meta"):
        assert all(p.is_meta for p in build(name, classes=3, channels=3, size=112, width=0.5).parameters())


def test_settings_reach_the_network() -> None:
    network = build("st_resnet18", classes=3, window=8, width=0.0625, context="special3", kind="linear", overlap=True)
    assert network.context == 3 and network.overlap and network.connections[0].kind == "linear"
    assert network.network.conv1.in_channels == 4  # two streams of two channels


def test_recipes_take_contexts_as_numbers_and_names() -> None:
    assert tiny("auto", "model.name=st_resnet18", "model.context=3").model.context == "3"
    assert tiny("auto", "model.name=st_resnet50", "model.context=5-11").model.context == "layer1.0.bn1-layer1.1.bn1"
    with pytest.raises(RecipeError, match=r"Allowed: .*st_resnet18.* Did you mean st_resnet18\?"):
        tiny("auto", "model.name=st_resnet81")
    with pytest.raises(RecipeError, match=r"input.sampling=whole is for st_resnet18, .*, not for c3d; set central"):
        tiny("auto", "model.name=c3d", "input.sampling=whole")
    with pytest.raises(RecipeError, match="rprop finds its own steps, so the schedule must be constant"):
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
