"""The look of gesta's HTML pages: one light and dark style, and tables that sort when a column heading is clicked.

Every page is a single file. In a Jinja template: `{{ head }}` in place of the head, `{{ sorting }}` at the end of the
body, `<table class="sorts">`; colors are CSS variables of the style.
"""

from __future__ import annotations

import html
import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup


def titled(name: str) -> str:
    """The subject of a page and today's date: `my_gestures, 28 November 2026`."""
    now = time.localtime()
    return f"{name}, {now.tm_mday} {time.strftime('%B %Y', now)}"


def head(title: str) -> Markup:
    """The HTML head of a page."""
    return Markup(
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style()}</style></head>"
    )


@cache
def style() -> str:
    """The CSS shared by all pages."""
    return _text("look.css")


@cache
def script() -> str:
    """The script that sorts tables."""
    return _text("sorting.js")


def sorting() -> Markup:
    """The script element for the end of a page's body."""
    return Markup(f"<script>{script()}</script>")


def links(*names: str) -> Markup:
    """Links to files in the same folder as the page."""
    return Markup(", ".join(f'<a href="{quote(name)}">{html.escape(name)}</a>' for name in names))


def linked(text: str, paths: Iterable[Path]) -> Markup:
    """The text as a link to its file or folder; if there are several, the text and a link to each by its name."""
    different = list(dict.fromkeys(paths))
    if len(different) == 1:
        return Markup(_link(different[0], text))
    each = ", ".join(_link(path, os.fsencode(path.name).decode(errors="backslashreplace")) for path in different)
    return Markup(f"{html.escape(text)} ({each})")


def _link(path: Path, text: str) -> str:
    return f'<a href="{path.absolute().as_uri()}">{html.escape(text)}</a>'


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
