"""The command blocks of a page, as somebody reads them: fenced or indented, with prompts, comments and redirects."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = ("gesta", "make", "pip", "pytest", "python")
LANGUAGES = ("", "sh", "console", "bash")


@dataclass(frozen=True)
class Command:
    """One command of a page. `words`: without a redirect (`into`) and without `VARIABLE=value` before it."""

    heading: str
    line: int
    words: tuple[str, ...]
    into: str | None = None
    variables: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return shlex.join(self.words)


def commands(page: Path) -> list[Command]:
    """The commands of a page in its order."""
    return [
        one
        for heading, number, line in _lines(page.read_text(encoding="utf-8"))
        for one in _parsed(heading, number, line)
    ]


def _lines(text: str) -> Iterator[tuple[str, int, str]]:
    """(heading, number, line) of what stands in a block; lines that end in a backslash are one."""
    heading, fence, begun, before = "", None, 0, ""
    blank = indented = False
    for number, line in enumerate(text.splitlines(), 1):
        opening = re.match(r"```(\w*)", line)
        if opening:
            fence = None if fence is not None else opening[1]
        elif fence is None and (title := re.match(r"#+ (.+)", line)):
            heading = title[1]
        indented = line.startswith("    ") and (blank or indented)
        inside = fence in LANGUAGES if fence is not None else indented
        if inside and not opening:
            begun = begun if before else number
            before += line.strip().removeprefix("$ ")
            if before.endswith("\\"):
                before = before[:-1]
            else:
                yield heading, begun, before
                before = ""
        blank = not line.strip()


def _parsed(heading: str, number: int, line: str) -> Iterator[Command]:
    if not re.match(rf"([A-Z_]+=\S+ )*({'|'.join(PROGRAMS)}) ", line):
        return
    for part in line.split(" && "):
        words = shlex.split(part, comments=True)
        into = words[words.index(">") + 1] if ">" in words else None
        words = words[: words.index(">")] if into else words
        count = next(index for index, word in enumerate(words) if not re.match(r"[A-Z_]+=", word))
        yield Command(heading, number, tuple(words[count:]), into, tuple(words[:count]))
