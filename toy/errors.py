"""How the toy world words its refusals."""

from collections.abc import Iterable
from difflib import get_close_matches


def unknown(name: str, value: object, known: Iterable[str]) -> str:
    """One sentence for a name that does not exist, with the nearest one that does."""
    names = list(known)
    near = get_close_matches(str(value), names, n=1, cutoff=0.4)
    return f"{name}={value!r} is unknown{f'; did you mean {near[0]!r}?' if near else ''} (there are {', '.join(names)})"
