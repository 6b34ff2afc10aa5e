"""Recipes for the Train page: which can be started from it, the form that their schema makes, a recipe's text once checked, and what it would cost here."""

import ast
import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from trainers.planning import plan as counted
from trainers.recipes import METHODS, Recipe, apply, by_name, check, flatten, presets, warnings
from trainers.recipes.checks import CHOICES, RANGES, described
from trainers.recipes.files import to_toml

# Data that lie in the project: a page names no folder of the server's.
DATA = {"digits": "Digits", "emoji": "Emoji, by category", "emoji-text": "Emoji, by name"}
NOT_FROM_A_PAGE = ("reflow",)  # which needs the pairs of a trained model
FIRST = "digits-condot"
# Fields of a path, a name or a place, which a page does not set; and what it has controls of its own for.
HIDDEN = (
    "about",
    "reported",
    "name",
    "data.reader",
    "data.path",
    "autoencoder.kind",
    "autoencoder.path",
    "text.encoder",
    "text.path",
    "coupling.pairs",
    "training.mirror",
)
LONGEST = 200  # characters of a value


def describe(_: Mapping[str, Any]) -> dict[str, Any]:
    """{first, data, methods, recipes: {name: {data, method, about, values}}, sections: [{name, about, fields: [...]}]}.

    A field: name, kind (number, whole, truth, text, choice), optional, choices, least, most, about.
    """
    return _described()


@cache
def _described() -> dict[str, Any]:
    found = {}
    for data in DATA:
        for method, (about, _changes) in METHODS.items():
            name = f"{data}-{method}"
            if name in presets() and method not in NOT_FROM_A_PAGE:
                values = {key: described(value) for key, value in flatten(presets()[name]).items() if key not in HIDDEN}
                found[name] = {"data": data, "method": method, "about": about, "values": values}
    methods = {method: about for method, (about, _changes) in METHODS.items() if method not in NOT_FROM_A_PAGE}
    return {"first": FIRST, "data": DATA, "methods": methods, "recipes": found, "sections": _sections()}


def text(given: Mapping[str, Any]) -> dict[str, Any]:
    """{recipe: TOML, steps, notes} of a preset and changed values. Raises ValueError, naming the field, for what is unknown or does not fit."""
    recipe = _recipe(given)
    return {"recipe": to_toml(recipe), "name": recipe.name, "steps": recipe.training.steps, "notes": warnings(recipe)}


def plan(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `python -m trainers plan` counts and measures here, and the notes. Raises ValueError as `text` does."""
    recipe = _recipe(given)
    return counted(recipe).as_dict() | {"notes": warnings(recipe)}


def _recipe(given: Mapping[str, Any]) -> Recipe:
    name, settings = given.get("recipe"), given.get("settings", {})
    if not isinstance(name, str) or name not in _described()["recipes"]:
        raise ValueError(f"recipe={str(name)[:80]!r} cannot be started from a page; choose one of its list")
    if not isinstance(settings, dict):
        raise ValueError("settings must be an object of names and values")
    known = set(flatten(Recipe())) - set(HIDDEN)
    for key, value in settings.items():
        if key not in known:
            raise ValueError(f"{key[:80]!r} cannot be set from a page")
        if not isinstance(value, str) or len(value) > LONGEST:
            raise ValueError(f"{key} must be a text of at most {LONGEST} characters")
    recipe = apply(by_name(name), settings)
    check(recipe)
    return recipe


def _sections() -> list[dict[str, Any]]:
    found = []
    for part in dataclasses.fields(Recipe):
        kind = typing.get_type_hints(Recipe)[part.name]
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            continue
        told, hints = _documents(kind), typing.get_type_hints(kind)
        fields = [_field(f"{part.name}.{f.name}", hints[f.name], told.get(f.name, "")) for f in dataclasses.fields(kind)]
        fields = [each for each in fields if each["name"] not in HIDDEN]
        if fields:
            found.append({"name": part.name, "about": inspect.getdoc(kind) or "", "fields": fields})
    return found


def _field(name: str, kind: Any, about: str) -> dict[str, Any]:
    optional = isinstance(kind, types.UnionType)
    inner = next((a for a in typing.get_args(kind) if a is not type(None)), kind) if optional else kind
    told = {bool: "truth", int: "whole", float: "number"}.get(inner, "text")
    least, most = RANGES.get(name, (None, None))
    choices = list(CHOICES[name]) if name in CHOICES else None
    return {
        "name": name,
        "kind": "choice" if choices else told,
        "optional": optional,
        "choices": choices,
        "least": least,
        "most": most,
        "about": about,
    }


def _documents(kind: type) -> dict[str, str]:
    """The texts that stand under a dataclass's fields."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[before.target.id] = inspect.cleandoc(str(after.value.value))
    return found
