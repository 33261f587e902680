"""`gesta evaluate`: a model measured on recordings that it has not been trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import (
    BackboneOption,
    BundleArgument,
    DeviceOption,
    EngineOption,
    FormatOption,
    JsonFlag,
    ProtocolOption,
    RecordingsArgument,
    SplitSeedOption,
    emit,
    existing,
    given_options,
    say_notes,
)
from gesta.cli.help import SOME

Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FOLDER", help="Write report.html, metrics.json and predictions.csv here."),
]
Center = Annotated[
    str,
    typer.Option(
        "--center",
        help="Hand pose: center of the hand from the data, by the model's detector, or the nearest object (data, "
        "detector, nearest).",
        rich_help_panel=SOME,
    ),
]
Record = Annotated[
    bool, typer.Option("--record", help="Also write the main results into the bundle and its model card.")
]
Shuffled = Annotated[
    bool,
    typer.Option("--shuffled", help="Control experiment: each gesture's frames in random order.", rich_help_panel=SOME),
]


def evaluate(
    context: typer.Context,
    bundle: BundleArgument,
    data: RecordingsArgument,
    split: Annotated[str, typer.Option("--split", help="Part to measure on: test, val, train or all.")] = "test",
    out: Out = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    protocol: ProtocolOption = "subject",
    center: Center = "data",
    record: Record = False,
    seed: SplitSeedOption = None,
    backbone_weights: BackboneOption = None,
    shuffled: Shuffled = False,
    json: JsonFlag = False,
) -> None:
    """Measure a model on people it was not trained on.

    Reports accuracy with a 95 % confidence interval, top-5 accuracy, results per class and the confusion matrix. With
    --out, a report in HTML also shows the most confident errors. For hand pose models, reports errors in mm; for
    continuous recognition, gestures found, false alarms and delays.

    The same data and protocol give the same split as in training, so the test part contains only people the model has
    never seen.

    Example:
      gesta evaluate runs/mine/bundle my_gestures --out report
    """
    from gesta.engines.base import Placement
    from gesta.evaluation import run
    from gesta.tasks import catalog

    task, opened = catalog.of_bundle(bundle)
    options = given_options(
        context, task, protocol=protocol, center=center, shuffled=shuffled, backbone_weights=backbone_weights
    )
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
    document = {**result.metrics, "bundle": bundle, "split": split, "data": str(data), "shuffled": shuffled}
    document |= {"protocol": protocol} if "protocol" in options else {}
    lines = task.lines("evaluate", document)
    lines += [] if out is None else [f"report    {out / 'report.html'}"]
    emit(document, "\n".join(lines), json)
