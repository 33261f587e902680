"""PyTorch networks of a video2vec bundle, to run and to export: the video encoder and the sentence encoder."""

from __future__ import annotations

import torch

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.video2vec import VideoVectors
from gesta.tasks.text.manifest import VectorManifest

STEPS, BATCH = 4, 2
"""Size of the example input."""


def load_network(bundle: Bundle[VectorManifest]) -> VideoVectors:
    """Return the recipe's network with the bundle's weights. Raises GestaError if they do not fit."""
    manifest, weights = bundle.manifest, load_weights(bundle)
    classifier = weights.get("classifier.weight")
    with fitting(bundle):
        network = VideoVectors(
            objective=manifest.recipe["objective"],
            features=manifest.features.width,
            tokens=0 if manifest.known is None else len(manifest.known.tokens),
            classes=0 if classifier is None else len(classifier),
            **manifest.recipe["model"],
        )
        return loaded(network, weights)


def parts(bundle: Bundle[VectorManifest]) -> list[Part]:
    """Return the encoders; batch size and lengths are dynamic (-1)."""
    network, width = load_network(bundle), bundle.manifest.features.width
    lengths = Tensor(name="lengths", dtype="int64", shape=(-1,))
    vector = Tensor(name="vector", dtype="float32", shape=(-1, bundle.manifest.recipe["model"]["vector"]))
    source = Tensor(name="source", dtype="float32", shape=(-1, -1, width))
    tokens = Tensor(name="source", dtype="int64", shape=(-1, -1))
    known = torch.tensor([STEPS, STEPS - 1])
    steps = STEPS << len(network.video.encoder.pooling)  # STEPS are left: exporters fix a length of one
    found = [
        Part(
            "whole",
            network.video,
            (torch.rand(steps, BATCH, width), torch.tensor([steps, steps - 1])),
            (source, lengths),
            (vector,),
            stage="video",
        )
    ]
    if network.text is not None:
        words = torch.zeros(STEPS, BATCH, dtype=torch.int64)
        found.append(Part("whole", network.text, (words, known), (tokens, lengths), (vector,), stage="text"))
    return found
