"""The contract of a task: what the commands, the Python API and the flows ask of one kind of model.

A task is a module-level value that has these attributes, in a package of its own. What a task cannot do it does not
have: `has(task, "embed")` asks, and whoever needs an ability that is missing refuses with `need`. The catalog finds
tasks by name; packages outside gesta bring theirs by the entry point "gesta.tasks" (docs/add_a_task.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
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
"""Progress: (stage, done, total)."""


def no_bar(_stage: str, _done: int, _total: int) -> None:
    """A progress that nobody looks at."""


@dataclass(frozen=True)
class Quality:
    """What decides which of two models is better. `trained`: its key in a training's metrics, "val_accuracy";
    `measured`: in an evaluation's, "accuracy"; `unit`: "%" for shares, else a unit such as "mm"."""

    trained: str
    measured: str
    higher: bool
    unit: str

    def better(self, one: float, other: float) -> bool:
        """Whether `one` is better than `other`; NaN never is."""
        return one > other if self.higher else one < other

    def text(self, value: float) -> str:
        """A value for people: "93.1 %" or "12.24 mm"."""
        return f"{100 * value:.1f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"


@dataclass(frozen=True)
class Tuning:
    """How `gesta tune` searches a task's recipes, where not by `quality` around the recipe's own values.

    `recipe`: searched if none is named; `objective`: metric of a training, lowest for the best; `space`: by key of the
    recipe (low, high, whether drawn evenly in the logarithm).
    """

    recipe: str
    objective: str
    space: Mapping[str, tuple[float, float, bool]]


@dataclass(frozen=True)
class Parts:
    """Samples with their splits, as a training or a measurement takes them.

    `notes`: how they were divided; `picked`: which "auto" values of the recipe were decided by them, and why.
    """

    listing: Listing
    notes: tuple[str, ...] = ()
    picked: tuple[str, ...] = ()

    def of(self, split: str) -> list[Any]:
        """The samples of one split; "all" are all."""
        return [s for s in self.listing.samples if split in ("all", s.split)]

    def only(self, samples: Sequence[Any]) -> Parts:
        """The same with other samples."""
        return replace(self, listing=replace(self.listing, samples=tuple(samples)))


@dataclass(frozen=True)
class Evaluation:
    """A model over labeled samples: row i of `outputs` and `truth` speaks of `samples[i]`."""

    metrics: dict[str, Any]
    samples: tuple[Any, ...]
    outputs: NDArray[Any]
    truth: NDArray[Any]
    manifest: Any
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """Preprocessed inputs to compare, calibrate and time networks on. `truth`: what is known of each, None if nothing.

    `source`: "validation", "training" or "random".
    """

    inputs: list[NDArray[Any]]
    truth: list[Any]
    source: str


@dataclass(frozen=True)
class Agreement:
    """Whether an exported network says what PyTorch says. `fields`: what the artifact's manifest keeps of it;
    `difference`: the largest one; `words`: for people; `timing`: which of the task's timings is this network's."""

    passes: bool
    fields: dict[str, Any]
    difference: float
    words: str
    timing: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """As plain values, for --json."""
        return dict(next(iter(self.fields.values())).model_dump(mode="json"))


@dataclass(frozen=True)
class Timing:
    """What is timed: a function of the number of the repetition, and what to know of it."""

    work: Callable[[int], object]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What `gesta predict` was asked for. `annotate`: where pictures or videos with the answers are written."""

    inputs: tuple[Path, ...]
    layout: str | None = None
    stream: bool = False
    annotate: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """One answer: as a JSON document, None for what is no answer, and as a line for people. `heading`: of a stream."""

    document: dict[str, Any] | None
    line: str
    heading: bool = False


class Predictor(Protocol):
    """A model at work. Holds its networks on one device; use one per thread."""

    manifest: Any
    engine: Any

    def predict(self, given: Any) -> Any:
        """What the model says of one input: a path, a sample, or arrays as its task defines them."""


class Task(Protocol):
    """One kind of model.

    `recipe`, `manifest`: its pydantic models; `default_recipe`: what trains where no recipe is named; `kept`:
    metrics of an evaluation that a bundle keeps when asked to; `trained_stage`: which of a model's networks is trained
    (pruned, too); `options`:
    command -> names of the options that it takes beyond those common to all tasks.
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
        """Whether a folder (or a layout that is named) holds this task's training data."""

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:
        """What lies in a folder; `like`: the layout of a bundle's training data. Raises GestaError."""

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        """The samples divided into train, val and test. The same arguments give the same parts. Raises GestaError."""

    def fit(self, parts: Parts, recipe: Any, run: Run, start: Path | None = None, **options: Any) -> Fitted:
        """Trains on "train", chooses by "val"; leaves the bundle at run.out/bundle. `start`: a bundle to start from."""

    def load(self, bundle: Bundle[Any], at: Placement, **options: Any) -> Predictor:
        """The model at work. Needs no PyTorch where the bundle has exported networks."""

    def identities(self, samples: Sequence[Any]) -> list[str]:
        """What tells each sample again, by its content: short hashes."""

    def warnings(self, listing: Listing, manifest: Any) -> list[str]:
        """What a reader of a measurement should know of how these data were read for this model."""

    def labeled(self, samples: Sequence[Any], manifest: Any) -> list[Any]:
        """Those that can be measured. Raises GestaError where there are none, or they do not fit the model."""

    def outputs(
        self, predictor: Any, samples: Sequence[Any], bar: Bar
    ) -> tuple[list[Any], NDArray[Any], list[Problem]]:
        """(the samples that could be read, the model's output of each, what could not be read)."""

    def evaluate(self, predictor: Any, samples: Sequence[Any], outputs: NDArray[Any], seed: int) -> Evaluation:
        """What the outputs are worth; `metrics` are plain JSON values."""

    def report(self, result: Evaluation, out: Path) -> None:
        """Writes metrics.json, a report and the single predictions into a folder. Raises GestaError."""

    def graphs(self, bundle: Bundle[Any], **options: Any) -> list[Part]:
        """The networks to export, with example inputs. Needs PyTorch."""

    def examples(self, manifest: Any, samples: Sequence[Any], limit: int, source: str) -> Examples:
        """At most `limit` preprocessed inputs, spread over the samples; random ones where there are no samples."""

    def feeds(self, bundle: Bundle[Any], examples: Examples) -> dict[tuple[str, str], list[Any]]:
        """(role, stage) -> inputs by name, to calibrate 8-bit networks on. Needs PyTorch."""

    def predictor(self, engine: Engine, manifest: Any) -> Predictor:
        """The model on networks that are open."""

    def compare(self, reference: Any, other: Any, examples: Examples, artifact: Artifact) -> Agreement:
        """How another predictor agrees with PyTorch's; both have the networks of the artifact's role alone."""

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        """What the model says of files and folders; what cannot be predicted is added to `failed`."""

    def timings(self, predictor: Any, inputs: Sequence[NDArray[Any]]) -> dict[str, Timing]:
        """What is timed of the model, by name."""

    def step_unit(self, manifest: Any) -> str:
        """What a latency is of: "chunk", "frame", ..."""

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        """A command's result as lines for people."""


def has(task: Task, ability: str) -> bool:
    """Whether a task has an optional ability, such as "stream", "embed", "distil" or "prune_channels"."""
    return callable(getattr(task, ability, None))


def need(task: Task, ability: str, what: str) -> Any:
    """The ability itself. Raises GestaError (usage) with `what` was asked for, where the task has it not."""
    if not has(task, ability):
        raise GestaError(f"{what} is not offered for {task.title}.", usage=True)
    return getattr(task, ability)
