"""`gesta benchmark`: how fast a model is, on this machine, in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from gesta.cli.common import (
    DeviceOption,
    EngineOption,
    FormatOption,
    JsonFlag,
    SeedOption,
    console,
    emit,
    existing,
    given_options,
)
from gesta.schema import GestaError


def benchmark(
    context: typer.Context,
    bundle: Annotated[str, typer.Argument(help="Bundle (folder or zip), or demo.")] = "demo",
    data: Annotated[Path | None, typer.Argument(help="Recordings to prepare and train on.", show_default=False)] = None,
    engine: EngineOption = None,
    layout: FormatOption = None,
    device: DeviceOption = "auto",
    seconds: Annotated[float, typer.Option("--seconds", help="Time for each latency.", min=0.1, max=600)] = 3.0,
    train: Annotated[bool, typer.Option("--train/--no-train", help="Measure training too, where torch is.")] = True,
    start_up: Annotated[
        bool, typer.Option("--start-up", help="How long `gesta --help` and `import gesta` take, and nothing else.")
    ] = False,
    seed: SeedOption = 0,
    json: JsonFlag = False,
) -> None:
    """Preprocessed frames/s against raw decoding, latency by engine on one core, training clips/s.

    Without DATA random clips of the model's shape are used and preparing is not measured. --device is for training.
    Of a hand pose model: milliseconds of reading an image, its cube and the network, by engine on one core.
    Of a model of stored features: milliseconds of an answer, with a new frame and from a video's features alone.
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
        raise GestaError(f"{data}: holds no samples to measure with. See `gesta data inspect {data}`.")

    def say(text: str) -> None:
        console.print(f"Measuring {escape(text)} ...", highlight=False)

    document = measure(bundle, samples, engines=None if engine is None else [engine], seconds=seconds, say=say)
    if has(task, "train_rate"):
        document["training"] = {"skipped": "--no-train"}
        if train:
            say("training")
            document["training"] = _training(lambda: task.train_rate(opened, samples, device, seed))  # type: ignore[attr-defined]
    document["data"] = None if data is None else str(data)
    emit(document, "\n".join(task.lines("benchmark", document)), json)


def _training(measure: Any) -> dict[str, Any]:
    """Clips a second of training, or why it cannot be measured."""
    import importlib.util

    from gesta.words import install

    missing = [name for name in ("torch", "lightning") if importlib.util.find_spec(name) is None]
    if missing:
        return {"skipped": f"{' and '.join(missing)} not installed; {install('train')}"}
    try:
        return dict(measure())
    except GestaError as error:
        return {"skipped": str(error)}
