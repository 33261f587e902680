"""A language model's bundle as networks of PyTorch, to run and to export."""

from __future__ import annotations

import torch
from torch import Tensor as Torch
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.language import LanguageNet
from gesta.tasks.text.manifest import LanguageManifest

EXAMPLE_STEPS, EXAMPLE_BATCH = 3, 2


class Step(nn.Module):
    """tokens [T, B], h, c [L, B, H] -> log probabilities of the token behind each [T, B, V], h, c.

    The states are one argument, as the export of streaming steps expects it.
    """

    def __init__(self, network: LanguageNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Torch, *states: Torch) -> tuple[Torch, Torch, Torch]:
        features, (h, c) = self.network(tokens, states)
        return self.network.log_probabilities(features), h, c


def load_network(bundle: Bundle[LanguageManifest]) -> LanguageNet:
    """The network of the bundle's recipe with its weights. Raises GestaError where they do not fit."""
    with fitting(bundle):
        network = LanguageNet(tokens=len(bundle.manifest.known.tokens), **bundle.manifest.recipe["model"])
        return loaded(network, load_weights(bundle))


def parts(bundle: Bundle[LanguageManifest], network: LanguageNet | None = None) -> list[Part]:
    """The step, which takes any number of tokens at once: it writes and it scores."""
    network = load_network(bundle) if network is None else network
    shape = (network.layers, -1, network.hidden)
    tokens = Tensor(name="tokens", dtype="int64", shape=(-1, -1))
    logs = Tensor(name="log_probabilities", dtype="float32", shape=(-1, -1, network.tokens))
    states = tuple(Tensor(name=name, dtype="float32", shape=shape) for name in ("h", "c"))
    later = tuple(state.model_copy(update={"name": f"{state.name}_out"}) for state in states)
    example = (
        torch.zeros(EXAMPLE_STEPS, EXAMPLE_BATCH, dtype=torch.int64),
        *(torch.rand(network.layers, EXAMPLE_BATCH, network.hidden) for _ in states),
    )
    return [Part("step", Step(network), example, (tokens, *states), (logs, *later), states)]
