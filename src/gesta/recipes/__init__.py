"""Typed recipes and their YAML files, one folder for each source document."""

from gesta.recipes.load import RecipeError, load_recipe, names, read_text
from gesta.recipes.schema import Recipe
from gesta.recipes.settling import Facts, settle

__all__ = ["Facts", "Recipe", "RecipeError", "load_recipe", "names", "read_text", "settle"]
