"""Reading recipes: by name from this folder, or from a file; with `--set` changes; every mistake is named."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from gesta.recipes.poses import PoseRecipe
from gesta.recipes.schema import WITH_MEMORY, ImageRecipe, Recipe
from gesta.recipes.sequences import SequenceRecipe

_ROOT = Path(__file__).parent
NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What PyYAML raises for text that it cannot read, e.g. 2020-13-45, !!bool maybe, or 100,000 opening brackets."""


class RecipeError(ValueError):
    """A recipe that cannot be used as it is written, or is not there. Commands end with exit code 2 on it."""


def names() -> list[str]:
    """Names of the recipes that come with the package, e.g. "auto", "mullick/joint-small"."""
    return sorted(path.relative_to(_ROOT).with_suffix("").as_posix() for path in _ROOT.rglob("*.yaml"))


def read_text(name: str) -> str:
    """The YAML file of a recipe, whole. Raises RecipeError for an unknown name, with the list and the nearest match."""
    return _find(name).read_text(encoding="utf-8")


def load_recipe(name_or_path: str | Path, sets: Sequence[str] = ()) -> Recipe:
    """A recipe by name or YAML file, with changes "key=value", keys dotted: "training.epochs=20".

    Values are YAML: numbers, "auto", lists like [body, hand]. "teacher=BUNDLE", perhaps repeated, names the bundles to
    distil from (distillation.teachers). Raises RecipeError naming the field, what is allowed and
    the nearest match, for an unknown recipe, an unknown key or a value that does not fit.
    """
    path = _find(name_or_path)
    document = _parse(path)
    if _is_for_images(document):
        raise RecipeError(
            f"{name_or_path} is for images in the layout of CIFAR, not for recordings: "
            "gesta reproduce mullick/table-4.4 and mullick/table-4.5 train it."
        )
    if _is_for_poses(document):
        raise RecipeError(f"{name_or_path} is for hand poses, not for recordings of gestures: gesta train takes it.")
    if _is_for_features(document):
        raise RecipeError(
            f"{name_or_path} is for stored features (gesta features), not for recordings: gesta train takes it."
        )
    changes = _spelled_out(sets)
    recipe = _loaded(Recipe, path, document, changes)
    said = {change.partition("=")[0].strip() for change in changes}
    inherited = "model.name" in said and "model.memory" not in said  # of the network that another one replaces
    if recipe.model.memory and recipe.model.name not in WITH_MEMORY and not inherited:
        raise RecipeError(
            f"{path.name}: model: memory is for {', '.join(WITH_MEMORY)}, not for {recipe.model.name}; leave it out, "
            "or set model.memory=0."
        )
    return recipe


def changed(recipe: Recipe, sets: Sequence[str]) -> Recipe:
    """A recipe with changes as of `--set`. Raises RecipeError as `load_recipe` does."""
    return _loaded(Recipe, Path(recipe.name), recipe.model_dump(mode="json"), _spelled_out(sets))


def changed_poses(recipe: PoseRecipe, sets: Sequence[str]) -> PoseRecipe:
    """The same for a recipe for hand poses."""
    return _loaded(PoseRecipe, Path(recipe.name), recipe.model_dump(mode="json"), sets)


def changed_sequences(recipe: SequenceRecipe, sets: Sequence[str]) -> SequenceRecipe:
    """The same for a recipe for stored features."""
    return _loaded(SequenceRecipe, Path(recipe.name), recipe.model_dump(mode="json"), sets)


def load_image_recipe(name_or_path: str | Path, sets: Sequence[str] = ()) -> ImageRecipe:
    """The same for a recipe for images. Raises RecipeError as `load_recipe` does."""
    path = _find(name_or_path)
    document = _parse(path)
    if not _is_for_images(document):
        raise RecipeError(f"{name_or_path} is for recordings, not for images: gesta train takes it.")
    return _loaded(ImageRecipe, path, document, sets)


def load_pose_recipe(name_or_path: str | Path, sets: Sequence[str] = ()) -> PoseRecipe:
    """The same for a recipe for hand poses. Raises RecipeError as `load_recipe` does."""
    path = _find(name_or_path)
    document = _parse(path)
    if not _is_for_poses(document):
        raise RecipeError(f"{name_or_path} is not for hand poses; those are {', '.join(_pose_names())}.")
    return _loaded(PoseRecipe, path, document, sets)


def load_sequence_recipe(name_or_path: str | Path, sets: Sequence[str] = ()) -> SequenceRecipe:
    """The same for a recipe for stored features. Raises RecipeError as `load_recipe` does."""
    path = _find(name_or_path)
    document = _parse(path)
    if not _is_for_features(document):
        fitting = [name for name in names() if _is_for_features(_parse(_ROOT / f"{name}.yaml"))]
        raise RecipeError(f"{name_or_path} is not for stored features; those with --recipe are {', '.join(fitting)}.")
    return _loaded(SequenceRecipe, path, document, sets)


def load_any(name_or_path: str | Path) -> Recipe | ImageRecipe | PoseRecipe | SequenceRecipe:
    """A recipe of whatever kind. Raises RecipeError as `load_recipe` does."""
    if is_for_features(name_or_path):
        return load_sequence_recipe(name_or_path)
    if is_for_images(name_or_path):
        return load_image_recipe(name_or_path)
    return load_pose_recipe(name_or_path) if is_for_poses(name_or_path) else load_recipe(name_or_path)


def is_for_features(name_or_path: str | Path) -> bool:
    """Whether a recipe is one for stored features. Raises RecipeError if there is no such recipe."""
    return _is_for_features(_parse(_find(name_or_path)))


def is_for_poses(name_or_path: str | Path) -> bool:
    """Whether a recipe is one for hand poses. Raises RecipeError if there is no such recipe."""
    return _is_for_poses(_parse(_find(name_or_path)))


def is_for_images(name_or_path: str | Path) -> bool:
    """Whether a recipe is one for images. Raises RecipeError if there is no such recipe."""
    return _is_for_images(_parse(_find(name_or_path)))


def _is_for_images(document: dict[str, Any]) -> bool:
    return document.get("kind") == "images"


def _is_for_features(document: dict[str, Any]) -> bool:
    return document.get("kind") == "features"


def _is_for_poses(document: dict[str, Any]) -> bool:
    return document.get("kind") == "pose"


def _pose_names() -> list[str]:
    return [name for name in names() if _is_for_poses(_parse(_ROOT / f"{name}.yaml"))]


Schema = TypeVar("Schema", Recipe, ImageRecipe, PoseRecipe, SequenceRecipe)


def _loaded(schema: type[Schema], path: Path, document: dict[str, Any], sets: Sequence[str]) -> Schema:
    for change in sets:
        _apply(document, change, schema)
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        raise RecipeError(f"{path.name}: {_explain(error, schema)}") from error


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    known = names()
    if text in known:
        return _ROOT / f"{text}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError(f"{path}: no such recipe file.")
    raise RecipeError(f"no recipe {text!r}; there are {', '.join(known)}, or give a YAML file.{_near(text, known)}")


def _parse(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML) as error:
        raise RecipeError(f"{path}: is no YAML file that can be read ({error}).") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with name, title, input, model and training.")
    return document


def _apply(document: dict[str, Any], change: str, schema: type[BaseModel]) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {change}: write key=value, e.g. training.epochs=20.")
    *parents, last = key.strip().split(".")
    place = document
    for depth, part in enumerate(parents):
        _check_key(".".join([*parents[:depth], part]), schema)
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {change}: {part} holds a value, not further keys.")
    _check_key(key.strip(), schema)
    try:
        place[last] = yaml.safe_load(value)
    except NOT_YAML as error:
        raise RecipeError(f"--set {change}: {value!r} is not a YAML value ({error}).") from error


def _spelled_out(sets: Sequence[str]) -> list[str]:
    """The changes with every `teacher=BUNDLE` gathered into one of distillation.teachers, in their order."""
    teachers = [change.partition("=")[2].strip() for change in sets if change.partition("=")[0].strip() == "teacher"]
    if not teachers:
        return list(sets)
    if not all(teachers):
        raise RecipeError("--set teacher: write teacher=BUNDLE, the folder OUT/bundle of a training.")
    others = [change for change in sets if change.partition("=")[0].strip() != "teacher"]
    return [*others, f"distillation.teachers={json.dumps(teachers)}"]


def _check_key(key: str, schema: type[BaseModel]) -> None:
    """Raises RecipeError if the schema has no such dotted key."""
    model: type[BaseModel] | None = schema
    for part in key.split("."):
        fields = model.model_fields if model else {}
        if part not in fields:
            raise RecipeError(_unknown(key, part, model))
        model = _inner(fields[part])


def _inner(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a section's keys, also of one that may be left out (`Section | None`)."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _unknown(key: str, part: str, model: type[BaseModel] | None) -> str:
    known = sorted(model.model_fields) if model else []
    if not known:
        return f"unknown key {key}: there is nothing below {key.rpartition('.')[0]}."
    return f"unknown key {key}; there are {', '.join(known)}.{_near(part, known)}"


def _near(text: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def _explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """The first mistake in words: which field, what was given, what is allowed."""
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"]]
    model: type[BaseModel] | None = schema
    known: list[str] = []
    for part in keys:
        if model is None or part not in model.model_fields:
            break
        known.append(part)
        field = model.model_fields[part]
        model = _inner(field)
    if first["type"] == "extra_forbidden":
        return _unknown(".".join(keys), keys[-1], model)
    name = ".".join(known) or "the recipe"
    if first["type"] == "missing":
        return f"{'.'.join(keys)} is missing."
    allowed = sorted({m for m in _literals(field.annotation) if isinstance(m, str)}) if known else []
    told = (e["msg"].removeprefix("Value error, ") for e in error.errors() if e["loc"][: len(known)] == tuple(known))
    reasons = "; ".join(dict.fromkeys(told))
    if isinstance(first["input"], dict):
        return f"{name}: {reasons}."  # settings that do not go together
    given = str(first["input"])
    only = all(e["type"] == "literal_error" for e in error.errors() if e["loc"][: len(known)] == tuple(known))
    hint = f" Allowed: {', '.join(allowed)}.{_near(given, allowed)}" if allowed and only else ""
    return f"{name} cannot be {given!r}: {reasons}.{hint}"


def _literals(annotation: Any) -> list[Any]:
    """Every value that stands in a Literal inside a type."""
    found: list[Any] = []
    for argument in get_args(annotation):
        found += _literals(argument) if get_args(argument) else [argument]
    return [value for value in found if not isinstance(value, type) and value is not Ellipsis]
