"""One row of the frontier: quality, bytes and latency of a network in one precision, stored and exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.compression.plan import Plan
from gesta.compression.store import store_as
from gesta.compression.weights import Precision
from gesta.engines.base import Placement
from gesta.evaluation.run import measure
from gesta.exporting.run import Export, export_bundle
from gesta.schema import GestaError
from gesta.tasks.base import Examples, Parts, Task, has

CALIBRATION = 300


@dataclass(frozen=True)
class Measuring:
    """Data and settings for measuring rows. `options`: those of the task's networks, e.g. backbone_weights."""

    task: Task
    parts: Parts
    plan: Plan
    device: str = "auto"
    progress: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def splits(self) -> dict[str, list[Any]]:
        """The measurable samples of each split."""
        samples = self.parts.listing.samples
        known = [s for s in samples if getattr(s, "label", "") is not None]
        return {name: [s for s in known if s.split == name] for name in ("train", "val", "test")}

    @cached_property
    def identity(self) -> str:
        """Hash of ids, labels, people and splits, to detect whether the recordings are those of an earlier run."""
        plain = [(s.id, getattr(s, "label", None), s.subject, s.split) for part in self.splits.values() for s in part]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def measured_row(measuring: Measuring, name: str, bundle: Path, precision: Precision, out: Path) -> dict[str, Any]:
    """Returns a row of plain values and writes its bundles to out/stored and out/runnable.

    The runnable bundle is also saved as a zip, whose bytes are reported. If the export does not agree with PyTorch,
    "runnable" contains only the "reason".
    """
    place = f"{name}-{precision}"
    step = store_as(bundle, out / "stored" / place, precision, **measuring.options)
    stored = {"bundle": f"stored/{place}", "bytes": step.bytes_after, **_qualities(measuring, step.bundle, "torch")}
    runnable = _runnable(measuring, step.bundle, bundle, precision, out / "runnable" / place)
    return {
        "step": name,
        "precision": precision,
        "parameters": step.parameters,
        "nonzero": step.nonzero,
        "stored": stored,
        "runnable": runnable,
        "made": [one["bundle"] for one in (stored, runnable) if "bundle" in one],
    }


def _runnable(measuring: Measuring, stored: Path, bundle: Path, precision: Precision, out: Path) -> dict[str, Any]:
    task, plan, splits = measuring.task, measuring.plan, measuring.splits
    source: Bundle[Any] = io.read(bundle, task.manifest)
    held_out = splits["val"] or splits["train"]
    try:
        report = export_bundle(
            source,
            out,
            Export(plan.to, precision, overwrite=True, seconds=plan.seconds, roles=("step",)),
            examples=task.examples(
                source.manifest, held_out, plan.clips, "validation" if splits["val"] else "training"
            ),
            calibration=_calibration(measuring, source) if precision == "int8" else None,
            timed_with=stored,
            **measuring.options,
        )
    except GestaError as error:
        return {"reason": str(error)}
    shown = max(report.artifacts, key=lambda one: one.stage == "backbone")
    measured = shown.pose or shown.measured
    assert measured is not None
    return {
        "bundle": f"runnable/{out.name}",
        "engine": shown.engine,
        "bytes": io.save_zip(report.bundle, out.with_name(f"{out.name}.zip")).stat().st_size,
        "bytes_unpacked": sum(report.bundle.size_of(artifact) for artifact in report.artifacts),
        "latency_ms": measured.latency_ms,
        "latency_torch_ms": measured.latency_torch_ms,
        **_qualities(measuring, out, shown.engine),
    }


def _calibration(measuring: Measuring, source: Bundle[Any]) -> Examples:
    return measuring.task.examples(source.manifest, measuring.splits["train"], CALIBRATION, "training")


def _qualities(measuring: Measuring, bundle: Path, engine: str) -> dict[str, Any]:
    """Measures the task's quality on validation and test; on test, also its interval and per-sample correctness."""
    task, device = measuring.task, measuring.device if engine == "torch" else "auto"
    opened = io.read(bundle, task.manifest)
    predictor = task.load(opened, Placement(engine, device), **measuring.options)
    name = task.quality.measured
    found: dict[str, Any] = {"val": None, "test": None, "interval": None, "hits": {}}
    for part in ("val", "test"):
        known = _known(measuring.splits[part], opened.manifest)
        if not known:
            continue
        result = measure(task, predictor, known, layout=measuring.parts.listing.layout, progress=measuring.progress)
        found[part] = result.metrics[name]
        if part == "test":
            hits = task.hits(result) if has(task, "hits") else {}  # type: ignore[attr-defined]
            found |= {"interval": result.metrics.get(f"{name}_interval"), "hits": hits}
    return found


def _known(samples: Sequence[Any], manifest: Any) -> list[Any]:
    """Returns the samples whose label the model knows; all if the model has no labels."""
    labels = getattr(manifest, "labels", None)
    return [s for s in samples if labels is None or s.label in labels]
