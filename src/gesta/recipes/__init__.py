"""Typed recipes and their YAML files."""

from gesta.recipes.load import changed, document_of, kind_of, load, names, read_text
from gesta.recipes.schema import Recipe, RecipeError

__all__ = ["Recipe", "RecipeError", "changed", "document_of", "kind_of", "load", "names", "read_text"]
