"""Recipes for single images in CIFAR layout: network and training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gesta.recipes.schema import OR_OUTSIDE, NetworkSettings
from gesta.tasks.arrays import ArrayRecipe


class ImageModelSettings(NetworkSettings):
    """The image network. Names are listed in gesta.models.catalog.IMAGE_MODELS."""

    name: Annotated[Literal["resnet_cifar", "nin", "vgg"], *OR_OUTSIDE]
    dropout: float = Field(0.0, ge=0, lt=1)
    normalization: bool = Field(True, description="batch normalization everywhere; false: only where papers have it")


class ImageRecipe(ArrayRecipe):
    """A complete recipe for single images in CIFAR layout, used as they are: no transform, no augmentation."""

    task: ClassVar[str] = "images"

    kind: Literal["images"]
    model: ImageModelSettings
