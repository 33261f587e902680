"""The studio's clips on disk: rows of `index.csv`, gesta's standard format, and additional data in a separate file.

`index.csv` is authoritative for which clips exist, their labels and spans. `.studio/clips.json` adds their ids,
revisions and measurements, and the excluded or deleted clips. If they differ after a crash or a manual edit of the
table, the table takes precedence.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gesta.files import csv_text, write_whole
from gesta.schema import GestaError
from gesta.sources import catalog
from gesta.sources.index_csv import INDEX_FILE
from gesta.sources.index_write import write_index
from gesta.sources.tables import read_table

COLUMNS = ("path", "label", "subject", "start_s", "end_s")
FILE = "clips.json"


class Look(BaseModel):
    """Measurements from decoding the clip's span. `motion`: fraction of the image that changes, 0 to 1."""

    model_config = ConfigDict(ser_json_inf_nan="null")

    brightness: float
    longest_gap_s: float
    most_motion: float
    first_motion: float
    last_motion: float
    border_motion: float
    start_s: float
    end_s: float
    fault: str = ""


class Record(BaseModel):
    """A clip. `path`: relative to the folder; `extra`: other columns of its row; `kept`: accepted findings."""

    id: str
    path: str
    label: str
    subject: str
    start_s: float | None = None
    end_s: float | None = None
    state: Literal["used", "left_out", "unlabeled", "deleted"] = "used"
    revision: int = 1
    made: float = 0.0
    changed: float = 0.0
    file_s: float = 0.0
    frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    lost: int = 0
    closed: str = ""
    kept: list[str] = []
    extra: dict[str, str] = {}
    look: Look | None = None

    @property
    def start(self) -> float:
        return self.start_s or 0.0

    @property
    def end(self) -> float:
        return self.file_s if self.end_s is None else self.end_s

    @property
    def seconds(self) -> float:
        return max(0.0, self.end - self.start)

    @property
    def sample_id(self) -> str:
        """The id that gesta.sources.index_csv gives to the sample of this row."""
        if self.start_s is None and self.end_s is None:
            return self.path
        return f"{self.path}@{_cell(self.start_s) or '0'}-{_cell(self.end_s) or 'end'}"

    @property
    def row(self) -> dict[str, str]:
        known = (self.path, self.label, self.subject, _cell(self.start_s), _cell(self.end_s))
        return {**self.extra, **dict(zip(COLUMNS, known, strict=True))}


def new_id() -> str:
    return secrets.token_hex(6)


def trash_name(path: str) -> str:
    """The name of a deleted file in the trash."""
    return hashlib.sha256(path.encode()).hexdigest()[:16] + Path(path).suffix


class Table:
    """Reads and writes both files. Not thread-safe."""

    def __init__(self, root: Path, hidden: Path) -> None:
        self.root, self.index, self.sidecar = root, root / INDEX_FILE, hidden / FILE
        self._others: list[dict[str, str]] = []  # rows that are not clips here, preserved unchanged

    def read(self) -> list[Record]:
        """All clips. Raises GestaError for an index without the columns path and label."""
        known = self._known()
        rows = self._rows()
        if rows is None:  # no index: clips in class folders
            return _merged(self._of_folders(), known)
        records, self._others = [], []
        for row in rows:
            record = self._record(row)
            if record is None:
                self._others.append(row)
            else:
                records.append(record)
        return _merged(records, known)

    def write(self, records: Sequence[Record]) -> None:
        """Writes the table first, then the additional data. Raises OSError."""
        rows = [record.row for record in records if record.state == "used"] + self._others
        extra = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
        columns = [*COLUMNS, *extra]
        content = csv_text([columns, *([row.get(name, "") for name in columns] for row in rows)])
        if not self.index.is_file() or self.index.read_bytes() != content.encode(errors="backslashreplace"):
            write_whole(self.index, content)
        document = {"version": 1, "clips": [record.model_dump(mode="json") for record in records]}
        write_whole(self.sidecar, json.dumps(document, ensure_ascii=False))

    def _known(self) -> list[Record]:
        try:
            document = json.loads(self.sidecar.read_text(encoding="utf-8"))
            return [Record.model_validate(one) for one in document["clips"]]
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return []

    def _rows(self) -> list[dict[str, str]] | None:
        if not self.index.is_file():
            return None
        rows = [cells for _, cells in read_table(self.index)]
        header = [cell.lower() for cell in rows[0]] if rows else list(COLUMNS)
        if not {"path", "label"} <= set(header):
            raise GestaError(f"{self.index}: has no columns path,label; it has {', '.join(header)}. Use these names.")
        return [dict(zip(header, cells, strict=False)) for cells in rows[1:]]

    def _record(self, row: dict[str, str]) -> Record | None:
        """The clip of a row; None if its file is missing, it has no label, or its span is invalid."""
        path, label = row.get("path", ""), row.get("label", "")
        start_s, end_s = _number(row.get("start_s", "")), _number(row.get("end_s", ""))
        name = Path(path)
        if not label or name.is_absolute() or ".." in name.parts or not (self.root / name).is_file():
            return None
        if math.nan in (start_s, end_s) or (end_s is not None and end_s <= (start_s or 0.0)):
            return None
        extra = {column: cell for column, cell in row.items() if column not in COLUMNS}
        made = (self.root / name).stat().st_mtime
        return Record(
            id=new_id(),
            path=path,
            label=label,
            subject=row.get("subject", ""),
            start_s=start_s,
            end_s=end_s,
            made=made,
            changed=made,
            extra=extra,
        )

    def _of_folders(self) -> list[Record]:
        """Clips in class folders, for which an index is written on the first change."""
        if not any(path.is_dir() and not path.name.startswith(".") for path in self.root.iterdir()):
            return []
        try:
            write_index(catalog.read(self.root, "class_folders"))
        except GestaError:
            return []
        rows = self._rows() or []
        return [record for row in rows if (record := self._record(row)) is not None]


def _merged(rows: Iterable[Record], known: Iterable[Record]) -> list[Record]:
    """Clips of the table with their known ids and measurements, and those intentionally not in the table."""
    waiting: dict[str, list[Record]] = {}
    apart: list[Record] = []
    for record in known:
        (waiting.setdefault(record.path, []) if record.state == "used" else apart).append(record)
    found = []
    for row in rows:
        same = waiting.get(row.path, [])
        old = next((one for one in same if (one.start_s, one.end_s) == (row.start_s, row.end_s)), None)
        old = old or next(iter(same), None)
        if old is not None:
            same.remove(old)
            moved = (old.start_s, old.end_s) != (row.start_s, row.end_s)
            kept: dict[str, Any] = {name: getattr(row, name) for name in (*COLUMNS, "extra")}
            row = old.model_copy(update=kept | ({"look": None} if moved else {}))
        found.append(row)
    listed = {(one.path, one.start_s, one.end_s) for one in found}
    return found + [one for one in apart if (one.path, one.start_s, one.end_s) not in listed]


def _cell(value: float | None) -> str:
    return "" if value is None else repr(round(value, 6))


def _number(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and value >= 0 else math.nan


def now() -> float:
    """Current time in seconds since 1970."""
    return time.time()
