"""The task interface: what the commands, the Python API and the flows require of one kind of model.

A task is a module-level object with these attributes, in a package of its own. Abilities beyond them are optional: a
task that lacks one simply does not define it. `has(task, "embed")` checks for an ability; `need` returns it or raises
an error. The catalog finds tasks by name; packages outside gesta register theirs under the entry point group
"gesta.tasks" (docs/add_a_task.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Manifest
from gesta.engines.base import Engine, Placement
from gesta.engines.part import Part
from gesta.recipes import Recipe
from gesta.schema import GestaError, Listing, Problem
from gesta.training.run import Fitted, Run

Bar = Callable[[str, int, int], None]
"""Progress callback: (stage, done, total)."""


def deferred(place: str) -> Any:
    """Returns a method that calls the function or class at "package.module:name", which is imported when it is called.

    It gets the method's arguments without the task. So loading a task imports neither torch nor the code of the flows.
    """

    def method(_task: Any, *arguments: Any, **named: Any) -> Any:
        return resolve_name(place)(*arguments, **named)

    return method


def deferred_from(module: str, names: str) -> tuple[Any, ...]:
    """Returns a `deferred` method for each of these functions of a module; `names`: separated by spaces."""
    return tuple(deferred(f"{module}:{name}") for name in names.split())


@dataclass(frozen=True)
class Quality:
    """The metric by which models are compared. `trained`: its key in training metrics, e.g. "val_accuracy"; `measured`:
    its key in evaluation metrics, e.g. "accuracy"; `unit`: "%" for fractions, otherwise a unit such as "mm"."""

    trained: str
    measured: str
    higher: bool
    unit: str

    def better(self, one: float, other: float) -> bool:
        """Returns whether `one` is better than `other`; NaN never is."""
        return one > other if self.higher else one < other

    def text(self, value: float) -> str:
        """Formats a value for display: "93.1 %" or "12.24 mm"."""
        return f"{100 * value:.1f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


@dataclass(frozen=True)
class Tuning:
    """Search space of `gesta tune`, for tasks that do not search around the recipe's own values by `quality`.

    `recipe`: default recipe to search; `objective`: training metric to minimize; `space`: recipe key -> (low, high,
    whether to sample on a log scale).
    """

    recipe: str
    objective: str
    space: Mapping[str, tuple[float, float, bool]]


@dataclass(frozen=True)
class Parts:
    """Samples with their splits, as used for training or evaluation.

    `notes`: how the samples were split; `picked`: which "auto" values of the recipe they determined, and why.
    """

    listing: Listing
    notes: tuple[str, ...] = ()
    picked: tuple[str, ...] = ()

    def of(self, split: str) -> list[Any]:
        """Returns the samples of one split; "all" returns all of them."""
        return [s for s in self.listing.samples if split in ("all", s.split)]

    def only(self, samples: Sequence[Any]) -> Parts:
        """Returns a copy with other samples."""
        return replace(self, listing=replace(self.listing, samples=tuple(samples)))


@dataclass(frozen=True)
class Evaluation:
    """Results of a model on labeled samples: row i of `outputs` and `truth` belongs to `samples[i]`."""

    metrics: dict[str, Any]
    samples: tuple[Any, ...]
    outputs: NDArray[Any]
    truth: NDArray[Any]
    manifest: Any
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Preprocessed inputs for comparing, calibrating and timing networks. `truth`: label of each input, or None.

    `source`: "validation", "training" or "random".
    """

    inputs: list[NDArray[Any]]
    truth: list[Any]
    source: str


@dataclass(frozen=True)
class Agreement:
    """Whether an exported network agrees with PyTorch. `fields`: entries for the artifact's manifest; `difference`: the
    largest difference; `words`: summary for display; `timing`: name of the task's timing that applies to this network.
    """

    passes: bool
    fields: dict[str, Any]
    difference: float
    words: str
    timing: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """Plain values, for --json."""
        return dict(next(iter(self.fields.values())).model_dump(mode="json"))


@dataclass(frozen=True)
class Timing:
    """A function to time, called with the index of the repetition, and facts about it."""

    work: Callable[[int], object]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """Arguments of `gesta predict`. `annotate`: where to write annotated pictures or videos."""

    inputs: tuple[Path, ...]
    layout: str | None = None
    stream: bool = False
    annotate: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """One output of `gesta predict`: a JSON document (None if it is not a prediction) and a line of text. `heading`:
    whether the line is the heading of a stream."""

    document: dict[str, Any] | None
    line: str
    heading: bool = False


class Predictor(Protocol):
    """A loaded model. Holds its networks on one device; use one per thread."""

    manifest: Any
    engine: Any

    def predict(self, given: Any) -> Any:
        """Predicts for one input: a path, a sample, or arrays as defined by the task."""


class Task(Protocol):
    """One kind of model.

    `recipe`, `manifest`: its pydantic models; `default_recipe`: recipe trained by default; `kept`: evaluation metrics
    that can be stored in the bundle; `trained_stage`: which of a model's networks is trained (and pruned); `options`:
    command -> names of the options it accepts beyond those common to all tasks.
    """

    name: str
    title: str
    unit: str
    recipe: type[Recipe]
    manifest: type[Manifest]
    default_recipe: str
    quality: Quality
    kept: Sequence[str]
    trained_stage: str
    options: Mapping[str, frozenset[str]]

    def recognizes(self, data: Path, layout: str | None) -> bool:
        """Returns whether a folder (or a given layout) contains training data for this task."""

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:
        """Reads a data folder; `like`: the layout of a bundle's training data. Raises GestaError."""

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        """Splits the samples into train, val and test. The same arguments give the same parts. Raises GestaError."""

    def fit(self, parts: Parts, recipe: Any, run: Run, start: Path | None = None, **options: Any) -> Fitted:
        """Trains on "train", selects by "val", and writes the bundle to run.out/bundle. `start`: an initial bundle."""

    def load(self, bundle: Bundle[Any], at: Placement, **options: Any) -> Predictor:
        """Loads the model. Needs no PyTorch if the bundle has exported networks."""

    def identities(self, samples: Sequence[Any]) -> list[str]:
        """Returns short content hashes that identify the samples."""

    def warnings(self, listing: Listing, manifest: Any) -> list[str]:
        """Returns warnings for readers of an evaluation about how the data was read for this model."""

    def labeled(self, samples: Sequence[Any], manifest: Any) -> list[Any]:
        """Returns the samples to evaluate. Raises GestaError if there are none or they do not fit the model."""

    def outputs(
        self, predictor: Any, samples: Sequence[Any], bar: Bar
    ) -> tuple[list[Any], NDArray[Any], list[Problem]]:
        """Returns (the readable samples, the model's output for each, the problems of the others)."""

    def evaluate(self, predictor: Any, samples: Sequence[Any], outputs: NDArray[Any], seed: int) -> Evaluation:
        """Evaluates the outputs; `metrics` are plain JSON values."""

    def report(self, result: Evaluation, out: Path) -> None:
        """Writes metrics.json, a report and the individual predictions to a folder. Raises GestaError."""

    def graphs(self, bundle: Bundle[Any], **options: Any) -> list[Part]:
        """Returns the networks to export, with example inputs. Needs PyTorch."""

    def examples(self, manifest: Any, samples: Sequence[Any], limit: int, source: str) -> Examples:
        """Returns at most `limit` preprocessed inputs, spread over the samples; random ones if there are no samples."""

    def feeds(self, bundle: Bundle[Any], examples: Examples) -> dict[tuple[str, str], list[Any]]:
        """Returns (role, stage) -> named inputs for calibrating 8-bit networks. Needs PyTorch."""

    def predictor(self, engine: Engine, manifest: Any) -> Predictor:
        """Returns the model running on networks that are already open."""

    def compare(self, reference: Any, other: Any, examples: Examples, artifact: Artifact) -> Agreement:
        """Compares another predictor with PyTorch's; both contain only the networks of the artifact's role."""

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """Predicts files and folders; inputs that cannot be predicted are added to `failed`."""

    def timings(self, predictor: Any, inputs: Sequence[NDArray[Any]]) -> dict[str, Timing]:
        """Returns the functions to time, by name."""

    def step_unit(self, manifest: Any) -> str:
        """Returns the unit of a latency: "chunk", "frame", ..."""

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        """Formats a command's result as lines of text."""


def has(task: Task, ability: str) -> bool:
    """Returns whether a task has an optional ability, such as "stream", "embed", "distil" or "prune_channels"."""
    return callable(getattr(task, ability, None))


def need(task: Task, ability: str, what: str) -> Any:
    """Returns the ability. Raises GestaError (usage) if the task lacks it; `what` names the request in the message."""
    if not has(task, ability):
        raise GestaError(f"{what} is not available for {task.title}.", usage=True)
    return getattr(task, ability)
