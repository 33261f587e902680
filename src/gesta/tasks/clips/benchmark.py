"""Speed of preprocessing recordings, compared with raw decoding, and of streaming one from its files to predictions."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.bundle.io import Bundle
from gesta.clips.decode import Kind, iter_frames
from gesta.clips.preprocess import preprocess, raw_frames
from gesta.clips.transform import Transform
from gesta.engines import host as machine
from gesta.engines.base import Placement
from gesta.schema import GestaError, Resource, Sample
from gesta.tasks.base import Examples
from gesta.tasks.clips.manifest import ClipManifest

RECORDINGS = 3
ROUNDS = 3


def rates(
    bundle: Bundle[ClipManifest], samples: Sequence[Sample], shown: Examples, say: Callable[[str], None]
) -> tuple[dict[str, Any], Callable[[str, str], dict[str, Any]]]:
    """Returns (what a benchmark reports beside latencies, a function that measures streaming speed)."""
    transform = bundle.manifest.transform
    if samples:
        say("preparing")
    preparing = preparing_rates(samples, transform)

    def follow(engine: str, precision: str) -> dict[str, Any]:
        usable = [s for s in samples if not transform.lacking(s.modalities)]
        try:
            return {"stream": followed(bundle.path, whole(usable[0]), engine, precision)} if usable else {}
        except GestaError as error:
            return {"stream": {"skipped": str(error)}}

    return {"preparing": preparing, "inputs": {"frames": [len(clip) for clip in shown.inputs]}}, follow


def preparing_rates(
    samples: Sequence[Sample], transform: Transform, recordings: int = RECORDINGS, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Returns frames per second of preprocessing whole recordings, and of only decoding the same files.

    The two alternate, and the best of `rounds` counts for each, so that other load on the machine affects both alike.
    """
    if not samples:
        return {"skipped": "no data given: give a data folder to measure preprocessing"}
    if not transform.decoded:
        return {"skipped": "the model uses skeletons, so no video is decoded"}
    usable = [s for s in samples if not transform.lacking({*s.modalities} & {"color", "depth", "mask"})]
    if not usable:
        return {"skipped": f"no recording has what the model needs ({', '.join(transform.needs)})"}
    files = list({s.files: whole(s) for s in usable}.values())[:recordings]
    decode: list[list[float]] = [[] for _ in files]
    ready: list[list[float]] = [[] for _ in files]
    counts, failed = [0] * len(files), []
    for index, sample in enumerate(files):
        try:
            for _ in range(rounds):
                counts[index], took = _decode(sample)
                decode[index].append(took)
                before = time.perf_counter()
                preprocess(sample, transform)
                ready[index].append(time.perf_counter() - before)
        except GestaError as error:
            counts[index] = 0
            failed.append(str(error))
    measured = [i for i, count in enumerate(counts) if count]
    if not measured:
        return {"skipped": f"no recording could be read; the first problem: {failed[0]}"}
    frames = sum(counts[i] for i in measured)
    raw, preprocessed = (frames / sum(min(times[i]) for i in measured) for times in (decode, ready))
    return {
        "recordings": len(measured),
        "frames": frames,
        "videos_each": len(_videos(files[measured[0]])),
        "decoded_frames_per_s": round(raw, 1),
        "preprocessed_frames_per_s": round(preprocessed, 1),
        "share_of_decoding": round(preprocessed / raw, 3),
        "failed": failed,
    }


def whole(sample: Sample) -> Sample:
    """Returns the whole recording of a sample that is a span of it."""
    return replace(sample, id=sample.recording, first_frame=None, last_frame=None, start_s=None, end_s=None)


def _videos(sample: Sample) -> list[Resource]:
    return [r for r in (sample.color, sample.depth, sample.mask) if r is not None]


def _decode(sample: Sample) -> tuple[int, float]:
    """Decodes all videos of a recording, without conversion, by the same decoder; returns (frames, seconds)."""
    kind: Kind = "gray"
    counts = []
    before = time.perf_counter()
    for resource in _videos(sample):
        counts.append(sum(1 for _ in iter_frames(resource, kind, lambda _index, _time_s: False)))
    return min(counts), time.perf_counter() - before


def followed(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    """Decodes, preprocesses and recognizes a recording as a stream on one core, in a separate process.

    {"frames", "recorded_s", "seconds", "times_real_time", "one_core"}. The second of two passes counts.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_follow, bundle, sample, engine, precision).result()


def _follow(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    pinned = machine.pin_to_one_core()
    from gesta.tasks.clips.predict import load

    recognizer = load(io.read(bundle, ClipManifest), Placement(engine, "cpu", 1, precision))
    seconds, times = 0.0, [0.0]
    for _ in range(2):
        before, times = time.perf_counter(), []
        stream = recognizer.open_stream_of(sample)
        for frame in raw_frames(sample, recognizer.manifest.transform):
            times.append(frame.time_s)
            stream.push(frame)
        stream.finish()
        seconds = time.perf_counter() - before
    recorded = (times[-1] - times[0]) * len(times) / max(len(times) - 1, 1)  # include the duration of the last frame
    return {
        "frames": len(times),
        "recorded_s": round(recorded, 2),
        "seconds": round(seconds, 3),
        "times_real_time": round(recorded / seconds, 1),
        "one_core": pinned,
    }
