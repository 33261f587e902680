"""Classification of single images in CIFAR layout, used to show the effect of pruning on well-known networks.

The images have no transform, and models trained on them are evaluated by `gesta reproduce`, not bundled. The task
therefore only provides recipes and nothing else of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gesta.schema import GestaError, Listing
from gesta.tasks import classification
from gesta.tasks.images.recipe import ImageRecipe


class ImageTask:
    """Recipes for the networks of `gesta reproduce mullick/table-4.4` and `mullick/table-4.5`."""

    name = "images"
    title = "classification of images"
    unit = "images"
    recipe = ImageRecipe
    default_recipe = "mullick/cifar-resnet-adam"
    quality = classification.ACCURACY
    options: Mapping[str, frozenset[str]] = {}

    def recognizes(self, data: Path, layout: str | None) -> bool:  # noqa: ARG002
        return False

    def read(self, data: Path, layout: str | None = None, like: str | None = None) -> Listing:  # noqa: ARG002
        raise GestaError(
            f"Image recipes are for images in the layout of CIFAR, not for {data}. "
            "To train them: gesta reproduce mullick/table-4.4 or mullick/table-4.5.",
            usage=True,
        )

    def recipe_from(self, start: Path, recipe: ImageRecipe | None, sets: Sequence[str]) -> Any:  # noqa: ARG002
        raise GestaError(f"{start}: image networks cannot start from a bundle. Leave --from out.", usage=True)


TASK = ImageTask()
