"""Inference with a language model: scoring and generating text. Does not use PyTorch.

Letters: T tokens, B texts side by side, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.engines.base import Engine, State
from gesta.schema import GestaError
from gesta.tasks.text.corpus import Passage, numbers
from gesta.tasks.text.data import read_text
from gesta.tasks.text.manifest import LanguageManifest
from gesta.tasks.text.scoring import running_nats, sentence_nats
from gesta.tasks.text.vocabulary import Vocabulary
from gesta.tasks.text.writing import write

SEQUENCES = "torch"
"""The engine whose step takes several tokens at once."""
Text = NDArray[np.int64]


@dataclass(frozen=True)
class TextScore:
    """The mean loss per token in nats, and the number of tokens."""

    nats: float
    tokens: int

    @property
    def bits(self) -> float:
        return self.nats / float(np.log(2))

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.nats))


class LanguageModel:
    """Scores and generates text. Holds one network on one device; use one per thread."""

    def __init__(self, engine: Engine, manifest: LanguageManifest) -> None:
        self.engine, self.manifest = engine, manifest
        self.vocabulary: Vocabulary = manifest.known.vocabulary

    def predict(self, given: str | Path | Passage) -> TextScore:
        """Score a text: a passage, a file (Path), or the text itself.

        Raises GestaError for data that is not text, for characters that the model does not know, and if there is
        nothing to predict.
        """
        text = given.text if isinstance(given, Passage) else read_text(given) if isinstance(given, Path) else given
        if self.vocabulary.unit == "word":
            texts = [numbers(self.vocabulary, line) for line in text.split("\n") if line.strip()]
        else:
            texts = [numbers(self.vocabulary, text)]
        rows = self.scores(texts)
        if not rows[:, 1].sum():
            raise GestaError("The text is too short: a prediction needs at least two tokens.")
        return TextScore(float(rows[:, 0].sum() / rows[:, 1].sum()), int(rows[:, 1].sum()))

    def write(
        self, start: str = "", length: int = 500, temperature: float = 1.0, top_k: int | None = None, seed: int = 0
    ) -> Iterator[str]:
        """Yield pieces of generated text, the start first; see gesta.tasks.text.writing.write."""
        return write(self, self.vocabulary, start=start, length=length, temperature=temperature, top_k=top_k, seed=seed)

    def start(self, batch: int) -> State:
        return self.engine.start(batch)

    def step(self, tokens: Text, state: State) -> tuple[NDArray[np.float32], State]:
        """Advance by one token per text [B]; return the log probabilities of the next [B, V] and the new state."""
        found, state = self.engine.step({"tokens": tokens[None]}, state)
        return found["log_probabilities"][0], state

    def steps(self, tokens: Text, state: State) -> tuple[NDArray[np.float32], State]:
        """Advance by several tokens per text [T, B].

        Returns the log probabilities of the token that follows each [T, B, V] and the final state. PyTorch takes all
        tokens at once, exported networks one at a time.
        """
        if self.engine.name == SEQUENCES:
            found, state = self.engine.step({"tokens": tokens}, state)
            return found["log_probabilities"], state
        rows = []
        for row in tokens:
            logs, state = self.step(row, state)
            rows.append(logs)
        return np.stack(rows), state

    def log_probabilities(self, text: Text) -> NDArray[np.float32]:
        """Return the log probabilities [T, V] of the token that follows each token of a text, from a zero state."""
        return self.steps(text[:, None], self.start(1))[0][:, 0]

    def scores(self, texts: Sequence[Text], bar: Callable[[int, int], None] = lambda _d, _t: None) -> NDArray[Any]:
        """Return the sum of the tokens' nats and the number of scored tokens of each text, [n, 2].

        If passages form one running text, the state is carried from each to the next, and the very first token is not
        scored; otherwise each text starts after `<end>` from a zero state.
        """
        lengths = [len(text) for text in texts]
        if self.manifest.carry or self.vocabulary.end is None:
            nats = running_nats(self, texts, bar)
            owner = np.repeat(np.arange(len(texts)), lengths)[1:]
        else:
            nats = sentence_nats(self, texts, self.vocabulary.end, bar)
            owner = np.repeat(np.arange(len(texts)), lengths)
        return np.stack([np.bincount(owner, weights=w, minlength=len(texts)) for w in (nats, np.ones(len(nats)))], 1)
