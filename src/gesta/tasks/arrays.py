"""Base for tasks whose single network classifies a numeric array of fixed shape.

A task derives from `ArrayTask` and defines its data and its network (docs/add_a_task.md); training, evaluation, export,
timing and prediction are implemented here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact, Interface, Manifest, Names, alike, shown, unfit_answers
from gesta.engines.base import Engine, Placement
from gesta.engines.catalog import open_engine
from gesta.engines.part import Part
from gesta.engines.quantize import spread
from gesta.recipes.schema import Recipe, TrainingSettings
from gesta.schema import GestaError, Listing, Prediction, Problem, evenly
from gesta.sources.inputs import split_samples
from gesta.tasks import classification, lines
from gesta.tasks.base import Agreement, Bar, Evaluation, Examples, Parts, Said, Timing, Wanted
from gesta.tasks.classification_parity import agreement
from gesta.tasks.predicting import Item, said
from gesta.training.run import Fitted, Run

BATCH = 256
"""Batch size for inference."""
Array = NDArray[np.float32]


class ArrayRecipe(Recipe):
    """Recipe of a single network trained in one stage. A task's subclass adds `kind` and the network's settings."""

    training: TrainingSettings

    @field_validator("training")
    @classmethod
    def _in_one_stage(cls, training: TrainingSettings) -> TrainingSettings:
        return training.in_one_stage(cls.task)


class ArrayManifest(Manifest):
    """Manifest of a classifier of arrays of one shape. A task's subclass adds `title` and `kind`."""

    labels: Names
    shape: tuple[int, ...]

    def unfit(self, inputs: Interface, outputs: Interface) -> str | None:
        expected, found = ("float32", (-1, *self.shape)), inputs.get("array")
        if inputs and not alike(expected, found):
            return f"takes {shown(found)}, but its manifest says {shown(expected)}."
        return unfit_answers(outputs, len(self.labels))

    @property
    def summary(self) -> str:
        return f"Recognizes {len(self.labels)} classes: {', '.join(self.labels)}."

    @property
    def input_lines(self) -> list[str]:
        return [f"an array of numbers of shape {list(self.shape)}"]


class ArrayModel:
    """A loaded model. Holds its network on one device; use one per thread."""

    def __init__(self, task: ArrayTask, engine: Engine, manifest: Any) -> None:
        self.task, self.engine, self.manifest = task, engine, manifest

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.manifest.labels)

    def predict(self, given: Any) -> Prediction:
        """Classifies an array, a sample, or a file that contains an array. Raises GestaError for anything else."""
        if isinstance(given, str | Path):
            samples = self.task.read(Path(given)).samples
            if len(samples) != 1:
                raise GestaError(
                    f"{given}: contains {len(samples)} {self.task.unit}, expected one. `gesta predict` takes several."
                )
            (given,) = samples
        array = self.task.array(given) if hasattr(given, "label") else np.asarray(given, np.float32)
        return classification.prediction(self.labels, self.probabilities([array])[0], str(getattr(given, "id", "")))

    def probabilities(self, arrays: Sequence[Array]) -> NDArray[np.float64]:
        """Returns class probabilities [n, N]. Raises GestaError for an array of another shape."""
        for array in arrays:
            if array.shape != self.manifest.shape:
                raise GestaError(f"The model takes arrays {list(self.manifest.shape)}, not {list(array.shape)}.")
        rows = [
            self.engine.run({"array": np.stack(arrays[at : at + BATCH])})["logits"]
            for at in range(0, len(arrays), BATCH)
        ]
        logits = np.concatenate(rows) if rows else np.zeros((0, len(self.labels)), np.float32)
        return classification.probabilities(logits, self.manifest)


class ArrayTask(classification.Classifies):
    """A task (gesta.tasks.base) that lacks only its data and its network.

    A subclass has `name`, `title`, `unit`, `recipe` (an ArrayRecipe), `manifest` (an ArrayManifest), `default_recipe`,
    and the methods below that raise NotImplementedError. Its samples are frozen dataclasses with `id`, `recording`,
    `label`, `subject`, `split` (None if unknown) and `files`.
    """

    name: str
    title: str
    unit: str
    recipe: type[ArrayRecipe]
    manifest: type[ArrayManifest]
    default_recipe: str
    trained_stage = "network"
    options: Mapping[str, frozenset[str]] = {
        "train": frozenset({"layout", "devices", "nodes"}),
        "evaluate": frozenset(),
        "export": frozenset({"seed", "seconds"}),
        "predict": frozenset(),
        "benchmark": frozenset(),
    }
    tables: ClassVar[Mapping[str, Any]] = {}

    def recognizes(self, data: Path, layout: str | None) -> bool:
        """Returns whether a folder (or a given layout) contains training data for this task."""
        raise NotImplementedError

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:
        """Returns the samples in a folder or a file. Raises GestaError if there are none."""
        raise NotImplementedError

    def array(self, sample: Any) -> Array:
        """Returns the network input for a sample. Raises GestaError if the sample cannot be read."""
        raise NotImplementedError

    def network(self, recipe: Any, shape: tuple[int, ...], classes: int) -> Any:
        """Returns the untrained torch.nn.Module: float32 [B, *shape] -> logits [B, classes]."""
        raise NotImplementedError

    def split(self, listing: Listing, seed: int, recipe: Mapping[str, Any], protocol: str = "subject") -> Parts:
        return Parts(*split_samples(listing, seed, protocol, recipe))

    def fit(self, parts: Parts, recipe: Any, run: Run, start: Path | None = None, **options: Any) -> Fitted:
        from gesta.tasks.arrays_fit import fit

        if start is not None:
            raise GestaError(f"--from: {self.title} cannot start from a bundle. Leave it out.", usage=True)
        return fit(self, parts, recipe, run, drawn=not options.get("light"))

    def load(self, bundle: Bundle[Any], at: Placement, **_: Any) -> ArrayModel:
        return self.predictor(open_engine(bundle, at, lambda: self.graphs(bundle)), bundle.manifest)

    def identities(self, samples: Sequence[Any]) -> list[str]:
        return [_hash(str(sample.subject).encode() + self.array(sample).tobytes()) for sample in samples]

    def warnings(self, listing: Listing, manifest: Any) -> list[str]:  # noqa: ARG002
        return []

    def outputs(
        self, predictor: Any, samples: Sequence[Any], bar: Bar
    ) -> tuple[list[Any], NDArray[Any], list[Problem]]:
        used, arrays, problems = self.readable(samples)
        found = predictor.probabilities(arrays)
        bar("Recognizing", len(samples), len(samples))
        return used, found, problems

    def readable(self, samples: Sequence[Any]) -> tuple[list[Any], list[Array], list[Problem]]:
        """Returns (the readable samples, their arrays, the problems of the others)."""
        used, arrays, problems = [], [], []
        for sample in samples:
            try:
                arrays.append(finite(self.array(sample)))
                used.append(sample)
            except GestaError as error:
                problems.append(Problem(str(sample.files[0]), "unreadable", str(error)))
        return used, arrays, problems

    def report(self, result: Evaluation, out: Path) -> None:
        from gesta.tasks.classification_report import report

        report(result, out, lambda _sample: ([], None))

    def graphs(self, bundle: Bundle[Any], **_: Any) -> list[Part]:
        from gesta.tasks.arrays_network import parts

        return parts(self, bundle)

    def examples(self, manifest: Any, samples: Sequence[Any], limit: int, source: str) -> Examples:
        if not samples:
            noise = np.random.default_rng(0).normal(size=(limit, *manifest.shape)).astype(np.float32)
            return Examples(list(noise), [None] * limit, "random")
        used, arrays, _ = self.readable(evenly(samples, limit))
        return Examples(list(arrays), [sample.label for sample in used], source)

    def feeds(self, bundle: Bundle[Any], examples: Examples) -> dict[tuple[str, str], list[Any]]:  # noqa: ARG002
        return {("whole", "network"): spread([{"array": array[None]} for array in examples.inputs])}

    def predictor(self, engine: Engine, manifest: Any) -> ArrayModel:
        return ArrayModel(self, engine, manifest)

    def compare(self, reference: Any, other: Any, examples: Examples, artifact: Artifact) -> Agreement:
        one, two = (list(model.probabilities(examples.inputs)[:, None]) for model in (reference, other))
        return agreement(one, two, examples, artifact, reference.labels, "whole")

    def predictions(self, predictor: Any, wanted: Wanted, failed: list[str]) -> Iterator[Said]:
        for path in wanted.inputs:
            try:
                listing = self.read(Path(path), wanted.layout)
                used, arrays, lost = self.readable(listing.samples)
                found = predictor.probabilities(arrays)
            except GestaError as error:
                failed.append(str(error) if str(path) in str(error) else f"{path}: {error}")
                continue
            failed += map(str, (*listing.problems, *lost))
            for sample, row in zip(used, found, strict=True):
                yield said(Item(str(path), sample), classification.prediction(predictor.labels, row, sample.id))

    def step_unit(self, manifest: Any) -> str:  # noqa: ARG002
        return "array"

    def timings(self, predictor: Any, inputs: Sequence[NDArray[Any]]) -> dict[str, Timing]:
        return {"whole": Timing(lambda index: predictor.probabilities([inputs[index % len(inputs)]]))}

    def lines(self, command: str, document: Mapping[str, Any]) -> list[str]:
        unit = self.unit
        if command == "train":
            measured = lines.accuracy(document["metrics"], unit)
            return lines.trained(document, [*measured, lines.same_classes(document["parity"], unit)])
        if command == "evaluate":
            return lines.classified(document, unit)
        if command == "export":
            return lines.exported(document, lines.exported_classifier(document, unit), "FILE")
        table = lines.latency_table(document, lines.times_of(whole="one"))
        return [*lines.benchmark_head(document), f"latency on one core, milliseconds, of one of the {unit}", *table]


def finite(array: Array) -> Array:
    """Returns the array unchanged. Raises GestaError if it contains NaN or infinite values."""
    if not np.isfinite(array).all():
        raise GestaError("contains values that are not finite (NaN or infinite).")
    return array


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
