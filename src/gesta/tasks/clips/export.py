"""Inputs and comparisons for exporting, calibrating and timing clip recognizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.clips.cache import ClipCache
from gesta.clips.sampling import central_window, feed, frames_of, part_of
from gesta.clips.transform import Transform
from gesta.engines.base import Placement
from gesta.engines.quantize import Feed, spread
from gesta.schema import GestaError, Sample, evenly
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.predict import LONG_FRAMES, Recognizer
from gesta.tasks.clips.stream import is_windowed, windows

FEEDS = ("whole", "network"), ("step", "network")


def examples(manifest: ClipManifest, samples: Sequence[Sample], limit: int, source: str) -> Examples:
    """Returns at most `limit` preprocessed clips, spread over the samples; leaves out those that fail."""
    if not samples:
        clips = random_clips(manifest.transform, limit)
        return Examples(clips, [None] * len(clips), "random")
    cache, chosen = ClipCache(), evenly(samples, limit)
    cache.fill(chosen, manifest.transform)
    found = Examples([], [], source)
    for sample in chosen:
        try:
            found.inputs.append(np.asarray(cache.load(sample, manifest.transform).pixels))
        except GestaError:
            continue  # a broken recording: `gesta data inspect` names it
        found.truth.append(sample.label)
    return found


def random_clips(transform: Transform, count: int = 16, seed: int = 0) -> list[NDArray[Any]]:
    """Returns random clips of one to four seconds, for use without data."""
    rng = np.random.default_rng(seed)
    lengths = (max(transform.chunk, round(rng.uniform(1, 4) * transform.fps)) for _ in range(count))
    return [random_clip(transform, frames, rng) for frames in lengths]


def random_clip(transform: Transform, frames: int, rng: np.random.Generator) -> NDArray[Any]:
    """Returns noise of drifting brightness, wandering joints, or both."""
    clip = transform.empty(frames)
    skeleton = clip["skeleton"] if transform.fused else clip
    if transform.skeleton is not None:
        skeleton[...] = rng.normal(0, 0.05, skeleton.shape).cumsum(0)
    if transform.pictures:
        drift = np.linspace(rng.uniform(0, 128), rng.uniform(0, 128), frames).reshape(-1, 1, 1, 1, 1)
        pixels = clip["pixels"] if transform.fused else clip
        pixels[...] = rng.integers(0, 128, pixels.shape) + drift
    return clip


def feeds(bundle: Bundle[ClipManifest], shown: Examples) -> dict[tuple[str, str], list[Feed]]:
    """Returns role and stage -> network inputs: whole clips, or chunks with the states that precede them."""
    from gesta.engines.torch import open_parts
    from gesta.tasks.clips.network import parts

    transform, engine = bundle.manifest.transform, open_parts(parts(bundle), Placement(device="cpu"))
    whole, step = FEEDS
    if is_windowed(engine):
        spans = (central_window(len(pixels), transform.window) for pixels in shown.inputs)
        central = [pixels[start:end] for pixels, (start, end) in zip(shown.inputs, spans, strict=True)]
        return {whole: spread([{"clip": windows([pixels], transform.window)} for pixels in central])}
    found: dict[tuple[str, str], list[Feed]] = {whole: [], step: []}
    for pixels in shown.inputs:
        inputs, lengths = feed([pixels[:LONG_FRAMES]], transform.chunk)
        found[whole].append({**inputs, "lengths": lengths})
        if not engine.inputs("step"):
            continue
        state = engine.start(1)
        for start in range(0, frames_of(inputs), transform.chunk):
            chunk = part_of(inputs, start, start + transform.chunk)
            found[step].append({**chunk, **state})
            _, state = engine.step(chunk, state)
    return {key: spread(inputs) for key, inputs in found.items() if inputs}


def compare(reference: Recognizer, other: Recognizer, shown: Examples, artifact: Artifact) -> Agreement:
    """Compares two recognizers on whole clips or, for the streaming step, after each chunk."""
    one, two = (_answers(recognizer, shown.inputs, artifact.role) for recognizer in (reference, other))
    timing = "chunk" if artifact.role == "step" else "clip"
    return agreement(one, two, shown, artifact, reference.labels, timing)


def _answers(recognizer: Recognizer, clips: Sequence[NDArray[np.uint8]], role: str) -> list[NDArray[Any]]:
    """Returns for each clip [1, N] (role "whole": one prediction per clip) or [K, N] ("step": one per chunk)."""
    if role == "whole":
        return list(recognizer.predict_clips(clips)[:, None])
    return [
        np.array([list(p.probabilities.values()) for p in recognizer.open_stream().push_preprocessed(pixels)])
        for pixels in clips
    ]


def timings(recognizer: Recognizer, clips: Sequence[NDArray[np.uint8]]) -> dict[str, Timing]:
    """Times a chunk, with its state, and a whole clip. Raises GestaError if every clip is shorter than a chunk."""
    chunk = recognizer.manifest.transform.chunk
    chunks = [clip[i : i + chunk] for clip in clips for i in range(0, len(clip) - chunk + 1, chunk)]
    chunks = chunks or [random_clips(recognizer.manifest.transform, 1)[0][:chunk]]
    stream = recognizer.open_stream()
    return {
        "chunk": Timing(lambda i: stream.push_preprocessed(chunks[i % len(chunks)]), {"frames": chunk}),
        "clip": Timing(
            lambda i: recognizer.predict_clips([clips[i % len(clips)]]),
            {"frames": int(np.median([len(clip) for clip in clips]))},
        ),
    }
