"""A spotter for the browser: its skeletons' space, its decoder, and an example."""

from __future__ import annotations

from gesta.bundle.io import Bundle
from gesta.engines.base import Placement
from gesta.tasks.spotting.manifest import SpottingManifest
from gesta.tasks.spotting.predict import PAUSE_S, load
from gesta.tasks.web import WebModel, golden_document, model_document, network_of, space_document, wandering

FRAMES = 40
"""Of the example."""


def web_model(bundle: Bundle[SpottingManifest]) -> WebModel:
    """What the page needs of a bundle with an ONNX network. Raises GestaError where it has none."""
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
    rows = spotter.probabilities(spotter.skeleton(skeletons))
    answers = list(zip(times, rows, strict=True))
    golden = golden_document(manifest.classes, artifact.precision, times, answers, skeletons=skeletons)
    return WebModel(document, golden, bundle.read(artifact))
