"""The reference of the commands, generated from their `--help`: one page per command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from gesta.cli import COMMANDS, app
from gesta.cli.help import sections

LEFT_OUT = ("--help", "--install-completion", "--show-completion")


def write(folder: Path) -> dict[str, str]:
    """Writes index.md and a page for every command; returns the files by name of the command."""
    folder.mkdir(parents=True)
    top: Any = typer.main.get_command(app)
    context = typer.Context(top, info_name="gesta")
    files = {name: f"{name}.md" for name in COMMANDS}
    for name, file in files.items():
        command = top.get_command(context, name)
        (folder / file).write_text("\n".join(_page(command, context, name, 1)) + "\n", encoding="utf-8")
    (folder / "index.md").write_text("\n".join(_index(files)) + "\n", encoding="utf-8")
    return files


def _index(files: dict[str, str]) -> Iterator[str]:
    yield from (
        "# Commands",
        "",
        "All commands have the form `gesta COMMAND`; `gesta COMMAND --help` prints the same information as this page.",
        "",
    )
    yield from (
        "Exit codes: 0 success, 1 failure, 2 wrong usage. Results go to stdout, as one JSON document",
        "",
    )
    yield from ("with `--json`; progress and warnings go to stderr.", "", "| command | description |", "|---|---|")
    for name, file in files.items():
        yield f"| [`gesta {name}`]({file}) | {_cell(COMMANDS[name])} |"


def _page(command: Any, parent: typer.Context, name: str, level: int) -> Iterator[str]:
    """The section of a command: description, usage, arguments and options; then its subcommands."""
    context = typer.Context(command, info_name=name, parent=parent)
    yield from (f"{'#' * level} {context.command_path}", "", _about(command), "")
    yield from ("```text", f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}", "```", "")
    shown = [one for one in command.params if not set(one.opts) & set(LEFT_OUT)]
    for heading, rows in sections(shown).items():
        yield from (f"| {heading.lower()} | |", "|---|---|")
        yield from (f"| `{_cell(names)}` | {_cell(_escaped(about))} |" for names, about in rows)
        yield ""
    for inner, one in getattr(command, "commands", {}).items():
        yield from _page(one, context, inner, level + 1)


def _about(command: Any) -> str:
    """The description of a command, with its examples as a code block."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_example(one) if one.startswith("Example") else _escaped(one) for one in paragraphs)


def _example(paragraph: str) -> str:
    heading, *commands = paragraph.splitlines()
    return "\n".join([heading, "", "```sh", *(one.strip() for one in commands), "```"])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _escaped(text: str) -> str:
    """Plain text as Markdown: `<x>`, stars and underscores outside code are escaped."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if index % 2 else re.sub(r"([*_<])", r"\\\1", part) for index, part in enumerate(parts))
