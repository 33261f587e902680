"""Reading ease (Flesch) of the help texts and guides, the hardest first.

206.835 - 1.015 words per sentence - 84.6 syllables per word (Flesch 1948). 60 to 70 is plain English; below 55 is hard.
Code blocks, tables, headings and URLs are ignored; a name in code counts as a word with two syllables.

    python -m tools.reading_ease             every help text and page
    python -m tools.reading_ease --below 55  only harder texts; the exit code is 1 if there are any
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GOAL = 55.0
LEAST_WORDS = 20
"""Shorter texts are ignored: one long word changes their value by several points."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading ease of help texts and guides.")
    parser.add_argument("--below", type=float, help="list only texts below this; exit code 1 if there are any")
    limit = parser.parse_args().below
    rows = sorted((ease(text), name, text) for name, text in (*helps(), *pages()) if len(words(text)) >= LEAST_WORDS)
    shown = [row for row in rows if limit is None or row[0] < limit]
    print(f"{'ease':>5}  {'words':>5}  {'w/sentence':>10}  {'syl/word':>8}  text")
    for value, name, text in shown:
        found = words(text)
        per_word = sum(map(syllables, found)) / len(found)
        print(f"{value:5.1f}  {len(found):5d}  {len(found) / sentences(text):10.1f}  {per_word:8.2f}  {name}")
    sys.exit(1 if limit is not None and shown else 0)


def ease(text: str) -> float:
    """Flesch's reading ease of prose."""
    found = words(text)
    return 206.835 - 1.015 * len(found) / sentences(text) - 84.6 * sum(map(syllables, found)) / len(found)


def sentences(text: str) -> int:
    """Number of sentences, which end with . ! or ? before a space, or at the end of a paragraph or list item."""
    return max(1, sum(1 for part in re.split(r"[.!?](?:\s|$)|\n\s*\n", text) if words(part)))


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+(?:['-][A-Za-z]+)*", text)


def syllables(word: str) -> int:
    """Number of vowel groups, except a silent e or ed at the end; for acronyms, the number of letters."""
    if word.isupper() and 1 < len(word) <= 5:
        return len(word)
    lower = re.sub(r"(?<=[aeiou].)(?:es|ed|e)$", _silent, re.sub(r"'s$", "", word.lower()))
    return max(1, len(re.findall(r"[aeiouy]+", lower)))


def _silent(ending: re.Match[str]) -> str:
    """Drops a silent ending, as in "name", "names", "trained", but not in "classes" or "needed"."""
    before = ending.string[ending.start() - 1]
    spoken = (ending[0] == "es" and before in "scxzg") or (ending[0] == "ed" and before in "td") or before == "l"
    return ending[0] if spoken else ""


def prose(markdown: str) -> str:
    """The sentences of a page, without code, tables, headings and URLs."""
    text = re.sub(r"^```.*?^```|^---\n.*?^---$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    lines = [line for line in text.splitlines() if not re.match(r"\s*(\||#|<|!!!|:::)", line)]
    text = "\n".join(re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "\n\n", line) for line in lines)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)
    return plain(re.sub(r"`[^`]*`", " option ", text))


def plain(text: str) -> str:
    """Text with options, paths and settings replaced by a plain word."""
    return re.sub(r"(?:--[\w-]+|\S*[\w)][./_=][\w(]\S*)", " option ", text)


def helps() -> Iterator[tuple[str, str]]:
    """(name, text) of each command: its description, arguments and options, without examples."""
    import typer

    from gesta.cli import COMMANDS, app

    top: Any = typer.main.get_command(app)
    for name in COMMANDS:
        command = top.get_command(None, name)
        below = getattr(command, "commands", None) or {"": command}
        for inner, one in below.items():
            about = [p for p in inspect.cleandoc(one.help or "").split("\n\n") if not p.startswith("Example")]
            options = [p.help.rstrip(".") + "." for p in one.params if getattr(p, "help", None)]
            yield f"gesta {name} {inner} --help".replace("  ", " "), plain("\n\n".join([*about, *options]))


def pages() -> Iterator[tuple[str, str]]:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        yield str(page.relative_to(ROOT)), prose(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
