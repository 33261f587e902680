"""Small csv tables as written by spreadsheets: comma, semicolon, tab or bar, `sep=;`, any newlines, bad quotes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from gesta.schema import GestaError
from gesta.sources.files import read_text

Row = tuple[int, list[str]]
"""Line number, from 1, and cells."""
Refused = Callable[[int, str], None]
_DELIMITERS = ",;\t|"
_SEP_LINE = re.compile(r'\s*"?sep=(\\t|.)"?[\s,;]*', re.I)
MOST_REFUSED = 100
"""Unreadable rows before the rest of a table is skipped: each may require scanning everything after it."""


def table(text: str, refused: Refused | None = None) -> list[Row]:
    """Returns the rows of a small csv, cells stripped, without empty rows.

    `refused(line, reason)` is called for unreadable rows: a cell longer than 131,072 characters, an unclosed quote (the
    rows below it are read). Without it, the first such row raises GestaError, without the file's name.
    """
    lines = list(io.StringIO(text, newline=""))
    start, delimiter = _opening(lines)
    rows: list[Row] = []
    for number in range(MOST_REFUSED + 1):
        found, stopped = _rows(lines, start, delimiter)
        rows += found
        if stopped is None:
            break
        line, reason = stopped
        if refused is None:
            raise GestaError(f"line {line}: {reason}")
        refused(line, reason if number < MOST_REFUSED else "too many rows cannot be read; the rest is skipped")
        start = line
    return rows


def read_table(path: Path) -> list[Row]:
    """Reads the rows of a csv file. Raises GestaError with its name if the file or a row is unreadable."""
    text = read_text(path)
    try:
        return table(text)
    except GestaError as error:
        raise GestaError(f"{path}: {error}. Correct the table.") from error


def surplus(header: Sequence[str], cells: Sequence[str]) -> str:
    """Returns why a row does not fit its header: it has more cells, as from a comma in a text; empty if it fits."""
    if not any(cells[len(header) :]):
        return ""
    return f"it has {len(cells)} cells, the first line {len(header)}; put texts with commas in quotation marks"


def _opening(lines: list[str]) -> tuple[int, str]:
    """Returns (index of the first line, delimiter): from a line `sep=;`, or the most frequent one in the first line."""
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        if found := _SEP_LINE.fullmatch(line.rstrip("\r\n")):
            return index + 1, "\t" if found[1] == "\\t" else found[1]
        unquoted = re.sub(r'"[^"]*"', "", line)
        return index, max(_DELIMITERS, key=lambda mark: unquoted.count(mark))  # the first in case of a tie
    return len(lines), ","


def _rows(lines: list[str], start: int, delimiter: str) -> tuple[list[Row], tuple[int, str] | None]:
    """Returns the rows from a line on, and (line, reason) of the first unreadable one."""
    reader = csv.reader(lines[start:], delimiter=delimiter)
    rows: list[Row] = []
    while True:
        first = start + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return rows, None
        except csv.Error as error:
            return rows, (first, f"{error}")
        last = start + reader.line_num
        if last > first and "".join(lines[first - 1 : last]).count('"') % 2:
            return rows, (first, "a quotation mark is opened but not closed")
        cells = [cell.strip() for cell in cells]
        if any(cells):
            rows.append((last, cells))
