"""`--max-damage` of every command that decodes, and how what was left out of a file is told."""

from __future__ import annotations

import os
import warnings
from typing import Annotated, Any

import typer

from gesta.cli.help import DATA

COMMANDS = (
    "train",
    "evaluate",
    "crossval",
    "features",
    "predict",
    "compare",
    "learning-curve",
    "compress",
    "benchmark",
)
"""Commands that decode videos, besides `data inspect`."""


def _keep(share: float | None) -> float | None:
    """For this process and those that it starts."""
    from gesta.clips.damage import VARIABLE

    if share is not None:
        os.environ[VARIABLE] = str(share)
    return share


def _limited(
    _max_damage: Annotated[
        float | None,
        typer.Option(
            "--max-damage",
            min=0.0,
            max=1.0,
            callback=_keep,
            show_default="0.05",
            metavar="SHARE",
            rich_help_panel=DATA,
            help="Skip damaged frames up to this share of a video; refuse the video beyond it.",
        ),
    ] = None,
) -> None:
    """A command that has the option and nothing else."""


def add_option(name: str, command: Any) -> None:
    """Gives the command its `--max-damage`, where it decodes. The value goes to the decoder, not to the command."""
    if name == "data":
        command = command.commands["inspect"]
    elif name not in COMMANDS:
        return
    holder = typer.Typer(add_completion=False)
    holder.command()(_limited)
    (option,) = typer.main.get_command(holder).params
    option.expose_value = False
    command.params.append(option)


def tell_warnings() -> None:
    """From now on, what was left out of a file, and a former name, is one line on stderr; others stay as they are."""
    before = warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if category.__name__ not in ("DamageWarning", "FormerNameWarning"):
            before(message, category, *where, **more)
            return
        from gesta.cli.common import say_plain

        say_plain(f"Note: {message}")

    warnings.showwarning = show
