"""A studio's clips in memory, modified under one lock and saved after each change."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import RLock

from gesta.web.folder import HIDDEN, Folder
from gesta.web.messages import NONE, Clip, ClipPatch
from gesta.web.naming import next_file, number_of, slug
from gesta.web.records import Record, Table, new_id, now, trash_name
from gesta.web.refuse import Refuse, missing

UNLABELED = f"{HIDDEN}/unlabeled"
LEAST_S = 0.2
"""Minimum length of a trimmed clip."""


class Clips:
    """`changed(id, revision)` is called on each change. All methods are thread-safe."""

    def __init__(self, folder: Folder, changed: Callable[[str, int], None] = lambda _id, _revision: None) -> None:
        self.folder, self.lock, self._changed = folder, RLock(), changed
        self._table = Table(folder.root, folder.hidden)
        self._records = {record.id: record for record in self._table.read()}
        self._finish_moves()

    def all(self) -> list[Record]:
        """All clips, newest first, including deleted ones."""
        with self.lock:
            return sorted(self._records.values(), key=lambda one: (-one.made, one.path, -one.start))

    def used(self) -> list[Record]:
        return [one for one in self.all() if one.state == "used"]

    def get(self, clip_id: str) -> Record:
        with self.lock:
            found = self._records.get(clip_id)
        if found is None:
            raise missing("clip", clip_id)
        return found

    def file(self, record: Record) -> Path:
        """Current path of a clip's video. Raises Refuse 404."""
        trashed = self.folder.place("trash") / trash_name(record.path)
        there = self.folder.root / record.path
        return trashed if not there.is_file() and trashed.is_file() else self.folder.below(record.path)

    def new_path(self, label: str, subject: str, suffix: str) -> Path:
        """Path for the next video of a label and person; creates its folder."""
        folder = self.folder.root / slug(label)
        folder.mkdir(parents=True, exist_ok=True)
        with self.lock:
            taken = [Path(one.path).name for one in self._records.values() if Path(one.path).parent.name == folder.name]
        return next_file(folder, subject, suffix, taken)

    def add(self, records: Sequence[Record]) -> None:
        with self.lock:
            self._store(*records)

    def update(self, record: Record, **values: object) -> Record:
        """Changes a clip's values, increments its revision and saves it."""
        with self.lock:
            current = self.get(record.id)
            new = current.model_copy(update={"revision": current.revision + 1, **values})
            self._store(new)
            return new

    def looked(self, found: Iterable[tuple[str, dict[str, object]]]) -> None:
        """Stores measurements of clips, which may have been removed or trimmed meanwhile."""
        with self.lock:
            known = [self._records[one].model_copy(update=values) for one, values in found if one in self._records]
            self._store(*known)

    def patch(self, clip_id: str, change: ClipPatch) -> Record:
        """Applies a change. Raises Refuse 409 if the clip was changed meanwhile, 422 for an invalid span."""
        with self.lock:
            record = self.get(clip_id)
            if record.revision != change.revision:
                raise Refuse(409, "The clip was changed in another window.", hint="Look at it again.", field="revision")
            values: dict[str, object] = {"changed": now()}
            values |= change.model_dump(exclude_none=True, include={"label", "subject"})
            if change.start_s is not None or change.end_s is not None:
                values |= _span(record, change) | {"look": None}
            if change.left_out is not None and record.state in ("used", "left_out"):
                values["state"] = "left_out" if change.left_out else "used"
            if change.label is not None and record.state == "unlabeled":
                values |= self._filed(record, change.label, change.subject or record.subject)
            return self.update(record, **values)

    def delete(self, clip_id: str) -> Record:
        """Moves a clip to the trash, along with its file if no other clip uses it."""
        with self.lock:
            record = self.get(clip_id)
            if record.state != "deleted":
                record = self.update(record, state="deleted", changed=now())
                self._finish_moves()
            return record

    def restore(self, clip_id: str) -> Record:
        """Restores a clip from the trash. Raises Refuse 409 if the file cannot be moved back."""
        with self.lock:
            record = self.get(clip_id)
            if record.state != "deleted":
                return record
            file, home = self.file(record), self.folder.root / record.path
            if file != home:
                home.parent.mkdir(parents=True, exist_ok=True)
                file.replace(home)
            return self.update(record, state="used" if record.label else "unlabeled", changed=now())

    def rename(self, old: str, new: str) -> None:
        """Renames a label in all its clips; their files are not moved."""
        with self.lock:
            found = [one for one in self._records.values() if one.label == old]
            self._store(
                *(
                    one.model_copy(update={"label": new, "revision": one.revision + 1, "changed": now()})
                    for one in found
                )
            )

    def keep_last(self, write: Callable[[Path], None], subject: str, **facts: object) -> Record:
        """Adds a clip without label, to be labeled in Check; `write` writes its video."""
        clip_id = new_id()
        path = f"{UNLABELED}/{clip_id}.mkv"
        (self.folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        write(self.folder.root / path)
        times = {"made": now(), "changed": now()}
        record = Record(id=clip_id, path=path, label="", subject=subject, state="unlabeled")
        record = record.model_copy(update=times | facts)
        self.add([record])
        return record

    def _filed(self, record: Record, label: str, subject: str) -> dict[str, object]:
        """Moves the video of a newly labeled clip to the label's folder."""
        home = self.new_path(label, subject or "person", Path(record.path).suffix)
        self.folder.below(record.path).replace(home)
        return {"path": home.relative_to(self.folder.root).as_posix(), "state": "used"}

    def _store(self, *records: Record) -> None:
        before = self._records
        self._records = {**before, **{record.id: record for record in records}}
        try:
            self._table.write(list(self._records.values()))
        except OSError as error:
            self._records = before
            raise Refuse(
                507, f"It cannot be written ({error.strerror}).", hint="Free some space, then try again."
            ) from error
        for record in records:
            self._changed(record.id, record.revision)

    def _finish_moves(self) -> None:
        """Moves files used only by deleted clips to the trash, including those left by a killed server."""
        needed = {one.path for one in self._records.values() if one.state != "deleted"}
        for path in {one.path for one in self._records.values() if one.state == "deleted"} - needed:
            file = self.folder.root / path
            if file.is_file():
                with contextlib.suppress(OSError):
                    shutil.move(file, self.folder.place("trash") / trash_name(path))


def _span(record: Record, change: ClipPatch) -> dict[str, object]:
    start_s = record.start if change.start_s is None else change.start_s
    end_s = record.end if change.end_s is None else change.end_s
    longest = record.file_s or end_s
    if end_s - start_s < LEAST_S or start_s < 0 or end_s > longest + 0.1:
        expected = f"inside 0 to {longest:.2f} s and at least {LEAST_S} s long"
        raise Refuse(422, f"The span from {start_s:.2f} to {end_s:.2f} s is not valid.", expected, field="end_s")
    return {"start_s": round(start_s, 3), "end_s": round(min(end_s, longest), 3)}


def shown(record: Record, findings: Sequence[str] = ()) -> Clip:
    """A clip as sent to the page."""
    number = number_of(Path(record.path).name)
    name = " ".join(part for part in (record.subject or "somebody", f"{number:03d}" if number else "") if part)
    share = min(1.0, record.seconds / record.file_s) if record.file_s else 1.0
    return Clip(
        id=record.id,
        label=record.label,
        subject=record.subject,
        name=name,
        path=record.path,
        start_s=record.start,
        end_s=record.end,
        file_s=record.file_s,
        frames=round(record.frames * share),
        fps=record.fps,
        width=record.width,
        height=record.height,
        brightness=record.look.brightness if record.look else 0.0,
        lost=record.lost,
        made=record.made,
        state=record.state,
        revision=record.revision,
        findings=list(findings),
    )


def is_none(label: str) -> bool:
    return label == NONE
