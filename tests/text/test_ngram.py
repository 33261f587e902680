"""Kneser-Ney n-grams against a slow loop over the definition, and against measured values on real text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gesta.schema import GestaError
from gesta.tasks.text.corpus import read_corpus
from gesta.tasks.text.ngram import KneserNey, perplexity
from gesta.tasks.text.recipe import TextInputSettings

REAL = Path(__file__).parents[3] / "shared" / "data"

Gram = tuple[int, ...]


class SlowKneserNey:
    """The definition, with dictionaries."""

    def __init__(self, texts: Sequence[Sequence[int]], order: int, vocabulary: int, start: int | None, discount: float):
        self.padding = [] if start is None else [start] * (order - 1)
        self.order, self.vocabulary, self.discount = order, vocabulary, discount
        self.counts: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        before: dict[Gram, set[int]] = {}
        for text in texts:
            padded = [*self.padding, *text]
            for n in range(1, order + 1):
                for end in range(max(n, len(self.padding) + 1), len(padded) + 1):
                    gram = tuple(padded[end - n : end])
                    if n == order or end == n:
                        self.counts[n][gram] += 1
                    else:
                        before.setdefault(gram, set()).add(padded[end - n - 1])
        for gram, tokens in before.items():
            self.counts[len(gram)][gram] += len(tokens)

    def probability(self, context: Gram, token: int) -> float:
        context = context[len(context) - (self.order - 1) :] if len(context) >= self.order else context
        following = {g[-1]: c for g, c in self.counts[len(context) + 1].items() if g[:-1] == context}
        shorter = self.probability(context[1:], token) if context else 1 / self.vocabulary
        total = sum(following.values())
        if not total:
            return shorter
        mass = max(following.get(token, 0) - self.discount, 0) / total
        return mass + self.discount * len(following) / total * shorter


@pytest.mark.parametrize("start", [None, 0])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_equals_the_definition(order: int, start: int | None) -> None:
    rng = np.random.default_rng(order)
    texts = [rng.integers(0, 4, length) for length in (30, 7, 1, 2)]
    fast = KneserNey(texts, order, 5, start=start, discount=0.6)
    slow = SlowKneserNey([t.tolist() for t in texts], order, 5, start, 0.6)
    new = [int(token) for token in rng.integers(0, 5, 25)]  # 4 was never seen
    expected = [slow.probability((*slow.padding, *new[:i]), token) for i, token in enumerate(new)]
    np.testing.assert_allclose(fast.probabilities(np.array(new)), expected, atol=1e-12)
    after = contexts_of(fast, [token for token in new if token != start])
    assert fast.following(after).sum(1) == pytest.approx(np.ones(len(after)), abs=1e-12)
    if start is None:
        chosen = np.take_along_axis(fast.following(after[:-1]), np.array(new)[:, None], 1)[:, 0]
        np.testing.assert_allclose(chosen, expected, atol=1e-12)


def contexts_of(model: KneserNey, tokens: Sequence[int]) -> np.ndarray:
    """The contexts before each token and after the last, [n + 1, order - 1]."""
    found = [model.contexts(1)]
    for token in tokens:
        found.append(model.after(found[-1], np.array([token])))
    return np.concatenate(found)


def test_the_start_token_begins_a_new_text() -> None:
    model = KneserNey([np.array([1, 2, 3, 0]), np.array([2, 1, 0])], 3, 4, start=0, discount=0.6)
    sentence = np.array([2, 3, 0])
    contexts = contexts_of(model, [1, 0, *sentence[:-1]])[2:]  # the first sentence is forgotten
    chosen = np.take_along_axis(model.following(contexts), sentence[:, None], 1)[:, 0]
    np.testing.assert_allclose(chosen, model.probabilities(sentence), atol=1e-12)


@pytest.mark.parametrize("start", [None, 0])
def test_the_counts_can_be_stored(start: int | None) -> None:
    rng = np.random.default_rng(1)
    model = KneserNey([rng.integers(0, 4, 50)], 3, 5, start=start)
    stored = KneserNey.of_arrays(model.arrays(), 3, 5, start=start)
    new = rng.integers(0, 5, 40)
    np.testing.assert_allclose(stored.probabilities(new), model.probabilities(new), rtol=1e-6)
    assert (stored.order, stored.start) == (3, start)


DAMAGED: dict[str, tuple[str, Any, str]] = {
    "shorter mass": ("mass_2", lambda a: a[:-1], "different lengths"),
    "shorter rest": ("rest_3", lambda a: a[:-1], "different lengths"),
    "keys reversed": ("keys_2", lambda a: a[::-1].copy(), "in order"),
    "keys too large": ("keys_3", lambda a: a + 10**6, "in order"),
    "negative keys": ("keys_3", lambda a: np.append(a[:-2], [-(2**63), -1]), "in order"),
    "keys as fractions": ("keys_3", lambda a: a + 0.4, "another kind"),
    "keys as a matrix": ("keys_2", lambda a: a[None], "another kind"),
    "mass as flags": ("mass_2", lambda a: a > 0, "another kind"),
    "all of the mass": ("mass_2", np.ones_like, "sum to 1"),
    "no mass": ("mass_2", np.zeros_like, "sum to 1"),
    "negative mass": ("mass_3", lambda a: a - 2, "sum to 1"),
    "NaN": ("rest_2", lambda a: np.full_like(a, np.nan), "sum to 1"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_counts_are_refused(name: str) -> None:
    array, change, why = DAMAGED[name]
    arrays = KneserNey([np.random.default_rng(1).integers(0, 4, 50)], 3, 5).arrays()
    arrays[array] = change(arrays[array])
    with pytest.raises(GestaError, match=f"here: the n-gram's counts are damaged: .*{why}"):
        KneserNey.of_arrays(arrays, 3, 5, where="here")


def test_counts_of_another_order_or_vocabulary_are_refused() -> None:
    arrays = KneserNey([np.array([0, 1, 2, 1])], 2, 3).arrays()
    with pytest.raises(GestaError, match="4 tokens"):
        KneserNey.of_arrays(arrays, 2, 4)
    for wrong in (3, 1):
        with pytest.raises(GestaError, match=r"it has keys_1, keys_2, .*, not keys_1"):
            KneserNey.of_arrays(arrays, wrong, 3)


def test_a_text_shorter_than_the_order() -> None:
    model = KneserNey([np.array([0, 1])], 6, 3)
    assert model.probabilities(np.array([0, 1, 2])).sum() > 0
    assert model.following(contexts_of(model, [0, 1, 0, 1, 0])).sum(1) == pytest.approx(np.ones(6))


def test_a_bigram_worked_by_hand() -> None:
    model = KneserNey([np.array([0, 1, 0, 1, 0, 2])], 2, 3, discount=0.5)
    # bigrams 01 01 02 10 10: after 0 three, two different. Before 0 stands 1, and it begins; before 1 and 2 stands 0.
    unigram = (np.array([2, 1, 1]) - 0.5) / 4 + 0.5 * 3 / 4 / 3
    expected = np.array([0, 1.5, 0.5]) / 3 + 0.5 * 2 / 3 * unigram
    np.testing.assert_allclose(model.following(np.array([[0]]))[0], expected)
    assert perplexity(model.nats([np.array([0, 1])])) == pytest.approx((unigram[0] * expected[1]) ** -0.5)


def test_discounts_may_be_estimated() -> None:
    model = KneserNey([np.array([0, 1, 0, 2, 0, 2, 1, 1])], 2, 3, discount=None)
    # bigrams 01 10 02 20 02 21 11: once 5, twice 1 -> D = 5 / 7; after 0: 1 once, 2 twice
    assert model._orders[1].rest[0] == pytest.approx(5 / 7 * 2 / 3)


def test_nothing_to_count_is_refused() -> None:
    for texts in ([], [np.zeros(0, np.int64)]):
        with pytest.raises(GestaError, match="empty"):
            KneserNey(texts, 3, 4, start=0)
    with pytest.raises(GestaError, match="empty"):
        KneserNey([np.array([1])], 2, 2).nats([np.zeros(0, np.int64)])


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "tinyshakespeare").is_dir(), reason="../shared/data/tinyshakespeare is not here")
def test_characters_of_shakespeare() -> None:
    corpus = read_corpus(REAL / "tinyshakespeare", TextInputSettings())
    assert corpus.ngram(6).nats(corpus.scored["test"]) == pytest.approx(1.5385, abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / "flickr8k_text").is_dir(), reason="../shared/data/flickr8k_text is not here")
def test_words_of_captions() -> None:
    corpus = read_corpus(REAL / "flickr8k_text", TextInputSettings(unit="word", minimum_count=5))
    assert len(corpus.vocabulary) == 2547
    ngram = corpus.ngram(4)
    found = {part: ngram.nats(texts) for part, texts in corpus.scored.items()}
    assert perplexity(found["dev"]) == pytest.approx(22.6, abs=0.05)
    assert perplexity(found["test"]) == pytest.approx(21.9, abs=0.05)
