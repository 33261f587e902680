"""Browser export of a clip recognizer: its preprocessing parameters, its decoder, and an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gesta.bundle.io import Bundle
from gesta.clips import clock, crops
from gesta.clips.preprocess import LONGEST_GAP_S
from gesta.clips.transform import Transform
from gesta.engines.base import Placement
from gesta.schema import Frame, GestaError
from gesta.tasks.clips.follow import decoder_of
from gesta.tasks.clips.manifest import ClipManifest
from gesta.tasks.clips.predict import load
from gesta.tasks.clips.standalone import example
from gesta.tasks.clips.standalone.rules import missing
from gesta.tasks.web import WebModel, golden_document, model_document, network_of, space_document, wandering


def check(manifest: ClipManifest) -> None:
    """Raises GestaError (usage) if a camera does not provide what the model needs."""
    t = manifest.transform
    both = "pixels and skeletons together" if t.fused else None
    lacking = both if t.skeleton is not None else missing(t)
    if lacking is not None:
        raise GestaError(
            f"A page in the browser gets color images only, but this model needs {lacking}. Train one on color images: "
            "gesta train DATA --set input.streams=[body] --set input.body=motion "
            "--set input.channels=[gray,gray_difference]. Or one on skeletons: --set input.streams=[skeleton].",
            usage=True,
        )


def web_model(bundle: Bundle[ClipManifest]) -> WebModel:
    """Returns what the page needs of a bundle. Raises GestaError as `check` does, and if it has no ONNX networks."""
    check(bundle.manifest)
    artifact, t = network_of(bundle), bundle.manifest.transform
    document = model_document(
        bundle,
        bundle.manifest.labels,
        decoder_of(bundle.manifest),
        timing=_timing(t),
        pixels=None if t.skeleton is not None else _pixels(t),
        space=None if t.skeleton is None else space_document(t.skeleton),
        sampling=t.sampling,
        window=t.window,
        reset_after_chunks=bundle.manifest.reset_after_chunks,
    )
    return WebModel(document, _golden(bundle, artifact.precision), bundle.read(artifact))


def _timing(t: Transform) -> dict[str, float]:
    stamps = {"jitter_s": clock.JITTER_S, "step_s": clock.STEP_S, "longest_gap_s": LONGEST_GAP_S}
    return {"fps": t.fps, "chunk": t.chunk, **stamps}


def _pixels(t: Transform) -> dict[str, Any]:
    named = ("size", "channels", "body", "smooth", "box_smoothing", "difference_gain")
    motion = ("side", "threshold", "half_life_s", "least", "margin", "smallest")
    numbers = {name: getattr(crops, f"MOTION_{name.upper()}") for name in motion}
    return {**{name: getattr(t, name) for name in named}, "motion": numbers}


def _golden(bundle: Bundle[ClipManifest], precision: str) -> dict[str, Any]:
    """Returns an example processed as a stream, with a prediction for each chunk."""
    t = bundle.manifest.transform
    times = example.times(t).tolist()
    given: dict[str, Any] = {}
    if t.skeleton is None:
        given["drawing"] = example.drawing(len(times))
        frames = [Frame(s, color=image) for s, image in zip(times, example.drawn(given["drawing"]), strict=True)]
    else:
        joints, dimensions = t.frame_shape
        given["skeletons"] = wandering(joints, dimensions, len(times))
        frames = [Frame(s, joints=joints) for s, joints in zip(times, given["skeletons"], strict=True)]
    return golden_document(bundle.manifest.labels, precision, times, _answers(bundle, precision, frames), **given)


def _answers(bundle: Bundle[ClipManifest], precision: str, frames: Sequence[Frame]) -> list[tuple[float, Any]]:
    stream = load(bundle, Placement(device="cpu", threads=1, precision=precision)).open_stream()
    found = [answer for frame in frames for answer in stream.push(frame)] + stream.finish()
    return [(answer.time_s or 0.0, np.array(list(answer.probabilities.values()))) for answer in found]
