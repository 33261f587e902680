"""`gesta evaluate`: a model measured on recordings that it has not been trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import (
    BackboneOption,
    DeviceOption,
    EngineOption,
    FormatOption,
    JsonFlag,
    emit,
    existing,
    given_options,
    say_notes,
)


def evaluate(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Bundle (folder or zip), or demo.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Folder of labeled recordings.", show_default=False)],
    split: Annotated[str, typer.Option("--split", help="test, val, train or all.")] = "test",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for report.html, metrics.json and predictions.csv.")
    ] = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    protocol: Annotated[
        str,
        typer.Option("--protocol", help="subject: subject-independent. document: ChaLearn's Validation is the test."),
    ] = "subject",
    center: Annotated[
        str, typer.Option("--center", help="Of hand poses: data (the annotation's center) or nearest (object).")
    ] = "data",
    record: Annotated[
        bool, typer.Option("--record", help="Write the main numbers into the bundle and its card.")
    ] = False,
    seed: Annotated[int | None, typer.Option("--seed", help="Of the split; the training's if left out.", min=0)] = None,
    backbone_weights: BackboneOption = None,
    shuffled: Annotated[bool, typer.Option("--shuffled", help="A control: gestures' frames in random order.")] = False,
    json: JsonFlag = False,
) -> None:
    """Accuracy with its interval, top five, per class, confusion; a report with the most confident errors.

    The same data and protocol give the same split as `gesta train`, so that test means people never trained on. For
    hand pose models: errors in mm. For streams: events found, false alarms, delays, timelines of whole recordings.
    """
    from gesta.engines.base import Placement
    from gesta.evaluation import run
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(bundle)
    given: dict[str, Any] = {"center": center, "shuffled": shuffled, "backbone_weights": backbone_weights}
    options = given_options(context, task, protocol=protocol, **given)
    result = run.evaluate_data(
        opened,
        existing(data, "data folder"),
        Placement(engine, device),
        split=split,
        layout=layout,
        seed=seed,
        progress=not json,
        **{"protocol": "subject", **options},
    )
    if out is not None:
        task.report(result, out)
    if record:
        run.record(opened.path, result, split, task.kept)
    say_notes(result.metrics)
    asked = {"bundle": bundle, "split": split, "data": str(data), "shuffled": shuffled}
    document = {**result.metrics, **asked}
    document |= {"protocol": protocol} if "protocol" in options else {}
    lines = task.lines("evaluate", document)
    lines += [] if out is None else [f"report    {out / 'report.html'}"]
    emit(document, "\n".join(lines), json)
