"""The whole path for a backbone and a classifier of its features: stored in fewer bits, exported, measured.

The folder is laid out as in `path`, and started again it goes on. There is no slimming and no pruning: the backbone is
one that was trained on other data and stays as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gesta.bundle import io
from gesta.compression.frontier import ACCURACY
from gesta.compression.measure import accuracies, identity_of, row_of
from gesta.compression.path import Run, Say, check_out, conclude, measure, not_exported, people_notes, splits_of
from gesta.compression.plan import Plan
from gesta.compression.weights import Precision
from gesta.evaluation.latency import in_own_process
from gesta.schema import GestaError, Sample
from gesta.tasks.features.compress_store import store_chain
from gesta.tasks.features.evaluate import evaluate_sequence
from gesta.tasks.features.export import CALIBRATION, VIDEOS, export_chain
from gesta.tasks.features.manifest import FeatureManifest
from gesta.tasks.features.predict import videos_of

TIMED_VIDEOS = 4
CHAIN = replace(
    ACCURACY, advice="Ask for less, or train on features of a smaller backbone: gesta features DATA --backbone NAME."
)


@dataclass(frozen=True)
class ChainMeasuring:
    """What rows are measured on: labelled videos by split. `backbone`: where it is, if not in the bundle."""

    splits: Mapping[str, Sequence[Sample]]
    layout: str
    to: str
    clips: int
    seconds: float
    backbone: str | None = None
    device: str = "auto"
    progress: bool = True

    @cached_property
    def identity(self) -> str:
        return identity_of(self.splits)


def compress_chain(
    bundle: Path,
    out: Path,
    plan: Plan,
    *,
    samples: Sequence[Sample],
    layout: str = "",
    backbone: str | None = None,
    seed: int = 0,
    device: str = "auto",
    command: str = "",
    progress: bool = True,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """The chain in 32, 16 and 8 bits, stored and runnable, at `out`; returns what `frontier.json` holds.

    `samples` with splits: calibrated on train, chosen by val, measured on test. `backbone`: as of `load_sequence`. Of
    the plan the wishes and what belongs to exports count. Raises GestaError for numbers that make no sense, a backbone
    that is nowhere, data without training or (to choose) validation videos, or an `out` that holds something else.
    """
    plan.check()
    source = io.read(bundle, FeatureManifest)
    check_out(out, source.path)
    splits = splits_of(samples, plan)
    if not splits["train"]:
        raise GestaError("Compressing needs labelled training videos, and the data have none.", usage=True)
    measuring = ChainMeasuring(splits, layout, plan.to, plan.clips, plan.seconds, backbone, device, progress)
    run = Run(out, plan, measuring, samples, (), seed, device, progress, say)
    measure(run, "start", bundle, measured_row, more=[source.manifest.backbone])
    unit = "frame" if source.manifest.backbone.window == 1 else "window"
    return conclude(run, source.path, command, run.rows[:1], _notes, unit, CHAIN)


def measured_row(measuring: ChainMeasuring, name: str, bundle: Path, precision: Precision, out: Path) -> dict[str, Any]:
    """The row, plain values; its bundles at out/stored and out/runnable, there as one zip, too, whose bytes count.

    Where the export does not say what PyTorch says, "runnable" holds the "reason" and nothing else.
    """
    place = f"{name}-{precision}"
    step = store_chain(bundle, out / "stored" / place, precision, measuring.backbone)
    stored = {"bundle": f"stored/{place}", "bytes": step.bytes_after, **_accuracies(measuring, step.bundle, "torch")}
    runnable = _runnable(measuring, bundle, precision, out, f"runnable/{place}", step.bundle)
    return row_of(name, precision, step, stored, runnable)


def _runnable(
    measuring: ChainMeasuring, bundle: Path, precision: Precision, out: Path, place: str, stored: Path
) -> dict[str, Any]:
    used = io.read(bundle, FeatureManifest).manifest.backbone
    held_out = measuring.splits["val"] or measuring.splits["train"]
    try:
        report = export_chain(
            bundle,
            to=measuring.to,
            out=out / place,
            precision=precision,
            backbone=measuring.backbone,
            videos=videos_of(held_out, used, min(measuring.clips, VIDEOS[precision])),
            calibration=videos_of(measuring.splits["train"], used, CALIBRATION),
        )
    except GestaError as error:
        return {"reason": str(error)}
    artifacts = report.bundle.manifest.artifacts
    return {
        "bundle": place,
        "engine": artifacts[0].engine,
        "bytes": io.save_zip(report.bundle, out / f"{place}.zip").stat().st_size,
        "bytes_unpacked": sum(len(report.bundle.read(a, file)) for a in artifacts for file in (a.file, *a.companions)),
        **_latencies(measuring, out / place, artifacts[0].engine, precision, stored),
        **_accuracies(measuring, out / place, artifacts[0].engine),
    }


def _latencies(
    measuring: ChainMeasuring, runnable: Path, engine: str, precision: Precision, stored: Path
) -> dict[str, Any]:
    """p50 and p95 in milliseconds of a new frame (or window) on one core, and PyTorch's on the stored bundle."""
    if measuring.seconds <= 0:
        return {"latency_ms": None, "latency_torch_ms": None}
    used = io.read(runnable, FeatureManifest).manifest.backbone
    with tempfile.TemporaryDirectory(prefix="gesta-compress-") as scratch:
        file = Path(scratch) / "videos.npz"
        np.savez(file, *videos_of(measuring.splits["train"], used, TIMED_VIDEOS))
        runs = {
            "latency_ms": in_own_process(runnable, file, engine, precision, measuring.seconds),
            "latency_torch_ms": in_own_process(stored, file, "torch", "fp32", measuring.seconds),
        }
    return {name: (run["feature"]["p50_ms"], run["feature"]["p95_ms"]) for name, run in runs.items()}


def _accuracies(measuring: ChainMeasuring, bundle: Path, engine: str) -> dict[str, Any]:
    options: dict[str, Any] = {"engine": engine, "layout": measuring.layout or None, "progress": measuring.progress}
    options["device"] = measuring.device if engine == "torch" else "auto"
    labels = io.read(bundle, FeatureManifest).manifest.labels
    return accuracies(measuring.splits, labels, lambda samples: evaluate_sequence(bundle, samples, **options))


def _notes(run: Run, source: Path, reference: str) -> list[str]:
    """What must be known to read the table."""
    used = io.read(source, FeatureManifest).manifest.backbone
    unit = "a new frame" if used.window == 1 else f"a new window of {used.window} frames"
    return [
        *people_notes(run, source, reference),
        f"Parameters and bytes are those of the backbone {used.name} and of the classifier.",
        "Stored: both files of weights, run by PyTorch in 32 bits. Runnable: both networks exported to "
        f"{run.plan.to}, one zip; in int8 the backbone computes in 8 bits, the classifier in 32. Latency is that of "
        f"{unit} through the backbone and of the classifier's answer from a whole video's features.",
        *not_exported(run),
    ]
