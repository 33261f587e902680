"""Measures the latency of one engine for a chunk and for a clip, on one core, in a separate process.

The separate process ensures that peak memory is this engine's and that thread settings apply from the start:

    python -m gesta.evaluation.latency BUNDLE CLIPS.npz ENGINE PRECISION SECONDS

prints one JSON document. `CLIPS.npz` holds preprocessed clips, uint8 T S H W C, preprocessed hands, float32 C S S,
or videos as backbone input, uint8 n H W 3.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.engines import host as machine
from gesta.engines.base import Placement
from gesta.schema import GestaError
from gesta.tasks import catalog

WARM_UP = 5
MOST_REPEATS = 500
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def in_own_process(bundle: Path | str, clips: Path, engine: str, precision: str, seconds: float) -> dict[str, Any]:
    """Runs `measure` in a fresh interpreter. Raises GestaError with its error output if it fails."""
    command = [
        sys.executable,
        "-m",
        "gesta.evaluation.latency",
        str(bundle),
        str(clips),
        engine,
        precision,
        str(seconds),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD}, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["it gave no reason"]
        raise GestaError(f"measuring {engine} failed: {said[-1]}")
    return dict(json.loads(done.stdout))


def measure(
    bundle: Path | str, inputs: Sequence[NDArray[Any]], engine: str, precision: str, seconds: float
) -> dict[str, Any]:
    """Latency of each of the task's timings in milliseconds, each measured for about `seconds`, and peak memory."""
    pinned = machine.pin_to_one_core()
    started = time.perf_counter()
    task, opened = catalog.of_bundle(bundle)
    predictor = task.load(opened, Placement(engine, "cpu", 1, precision))
    timings = task.timings(predictor, inputs)
    next(reversed(timings.values())).work(0)
    ready = time.perf_counter() - started
    return {
        "engine": engine,
        "precision": precision,
        "one_core": pinned,
        **{name: {**one.facts, **timed(one.work, seconds)} for name, one in timings.items()},
        "ready_s": round(ready, 3),
        "peak_memory_mb": machine.peak_memory_mb(),
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
        found = measure(bundle, inputs, engine, precision, float(seconds))
    except GestaError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    _main()
