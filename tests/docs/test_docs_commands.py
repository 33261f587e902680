"""Every command that a page shows is one that there is, with options that there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from docs.guide_blocks import PAGES, commands
from typer import Context
from typer.main import get_command

from gesta.cli import app

TOP = get_command(app)


@cache
def named(name: str) -> Any:
    """A command of `gesta`, made once."""
    command = TOP.get_command(Context(TOP), name)
    if command is None:
        raise LookupError(f"no command {name!r}")
    return command


def parse(words: Sequence[str]) -> None:
    """Parses a command line down to its last command, and calls nothing. Raises what the command line would."""
    context = named(words[0]).make_context(words[0], list(words[1:]))
    while hasattr(context.command, "resolve_command"):
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)


WHOLE = [page for page in PAGES if page.name != "results.md"]  # which cuts its commands short


@pytest.mark.parametrize("page", WHOLE, ids=lambda page: page.name)
def test_commands_of_the_page_are_accepted(page) -> None:
    wrong = []
    for one in commands(page):
        if one.words[0] == "gesta":
            try:
                parse(one.words[1:])
            except Exception as error:  # of whichever click this typer has
                wrong.append(f"line {one.line}: {one.text}: {getattr(error, 'message', error)}")
    assert wrong == []


def test_a_wrong_option_is_noticed() -> None:
    with pytest.raises(Exception, match="--nonsense"):
        parse(("data", "inspect", "folder", "--nonsense"))
    with pytest.raises(Exception, match="nonsense"):
        parse(("data", "nonsense"))


def test_blocks_are_read_as_they_are_meant(tmp_path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One\n\n    gesta train a --out b     # why\n\n```console\n$ gesta predict b \\\n  c\nlabel\n```\n## Two\n\n"
        "```python\ngesta = 3\n```\n\n```\nX=1 gesta card b > README.md\ngesta train a && gesta evaluate b a\n```\n"
    )
    found = [(one.heading, one.line, one.text, one.into, one.variables) for one in commands(page)]
    assert found == [
        ("One", 3, "gesta train a --out b", None, ()),
        ("One", 6, "gesta predict b c", None, ()),
        ("Two", 17, "gesta card b", "README.md", ("X=1",)),
        ("Two", 18, "gesta train a", None, ()),
        ("Two", 18, "gesta evaluate b a", None, ()),
    ]
