"""The results of a model as one page."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import jinja2

from gesta.look import head, script, sorting, style
from gesta.web.messages_work import Model, Results
from gesta.words import counted


def report_page(name: str, model: Model, found: Results) -> str:
    """The report as HTML; all names are escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    environment.filters["counted"] = counted
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(model.made))
    return template.render(
        head=head(f"{name}, {made}"), sorting=sorting(), name=name, made=made, model=model, found=found
    )


def sources() -> str:
    """Policy sources for the report, which is opened as a blob and inherits the page's content security policy."""
    scripts, styles = (f"'sha256-{_digest(text)}'" for text in (script(), style()))
    return f"script-src 'self' {scripts}; style-src 'self' {styles}"


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
