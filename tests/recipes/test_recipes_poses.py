"""Recipes for hand poses: the document's settings, and that no kind is taken for another."""

from __future__ import annotations

import pytest

from gesta.recipes import RecipeError, load, names, read_text
from gesta.tasks.catalog import load_recipe, of_recipe
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.tasks.hands.recipe import HandRecipe

POSES = [name for name in names() if of_recipe(name).name == "hands"]
NETS = [f"kazakos/net{n}" for n in range(1, 10)]


def test_every_network_of_the_document_has_one() -> None:
    others = ("depth-net", "rgb-net", "rgbd-net", "fusepred-net", "fuse-net")
    assert {*NETS, *(f"kazakos/{name}" for name in others), "deep-prior", "deep-model", "a2j-compact"} == set(POSES)


@pytest.mark.parametrize("name", POSES)
def test_every_recipe_is_whole_and_says_what_it_costs(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name and load_recipe(name) == recipe
    head = [line for line in read_text(name).splitlines() if line.startswith("#")]
    assert all(any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Measured"))
    assert (recipe.input.size, recipe.input.cube_mm, recipe.training.validation_share) == (128, 300, 0.25)


@pytest.mark.parametrize("name", [*NETS, "kazakos/depth-net", "kazakos/rgb-net", "kazakos/fuse-net"])
def test_the_documents_settings(name: str) -> None:
    recipe = load_recipe(name)
    t = recipe.training
    found = (0.01, 0.9) if name in NETS else (0.009, 0.98)
    assert (t.optimizer, t.learning_rate, t.momentum, t.batch, t.epochs) == ("sgd", *found, 128, 100)
    assert (recipe.model.hidden, recipe.model.dropout, t.schedule) == (4096, 0.03, "plateau")
    assert not recipe.augmentation.active


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epoch=3", r"unknown key training.epoch; .*Did you mean training.epochs\?"),
        ("model.name=net66", r"Allowed: .*net6.* Did you mean net6\?"),
        ("input.inputs=rgdb", r"Did you mean rgbd\?|Did you mean rgb\?"),
        ("augmentation.scale=[0.1,1]", "0.7 <= low"),
        ("input.fps=15", "unknown key input.fps"),
    ],
)
def test_mistakes_are_named(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("kazakos/depth-net", [change])


def test_no_kind_is_taken_for_another() -> None:
    with pytest.raises(RecipeError, match="is a recipe for hands, but one for clips was expected"):
        load("kazakos/depth-net", ClipRecipe)
    with pytest.raises(RecipeError, match=r"one for hands was expected: .*a2j-compact"):
        load("auto", HandRecipe)
