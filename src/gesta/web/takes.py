"""Open recordings: parts are on disk before they are acknowledged, and become a clip, or several for one of nothing.

A recording is stored in `.studio/takes/<id>/` until its video and rows are written; if the server is killed in between,
the next start finishes it.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from threading import RLock

from pydantic import BaseModel, ValidationError

from gesta.files import write_whole
from gesta.web.clips import Clips, is_none
from gesta.web.folder import Folder
from gesta.web.messages import FinishBody, Take, TakeBody
from gesta.web.parts import SUFFIX, TICK, Frame, read_part, usable_frames, write_video
from gesta.web.records import Record, new_id, now
from gesta.web.refuse import Refuse, missing

ABANDONED_S = 60.0
LEAST_S = 0.5
"""Minimum length for an unfinished recording to be kept."""
LEAST_FRAMES = 4
CLOSED = {
    "page": "The page was closed during this recording",
    "camera": "The camera was disconnected during this recording",
}
_PART = re.compile(r"part_(\d{4})\.bin")


class Open(BaseModel):
    """Metadata of a recording, without its parts. `home`: where its video goes, once decided."""

    take: str
    label: str
    subject: str
    span_s: float
    width: int
    height: int
    made: float
    home: str = ""
    lost: int = 0
    closed: str = ""


class Takes:
    """Opens, fills and finishes recordings. All methods are thread-safe."""

    def __init__(self, folder: Folder, clips: Clips, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clips, self._clock = folder, clips, clock
        self._lock = RLock()
        self._seen: dict[str, float] = {}
        self._known_ends: dict[tuple[str, int], tuple[int, int, int]] = {}
        for take in self._all():
            self._seen[take.take] = clock()
            if take.home:  # it was being finished when the server was killed
                self._finished(take)

    def open(self, body: TakeBody, label: str) -> Take:
        """Opens a recording. Raises Refuse 429 if too many are open, 507 if the disk is full."""
        self._folder.need_space()
        with self._lock:
            self.close_abandoned()
            if len(self._all()) >= self._folder.limits.open_takes:
                raise Refuse(429, "Four recordings are open already.", "at most 4", "Finish or drop one of them.")
            known = body.model_dump(include={"subject", "span_s", "width", "height"})
            take = Open(take=new_id(), label=label, made=now(), **known)
            self._save(take)
            self._seen[take.take] = self._clock()
        return self._shown(take)

    def get(self, take_id: str) -> Take:
        return self._shown(self._read(take_id))

    def listed(self) -> list[Take]:
        with self._lock:  # one being opened would look like one that was killed
            return [self._shown(take) for take in self._all()]

    def put(self, take_id: str, number: int, data: bytes) -> Take:
        """Stores a part, on disk when this returns; repeating a part changes nothing. Raises Refuse."""
        take = self._read(take_id)
        limits = self._folder.limits
        if not 0 <= number < limits.take_parts:
            raise Refuse(422, f"There is no part {number}.", f"0 to {limits.take_parts - 1}", field="n")
        frames = read_part(data, (take.width, take.height), limits)
        path = self._place(take_id) / f"part_{number:04d}.bin"
        with self._lock:
            self._read(take_id)  # it may have been finished meanwhile
            self._seen[take_id] = self._clock()
            if path.is_file():
                if path.read_bytes() != data:
                    raise Refuse(409, f"Part {number} already exists with other frames.", field="n")
                return self._shown(take)
            self._check_order(take_id, number, frames)
            try:
                write_whole(path, data)
            except OSError as error:
                hint = "Free some space; the page keeps the part and sends it again."
                raise Refuse(507, f"The part cannot be written ({error.strerror}).", hint=hint) from error
        return self._shown(take)

    def finish(self, take_id: str, body: FinishBody) -> list[Record]:
        """Finishes a recording and returns its clips. Raises Refuse 409 for missing parts, 422 if it is too short."""
        with self._lock:
            take = self._read(take_id)
            there = self._numbers(take_id)
            absent = sorted(set(range(body.parts)) - set(there))
            if absent or len(there) > body.parts:
                raise Refuse(409, f"Parts {absent[:5]} are missing.", f"{body.parts} parts", "Send them, then finish.")
            if len(usable_frames(self._parts(take_id))) < LEAST_FRAMES:
                self.drop(take_id)
                raise Refuse(422, "Too few frames arrived.", f"at least {LEAST_FRAMES}", "Record it again.", "parts")
            take = take.model_copy(update={"lost": body.lost, "closed": CLOSED.get(body.reason, "")})
            return self._finished(take)

    def drop(self, take_id: str) -> None:
        """Discards a recording completely."""
        with self._lock:
            self._read(take_id)
            self._forget(take_id)

    def close_abandoned(self) -> list[Record]:
        """Closes recordings without a new part for a minute: makes clips if they are long enough, else drops them."""
        found = []
        with self._lock:
            for take in self._all():
                if self._clock() - self._seen.setdefault(take.take, self._clock()) < ABANDONED_S:
                    continue
                frames = usable_frames(self._parts(take.take))
                if len(frames) < LEAST_FRAMES or _seconds(frames) < LEAST_S:
                    self.drop(take.take)
                else:
                    found += self._finished(take.model_copy(update={"closed": CLOSED["page"]}))
        return found

    def _finished(self, take: Open) -> list[Record]:
        """Writes the video, then the rows, then deletes the parts. Repeated after a crash, it gives the same clips."""
        frames = usable_frames(self._parts(take.take))
        if not take.home:
            home = self._clips.new_path(take.label, take.subject, SUFFIX)
            take = take.model_copy(update={"home": home.relative_to(self._folder.root).as_posix()})
        try:
            self._save(take)
            path = self._folder.root / take.home
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, frames, (take.width, take.height))
        except OSError as error:
            hint = "Free some space, then finish again: its parts are kept."
            raise Refuse(507, f"The video cannot be written ({error.strerror}).", hint=hint) from error
        made = [one for one in self._clips.all() if one.path == take.home] or self._records(take, frames)
        self._clips.add(made)
        self._forget(take.take)
        return made

    def _records(self, take: Open, frames: Sequence[Frame]) -> list[Record]:
        seconds = _seconds(frames)
        step_s = seconds / (len(frames) - 1) if len(frames) > 1 else 0.0
        file_s = round(seconds + step_s, 3)
        facts = {
            **take.model_dump(include={"label", "subject", "made", "lost", "closed", "width", "height"}),
            "path": take.home,
            "changed": take.made,
            "file_s": file_s,
            "frames": len(frames),
            "fps": 1 / step_s if step_s else 0.0,
        }
        spans = cut(file_s, take.span_s) if is_none(take.label) else [(None, None)]
        return [
            Record.model_validate({"id": new_id(), **facts, "start_s": start_s, "end_s": end_s})
            for start_s, end_s in spans
        ]

    def _check_order(self, take_id: str, number: int, frames: Sequence[Frame]) -> None:
        """Checks that times increase from part to part, in whatever order parts arrive. Raises Refuse 422."""
        limits, first_us, last_us = self._folder.limits, frames[0].captured_us, frames[-1].captured_us
        for other in self._numbers(take_id):
            ends = self._ends(take_id, other)
            if (other < number and ends[1] >= first_us) or (other > number and ends[0] <= last_us):
                raise Refuse(
                    422, f"The times of parts {other} and {number} overlap.", "increasing times", field="captured"
                )
            if max(last_us, ends[1]) - min(first_us, ends[0]) > limits.take_s * 1e6:
                raise Refuse(422, "The recording is too long.", f"at most {limits.take_s:g} s", field="captured")

    def _ends(self, take_id: str, number: int) -> tuple[int, int, int]:
        """First and last time of a part, and its number of frames."""
        key = take_id, number
        if key not in self._known_ends:
            frames = self._part(take_id, number)
            self._known_ends[key] = frames[0].captured_us, frames[-1].captured_us, len(frames)
        return self._known_ends[key]

    def _part(self, take_id: str, number: int) -> list[Frame]:
        take, data = self._read(take_id), (self._place(take_id) / f"part_{number:04d}.bin").read_bytes()
        return read_part(data, (take.width, take.height), self._folder.limits)

    def _parts(self, take_id: str) -> list[list[Frame]]:
        return [self._part(take_id, number) for number in self._numbers(take_id)]

    def _numbers(self, take_id: str) -> list[int]:
        names = (path.name for path in self._place(take_id).iterdir())
        return sorted(int(found[1]) for name in names if (found := _PART.fullmatch(name)))

    def _place(self, take_id: str) -> Path:
        return self._folder.place("takes") / take_id

    def _save(self, take: Open) -> None:
        write_whole(self._place(take.take) / "take.json", take.model_dump_json())

    def _read(self, take_id: str) -> Open:
        try:
            if not re.fullmatch(r"[0-9a-f]{12}", take_id):
                raise ValueError(take_id)
            return Open.model_validate(json.loads((self._place(take_id) / "take.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise missing("recording", take_id) from error

    def _all(self) -> list[Open]:
        found = []
        for path in sorted(self._folder.place("takes").iterdir()):
            try:
                found.append(self._read(path.name))
            except Refuse:
                shutil.rmtree(path, ignore_errors=True)  # killed before it began
        return found

    def _shown(self, take: Open) -> Take:
        numbers = self._numbers(take.take)
        ends = [self._ends(take.take, number) for number in numbers]
        seconds = (ends[-1][1] - ends[0][0]) / 1e6 if ends else 0.0
        return Take(
            take=take.take,
            label=take.label,
            subject=take.subject,
            parts=numbers,
            frames=sum(end[2] for end in ends),
            seconds=seconds,
        )

    def _forget(self, take_id: str) -> None:
        shutil.rmtree(self._place(take_id), ignore_errors=True)
        self._seen.pop(take_id, None)
        self._known_ends = {key: ends for key, ends in self._known_ends.items() if key[0] != take_id}


def cut(file_s: float, span_s: float) -> list[tuple[float, float]]:
    """Consecutive spans of `span_s` seconds; the remainder is kept if it is at least half a span."""
    count = max(1, int(file_s / span_s + 0.5))
    edges = [min(round(number * span_s, 3), file_s) for number in range(count + 1)]
    return list(pairwise(edges))


def _seconds(frames: Sequence[Frame]) -> float:
    return float((frames[-1].captured_us - frames[0].captured_us) * TICK) if frames else 0.0
