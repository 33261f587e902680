"""Rewriting a bundle's weights: sparse where that is smaller, in 32, 16 or 8 bits. Bundle in, bundle out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gesta.bundle import io, sparse
from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.bundle.sparse import Stored
from gesta.compression.weights import Precision, Weights, count, narrowed, prunable
from gesta.engines.base import Placement
from gesta.evaluation.run import measure
from gesta.exporting.run import weight_bytes
from gesta.schema import GestaError
from gesta.tasks import catalog
from gesta.tasks.base import Task, has

WORDS: dict[Precision, str] = {"fp32": "32 bits", "fp16": "16 bits", "int8": "8 bits"}
Stages = Mapping[str, Weights]
"""Weights by network stage."""


@dataclass(frozen=True)
class Comparison:
    """The task's quality of two bundles on the same samples; `facts`: how much their outputs differ."""

    metric: str
    before: float
    after: float
    n: int
    unit: str
    facts: Mapping[str, float]

    def document(self) -> dict[str, Any]:
        """Returns the comparison as plain values."""
        return {
            f"{self.metric}_before": self.before,
            f"{self.metric}_after": self.after,
            self.unit: self.n,
            **self.facts,
        }


@dataclass(frozen=True)
class Step:
    """Result of one compression step. Bytes are those of the weights files.

    `kept`: tensors kept in float32 although fewer bits were requested; `emptied`: weight tensors with only zeros left.
    """

    bundle: Path
    parameters: int
    nonzero: int
    bytes_before: int
    bytes_after: int
    tensors: tuple[Stored, ...]
    kept: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    comparison: Comparison | None = None

    def document(self) -> dict[str, Any]:
        """Returns the step as plain values, for `--json`."""
        compared = None if self.comparison is None else self.comparison.document()
        return {**asdict(self), "bundle": str(self.bundle), "comparison": compared}


def weights_of(task: Task, bundle: Bundle[Any], **options: Any) -> dict[str, Weights]:
    """Returns the weights of every stage; `options`: where to find stages not in the bundle. Raises GestaError."""
    if has(task, "weights"):
        return dict(task.weights(bundle, **options))  # type: ignore[attr-defined]
    stages = [artifact.stage for artifact in bundle.manifest.artifacts if artifact.role == "weights"]
    return {stage: io.load_weights(bundle, stage) for stage in stages or ["network"]}


def write(
    source: Bundle[Any],
    out: Path,
    weights: Stages,
    *,
    precision: Precision,
    done: str,
    metrics: Mapping[str, Any] | None = None,
    samples: Sequence[Any] = (),
    **options: Any,
) -> Step:
    """Writes a new bundle to `out`: the source with other weights, without its exported networks (which are outdated).

    `done`: description of the change, for the model card. With `samples`, both bundles are measured on them, with
    `options` passed to the task's `load`, and the result is written into the new one. The source's main metrics are
    kept as `before_...`. Raises GestaError if `out` is the source, or if writing or measuring fails.
    """
    if out.resolve() == source.path.resolve():
        raise GestaError(f"{out}: is the bundle itself, which must not be overwritten. Give another --out.", usage=True)
    task = catalog.find(source.manifest.kind)
    files, step = _narrowed(source, out, weights, precision)
    facts = {
        **_before(task, source.manifest.metrics),
        **(metrics or {}),
        "steps": "; ".join([*filter(None, [source.manifest.metrics.get("steps")]), done]),
        "nonzero_parameters": step.nonzero,
        "weights_bytes": step.bytes_after,
    }
    artifacts = tuple(
        Artifact(role="weights", engine="torch", precision=precision, file=file, sha256=io.digest(data), stage=stage)
        for stage, (file, data) in files.items()
    )
    manifest = source.manifest.with_artifacts((*artifacts, *source.manifest.counts))
    trained = task.trained_stage if task.trained_stage in weights else next(iter(weights))
    parameters = count(sparse.decode(files[trained][1], str(out)))[0]
    manifest = manifest.model_copy(update={"metrics": facts, "parameters": parameters})
    bundle = io.write(out, manifest, dict(files.values()) | source.counts())
    if not samples:
        return step
    before = catalog.read_bundle(source.path)  # `source` may already have the recipe of the new weights
    comparison = compare(task, before, bundle, samples, **options)
    io.update(bundle, metrics={**facts, **comparison.document()})
    return Step(**{**vars(step), "comparison": comparison})


def _narrowed(
    source: Bundle[Any], out: Path, weights: Stages, precision: Precision
) -> tuple[dict[str, tuple[str, bytes]], Step]:
    """Returns stage -> (file, content), and the resulting Step."""
    files: dict[str, tuple[str, bytes]] = {}
    tensors: list[Stored] = []
    kept: list[str] = []
    emptied: list[str] = []
    totals = np.zeros(2, np.int64)
    before = 0
    for stage, given in weights.items():
        held = source.find("weights", "torch", stage=stage)
        file = held.file if held is not None else f"{stage}.safetensors"
        before += len(source.read(held)) if held is not None else sum(np.asarray(a).nbytes for a in given.values())
        values, scales, left = narrowed(given, precision)
        data, stored = sparse.encode(values, scales)
        files[stage] = (file, data)
        loaded = sparse.decode(data, str(out))
        name = f"{stage}." if len(weights) > 1 else ""
        tensors += stored
        kept += [f"{name}{one}" for one in left]
        emptied += [f"{name}{one}" for one in prunable(loaded) if not loaded[one].any()]
        totals += count(loaded)
    size = sum(len(data) for _, data in files.values())
    parameters, nonzero = map(int, totals)
    return files, Step(out, parameters, nonzero, before, size, tuple(tensors), tuple(kept), tuple(emptied))


def _before(task: Task, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the source's metrics to keep."""
    names = (task.quality.trained, f"test_{task.quality.measured}")
    kept = {f"before_{name}": metrics[name] for name in names if name in metrics}
    return {**kept, **{name: value for name, value in metrics.items() if name.startswith("before_")}}


def store_as(
    bundle: Path | str, out: Path, precision: Precision, *, samples: Sequence[Any] = (), **options: Any
) -> Step:
    """Writes the bundle with its weights stored in another precision; they are loaded as float32.

    fp16 is the document's "half precision" (Mullick 2018, table 4.2). int8 rounds weights to 8 bits, with a scale per
    row. `options`: see `weights_of`. Raises GestaError.
    """
    task, source = catalog.of_bundle(bundle)
    done, weights = f"weights stored in {WORDS[precision]}", weights_of(task, source, **options)
    return write(source, out, weights, precision=precision, done=done, samples=samples, **options)


def compare(task: Task, before: Bundle[Any], after: Bundle[Any], samples: Sequence[Any], **options: Any) -> Comparison:
    """Compares both bundles on the same samples with PyTorch."""
    models = (task.load(bundle, Placement("torch"), **options) for bundle in (before, after))
    one, other = (measure(task, model, samples, progress=False) for model in models)
    name = task.quality.measured
    facts = task.differences(one, other) if has(task, "differences") else {}  # type: ignore[attr-defined]
    return Comparison(name, one.metrics[name], other.metrics[name], len(one.samples), task.unit, facts)


def stored_precision(bundle: Bundle[Any]) -> Precision:
    """Returns the precision in which the weights are stored."""
    artifact = bundle.find("weights", "torch")
    return artifact.precision if artifact is not None and artifact.precision in WORDS else "fp32"  # type: ignore[return-value]


__all__ = ["Comparison", "Step", "compare", "store_as", "stored_precision", "weight_bytes", "weights_of", "write"]
