"""Recordings of live sessions: one video with the frames' real times, and its events as rows of an index.csv."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gesta.decoder import GestureEvent
from gesta.files import csv_text, write_whole
from gesta.live.recorder import Writer
from gesta.live.sources import Source, Taken
from gesta.schema import GestaError
from gesta.sources.index_csv import INDEX_FILE
from gesta.sources.tables import read_table

COLUMNS = ("path", "label", "start_s", "end_s")


class Recorded:
    """A source whose frames are written to a file as they are captured, including those dropped later."""

    def __init__(self, source: Source, folder: Path, name: str | None = None) -> None:
        self._source, self.lasting = source, source.lasting
        self._folder = folder
        self.path = folder / f"{name or datetime.now().strftime('live_%Y%m%d_%H%M%S')}.mp4"
        if self.path.exists():
            raise GestaError(f"{self.path}: already exists. Choose another --record folder, or wait a second.")
        if folder.exists() and not folder.is_dir():
            raise GestaError(f"{folder}: is a file. Choose a folder for --record.", usage=True)
        self._rows()
        self._writer: Writer | None = None
        self._first_s = 0.0

    def open(self) -> None:
        self._source.open()

    def take(self) -> Taken | None:
        found = self._source.take()
        if found is not None:
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._writer, self._first_s = Writer(self.path), found[1]
            self._writer.write(found[0], found[1] - self._first_s)
        return found

    def close(self) -> None:
        self._source.close()

    def finish(self) -> None:
        """Closes the file; call it once capturing has stopped."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def keep(self, event: GestureEvent) -> None:
        """Adds an event to the folder's index.csv, in seconds of the video. Raises GestaError for a different table."""
        rows = self._rows()
        times = (max(time_s - self._first_s, 0.0) for time_s in (event.start_s, event.end_s))
        rows.append([self.path.name, event.label, *(f"{time_s:.3f}" for time_s in times)])
        write_whole(self._folder / INDEX_FILE, csv_text(rows))

    def _rows(self) -> list[list[str]]:
        """The folder's index.csv with its header. Raises GestaError for a different table."""
        index = self._folder / INDEX_FILE
        rows = [cells for _, cells in read_table(index)] if index.exists() else []
        if rows and tuple(rows[0]) != COLUMNS:
            raise GestaError(f"{index}: does not have the columns {','.join(COLUMNS)}. Choose another --record folder.")
        return rows or [list(COLUMNS)]
