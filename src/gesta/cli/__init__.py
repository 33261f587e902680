"""The command line. One file a command; each imports what it needs inside the command, so that `--help` is fast."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from gesta.cli.damage import add_option, tell_warnings

COMMANDS = {
    "demo": "Generate a small set, train, evaluate, recognize, in minutes.",
    "data": "Look into a data folder, or generate one.",
    "features": "Features of a frozen backbone, computed once and stored.",
    "train": "Train a model on labeled recordings.",
    "enroll": "Further classes for a bundle that compares with examples: nothing is trained.",
    "tune": "Search the hyperparameters of a recipe.",
    "evaluate": "Measure a model on people it has not seen.",
    "compare": "The difference between two models on the same clips, with its interval.",
    "learning-curve": "Accuracy against clips per class, with and without transfer.",
    "crossval": "Leave one person out, or k groups.",
    "export": "A trained model as a network that runs without PyTorch.",
    "predict": "Recognize what is in videos or recordings.",
    "live": "Follow a camera, a file or a stream: events as they happen.",
    "record": "Film gestures with a camera into a data folder.",
    "studio": "A page that records, trains and tries your own gestures.",
    "write": "Text by a language model.",
    "embed": "Word vectors: learn them, ask them, test them.",
    "search": "Videos that show what a sentence says, or another video.",
    "card": "A bundle's model card, ready for a model hub.",
    "benchmark": "Speed of preparing, training and recognizing, as ratios in one run.",
    "compress": "Prune, quantize and export to a small model, with a table of what each step cost.",
    "prune": "Remove weights, or whole channels, that matter little.",
    "quantize": "Store a model's weights in 16 or 8 bits.",
    "pose": "Hand pose: compare files of predicted joints with the truth.",
    "spot": "Continuous recognition: compare files of recognized events with the truth.",
    "reproduce": "A table or figure of the documents: reported beside measured.",
    "recipes": "List the recipes, or print one whole.",
    "fetch": "Get the published networks that find hands and bodies in plain RGB.",
    "track": "Find hands and bodies in videos; write skeleton files and an index.csv.",
    "cache": "Show, limit or clear the cache of preprocessed clips.",
}


FORMER = {
    "slim": "Former name of prune --channels.",
    "halve": "Former name of quantize --precision fp16.",
}
"""Commands that still work, and are not listed."""


class _LazyGroup(TyperGroup):
    """Imports a command's file only when that command is asked for; `--help` lists them without any import."""

    _listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def invoke(self, ctx: Any) -> Any:
        from gesta.schema import GestaError

        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # typer would end without a word
            raise GestaError("what reads the output has closed it; the rest is not written.") from error

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        about = COMMANDS.get(cmd_name) or FORMER.get(cmd_name)
        if about is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=about)
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"gesta.cli.{name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            app.command(cmd_name, help=about)(getattr(module, name))
        command = typer.main.get_command(app)
        command.name = cmd_name
        command.help = about
        add_option(cmd_name, command)
        return command


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from gesta.words import DISTRIBUTION

        typer.echo(f"gesta {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _gesta(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """From labeled recordings of people to models that recognize gestures in a video."""


def main() -> None:
    """Entry point: an error that the user can mend is one message and an exit code, not a traceback."""
    from gesta.cli import ending

    tell_warnings()
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # crops are small: a second thread costs more than it brings
    ending.run(app, sys.argv)
