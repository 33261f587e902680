"""Reports on text: metrics.json, a CSV table, and report.html with the numbers and the hardest passages."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.files import csv_text, write_whole
from gesta.look import head, links, sorting, titled

SHOWN = 100
"""Maximum rows on the page; the CSV has all of them."""


def write_report(
    out: Path, title: str, metrics: Mapping[str, Any], name: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Write the three files to a folder; the page shows `rows` in the given order."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "metrics.json", json.dumps(metrics, indent=1, ensure_ascii=False) + "\n")
    write_whole(out / name, csv_text([header, *rows], "\r\n"))
    numbers = [(key, f"{value:.4g}") for key, value in metrics.items() if isinstance(value, int | float)]
    notes = [("note", str(note)) for note in (*metrics.get("notes", ()), *metrics.get("warnings", ()))]
    page = (
        f"<!doctype html><html lang=en>{head(titled(title))}<body><h1>{html.escape(titled(title))}</h1>"
        f"<p>Files: {links(name, 'metrics.json')}</p>{_table(('', ''), [*numbers, *notes])}"
        f"<h2>{min(SHOWN, len(rows))} of {len(rows)}</h2>{_table(header, rows[:SHOWN])}{sorting()}</body></html>\n"
    )
    write_whole(out / "report.html", page)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in row) for row in rows)
    return f"<div class=scroll><table class=sorts><tr>{top}{body}</table></div>"
