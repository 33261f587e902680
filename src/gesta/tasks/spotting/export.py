"""Exporting and timing spotters: examples, comparison, calibration inputs, timings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.bundle.manifest import Artifact
from gesta.engines.base import Placement
from gesta.engines.quantize import spread
from gesta.schema import evenly
from gesta.sources.recordings import Recording
from gesta.tasks.base import Agreement, Examples, Timing
from gesta.tasks.classification_parity import agreement
from gesta.tasks.spotting import data
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.predict import Spotter, load, steps

FRAMES = 256
"""Maximum number of frames of a recording on which networks are compared and timed."""


def examples(manifest: SpottingManifest, samples: Sequence[Recording], limit: int, source: str) -> Examples:
    """Return normalized skeletons [T, J, D] of the first FRAMES frames, NaN where a joint is missing; or noise."""
    if not samples:
        shape = (FRAMES // 4, len(manifest.space.joints), manifest.space.dimensions)
        noise = np.random.default_rng(0).normal(size=(limit, *shape)).astype(np.float32)
        return Examples(list(noise), [None] * limit, "random")
    used, _ = data.tracks(evenly(samples, limit), manifest)  # type: ignore[arg-type]
    inputs = [track.skeleton[:FRAMES] for track in used]
    truth = [manifest.classes[int(track.target[: len(i)][-1])] for track, i in zip(used, inputs, strict=True)]
    return Examples(list(inputs), list(truth), source)


def compare(reference: Spotter, other: Spotter, shown: Examples, artifact: Artifact) -> Agreement:
    """Compare the probabilities of two spotters frame by frame."""
    one, two = ([model.probabilities(skeleton) for skeleton in shown.inputs] for model in (reference, other))
    return agreement(one, two, shown, artifact, reference.manifest.classes, "frame")


def feeds(bundle: Bundle[SpottingManifest], shown: Examples) -> dict[tuple[str, str], list[Any]]:
    """Return short runs of frames with the state before each, for calibrating 8-bit networks."""
    spotter, found = load(bundle, Placement("torch", "cpu")), []
    for skeleton in shown.inputs:
        state = spotter.engine.start(1)
        for at in range(0, len(skeleton), FRAMES // 8):
            piece = skeleton[at : at + FRAMES // 8]
            mask = np.isfinite(piece).all(axis=-1).astype(np.float32)
            found.append({"skeleton": np.nan_to_num(piece)[None], "mask": mask[None], **state})
            _, state = steps(spotter.engine, piece, state)
    return {("step", "network"): spread(found)}


def timings(spotter: Spotter, inputs: Sequence[NDArray[Any]]) -> dict[str, Timing]:
    """Return the timings of one frame with its state carried over, as in a stream, and of a whole recording."""
    frames = np.concatenate(list(inputs))
    carried = {"state": spotter.engine.start(1)}

    def frame(index: int) -> None:
        _, carried["state"] = steps(spotter.engine, frames[[index % len(frames)]], carried["state"])

    def recording(index: int) -> None:
        spotter.probabilities(inputs[index % len(inputs)])

    return {"frame": Timing(frame), "recording": Timing(recording, {"frames": max(map(len, inputs))})}
