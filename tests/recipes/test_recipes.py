"""Recipes: those that come with the package, changes, mistakes by name, and what "auto" resolves to."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.recipes import RecipeError, names, read_text
from gesta.recipes.load import FORMER_RECIPES
from gesta.tasks.catalog import load_recipe, of_recipe
from gesta.tasks.clips.auto import Facts, epochs_for, is_sided, resolve
from gesta.tasks.clips.recipe import ClipRecipe
from gesta.words import FormerNameWarning

ALL = {"color": 1.0, "depth": 1.0, "mask": 1.0, "skeleton": 1.0, "joints": 1.0}


def facts(labels: tuple[str, ...] = ("wave", "clap"), clips: int = 300, **share: float) -> Facts:
    return Facts(clips, labels, 25.0, share)


CLIPS = [n for n in names() if of_recipe(n).name == "clips"]


@pytest.mark.parametrize("name", CLIPS)
def test_every_recipe_is_whole_and_says_what_it_costs(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.cost
    head = [line for line in read_text(name).splitlines() if line.startswith("#")]
    assert all(any(line.startswith(f"# {word}:") for line in head) for word in ("Command", "Measured"))
    resolved, _ = resolve(recipe, Facts(300, ("a", "b"), 20.0, ALL))
    left = {**resolved.input.model_dump(), **resolved.augmentation.model_dump(), "epochs": resolved.training.epochs}
    assert "auto" not in left.values()


@pytest.mark.parametrize("name", [n for n in CLIPS if n.startswith("mullick/")])
def test_the_documents_settings(name: str) -> None:
    recipe = load_recipe(name)
    t, a = recipe.training, recipe.augmentation
    optimizer = ("adam", 0.001) if name.endswith("-adam") else ("sgd", 0.005)
    assert (t.optimizer, t.learning_rate, t.momentum, t.weight_decay, t.batch) == (*optimizer, 0.9, 1e-6, 32)
    assert (a.rotation_deg, a.shift_px, a.zoom_in_px, a.flip, a.window) == (4, 5, 6, 0, None)
    assert recipe.input.hand_rule == "clip" and recipe.model.dropout == 0


def test_changes() -> None:
    recipe = load_recipe(
        "auto", ["training.epochs=3", "training.learning_rate=1e-3", "input.streams=[body]", "augmentation.window=null"]
    )
    assert recipe.training.epochs == 3 and recipe.training.learning_rate == 0.001
    assert recipe.input.streams == ("body",) and recipe.augmentation.window is None


def test_teachers() -> None:
    recipe = load_recipe("mullick/distil-small", ["teacher=runs/a b/bundle", "distillation.loss=kl", "teacher=c"])
    assert recipe.distillation is not None and recipe.distillation.loss == "kl"
    assert recipe.distillation.teachers == ("runs/a b/bundle", "c")
    made = load_recipe("auto", ["teacher=x"]).distillation
    assert made is not None and (made.temperature, made.alpha, made.loss, made.mode) == (4, 0.5, "mse", "joint")


def test_a_recipe_without_teacher_is_written_without() -> None:
    """So that what was trained before there were teachers is still found by its key."""
    plain = load_recipe("mullick/cnn3d-lstm-small").model_dump()
    assert set(plain) == {"name", "title", "input", "model", "augmentation", "training"}
    kept = load_recipe("mullick/distil-small")
    written = kept.model_dump(mode="json")
    assert ClipRecipe.model_validate(written).model_dump(mode="json") == written


@pytest.mark.parametrize(("former", "name"), FORMER_RECIPES.items())
def test_former_names_of_recipes(former: str, name: str) -> None:
    with pytest.warns(
        FormerNameWarning, match=f"the recipe {former} is now called {name}; the former name still works"
    ):
        assert read_text(former) == read_text(name)


def test_former_names_of_settings(tmp_path: Path) -> None:
    sets = ["teacher=x", "distillation.sees=same", "distillation.sights=2", "distillation.way=soft_then_hard"]
    with pytest.warns(FormerNameWarning) as told:
        recipe = load_recipe("mullick/distil-small", [*sets, "model.name=joint"])
    assert {str(one.message).partition(" is now called ")[0] for one in told} == {"sights", "way", "name=joint"}
    assert recipe.distillation is not None and recipe.model.name == "cnn3d_lstm"
    assert (recipe.distillation.views, recipe.distillation.mode) == (2, "soft_then_hard")
    file = tmp_path / "older.yaml"
    text = read_text("mullick/distil-small").replace("name: cnn3d_lstm", "name: joint")
    file.write_text(text.replace("mode: joint", "way: soft_then_hard"), encoding="utf-8")
    with pytest.warns(FormerNameWarning, match="name=joint is now called name=cnn3d_lstm"):
        older = load_recipe(file)
    assert older.distillation is not None and older.distillation.mode == "soft_then_hard"
    with pytest.raises(RecipeError, match=r"unknown key distillation.ways; choose from .*, mode, "):
        load_recipe(file, ["distillation.ways=joint"])


def test_a_recipe_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(read_text("auto").replace("name: auto", "name: mine", 1), encoding="utf-8")
    assert load_recipe(file).name == "mine"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mulick/lstm", "", r"no recipe 'mulick/lstm'; choose from a2j-compact, auto,.*Did you mean mullick/lstm\?"),
        ("missing.yaml", "", "no such recipe file"),
        ("auto", "traning.epochs=3", r"unknown key traning; choose from .*Did you mean training\?"),
        ("auto", "epochs=3", r"unknown key epochs; .*Did you mean training.epochs\?"),
        ("auto", "training.epoch=3", r"unknown key training.epoch; .*Did you mean training.epochs\?"),
        ("auto", "training.epochs", "write key=value"),
        ("auto", "model.width.x=1", "is a value"),
        ("auto", "training.epochs=0", "training.epochs cannot be '0'.*greater than or equal to 1"),
        ("auto", "training.optimizer=sdg", r"Allowed: adam, adamw, rprop, sgd. Did you mean sgd\?"),
        ("auto", "input.streams=[boddy]", r"input.streams.*Allowed: auto, body, hand, skeleton. Did you mean body\?"),
        ("auto", "augmentation.speed=[2, 1]", "speed: expected"),
        ("auto", "training.epochs=[", "is not a YAML value"),
        ("auto", "title=2020-13-45", "is not a YAML value"),
        ("auto", "title=!!bool maybe", "is not a YAML value"),
        ("auto", "teacher=", "write teacher=BUNDLE"),
        (
            "auto",
            "distillation.temprature=2",
            r"key distillation.temprature.*Did you mean distillation.temperature\?",
        ),
        ("auto", "distillation.loss=ms", r"Allowed: kl, mse. Did you mean mse\?"),
    ],
)
def test_mistakes_are_named(name: str, change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load_recipe(name, [change] if change else [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "is a mapping"),
        ("name: [", "not a readable YAML file"),
        ("[" * 100_000, "not a readable YAML file"),
        ("name: 2020-13-45", "not a readable YAML file"),
        ("name: x\ntitle: y\nmodel: {}\ntraining: {epochs: 1}\n", "input is missing"),
        (read_text("auto") + "epochs: 3\n", r"unknown key epochs; choose from"),
        (
            read_text("auto").replace("  batch:", "  bacth:"),
            r"key training.bacth.*Did you mean training.batch\?",
        ),
    ],
)
def test_mistakes_in_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        load_recipe(file)


@pytest.mark.parametrize(
    ("share", "streams", "channels", "body"),
    [
        (ALL, ("body", "hand"), ("gray", "depth"), "skeleton"),
        ({"color": 1.0}, ("body",), ("gray", "gray_difference"), "motion"),
        ({"depth": 1.0}, ("body",), ("depth", "depth_difference"), "motion"),
        ({"depth": 1.0, "skeleton": 1.0}, ("body", "hand"), ("depth", "depth_difference"), "skeleton"),
        ({"color": 1.0, "depth": 0.95, "skeleton": 0.5}, ("body",), ("gray", "depth"), "motion"),
    ],
)
@pytest.mark.parametrize("name", ["auto", "mullick/cnn3d-lstm"])
def test_inputs_follow_the_data(name: str, share: dict[str, float], streams, channels, body: str) -> None:
    recipe, notes = resolve(load_recipe(name), facts(**share))
    assert (recipe.input.streams, recipe.input.channels, recipe.input.body) == (streams, channels, body)
    assert recipe.input.fps == (12.5 if name == "auto" and "depth" in share else 25.0) and any(
        "fps " in note for note in notes
    )
    again, more = resolve(recipe, facts(**share))
    assert again == recipe and more == []


@pytest.mark.parametrize(("rate", "taken"), [(15.0, 15.0), (20.0, 10.0), (25.0, 12.5), (30.0, 15.0), (60.0, 15.0)])
def test_thinned_frames_are_a_whole_fraction(rate: float, taken: float) -> None:
    recipe, _ = resolve(load_recipe("auto", ["input.max_fps=15"]), Facts(300, ("a", "b"), rate, ALL))
    assert recipe.input.fps == taken


def test_replaced_inputs_are_said() -> None:
    _, notes = resolve(load_recipe("mullick/cnn3d-lstm"), facts(color=1.0))
    assert any("no hand stream" in note for note in notes)
    assert any("instead of gray, depth" in note for note in notes)


def test_mirroring_needs_labels_without_sides_and_no_skeleton() -> None:
    def flip(*labels: str, **share: float) -> float:
        return resolve(load_recipe("auto"), facts(labels, **share))[0].augmentation.flip

    assert flip("wave", "clap", color=1.0) == 0.5
    assert flip("wave", "swipe_left", color=1.0) == 0
    assert flip("wave", "clap", **ALL) == 0
    assert resolve(load_recipe("auto", ["augmentation.flip=0.3"]), facts(color=1.0))[0].augmentation.flip == 0.3


@pytest.mark.parametrize("label", ["swipe_left", "SwipeRight", "draw circle CCW", "turn-clockwise", "anticlockwise"])
def test_sided_labels(label: str) -> None:
    assert is_sided(label)


@pytest.mark.parametrize("label", ["bright", "upright", "wave", "cleft", "copyright", "rightful"])
def test_labels_without_side(label: str) -> None:
    assert not is_sided(label)


def test_epochs_grow_with_fewer_clips() -> None:
    assert [epochs_for(n) for n in (1, 80, 300, 100_000)] == [80, 80, 44, 12]


@pytest.mark.parametrize(
    ("change", "share", "message"),
    [
        ("input.streams=[hand]", {"color": 1.0}, "only hand, which needs skeletons"),
        ("input.size=64", {"color": 0.6, "depth": 0.5}, "color nor depth"),
    ],
)
def test_data_that_cannot_serve(change: str, share: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        resolve(load_recipe("auto", [change]), facts(**share))


@pytest.mark.parametrize(
    ("recipe", "sets", "message"),
    [
        (
            "c3d-small",
            ["model.context=2"],
            r"context is for st_resnet18, st_resnet50, not for c3d; leave it out",
        ),
        ("i3d-small", ["model.kind=linear"], r"kind is for st_resnet18, st_resnet50, not for i3d"),
        (
            "auto",
            ["model.overlap=false"],
            r"overlap is for st_resnet18, .*, not for cnn3d_lstm; .*model\.overlap=null",
        ),
        ("auto", ["model.name=lstm", "model.weights=x.pt"], r"weights is for c3d, .*, not for lstm"),
        ("iqbal/st-resnet-small", ["model.name=c3d"], r"kind is for st_resnet18, st_resnet50, not for c3d"),
        ("c3d-small", ["model.layers.lstm=8"], r"layers is for cnn3d, lstm, cnn3d_lstm, not for c3d"),
        ("mullick/cnn3d", ["model.memory=0.5"], "memory is for lstm, cnn3d_lstm, not for cnn3d; leave it out"),
        ("auto", ["model.name=c3d", "model.memory=0.5"], "memory is for lstm, cnn3d_lstm, not for c3d"),
    ],
)
def test_settings_that_the_network_does_not_know_are_refused(recipe: str, sets: list[str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe, sets)


def test_another_network_leaves_the_memory_of_the_first_one_aside() -> None:
    assert load_recipe("auto", ["model.name=c3d"]).model.name == "c3d"
    changes = ["model.name=c3d", "model.kind=null", "model.overlap=null", "model.context=null"]
    assert load_recipe("iqbal/st-resnet-small", changes).model.kind is None


def test_a_recipe_file_may_not_name_settings_of_other_networks(tmp_path: Path) -> None:
    for setting in ("memory: 0.5", "context: 2"):
        file = tmp_path / "mine.yaml"
        file.write_text(read_text("c3d-small").replace("  memory: 0.0\n", f"  {setting}\n"))
        with pytest.raises(RecipeError, match=f"mine.yaml: model: {setting.partition(':')[0]} is for .*, not for c3d"):
            load_recipe(file)
