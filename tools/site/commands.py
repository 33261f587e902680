"""The reference of the commands, made from the commands themselves: what `--help` knows, one page a command."""

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
    """Writes index.md and a page for every command; gives the commands' names and the pages' files."""
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
        "Everything is `gesta COMMAND`, and `gesta COMMAND --help` says what stands here.",
        "",
    )
    yield from (
        "Exit codes: 0 it worked, 1 it failed, 2 it was called wrongly. Results go to stdout, as one JSON document",
        "",
    )
    yield from ("with `--json`; progress and warnings go to stderr.", "", "| command | what it does |", "|---|---|")
    for name, file in files.items():
        yield f"| [`gesta {name}`]({file}) | {_cell(COMMANDS[name])} |"


def _page(command: Any, parent: typer.Context, name: str, level: int) -> Iterator[str]:
    """A command's section: what it does, usage, its arguments and options; those of its own commands below."""
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
    """What the help says, its examples as a block of commands."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(_example(one) if one.startswith("Example") else _escaped(one) for one in paragraphs)


def _example(paragraph: str) -> str:
    heading, *commands = paragraph.splitlines()
    return "\n".join([heading, "", "```sh", *(one.strip() for one in commands), "```"])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _escaped(text: str) -> str:
    """Text for people as Markdown that says the same: `<x>` and stars outside code are no markup."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if index % 2 else re.sub(r"([*_<])", r"\\\1", part) for index, part in enumerate(parts))
