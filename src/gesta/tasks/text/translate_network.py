"""PyTorch networks of a translator's bundle, to run and to export: the encoder, and a decoder step."""

from __future__ import annotations

import torch
from torch import Tensor as Torch
from torch import nn

from gesta.bundle.io import Bundle, load_weights
from gesta.bundle.manifest import Tensor
from gesta.engines.part import Part
from gesta.engines.torch import fitting, loaded
from gesta.models.layers import Wrapper
from gesta.models.translation import Memory, SequenceToText, TranslationNet
from gesta.tasks.text.manifest import TranslationManifest

WORDS, BATCH = 4, 2
"""Size of the example input."""


class Encode(Wrapper):
    """source [S, B] or [S, B, D], lengths [B] -> memory [S, B, 2H], vector [B, 2H], initial h and c [L, B, H]."""

    def forward(self, source: Torch, lengths: Torch) -> tuple[Torch, Torch, Torch, Torch]:
        memory = self.network.encode(source, lengths)
        return memory.outputs, memory.vector, *self.network.start(memory)


class AttendingStep(Wrapper):
    """tokens [T, B], memory [S, B, 2H], lengths [B], h, c -> log probabilities [T, B, V], h, c."""

    def forward(self, tokens: Torch, *given: Torch) -> tuple[Torch, Torch, Torch]:
        memory, lengths, h, c = given
        mask = torch.arange(memory.shape[0], device=memory.device).unsqueeze(1) < lengths  # S B
        features, (h, c) = self.network.decode(tokens, Memory(memory, mask, memory[0]), h, c)
        return self.network.logits(features).log_softmax(-1), h, c


class VectorStep(Wrapper):
    """Without attention: tokens [T, B], vector [B, 2H], h, c -> log probabilities [T, B, V], h, c."""

    def forward(self, tokens: Torch, *given: Torch) -> tuple[Torch, Torch, Torch]:
        vector, h, c = given
        memory = Memory(vector.unsqueeze(0), torch.ones_like(vector[None, :, 0], dtype=torch.bool), vector)
        features, (h, c) = self.network.decode(tokens, memory, h, c)
        return self.network.logits(features).log_softmax(-1), h, c


def load_network(bundle: Bundle[TranslationManifest]) -> TranslationNet:
    """Return the recipe's network with the bundle's weights. Raises GestaError if they do not fit."""
    manifest = bundle.manifest
    source, target = len(manifest.source.tokens), len(manifest.target.tokens)
    with fitting(bundle):
        network = TranslationNet(source_tokens=source, target_tokens=target, **manifest.recipe["model"])
        return loaded(network, load_weights(bundle))


def parts(bundle: Bundle[TranslationManifest]) -> list[Part]:
    """Return the encoder and decoder; batch size and lengths are dynamic (-1)."""
    example = torch.zeros(WORDS, BATCH, dtype=torch.int64)
    return networks(load_network(bundle), _tensor("source", "int64", -1, -1), example)


def networks(network: SequenceToText, source: Tensor, example: Torch) -> list[Part]:
    """Return the encoder and decoder of any encoder-decoder; `source` and `example` describe the encoder's input."""
    width, words = 2 * network.hidden, network.embedding.num_embeddings
    lengths = _tensor("lengths", "int64", -1)
    memory, vector = _tensor("memory", "float32", -1, -1, width), _tensor("vector", "float32", -1, width)
    states = tuple(_tensor(name, "float32", network.layers, -1, network.hidden) for name in ("h", "c"))
    later = tuple(state.model_copy(update={"name": f"{state.name}_out"}) for state in states)
    logs, tokens = _tensor("log_probabilities", "float32", -1, -1, words), _tensor("tokens", "int64", -1, -1)
    read = (example, torch.tensor([len(example), len(example) - 1]))
    said = torch.zeros(1, BATCH, dtype=torch.int64)
    before = tuple(torch.rand(network.layers, BATCH, network.hidden) for _ in states)
    encoder = Part("whole", Encode(network), read, (source, lengths), (memory, vector, *states), stage="encoder")
    known: tuple[Torch, ...] = (torch.rand(WORDS, BATCH, width), torch.tensor([WORDS, WORDS - 1]))
    names: tuple[Tensor, ...] = (memory, lengths)
    module: nn.Module = AttendingStep(network)
    if network.attention is None:
        known, names, module = (torch.rand(BATCH, width),), (vector,), VectorStep(network)
    inputs = (tokens, *names, *states)
    return [encoder, Part("step", module, (said, *known, *before), inputs, (logs, *later), states)]


def _tensor(name: str, dtype: str, *shape: int) -> Tensor:
    return Tensor(name=name, dtype=dtype, shape=shape)
