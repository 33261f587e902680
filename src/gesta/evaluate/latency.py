"""How long one engine takes for a chunk and for a clip, on one core, in a process of its own.

A process of its own, so that peak memory is this engine's and thread settings hold from the start:

    python -m gesta.evaluate.latency BUNDLE CLIPS.npz ENGINE PRECISION SECONDS

prints one JSON document. `CLIPS.npz` holds prepared clips, uint8 T S H W C, prepared hands, float32 C S S,
or videos as a backbone takes them, uint8 n H W 3.
`followed` measures the whole way of a recording, from its files to predictions.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.evaluate import machine
from gesta.schema import GestaError, Sample

WARM_UP = 5
MOST_REPEATS = 500
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def in_own_process(bundle: Path | str, clips: Path, engine: str, precision: str, seconds: float) -> dict[str, Any]:
    """`measure` in a fresh interpreter. Raises GestaError with what it said if it fails."""
    command = [sys.executable, "-m", "gesta.evaluate.latency", str(bundle), str(clips), engine, precision, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD}, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise GestaError(f"measuring {engine} failed: {said[-1]}")
    return dict(json.loads(done.stdout))


def measure(
    bundle: Path | str, clips: Sequence[NDArray[np.uint8]], engine: str, precision: str, seconds: float
) -> dict[str, Any]:
    """Latency of a chunk (state carried) and of whole clips, milliseconds, each for about `seconds`; peak memory."""
    from gesta.runtime.recogniser import load

    pinned = machine.pin_to_one_core()
    started = time.perf_counter()
    recogniser = load(bundle, engine=engine, threads=1, device="cpu", precision=precision)
    recogniser.predict_clips([clips[0]])
    ready = time.perf_counter() - started
    chunk = recogniser.manifest.transform.chunk
    chunks = [clip[i : i + chunk] for clip in clips for i in range(0, len(clip) - chunk + 1, chunk)]
    stream = recogniser.open_stream()
    return {
        "engine": engine,
        "precision": precision,
        "one_core": pinned,
        "chunk": {"frames": chunk, **timed(lambda i: stream.push_prepared(chunks[i % len(chunks)]), seconds)},
        "clip": {
            "frames": int(np.median([len(clip) for clip in clips])),
            **timed(lambda i: recogniser.predict_clips([clips[i % len(clips)]]), seconds),
        },
        "ready_s": round(ready, 3),
        "peak_memory_mb": machine.peak_memory_mb(),
    }


def measure_pose(
    bundle: Path | str, hands: Sequence[NDArray[np.float32]], engine: str, precision: str, seconds: float
) -> dict[str, Any]:
    """Latency of one prepared hand [C, S, S], milliseconds, for about `seconds`; peak memory."""
    from gesta.runtime.pose import load_pose

    pinned = machine.pin_to_one_core()
    started = time.perf_counter()
    recogniser = load_pose(bundle, engine=engine, threads=1, device="cpu", precision=precision)
    recogniser.predict_prepared(hands[0][None])
    ready = time.perf_counter() - started
    return {
        "engine": engine,
        "precision": precision,
        "one_core": pinned,
        "frame": timed(lambda i: recogniser.predict_prepared(hands[i % len(hands)][None]), seconds),
        "ready_s": round(ready, 3),
        "peak_memory_mb": machine.peak_memory_mb(),
    }


def measure_chain(
    bundle: Path | str, videos: Sequence[NDArray[np.uint8]], engine: str, precision: str, seconds: float
) -> dict[str, Any]:
    """Latency of an answer, from one new frame (or window) through the backbone and a whole video's features.

    "head": of the part that is the classifier's. Milliseconds, each for about `seconds`; peak memory. `videos`: as the
    backbone takes them, [n, H, W, 3].
    """
    from gesta.runtime.sequence import load_sequence

    pinned = machine.pin_to_one_core()
    started = time.perf_counter()
    recogniser = load_sequence(bundle, engine=engine, threads=1, device="cpu", precision=precision)
    recogniser.predict_features([recogniser.features_of(videos[0][:1])])
    ready = time.perf_counter() - started
    features = [recogniser.features_of(video) for video in videos]
    units = [video[i : i + 1] for video in videos for i in range(len(video))]

    def answer(index: int) -> None:
        recogniser.predict_features([features[index % len(features)]])

    def new_feature(index: int) -> None:
        recogniser.features_of(units[index % len(units)])
        answer(index)

    return {
        "engine": engine,
        "precision": precision,
        "one_core": pinned,
        "feature": timed(new_feature, seconds),
        "head": timed(answer, seconds),
        "ready_s": round(ready, 3),
        "peak_memory_mb": machine.peak_memory_mb(),
    }


MEASURES: dict[str, Callable[..., dict[str, Any]]] = {
    "classifier": measure,
    "pose": measure_pose,
    "sequence": measure_chain,
}
"""How a bundle is measured, by its kind."""


def followed(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    """A recording decoded, prepared and recognised as a stream on one core, in a process of its own.

    {"frames", "recorded_s", "seconds", "times_real_time", "one_core"}. The second of two passes counts.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_follow, bundle, sample, engine, precision).result()


def _follow(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    pinned = machine.pin_to_one_core()
    from gesta.clips.read import iter_raw_sample
    from gesta.runtime.recogniser import load

    recogniser = load(bundle, engine=engine, threads=1, device="cpu", precision=precision)
    seconds, times = 0.0, [0.0]
    for _ in range(2):
        before, times = time.perf_counter(), []
        stream = recogniser.open_stream(sample.joints)
        for frame in iter_raw_sample(sample, recogniser.manifest.transform.colored):
            times.append(frame.time_s)
            stream.push(frame)
        stream.finish()
        seconds = time.perf_counter() - before
    recorded = (times[-1] - times[0]) * len(times) / max(len(times) - 1, 1)  # the last frame lasts, too
    return {
        "frames": len(times),
        "recorded_s": round(recorded, 2),
        "seconds": round(seconds, 3),
        "times_real_time": round(recorded / seconds, 1),
        "one_core": pinned,
    }


def timed(work: Callable[[int], object], seconds: float) -> dict[str, float]:
    """Median and 95th percentile of `work(i)` in milliseconds, after a warm-up, over at least 10 repeats."""
    for index in range(WARM_UP):
        work(index)
    took: list[float] = []
    until = time.perf_counter() + seconds
    while len(took) < 10 or (time.perf_counter() < until and len(took) < MOST_REPEATS):
        before = time.perf_counter()
        work(WARM_UP + len(took))
        took.append(1000 * (time.perf_counter() - before))
    return {
        "p50_ms": round(float(np.percentile(took, 50)), 3),
        "p95_ms": round(float(np.percentile(took, 95)), 3),
        "repeats": len(took),
    }


def _main() -> None:
    bundle, clips, engine, precision, seconds = sys.argv[1:6]
    try:
        with np.load(clips, allow_pickle=False) as arrays:
            inputs = [arrays[name] for name in arrays.files]
        found = MEASURES[io.read_any(bundle).manifest.kind](bundle, inputs, engine, precision, float(seconds))
    except GestaError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main()
