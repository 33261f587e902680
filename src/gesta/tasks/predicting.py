"""`gesta predict` for classification tasks: one answer per sample, or one per step of a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesta.decoder import GestureEvent
from gesta.schema import GestaError, Prediction, Sample
from gesta.sources.inputs import find, lost, whole_recordings, with_files
from gesta.tasks.base import Said, Wanted
from gesta.tasks.events_text import event_document
from gesta.words import in_english

SHOWN = 3
"""Number of classes in a line of text."""
VIDEO = ".mp4"


@dataclass(frozen=True)
class Item:
    """One thing to predict, and its name in the output: the input as given, or for a folder the file."""

    input: str
    sample: Sample


Answers = Callable[[Sequence[Item], list[str]], Iterator[tuple[Item, Prediction]]]
Follow = Callable[[Sample], Iterator[Prediction]]
Annotate = Callable[[Sample, Path], Iterator[Prediction]]


def predictions(
    wanted: Wanted, failed: list[str], answers: Answers, follow: Follow, annotate: Annotate
) -> Iterator[Said]:
    """Yields the predictions of each input; failures are added to `failed`, and the rest continue.

    `answers` predicts samples, `follow` a recording as a stream; `annotate` also draws it. Raises GestaError (usage).
    """
    items = list(_items(wanted, failed))
    places = _places(wanted, items)
    if wanted.stream:
        yield from _streamed(items, lambda s: annotate(s, places[s.files]) if places else follow(s), failed)
    else:
        yield from (said(item, found) for item, found in answers(items, failed))
        for sample in whole_recordings(item.sample for item in items) if places else ():
            _drawn(annotate(sample, places[sample.files]), failed)
    for place in places.values():
        if place.exists():
            yield Said(None, f"Wrote {place}")


def spotted(wanted: Wanted, failed: list[str], events: Callable[[Sample], Iterable[GestureEvent]]) -> Iterator[Said]:
    """Yields the events of each recording, each as soon as it is detected."""
    for item in whole_items(wanted, failed):
        yield Said(None, item.input, heading=True)
        try:
            for event in events(item.sample):
                yield Said({"input": item.input, **event_document(event)}, event.line)
        except GestaError as error:
            failed.append(str(error))


def whole_items(wanted: Wanted, failed: list[str]) -> Iterator[Item]:
    """Yields each recording once, from its first frame to its last."""
    known: set[str] = set()
    for item in _items(wanted, failed):
        if item.sample.recording not in known:
            known.add(item.sample.recording)
            yield Item(item.input, whole_recordings([item.sample])[0])


def _items(wanted: Wanted, failed: list[str]) -> Iterator[Item]:
    for path in wanted.inputs:
        try:
            beside = (wanted.options.get("skeleton"), wanted.options.get("depth"))
            listing = with_files(find(path, wanted.layout), *beside)
        except GestaError as error:
            if error.usage:
                raise
            failed.append(str(error))
            continue
        failed += lost(listing)
        whole = whole_recordings(listing.samples)
        for sample in whole if wanted.stream else listing.samples:
            yield Item(str(path if len(whole) == 1 else sample.files[0].path), sample)


def _places(wanted: Wanted, items: Sequence[Item]) -> dict[Any, Path]:
    """Returns a recording's files -> path of its annotated video: a single video, or one per recording in a folder."""
    out = wanted.annotate
    if out is None:
        return {}
    recordings = list({item.sample.files: item.sample for item in items}.values())
    if out.suffix.lower() == VIDEO:
        if len(recordings) > 1:
            raise GestaError(
                f"--annotate {out}: is one video file, but there are {len(recordings)} recordings. Give a folder.",
                usage=True,
            )
        return {sample.files: out for sample in recordings}
    if out.suffix and not out.is_dir():
        raise GestaError(
            f"--annotate {out}: expected a name that ends in {VIDEO}, or a folder of videos, without a dot.", usage=True
        )
    stems = [sample.files[0].path.stem for sample in recordings]
    names = [stem if stems.count(stem) == 1 else f"{stem}-{n}" for n, stem in enumerate(stems, start=1)]
    return {s.files: out / f"{name}{VIDEO}" for s, name in zip(recordings, names, strict=True)}


def _streamed(items: Sequence[Item], follow: Follow, failed: list[str]) -> Iterator[Said]:
    for item in items:
        yield Said(None, item.input, heading=True)
        try:
            for found in follow(item.sample):
                label = in_english(found.label, found.probabilities)
                yield Said(_document(item, found), f"{found.time_s or 0.0:9.2f} s  {found.confidence:.2f}  {label}")
        except GestaError as error:
            if error.usage:
                raise
            failed.append(str(error) if item.input in str(error) else f"{item.input}: {error}")


def _drawn(drawing: Iterable[Prediction], failed: list[str]) -> None:
    try:
        for _ in drawing:
            pass
    except GestaError as error:
        failed.append(str(error))


def said(item: Item, found: Prediction) -> Said:
    """Formats a prediction for --json and as text with its most probable classes."""
    return Said(_document(item, found), _clip_line(item, found))


def _document(item: Item, found: Prediction) -> dict[str, object]:
    document: dict[str, object] = {"input": item.input, "sample": item.sample.id, "label": found.label}
    if found.time_s is not None:
        document["time_s"] = round(found.time_s, 3)
    if item.sample.label is not None:
        document["truth"] = item.sample.label
    document["probabilities"] = {label: round(p, 6) for label, p in found.probabilities.items()}
    if found.notes:
        document["notes"] = list(found.notes)
    return document


def _clip_line(item: Item, found: Prediction) -> str:
    whole = item.sample.id == item.sample.recording
    name = item.input if whole else f"{item.input} [{item.sample.id}]"
    return f"{name}  " + ", ".join(f"{in_english(label, found.probabilities)} {p:.2f}" for label, p in found.top(SHOWN))
