"""Loads recipes by name from this folder, or from a file, with `--set` changes; every error names its field."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

from gesta import outside
from gesta.recipes.schema import Recipe, RecipeError, Strict
from gesta.words import did_you_mean, note_former

R = TypeVar("R", bound=Recipe)

_ROOT = Path(__file__).parent
FORMER = {"pose": "hands"}
"""Task names in older recipes -> current names."""
FORMER_RECIPES = {
    "demo": "cnn3d-lstm-stream",
    "package": "cnn3d-lstm-rgb",
    "kazakos/compact": "a2j-compact",
    "kazakos/deep-model": "deep-model",
    "kazakos/deep-prior": "deep-prior",
    "mullick/joint": "mullick/cnn3d-lstm",
    "mullick/joint-adam": "mullick/cnn3d-lstm-adam",
    "mullick/joint-medium": "mullick/cnn3d-lstm-medium",
    "mullick/joint-pretrained": "mullick/cnn3d-lstm-pretrained",
    "mullick/joint-small": "mullick/cnn3d-lstm-small",
    "sprint/isogd": "inception-lstm-isogd",
    "sprint/ledasila": "inception-lstm-ledasila",
    "tutorial/c3d-linear": "c3d-linear",
    "tutorial/c3d-small": "c3d-small",
    "tutorial/i3d-small": "i3d-small",
}
"""Former recipe names -> current names."""
NOT_YAML = (yaml.YAMLError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""Exceptions that PyYAML raises for invalid text, e.g. 2020-13-45, !!bool maybe, or 100,000 opening brackets."""


def names() -> list[str]:
    """Returns the names of the recipes in the package, e.g. "auto", "mullick/cnn3d-lstm-small"."""
    return sorted(path.relative_to(_ROOT).with_suffix("").as_posix() for path in _ROOT.rglob("*.yaml"))


def read_text(name: str) -> str:
    """Returns the YAML text of a recipe. Raises RecipeError, with the known names and the nearest match, if unknown."""
    return _find(name).read_text(encoding="utf-8")


def document_of(name_or_path: str | Path) -> dict[str, Any]:
    """Returns the YAML document of a recipe, by name or file. Raises RecipeError if it is missing or unreadable."""
    return _parse(_find(name_or_path))


def load(name_or_path: str | Path, schema: type[R], sets: Sequence[str] = ()) -> R:
    """Loads a recipe by name or YAML file, with changes "key=value" and dotted keys: "training.epochs=20".

    Values are YAML: numbers, "auto", lists like [body, hand]. Raises RecipeError, with the field, the allowed values
    and the nearest match, for an unknown recipe, an unknown key or an invalid value.
    """
    path = _find(name_or_path)
    document = _parse(path)
    if kind_of(document) != schema.task:
        fitting = [name for name in names() if kind_of(_parse(_ROOT / f"{name}.yaml")) == schema.task]
        raise RecipeError(
            f"{name_or_path} is a recipe for {kind_of(document)}, but one for {schema.task} was expected"
            f"{': ' * bool(fitting)}{', '.join(fitting)}."
        )
    recipe = _loaded(schema, path.name, document, sets)
    outside.allow(_network(recipe))
    return recipe


def kind_of(document: dict[str, Any]) -> str:
    """Returns the task of a recipe's document."""
    kind = str(document.get("kind", Recipe.task))
    return FORMER.get(kind, kind)


def changed(recipe: R, sets: Sequence[str]) -> R:
    """Returns a recipe with `--set` changes applied. Raises RecipeError like `load`."""
    other = _loaded(type(recipe), recipe.name, recipe.model_dump(mode="json"), sets, check=False)
    if any(change.partition("=")[0].strip() == "model.name" for change in sets):
        outside.allow(_network(other))
    return other


def _network(recipe: Recipe) -> object:
    return getattr(getattr(recipe, "model", None), "name", None)


def _loaded(schema: type[R], name: str, document: dict[str, Any], sets: Sequence[str], check: bool = True) -> R:
    changes = schema.expanded(sets)
    for change in changes:
        _apply(document, change, schema)
    try:
        recipe = schema.model_validate(document)
        if check:
            recipe.check(frozenset(change.partition("=")[0].strip() for change in changes))
    except ValidationError as error:
        raise RecipeError(f"{name}: {_explain(error, schema)}") from error
    except RecipeError as error:
        raise RecipeError(f"{name}: {error}") from error
    return recipe


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    known = names()
    if text in known:
        return _ROOT / f"{text}.yaml"
    path = Path(name_or_path)
    if path.is_file():
        return path
    if text in FORMER_RECIPES:
        note_former(f"the recipe {text}", FORMER_RECIPES[text])
        return _ROOT / f"{FORMER_RECIPES[text]}.yaml"
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError(f"{path}: no such recipe file.")
    raise RecipeError(
        f"no recipe {text!r}; choose from {', '.join(known)}, or give a YAML file.{did_you_mean(text, known)}"
    )


def _parse(path: Path) -> dict[str, Any]:
    """Returns the document of a file; those of the package, which never change, are parsed once."""
    return copy.deepcopy(_parsed_once(path)) if path.is_relative_to(_ROOT) else _parsed(path)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, *NOT_YAML) as error:
        raise RecipeError(f"{path}: is not a readable YAML file ({error}).") from error
    if not isinstance(document, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with name, title, input, model and training.")
    return document


_parsed_once = cache(_parsed)


def _apply(document: dict[str, Any], change: str, schema: type[BaseModel]) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {change}: write key=value, e.g. training.epochs=20.")
    *parents, last = _by_todays_names(key.strip(), schema)
    place = document
    for depth, part in enumerate(parents):
        _check_key(".".join([*parents[:depth], part]), schema)
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {change}: {part} is a value and has no keys below it.")
    _check_key(".".join([*parents, last]), schema)
    try:
        place[last] = yaml.safe_load(value)
    except NOT_YAML as error:
        raise RecipeError(f"--set {change}: {value!r} is not a YAML value ({error}).") from error


def _by_todays_names(key: str, schema: type[BaseModel]) -> list[str]:
    """Returns the parts of a dotted key, with former names replaced by current ones."""
    parts: list[str] = []
    model: type[BaseModel] | None = schema
    for part in key.split("."):
        parts.append(model.today(part)[0] if model is not None and issubclass(model, Strict) else part)
        fields = model.model_fields if model is not None else {}
        model = _inner(fields[parts[-1]]) if parts[-1] in fields else None
    return parts


def _check_key(key: str, schema: type[BaseModel]) -> None:
    """Raises RecipeError if the schema does not have the dotted key."""
    model: type[BaseModel] | None = schema
    for part in key.split("."):
        fields = model.model_fields if model else {}
        if part not in fields:
            raise RecipeError(_unknown(key, model, schema))
        if _is_free(fields[part]):
            return
        model = _inner(fields[part])


def _inner(field: FieldInfo) -> type[BaseModel] | None:
    """Returns the pydantic model of a section, also of an optional one (`Section | None`)."""
    for annotation in (field.annotation, *get_args(field.annotation)):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return None


def _is_free(field: FieldInfo) -> bool:
    """Returns whether a section accepts any keys, such as the options of a network from another package."""
    return any(get_args(one) == (str, JsonValue) for one in get_args(field.annotation))


def _unknown(key: str, model: type[BaseModel] | None, schema: type[BaseModel]) -> str:
    known = sorted(model.model_fields) if model else []
    if not known:
        return f"unknown key {key}: there is nothing below {key.rpartition('.')[0]}."
    return f"unknown key {key}; choose from {', '.join(known)}.{did_you_mean(key, _dotted(schema))}"


def _dotted(schema: type[BaseModel]) -> list[str]:
    """Returns every key of a recipe as used in --set: "training", "training.epochs", ..."""
    keys = []
    for name, field in schema.model_fields.items():
        inner = _inner(field)
        keys += [name, *(f"{name}.{key}" for key in (_dotted(inner) if inner else ()))]
    return keys


def _explain(error: ValidationError, schema: type[BaseModel]) -> str:
    """Describes the first error: the field, the given value and the allowed ones."""
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
        return _unknown(".".join(keys), model, schema)
    name = ".".join(known) or "the recipe"
    if first["type"] == "missing":
        return f"{'.'.join(keys)} is missing."
    allowed = sorted({m for m in _literals(field.annotation) if isinstance(m, str)}) if known else []
    told = (e["msg"].removeprefix("Value error, ") for e in error.errors() if e["loc"][: len(known)] == tuple(known))
    reasons = "; ".join(dict.fromkeys(told))
    if isinstance(first["input"], dict):
        return f"{name}: {reasons}."  # incompatible settings
    given = str(first["input"])
    only = all(e["type"] == "literal_error" for e in error.errors() if e["loc"][: len(known)] == tuple(known))
    hint = f" Allowed: {', '.join(allowed)}.{did_you_mean(given, allowed)}" if allowed and only else ""
    return f"{name} cannot be {given!r}: {reasons}.{hint}"


def _literals(annotation: Any) -> list[Any]:
    """Returns every value of a Literal inside a type."""
    found: list[Any] = []
    for argument in get_args(annotation):
        found += _literals(argument) if get_args(argument) else [argument]
    return [value for value in found if not isinstance(value, type) and value is not Ellipsis]
