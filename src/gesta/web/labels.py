"""The gestures of a studio: those that clips have, and those added but not yet recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from threading import RLock

from gesta.files import write_json
from gesta.web.clips import Clips
from gesta.web.messages import NONE, Label, Person
from gesta.web.naming import slug
from gesta.web.refuse import Refuse, missing
from gesta.words import counted

RESERVED = ("none", "nothing")


class Labels:
    """Ids and names, in the order in which they were added; "nothing" always exists and comes last."""

    def __init__(self, clips: Clips, changed: Callable[[str], None] = lambda _id: None) -> None:
        self._clips, self._changed, self._lock = clips, changed, RLock()
        self._file = clips.folder.hidden / "labels.json"
        try:
            self._names: dict[str, str] = dict(json.loads(self._file.read_text(encoding="utf-8"))["labels"])
        except (OSError, ValueError, KeyError, TypeError):
            self._names = {}

    def all(self) -> list[Label]:
        """All labels with their counts."""
        with self._lock:
            self._add_those_of_clips()
            names = {**self._names, NONE: NONE}
        records = self._clips.used()
        found = []
        for label_id, name in names.items():
            own = [one for one in records if one.label == name]
            people = Counter(one.subject for one in own)
            recordings, seconds = len({one.path for one in own}), sum(one.seconds for one in own)
            found.append(
                Label(
                    id=label_id, name=name, clips=len(own), seconds=seconds, recordings=recordings, people=dict(people)
                )
            )
        return found

    def people(self) -> list[Person]:
        counts = Counter(one.subject for one in self._clips.used() if one.subject)
        return [Person(name=name, clips=count) for name, count in sorted(counts.items())]

    def known(self, name: str) -> str:
        """The name, unchanged. Raises Refuse 422 for an unknown label."""
        names = [label.name for label in self.all()]
        if name not in names:
            raise Refuse(422, f"There is no gesture {name!r}.", f"one of {', '.join(names)}", "Add it first.", "label")
        return name

    def ensure(self, name: str) -> str:
        """The name of a label, which is created if missing. Raises Refuse as `put` does."""
        if name.lower() in RESERVED:
            return NONE
        with self._lock:
            self._add_those_of_clips()
            if name not in self._names.values():
                self.put(self._free_id(name), name)
        return name

    def put(self, label_id: str, name: str) -> Label:
        """Creates or renames a label. Raises Refuse 409 if the name is taken, 422 if there are too many."""
        with self._lock:
            self._add_those_of_clips()
            taken = {other: one for one, other in self._names.items()}
            if name.lower() in RESERVED or label_id == NONE:
                raise Refuse(
                    409, "The label `nothing` always exists.", "a name of a gesture", "Choose another name.", "name"
                )
            if taken.get(name, label_id) != label_id:
                raise Refuse(409, f"A gesture {name} already exists.", "another name", field="name")
            limit = self._clips.folder.limits.labels
            if label_id not in self._names and len(self._names) >= limit:
                raise Refuse(422, f"There are {len(self._names)} gestures.", f"at most {limit}", field="name")
            old = self._names.get(label_id)
            self._names[label_id] = name
            self._write()
            if old is not None and old != name:
                self._clips.rename(old, name)
        self._changed(label_id)
        return next(label for label in self.all() if label.id == label_id)

    def delete(self, label_id: str) -> None:
        """Deletes a label. Raises Refuse 409 if clips have it."""
        with self._lock:
            name = self._names.get(label_id)
            if name is None:
                raise missing("gesture", label_id)
            count = sum(one.label == name and one.state != "deleted" for one in self._clips.all())
            if count:
                raise Refuse(
                    409,
                    f"{counted(count, 'clip')} of {name} exist.",
                    "a gesture without clips",
                    "Delete its clips first.",
                )
            del self._names[label_id]
            self._write()
        self._changed(label_id)

    def _add_those_of_clips(self) -> None:
        for name in dict.fromkeys(one.label for one in reversed(self._clips.used())):
            if name not in self._names.values() and name != NONE:
                self._names[self._free_id(name)] = name

    def _free_id(self, name: str) -> str:
        base = slug(name)
        number, label_id = 1, base
        while label_id in self._names or label_id == NONE:
            number += 1
            label_id = f"{base}-{number}"
        return label_id

    def _write(self) -> None:
        write_json(self._file, {"labels": self._names})
