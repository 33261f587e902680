"""Inference with a translator: beam search, sentence vectors, BLEU. Does not use PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesta.engines.base import Engine
from gesta.schema import GestaError
from gesta.tasks.text.beam import Hypothesis, beam_search
from gesta.tasks.text.manifest import TranslationManifest
from gesta.tasks.text.pairs import SentencePair
from gesta.tasks.text.pairs import sources as token_sources
from gesta.tasks.text.recipe import BeamSettings
from gesta.tasks.text.vocabulary import Vocabulary
from gesta.words import install

TOGETHER = 32
"""Sentences translated per batch."""
STAGES = ("encoder", "network")
Text = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]
SENTENCE_AXIS = {"memory": 1, "lengths": 0, "vector": 0, "h": 1, "c": 1}


@dataclass(frozen=True)
class Translation:
    """The best hypothesis in words, its score, and all hypotheses, the best first."""

    text: str
    score: float
    hypotheses: tuple[Hypothesis, ...]


class SentenceWriter:
    """Generates a sentence for each source by beam search. Holds two networks on one device; use one per thread.

    Subclasses implement `feed`, which turns sources [S] or [S, D] into inputs of the encoder.
    """

    def __init__(self, engine: Engine, manifest: Any) -> None:
        self.engine, self.manifest = engine, manifest
        self.target: Vocabulary = manifest.target.vocabulary
        self.search = BeamSettings.model_validate(manifest.recipe["search"])

    def feed(self, sources: Sequence[NDArray[Any]]) -> Arrays:
        """Return the encoder's inputs: source and lengths."""
        raise NotImplementedError

    def sentences(
        self, sources: Sequence[NDArray[Any]], bar: Callable[[int, int], None] = lambda _d, _t: None
    ) -> list[Translation]:
        """Return a sentence for each source, in order; sources of similar length are batched together."""
        order = np.argsort([len(source) for source in sources], kind="stable")
        found: dict[int, Translation] = {}
        for i in range(0, len(order), TOGETHER):
            rows = order[i : i + TOGETHER]
            for row, hypotheses in zip(rows, self._search([sources[r] for r in rows]), strict=True):
                found[int(row)] = self._translation(hypotheses)
            bar(min(i + TOGETHER, len(order)), len(order))
        return [found[row] for row in range(len(sources))]

    def _translation(self, hypotheses: Sequence[Hypothesis]) -> Translation:
        if not hypotheses:
            return Translation("", float("-inf"), ())
        best = hypotheses[0]
        return Translation(" ".join(self.target.decode(best.tokens)), best.score, tuple(hypotheses))

    def _search(self, sources: Sequence[NDArray[Any]]) -> list[list[Hypothesis]]:
        assert self.target.end is not None
        return beam_search(
            self.step,
            select,
            self.encode(sources),
            sentences=len(sources),
            end=self.target.end,
            never=self.target.unknown,
            how=self.search,
        )

    def encode(self, sources: Sequence[NDArray[Any]]) -> Arrays:
        """Return what the decoder starts from: memory [S, B, 2H], lengths [B], vector [B, 2H], h and c [L, B, H]."""
        feed = self.feed(sources)
        return {**self.engine.run(feed, stage="encoder"), "lengths": feed["lengths"]}

    def step(self, tokens: Text, state: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], Arrays]:
        """Advance by one word per sentence [B] from the state; return the next log probabilities [B, V] and state."""
        seen = ("memory", "lengths") if self.manifest.attention else ("vector",)
        feed = {"tokens": tokens[None], **{name: state[name] for name in seen}}
        found, later = self.engine.step(feed, {name: state[name] for name in ("h", "c")})
        return found["log_probabilities"][0], {**state, **later}


class Translator(SentenceWriter):
    """Translates sentences."""

    def __init__(self, engine: Engine, manifest: TranslationManifest) -> None:
        super().__init__(engine, manifest)
        self.source = manifest.source.vocabulary

    def feed(self, sources: Sequence[Text]) -> Arrays:
        return token_sources(sources, 0)

    def predict(self, given: str | SentencePair) -> Translation:
        """Translate a sentence. Words that the model does not know are read as `<unk>`."""
        return self.translate([given.source if isinstance(given, SentencePair) else given])[0]

    def translate(
        self, sentences: Sequence[str], bar: Callable[[int, int], None] = lambda _d, _t: None
    ) -> list[Translation]:
        """Translate sentences, in order; the translation of one without words is empty."""
        texts = [self.source.sentence(sentence.split()) for sentence in sentences]
        found = iter(self.sentences([text for text in texts if len(text) > 1], bar))
        return [next(found) if len(text) > 1 else Translation("", 0.0, ()) for text in texts]

    def unknown(self, sentences: Sequence[str]) -> list[str]:
        """Return the different words that the model does not know, in order."""
        return [word for word in dict.fromkeys(" ".join(sentences).split()) if word not in self.source]

    def vectors(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Return the encoder's last states [n, 2H]: a vector for each sentence or paragraph of known words."""
        texts = [self.source.sentence(sentence.split()) for sentence in sentences]
        return np.concatenate([self.encode([text])["vector"] for text in texts])


def select(state: Mapping[str, NDArray[Any]], rows: Text) -> Arrays:
    """Return the state of the given sentences, in that order."""
    return {name: np.take(array, rows, SENTENCE_AXIS[name]) for name, array in state.items()}


def nearest_sentences(vectors: NDArray[np.float32], wanted: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """Return the indices of the `count` vectors [n, D] with the smallest angle to `wanted` [D], and the cosines."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(wanted)
    cosine = vectors @ wanted / np.where(lengths > 0, lengths, 1)
    return [(int(i), float(cosine[i])) for i in np.argsort(-cosine, kind="stable")[:count]]


def bleu(said: Sequence[str], *references: Sequence[str | None]) -> float:
    """Compute corpus BLEU with sacrebleu on the tokens unchanged (`--tokenize none`), in percent.

    `references`: one sequence per reference set; None where a sentence has fewer references. Raises GestaError for
    different counts, and if sacrebleu is not installed.
    """
    for wording in references:
        if len(said) != len(wording):
            raise GestaError(
                f"{len(said)} translations for {len(wording)} references; expected as many translations as references."
            )
    try:
        import sacrebleu
    except ImportError as error:
        raise GestaError(f"BLEU needs sacrebleu, which is not installed. Install it: {install('text')}") from error
    columns: list[Any] = [list(wording) for wording in references]
    return float(sacrebleu.corpus_bleu(list(said), columns, tokenize="none", force=True).score)  # tokenized as wanted
