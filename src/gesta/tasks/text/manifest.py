"""Manifests of models of text."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from gesta.bundle.manifest import Manifest, Names, Strict
from gesta.tasks.feature_store import FeatureRecipe
from gesta.tasks.text.recipe import LanguageModelSettings, TextInputSettings
from gesta.tasks.text.vocabulary import Unit, Vocabulary

NGRAM = "ngram"
"""The stage of a bundle that holds the counts of its n-gram."""


class KnownTokens(Strict):
    """The vocabulary: the kind of token, and the tokens by number."""

    unit: Unit
    tokens: Names

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.unit, self.tokens)

    @classmethod
    def of(cls, vocabulary: Vocabulary) -> KnownTokens:
        return cls(unit=vocabulary.unit, tokens=vocabulary.tokens)


class LanguageManifest(Manifest):
    """Manifest of a language model.

    Its network is a `step`: tokens int64 [1, B] and the state h, c [L, B, H] -> log_probabilities float32 [1, B, V] of
    the token that follows each, and the new state. The counts of an n-gram that has a share in the model are the
    stage NGRAM.
    """

    title: ClassVar[str] = "a language model"
    unit: ClassVar[str] = "passages"
    pipeline_tag: ClassVar[str | None] = "text-generation"

    kind: Literal["text"] = "text"
    known: KnownTokens

    @model_validator(mode="after")
    def _recipe_is_valid(self) -> LanguageManifest:
        if missing := [part for part in ("model", "input") if part not in self.recipe]:
            raise ValueError(f"recipe.{missing[0]} is missing")
        LanguageModelSettings.model_validate(self.recipe["model"])
        TextInputSettings.model_validate(self.recipe["input"])
        return self

    @property
    def carry(self) -> bool:
        """Whether passages form one running text whose state is carried from one to the next."""
        return bool(self.recipe["training"]["carry"])

    @property
    def network(self) -> str:
        model = self.recipe["model"]
        lstm = f"LSTM, {model['layers']} x {model['hidden']}"
        return f"{lstm}, and an n-gram ({self.ngram_share:.0%})" if self.ngram_share else lstm

    @property
    def ngram_share(self) -> float:
        """Weight of the n-gram's probability in the model's."""
        return float(self.recipe["model"].get("ngram_share", 0.0))

    @property
    def summary(self) -> str:
        return f"Predicts the next {self.known.unit}, one of {len(self.known.tokens)}, and so writes text."

    @property
    def input_lines(self) -> list[str]:
        return [f"text in UTF-8, as {self.known.unit}s: {', '.join(map(repr, self.known.tokens[:20]))} ..."]


class SentenceManifest(Manifest):
    """Base manifest of models that generate sentences.

    Networks: the stages "encoder" (a `whole`) and "network" (the decoder's `step`).
    """

    target: KnownTokens

    @property
    def attention(self) -> bool:
        return bool(self.recipe["model"]["attention"])

    @property
    def network(self) -> str:
        model = self.recipe["model"]
        how = "with attention" if self.attention else "without attention"
        return f"encoder-decoder LSTM, {model['layers']} x {model['hidden']}, {how}"


class TranslationManifest(SentenceManifest):
    """Manifest of a translator."""

    title: ClassVar[str] = "a translator"
    unit: ClassVar[str] = "sentence pairs"
    pipeline_tag: ClassVar[str | None] = "translation"

    kind: Literal["translation"] = "translation"
    source: KnownTokens

    @property
    def summary(self) -> str:
        languages = self.recipe["input"]
        return f"Translates {languages['source']} into {languages['target']}, sentence by sentence."

    @property
    def input_lines(self) -> list[str]:
        return [
            f"a sentence, words separated by spaces; vocabulary: {len(self.source.tokens)} words",
            f"output vocabulary: {len(self.target.tokens)} words",
        ]


class FeatureUse(Strict):
    """The features a model was trained on: how they are made, numbers per feature, and typical number per video."""

    recipe: FeatureRecipe
    width: int = Field(ge=1)
    usual: int = Field(ge=1)

    @property
    def line(self) -> str:
        made = self.recipe
        rate = f"one for every {made.every} frames" if made.every else f"{made.frames or self.usual} per video"
        return f"features of a video, {self.width} numbers each, {rate}: {made.backbone}, {made.stage}"


class CaptionManifest(SentenceManifest):
    """Manifest of a captioning model. `frequent`: the most frequent caption of the training part."""

    title: ClassVar[str] = "a captioner"
    unit: ClassVar[str] = "videos"
    pipeline_tag: ClassVar[str | None] = "video-text-to-text"

    kind: Literal["captions"] = "captions"
    features: FeatureUse
    frequent: str

    @property
    def summary(self) -> str:
        return f"Describes what happens in a video, with a vocabulary of {len(self.target.tokens)} words."

    @property
    def input_lines(self) -> list[str]:
        return [self.features.line]


class VectorManifest(Manifest):
    """Manifest of a video2vec model: stages "video" and, if trained on captions, "text"."""

    title: ClassVar[str] = "vectors of videos"
    unit: ClassVar[str] = "videos"
    pipeline_tag: ClassVar[str | None] = "feature-extraction"

    kind: Literal["video2vec"] = "video2vec"
    features: FeatureUse
    known: KnownTokens | None = None

    @property
    def network(self) -> str:
        return f"bidirectional LSTM, {self.recipe['model']['hidden']}, learned from {self.recipe['objective']}"

    @property
    def summary(self) -> str:
        what = "videos and sentences" if self.known is not None else "videos"
        return f"Maps {what} to vectors of {self.recipe['model']['vector']} numbers, to find similar ones."

    @property
    def input_lines(self) -> list[str]:
        return [self.features.line]
