"""The results of a model as one page without scripts."""

from __future__ import annotations

import time
from pathlib import Path

import jinja2

from gesta.web.messages_work import Model, Results
from gesta.words import counted


def report_page(name: str, model: Model, found: Results) -> str:
    """HTML; every name in it is escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    environment.filters["counted"] = counted
    template = environment.from_string(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(model.made))
    return template.render(name=name, made=made, model=model, found=found)
