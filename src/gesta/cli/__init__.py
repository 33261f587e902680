"""The command line. One file a command; each imports what it needs inside the command, so that `--help` is fast."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated, Any

import typer

from gesta.cli.damage import add_option, tell_warnings
from gesta.cli.help import Command, Group
from gesta.schema import GestaError
from gesta.words import DISTRIBUTION

COMMANDS = {
    "demo": "Try everything in a few minutes, on recordings that are generated for it.",
    "studio": "Record, train and try your own gestures in the browser.",
    "record": "Film gestures with a camera into a data folder.",
    "data": "Check, index, pack or generate a data folder.",
    "track": "Find hands and bodies in videos and store them as skeletons.",
    "features": "Compute features of videos once, with a pretrained network.",
    "fetch": "Download the networks and the runtime that other commands need.",
    "train": "Train a model on labeled recordings.",
    "recipes": "List the training recipes, or print one in full.",
    "enroll": "Add classes to a model from a few examples, without training.",
    "tune": "Search for good hyperparameters.",
    "evaluate": "Measure a model on people it was not trained on.",
    "compare": "Compare two models on the same clips, with a confidence interval.",
    "crossval": "Cross-validate a recipe over people.",
    "learning-curve": "Plot accuracy against the number of training clips per class.",
    "pose": "Measure files of predicted hand joints against the ground truth.",
    "spot": "Measure files of detected gestures against the ground truth.",
    "predict": "Recognize gestures in videos and recordings.",
    "live": "Recognize gestures as they happen, from a camera, file or stream.",
    "search": "Find videos by a sentence or by an example.",
    "write": "Generate text with a language model.",
    "embed": "Train, query and test word vectors.",
    "export": "Convert a model to OpenVINO, ONNX or a web page.",
    "compress": "Make a model small: prune, quantize, export and compare.",
    "prune": "Remove weights or channels that matter least.",
    "quantize": "Store a model's weights in 16 or 8 bits.",
    "benchmark": "Measure the speed of preprocessing, inference and training.",
    "card": "Print a model card, ready for a model hub.",
    "reproduce": "Reproduce a published table or figure.",
    "jobs": "Show which jobs of a command are running, done or failed, and why.",
    "cache": "Show, limit or clear the cache of preprocessed clips.",
}
"""Every command and what it does, which is also the first line of its help."""

HEADINGS = {
    "Get started": ("demo", "studio"),
    "Data": ("record", "data", "track", "features", "fetch", "cache"),
    "Training": ("train", "recipes", "enroll", "tune"),
    "Measuring": ("evaluate", "compare", "crossval", "learning-curve", "pose", "spot", "benchmark", "reproduce"),
    "Using a model": ("predict", "live", "search", "write", "embed"),
    "Deployment": ("export", "compress", "prune", "quantize", "card"),
    "Long runs": ("jobs",),
}
"""Headings of the list of commands; commands without a heading come last."""

FORMER = ("slim", "halve")
"""Commands that still work, and are not listed."""


class _LazyGroup(Group):
    """Imports a command's file only when that command is asked for; `--help` lists them without any import."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # typer would end without a word
            raise GestaError("the program that reads the output has closed it; the rest is not written.") from error

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        others = [name for name in COMMANDS if not any(name in names for names in HEADINGS.values())]
        for heading, names in (*HEADINGS.items(), ("Other", others)):
            self.write_commands(formatter, heading, [(name, COMMANDS[name]) for name in names])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS and cmd_name not in FORMER:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"gesta.cli.{name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
            app.command(cmd_name, cls=Command)(getattr(module, name))
        command = typer.main.get_command(app)
        command.name = cmd_name
        add_option(cmd_name, command)
        return command


app = typer.Typer(cls=_LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gesta {version(DISTRIBUTION)}")
        raise typer.Exit


@app.callback()
def _gesta(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train small models that recognize gestures, signs, actions and hand poses, and run them live.

    Each command has its own help: gesta train --help.
    """


def main() -> None:
    """Entry point: an error that the user can mend is one message and an exit code, not a traceback."""
    from gesta.cli import ending

    tell_warnings()
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # crops are small: a second thread costs more than it brings
    ending.run(app, sys.argv)
