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

from gesta.bundle import sparse
from gesta.bundle.io import Bundle
from gesta.engines.base import Engine, State
from gesta.schema import GestaError
from gesta.tasks.text.corpus import Passage, numbers
from gesta.tasks.text.data import read_text
from gesta.tasks.text.manifest import NGRAM, LanguageManifest
from gesta.tasks.text.ngram import KneserNey
from gesta.tasks.text.recipe import TextInputSettings
from gesta.tasks.text.scoring import mixed_nats, ngram_nats, token_nats
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


class Network:
    """The network alone: log probabilities of the tokens that follow. Exported networks take one token at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

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


class LanguageModel:
    """Scores and generates text. Holds one network on one device, and perhaps an n-gram; use one per thread."""

    def __init__(self, engine: Engine, manifest: LanguageManifest, ngram: KneserNey | None = None) -> None:
        self.engine, self.manifest, self.network, self.ngram = engine, manifest, Network(engine), ngram
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

    def start(self, batch: int) -> Any:
        state = self.network.start(batch)
        return state if self.ngram is None else (state, self.ngram.contexts(batch))

    def step(self, tokens: Text, state: Any) -> tuple[NDArray[np.floating], Any]:
        """Advance by one token per text [B]; return the log probabilities of the next [B, V] and the new state."""
        if self.ngram is None:
            return self.network.step(tokens, state)
        logs, after = self.network.step(tokens, state[0])
        contexts = self.ngram.after(state[1], tokens)
        return self._mixed(logs, contexts), (after, contexts)

    def log_probabilities(self, text: Text) -> NDArray[np.floating]:
        """Return the log probabilities [T, V] of the token that follows each token of a text, from a zero state."""
        logs = self.network.steps(text[:, None], self.network.start(1))[0][:, 0]
        if self.ngram is None:
            return logs
        contexts = [self.ngram.contexts(1)]
        for token in text:
            contexts.append(self.ngram.after(contexts[-1], np.array([token])))
        return self._mixed(logs, np.concatenate(contexts[1:]))

    def _mixed(self, logs: NDArray[np.floating], contexts: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return the model's log probabilities [N, V] from the network's, after contexts of the n-gram."""
        assert self.ngram is not None
        share = self.manifest.ngram_share
        return np.asarray(np.log((1 - share) * np.exp(logs) + share * self.ngram.following(contexts)))

    def scores(self, texts: Sequence[Text], bar: Callable[[int, int], None] = lambda _d, _t: None) -> NDArray[Any]:
        """Return the sum of the tokens' nats and the number of scored tokens of each text, [n, 2].

        With an n-gram, the sums of the network alone and of the n-gram alone follow, [n, 4].
        If passages form one running text, the state is carried from each to the next, and the very first token is not
        scored; otherwise each text starts after `<end>` from a zero state.
        """
        nats = token_nats(self.network, texts, self.vocabulary.end, self.manifest.carry, bar)
        owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
        owner = owner[len(owner) - len(nats) :]
        columns = [nats, np.ones(len(nats))]
        if self.ngram is not None:
            mixed = mixed_nats(nats, self.ngram, texts, self.manifest.ngram_share)
            columns = [mixed, columns[1], nats, ngram_nats(self.ngram, texts, len(nats))]
        return np.stack([np.bincount(owner, weights=column, minlength=len(texts)) for column in columns], 1)


def ngram_of(bundle: Bundle[LanguageManifest]) -> KneserNey | None:
    """Return a bundle's n-gram if it has a share in the model. Raises GestaError if it is missing or damaged."""
    manifest = bundle.manifest
    if not manifest.ngram_share:
        return None
    artifact, vocabulary = bundle.find("counts", "numpy", stage=NGRAM), manifest.known.vocabulary
    if artifact is None:
        raise GestaError(f"{bundle.path}: lacks the n-gram that is part of the model. Use the bundle training wrote.")
    where = f"{bundle.path}: {artifact.file}"
    order = TextInputSettings.model_validate(manifest.recipe["input"]).ngram
    arrays = sparse.decode(bundle.read(artifact), where)
    return KneserNey.of_arrays(arrays, order, len(vocabulary), start=vocabulary.end, where=where)
