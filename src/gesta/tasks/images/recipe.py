"""Recipes for single images in the layout of CIFAR: which network, how it is trained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from gesta.recipes.schema import OR_OUTSIDE, NetworkSettings, Recipe, TrainingSettings


class ImageModelSettings(NetworkSettings):
    """Which network for images. Names stand in gesta.models.catalog.IMAGE_MODELS."""

    name: Annotated[Literal["resnet_cifar", "nin", "vgg"], *OR_OUTSIDE]
    dropout: float = Field(0.0, ge=0, lt=1)
    normalization: bool = Field(True, description="batch normalisation everywhere; false: only where papers have it")


class ImageRecipe(Recipe):
    """A complete recipe for single images in the layout of CIFAR, as they are: no transform, no augmentation."""

    task: ClassVar[str] = "images"

    kind: Literal["images"]
    model: ImageModelSettings
    training: TrainingSettings

    @field_validator("training")
    @classmethod
    def _for_images(cls, training: TrainingSettings) -> TrainingSettings:
        if "auto" in (training.epochs, training.batch):
            raise ValueError("epochs and batch are numbers for images, not auto")
        if training.pretrain_epochs or training.freeze_encoder or training.loss_over != "last":
            raise ValueError("pretrain_epochs, freeze_encoder and loss_over are for clips, not for images")
        return training
