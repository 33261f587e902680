"""A spotter for the browser: its skeleton space, its decoder, and an example."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gesta.bundle.io import Bundle
from gesta.clips.skeleton_space import Normalizer
from gesta.engines.base import Placement
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.predict import PAUSE_S, Spotter, load, steps
from gesta.tasks.web import WebModel, golden_document, model_document, network_of, space_document, wandering

FRAMES = 40
"""Number of frames of the example."""


def web_model(bundle: Bundle[SpottingManifest]) -> WebModel:
    """Return what the web page needs from a bundle. Raises GestaError if the bundle has no ONNX network."""
    artifact, manifest = network_of(bundle), bundle.manifest
    document = model_document(
        bundle,
        manifest.classes,
        manifest.decoder,
        fps=manifest.fps,
        delay_frames=manifest.delay_frames,
        pause_s=PAUSE_S,
        space=space_document(manifest.space),
    )
    spotter = load(bundle, Placement(device="cpu", threads=1, precision=artifact.precision))
    skeletons = wandering(len(manifest.space.joints), manifest.space.dimensions, FRAMES)
    times = [frame / manifest.fps for frame in range(FRAMES)]
    answers = list(zip(times, _streamed(spotter, skeletons), strict=True))
    golden = golden_document(manifest.classes, artifact.precision, times, answers, skeletons=skeletons)
    return WebModel(document, golden, bundle.read(artifact))


def _streamed(spotter: Spotter, skeletons: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities [T, N] of a stream of these frames, the last one repeated during the delay."""
    delay = spotter.manifest.delay_frames
    longer = np.concatenate([skeletons, np.repeat(skeletons[-1:], delay, axis=0)])
    normalized = Normalizer(spotter.manifest.space)(longer)
    return steps(spotter.engine, normalized, spotter.engine.start(1))[0][delay:]
