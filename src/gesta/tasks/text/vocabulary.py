"""Vocabularies: the tokens a model knows, characters or words, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.words import counted

Unit = Literal["character", "word"]
END, UNKNOWN = "<end>", "<unk>"
MOST_WORDS = 50_000
SHOWN = 10


@dataclass(frozen=True)
class Vocabulary:
    """`tokens` by number: first `<end>` and `<unk>` if they exist, then from most to least frequent."""

    unit: Unit
    tokens: tuple[str, ...]
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(numbers) != len(self.tokens):
            twice = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise GestaError(f"The vocabulary contains {twice[0]!r} more than once. Remove the repetition.")
        object.__setattr__(self, "_numbers", numbers)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._numbers

    @property
    def end(self) -> int | None:
        """The number of `<end>`, which ends every sentence; None for running text of characters."""
        return self._numbers.get(END)

    @property
    def unknown(self) -> int | None:
        """The number of `<unk>`, which replaces tokens outside the vocabulary; None if it has no `<unk>`."""
        return self._numbers.get(UNKNOWN)

    def encode(self, tokens: Iterable[str]) -> NDArray[np.int64]:
        """Return the tokens' numbers [T]. Raises GestaError for unknown tokens if there is no `<unk>`."""
        listed = list(tokens)
        if self.unknown is None:
            missing = sorted({token for token in listed if token not in self._numbers})
            if missing:
                raise GestaError(
                    f"The model does not know {some(missing)}: they do not occur in the text that it was trained on. "
                    f"Leave them out, or train with a text that has them."
                )
        other = -1 if self.unknown is None else self.unknown
        return np.array([self._numbers.get(token, other) for token in listed], np.int64)

    def sentence(self, words: Iterable[str]) -> NDArray[np.int64]:
        """Return the numbers of a sentence, with `<end>` appended."""
        assert self.end is not None
        return np.append(self.encode(words), self.end)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        return [self.tokens[int(number)] for number in numbers]


def some(tokens: Sequence[str]) -> str:
    """The first tokens, for a message."""
    more = f" and {len(tokens) - SHOWN} more" if len(tokens) > SHOWN else ""
    return ", ".join(map(repr, tokens[:SHOWN])) + more


def characters(train: str, *others: str, minimum_count: int = 1) -> Vocabulary:
    """Return the characters of the training text, with `<unk>` only if other texts or rare characters need it.

    Raises GestaError for fewer than two characters, since nothing could be learned.
    """
    counts = Counter(train)
    kept = _most_frequent(counts, minimum_count)
    if len(kept) < 2:
        raise GestaError(
            f"The training text has only {counted(len(kept), 'different character')}; at least two are needed. "
            "Check that it is the right file."
        )
    lost = any(character not in set(kept) for text in (train, *others) for character in set(text))
    return Vocabulary("character", ((UNKNOWN,) if lost else ()) + tuple(kept))


def words(sentences: Iterable[Sequence[str]], *, minimum_count: int = 1, most: int = MOST_WORDS) -> Vocabulary:
    """Return `<end>`, `<unk>` and the sufficiently frequent words of the training sentences, at most `most` of them.

    Raises GestaError if no word is frequent enough.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    for special in (END, UNKNOWN):
        counts.pop(special, None)
    kept = _most_frequent(counts, minimum_count)[:most]
    if not kept:
        raise GestaError(
            f"No word occurs at least {counted(minimum_count, 'time')} in the training sentences. "
            "Lower the minimum count (input.minimum_count of a recipe), or give more text."
        )
    return Vocabulary("word", (END, UNKNOWN, *kept))


def _most_frequent(counts: Counter[str], minimum_count: int) -> list[str]:
    kept = [(-count, token) for token, count in counts.items() if count >= minimum_count]
    return [token for _, token in sorted(kept)]
