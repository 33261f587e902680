"""`gesta write`: text by a language model, streamed as it is written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gesta.cli.common import DeviceOption, EngineOption, JsonFlag, emit


def write(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="Bundle (folder or zip) of a language model.", show_default=False)
    ],
    start: Annotated[str, typer.Option("--start", metavar="TEXT", help="Beginning of the text.")] = "",
    length: Annotated[int, typer.Option("--length", help="Number of characters or words to write.")] = 500,
    temperature: Annotated[
        float,
        typer.Option("--temperature", help="Below 1, safer; above 1, more surprising; 0 always takes the most likely."),
    ] = 1.0,
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="K", help="Draw only from the K most likely.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Random seed.", min=0)] = 0,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Generate text with a language model.

    The text is printed as it is generated. The same seed and settings give the same text.

    Example:
      gesta write runs/text/bundle --start "The hand " --temperature 0.7
    """
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import need

    task, opened = catalog.of_bundle(bundle)
    writes = need(task, "write", "Writing text")
    settings = {"start": start, "length": length, "temperature": temperature, "top_k": top_k, "seed": seed}
    pieces = writes(task.load(opened, Placement(engine, device)), **settings)
    if json:
        emit({"bundle": bundle, "text": "".join(pieces), **settings}, None, json)
        return
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
