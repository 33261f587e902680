"""PyTorch networks of a language model's bundle, to run and to export."""

from __future__ import annotations

import torch
from torch import Tensor as Torch
from torch import nn
from torch.nn import functional as F

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.language import LanguageNet
from gesta.models.layers import Wrapper
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.recipe import LanguageModelSettings

EXAMPLE_BATCH = 2


class Step(Wrapper):
    """tokens [T, B], h, c [L, B, H] -> log probabilities of the token that follows each [T, B, V], h, c.

    The states are one argument, as the export of streaming steps requires.
    """

    def forward(self, tokens: Torch, *states: Torch) -> tuple[Torch, Torch, Torch]:
        features, (h, c) = self.network(tokens, states)
        return self.network.log_probabilities(features), h, c


class OneToken(Wrapper):
    """Like Step, for one token [1, B]: each layer is one matrix [4H, D + H] times a vector.

    The exported network is faster than a recurrent layer of one step, and with 8-bit weights it reads a quarter of the
    bytes (benchmarks/character_step.py).
    """

    def __init__(self, network: LanguageNet) -> None:
        super().__init__(network)
        layers = [dict(lstm.named_parameters()) for lstm in network.recurrent]
        weights = [torch.cat([p["weight_ih_l0"], p["weight_hh_l0"]], 1).detach() for p in layers]
        biases = [(p["bias_ih_l0"] + p["bias_hh_l0"]).detach() for p in layers]
        self.weights = nn.ParameterList(nn.Parameter(weight, requires_grad=False) for weight in weights)
        self.biases = nn.ParameterList(nn.Parameter(bias, requires_grad=False) for bias in biases)

    def forward(self, tokens: Torch, *states: Torch) -> tuple[Torch, Torch, Torch]:
        x, (h, c), later_h, later_c = self.network.embedding(tokens[0]), states, [], []
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            gates = F.linear(torch.cat([x, h[layer]], -1), weight, bias)  # B 4H
            i, f, g, o = gates.chunk(4, -1)
            cell = f.sigmoid() * c[layer] + i.sigmoid() * g.tanh()  # B H
            x = o.sigmoid() * cell.tanh()
            later_h.append(x)
            later_c.append(cell)
        features = x if self.network.projection is None else self.network.projection(x)
        return self.network.log_probabilities(features).unsqueeze(0), torch.stack(later_h), torch.stack(later_c)


def load_network(bundle: Bundle[LanguageManifest]) -> LanguageNet:
    """Return the recipe's network with the bundle's weights. Raises GestaError if they do not fit."""
    with fitting(bundle):
        settings = LanguageModelSettings.model_validate(bundle.manifest.recipe["model"]).network
        network = LanguageNet(tokens=len(bundle.manifest.known.tokens), **settings)
        return loaded(network, load_weights(bundle))


def parts(bundle: Bundle[LanguageManifest], network: LanguageNet | None = None) -> list[Part]:
    """Return the step: the exported network takes one token of each text, the PyTorch one any number."""
    network = load_network(bundle) if network is None else network
    shape = (network.layers, -1, network.hidden)
    tokens = Tensor(name="tokens", dtype="int64", shape=(1, -1))
    logs = Tensor(name="log_probabilities", dtype="float32", shape=(1, -1, network.tokens))
    states = tuple(Tensor(name=name, dtype="float32", shape=shape) for name in ("h", "c"))
    later = tuple(state.model_copy(update={"name": f"{state.name}_out"}) for state in states)
    example = (
        torch.zeros(1, EXAMPLE_BATCH, dtype=torch.int64),
        *(torch.rand(network.layers, EXAMPLE_BATCH, network.hidden) for _ in states),
    )
    module, plain = OneToken(network), Step(network)
    return [Part("step", module, example, (tokens, *states), (logs, *later), states, reference=plain)]
