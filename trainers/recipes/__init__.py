"""Recipes: the schema, its checks, files, single settings, and the presets by name."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from trainers.recipes import checks, laptop, papers
from trainers.recipes.checks import check
from trainers.recipes.files import read_recipe, write_recipe
from trainers.recipes.guidance import guidance
from trainers.recipes.idle import idle
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
    "with_paths",
    "write_recipe",
]


@cache
def presets() -> Mapping[str, Recipe]:
    """The recipes that come with the project, by name."""
    return laptop.recipes() | papers.recipes()


def by_name(name: str) -> Recipe:
    """A preset. Raises ValueError, with the nearest names, for one that does not exist."""
    if name not in presets():
        near = [repr(each) for each in get_close_matches(name, presets(), n=3, cutoff=0.4)]
        guess = f"; did you mean {' or '.join(near)}?" if near else "."
        raise ValueError(
            f"recipe={name!r} is unknown{guess} `python -m trainers recipes` lists all {len(presets())}; a file of your own ends in .toml"
        )
    return presets()[name]


def warnings(recipe: Recipe) -> list[str]:
    """Sentences about settings that are allowed and probably not meant, and about those that were changed and have no effect."""
    preset = presets().get(recipe.name)
    return checks.warnings(recipe) + guidance(recipe, preset) + idle(recipe, preset)


def with_paths(settings: Iterable[str], data: str | None, autoencoder: str | None) -> tuple[str, ...]:
    """Settings, and what --data and --autoencoder say."""
    paths = {"data.path": data, "autoencoder.path": autoencoder}
    return (*settings, *(f"{name}={value}" for name, value in paths.items() if value is not None))


def load_recipe(name_or_path: str, settings: Iterable[str] = ()) -> Recipe:
    """A preset by name or a recipe from a file ending in .toml, with KEY=VALUE settings applied, checked.

    Raises ValueError for names, files, keys and values that do not exist or do not go together.
    """
    recipe = read_recipe(Path(name_or_path)) if name_or_path.endswith(".toml") else by_name(name_or_path)
    recipe = apply(recipe, parse(settings))
    check(recipe)
    return recipe
