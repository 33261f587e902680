"""`gesta export` for a hand pose model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from gesta.cli.common import command, console, emit
from gesta.cli.parts import hand_parts, share_of
from gesta.schema import GestaError

if TYPE_CHECKING:
    from gesta.export.pose import PoseReport
    from gesta.schema import HandFrame

CALIBRATION_FRAMES = 300


def export_pose(
    bundle: Path,
    to: str,
    out: Path,
    precision: str,
    data: Path | None,
    frames: int,
    force: bool,
    seed: int | None,
    layout: str | None,
    seconds: float,
    json: bool,
) -> None:
    """The network in another format, compared on validation frames (without --data on random ones) in millimetres."""
    from gesta.bundle.io import read_pose
    from gesta.export.pose import export_pose as run
    from gesta.export.pose import prepared_hands

    opened = read_pose(bundle)
    transform, provenance = opened.manifest.transform, opened.manifest.provenance
    chance = provenance.seed if seed is None else seed
    parts = _parts(data, layout, chance, share_of(opened.manifest))
    held_out = parts["val"] or parts["train"]
    source = "validation" if parts["val"] and "val" in provenance.clips else "training"
    calibration = prepared_hands(parts["train"], transform, CALIBRATION_FRAMES) if precision == "int8" else None
    report = run(
        opened,
        to=to,
        precision=precision,
        out=out,
        hands=prepared_hands(held_out, transform, frames, source),
        calibration=None if calibration is None else calibration.images,
        force=force,
        seconds=seconds,
        say=lambda text: console.print(f"{text} ...", highlight=False),
    )
    if not report.agrees:
        console.print(f"[yellow]Warning:[/yellow] {escape(report.bundle.manifest.notes[-1])}", soft_wrap=True)
    emit(_document(report, to, precision, out), _text(report, out), json)


def _parts(data: Path | None, layout: str | None, seed: int, validation_share: float) -> dict[str, list[HandFrame]]:
    """Frames by split, by the rule of training; none without `data`. Raises GestaError if none are to train on."""
    frames, _ = hand_parts(data, layout, seed, validation_share)
    parts = {name: [f for f in frames if f.split == name] for name in ("train", "val")}
    if data is not None and not parts["train"]:
        raise GestaError(f"{data}: holds no training frames with joints. See `gesta data inspect {data}`.")
    return parts


def _document(report: PoseReport, to: str, precision: str, out: Path) -> dict[str, Any]:
    artifact, pose = report.artifact, report.artifact.pose
    assert pose is not None
    return {
        "bundle": str(out),
        "to": to,
        "precision": precision,
        "agrees": report.agrees,
        "bytes": pose.bytes,
        "bytes_torch": report.bytes_torch,
        "artifacts": [artifact.model_dump(mode="json", exclude={"inputs", "outputs", "states"})],
    }


def _text(report: PoseReport, out: Path) -> Text:
    artifact, pose = report.artifact, report.artifact.pose
    assert pose is not None
    lines = [
        f"{artifact.file}, {pose.bytes:,} bytes: joints as PyTorch's to {pose.largest_difference_mm:.2g} mm (mean "
        f"{pose.mean_difference_mm:.2g}) on {pose.frames} {pose.source} frames"
    ]
    if pose.error_mm is not None:
        lines.append(f"error    {pose.error_mm:.2f} mm, PyTorch {pose.error_mm_torch:.2f}")
    if pose.latency_ms is not None and pose.latency_torch_ms is not None:
        ours, theirs = pose.latency_ms, pose.latency_torch_ms
        lines.append(
            f"a frame  on one core {ours[0]:.2f} ms (p95 {ours[1]:.2f}), PyTorch {theirs[0]:.2f} "
            f"(p95 {theirs[1]:.2f}): {theirs[0] / ours[0]:.1f} times faster"
        )
    lines += [
        f"weights  {report.bytes_torch:,} bytes in the trained bundle",
        f"bundle   {out}",
        f"next     {command('gesta', 'predict', out, 'DEPTH')}",
    ]
    return Text("\n".join(lines))
