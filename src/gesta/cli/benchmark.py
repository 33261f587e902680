"""`gesta benchmark`: how fast a model is, on this machine, in one run."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import (
    DeviceOption,
    EngineOption,
    FormatOption,
    JsonFlag,
    SeedOption,
    emit,
    existing,
    given_options,
    say_step,
)
from gesta.schema import GestaError
from gesta.words import install

Data = Annotated[
    Path | None, typer.Argument(metavar="DATA", help="Recordings to preprocess and train on.", show_default=False)
]
SecondsOption = Annotated[float, typer.Option("--seconds", help="Seconds to measure each latency.", min=0.1, max=600)]
Train = Annotated[bool, typer.Option("--train/--no-train", help="Measure training as well, if PyTorch is installed.")]
StartUp = Annotated[bool, typer.Option("--start-up", help="Only measure how long gesta --help and import gesta take.")]


def benchmark(
    context: typer.Context,
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Bundle (folder or zip), or demo or everyday.")
    ] = "demo",
    data: Data = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    seconds: SecondsOption = 3.0,
    train: Train = True,
    start_up: StartUp = False,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Measure the speed of preprocessing, inference and training.

    Reports preprocessed frames per second next to plain decoding, latency by engine on one core, and training clips
    per second. Without DATA, random clips are used and preprocessing is not measured. --device is for training.

    For hand pose models, reports the time to read an image, cut out the hand and run the network. For models on
    stored features, reports the time of an answer with a new frame and from stored features alone.

    Example:
      gesta benchmark runs/mine/bundle my_gestures
    """
    if start_up:
        from gesta.evaluation import start_up as starting

        document = starting.start_up()
        emit(document, "\n".join(starting.lines(document)), json)
        return
    from gesta.evaluation.benchmark import benchmark as measure
    from gesta.tasks import catalog
    from gesta.tasks.base import has

    task, opened = catalog.of_bundle(bundle)
    if train:  # --no-train is true of every task
        given_options(context, task)
    origin = opened.manifest.provenance.layout
    samples = task.read(existing(data, "data folder"), layout, origin).samples if data is not None else ()
    if data is not None and not samples:
        raise GestaError(f"{data}: contains no samples to measure with. See `gesta data inspect {data}`.")

    document = measure(bundle, samples, engines=None if engine is None else [engine], seconds=seconds, say=_say)
    if has(task, "train_rate"):
        document["training"] = {"skipped": "--no-train"}
        if train:
            _say("training")
            document["training"] = _training(lambda: task.train_rate(opened, samples, device, seed))  # type: ignore[attr-defined]
    document["data"] = None if data is None else str(data)
    emit(document, "\n".join(task.lines("benchmark", document)), json)


def _say(what: str) -> None:
    say_step(f"Measuring {what}")


def _training(measure: Any) -> dict[str, Any]:
    """Clips a second of training, or why it cannot be measured."""
    missing = [name for name in ("torch", "lightning") if importlib.util.find_spec(name) is None]
    if missing:
        return {"skipped": f"{' and '.join(missing)} not installed; {install('train')}"}
    try:
        return dict(measure())
    except GestaError as error:
        return {"skipped": str(error)}
