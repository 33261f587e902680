"""A language model together with an n-gram: the mean of their probabilities, token by token (Mikolov et al. 2011).

They err in different places: an n-gram remembers what it has seen once, a network what is alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.models.language import LanguageNet
from gesta.tasks.text.batches import Sentences, Stream
from gesta.tasks.text.ngram import KneserNey

NETWORK_SHARE = 0.75
"""Weight of the network's probability; fixed, not chosen on any data."""
STEPS, TOGETHER = 256, 64


def mixed_nats(network: LanguageNet, ngram: KneserNey, texts: Sequence[NDArray[np.int64]], carry: bool) -> float:
    """Return the mean nats per token; `carry`: the texts are one running text, whose first token is given."""
    known = [ngram.probabilities(text) for text in texts]
    if carry:
        seen, beside = _running(network, texts), np.concatenate(known)[1:]
    else:
        assert ngram.start is not None
        seen, beside = _sentences(network, texts, ngram.start), np.concatenate(known)
    return float(-np.log(NETWORK_SHARE * seen + (1 - NETWORK_SHARE) * beside).mean())


@torch.no_grad()
def _running(network: LanguageNet, texts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the probability of every token but the first, [T - 1]."""
    stream, state, found = Stream(texts, 1, STEPS), network.start(1), []
    for index in range(len(stream)):
        batch = stream.collate([index])
        features, state = network(torch.from_numpy(batch["inputs"]), state)
        found.append(_probabilities(network, features, batch["targets"])[:, 0])
    return np.concatenate(found)


@torch.no_grad()
def _sentences(network: LanguageNet, texts: Sequence[NDArray[np.int64]], end: int) -> NDArray[np.float64]:
    """Return the probability of every token of every sentence, concatenated."""
    batches = Sentences(texts, TOGETHER, end)
    found: list[NDArray[np.float64]] = [np.zeros(0)] * len(texts)
    for index in range(len(batches)):
        batch, rows = batches.collate([index]), batches.rows(index)
        features, _ = network(torch.from_numpy(batch["inputs"]), network.start(len(rows)))
        probabilities = _probabilities(network, features, batch["targets"])
        for column, row in enumerate(rows):
            found[row] = probabilities[: len(texts[row]), column]
    return np.concatenate(found)


def _probabilities(network: LanguageNet, features: torch.Tensor, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """features [T, B, E], targets [T, B] -> the probability of each target [T, B]."""
    return np.exp(-network.nats(features, torch.from_numpy(targets)).double().numpy())
