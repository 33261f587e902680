"""`gesta record`: gestures filmed with a camera into a data folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gesta.cli.common import JsonFlag, command, console, emit
from gesta.words import counted

if TYPE_CHECKING:
    from gesta.live.recorder import Take
    from gesta.live.sources import Source


def record(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder for the clips; created if missing.")],
    label: Annotated[str, typer.Option("--label", help="Name of the gesture; none for clips without a gesture.")],
    subject: Annotated[str, typer.Option("--subject", metavar="PERSON", help="Who is filmed.")],
    source: Annotated[str, typer.Option("--source", help="Number of a camera, a file, or an address.")] = "0",
    count: Annotated[int, typer.Option("--count", help="Number of clips.", min=1, max=1000)] = 10,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a clip in seconds.", min=0.2, max=600)] = 2.5,
    countdown: Annotated[
        int, typer.Option("--countdown", help="Countdown before each clip in seconds.", min=0, max=60)
    ] = 3,
    yes: Annotated[bool, typer.Option("--yes", help="Keep every take without asking.")] = False,
    json: JsonFlag = False,
) -> None:
    """Film gestures with a camera into a data folder.

    Counts down, films, and asks whether to keep each clip. Clips go to DATA/LABEL with their real frame times, and
    index.csv gets a row with path, label and subject. Warns about dim light and fewer than 12 frames per second.

    Example:
      gesta record my_gestures --label wave --subject anna
    """
    from gesta.live.recorder import add_to_index, check_index, next_path
    from gesta.live.sources import Video

    camera = Video(source)
    next_path(data, label, subject)
    check_index(data)
    kept: list[Take] = []
    while len(kept) < count:
        one = filmed(camera, next_path(data, label, subject), seconds, countdown, f"{len(kept) + 1} of {count}")
        answer = "" if yes or not sys.stdin.isatty() else asked()
        if answer == "r":
            one.path.unlink()
            continue
        add_to_index(data, one, label, subject)
        kept.append(one)
        if answer == "q":
            break
    clips = [{"path": str(t.path), "frames": t.frames, "fps": round(t.fps, 2), "warnings": t.warnings} for t in kept]
    lines = [
        f"recorded  {counted(len(kept), 'clip')} of {label} by {subject} in {data / label}",
        f"next      {command('gesta', 'data', 'inspect', data)}",
    ]
    emit({"data": str(data), "label": label, "subject": subject, "clips": clips}, "\n".join(lines), json)


def filmed(camera: Source, path: Path, seconds: float, countdown: int, which: str) -> Take:
    """One take, with what is to be told of it on stderr."""
    from gesta.live.recorder import take

    console.print(f"Clip {which}:", highlight=False)
    one = take(camera, path, seconds, countdown, lambda text: console.print(f"  {text}", highlight=False))
    console.print(f"  {counted(one.frames, 'frame')}, {one.fps:.1f} per second", highlight=False)
    for warning in one.warnings:
        console.print(f"  [yellow]Warning:[/yellow] {escape(warning)}", highlight=False, soft_wrap=True)
    return one


def asked() -> str:
    """What the person wants: "" keeps, "r" films again, "q" keeps and ends."""
    console.print("  Enter: keep it; r: film it again; q: keep it and stop: ", end="", highlight=False)
    return sys.stdin.readline().strip().lower()[:1]
