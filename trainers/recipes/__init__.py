"""Recipes: the schema, its checks, files, single settings, and the presets by name."""

from trainers.recipes.schema import Recipe

__all__ = ["Recipe"]
