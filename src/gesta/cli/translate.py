"""`gesta translate`: sentences by a translator, a line each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gesta.cli.common import DeviceOption, EngineOption, JsonFlag, emit


def translate(
    bundle: Annotated[str, typer.Argument(help="Bundle of a translator (folder or zip).", show_default=False)],
    sentences: Annotated[
        list[str] | None, typer.Argument(help="Sentences, or files with a sentence a line; stdin if left out.")
    ] = None,
    engine: EngineOption = None,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
) -> None:
    """Translations, a line for each sentence, by the beam search of the bundle's recipe."""
    from gesta.engines.base import Placement
    from gesta.tasks import catalog
    from gesta.tasks.base import need
    from gesta.tasks.text.data import read_text

    task, opened = catalog.of_bundle(bundle)
    translator = need(task, "translate", "Translating")(opened, Placement(engine, device))
    given: list[str] = []
    for one in sentences or sys.stdin.read().splitlines():
        given += read_text(Path(one)).splitlines() if sentences and Path(one).is_file() else [one]
    said = translator.translate(given)
    rows = [{"source": s, "translation": t.text, "score": t.score} for s, t in zip(given, said, strict=True)]
    emit(rows, Text("\n".join(t.text for t in said)), json)
