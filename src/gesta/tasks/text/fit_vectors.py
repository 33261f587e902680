"""Learning word vectors from sentences: skip-gram or CBOW with negative sampling, with word2vec's settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gesta.models.word_vectors import NegativeSampling
from gesta.schema import GestaError
from gesta.tasks.text.vectors import WordVectors
from gesta.tasks.text.vocabulary import Vocabulary, words

Text = NDArray[np.int64]
BLOCK = 20_000
"""Number of tokens whose predictions are generated and shuffled together."""


@dataclass(frozen=True)
class VectorSettings:
    """The settings of word2vec, with its own defaults, which gensim shares.

    `window`: maximum number of words on each side, drawn for each word; `negative`: negative samples per prediction;
    `sample`: words with a higher relative frequency are subsampled; `rate`: decreases linearly to `last_rate`; `batch`:
    predictions per update (our addition: word2vec uses one).
    """

    method: Literal["skip_gram", "cbow"] = "skip_gram"
    width: int = 100
    window: int = 5
    negative: int = 5
    exponent: float = 0.75
    sample: float = 1e-3
    epochs: int = 5
    rate: float = 0.025
    last_rate: float = 0.0001
    batch: int = 64


class Predictions:
    """Training pairs: words that occur near each other in sentences, with frequent words subsampled."""

    def __init__(self, texts: Sequence[Text], vocabulary: int, settings: VectorSettings) -> None:
        """Count the words. Raises GestaError if no sentence has two words."""
        self.settings = settings
        self.texts = [np.asarray(text, np.int64) for text in texts if len(text) > 1]
        if not self.texts:
            raise GestaError(
                "No sentence has two words of the vocabulary, so there is nothing to learn from. Give more text."
            )
        counts = np.bincount(np.concatenate(self.texts), minlength=vocabulary).astype(np.float64)
        drawn = counts**settings.exponent
        self.cumulative = np.cumsum(drawn / drawn.sum())
        threshold = settings.sample * counts.sum()
        frequent = np.maximum(counts, 1)
        kept = (np.sqrt(frequent / threshold) + 1) * threshold / frequent if threshold else np.ones(vocabulary)
        self.kept = np.minimum(kept, 1)
        self.tokens = int(counts.sum())

    def epoch(self, rng: np.random.Generator) -> Iterator[tuple[float, NDArray[np.int64], NDArray[np.int64]]]:
        """Yield (share of the epoch completed, inputs [B, C], targets [B, 1 + K]) for each batch."""
        past, order = 0, rng.permutation(len(self.texts))
        block: list[Text] = []
        for place, index in enumerate(order):
            block.append(self.texts[index])
            held = sum(map(len, block)) if len(block) % 64 == 0 or place + 1 == len(order) else 0
            if held >= BLOCK or (held and place + 1 == len(order)):
                inputs, targets = self.of(block, rng)
                for i in range(0, len(inputs), self.settings.batch):
                    share = (past + held * i / max(len(inputs), 1)) / self.tokens
                    yield share, inputs[i : i + self.settings.batch], targets[i : i + self.settings.batch]
                past, block = past + held, []

    def of(self, texts: Sequence[Text], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return all predictions of some sentences in random order: inputs [n, C], targets [n, 1 + K]."""
        tokens, sentence = np.concatenate(texts), np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        stay = rng.random(len(tokens)) < self.kept[tokens]
        tokens, sentence = tokens[stay], sentence[stay]
        around = self._around(tokens, sentence, rng)  # n 2*window
        if self.settings.method == "cbow":
            use = (around >= 0).any(1)
            inputs, true = around[use], tokens[use]
        else:
            row, column = np.nonzero(around >= 0)
            inputs, true = tokens[row][:, None], around[row, column]
        order = rng.permutation(len(inputs))
        drawn = np.searchsorted(self.cumulative, rng.random((len(inputs), self.settings.negative)))
        negatives = np.minimum(drawn, len(self.cumulative) - 1)
        return inputs[order], np.concatenate([true[order][:, None], negatives], 1)

    def _around(self, tokens: Text, sentence: Text, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the words in each word's window [n, 2 * window], -1 for empty places."""
        reach = rng.integers(1, self.settings.window + 1, len(tokens))
        around = np.full((len(tokens), 2 * self.settings.window), -1, np.int64)
        for distance in range(1, min(self.settings.window, len(tokens) - 1) + 1):
            together = sentence[distance:] == sentence[:-distance]
            later = together & (reach[:-distance] >= distance)
            earlier = together & (reach[distance:] >= distance)
            around[:-distance, 2 * distance - 2][later] = tokens[distance:][later]
            around[distance:, 2 * distance - 1][earlier] = tokens[:-distance][earlier]
        return around


def known_words(sentences: Sequence[Sequence[str]], minimum_count: int) -> tuple[Vocabulary, list[Text]]:
    """Return the vocabulary, and the sentences as numbers, without the words that are rarer."""
    vocabulary = words(sentences, minimum_count=minimum_count)
    encoded = [vocabulary.encode(sentence) for sentence in sentences]
    return vocabulary, [text[text != vocabulary.unknown] for text in encoded]


def fit_vectors(
    texts: Sequence[Text],
    vocabulary: Vocabulary,
    settings: VectorSettings = VectorSettings(),
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> tuple[WordVectors, NegativeSampling]:
    """Return the vectors of the vocabulary's words, and the tables they come from.

    `progress` is called with the share completed. Raises GestaError if there is nothing to learn from.
    """
    predictions = Predictions(texts, len(vocabulary), settings)
    model = NegativeSampling(len(vocabulary), settings.width, seed)
    rng = np.random.default_rng(seed)
    for epoch in range(settings.epochs):
        for share, inputs, targets in predictions.epoch(rng):
            past = (epoch + share) / settings.epochs
            rate = settings.rate + (settings.last_rate - settings.rate) * past
            model.update(torch.from_numpy(inputs), torch.from_numpy(targets), rate)
        if progress is not None:
            progress((epoch + 1) / settings.epochs)
    return WordVectors(vocabulary.tokens, model.inputs.numpy()), model


def mean_nats(model: NegativeSampling, texts: Sequence[Text], settings: VectorSettings, seed: int = 0) -> float:
    """Return the mean loss per prediction, with windows and negatives drawn with the seed, to compare models."""
    predictions = Predictions(texts, len(model.inputs), settings)
    total = count = 0.0
    for _, inputs, targets in predictions.epoch(np.random.default_rng(seed)):
        total += float(model.nats(torch.from_numpy(inputs), torch.from_numpy(targets)).sum())
        count += len(inputs)
    return total / count
