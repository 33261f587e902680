"""The nats of every token of a text under a language model, alone and together with an n-gram. NumPy only.

Together, the probability of a token is a mean of the two (Mikolov et al. 2011): they err in different places, as an
n-gram remembers what it has seen once, and a network what is alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.tasks.text.batches import Sentences, Stream
from gesta.tasks.text.ngram import KneserNey

Text = NDArray[np.int64]
Bar = Callable[[int, int], None]
STEPS, TOGETHER = 256, 64
"""Tokens per step of a running text; sentences per batch."""
NGRAM_SHARE = 0.25
"""Weight of an n-gram's probability beside a network's; fixed, not chosen on any data."""
SHARES = "three quarters of the network's probability, one of the n-gram's"


class Model(Protocol):
    """`steps`: tokens [T, B], state -> log probabilities of the next tokens [T, B, V], the new state."""

    def start(self, batch: int) -> Any: ...
    def steps(self, tokens: Text, state: Any) -> tuple[NDArray[np.float32], Any]: ...


def token_nats(
    model: Model, texts: Sequence[Text], end: int | None, carry: bool, bar: Bar = lambda _d, _t: None
) -> NDArray[np.float64]:
    """Return the nats of every scored token, concatenated.

    With `carry` or without an `end` token, the texts are one running text, whose first token is given.
    """
    if carry or end is None:
        return running_nats(model, texts, bar)
    return sentence_nats(model, texts, end, bar)


def mixed_nats(
    nats: NDArray[np.float64], ngram: KneserNey, texts: Sequence[Text], share: float = NGRAM_SHARE
) -> NDArray[np.float64]:
    """Return the nats of every token if its probability is a mean of the network's (`nats`) and the n-gram's."""
    beside = ngram_nats(ngram, texts, len(nats))
    return -np.log((1 - share) * np.exp(-nats) + share * np.exp(-beside))


def ngram_nats(ngram: KneserNey, texts: Sequence[Text], count: int) -> NDArray[np.float64]:
    """Return the nats of the last `count` tokens under an n-gram."""
    pieces = [np.concatenate(texts)] if ngram.start is None and len(texts) else texts  # without an end, one text
    found = np.concatenate([np.zeros(0), *(-np.log(ngram.probabilities(text)) for text in pieces)])
    return found[len(found) - count :]


def text_hash(texts: Sequence[Text]) -> str:
    """Return a short hash of tokenized texts, to recognize them."""
    return hashlib.sha256(b"".join(np.asarray(text, "<i8").tobytes() for text in texts)).hexdigest()[:16]


def running_nats(model: Model, texts: Sequence[Text], bar: Bar = lambda _d, _t: None) -> NDArray[np.float64]:
    """Return the nats of every token but the first of the concatenated texts, [T - 1]; the state is carried."""
    text = np.concatenate([*texts, np.zeros(0, np.int64)])
    found, state = [np.zeros(0)], model.start(1)
    stream = Stream([text], 1, STEPS) if len(text) > 1 else ()
    for index in range(len(stream)):
        batch = stream.collate([index])  # type: ignore[union-attr]
        nats, state = _nats(model, batch["inputs"], batch["targets"], state)
        found.append(nats[:, 0])
        bar(index + 1, len(stream))
    return np.concatenate(found)


def sentence_nats(model: Model, texts: Sequence[Text], end: int, bar: Bar = lambda _d, _t: None) -> NDArray[np.float64]:
    """Return the nats of every token of every sentence, concatenated; each starts after `end` from a zero state."""
    batches = Sentences(texts, TOGETHER, end)
    found: list[NDArray[Any]] = [np.zeros(0)] * len(texts)
    for index in range(len(batches)):
        batch, rows = batches.collate([index]), batches.rows(index)
        nats, _ = _nats(model, batch["inputs"], batch["targets"], model.start(len(rows)))
        for column, row in enumerate(rows):
            found[row] = nats[: len(texts[row]), column]
        bar(index + 1, len(batches))
    return np.concatenate([np.zeros(0), *found])


def _nats(model: Model, inputs: Text, targets: Text, state: Any) -> tuple[NDArray[np.float64], Any]:
    """Return the nats of the targets [T, B], and the final state; STEPS at a time, to bound the memory."""
    found = [np.zeros((0, inputs.shape[1]))]
    for at in range(0, len(inputs), STEPS):
        logs, state = model.steps(inputs[at : at + STEPS], state)
        chosen = np.take_along_axis(logs, targets[at : at + STEPS, :, None], -1)[..., 0]
        found.append(-chosen.astype(np.float64))
    return np.concatenate(found), state
