"""Exporting, calibrating and timing classifiers of stored features, with videos as the backbone sees them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines import convert_onnx, convert_openvino
from gesta.engines.part import Part
from gesta.engines.quantize import LIMIT, Feed
from gesta.schema import GestaError, Sample, evenly
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.features.manifest import BackboneUse, FeatureManifest
from gesta.tasks.features.predict import SequenceRecognizer, read_video

RANDOM_VIDEOS, RANDOM_FRAMES = 4, 16
"""Number of generated videos, and of frames in each if the model does not specify it."""
MOST_VIDEOS, MOST_BYTES = 100, 2**31
"""Limits on the videos to compare on: their number (99 % of fewer than 100 would be all of them) and memory."""
CALIBRATION = 32
"""Maximum number of training videos for calibrating an 8-bit backbone."""
EIGHT_BITS: dict[str, Callable[[Part, str], dict[str, bytes]]] = {
    convert_openvino.ENGINE: convert_openvino.convert_stored,
    convert_onnx.ENGINE: lambda part, stem: convert_onnx.convert(part, stem, "fp16"),
}
"""How the classifier is stored alongside an 8-bit backbone, by engine: 8-bit matrices for OpenVINO, 16-bit for ONNX.
It computes in fp32, because it is a small share of the work and errors of a recurrent network accumulate."""


def convert(part: Part, stem: str, engine: str, precision: str) -> dict[str, bytes] | None:
    """Convert the classifier of an 8-bit model; return None for networks that need no special treatment."""
    return EIGHT_BITS[engine](part, stem) if precision == "int8" and part.stage == "head" else None


def examples(manifest: FeatureManifest, samples: Sequence[Sample], limit: int, source: str) -> Examples:
    """Return frames [n, H, W, 3] or windows of at most `limit` videos, evenly spread over the samples.

    Broken videos are left out.
    """
    used = manifest.backbone
    if not samples:
        few = source == "random"  # a few frames suffice for comparing; timing needs the usual number
        videos = random_videos(used, 2 if few else used.frames or RANDOM_FRAMES)
        return Examples(videos, [None] * len(videos), "random")
    size = math.prod(used.shape) * -(-(used.frames or RANDOM_FRAMES) // used.window)  # approximate size of one video
    most = min(CALIBRATION if source == "training" else MOST_VIDEOS, max(1, MOST_BYTES // size))
    found = Examples([], [], source)
    for sample in evenly(samples, min(limit, most)):
        try:
            found.inputs.append(read_video(sample, used))
        except GestaError:
            continue  # a broken recording: `gesta data inspect` names it
        found.truth.append(sample.label)
    return found


def random_videos(used: BackboneUse, frames: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Return videos of noise, each with a different brightness, of `frames` frames (or the windows that hold them)."""
    rng = np.random.default_rng(seed)
    count = -(-frames // used.window)
    return [
        (rng.integers(0, 128, (count, *used.shape)) + rng.integers(0, 128)).astype(np.uint8)
        for _ in range(RANDOM_VIDEOS)
    ]


def feeds(bundle: Bundle[FeatureManifest], shown: Examples) -> dict[tuple[str, str], list[Feed]]:  # noqa: ARG001
    """Return single inputs of the backbone, equally many from each video and evenly spread."""
    each = max(1, LIMIT // CALIBRATION)
    found: list[Feed] = []
    for video in shown.inputs:
        found += [{"frames": frame[None]} for frame in evenly(list(video), each)]
    return {("whole", "backbone"): found[:LIMIT]}


def compare(reference: SequenceRecognizer, other: SequenceRecognizer, shown: Examples, artifact: Artifact) -> Agreement:
    """Compare probabilities computed from frames; without a backbone, from random features."""
    if reference.engine.inputs(stage="backbone"):
        one, two = ([r.features_of(video) for video in shown.inputs] for r in (reference, other))
    else:
        rng, width = np.random.default_rng(0), reference.manifest.backbone.features
        one = two = [rng.normal(size=(n, width)).astype(np.float32) for n in (1, 3, 8, 8)]
        shown = Examples(one, [None] * len(one), "random")
    expected, found = (list(r.predict_features(given)[:, None]) for r, given in ((reference, one), (other, two)))
    return agreement(expected, found, shown, artifact, reference.labels, "feature")


def timings(recognizer: SequenceRecognizer, videos: Sequence[NDArray[Any]]) -> dict[str, Timing]:
    """Time a prediction with one new frame (or window) through the backbone, and one from stored features alone."""
    features = [recognizer.features_of(video) for video in videos]
    units = [video[i : i + 1] for video in videos for i in range(len(video))]

    def answer(index: int) -> None:
        recognizer.predict_features([features[index % len(features)]])

    def new_feature(index: int) -> None:
        recognizer.features_of(units[index % len(units)])
        answer(index)

    return {"feature": Timing(new_feature), "head": Timing(answer)}
