"""Speed in one run: preparing against raw decoding, and latency by engine. The machine is described beside it."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle import io
from gesta.bundle.io import DEMO, AnyManifest
from gesta.clips.cache import ClipCache
from gesta.clips.decode import Kind, iter_frames
from gesta.clips.prepare import prepare
from gesta.clips.transform import Transform
from gesta.engines import host as machine
from gesta.engines.catalog import ENGINES, READS
from gesta.evaluation.latency import followed, in_own_process
from gesta.schema import GestaError, Resource, Sample
from gesta.tasks.clips.manifest import ClipManifest

CLIPS = 8
RECORDINGS = 3
ROUNDS = 3
RANDOM_CLIP_S = 2.0
"""Length of the generated clips where no data are given."""

Say = Callable[[str], None]


def benchmark(
    bundle_path: Path | str,
    samples: Sequence[Sample] = (),
    *,
    engines: Sequence[str] | None = None,
    seconds: float = 3.0,
    cache: ClipCache | None = None,
    seed: int = 0,
    say: Say = lambda _text: None,
) -> dict[str, Any]:
    """Rates of preparing (with samples) and latencies of every engine that the bundle has something for.

    Each latency is measured for about `seconds`. Without samples, random clips of the right shape take their place and
    preparing is left out, with the reason. What cannot be measured is named with its reason, never left out silently.
    """
    path = DEMO if str(bundle_path) == "demo" else Path(bundle_path)
    manifest = io.read(path, ClipManifest).manifest
    cache = cache or ClipCache()
    if samples:
        say("preparing")
    preparing = preparing_rates(samples, manifest.transform)
    clips = _clips(samples, manifest.transform, cache, seed)
    follow = partial(_whole_way, path, samples, manifest.transform)
    return {
        "bundle": str(bundle_path),
        "model": {"name": manifest.name, "parameters": manifest.parameters, "bytes": sizes(path, manifest)},
        "clips": {"source": "data" if samples else "random", "n": len(clips), "frames": [len(c) for c in clips]},
        "preparing": preparing,
        "latency": latencies(path, manifest, clips, engines, seconds, say, follow),
        "machine": machine.describe(),
    }


def latencies(
    path: Path,
    manifest: AnyManifest,
    inputs: Sequence[NDArray[Any]],
    engines: Sequence[str] | None,
    seconds: float,
    say: Say,
    follow: Callable[[str, str], dict[str, Any]] = lambda _engine, _precision: {},
) -> list[dict[str, Any]]:
    """A row for each of `candidates`: its latency on `inputs`, and what `follow(engine, precision)` adds to it.

    One that cannot be measured has its reason under "skipped", and the others are measured all the same.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="gesta-benchmark-") as folder:
        file = Path(folder) / "inputs.npz"
        np.savez(file, *inputs)
        for engine, precision, reason in candidates(manifest, engines):
            row: dict[str, Any] = {"engine": engine, "precision": precision}
            if reason:
                rows.append(row | {"skipped": reason})
                continue
            say(f"latency of {engine} {precision}")
            try:
                row = in_own_process(path, file, engine, precision, seconds) | follow(engine, precision)
            except GestaError as error:
                row |= {"skipped": str(error)}
            rows.append(row)
    return rows


def preparing_rates(
    samples: Sequence[Sample], transform: Transform, recordings: int = RECORDINGS, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Frames a second of preparing whole recordings, and of decoding the same files without using the frames.

    The two take turns; the best of `rounds` counts for each, so that other load on the machine falls on neither.
    """
    if not samples:
        return {"skipped": "no data given: name a data folder to measure preparing"}
    usable = [s for s in samples if all(getattr(s, need) is not None for need in transform.needs)]
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
                prepare(sample, transform)
                ready[index].append(time.perf_counter() - before)
        except GestaError as error:
            counts[index] = 0
            failed.append(str(error))
    measured = [i for i, count in enumerate(counts) if count]
    if not measured:
        return {"skipped": f"no recording could be read; the first: {failed[0]}"}
    frames = sum(counts[i] for i in measured)
    raw, prepared = (frames / sum(min(times[i]) for i in measured) for times in (decode, ready))
    return {
        "recordings": len(measured),
        "frames": frames,
        "videos_each": len(_videos(files[measured[0]])),
        "decoded_frames_per_s": round(raw, 1),
        "prepared_frames_per_s": round(prepared, 1),
        "share_of_decoding": round(prepared / raw, 3),
        "failed": failed,
    }


def _whole_way(
    path: Path, samples: Sequence[Sample], transform: Transform, engine: str, precision: str
) -> dict[str, Any]:
    """Under "stream", how fast the first recording that the model can take is followed; nothing without one."""
    usable = [s for s in samples if all(getattr(s, need) is not None for need in transform.needs)]
    try:
        return {"stream": followed(path, whole(usable[0]), engine, precision)} if usable else {}
    except GestaError as error:
        return {"stream": {"skipped": str(error)}}


def whole(sample: Sample) -> Sample:
    """The recording that a sample is a span of, as one sample."""
    return replace(sample, id=sample.recording, first_frame=None, last_frame=None, start_s=None, end_s=None)


def candidates(manifest: AnyManifest, wanted: Sequence[str] | None) -> list[tuple[str, str, str]]:
    """(engine, precision, why it cannot be measured or "") for every engine, or those wanted.

    Weights are run by torch in fp32, in however many bits they are stored. Raises GestaError (usage) for an unknown
    engine.
    """
    if unknown := [name for name in wanted or () if name not in ENGINES]:
        raise GestaError(f"unknown engine {unknown[0]!r}; there are {', '.join(ENGINES)}.", usage=True)
    found = []
    for name in wanted or ENGINES:
        held = [a for a in manifest.artifacts if a.engine in READS[name]]
        precisions = sorted({"fp32" if a.engine == "torch" else a.precision for a in held})
        if not precisions:
            found.append((name, "-", "the bundle has nothing for it"))
        elif importlib.util.find_spec(name) is None:
            found += [(name, precision, "not installed here") for precision in precisions]
        else:
            found += [(name, precision, "") for precision in precisions]
    return found


def _clips(samples: Sequence[Sample], transform: Transform, cache: ClipCache, seed: int) -> list[NDArray[np.uint8]]:
    """A few prepared clips of the data, spread over it; random ones without data."""
    rng = np.random.default_rng(seed)
    if not samples:
        frames = max(transform.chunk, round(RANDOM_CLIP_S * transform.fps))
        return [rng.integers(256, size=(frames, *transform.frame_shape), dtype=np.uint8) for _ in range(CLIPS)]
    clips: list[NDArray[np.uint8]] = []
    reasons: list[str] = []
    for index in rng.permutation(len(samples)):
        try:
            clips.append(np.array(cache.load(samples[int(index)], transform).pixels))
        except GestaError as error:
            reasons.append(str(error))
        if len(clips) == CLIPS:
            break
    clips = [clip for clip in clips if len(clip) >= transform.chunk]
    if not clips:
        raise GestaError(f"no clip of the data could be prepared. {reasons[0] if reasons else ''}".strip())
    return clips


def _videos(sample: Sample) -> list[Resource]:
    return [r for r in (sample.color, sample.depth, sample.mask) if r is not None]


def _decode(sample: Sample) -> tuple[int, float]:
    """(frames of the recording, seconds) of decoding all its videos, by the same decoder, converting nothing."""
    kind: Kind = "gray"
    counts = []
    before = time.perf_counter()
    for resource in _videos(sample):
        counts.append(sum(1 for _ in iter_frames(resource, kind, lambda _index, _time_s: False)))
    return min(counts), time.perf_counter() - before


def sizes(path: Path, manifest: AnyManifest) -> dict[str, int]:
    """Bytes of the files of each engine, precision and part, in a folder; a zip as a whole."""
    if path.is_file():
        return {"zip": path.stat().st_size}
    sizes: dict[str, int] = {}
    for artifact in manifest.artifacts:
        part = artifact.role if artifact.stage == "network" else artifact.stage
        name = f"{artifact.engine} {artifact.precision} {part}"
        sizes[name] = sum(
            (path / f).stat().st_size for f in (artifact.file, *artifact.companions) if (path / f).is_file()
        )
    return sizes
