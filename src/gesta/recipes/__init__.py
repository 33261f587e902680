"""Typed recipes and their YAML files, one folder for each source document."""

from gesta.recipes.load import load_recipe, names, read_text, settle
from gesta.recipes.schema import Recipe

__all__ = ["Recipe", "load_recipe", "names", "read_text", "settle"]
