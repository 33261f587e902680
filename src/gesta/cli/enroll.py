"""`gesta enroll`: further classes for a bundle, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import FormatOption, JsonFlag, StepOut, WeightsArgument, emit, existing, need
from gesta.words import counted


def enroll(
    bundle: WeightsArgument,
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder with labeled recordings of the new classes.", show_default=False),
    ],
    out: StepOut,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the bundle in --out.")] = False,
    layout: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Add classes to a model from a few examples, without training.

    Works for models that compare a clip with examples: those trained with --set model.head=prototypes or --set
    model.name=nearest, or for which the recipe auto chose one of the two. The ranking of the classes that were there
    before stays the same, unless old and new examples vote together.

    Example:
      gesta enroll runs/mine/bundle new_gestures --out runs/more
    """
    need("train", "torch", "lightning")
    from gesta.experiments.enroll import enroll as run
    from gesta.tasks.lines import skipped

    existing(data, "data folder")
    document = run(existing(bundle, "bundle"), data, out, layout, overwrite=overwrite, progress=not json)
    lines = [
        f"enrolled  {', '.join(document['new'])} from {counted(document['clips'], 'clip')}; "
        f"{len(document['classes'])} classes",
        *skipped(document["skipped"]),
        f"bundle    {document['bundle']}",
    ]
    emit(document, "\n".join(lines), json)
