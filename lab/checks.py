"""What several instruments ask of their arguments; what does not fit raises a ValueError that names the argument."""

import operator
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor


def unknown(argument: str, value: object, known: Iterable[str], more: str = "") -> str:
    """One sentence for a name that does not exist: the nearest one that does, and all of them, `more` added."""
    names = list(known)
    near = get_close_matches(str(value), names, n=1, cutoff=0.4)
    return f"{argument}={value!r} is unknown{f'; did you mean {near[0]!r}?' if near else ''} (there are {', '.join(names)}{more})"


def check_name(argument: str, value: object, known: Iterable[str], more: str = "") -> None:
    """ValueError, with the sentence of `unknown`, unless the name is one of those known."""
    names = list(known)
    if value not in names:
        raise ValueError(unknown(argument, value, names, more))


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """The value as an int: a whole number of any kind (numpy's too), neither a bool nor a float. Raises ValueError for others and below `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or (least is not None and number < least):
        raise ValueError(f"{name}={value!r} must be a whole number{'' if least is None else f' of at least {least}'}")
    return number


def one_class_each(labels: object) -> bool:
    """Whether these are classes, one whole number per sample: a tensor (B,) of an integer dtype."""
    if not isinstance(labels, Tensor) or labels.ndim != 1:
        return False
    return not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)


def check_floating(name: str, x: Tensor) -> None:
    """ValueError for whole numbers: results in their dtype would be cut off, and their scale is not known."""
    if not x.is_floating_point():
        raise ValueError(f"{name} is {x.dtype}; it must hold floating-point numbers in data units, such as {name}.float()")
