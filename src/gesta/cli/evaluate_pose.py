"""`gesta evaluate` for a hand pose model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

from rich.markup import escape
from rich.text import Text

from gesta.cli.common import console, emit, existing, progress
from gesta.cli.parts import share_of
from gesta.schema import GestaError, HandFrame

SPLITS = ("test", "val", "train", "all")
RULES = ("data", "nearest")
SHOWN_SKIPPED = 10


def evaluate_pose(
    bundle: str,
    data: Path,
    split: str,
    out: Path | None,
    engine: str | None,
    layout: str | None,
    device: str,
    center: str,
    record: bool,
    seed: int | None,
    json: bool,
) -> None:
    """Errors in millimetres; the report has curves, joints, people and the worst frames."""
    from gesta.bundle import io
    from gesta.evaluate.pose_run import evaluate_pose as measure
    from gesta.evaluate.pose_run import record_pose
    from gesta.sources.hand_catalog import read

    if center not in RULES:
        raise GestaError(f"unknown --center {center!r}; there are {', '.join(RULES)}.", usage=True)
    listing = read(existing(data, "data folder"), layout)
    manifest = io.read_pose(bundle).manifest
    chance = manifest.provenance.seed if seed is None else seed
    frames, notes = chosen_frames(listing.frames, split, chance, share_of(manifest))
    with progress("estimating hands") as tick:
        result = measure(
            bundle,
            frames,
            joint_names=listing.joint_names,
            engine=engine,
            device=device,
            rule=cast('Literal["data", "nearest"]', center),
            layout=listing.layout,
            notes=[*notes, *(str(problem) for problem in listing.problems)],
            out=out,
            progress=tick,
        )
    if record:
        record_pose(bundle, result.metrics, split)
    document = {**result.metrics, "split": split, "data": str(data)}
    _talk(result.metrics)
    emit(document, _text(result.metrics, out), json)


def chosen_frames(
    frames: tuple[HandFrame, ...], split: str, seed: int, validation_share: float
) -> tuple[list[HandFrame], list[str]]:
    """The frames of one split, by the rule that training uses, and notes on it. Raises GestaError."""
    from gesta.sources.hand_split import assign_hand_splits

    if split not in SPLITS:
        raise GestaError(f"unknown split {split!r}; there are {', '.join(SPLITS)}.", usage=True)
    assigned, notes = assign_hand_splits(frames, seed=seed, validation_share=validation_share)
    if split == "all":
        return assigned, []
    found = [frame for frame in assigned if frame.split == split]
    if not found:
        there = ", ".join(sorted({f.split for f in assigned if f.split is not None}))
        raise GestaError(f"the data have no frames in the split {split!r} (there are: {there}). Try --split all.")
    return found, notes


def _talk(metrics: dict[str, Any]) -> None:
    for note in metrics["notes"]:
        console.print(escape(note), highlight=False, soft_wrap=True)
    for warning in metrics["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    for problem in metrics["skipped"][:SHOWN_SKIPPED]:
        text = f"[yellow]Skipped[/yellow] {escape(problem['path'])}: {escape(problem['reason'])}"
        console.print(text, highlight=False, soft_wrap=True)
    if len(metrics["skipped"]) > SHOWN_SKIPPED:
        console.print(f"... {len(metrics['skipped'])} skipped in all; metrics.json lists them.", highlight=False)


def _text(metrics: dict[str, Any], out: Path | None) -> Text:
    curve = metrics["success_rate"]
    shares = dict(zip(curve["thresholds"], curve["shares"], strict=True))
    worst = sorted(zip(metrics["per_joint_mm"], metrics["joints"], strict=True), reverse=True)[:4]
    lines = [
        f"mean error  {metrics['mean_error_mm']:.2f} mm (median of the frames {metrics['median_error_mm']:.2f})",
        f"success     {shares[20.0]:.1%} of the frames under 20 mm, {shares[40.0]:.1%} under 40; area to 80 mm "
        f"{curve['area']:.3f}",
        f"frames      {metrics['frames']}, {len(metrics['skipped'])} skipped; engine {metrics['engine']}",
        "weakest     " + ", ".join(f"{name} {error:.1f} mm" for error, name in worst),
    ]
    if len(metrics["per_person"]) > 1:
        people = (f"{who} {one['mean_error_mm']:.2f} mm of {one['n']}" for who, one in metrics["per_person"].items())
        lines.append("people      " + ", ".join(people))
    if out is not None:
        lines.append(f"report      {out / 'report.html'}")
    return Text("\n".join(lines))
