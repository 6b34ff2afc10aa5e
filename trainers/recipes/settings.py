"""Single values of a recipe by name, as `--set` and files give them: network.channels=64,128."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from trainers.recipes.schema import Recipe

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def flatten(recipe: Recipe) -> dict[str, Any]:
    """All values by their dotted names, in the schema's order: name, about, ..., data.reader, ..."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(recipe):
        value = getattr(recipe, f.name)
        if dataclasses.is_dataclass(value):
            found |= {f"{f.name}.{inner.name}": getattr(value, inner.name) for inner in dataclasses.fields(value)}
        else:
            found[f.name] = value
    return found


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these values changed; texts are read as the field's type.

    Raises ValueError for a name that does not exist, with the nearest that does, and for a value that is not of the field's type.
    """
    known = flatten(recipe)
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"a recipe has no {name!r}; {_instead(name, known)}")
        part, _, field = name.rpartition(".")
        if not part:
            recipe = dataclasses.replace(recipe, **{field: _read(name, value, _kind(recipe, field))})
            continue
        options = getattr(recipe, part)
        changed = dataclasses.replace(options, **{field: _read(name, value, _kind(options, field))})
        recipe = dataclasses.replace(recipe, **{part: changed})
    return recipe


def _instead(name: str, known: Iterable[str]) -> str:
    """The nearest name; without one near, those of its section, or the sections."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    section, dot, _ = name.partition(".")
    inside = [each for each in names if dot and each.startswith(f"{section}.")]
    return f"there are {', '.join(inside or dict.fromkeys(n.partition('.')[0] for n in names))}"


def parse(settings: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE texts as a table. Raises ValueError for one without an equals sign."""
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ValueError(f"--set {setting}: write KEY=VALUE, such as training.batch=64")
        values[name.strip()] = value.strip()
    return values


def differences(one: Recipe, other: Recipe) -> dict[str, tuple[Any, Any]]:
    """The values in which two recipes differ, by name: (of one, of other)."""
    a, b = flatten(one), flatten(other)
    return {name: (a[name], b[name]) for name in a if a[name] != b[name]}


def _kind(options: Any, field: str) -> Any:
    return typing.get_type_hints(type(options))[field]


def _read(name: str, value: Any, kind: Any) -> Any:
    """The value as the field's type: a text is read, anything else must already fit."""
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):  # T | None
        (inner,) = (a for a in arguments if a is not type(None))
        return None if value is None or value in ("none", "None", "") else _read(name, value, inner)
    if typing.get_origin(kind) is tuple:
        items = [v for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError(f"{name}={value!r} must be numbers separated by commas")
        if Ellipsis in arguments and items in (["none"], ["None"]):
            return ()
        if Ellipsis not in arguments and len(items) != len(arguments):
            raise ValueError(f"{name}={value!r} must be {len(arguments)} numbers separated by commas")
        return tuple(_read(name, item, arguments[0]) for item in items)
    if kind is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() not in TRUTH:
            raise ValueError(f"{name}={value!r} must be true or false")
        return TRUTH[str(value).lower()]
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"{name}={value!r} must be a text")
        return value
    what = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, str | int | float) or (kind is int and isinstance(value, float)):
        raise ValueError(f"{name}={value!r} must be {what}")
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name}={value!r} must be {what}") from None
