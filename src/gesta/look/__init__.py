"""How gesta's own pages look: one style, light and dark, and tables that sort when their heading is pressed.

Every page is one file. In a jinja template: `{{ head }}` in the place of the head, `{{ sorting }}` at the end of the
body, `<table class="sorts">`; colors are the style's variables.
"""

from __future__ import annotations

import html
import time
from functools import cache
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup


def titled(name: str) -> str:
    """What a page is about and today's date: `my_gestures, 28 November 2026`."""
    now = time.localtime()
    return f"{name}, {now.tm_mday} {time.strftime('%B %Y', now)}"


def head(title: str) -> Markup:
    """The head of a page."""
    return Markup(
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style()}</style></head>"
    )


@cache
def style() -> str:
    """The rules that all pages have."""
    return _text("look.css")


@cache
def script() -> str:
    """What sorts tables."""
    return _text("sorting.js")


def sorting() -> Markup:
    """The end of a page's body."""
    return Markup(f"<script>{script()}</script>")


def links(*names: str) -> Markup:
    """Links to files beside the page."""
    return Markup(", ".join(f'<a href="{quote(name)}">{html.escape(name)}</a>' for name in names))


def _text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
