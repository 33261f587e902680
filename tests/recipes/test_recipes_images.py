"""Recipes for images: the document's settings, and that neither kind is taken for the other."""

from __future__ import annotations

import pytest

from gesta.recipes import RecipeError, load, names, read_text
from gesta.tasks.catalog import load_recipe, of_recipe
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.images.recipe import ImageRecipe

IMAGES = [name for name in names() if of_recipe(name).name == "images"]


def test_each_network_with_both_optimizers() -> None:
    assert [f"mullick/cifar-{net}-{by}" for net in ("nin", "resnet", "vgg") for by in ("adam", "sgd")] == IMAGES


@pytest.mark.parametrize("name", IMAGES)
def test_the_documents_settings(name: str) -> None:
    recipe = load_recipe(name)
    t = recipe.training
    optimizer = ("adam", 0.003) if name.endswith("-adam") else ("sgd", 0.3)
    assert (t.optimizer, t.learning_rate, t.momentum, t.weight_decay, t.batch) == (*optimizer, 0.9, 1e-6, 128)
    assert recipe.name == name
    assert (t.schedule, t.gradient_clip) == ("constant", None)  # "fixed learning rate"
    assert recipe.model.normalization
    head = [line for line in read_text(name).splitlines() if line.startswith("#")]
    assert all(any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Measured"))


def test_optimizers_differ_in_nothing_else() -> None:
    for net in ("nin", "resnet", "vgg"):
        one, other = (load_recipe(f"mullick/cifar-{net}-{by}") for by in ("adam", "sgd"))
        same = {"optimizer": "x", "learning_rate": 1.0}
        assert one.model == other.model
        assert one.training.model_copy(update=same) == other.training.model_copy(update=same)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epoch=3", r"unknown key training.epoch; .*Did you mean training.epochs\?"),
        ("model.name=vg", r"Allowed: nin, resnet_cifar, vgg. Did you mean vgg\?"),
        ("input.size=64", r"unknown key input; choose from cost, kind, model"),
        ("training.epochs=auto", "epochs and batch must be numbers for images, not auto"),
        ("training.pretrain_epochs=1", "pretrain_epochs: only for clips; leave out for images"),
        ("training.least_updates=10", "least_updates: only for clips; leave out for images"),
    ],
)
def test_mistakes_are_named(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load_recipe("mullick/cifar-vgg-adam", [change])


def test_neither_kind_is_taken_for_the_other() -> None:
    with pytest.raises(RecipeError, match=r"is a recipe for images, but one for clips was expected: .*auto"):
        load("mullick/cifar-vgg-adam", ClipRecipe)
    with pytest.raises(RecipeError, match="is a recipe for clips, but one for images was expected: mullick/cifar-"):
        load("auto", ImageRecipe)
