"""`gesta demo`: from recordings to a recognized stream, without any data of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gesta.cli.common import DeviceOption, JsonFlag, SeedOption, SetOption, command, console, emit, need, progress
from gesta.experiments.catalog import DATA_SEED
from gesta.words import in_english


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder for the data, model, report and video.")
    ] = Path("gesta_demo"),
    people: Annotated[int, typer.Option("--people", help="Number of people to generate.", min=3)] = 24,
    recordings: Annotated[
        int, typer.Option("--recordings", help="Recordings per person, with 20 gestures each.", min=1)
    ] = 1,
    sets: SetOption = None,
    seed: SeedOption = DATA_SEED,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Try everything in a few minutes, on recordings that are generated for it.

    Generates recordings of synthetic people, trains a model by the recipe cnn3d-lstm-stream, measures it on people it
    has not seen, and runs it over a whole recording. If you stop it, the same command continues.

    Example:
      gesta demo
    """
    need("train", "torch", "lightning", "matplotlib")
    from gesta.experiments.demo import demo as run
    from gesta.tasks.catalog import load_recipe

    recipe = load_recipe("cnn3d-lstm-stream", sets or ())
    with progress("demo") as bar:
        document = run(
            out,
            recipe,
            people=people,
            recordings=recordings,
            seed=seed,
            device=device,
            told=lambda line: console.print(line, highlight=False, soft_wrap=True),
            progress=bar,
        )
    emit(document, text(document), json)


def text(document: dict[str, Any]) -> str:
    """What was reached and where things are, in lines."""
    low, high = document["accuracy_interval"]
    stream, files, look = document["streaming"], document["files"], document["first_look"]
    missed = ", ".join(in_english(label, [label]) for label in stream["missed"])
    return "\n".join(
        [
            f"packaged   {look['recognized']} of {look['gestures']} gestures: {look['picture']}, {look['video']}",
            f"accuracy   {document['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}) on {document['n']} "
            f"gestures of {document['people']} people it has not seen; chance is 0.05",
            f"streaming  {stream['recognized']} of {stream['gestures']} gestures of {stream['recording']} recognized "
            f"({stream['share']:.2f}){f', missed: {missed}' if missed else ''}",
            f"time       {document['seconds'] / 60:.1f} minutes",
            f"report     {files['report']}",
            f"video      {files['video']}",
            f"data       {files['data']}, checked in {files['inspection']}",
            f"bundle     {files['bundle']}",
            f"next       {command('gesta', 'predict', files['bundle'], files['data'], '--stream')}",
        ]
    )
