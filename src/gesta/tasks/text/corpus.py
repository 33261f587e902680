"""A text and a recipe -> numbers: the vocabulary, and the token numbers of every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError
from gesta.tasks.text import data
from gesta.tasks.text.ngram import KneserNey
from gesta.tasks.text.recipe import TextInputSettings
from gesta.tasks.text.vocabulary import Vocabulary, characters, words

Text = NDArray[np.int64]
Whole = TypeVar("Whole", str, list[list[str]])
TEST_SHARE = 0.1


@dataclass(frozen=True)
class Corpus:
    """`parts`: train, val and those that are scored (dev, test) -> texts; words: one text a sentence, with `<end>`."""

    vocabulary: Vocabulary
    parts: Mapping[str, Sequence[Text]]
    source: str

    def tokens(self, part: str) -> int:
        return sum(map(len, self.parts.get(part, ())))

    def unknown_share(self, part: str) -> float:
        """How many of a part's tokens are `<unk>`."""
        unknown = self.vocabulary.unknown
        return sum(int((text == unknown).sum()) for text in self.parts[part]) / max(self.tokens(part), 1)

    def baseline(self, order: int) -> dict[str, float]:
        """Nats a token of a Kneser-Ney n-gram of train (and val, which it needs no choice on), on the other parts."""
        model = KneserNey(
            [*self.parts["train"], *self.parts["val"]], order, len(self.vocabulary), start=self.vocabulary.end
        )
        return {part: model.nats(texts) for part, texts in self.parts.items() if part not in ("train", "val")}


def read_corpus(path: Path, settings: TextInputSettings, seed: int = 0) -> Corpus:
    """Reads and divides a text file, a folder of text, or captions. Raises GestaError as gesta.tasks.text.data does."""
    layout = data.layout_of(path)
    if layout == "pairs":
        raise GestaError(f"{path}: holds sentence pairs. A language model wants one language: give one of the files.")
    if layout == "captions":
        if settings.unit == "character":
            raise GestaError(f"{path}: captions are sentences, so their tokens are words: --set input.unit=word.")
        captions = data.read_captions(path)
        sentences = data.hold_out(captions["train"], settings.validation, seed)
        for part in ("dev", "test"):
            sentences[part] = [caption for _, caption in captions[part]]
        return _words(path, sentences, settings)
    text = data.whole_text(path)
    if settings.unit == "word":
        lines = [line.split() for line in text.split("\n") if line.strip()]
        return _words(path, split(lines, settings.validation), settings)
    parts = split(text, settings.validation)
    vocabulary = characters(parts["train"], parts["val"], parts["test"], minimum_count=settings.minimum_count)
    encoded = {part: [vocabulary.encode(held)] if held else [] for part, held in parts.items()}
    return Corpus(vocabulary, encoded, str(path))


def _words(path: Path, sentences: Mapping[str, list[list[str]]], settings: TextInputSettings) -> Corpus:
    vocabulary = words(sentences["train"], minimum_count=settings.minimum_count, most=settings.most)
    return Corpus(
        vocabulary,
        {part: [vocabulary.sentence(sentence) for sentence in held] for part, held in sentences.items()},
        str(path),
    )


def split(whole: Whole, validation: float, test: float = TEST_SHARE) -> dict[str, Whole]:
    """train, val, test by position: the last `test` of the text or its lines, before it `validation` of the rest.

    Raises GestaError where nothing would be left to learn from or to score.
    """
    learned = int(len(whole) * (1 - test))
    held_out = round(learned * validation)
    train, val, scored = whole[: learned - held_out], whole[learned - held_out : learned], whole[learned:]
    if not train or not scored or (validation and not val):
        kind = "characters" if isinstance(whole, str) else "lines"
        raise GestaError(f"The text has {len(whole)} {kind}: too few to divide into training, validation and test.")
    return {"train": train, "val": val, "test": scored}
