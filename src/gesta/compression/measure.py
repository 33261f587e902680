"""One row of the frontier: a network in one precision, stored and exported, its accuracy, bytes and latency."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.clips.cache import ClipCache
from gesta.compression.store import Step, store_as
from gesta.compression.weights import Precision
from gesta.exporting.run import export_bundle, prepared
from gesta.schema import GestaError, Sample
from gesta.tasks.base import Evaluation
from gesta.tasks.clips.evaluate import evaluate
from gesta.tasks.clips.manifest import ClipManifest

CALIBRATION = 128


@dataclass(frozen=True)
class Measuring:
    """What rows are measured on: labelled samples by split, and how they are exported.

    `seconds`: for each latency; `device`: for PyTorch's accuracies.
    """

    splits: Mapping[str, Sequence[Sample]]
    layout: str
    to: str
    clips: int
    seconds: float
    cache: ClipCache
    device: str = "auto"
    progress: bool = True

    @cached_property
    def identity(self) -> str:
        return identity_of(self.splits)


def measured_row(measuring: Measuring, name: str, bundle: Path, precision: Precision, out: Path) -> dict[str, Any]:
    """The row, plain values; its bundles at out/stored and out/runnable, there as one zip, too, whose bytes count.

    Where the export does not say what PyTorch says, "runnable" holds the "reason" and nothing else.
    """
    place = f"{name}-{precision}"
    step = store_as(bundle, out / "stored" / place, precision)
    stored = {"bundle": f"stored/{place}", "bytes": step.bytes_after, **_accuracies(measuring, step.bundle, "torch")}
    runnable = _runnable(measuring, bundle, precision, out, f"runnable/{place}")
    return row_of(name, precision, step, stored, runnable)


def row_of(
    name: str, precision: Precision, step: Step, stored: dict[str, Any], runnable: dict[str, Any]
) -> dict[str, Any]:
    """The row of both forms, and the bundles that it needs."""
    return {
        "step": name,
        "precision": precision,
        "parameters": step.parameters,
        "nonzero": step.nonzero,
        "stored": stored,
        "runnable": runnable,
        "made": [one["bundle"] for one in (stored, runnable) if "bundle" in one],
    }


def _runnable(measuring: Measuring, bundle: Path, precision: Precision, out: Path, place: str) -> dict[str, Any]:
    transform = io.read(bundle, ClipManifest).manifest.transform
    held_out = measuring.splits["val"] or measuring.splits["train"]
    calibration = measuring.splits["train"] if precision == "int8" else []
    try:
        report = export_bundle(
            bundle,
            to=measuring.to,
            precision=precision,
            out=out / place,
            clips=prepared(held_out, transform, measuring.clips, measuring.cache),
            calibration=prepared(calibration, transform, CALIBRATION, measuring.cache),
            source="validation" if measuring.splits["val"] else "training",
            whole=False,
            seconds=measuring.seconds,
        )
    except GestaError as error:
        return {"reason": str(error)}
    artifact = report.artifacts[-1]
    assert artifact.measured is not None
    return {
        "bundle": place,
        "engine": artifact.engine,
        "bytes": io.save_zip(report.bundle, out / f"{place}.zip").stat().st_size,
        "bytes_unpacked": artifact.measured.bytes,
        "latency_ms": artifact.measured.latency_ms,
        "latency_torch_ms": artifact.measured.latency_torch_ms,
        **_accuracies(measuring, out / place, artifact.engine),
    }


def _accuracies(measuring: Measuring, bundle: Path, engine: str) -> dict[str, Any]:
    options: dict[str, Any] = {"engine": engine, "cache": measuring.cache, "progress": measuring.progress}
    options |= {"layout": measuring.layout or None, "device": measuring.device if engine == "torch" else "auto"}
    return accuracies(
        measuring.splits,
        io.read(bundle, ClipManifest).manifest.labels,
        lambda samples: evaluate(bundle, samples, **options),
    )


def accuracies(
    splits: Mapping[str, Sequence[Sample]], labels: Sequence[str], run: Callable[[Sequence[Sample]], Evaluation]
) -> dict[str, Any]:
    """Accuracy on validation; on test with its interval and, clip by clip, whether it was right."""
    known = {name: [s for s in part if s.label in labels] for name, part in splits.items()}
    found: dict[str, Any] = {"val": None, "test": None, "interval": None, "hits": {}}
    if known["val"]:
        found["val"] = run(known["val"]).metrics["accuracy"]
    if known["test"]:
        test = run(known["test"])
        hits = {name: int(right) for name, right in zip(test.ids, test.predicted == test.truth, strict=True)}
        found |= {"test": test.metrics["accuracy"], "interval": test.metrics["accuracy_interval"], "hits": hits}
    return found


def identity_of(splits: Mapping[str, Sequence[Sample]]) -> str:
    """Whether the recordings are those of an earlier run: ids, labels, people, splits."""
    plain = [(s.id, s.label, s.subject, s.split) for part in splits.values() for s in part]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()
