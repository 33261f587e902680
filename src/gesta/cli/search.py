"""`gesta search`: the videos that show what a sentence says, or what another video shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
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
    progress,
)
from gesta.schema import GestaError


def search(
    data: Annotated[Path, typer.Argument(help="Folder of videos, or of their features.", show_default=False)],
    query: Annotated[
        str | None, typer.Argument(help='A sentence, as in "waves with the left hand".', show_default=False)
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Bundle of vectors of videos.", show_default=False)] = "",
    like: Annotated[Path | None, typer.Option("--like", help="A video instead of a sentence.")] = None,
    count: Annotated[int, typer.Option("--count", help="Videos to list.", min=1)] = 10,
    index: Annotated[
        Path | None, typer.Option("--index", help="Folder of the index; in the cache if left out.")
    ] = None,
    backbone_weights: BackboneOption = None,
    layout: FormatOption = None,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """List the videos nearest to a sentence or to a video. The index is made on the first search and kept."""
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import need

    if not model:
        raise GestaError("--model BUNDLE is missing: a bundle of gesta train --recipe text/video2vec.", usage=True)
    if (query is None) == (like is None):
        raise GestaError("Give a sentence or --like VIDEO, one of them.", usage=True)
    task, opened = catalog.of_bundle(model)
    make = need(task, "index", "Searching")
    predictor: Any = task.load(opened, Placement(engine, device), backbone_weights=backbone_weights)
    vector = predictor.of_sentences([query])[0] if like is None else predictor.predict(existing(like, "video"))
    with progress("indexing") as tick:
        made, place, problems = make(
            predictor, existing(data, "data folder"), index, layout, lambda _stage, done, total: tick(done, total)
        )
    for problem in problems[:10]:
        console.print(f"Skipped {problem}", highlight=False, markup=False, soft_wrap=True)
    found = made.nearest(vector, count)
    if not found:
        raise GestaError(f"{data}: no video could be indexed.")
    document = {
        "query": query,
        "like": None if like is None else str(like),
        "index": str(place),
        "videos": len(made.ids),
        "skipped": len(problems),
        "found": [{"video": video, "cosine": cosine} for video, cosine in found],
    }
    emit(document, Text("\n".join(f"{cosine:.4f}  {video}" for video, cosine in found)), json)
