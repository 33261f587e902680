"""How fast a recording is followed, from its files to predictions."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from gesta.bundle import io
from gesta.engines import host as machine
from gesta.engines.base import Placement
from gesta.schema import Sample
from gesta.tasks.clips.manifest import ClipManifest


def followed(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    """A recording decoded, prepared and recognised as a stream on one core, in a process of its own.

    {"frames", "recorded_s", "seconds", "times_real_time", "one_core"}. The second of two passes counts.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_follow, bundle, sample, engine, precision).result()


def _follow(bundle: Path | str, sample: Sample, engine: str, precision: str) -> dict[str, Any]:
    pinned = machine.pin_to_one_core()
    from gesta.clips.read import iter_raw_sample
    from gesta.tasks.clips.predict import load

    recogniser = load(io.read(bundle, ClipManifest), Placement(engine, "cpu", 1, precision))
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
