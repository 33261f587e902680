"""`gesta write`: text by a language model, streamed as it is written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gesta.cli.common import DeviceOption, EngineOption, JsonFlag, emit


def write(
    bundle: Annotated[str, typer.Argument(help="Bundle of a language model (folder or zip).", show_default=False)],
    start: Annotated[str, typer.Option("--start", help="Text to go on from.")] = "",
    length: Annotated[int, typer.Option("--length", help="Characters, or words, to write.")] = 500,
    temperature: Annotated[
        float, typer.Option("--temperature", help="Below 1 bolder about what is likely; 0: always the most likely.")
    ] = 1.0,
    top_k: Annotated[int | None, typer.Option("--top-k", help="Draw from the k most likely only.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the draws.", min=0)] = 0,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Text by a language model, as it is written. The same seed and settings give the same text."""
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
