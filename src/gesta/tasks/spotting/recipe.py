"""Recipes for gesture spotting: skeleton normalization, network, and training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gesta.clips.skeleton_augment import SkeletonAugmentation
from gesta.recipes.schema import Auto, Recipe, Strict


class SpottingInputSettings(Strict):
    """How skeletons are normalized (gesta.clips.skeleton_space), and how far the network looks ahead."""

    fps: Annotated[float, Field(gt=0, le=240)] | Auto = Field("auto", description="auto: that of most recordings")
    origin: Literal["frame", "first", "none"] = Field("first", description="middle of each frame, or of the first")
    scale: Literal["so_far", "first", "none"] = "so_far"
    view: Literal["first", "none"] = "none"
    least_confidence: float = Field(0.0, ge=0, le=1, description="joints below it count as missing")
    delay_s: float = Field(0.0, ge=0, le=2, description="seconds of later frames used to label a frame")


class SpottingModelSettings(Strict):
    """The network: gesta.models.tcn, or logistic regression on a window of frames (gesta.models.window)."""

    name: Literal["tcn", "window"] = "tcn"
    width: int = Field(96, ge=8, le=1024)
    dilations: tuple[Annotated[int, Field(ge=1, le=512)], ...] = Field((1, 2, 4, 8, 16), min_length=1, max_length=12)
    dropout: float = Field(0.2, ge=0, lt=1)
    centered: bool = Field(
        True, description="positions relative to the middle of each frame; movements are still those in space"
    )
    window: int = Field(
        30, ge=1, le=1000, description="network window: number of frames it sees; the other settings are for tcn"
    )


class SpottingTrainingSettings(Strict):
    """An epoch is a number of windows, cut at random from recordings or composed of single gestures."""

    epochs: int = Field(35, ge=1)
    windows: int = Field(240, ge=1, description="windows per epoch")
    window_s: float = Field(9.6, gt=0, le=600)
    composed: float = Field(0.5, ge=0, le=1, description="share of windows composed of single gestures and rests")
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(0.002, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    schedule: Literal["constant", "one_cycle"] = "one_cycle"
    weight_decay: float = Field(0.01, ge=0)
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    smoothness: float = Field(
        0.15, ge=0, le=10, description="weight of the squared change of the log probabilities from frame to frame"
    )
    batch: int = Field(12, ge=1)
    gradient_clip: float | None = Field(1.0, gt=0, description="largest norm of the gradient")
    patience: int | None = Field(
        None, ge=1, description="stop after this many epochs without a better validation result"
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] | Auto = "32-true"
    refit: bool = Field(
        False, description="once epoch and decoder are chosen, train again with the validation recordings included"
    )


class SpottingRecipe(Recipe):
    """A complete recipe for spotting gestures in recordings of skeletons."""

    task: ClassVar[str] = "spotting"

    kind: Literal["spotting"]
    input: SpottingInputSettings = SpottingInputSettings()
    model: SpottingModelSettings = SpottingModelSettings()
    augmentation: SkeletonAugmentation = SkeletonAugmentation()
    training: SpottingTrainingSettings = SpottingTrainingSettings()
