"""Sentence pairs as numbers: samples with their parts, two vocabularies, batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gesta.schema import GestaError, Listing, Resource
from gesta.tasks.text.batches import Arranged, Batch, following, padded
from gesta.tasks.text.corpus import PARTS
from gesta.tasks.text.data import read_pairs
from gesta.tasks.text.recipe import PairInputSettings
from gesta.tasks.text.vocabulary import Vocabulary, words

Text = NDArray[np.int64]


@dataclass(frozen=True)
class SentencePair:
    """A sentence in several languages, words joined by spaces; the recipe selects `source` and `target`."""

    id: str
    texts: Mapping[str, str]
    files: tuple[Resource, ...]
    split: str | None = None
    source: str = ""
    target: str = ""
    label: str | None = None
    subject: str | None = None

    @property
    def identity(self) -> str:
        """A short hash of its position and content, so that a sentence repeated in the test part is still scored."""
        return hashlib.sha256("\n".join([self.id, *self.texts.values()]).encode()).hexdigest()[:16]


def read(folder: Path) -> Listing:
    """Read the sentences of a folder's files, with the parts of the files. Raises GestaError as `read_pairs` does."""
    found = [
        SentencePair(f"{part}:{number}", texts, (Resource(folder),), part)
        for part, sentences in read_pairs(folder).items()
        for number, texts in enumerate(sentences)
    ]
    return Listing(folder, "pairs", tuple(found))


def divide(listing: Listing, settings: PairInputSettings, seed: int) -> Listing:
    """Move a share of the training pairs to val, and set the source and target of each pair.

    Raises GestaError for a missing language, and if too few pairs are left.
    """
    known = listing.samples[0].texts if listing.samples else {}
    for language in (settings.source, settings.target):
        if language not in known:
            there = ", ".join(known) or "none"
            raise GestaError(f"{listing.root}: there is no train.{language}. Available languages: {there}.")
    train = [i for i, pair in enumerate(listing.samples) if pair.split == "train"]
    count = round(len(train) * settings.validation)
    if count == len(train) or (settings.validation and not count):
        raise GestaError(f"{listing.root}: {len(train)} training pairs are too few to hold some out.")
    chosen = {train[i] for i in np.random.default_rng(seed).permutation(len(train))[:count]}
    return replace(
        listing,
        samples=tuple(
            replace(
                pair,
                split="val" if i in chosen else pair.split,
                source=pair.texts[settings.source],
                target=pair.texts[settings.target],
            )
            for i, pair in enumerate(listing.samples)
        ),
    )


@dataclass(frozen=True)
class PairCorpus:
    """`parts`: part -> (source, target) token numbers of every pair, each with `<end>`."""

    source: Vocabulary
    target: Vocabulary
    parts: Mapping[str, Sequence[tuple[Text, Text]]]
    folder: str


def corpus_of(listing: Listing, settings: PairInputSettings) -> PairCorpus:
    """Convert divided pairs to numbers; both vocabularies are those of train.

    Training pairs with an empty line are dropped.
    """
    held = {part: [p for p in listing.samples if p.split == part] for part in PARTS}
    train = [p for p in held["train"] if p.source and p.target]
    source = words((p.source.split() for p in train), minimum_count=settings.source_minimum_count)
    target = words((p.target.split() for p in train), minimum_count=settings.target_minimum_count)
    parts = {
        part: [(source.sentence(p.source.split()), target.sentence(p.target.split())) for p in pairs]
        for part, pairs in {**held, "train": train}.items()
    }
    return PairCorpus(source, target, parts, str(listing.root))


class PairSet(Arranged):
    """Batches of pairs with similar target length: source [S, B], lengths [B], inputs, targets and mask [T, B]."""

    def __init__(
        self, pairs: Sequence[tuple[Text, Text]], batch: int, end: int, *, shuffle: bool = False, seed: int = 0
    ) -> None:
        super().__init__([len(target) for _, target in pairs], batch, shuffle=shuffle, seed=seed)
        self.pairs, self.end = pairs, end

    def collate(self, items: Sequence[int]) -> Batch:
        (index,) = items
        chosen = [self.pairs[i] for i in self.rows(index)]
        return {
            **sources([source for source, _ in chosen], self.end),
            **following([target for _, target in chosen], self.end),
        }


def sources(texts: Sequence[Text], filler: int) -> Batch:
    """Return source int64 [S, B], padded with `filler`, and lengths [B]."""
    tokens, _ = padded(texts, filler)
    return {"source": tokens, "lengths": np.array([len(text) for text in texts], np.int64)}
