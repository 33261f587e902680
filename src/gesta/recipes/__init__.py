"""Typed recipes and their YAML files, one folder for each source document."""

from gesta.recipes.load import (
    RecipeError,
    changed,
    changed_poses,
    is_for_images,
    is_for_poses,
    load_any,
    load_image_recipe,
    load_pose_recipe,
    load_recipe,
    names,
    read_text,
)
from gesta.recipes.poses import PoseRecipe
from gesta.recipes.schema import ImageRecipe, Recipe
from gesta.recipes.settling import Facts, settle

__all__ = [
    "Facts",
    "ImageRecipe",
    "PoseRecipe",
    "Recipe",
    "RecipeError",
    "changed",
    "changed_poses",
    "is_for_images",
    "is_for_poses",
    "load_any",
    "load_image_recipe",
    "load_pose_recipe",
    "load_recipe",
    "names",
    "read_text",
    "settle",
]
