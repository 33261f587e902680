"""What every command shares: options, output, progress, and the message for a missing extra."""

from __future__ import annotations

import importlib.util
import json as json_module
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from gesta.schema import GestaError
from gesta.untrusted import printable


class SafeConsole(Console):
    """Control characters in what is printed, as in a label from a stranger's data, are escaped, not obeyed."""

    def on_broken_pipe(self) -> None:
        raise GestaError("what reads the output has closed it; the rest is not written.")

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=escaped(segment.text))


def escaped(text: str) -> str:
    """Text with its control characters, but for line breaks and tabs, as escapes."""
    return re.sub(r"[^\n\t]+", lambda found: printable(found[0]), text)


console = SafeConsole(stderr=True, emoji=False)
WHOLE = 1000
"""Columns of what goes to a pipe or a file: no cell of a table is cut."""

JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="Layout of the data, isogd+rgb, ledasila+21x18, ...; detected when left out."),
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every generator.", min=0)]
SplitSeedOption = Annotated[int | None, typer.Option("--seed", help="Of the split; the training's if left out.", min=0)]
"""Of commands that divide the data of a trained bundle again: another seed would measure on people of its training."""
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value of the recipe, dotted: training.epochs=20. Repeatable.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="Name (see `gesta recipes`) or YAML file.")]
EngineOption = Annotated[str | None, typer.Option("--engine", help="openvino, onnxruntime or torch; best present.")]
BackboneOption = Annotated[
    str | None,
    typer.Option(
        "--backbone-weights", help="Of a model of stored features: weights (or a bundle, folder) of its backbone."
    ),
]


_UNSHOWN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON may hold as it is and a terminal obeys, or UTF-8 cannot hold."""


def json_line(document: Mapping[str, Any] | list[Any]) -> str:
    """A document in one line that every terminal's encoding can hold. Raises GestaError for a number that is none."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    try:
        line = json_module.dumps(document, ensure_ascii=plain, allow_nan=False)
    except ValueError as error:
        raise GestaError(f"the result holds a number that is not finite, which JSON has not ({error}).") from error
    return _UNSHOWN.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def emit(document: Mapping[str, Any] | list[Any], text: RenderableType | None, json: bool) -> None:
    """The result, to stdout: as one JSON document, or as text for people."""
    if json:
        sys.stdout.write(json_line(document) + "\n")
    elif text is not None:
        piped = not sys.stdout.isatty()
        SafeConsole(file=sys.stdout, width=WHOLE if piped else None, soft_wrap=piped, emoji=False).print(text)


def command(*words: object) -> str:
    """A command to copy into a shell: what holds spaces is quoted."""
    return shlex.join(map(str, words))


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, fed by callback(done, total). Silent where stderr is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def need(extra: str, *modules: str) -> None:
    """Raises GestaError naming the extra to install if one of the modules is not there."""
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if missing:
        raise GestaError(
            f"This needs {', '.join(missing)}, which is not installed. Install it: pip install 'gesta[{extra}]'"
        )


def existing(path: Path, what: str) -> Path:
    """The path itself, or GestaError (usage) if nothing is there."""
    if not path.exists():
        raise GestaError(f"{path}: no such {what}. Check the spelling and the folder you are in.", usage=True)
    return path
