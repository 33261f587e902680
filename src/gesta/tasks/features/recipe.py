"""Recipes for classifiers of stored features: the features, the classifier, and its training."""

from __future__ import annotations

from operator import not_
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gesta.recipes.schema import OR_OUTSIDE, NetworkSettings, Recipe, Strict, TrainingSettings


class StoredFeatures(Strict):
    """The settings that the feature folder must have been made with (`gesta features`); null accepts any value."""

    backbone: str | None = Field(None, description="as in gesta features --backbone")
    stage: str | None = Field(None, description="as in --stage")
    frames: int | None = Field(None, ge=1, description="as in --frames")
    every: int | None = Field(None, ge=1, description="as in --every")


class SequenceModelSettings(NetworkSettings):
    """The classifier; see gesta.models.feature_classifier."""

    name: Annotated[Literal["mean", "gru", "lstm"], *OR_OUTSIDE]
    hidden: int = Field(128, ge=1, description="units of a recurrent layer")
    layers: int = Field(1, ge=1, le=2, description="recurrent layers")
    dense: int = Field(1, ge=1, le=2, description="linear layers")
    dense_width: int = Field(512, ge=1, description="units of the first of two linear layers")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="after recurrent layers and after the first of two linear layers"
    )
    normalise: bool = Field(False, description="z-normalization by the training part's statistics")
    changes: bool = Field(
        False, exclude_if=not_, description="each feature's change since the step before instead of the feature"
    )
    keras: bool = Field(
        False,
        exclude_if=not_,  # so that run keys and bundles from before the option existed stay the same
        description="dropout only on the inputs of recurrent layers, one mask per sequence, and Keras' initial weights",
    )

    @model_validator(mode="after")
    def _changes_are_in_order(self) -> SequenceModelSettings:
        if self.changes and self.name == "mean":
            raise ValueError("changes: their mean is only the last feature less the first; choose name lstm or gru")
        return self


class FeatureClassifierRecipe(Recipe):
    """A complete recipe for `gesta train FEATURES`, where FEATURES is a folder made by `gesta features`."""

    task: ClassVar[str] = "features"

    kind: Literal["features"]
    features: StoredFeatures
    model: SequenceModelSettings
    training: TrainingSettings

    @field_validator("training")
    @classmethod
    def _for_sequences(cls, training: TrainingSettings) -> TrainingSettings:
        return training.in_one_stage("stored features")
