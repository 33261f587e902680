"""`gesta cache`: where preprocessed clips are kept, how much there is, and making room."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from rich.text import Text

from gesta.cli.common import JsonFlag, emit
from gesta.schema import GestaError

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def cache(
    limit: Annotated[
        str | None, typer.Option("--limit", metavar="SIZE", help="Set the maximum size, such as 500M or 20G.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all preprocessed clips.")] = False,
    json: JsonFlag = False,
) -> None:
    """Show, limit or clear the cache of preprocessed clips.

    Clips are preprocessed once and kept here. If the cache is full, the least recently used ones are removed. Set
    GESTA_CACHE to keep it in another folder.

    Example:
      gesta cache --limit 20G
    """
    from gesta.clips.cache import ClipCache

    store = ClipCache()
    if limit is not None:
        store.set_limit(parse_size(limit))
    freed = store.clear() if clear else None
    info = store.info()
    document = info if freed is None else {**info, "freed_bytes": freed}
    lines = [
        f"folder   {info['root']}",
        f"clips    {info['entries']}",
        f"size     {human_size(info['bytes'])} of at most {human_size(info['limit_bytes'])}",
    ]
    if freed is not None:
        lines.append(f"freed    {human_size(freed)}")
    emit(document, Text("\n".join(lines)), json)


def parse_size(text: str, option: str = "--limit", least: int = 0) -> int:
    """Bytes of "500M", "1.5 GB", "2048" (units of 1024). Raises GestaError (usage) for anything else or too little."""
    match = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    size = -1 if match is None else int(float(match[1]) * _UNITS[match[2].lower()])
    if size < least:
        raise GestaError(f"{option} {text!r} is not a size; expected a number with K, M, G or T, e.g. 20G.", usage=True)
    return size


def human_size(count: int) -> str:
    """Bytes as people read them: 512 B, 1.5 MB, 20.0 GB (units of 1024)."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"
