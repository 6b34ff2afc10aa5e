"""Recipes: the schema, its checks, files, single settings, and the presets by name."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from lab.checks import unknown
from trainers.recipes import laptop, papers
from trainers.recipes.checks import check, warnings
from trainers.recipes.files import read_recipe, write_recipe
from trainers.recipes.methods import METHODS
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import apply, differences, flatten, parse

__all__ = [
    "METHODS",
    "Recipe",
    "apply",
    "by_name",
    "check",
    "differences",
    "flatten",
    "load_recipe",
    "presets",
    "read_recipe",
    "warnings",
    "write_recipe",
]


@cache
def presets() -> Mapping[str, Recipe]:
    """The recipes that come with the project, by name."""
    return laptop.recipes() | papers.recipes()


def by_name(name: str) -> Recipe:
    """A preset. Raises ValueError, with the nearest name, for one that does not exist."""
    if name not in presets():
        raise ValueError(unknown("recipe", name, presets(), ", or a TOML file"))
    return presets()[name]


def load_recipe(name_or_path: str, settings: Iterable[str] = ()) -> Recipe:
    """A preset by name or a recipe from a file ending in .toml, with KEY=VALUE settings applied, checked.

    Raises ValueError for names, files, keys and values that do not exist or do not go together.
    """
    recipe = read_recipe(Path(name_or_path)) if name_or_path.endswith(".toml") else by_name(name_or_path)
    recipe = apply(recipe, parse(settings))
    check(recipe)
    return recipe
