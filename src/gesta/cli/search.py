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
    emit,
    existing,
    progress,
    say_plain,
)
from gesta.schema import GestaError

KIND = "video2vec"

Data = Annotated[
    Path, typer.Argument(metavar="DATA", help="Folder of videos or of stored features.", show_default=False)
]
Query = Annotated[
    str | None,
    typer.Argument(metavar="QUERY", help='A sentence, as in "waves with the left hand".', show_default=False),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="BUNDLE",
        help="Model trained with the recipe text/video2vec. (default: the newest one in runs)",
        show_default=False,
    ),
]
Like = Annotated[
    Path | None, typer.Option("--like", metavar="VIDEO", help="Search by this video instead of a sentence.")
]
Index = Annotated[
    Path | None,
    typer.Option("--index", metavar="FOLDER", help="Folder for the search index. (default: in the cache)"),
]


def _searches(bundle: Path) -> bool:
    from gesta.bundle.io import manifest_document

    try:
        return bool(manifest_document(bundle).get("kind") == KIND)
    except GestaError:  # a damaged one is not the newest that works
        return False


def _newest(data: Path) -> Path:
    """Returns the newest search model in runs, where training leaves models. Raises GestaError (usage) for none."""
    from gesta.bundle.io import MANIFEST

    models = [path for path in Path("runs").glob(f"*/bundle/{MANIFEST}") if _searches(path.parent)]
    if not models:
        raise GestaError(
            f"--model is not given, and runs holds no search model. Give one, or train it: gesta train {data} --recipe "
            "text/video2vec",
            usage=True,
        )
    bundle = max(models, key=lambda path: path.stat().st_mtime).parent
    say_plain(f"Searching with {bundle}.")
    return bundle


def search(
    data: Data,
    query: Query = None,
    model: ModelOption = "",
    like: Like = None,
    count: Annotated[int, typer.Option("--count", help="Number of videos to list.", min=1)] = 10,
    index: Index = None,
    backbone_weights: BackboneOption = None,
    layout: FormatOption = None,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Find videos by a sentence or by an example.

    Lists the best matches first. The first search builds an index, which later searches use.

    Examples:
      gesta search my_videos "waves with the left hand"
      gesta search my_videos --like clip.mp4 --model runs/video2vec/bundle
    """
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import need

    if (query is None) == (like is None):
        raise GestaError("Give either a sentence or --like VIDEO.", usage=True)
    task, opened = catalog.of_bundle(model or _newest(data))
    make = need(task, "index", "Searching")
    predictor: Any = task.load(opened, Placement(engine, device), backbone_weights=backbone_weights)
    vector = predictor.of_sentences([query])[0] if like is None else predictor.predict(existing(like, "video"))
    with progress("indexing") as tick:
        made, place, problems = make(
            predictor, existing(data, "data folder"), index, layout, lambda _stage, done, total: tick(done, total)
        )
    for problem in problems[:10]:
        say_plain(f"Skipped {problem}")
    found = made.nearest(vector, count)
    if not found:
        raise GestaError(f"{data}: no video could be indexed. Check it: gesta data inspect {data}")
    document = {
        "query": query,
        "like": None if like is None else str(like),
        "index": str(place),
        "videos": len(made.ids),
        "skipped": len(problems),
        "found": [{"video": video, "cosine": cosine} for video, cosine in found],
    }
    emit(document, Text("\n".join(f"{cosine:.4f}  {video}" for video, cosine in found)), json)
