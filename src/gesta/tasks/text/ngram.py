"""Interpolated Kneser-Ney n-grams (Kneser and Ney 1995; Chen and Goodman 1999): the baseline of every language model.

    P_n(w | context) = max(c(context w) - D_n, 0) / c(context) + D_n N(context) / c(context) * P_{n-1}(w | shorter)

In the highest order, c counts occurrences; in lower ones, the number of different preceding tokens (an n-gram at the
start of a text has none and counts as often as it occurs). N(context) is the number of different tokens that follow.
Below the lowest order is the uniform distribution.

A text is an array of token numbers. Texts of a list are independent of each other; if `start` is given, each is
preceded by n - 1 copies of it. NumPy only: n-grams are numbered by sorting, where an n-gram is a pair (number of its
first n - 1 tokens, token).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError

Ids = NDArray[np.int64]
UNSEEN = -1
TOLERANCE = 1e-3
"""Stored shares of a context sum to 1 up to this."""


@dataclass(frozen=True)
class _Order:
    """All n-grams of one length: sorted `keys` (prefix number * vocabulary + token); `mass` is in the same order."""

    keys: Ids
    mass: NDArray[np.float64]
    """max(c - D, 0) / c(context)."""
    rest: NDArray[np.float64]
    """By prefix number: D N(context) / c(context), the weight of shorter contexts; 1 for unseen contexts."""

    def find(self, keys: Ids) -> Ids:
        """Return the numbers of the n-grams with these keys; UNSEEN for unknown keys (including negative ones)."""
        if not len(self.keys):
            return np.full(keys.shape, UNSEEN)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, UNSEEN)

    def extended(self, shorter: NDArray[np.float64], contexts: Ids, numbers: Ids) -> NDArray[np.float64]:
        """Return the probabilities of n-grams from those of one token less, where the context is known."""
        mass, rest = np.zeros(numbers.shape), np.ones(contexts.shape)
        mass[numbers != UNSEEN] = self.mass[numbers[numbers != UNSEEN]]
        rest[contexts != UNSEEN] = self.rest[contexts[contexts != UNSEEN]]
        return mass + rest * shorter

    def check(self, contexts: int, vocabulary: int) -> None:
        """Raise ValueError if this cannot be an order whose contexts are numbered up to `contexts`."""
        kinds = (self.keys.dtype.kind, self.mass.dtype.kind, self.rest.dtype.kind)
        if kinds != ("i", "f", "f") or not (self.keys.ndim == self.mass.ndim == self.rest.ndim == 1):
            raise ValueError("an array is of another kind")
        if len(self.mass) != len(self.keys) or len(self.rest) != contexts:
            raise ValueError("arrays of different lengths")
        inside = (self.keys >= 0).all() and (self.keys < contexts * vocabulary).all()
        if not inside or (self.keys[1:] <= self.keys[:-1]).any():
            raise ValueError("the n-grams are not numbered in order")
        whole = self.rest + np.bincount(self.keys // vocabulary, self.mass, contexts)
        if not (np.abs(whole - 1) < TOLERANCE).all() or (self.mass < 0).any() or (self.rest < 0).any():
            raise ValueError("the shares of a context do not sum to 1")


class KneserNey:
    """An n-gram model. `order`: tokens per n-gram, including the context; `vocabulary`: number of tokens.

    `discount`: D for every order; None: n1 / (n1 + 2 n2) for each order, from the n-grams counted once and twice.
    """

    def __init__(
        self,
        texts: Iterable[NDArray[np.integer]],
        order: int,
        vocabulary: int,
        *,
        start: int | None = None,
        discount: float | None = 0.75,
    ) -> None:
        """Count the n-grams of the training texts. Raises GestaError if there is nothing to count."""
        if order < 1 or vocabulary < 1:
            raise ValueError(f"expected order and vocabulary of at least 1, got {order} and {vocabulary}")
        self.order, self.vocabulary, self.start = order, vocabulary, start
        tokens, age = self._joined(texts)
        if not (age >= self._padding).any():
            raise GestaError("There are no tokens to count: the text is empty.")
        self._orders: list[_Order] = []
        numbers = [tokens]  # numbers[n - 1][i]: the n-gram that ends at i
        keys_of: list[Ids] = [np.arange(vocabulary)]
        for n in range(2, order + 1):
            keys = np.where(age >= n - 1, _shifted(numbers[-1]) * vocabulary + tokens, UNSEEN)
            unique, inverse = np.unique(keys, return_inverse=True)
            unseen = int(unique[0] == UNSEEN)
            numbers.append(inverse.astype(np.int64) - unseen)
            keys_of.append(unique[unseen:])
        for n in range(1, order + 1):
            self._orders.append(self._order(n, numbers, keys_of, age, discount))

    def arrays(self) -> dict[str, NDArray]:
        """Return everything that was counted, by name, for `of_arrays`."""
        found: dict[str, NDArray] = {}
        for n, order in enumerate(self._orders, 1):
            found |= {f"keys_{n}": order.keys}
            found |= {f"mass_{n}": order.mass.astype(np.float32), f"rest_{n}": order.rest.astype(np.float32)}
        return found

    @classmethod
    def of_arrays(
        cls, arrays: Mapping[str, NDArray], order: int, vocabulary: int, *, start: int | None = None, where: str = ""
    ) -> KneserNey:
        """Return the n-gram model of these arrays. Raises GestaError, naming `where`, if they do not fit."""
        model = cls.__new__(cls)
        model.order, model.vocabulary, model.start, model._orders = order, vocabulary, start, []
        expected = [f"{name}_{n}" for n in range(1, order + 1) for name in ("keys", "mass", "rest")]
        try:
            if set(arrays) != set(expected):
                raise ValueError(f"it has {', '.join(sorted(arrays))}, not {', '.join(expected)}")
            if len(arrays["keys_1"]) != vocabulary:
                raise ValueError(f"it was not counted with {vocabulary} tokens")
            contexts = 1
            for n in range(1, order + 1):
                made = _Order(*(arrays[f"{name}_{n}"] for name in ("keys", "mass", "rest")))
                made.check(contexts, vocabulary)
                contexts = len(made.keys)
                model._orders.append(made)
        except ValueError as error:
            raise GestaError(f"{where}: the n-gram's counts are damaged: {error}. Get the bundle again.") from error
        return model

    @property
    def _padding(self) -> int:
        return 0 if self.start is None else self.order - 1

    def _joined(self, texts: Iterable[NDArray[np.integer]]) -> tuple[Ids, Ids]:
        """Return all texts concatenated with their start tokens, and each token's position in its text."""
        padding = np.full(self._padding, 0 if self.start is None else self.start, np.int64)
        parts = [np.concatenate([padding, np.asarray(text, np.int64)]) for text in texts]
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate(parts), np.concatenate([np.arange(len(part)) for part in parts])

    def _order(
        self, n: int, numbers: Sequence[Ids], keys_of: Sequence[Ids], age: Ids, discount: float | None
    ) -> _Order:
        keys = keys_of[n - 1]
        ends = numbers[n - 1]
        counted = (age >= n - 1) & (age >= self._padding)  # start tokens are context, never predicted
        if n == self.order:
            counts = np.bincount(ends[counted], minlength=len(keys))
        else:
            places = np.flatnonzero(counted & (numbers[n] != UNSEEN))
            first = places[np.unique(numbers[n][places], return_index=True)[1]]  # one position of every (n+1)-gram
            counts = np.bincount(ends[first], minlength=len(keys))
            counts += np.bincount(ends[counted & (age == n - 1)], minlength=len(keys))  # no preceding token
        discount = _discount(counts) if discount is None else discount
        prefix = keys // self.vocabulary if n > 1 else np.zeros(len(keys), np.int64)
        contexts = len(keys_of[n - 2]) if n > 1 else 1
        total = np.bincount(prefix, weights=counts, minlength=contexts)
        different = np.bincount(prefix, weights=counts > 0, minlength=contexts)
        safe = np.maximum(total, 1)
        rest = np.where(total > 0, discount * different / safe, 1.0)
        return _Order(keys, np.maximum(counts - discount, 0) / safe[prefix], rest)

    def probabilities(self, text: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the probability of every token of a text, given the tokens before it."""
        tokens, age = self._joined([text])
        probability = np.full(len(tokens), 1 / self.vocabulary)
        context = np.where(age >= 0, 0, UNSEEN)  # number of the (n - 1)-gram before each token; 0 if empty
        for n, order in enumerate(self._orders, 1):
            context = np.where(age >= n - 1, context, UNSEEN)
            numbers = order.find(np.where(context != UNSEEN, context * self.vocabulary + tokens, UNSEEN))
            probability = order.extended(probability, context, numbers)
            context = np.where(age >= n, _shifted(numbers), UNSEEN)
        return probability[self._padding :]

    def contexts(self, count: int) -> Ids:
        """Return the contexts [count, order - 1] at the start of texts: start tokens, or UNSEEN for none."""
        return np.full((count, self.order - 1), UNSEEN if self.start is None else self.start)

    def after(self, contexts: Ids, tokens: Ids) -> Ids:
        """Return the contexts [N, order - 1] after one more token each [N]; the start token starts a new text."""
        later = np.concatenate([contexts, tokens[:, None]], 1)[:, 1:]
        return later if self.start is None else np.where(tokens[:, None] == self.start, self.start, later)

    def following(self, contexts: Ids) -> NDArray[np.float64]:
        """Return the distributions of the next token [N, V] after contexts [N, order - 1] (`contexts`, `after`)."""
        probability = np.full((len(contexts), self.vocabulary), 1 / self.vocabulary)
        every = np.arange(self.vocabulary)
        for n, order in enumerate(self._orders, 1):
            context = self._number(contexts[:, self.order - n :])[:, None]  # N 1
            numbers = order.find(np.where(context != UNSEEN, context * self.vocabulary + every, UNSEEN))
            probability = order.extended(probability, context, numbers)
        return probability

    def _number(self, grams: Ids) -> Ids:
        """Return the numbers of n-grams [N, n]: 0 for empty ones, UNSEEN for unknown ones."""
        number = np.zeros(len(grams), np.int64)
        for tokens, order in zip(grams.T, self._orders, strict=False):
            known = (number != UNSEEN) & (tokens != UNSEEN)
            number = order.find(np.where(known, number * self.vocabulary + tokens, UNSEEN))
        return number

    def nats(self, texts: Iterable[NDArray[np.integer]]) -> float:
        """Return the mean negative log probability per token over all texts; its exponential is the perplexity."""
        logs = np.concatenate([np.log(self.probabilities(text)) for text in texts])
        if not len(logs):
            raise GestaError("There are no tokens to measure on: the text is empty.")
        return float(-logs.mean())


def _discount(counts: Ids) -> float:
    once, twice = float((counts == 1).sum()), float((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else 0.5


def _shifted(numbers: Ids) -> Ids:
    """Return the numbers shifted by one position; the first is UNSEEN."""
    return np.concatenate([[UNSEEN], numbers[:-1]])


def perplexity(nats: float) -> float:
    return math.exp(nats)
