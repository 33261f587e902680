"""What `gesta data index` says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from gesta.cli.common import command
from gesta.words import counted

if TYPE_CHECKING:
    from gesta.sources.index_write import Written

SHOWN = 8


def index_document(written: Written) -> dict[str, Any]:
    return {
        "index": str(written.path),
        "rows": written.rows,
        "labels": list(written.labels),
        "subjects": list(written.subjects),
        "unmatched": list(written.unmatched),
        "left_out": list(written.left_out),
    }


def index_text(written: Written, data: Path) -> Text:
    lines = [
        f"index     {written.path}, {counted(written.rows, 'row')}",
        f"labels    {_names(written.labels)}",
        f"people    {_names(written.subjects)}",
    ]
    if written.unmatched:
        lines.append(f"no match  {_names(written.unmatched)}")
    if written.left_out:
        lines.append(
            f"left out  {_names(written.left_out)}: names that a csv cannot store, or rows that cannot be used"
        )
    return Text("\n".join([*lines, f"next      {command('gesta', 'data', 'inspect', data)}"]))


def _names(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)}: {', '.join(names[:SHOWN])}{more}" if names else "none"
