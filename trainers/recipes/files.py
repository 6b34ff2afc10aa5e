"""Recipes as TOML: what a run's folder holds, and what a reader writes by hand. None is written as the text "none"."""

import tomllib
from pathlib import Path
from typing import Any

from trainers.files import write_atomically
from trainers.recipes.schema import VERSION, Recipe
from trainers.recipes.settings import apply, flatten


def to_toml(recipe: Recipe) -> str:
    """All values, section by section, with the schema's version."""
    import tomlkit

    document = tomlkit.document()
    document["version"] = VERSION
    for name, value in flatten(recipe).items():
        section, _, key = name.rpartition(".")
        if section and section not in document:
            document[section] = tomlkit.table()
        holder: Any = document[section] if section else document
        if value is None:
            value = "none"
        holder[key] = list(value) if isinstance(value, tuple) else value
    return tomlkit.dumps(document)


def from_toml(text: str, source: str) -> Recipe:
    """The recipe that a file describes; what it leaves out has the schema's default. Raises ValueError, naming `source`, for anything that a recipe does not have."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source} is not TOML: {error}") from error
    version = table.pop("version", VERSION)
    if version != VERSION:
        raise ValueError(f"{source} is a recipe of version {version}; this program reads version {VERSION}")
    values: dict[str, Any] = {}
    for name, value in table.items():
        values |= {f"{name}.{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    try:
        return apply(Recipe(), values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def read_recipe(path: Path) -> Recipe:
    """A recipe from a file. Raises ValueError where it is missing or not a recipe."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"{path} is no recipe: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    return from_toml(text, str(path))


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes the file, whole or not at all."""
    text = to_toml(recipe)
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))
