"""Generating text with a language model, token by token. NumPy only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.tasks.text.vocabulary import Vocabulary


class Steps(Protocol):
    """A language model that maps a token and a state to the log probabilities of the next token and a new state."""

    def start(self, batch: int) -> Any: ...

    def step(self, tokens: NDArray[np.int64], state: Any) -> tuple[NDArray[np.floating], Any]: ...


def write(
    model: Steps,
    vocabulary: Vocabulary,
    *,
    start: str = "",
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield the start text, then `length` sampled tokens, as pieces that join to the whole text.

    `temperature`: lower values favor likely tokens, 0 always takes the most likely one; `top_k`: sample only from the k
    most likely tokens. With words, `<end>` starts a new line. `<unk>` is never written. Raises GestaError for settings
    out of range and for unknown tokens in the start text.
    """
    _check(length, temperature, top_k)
    given = _start(vocabulary, start)
    rng = np.random.default_rng(seed)
    state = model.start(1)
    for token in given:
        logs, state = model.step(np.array([token]), state)
    yield start
    begun = bool(start.strip())  # the current line has words
    for _ in range(length):
        number = draw(logs[0], rng, temperature=temperature, top_k=top_k, never=vocabulary.unknown)
        token = "\n" if number == vocabulary.end else vocabulary.tokens[number]
        yield f" {token}" if vocabulary.unit == "word" and begun and token != "\n" else token
        begun = token != "\n"
        logs, state = model.step(np.array([number]), state)


def _check(length: int, temperature: float, top_k: int | None) -> None:
    if length < 0:
        raise GestaError(f"The length is {length}, expected 0 tokens or more.", usage=True)
    if not 0 <= temperature < float("inf"):
        raise GestaError(
            f"The temperature is {temperature}, expected 0 (always the most likely token) or more.", usage=True
        )
    if top_k is not None and top_k < 1:
        raise GestaError(f"top_k is {top_k}, expected 1 or more.", usage=True)


def _start(vocabulary: Vocabulary, start: str) -> NDArray[np.int64]:
    """Return the model's first inputs: with characters, the text or a newline; with words, `<end>` and the text."""
    if vocabulary.unit == "word":
        assert vocabulary.end is not None
        unknown = [word for word in start.split() if word not in vocabulary]
        if unknown:
            raise GestaError(f"The model does not know {', '.join(map(repr, unknown))}: start with other words.")
        return np.append(vocabulary.end, vocabulary.encode(start.split()))
    if start:
        unknown = sorted({character for character in start if character not in vocabulary})
        if unknown:
            raise GestaError(f"The model does not know {', '.join(map(repr, unknown))}: start with other characters.")
        return vocabulary.encode(start)
    first = "\n" if "\n" in vocabulary else vocabulary.tokens[-1]
    return vocabulary.encode([first])


def draw(
    log_probabilities: NDArray[np.floating],
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    never: int | None = None,
) -> int:
    """Sample a token from log probabilities [V]; `never`: a token to exclude."""
    logs = np.array(log_probabilities, np.float64)
    if never is not None:
        logs[never] = -np.inf
    if temperature == 0 or top_k == 1:
        return int(logs.argmax())
    if top_k is not None and top_k < len(logs):
        logs[logs < np.sort(logs)[-top_k]] = -np.inf
    with np.errstate(over="ignore"):  # a temperature close to 0: all but the most likely get -inf
        scaled = np.exp((logs - logs.max()) / temperature)
    return int(rng.choice(len(scaled), p=scaled / scaled.sum()))
