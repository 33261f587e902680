"""Texts -> batches of token numbers, time first. The contents of a batch depend only on (seed, epoch, index).

A batch: inputs int64 [T, B], targets int64 [T, B], mask float32 [T, B] (0 after the end of a sentence), first bool: the
state is reset to zero. A target is the token that follows its input.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Text = NDArray[np.int64]
Batch = dict[str, NDArray]
POOL = 50
"""Number of batches whose sentences are sorted by length together."""


class Stream:
    """One running text as `batch` parallel streams of `steps` tokens per batch, carrying the state between batches.

    `shift`: treat the text as a ring and start each epoch at a different position, so that streams and batches are cut
    in different places.
    """

    def __init__(self, texts: Sequence[Text], batch: int, steps: int, *, shift: bool = False, seed: int = 0) -> None:
        self.text = np.concatenate([*texts, np.zeros(0, np.int64)])
        self.batch = max(1, min(batch, len(self.text) // 2))
        self.steps, self.shift, self.seed, self.epoch = steps, shift, seed, 0
        self.length = (len(self.text) - 1) // self.batch  # tokens per stream

    def __len__(self) -> int:
        return -(-self.length // self.steps)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        offset = int(np.random.default_rng([self.seed, self.epoch]).integers(len(self.text))) if self.shift else 0
        begin, end = index * self.steps, min((index + 1) * self.steps, self.length)
        places = np.arange(begin, end)[:, None] + np.arange(self.batch) * self.length + offset  # T B
        inputs, targets = (self.text.take(places + k, mode="wrap") for k in (0, 1))
        return {
            "inputs": inputs,
            "targets": targets,
            "mask": np.ones(inputs.shape, np.float32),
            "first": np.array(index == 0),
        }


class Arranged:
    """Texts in batches of similar length, shuffled by (seed, epoch) or ordered from short to long."""

    def __init__(self, lengths: Sequence[int], batch: int, *, shuffle: bool, seed: int) -> None:
        self.lengths, self.batch, self.shuffle, self.seed, self.epoch = np.array(lengths), batch, shuffle, seed, 0
        self._made: tuple[int, list[NDArray[np.int64]]] | None = None

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch)

    def __getitem__(self, index: int) -> int:
        return index

    def rows(self, index: int) -> NDArray[np.int64]:
        """Return the indices of the texts in a batch of this epoch."""
        if self._made is None or self._made[0] != self.epoch:
            seed = [self.seed, self.epoch] if self.shuffle else None
            self._made = self.epoch, by_length(self.lengths, self.batch, seed)
        return self._made[1][index]


class Sentences(Arranged):
    """Sentences with `<end>`, batched by similar length; each starts from a zero state with the input `<end>`.

    `steps`: maximum number of tokens of a sentence, the rest is cut off; None: no limit.
    """

    def __init__(
        self,
        texts: Sequence[Text],
        batch: int,
        end: int,
        *,
        steps: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        self.texts, self.end = [text[:steps] for text in texts], end
        super().__init__([len(text) for text in self.texts], batch, shuffle=shuffle, seed=seed)

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        return {**following([self.texts[i] for i in self.rows(index)], self.end), "first": np.array(True)}


def following(texts: Sequence[Text], end: int) -> Batch:
    """Return inputs, targets and mask [T, B]: each input is the preceding token, the first one `end`."""
    targets, mask = padded(texts, end)
    inputs = np.concatenate([np.full((1, len(texts)), end), targets[:-1]])
    return {"inputs": inputs, "targets": targets, "mask": mask}


def by_length(lengths: NDArray, batch: int, seed: Sequence[int] | None) -> list[NDArray[np.int64]]:
    """Return batches of indices of similar length, in random order with a seed, otherwise from short to long."""
    if seed is None:
        order = np.argsort(lengths, kind="stable")
        return [order[i : i + batch] for i in range(0, len(order), batch)]
    rng = np.random.default_rng(seed)
    order, batches = rng.permutation(len(lengths)), []
    for i in range(0, len(order), batch * POOL):
        pool = order[i : i + batch * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[j : j + batch] for j in range(0, len(pool), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


def padded(texts: Sequence[Text], filler: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the texts side by side [T, B], padded with `filler`, and a mask [T, B] that is 1 for text."""
    longest = max(map(len, texts))
    tokens = np.full((longest, len(texts)), filler, np.int64)
    mask = np.zeros((longest, len(texts)), np.float32)
    for b, text in enumerate(texts):
        tokens[: len(text), b], mask[: len(text), b] = text, 1
    return tokens, mask
