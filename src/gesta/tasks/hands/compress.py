"""The whole path for a hand pose model: pruned, stored in fewer bits, exported, every step measured in millimetres.

The folder is laid out as in `path`, and started again it goes on. There is no slimming: the hand pose networks keep
their channels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.compression.measure import row_of
from gesta.compression.path import Run, Say, check_out, measure, not_exported, sha_of, written
from gesta.compression.plan import Plan
from gesta.compression.prune import Pruning, prune
from gesta.compression.store import store_as
from gesta.compression.weights import Precision
from gesta.schema import GestaError, HandFrame
from gesta.tasks.hands.evaluate import evaluate_pose
from gesta.tasks.hands.export import export_pose, prepared_hands
from gesta.tasks.hands.frontier import ERROR
from gesta.tasks.hands.manifest import HandManifest

SPARSITIES = (0.5, 0.75, 0.9)
"""Shares of zeros, one network each, where nothing is asked for."""
CALIBRATION = 300


@dataclass(frozen=True)
class PoseMeasuring:
    """What rows are measured on: frames with joints by split; `seconds`: for each latency."""

    splits: Mapping[str, Sequence[HandFrame]]
    layout: str
    to: str
    frames: int
    seconds: float

    @cached_property
    def identity(self) -> str:
        """Whether the frames are those of an earlier run: ids, people, splits."""
        plain = [(f.id, f.subject, f.split) for part in self.splits.values() for f in part]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def compress_pose(
    bundle: Path,
    out: Path,
    plan: Plan,
    *,
    frames: Sequence[HandFrame],
    layout: str = "",
    seed: int = 0,
    device: str = "auto",
    command: str = "",
    progress: bool = True,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Everything that `plan` says, at `out`; returns what `frontier.json` holds.

    `frames` with splits: trained on train, chosen by val, measured on test. `plan.max_drop` is in millimetres. Raises
    GestaError for numbers that make no sense, data without validation frames, or an `out` that holds something else.
    """
    plan.check()
    source = io.read(bundle, HandManifest)
    check_out(out, source.path)
    splits = {name: [f for f in frames if f.split == name] for name in ("train", "val", "test")}
    if not splits["val"]:
        raise GestaError("Compressing a hand pose model needs validation frames, and the data have none.", usage=True)
    measuring = PoseMeasuring(splits, layout, plan.to, plan.clips, plan.seconds)
    run = Run(out, plan, measuring, frames, (), seed, device, progress, say)
    measure(run, "start", bundle, measured_row)
    for share in _shares(plan, bundle):
        name = f"pruned-{100 * share:.3g}"
        measure(run, name, _pruned(run, name, bundle, share), measured_row)
    start = run.rows[0]
    reference = {"step": start["step"], **{part: start["stored"][part] for part in ("val", "test")}}
    return written(run, source.path, command, reference, _notes(run), "frame", ERROR)


def _shares(plan: Plan, bundle: Path) -> list[float]:
    """Shares of zeros that are tried: what is asked for, what the wanted bytes need, else SPARSITIES."""
    if plan.sparsity is not None:
        return [plan.sparsity] if plan.sparsity else []
    if plan.target_bytes is not None:
        needed = plan.sparsity_for(io.load_weights(io.read(bundle, HandManifest)))
        return [needed] if needed else []
    return list(SPARSITIES)


def _pruned(run: Run, name: str, source: Path, share: float) -> Path:
    plan, out = run.plan, run.out / "networks" / name
    how = Pruning(sparsity=share, steps=plan.steps, epochs=plan.epochs, sets=plan.sets)

    def work() -> dict[str, Any]:
        prune(
            source,
            out,
            how,
            samples=run.samples,
            precision="fp32",
            layout=run.measuring.layout,
            seed=run.seed,
            device=run.device,
            progress=run.progress,
        )
        return {"made": [f"networks/{name}"]}

    title = f"{name}: {share:.1%} of the weights, {plan.steps} x {plan.epochs} epochs"
    run.once(name, title, ["prune", sha_of(source), how, run.seed], work)
    return out


def measured_row(measuring: PoseMeasuring, name: str, bundle: Path, precision: Precision, out: Path) -> dict[str, Any]:
    """The row, plain values; its bundles at out/stored and out/runnable, there as one zip, too, whose bytes count.

    Errors are mean joint errors in mm. Where the export does not say what PyTorch says, "runnable" holds the "reason"
    and nothing else.
    """
    place = f"{name}-{precision}"
    step = store_as(bundle, out / "stored" / place, precision)
    stored = {"bundle": f"stored/{place}", "bytes": step.bytes_after, **_errors(measuring, step.bundle, "torch")}
    runnable = _runnable(measuring, bundle, precision, out, f"runnable/{place}")
    return row_of(name, precision, step, stored, runnable)


def _runnable(measuring: PoseMeasuring, bundle: Path, precision: Precision, out: Path, place: str) -> dict[str, Any]:
    transform = io.read(bundle, HandManifest).manifest.transform
    calibration = prepared_hands(measuring.splits["train"], transform, CALIBRATION) if precision == "int8" else None
    try:
        report = export_pose(
            bundle,
            to=measuring.to,
            precision=precision,
            out=out / place,
            hands=prepared_hands(measuring.splits["val"], transform, measuring.frames),
            calibration=None if calibration is None else calibration.images,
            seconds=measuring.seconds,
        )
    except GestaError as error:
        return {"reason": str(error)}
    pose = report.artifact.pose
    assert pose is not None
    return {
        "bundle": place,
        "engine": report.artifact.engine,
        "bytes": io.save_zip(report.bundle, out / f"{place}.zip").stat().st_size,
        "bytes_unpacked": pose.bytes,
        "latency_ms": pose.latency_ms,
        "latency_torch_ms": pose.latency_torch_ms,
        **_errors(measuring, out / place, report.artifact.engine),
    }


def _errors(measuring: PoseMeasuring, bundle: Path, engine: str) -> dict[str, Any]:
    """Mean joint error in mm on validation and, where there are any, on test frames."""
    found: dict[str, Any] = {"val": None, "test": None}
    for name in found:
        if measuring.splits[name]:
            measured = evaluate_pose(bundle, measuring.splits[name], engine=engine, layout=measuring.layout)
            found[name] = measured.metrics["mean_error_mm"]
    return found


def _notes(run: Run) -> list[str]:
    """What must be known to read the table."""
    counts = {name: len(part) for name, part in run.measuring.splits.items()}
    return [
        f"Trained on {counts['train']:,} frames, chosen by {counts['val']:,}, measured on {counts['test']:,}.",
        "Errors are mean joint errors in millimetres. Stored: the weights' file, sparse where smaller, run by PyTorch "
        f"in 32 bits. Runnable: the network exported to {run.plan.to}, in one zip; latency is that of a frame.",
        *not_exported(run, "the joints were not PyTorch's"),
    ]
