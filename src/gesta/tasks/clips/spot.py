"""Events of a continuous recognizer: decoding from chunk probabilities, and evaluation. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.sampling import feed
from gesta.clips.strips import video_strip
from gesta.clips.transform import Transform
from gesta.decoder import GestureEvent
from gesta.decoding import DecoderSpec, as_measured, decode
from gesta.engines.base import Engine
from gesta.metrics_events import match
from gesta.schema import Problem, Sample
from gesta.tasks import classification
from gesta.tasks.base import Bar, Evaluation
from gesta.tasks.classification import softmax
from gesta.tasks.clips.passages import Passage, is_none, passages
from gesta.tasks.clips.report import film_strips
from gesta.tasks.events import Seen, measures
from gesta.tasks.events_report import Strips

TEST_SEED = 104_729
"""Seed of generated rests for evaluation, different from those in training and validation."""


@dataclass(frozen=True)
class Following:
    """The parts of a manifest that are needed to decode events from chunks."""

    labels: tuple[str, ...]
    transform: Transform
    decoder: DecoderSpec

    @property
    def half_s(self) -> float:
        """Half a chunk in seconds: a prediction refers to the middle of its chunk."""
        return self.transform.chunk / self.transform.fps / 2


def following(manifest: Any) -> Following:
    """Extracts it from a clip manifest with a decoder."""
    return Following(manifest.labels, manifest.transform, manifest.decoder)


def chunk_probabilities(engine: Engine, chunk: int, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Returns class probabilities after every chunk [K, N], from whole preprocessed chunks, as in a stream."""
    state, rows = engine.start(1), []
    for at in range(0, len(pixels), chunk):
        found, state = engine.step(feed([pixels[at : at + chunk]], chunk, "chunk")[0], state)
        rows.append(softmax(found["logits"])[0])
    return np.array(rows, np.float64).reshape(len(rows), -1)


def events(probabilities: NDArray[np.float64], ends_s: NDArray[np.float64], what: Following) -> list[GestureEvent]:
    """Decodes the events of a whole recording from its chunks' probabilities [K, N] and end times [K]."""
    return decode(what.decoder, what.labels, ends_s, probabilities, what.half_s)


def seen(passage: Passage, probabilities: NDArray[np.float64], what: Following) -> Seen:
    """Returns a passage with its decoded events. Frames are the network's; those of a chunk share a prediction."""
    fps, classes = what.transform.fps, passage.classes(what.labels, what.transform.fps)
    answers = np.repeat(probabilities.argmax(axis=1), what.transform.chunk)
    found = tuple(as_measured(event) for event in events(probabilities, passage.ends_s, what))
    return Seen(passage.id, fps, len(classes), int((answers == classes).sum()), passage.truth, found)


def measured(recordings: Sequence[Passage], rows: Sequence[NDArray[np.float64]], what: Following) -> dict[str, Any]:
    """Computes `measures` of passages from chunk probabilities; `accuracy`: correct among all true and false events."""
    return _measures([seen(p, row, what) for p, row in zip(recordings, rows, strict=True)])


def _measures(shown: Sequence[Seen]) -> dict[str, Any]:
    found = [match(one.truth, one.spotted) for one in shown]
    right, false = sum(len(one.right) for one in found), sum(len(one.false) for one in found)
    events_in_all = sum(len(one.truth) for one in shown) + false
    return {"accuracy": right / events_in_all if events_in_all else 1.0, **measures(shown)}


def outputs(recognizer: Any, samples: Sequence[Sample], bar: Bar) -> tuple[list[Passage], NDArray[Any], list[Problem]]:
    """Returns (passages of the samples, probabilities [K, N] of each, what could not be read)."""
    manifest = recognizer.manifest
    seed = manifest.provenance.seed + TEST_SEED

    def progress(done: int, total: int) -> None:
        bar("Joining clips", done, total)

    found, problems = passages(samples, manifest.transform, seed, progress, shuffled=recognizer.shuffled)
    return found, _rows(recognizer, found), problems


def _rows(recognizer: Any, recordings: Sequence[Passage]) -> NDArray[Any]:
    rows = np.empty(len(recordings), object)
    chunk = recognizer.manifest.transform.chunk
    rows[:] = [chunk_probabilities(recognizer.engine, chunk, p.pixels) for p in recordings]
    return rows


def evaluation(recognizer: Any, recordings: Sequence[Passage], rows: NDArray[Any]) -> Evaluation:
    """Evaluates the probabilities; `facts["seen"]` contains each passage's events."""
    what = following(recognizer.manifest)
    shown = [seen(p, row, what) for p, row in zip(recordings, rows, strict=True)]
    truth = np.empty(len(recordings), object)
    truth[:] = [p.classes(what.labels, what.transform.fps) for p in recordings]
    metrics = {**_measures(shown), "notes": []}
    facts = {"seen": shown, "strips": _strips(recordings, what.transform)}
    return Evaluation(metrics, tuple(recordings), rows, truth, recognizer.manifest, facts)


def _strips(recordings: Sequence[Passage], transform: Transform) -> Strips:
    """Returns film strips of stretches of the recordings: the videos and, below them, what the network sees."""
    known = {passage.id: passage for passage in recordings}

    def strips(name: str, start_s: float, end_s: float) -> list[tuple[str, str]]:
        passage = known[name]
        times = passage.times(transform.fps)
        seen = passage.pixels[(times >= start_s) & (times < end_s)]
        return _videos(passage, start_s, end_s) + film_strips(seen, transform)

    return strips


def _videos(passage: Passage, start_s: float, end_s: float) -> list[tuple[str, str]]:
    """Returns a film strip for each video in the stretch; generated rests between joined clips have none."""
    found = []
    for sample, first, last in passage.sources:
        start, end = max(start_s, first) - first, min(end_s, last) - first
        if end > start and (sample.color or sample.depth) is not None:
            name = "" if sample.id == passage.id else f" {sample.id}"
            begin = sample.start_s or 0.0
            part = replace(sample, start_s=begin + start, end_s=begin + end)
            found += [(f"{caption}{name}", uri) for caption, uri in video_strip(part)]
    return found


def labeled(samples: Sequence[Sample], manifest: Any) -> list[Sample]:
    """Returns samples with a gesture of the model or none. Raises GestaError as `classification.labeled` does."""
    return classification.labeled([s for s in samples if not is_none(s.label)], manifest) + [
        s for s in samples if is_none(s.label)
    ]
