"""From a text and a recipe to numbers: passages with their parts, the vocabulary, the token numbers of every part."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, Listing, Resource
from gesta.tasks.text import data
from gesta.tasks.text.ngram import KneserNey
from gesta.tasks.text.recipe import TextInputSettings
from gesta.tasks.text.vocabulary import Vocabulary, characters, words
from gesta.words import counted

Text = NDArray[np.int64]
Whole = TypeVar("Whole", str, list[str])
TEST_SHARE = 0.1
PARTS = ("train", "val", "dev", "test")
LEARNED = ("train", "val")


@dataclass(frozen=True)
class Passage:
    """A piece of text to learn from or to score: a running text, a line of one, or a caption of the image `group`."""

    id: str
    text: str
    files: tuple[Resource, ...]
    split: str | None = None
    group: str = ""
    label: str | None = None
    subject: str | None = None

    @property
    def identity(self) -> str:
        """A short hash of the content; the same caption of two images gives two different passages."""
        return hashlib.sha256(f"{self.group}\n{self.text}".encode()).hexdigest()[:16]


def read(path: Path, layout: data.Layout | None = None) -> Listing:
    """Read a text file, a folder of text, or captions, not yet divided into parts.

    Raises GestaError as gesta.tasks.text.data does.
    """
    layout = layout or data.layout_of(path)
    if layout == "pairs":
        raise GestaError(
            f"{path}: contains sentence pairs, but a language model learns one language. Give one of the files."
        )
    if layout == "captions":
        file = (Resource(path / data.CAPTIONS),)
        captions = data.read_captions(path)
        found = [
            Passage(f"{image}#{number}", " ".join(caption), file, part, image)
            for part, held in captions.items()
            for number, (image, caption) in enumerate(held)
        ]
        return Listing(path, layout, tuple(found))
    return Listing(path, layout, (Passage(path.name, data.whole_text(path), (Resource(path),)),))


def divide(listing: Listing, settings: TextInputSettings, seed: int) -> Listing:
    """Assign the passages to parts: some training images of captions are held out; a text is divided by position.

    Raises GestaError if the text is too short, and for characters as tokens of captions.
    """
    if listing.layout == "captions":
        if settings.unit == "character":
            raise GestaError(f"{listing.root}: captions are sentences, so tokens must be words. Set input.unit=word.")
        chosen = held_out([p.group for p in listing.samples if p.split == "train"], settings.validation, seed)
        parts = ["val" if p.split == "train" and p.group in chosen else p.split for p in listing.samples]
        return replace(listing, samples=tuple(replace(p, split=s) for p, s in zip(listing.samples, parts, strict=True)))
    (whole,) = listing.samples
    if settings.unit == "character":
        pieces = {part: [text] for part, text in by_position(whole.text, settings.validation).items() if text}
    else:
        pieces = by_position([line for line in whole.text.split("\n") if line.strip()], settings.validation)
    found = [
        replace(whole, id=f"{whole.id}:{part}:{number}", text=text, split=part, group=f"{part}:{number}")
        for part, texts in pieces.items()
        for number, text in enumerate(texts)
    ]
    return replace(listing, samples=tuple(found))


def held_out(groups: Sequence[str], share: float, seed: int) -> set[str]:
    """Return a random share of the groups, drawn with the seed, so that no image has captions in both parts."""
    names = sorted(set(groups))
    return {names[i] for i in np.random.default_rng(seed).permutation(len(names))[: round(len(names) * share)]}


def by_position(whole: Whole, validation: float, test: float = TEST_SHARE) -> dict[str, Whole]:
    """Divide a text or its lines into train, val and test by position.

    Test is the last `test` of the whole, val the last `validation` of the rest. Raises GestaError if nothing is left to
    learn from or to score.
    """
    learned = int(len(whole) * (1 - test))
    later = round(learned * validation)
    train, val, scored = whole[: learned - later], whole[learned - later : learned], whole[learned:]
    if not train or not scored or (validation and not val):
        size = counted(len(whole), "character" if isinstance(whole, str) else "line")
        raise GestaError(
            f"The text has {size}: too few to split into training, validation and test. Give a longer text; for words, "
            "with a sentence on each line."
        )
    return {"train": train, "val": val, "test": scored}


@dataclass(frozen=True)
class Corpus:
    """A vocabulary and the texts of each part as numbers.

    `parts`: train, val and the scored ones (dev, test) -> texts; with words, one text per sentence, with `<end>`.
    """

    vocabulary: Vocabulary
    parts: Mapping[str, Sequence[Text]]
    source: str

    def tokens(self, part: str) -> int:
        return sum(map(len, self.parts[part]))

    @property
    def scored(self) -> dict[str, Sequence[Text]]:
        """The parts that nothing is learned from, those without text left out."""
        return {part: held for part, held in self.parts.items() if part not in LEARNED and held}

    def ngram(self, order: int, in_model: bool = False) -> KneserNey:
        """Return a Kneser-Ney n-gram, counted on train and val, since nothing about it is chosen on val.

        One that is part of a model is counted on train alone, so that val remains unseen.
        """
        texts = [text for part in (LEARNED[:1] if in_model else LEARNED) for text in self.parts[part]]
        return KneserNey(texts, order, len(self.vocabulary), start=self.vocabulary.end)


def corpus_of(listing: Listing, settings: TextInputSettings) -> Corpus:
    """Convert divided passages to numbers.

    The vocabulary is that of train and val, so that it does not depend on what is held out. Raises GestaError if it is
    empty.
    """
    texts = {part: [p.text for p in listing.samples if p.split == part] for part in PARTS}
    vocabulary = vocabulary_of(texts, settings)
    parts = {part: [numbers(vocabulary, text) for text in held] for part, held in texts.items()}
    return Corpus(vocabulary, parts, str(listing.root))


def vocabulary_of(texts: Mapping[str, Sequence[str]], settings: TextInputSettings) -> Vocabulary:
    learned = [text for part in LEARNED for text in texts[part]]
    if settings.unit == "character":
        others = ["".join(held) for part, held in texts.items() if part not in LEARNED]
        return characters("".join(learned), *others, minimum_count=settings.minimum_count)
    return words((text.split() for text in learned), minimum_count=settings.minimum_count, most=settings.most)


def numbers(vocabulary: Vocabulary, text: str) -> Text:
    """Return a passage's token numbers: characters unchanged, words with `<end>`.

    Raises GestaError as Vocabulary does.
    """
    return vocabulary.sentence(text.split()) if vocabulary.unit == "word" else vocabulary.encode(text)


def read_corpus(path: Path, settings: TextInputSettings, seed: int = 0) -> Corpus:
    """Apply `read`, `divide` and `corpus_of`."""
    return corpus_of(divide(read(path), settings, seed), settings)
