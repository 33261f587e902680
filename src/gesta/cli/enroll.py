"""`gesta enroll`: further classes for a bundle, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gesta.cli.common import FormatOption, JsonFlag, StepOut, emit, existing, need


def enroll(
    bundle: Annotated[Path, typer.Argument(help="Bundle (folder or zip) with weights.", show_default=False)],
    data: Annotated[Path, typer.Argument(help="Labeled recordings of new classes.", show_default=False)],
    out: StepOut,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle in --out.")] = False,
    layout: FormatOption = None,
    json: JsonFlag = False,
) -> None:
    """Adds the classes of the recordings to a nearest neighbor or a metric-trained embedding; nothing is trained.

    Which of the classes it had is more likely stays as it is, but for votes of both. Bundles trained with --set
    model.head=prototypes or --set model.name=nearest take classes, and those where `auto` chose either.
    """
    need("train", "torch", "lightning")
    from gesta.experiments.enroll import enroll as run
    from gesta.tasks.lines import skipped

    existing(data, "data folder")
    document = run(existing(bundle, "bundle"), data, out, layout, overwrite=overwrite, progress=not json)
    lines = [
        f"enrolled  {', '.join(document['new'])} from {document['clips']} clips; {len(document['classes'])} classes",
        *skipped(document["skipped"]),
        f"bundle    {document['bundle']}",
    ]
    emit(document, "\n".join(lines), json)
