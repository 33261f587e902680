"""Continuous recordings for training and evaluating continuous recognizers: pixels and labeled events.

Recordings with labels for stretches of them are used whole; single clips are joined to recordings of one person each,
with generated rests in between (gesta.clips.joining), and preprocessed as in a stream. Clips labeled NONE serve as
other motion within those rests. No torch.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.clips.decode import header_times
from gesta.clips.joining import Part, Span, joined
from gesta.clips.plane import RawFrame
from gesta.clips.preprocess import Preprocessor, raw_frames, unreadable
from gesta.clips.read import inside
from gesta.clips.transform import Transform
from gesta.decoding import DecoderSpec
from gesta.metrics_events import Event
from gesta.schema import GestaError, Problem, Sample
from gesta.sources.inputs import whole_recordings
from gesta.sources.recordings import NONE as NONE_LABELS
from gesta.threads import Threads

NONE = DecoderSpec().none
CLIPS_EACH = 8
"""Maximum number of gestures in a joined recording."""
ENOUGH_CLIPS = 160
"""Fewer clips are joined repeatedly in different orders, to about this total number."""
MOST_ROUNDS = 4
OTHER_S = (1.0, 4.0)
"""Duration of the stretch taken from a no-gesture clip: half a minute of nothing must not outweigh the gestures."""
WORKERS = 2


@dataclass(frozen=True)
class Passage:
    """A continuous recording as the network sees it: whole chunks of `pixels` (T S H W C, or T J D), the end time of
    each chunk [K], and the events in it, in seconds. `sources`: the recording, or the clips that were joined."""

    id: str
    pixels: NDArray[Any]
    ends_s: NDArray[np.float64]
    truth: tuple[Event, ...]
    sources: tuple[Span, ...] = ()

    def times(self, fps: float) -> NDArray[np.float64]:
        """Returns the middle of every frame in seconds, [T]."""
        chunk = len(self.pixels) // max(len(self.ends_s), 1)
        before = (np.arange(chunk)[::-1] + 0.5) / fps
        return (self.ends_s[:, None] - before).ravel()

    def classes(self, labels: Sequence[str], fps: float) -> NDArray[np.int64]:
        """Returns the class of every frame, [T]."""
        middle = self.times(fps)
        found = np.full(len(middle), labels.index(NONE), np.int64)
        for event in self.truth:
            if event.label in labels:
                found[(middle >= event.start) & (middle < event.end)] = labels.index(str(event.label))
        return found


def is_none(label: str | None) -> bool:
    """Returns whether a label means that there is no gesture."""
    return label is not None and label.lower() in NONE_LABELS


def gestures(samples: Iterable[Sample]) -> list[str]:
    """Returns the gesture labels among the samples, in order."""
    return sorted({str(s.label) for s in samples if s.label is not None and not is_none(s.label)})


def classes_of(samples: Iterable[Sample], continuous: bool) -> tuple[str, ...]:
    """Returns the classes of training samples, in order; for continuous recognizers, NONE and the gestures."""
    train = [s for s in samples if s.split == "train" and s.label is not None]
    return tuple(sorted({NONE, *gestures(train)} if continuous else {str(s.label) for s in train}))


def passages(
    samples: Sequence[Sample],
    transform: Transform,
    seed: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    shuffled: bool = False,
) -> tuple[list[Passage], list[Problem]]:
    """Returns all samples as passages, and what could not be read. The same arguments give the same passages.

    `shuffled`: the frames of every gesture in random order, with the time stamps in the original order.
    """
    spanned, single = _sorted(samples)
    plans = _plans(single, np.random.default_rng(seed))
    problems: list[Problem] = []

    def make(number: int) -> Passage | None:
        rng = np.random.default_rng([seed, number])
        try:
            if number < len(spanned):
                return _whole(spanned[number], transform, rng if shuffled else None)
            return _joined(plans[number - len(spanned)], f"joined {number + 1}", transform, rng, problems, shuffled)
        except GestaError as error:
            problems.append(unreadable(spanned[number][0], error))
            return None

    total, found = len(spanned) + len(plans), []
    with Threads(WORKERS) as pool:
        for done, passage in enumerate(pool.map(make, range(total)), start=1):
            progress(done, total)
            if passage is not None and len(passage.ends_s):
                found.append(passage)
    return found, list(dict.fromkeys(problems))


def _sorted(samples: Sequence[Sample]) -> tuple[list[list[Sample]], list[Sample]]:
    """Returns (samples of each recording with labels for stretches of it, clips that are a recording each)."""
    spanned: dict[str, list[Sample]] = defaultdict(list)
    single = []
    for sample in samples:
        if sample.first_frame is None and sample.start_s is None and sample.end_s is None:
            single.append(sample)
        else:
            spanned[sample.recording].append(sample)
    return list(spanned.values()), single


def _plans(single: Sequence[Sample], rng: np.random.Generator) -> list[list[Sample]]:
    """Returns which clips to join, in order: those of one person, with every clip once per round."""
    people: dict[str | None, list[Sample]] = defaultdict(list)
    others: dict[str | None, list[Sample]] = defaultdict(list)
    for sample in single:
        (others if is_none(sample.label) else people)[sample.subject].append(sample)
    count = sum(map(len, people.values()))
    rounds = min(MOST_ROUNDS, max(1, round(ENOUGH_CLIPS / max(count, 1))))
    plans = []
    for _ in range(rounds):
        for person, clips in people.items():
            order = [clips[int(i)] for i in rng.permutation(len(clips))]
            for part in np.array_split(np.arange(len(order)), -(-len(order) // CLIPS_EACH)):
                plans.append(_with_others([order[int(i)] for i in part], others.get(person) or others.get(None), rng))
    return plans


def _with_others(clips: list[Sample], others: Sequence[Sample] | None, rng: np.random.Generator) -> list[Sample]:
    """Inserts no-gesture clips, if there are any, before about half of the clips."""
    found = []
    for clip in clips:
        if others and rng.random() < 0.5:
            found.append(others[int(rng.integers(len(others)))])
        found.append(clip)
    return found


def _joined(
    clips: Sequence[Sample],
    name: str,
    transform: Transform,
    rng: np.random.Generator,
    problems: list[Problem],
    shuffled: bool,
) -> Passage:
    def frames_of(sample: Sample) -> list[RawFrame]:
        try:
            found = list(_frames(sample, transform))
        except GestaError as error:
            problems.append(unreadable(sample, error))
            return []
        return _shuffled(found, rng) if shuffled else found

    def part_of(sample: Sample) -> Part:
        try:
            cut = _stretch(sample, transform, rng) if is_none(sample.label) else sample
        except GestaError:
            cut = sample  # reading its frames tells what is wrong
        return Part(cut, lambda: frames_of(cut))

    parts = [part_of(sample) for sample in clips]
    spans: list[Span] = []
    pixels, ends_s = streamed(joined(parts, rng, spans), _causal(clips[0], transform))
    who = f", {clips[0].subject}" if clips[0].subject else ""
    truth = [Event(s.label, start, end) for s, start, end in spans if s.label is not None and not is_none(s.label)]
    return Passage(f"{name}{who}", pixels, ends_s, tuple(truth), tuple(spans))


def _stretch(sample: Sample, transform: Transform, rng: np.random.Generator) -> Sample:
    """Returns a random stretch of a clip without a gesture."""
    video = sample.color or sample.depth
    times = [f.time_s for f in raw_frames(sample, transform)] if video is None else header_times(video)
    length_s = float(rng.uniform(*OTHER_S))
    start_s = float(rng.uniform(0, max(0.0, max(times, default=0.0) - length_s)))
    return replace(sample, start_s=start_s, end_s=start_s + length_s)


def _frames(sample: Sample, transform: Transform) -> Iterator[RawFrame]:
    """Yields a clip's frames; of a stretch, without decoding what follows it."""
    if sample.end_s is None:
        return raw_frames(sample, transform)
    start_s, end_s = sample.start_s or 0.0, sample.end_s
    whole = raw_frames(replace(sample, start_s=None, end_s=None), transform)
    return (frame for frame in takewhile(lambda frame: frame.time_s <= end_s, whole) if frame.time_s >= start_s)


def _causal(sample: Sample, transform: Transform) -> Preprocessor:
    """Returns a causal preprocessor for the sample's frames: the active hand is not known in advance."""
    follows = bool(transform.pictures) and transform.tracker is None
    return Preprocessor(transform, sample.joints if follows else None)


def _shuffled(frames: Sequence[RawFrame], rng: np.random.Generator) -> list[RawFrame]:
    order = rng.permutation(len(frames))
    return [replace(frames[int(i)], time_s=frame.time_s) for i, frame in zip(order, frames, strict=True)]


def _whole(samples: Sequence[Sample], transform: Transform, shuffling: np.random.Generator | None) -> Passage:
    """Returns a recording with labels for stretches of it. `shuffling`: shuffles the frames of each stretch."""
    sample, times = whole_recordings(samples)[0], list[float]()
    done = [s for s in samples if s.label is not None and not is_none(s.label)]

    def timed() -> Iterator[RawFrame]:
        for frame in raw_frames(sample, transform):
            times.append(frame.time_s)
            yield frame

    frames = timed() if shuffling is None else _shuffled_spans(timed(), done, shuffling)
    pixels, ends_s = streamed(frames, _causal(sample, transform))
    truth = [_event(s, times) for s in done]
    found = sorted((e for e in truth if e.start < e.end), key=lambda e: e.start)
    return Passage(sample.recording, pixels, ends_s, tuple(found), ((sample, 0.0, math.inf),))


def _shuffled_spans(frames: Iterable[RawFrame], done: Sequence[Sample], rng: np.random.Generator) -> Iterator[RawFrame]:
    """Yields the frames of a recording, shuffled within each stretch; only one stretch is kept in memory."""
    held: list[RawFrame] = []
    inside_of: Sample | None = None
    for index, frame in enumerate(frames):
        now = next((s for s in done if inside(s, index, frame.time_s)), None)
        if now is not inside_of:
            yield from _shuffled(held, rng)
            held, inside_of = [], now
        if now is None:
            yield frame
        else:
            held.append(frame)
    yield from _shuffled(held, rng)


def _event(sample: Sample, times: Sequence[float]) -> Event:
    """Converts a labeled span to seconds of its recording, given the times of its frames."""
    if sample.first_frame is None or sample.last_frame is None:
        return Event(sample.label, sample.start_s or 0.0, times[-1] if sample.end_s is None else sample.end_s)
    step = times[-1] / max(len(times) - 1, 1)
    last = len(times) - 1
    return Event(sample.label, times[min(sample.first_frame, last)], times[min(sample.last_frame, last)] + step)


def streamed(frames: Iterable[RawFrame], preprocessor: Preprocessor) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Preprocesses frames as in a stream; returns (whole chunks, end time of each)."""
    pieces, ends_s = [preprocessor.transform.empty(0)], list[float]()
    for frame in frames:
        pieces.append(preprocessor.push(frame))
        ends_s += preprocessor.ends_s
    return np.concatenate(pieces), np.array(ends_s)
