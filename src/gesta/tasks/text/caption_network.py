"""PyTorch networks of a captioning model's bundle, to run and to export."""

from __future__ import annotations

import torch

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.captions import CaptionNet
from gesta.tasks.text.manifest import CaptionManifest
from gesta.tasks.text.translate_network import BATCH, WORDS, networks


def load_network(bundle: Bundle[CaptionManifest]) -> CaptionNet:
    """Return the recipe's network with the bundle's weights. Raises GestaError if they do not fit."""
    manifest = bundle.manifest
    width, words = manifest.features.width, len(manifest.target.tokens)
    with fitting(bundle):
        network = CaptionNet(features=width, target_tokens=words, **manifest.recipe["model"])
        return loaded(network, load_weights(bundle))


def parts(bundle: Bundle[CaptionManifest]) -> list[Part]:
    """Return the encoder and decoder; batch size and lengths are dynamic (-1)."""
    width = bundle.manifest.features.width
    source = Tensor(name="source", dtype="float32", shape=(-1, -1, width))
    network = load_network(bundle)
    steps = WORDS << len(network.encoder.pooling)  # WORDS are left: exporters fix a length of one
    return networks(network, source, torch.zeros(steps, BATCH, width))
