"""Schema shared by all recipes. A recipe is one complete YAML file: no inheritance, unknown keys are rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_serializer,
    model_validator,
)

from gesta import outside
from gesta.schema import GestaError, is_none
from gesta.words import note_former

Auto = Literal["auto"]


class RecipeError(GestaError):
    """A recipe is invalid or missing. Commands exit with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(message, usage=True)


class Strict(BaseModel):
    """A section of settings: unknown keys are rejected, values are immutable.

    FORMER: former names of keys ("sights") and of a key's values ("name=joint") -> current ones. Their use is noted.
    """

    FORMER: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _by_todays_names(cls, settings: Any) -> Any:
        return dict(cls.today(*pair) for pair in settings.items()) if isinstance(settings, dict) else settings

    @classmethod
    def today(cls, key: str, value: Any = None) -> tuple[str, Any]:
        """Returns a key and its value by their current names."""
        name, pair = cls.FORMER.get(key, key), cls.FORMER.get(f"{key}={value}")
        if name != key or pair is not None:
            note_former(f"{key}={value}" if pair else key, pair or name)
        return (name, value) if pair is None else (name, pair.partition("=")[2])


def _place_or(name: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    return name if outside.is_outside(name) else handler(name)


OR_OUTSIDE = (WrapValidator(_place_or), PlainSerializer(lambda name: name, return_type=str))
"""Annotated metadata after a Literal of networks: also accepts networks from other packages (gesta.outside)."""


class NetworkSettings(Strict):
    """The network: `name` is one of ours (a Literal followed by OR_OUTSIDE) or one from another package."""

    name: str
    options: dict[str, JsonValue] | None = Field(None, description="arguments for a network of another package")

    @property
    def is_outside(self) -> bool:
        """Returns whether the network comes from another package."""
        return self.name not in get_args(type(self).model_fields["name"].annotation) and outside.is_outside(self.name)

    @model_validator(mode="after")
    def _options_are_for_others(self) -> Self:
        if self.options is not None and not self.is_outside:
            raise ValueError(
                f"options is for networks of other packages, not for {self.name}; leave it out, "
                "or set model.options=null"
            )
        return self

    def written(self, document: dict[str, Any]) -> dict[str, Any]:
        """Returns the document without `options` for our own networks, and without our settings for others."""
        if self.is_outside:
            return {key: value for key, value in document.items() if key == "name" or (key == "options" and value)}
        return {key: value for key, value in document.items() if key != "options"}

    @model_serializer(mode="wrap")
    def _without_what_is_not_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return self.written(handler(self))


class Recipe(Strict):
    """Fields shared by the recipes of all tasks. `cost` and `reproduces` help users to choose; bundles omit them."""

    task: ClassVar[str] = "clips"
    """Name of its task: the value of `kind` in its YAML file."""

    name: str
    title: str = Field(description="one line: what it is for")
    cost: str = Field("", exclude=True, description="machine and duration of a training run")
    reproduces: str = Field(
        "", exclude=True, description="what it reproduces, if that is its only purpose; `gesta recipes --all` lists it"
    )

    @classmethod
    def expanded(cls, sets: Sequence[str]) -> list[str]:
        """Returns the changes of `--set` with short forms expanded."""
        return list(sets)

    def check(self, changed: frozenset[str]) -> None:
        """Raises RecipeError if settings are incompatible; `changed`: the keys given with `--set`."""
        model = getattr(self, "model", None)
        if not isinstance(model, NetworkSettings) or not model.is_outside:
            return
        lost = sorted(
            key for key in changed if key.startswith("model.") and key.split(".")[1] not in ("name", "options")
        )
        if lost:
            raise RecipeError(
                f"{', '.join(lost)}: {model.name} comes from another package and does not take it; its "
                f"arguments are in model.options, e.g. --set model.options.{lost[0].partition('.')[2]}=..."
            )


class TrainingSettings(Strict):
    epochs: Annotated[int, Field(ge=1)] | Auto = Field(description="auto: from the number of training clips")
    least_updates: int | None = Field(
        None,
        ge=1,
        exclude_if=is_none,
        description="clips: more epochs if there would be fewer updates than this; null if training.epochs is set by "
        "hand",
    )
    batch: Annotated[int, Field(ge=1)] | Auto = 32
    optimizer: Literal["sgd", "adam", "adamw", "rprop"] = "sgd"
    learning_rate: float = Field(0.005, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(1e-6, ge=0, description="an L2 penalty in the gradient for sgd and adam")
    schedule: Literal["constant", "one_cycle"] = "constant"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of the gradient")
    loss_over: Literal["last", "second_half", "sequences"] = Field(
        "last", description="chunks whose loss counts; sequences: each sequence of a st_resnet is an example"
    )
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation result"
    )
    validation: bool = Field(
        True, description="false: validation clips are trained on, too, and the last epoch is kept"
    )
    pretrain_epochs: int = Field(0, ge=0, description="encoder alone on single chunks first (3D-CNN + LSTM)")
    freeze_encoder: bool = Field(False, description="after pre-training, train the LSTM only")
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] | Auto = "32-true"
    accumulate: float | None = Field(
        None,
        gt=0,
        le=1,
        exclude_if=is_none,
        description="share of the training clips whose gradients make one update; null: a batch",
    )
    freeze: str | None = Field(
        None,
        exclude_if=is_none,
        description="with --from: layers to keep fixed: all (but the last), first, or names with commas; null: none",
    )
    rates: dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None,
        exclude_if=is_none,
        description="layer -> factor of the learning rate, as in {encoder: 0.1}; 1 for layers not listed",
    )

    def in_one_stage(self, what: str) -> TrainingSettings:
        """Returns the settings. Raises ValueError for those that only clips take; `what`: what is trained on."""
        if "auto" in (self.epochs, self.batch):
            raise ValueError(f"epochs and batch must be numbers for {what}, not auto")
        of_clips = ("pretrain_epochs", "freeze_encoder", "loss_over", "least_updates")
        changed = [name for name in of_clips if getattr(self, name) != type(self).model_fields[name].default]
        if changed:
            raise ValueError(f"{' and '.join(changed)}: only for clips; leave out for {what}")
        return self

    @model_validator(mode="after")
    def _rprop_has_steps_of_its_own(self) -> TrainingSettings:
        if self.optimizer == "rprop" and self.schedule != "constant":
            raise ValueError("rprop finds its own steps, so the schedule must be constant")
        return self
