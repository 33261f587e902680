"""Compares files of recognized events with a file of true ones, in the format of SHREC 2022 (Emporio et al. 2022).

Truth: `id;LABEL;first;last;...`, one line per sequence; results: `id;LABEL;first;last;last frame used;...`, or without
the last frame used. Frame numbers are those of the files: the length of an event is last - first.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gesta.metrics_events import (
    Event,
    ShrecRates,
    edit_error,
    f1_at_overlaps,
    mean_jaccard,
    percentiles,
    shrec_rates,
)
from gesta.schema import GestaError
from gesta.untrusted import is_number
from gesta.words import counted

LAST_FRAME = 10_000_000
"""Four days at 30 frames/s: a larger number cannot be a frame number."""
NAMED = 5
"""Maximum number of ids or labels that a note lists."""


@dataclass(frozen=True)
class EventFile:
    """A file's sequences in order, each a list of events, and notes on oddities."""

    path: Path
    sequences: dict[str, list[Event]]
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> set[str]:
        return {str(event.label) for events in self.sequences.values() for event in events}


@dataclass(frozen=True)
class Compared:
    """Metrics of one file of results, or why it could not be measured (`error`)."""

    path: Path
    notes: list[str]
    error: str | None = None
    rates: ShrecRates | None = None
    edit_error: float = math.nan
    f1: dict[float, float] = field(default_factory=dict)
    frame_jaccard: float = math.nan
    delay_percentiles: tuple[float, ...] | None = None

    def document(self) -> dict[str, Any]:
        """As shown by `--json`. Delays are in frames, from a correct result's first frame to the last one used."""
        if self.rates is None:
            return {"file": str(self.path), "error": self.error}
        p50, p95 = self.delay_percentiles or (None, None)
        return {
            "file": str(self.path),
            "detection_rate": self.rates.detection_rate,
            "false_positive_rate": self.rates.false_positive_rate,
            "jaccard_index": self.rates.jaccard_index,
            "delay_frames": self.rates.delay,
            "delay_p50_frames": p50,
            "delay_p95_frames": p95,
            "edit_error": self.edit_error,
            "mean_frame_jaccard": self.frame_jaccard,
            **{f"f1_at_{overlap:.0%}".removesuffix("%"): value for overlap, value in self.f1.items()},
            "classes": {
                str(label): {"true": counts.true, "right": counts.right, "false": counts.false}
                for label, counts in self.rates.by_class.items()
            },
            "notes": self.notes,
        }


def compare(truth: EventFile, results: Sequence[Path]) -> list[Compared]:
    """Metrics of each file, in the order given. A file that cannot be read has an `error` instead."""
    compared = []
    for path in results:
        try:
            compared.append(measure(truth, read_events(path)))
        except GestaError as error:
            compared.append(Compared(path, [], str(error)))
    return compared


def measure(truth: EventFile, file: EventFile) -> Compared:
    """Compares one file of results with the truth. A sequence that it lacks counts as one without results.

    Raises GestaError if it has none of the ground truth's sequences.
    """
    if not file.sequences.keys() & truth.sequences.keys():
        raise GestaError(
            f"{file.path}: contains none of the sequences of the ground truth; its ids are "
            f"{', '.join(list(file.sequences)[:NAMED])}, "
            f"those of {truth.path.name} are {', '.join(list(truth.sequences)[:NAMED])}. Is it from another data set?"
        )
    true = list(truth.sequences.values())
    predicted = [file.sequences.get(name, []) for name in truth.sequences]
    index = {label: number for number, label in enumerate(sorted(truth.labels | file.labels))}
    frames = [int(max((e.end for e in [*t, *p]), default=0)) + 1 for t, p in zip(true, predicted, strict=True)]
    rates = shrec_rates(true, predicted)
    return Compared(
        file.path,
        [*file.notes, *_differences(truth, file)],
        rates=rates,
        edit_error=edit_error(true, predicted),
        f1=f1_at_overlaps(true, predicted),
        frame_jaccard=mean_jaccard(_spans(true, index), _spans(predicted, index), frames),
        delay_percentiles=percentiles([delay for counts in rates.by_class.values() for delay in counts.delays]),
    )


def read_truth(path: Path) -> EventFile:
    """The true events. Raises GestaError as `read_events` does, for a reversed event, and if there are no events."""
    file = read_events(path)
    for name, events in file.sequences.items():
        wrong = next((event for event in events if event.end < event.start), None)
        if wrong is not None:
            raise GestaError(
                f"{path}: sequence {name}: {_words(wrong)} is reversed. The first frame must not be after the last: "
                "correct it."
            )
    if not file.labels:
        raise GestaError(f"{path}: contains no events. The ground truth needs lines `id;LABEL;first;last;...`.")
    return file


def read_events(path: Path) -> EventFile:
    """The events of a file. Empty lines, CRLF, spaces around values and `;` at a line's end are accepted.

    Raises GestaError if the file is missing, not text or empty, or a line has a different format.
    """
    sequences: dict[str, list[Event]] = {}
    repeated = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        cells = [cell.strip() for cell in line.split(";")]
        while cells and not cells[-1]:
            cells.pop()
        if not cells:
            continue
        if not cells[0]:
            raise GestaError(
                f"{path}: line {number} begins without the sequence's id. Expected `id;LABEL;first;last;...`."
            )
        if len(cells) == 1 and re.search("[,\t|]", cells[0]):
            raise GestaError(f"{path}: line {number} has no `;`. Expected `id;LABEL;first;last;...`.")
        name = cells[0].lstrip("0") or cells[0]
        if name in sequences:
            repeated.append(name)
        sequences.setdefault(name, []).extend(_events(cells[1:], f"{path}: line {number}"))
    if not sequences:
        raise GestaError(f"{path}: is empty. Expected a line `id;LABEL;first;last;...` for each sequence.")
    return EventFile(path, sequences, _oddities(sequences, repeated))


def markdown(compared: Sequence[Compared]) -> str:
    """A Markdown table of the files that could be measured, largest Jaccard index first."""
    heads = ("file", "detection rate", "false positive rate", "Jaccard index", "delay (frames)", "edit error")
    lines = [
        "| " + " | ".join([*heads, "F1 at 10 / 25 / 50 %", "frame Jaccard"]) + " |",
        "|" + "---|" * (len(heads) + 2),
    ]
    measured = [(one, one.rates) for one in compared if one.rates is not None]
    for one, rates in sorted(measured, key=lambda pair: -pair[1].jaccard_index):
        delay = "-" if rates.delay is None else f"{rates.delay:.1f}"
        shares = f"{rates.detection_rate:.3f} | {rates.false_positive_rate:.3f} | {rates.jaccard_index:.3f}"
        f1 = " / ".join(f"{value:.3f}" for value in one.f1.values())
        lines.append(
            f"| {one.path.name} | {shares} | {delay} | {one.edit_error:.3f} | {f1} | {one.frame_jaccard:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _text(path: Path) -> str:
    if not path.is_file():
        fault = "is not a file" if path.exists() else "no such file"
        raise GestaError(f"{path}: {fault}. Give a text file with a line `id;LABEL;first;last;...` for each sequence.")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GestaError(
            f"{path}: is not UTF-8 text. Expected a line `id;LABEL;first;last;...` for each sequence."
        ) from error


def _events(cells: list[str], place: str) -> list[Event]:
    """Parses the cells after the id: LABEL, first, last and, optionally, last frame used of each event."""
    for size in (4, 3):
        groups = [cells[i : i + size] for i in range(0, len(cells), size)]
        if all(len(group) == size and not is_number(group[0]) for group in groups):
            return [_event(group, place) for group in groups]
    raise GestaError(
        f"{place} has an unexpected format (`{';'.join(cells)[:60]}` after the id). "
        "Expected `id;LABEL;first;last;...` or `id;LABEL;first;last;last frame used;...`."
    )


def _event(group: list[str], place: str) -> Event:
    label, *texts = group
    if not label:
        raise GestaError(f"{place}: an event has no label. Expected `id;LABEL;first;last;...`.")
    numbers = [_frame(text) for text in texts]
    for text, number in zip(texts, numbers, strict=True):
        if number is None:
            raise GestaError(f"{place}: {label} has {text!r} where a frame number is expected.")
    return Event(unicodedata.normalize("NFC", label), *numbers)  # type: ignore[arg-type]


def _frame(text: str) -> float | None:
    """A frame number, or None if it is not a number, not finite or out of range."""
    number = float(text) if is_number(text) else math.nan
    return number if abs(number) <= LAST_FRAME else None


def _oddities(sequences: dict[str, list[Event]], repeated: list[str]) -> list[str]:
    """Oddities in a file by itself: reported, but it is still measured."""
    notes = []
    if repeated:
        notes.append(f"{_names('sequence', repeated)} on several lines: merged")
    every = [(name, event) for name, events in sequences.items() for event in events]
    reversed_ones = [(name, event) for name, event in every if event.end < event.start]
    if reversed_ones:
        notes.append(f"{_first('reversed', reversed_ones)}: counted as false")
    overlapping = []
    for name, events in sequences.items():
        ordered = sorted((e for e in events if e.start <= e.end), key=lambda e: e.start)
        overlapping += [(name, after) for before, after in pairwise(ordered) if after.start < before.end]
    if overlapping:
        notes.append(_first("overlapping the one before", overlapping))
    early = [(name, event) for name, event in every if event.decided is not None and event.decided < event.start]
    if early:
        notes.append(f"{_first('decided before its first frame', early)}: its delay is negative")
    return notes


def _differences(truth: EventFile, file: EventFile) -> list[str]:
    """What a file has and the truth lacks, and vice versa."""
    notes = []
    unknown = [name for name in file.sequences if name not in truth.sequences]
    if unknown:
        notes.append(f"{_names('sequence', unknown)} not in the ground truth: skipped")
    missing = [name for name in truth.sequences if name not in file.sequences]
    if missing:
        notes.append(f"{_names('sequence', missing)} missing: every gesture there counts as not found")
    seen = Counter(str(e.label) for name in truth.sequences for e in file.sequences.get(name, []))
    strange = sorted(set(seen) - truth.labels)
    if strange:
        notes.append(
            f"{_names('label', strange)} not in the ground truth ({counted(sum(seen[s] for s in strange), 'event')}): "
            "counted in the edit error and F1 only"
        )
    return notes


def _names(what: str, names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:NAMED])}{more}"


def _first(what: str, events: list[tuple[str, Event]]) -> str:
    name, event = events[0]
    count = "1 event is" if len(events) == 1 else f"{len(events)} events are"
    return f"{count} {what} (sequence {name}: {_words(event)})"


def _words(event: Event) -> str:
    return f"{event.label} {event.start:g} to {event.end:g}"


def _spans(recordings: Sequence[Sequence[Event]], index: dict[str, int]) -> list[list[tuple[int, int, int]]]:
    return [[(index[str(e.label)], round(e.start), round(e.end)) for e in events] for events in recordings]
