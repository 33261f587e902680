"""`gesta evaluate`: a model measured on recordings that it has not been trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    EngineOption,
    FormatOption,
    JsonFlag,
    console,
    emit,
    existing,
)
from gesta.schema import GestaError, base

if TYPE_CHECKING:
    from gesta.schema import Sample

SPLITS = ("test", "val", "train", "all")
SHOWN_SKIPPED = 10


def evaluate(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Bundle (folder or zip), or demo.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Folder of labelled recordings.", show_default=False)],
    split: Annotated[str, typer.Option("--split", help="test, val, train or all.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report.html, metrics.json and predictions.csv.")
    ] = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    protocol: Annotated[
        str, typer.Option("--protocol", help="subject: people apart. document: ChaLearn's Validation is the test.")
    ] = "subject",
    center: Annotated[
        str, typer.Option("--center", help="Of hand poses: data (the annotation's centre) or nearest (object).")
    ] = "data",
    record: Annotated[
        bool, typer.Option("--record", help="Write the main numbers into the bundle and its card.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the split; that of the bundle's training if left out.", min=0)
    ] = None,
    backbone_weights: BackboneOption = None,
    json: JsonFlag = False,
) -> None:
    """Accuracy with its interval, top five, per class, confusion; a report with the surest mistakes as film strips.

    The same data and protocol give the same split as `gesta train`, so that test means people never trained on.
    Of a hand pose model: errors in mm, success rate, joints, people, the worst frames in the image and in space.
    """
    from gesta.cli.kinds import kind_of, refuse

    kind = kind_of(bundle)
    if kind == "pose":
        from gesta.cli.evaluate_pose import evaluate_pose

        refuse(context, kind, "protocol", "backbone_weights")
        evaluate_pose(bundle, data, split, out, engine, layout, device, center, record, seed, json)
        return
    refuse(context, kind, "center")
    from gesta.bundle import io
    from gesta.evaluate.run import evaluate as measure
    from gesta.evaluate.run import record as write_into
    from gesta.evaluate.sequence_run import evaluate_sequence
    from gesta.runtime.recogniser import located
    from gesta.sources.catalog import read

    if kind == "classifier":
        refuse(context, kind, "backbone_weights")
    origin = io.read_any(located(bundle)).manifest.provenance
    seed = origin.seed if seed is None else seed
    listing = read(existing(data, "data folder"), layout, like=origin.layout)
    samples, notes = chosen(listing.samples, split, protocol, seed)
    if layout is None and listing.layout != base(listing.layout):
        plain = f"--format {base(listing.layout)}"
        notes.append(f"Read as {listing.layout}, as in training; {plain} reads it without that.")
    settings: dict[str, Any] = {"engine": engine, "device": device, "out": out, "layout": listing.layout}
    settings |= {"notes": notes, "seed": seed, "progress": not json}
    if kind == "sequence":
        result = evaluate_sequence(bundle, samples, backbone=backbone_weights, **settings)
    else:
        result = measure(bundle, samples, **settings)
    if record:
        write_into(bundle, result.metrics, split)
    document = {**result.metrics, "split": split, "protocol": protocol, "data": str(data)}
    _talk(result.metrics)
    emit(document, _text(result.metrics, out), json)


def chosen(samples: tuple[Sample, ...], split: str, protocol: str, seed: int) -> tuple[list[Sample], list[str]]:
    """The samples of one split, by the rule that training uses, and notes on what that means. Raises GestaError."""
    from gesta.sources.split import assign_splits

    if split not in SPLITS:
        raise GestaError(f"unknown split {split!r}; there are {', '.join(SPLITS)}.", usage=True)
    if split == "all":
        return list(samples), []
    if protocol not in ("subject", "document"):
        raise GestaError(f"unknown protocol {protocol!r}; there are subject and document.", usage=True)
    assigned, notes = assign_splits(samples, seed=seed, protocol="document" if protocol == "document" else "subject")
    found = [s for s in assigned if s.split == split]
    if not found:
        there = ", ".join(sorted({s.split for s in assigned if s.split is not None})) or "none"
        raise GestaError(f"the data have no clips in the split {split!r} (there are: {there}). Try --split all.")
    return found, notes


def _talk(metrics: dict[str, Any]) -> None:
    for note in metrics["notes"]:
        console.print(escape(note), highlight=False, soft_wrap=True)
    for warning in metrics["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    for problem in metrics["skipped"][:SHOWN_SKIPPED]:
        console.print(
            f"[yellow]Skipped[/yellow] {problem['path']}: {problem['reason']}", highlight=False, soft_wrap=True
        )
    if len(metrics["skipped"]) > SHOWN_SKIPPED:
        console.print(f"... {len(metrics['skipped'])} skipped in all; metrics.json lists them.", highlight=False)


def _text(metrics: dict[str, Any], out: Path | None) -> Text:
    low, high = metrics["accuracy_interval"]
    worst = sorted((s["recall"], label, s["n"]) for label, s in metrics["per_class"].items() if s["n"])[:5]
    people = f" of {metrics['people']} {'person' if metrics['people'] == 1 else 'people'}" if metrics["people"] else ""
    lines = [
        f"accuracy  {metrics['accuracy']:.3f}  (95 % interval {low:.3f} to {high:.3f})",
        f"top 5     {metrics['top5']:.3f}",
        f"clips     {metrics['n']}{people}, {len(metrics['skipped'])} skipped; engine {metrics['engine']}",
        "weakest   " + ", ".join(f"{label} {recall:.2f} of {n}" for recall, label, n in worst),
    ]
    if out is not None:
        lines.append(f"report    {out / 'report.html'}")
    return Text("\n".join(lines))
