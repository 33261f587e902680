"""Recipes for text: tokens, network, and training."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gesta.recipes.schema import Auto, Recipe, Strict
from gesta.schema import is_zero
from gesta.tasks.text.vocabulary import MOST_WORDS

Precision = Literal["32-true", "bf16-mixed", "16-mixed", "auto"]


class TextInputSettings(Strict):
    """What a token is, and how much of the training part is held out to choose epochs and settings."""

    unit: Literal["character", "word"] = "character"
    minimum_count: int = Field(1, ge=1, description="rarer tokens of the training part become <unk>")
    most: int = Field(MOST_WORDS, ge=1, le=MOST_WORDS, description="maximum number of words in the vocabulary")
    validation: float = Field(0.05, ge=0, lt=1, description="share of the training part that is held out; 0: none")
    vectors: str | None = Field(
        None, description="file of word vectors (GloVe, word2vec) that initialize the embedding; null: random"
    )
    ngram: int = Field(
        5, ge=1, le=12, description="order of the Kneser-Ney n-gram: measured for comparison, or part of the model"
    )


class LanguageModelSettings(Strict):
    """The network (see gesta.models.language) and the n-gram's share."""

    embedding: int = Field(512, ge=1, description="size of the token embedding")
    hidden: int = Field(512, ge=1, description="units of an LSTM layer")
    layers: int = Field(3, ge=1, le=8, description="LSTM layers")
    tied: bool = Field(False, description="the output layer shares the weights of the embedding")
    dropout: float = Field(0.0, ge=0, lt=1, description="between layers and after the last one")
    input_dropout: float = Field(0.0, ge=0, lt=1, description="of the embedding's units")
    weight_dropout: float = Field(0.0, ge=0, lt=1, description="of recurrent weights")
    variational: bool = Field(False, description="a unit is dropped at all steps of a sequence or at none")
    cutoffs: tuple[int, ...] = Field(
        (), description="of an adaptive softmax, as in [2000, 10000]; empty: plain softmax"
    )

    ngram_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        exclude_if=is_zero,
        description="weight of the n-gram's probability in the model's; 0: the model is the network alone",
    )

    @property
    def network(self) -> dict[str, Any]:
        """The settings of gesta.models.language.LanguageNet."""
        return self.model_dump(exclude={"ngram_share"})

    @model_validator(mode="after")
    def _adaptive_is_untied(self) -> LanguageModelSettings:
        if self.tied and self.cutoffs:
            raise ValueError(
                "model.tied does not work with an adaptive softmax: set model.tied=false, or leave model.cutoffs out"
            )
        return self


class TextTrainingSettings(Strict):
    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1, description="sequences per batch")
    steps: int = Field(
        128, ge=1, description="with carry: tokens of truncated backpropagation; without: longest sentence"
    )
    carry: bool = Field(True, description="one long text through which the state is carried; false: separate sentences")
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = Field(0.002, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(0.0, ge=0)
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="cosine: warm-up of 100 updates, then decay to 0"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of translation")
    gradient_clip: float | None = Field(1.0, gt=0, description="largest norm of the gradient")
    averaging: float = Field(
        0.0, ge=0, lt=1, description="decay of the exponential moving average of the weights; 0: no averaging"
    )
    patience: int | None = Field(None, ge=1, description="stop after this many epochs without a better validation loss")
    precision: Precision = "32-true"


class LanguageRecipe(Recipe):
    """A complete recipe for a language model of characters or words."""

    task: ClassVar[str] = "text"

    kind: Literal["text"]
    input: TextInputSettings = TextInputSettings()
    model: LanguageModelSettings = LanguageModelSettings()
    training: TextTrainingSettings = TextTrainingSettings()

    @model_validator(mode="after")
    def _vectors_are_of_words(self) -> LanguageRecipe:
        if self.input.vectors is not None and self.input.unit != "word":
            raise ValueError("input.vectors are word vectors: set input.unit=word, or leave input.vectors out")
        return self

    @field_validator("training")
    @classmethod
    def _no_smoothing(cls, training: TextTrainingSettings) -> TextTrainingSettings:
        if training.label_smoothing:
            raise ValueError("label_smoothing is for translation: a language model is measured by its probabilities")
        return training


class PairInputSettings(Strict):
    """The languages, given as file suffixes (train.de: de), and how many training pairs are held out for validation."""

    source: str = Field(description="source language, as in train.de: de")
    target: str = Field(description="target language")
    source_minimum_count: int = Field(2, ge=1, description="rarer source words become <unk>")
    target_minimum_count: int = Field(2, ge=1, description="rarer target words become <unk>, which is never written")
    validation: float = Field(0.03, ge=0, lt=1, description="share of the training pairs that is held out; 0: none")


class TranslationModelSettings(Strict):
    """The network; see gesta.models.translation."""

    embedding: int = Field(256, ge=1)
    hidden: int = Field(256, ge=1, description="units of an LSTM layer in one direction")
    layers: int = Field(1, ge=1, le=4)
    attention: bool = True
    dropout: float = Field(0.3, ge=0, lt=1)
    variational: bool = Field(False, description="a unit is dropped at all steps of a sentence or at none")


class BeamSettings(Strict):
    beams: int = Field(4, ge=1, description="1: greedy")
    penalty: float = Field(1.0, ge=0, description="log probability is divided by length to this power")
    longest: int = Field(60, ge=1, description="maximum number of words in the output")


class TranslationRecipe(Recipe):
    """A complete recipe for translation from sentence pairs."""

    task: ClassVar[str] = "translation"

    kind: Literal["translation"]
    input: PairInputSettings
    model: TranslationModelSettings = TranslationModelSettings()
    training: TextTrainingSettings = TextTrainingSettings()
    search: BeamSettings = BeamSettings()


class CaptionInputSettings(Strict):
    """The vocabulary."""

    minimum_count: int = Field(2, ge=1, description="rarer words of the captions become <unk>, which is never written")


class DescribedTrainingSettings(TextTrainingSettings):
    glosses: float = Field(
        0.5, ge=0, description="weight of the loss by which the encoder learns the glosses in captions.csv, if any"
    )
    validation: bool = Field(
        True,
        exclude_if=bool,
        description="false: validation recordings are trained on, too, and the last epoch is kept",
    )


Halvings = Annotated[int, Field(ge=0, le=4)] | Auto
_HALVINGS = Field(
    0,
    exclude_if=is_zero,
    description="temporal convolutions that each halve the steps before the LSTM; auto: at most two, for long videos",
)


class CaptionModelSettings(TranslationModelSettings):
    """The network; see gesta.models.captions."""

    halvings: Halvings = _HALVINGS


class CaptionRecipe(Recipe):
    """A complete recipe for captioning videos from their features."""

    task: ClassVar[str] = "captions"

    kind: Literal["captions"]
    input: CaptionInputSettings = CaptionInputSettings()
    search: BeamSettings = BeamSettings()
    model: CaptionModelSettings = CaptionModelSettings()
    training: DescribedTrainingSettings = DescribedTrainingSettings()


class VectorModelSettings(Strict):
    """The network; see gesta.models.video2vec."""

    embedding: int = Field(128, ge=1)
    hidden: int = Field(128, ge=1, description="units of an LSTM layer in one direction")
    vector: int = Field(128, ge=1, description="length of a video's vector")
    dropout: float = Field(0.3, ge=0, lt=1)
    halvings: Halvings = _HALVINGS


class VectorRecipe(Recipe):
    """A complete recipe for vectors of videos, used for search."""

    task: ClassVar[str] = "video2vec"

    kind: Literal["video2vec"]
    objective: Literal["captions", "classes", "reconstruction"] = Field(
        "captions",
        description="what the vectors are learned from; only with captions can they be compared with sentences",
    )
    input: CaptionInputSettings = CaptionInputSettings()
    model: VectorModelSettings = VectorModelSettings()
    training: DescribedTrainingSettings = DescribedTrainingSettings()
