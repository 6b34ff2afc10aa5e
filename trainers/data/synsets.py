"""ImageNet's class maps: which name goes with which WordNet id, and the devkit's order of them."""

from collections import Counter
from collections.abc import Iterable, Mapping

MAPS = ("map_clsloc.txt", "class_names.txt", "LOC_synset_mapping.txt", "words.txt")


def devkit_order(text: str, source: object) -> tuple[list[str], dict[str, str]]:
    """Of map_clsloc.txt ("n02119789 1 kit_fox" a line): the WordNet ids in the order of their labels, 1 first, and their names.

    Raises ValueError, naming the line, where that is not what the file holds.
    """
    ids: dict[int, str] = {}
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split(maxsplit=2)
        if not parts:
            continue
        if len(parts) != 3 or not parts[1].isdecimal() or int(parts[1]) in ids or parts[0] in names:
            raise ValueError(f"{source} is damaged: line {number} is no new 'wnid label name' but {line.strip()[:60]!r}")
        ids[int(parts[1])], names[parts[0]] = parts[0], parts[2].strip().replace("_", " ")
    if sorted(ids) != list(range(1, 1001)):
        raise ValueError(f"{source} is damaged: it has {len(ids)} labels where ImageNet has 1 to 1000, each once")
    return [ids[label] for label in range(1, 1001)], names


def names_by_id(text: str) -> dict[str, str]:
    """Of any of MAPS: a line is an id, perhaps a number, and synonyms with commas between them, of which the first is taken."""
    found = {}
    for line in text.splitlines():
        first, _, rest = line.strip().partition("\t" if "\t" in line else " ")
        label, _, name = rest.strip().partition(" ")
        found[first] = (name if label.isdecimal() and name else rest).split(",")[0].strip().replace("_", " ")
    return found


def readable(ids: Iterable[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Names in the order of ids; where two classes share one (ImageNet has two cranes), the id stands behind it; an id without a name stands for itself."""
    ids = list(ids)
    shared = Counter(names.get(each, each) for each in ids)
    return tuple(f"{names[each]} ({each})" if each in names and shared[names[each]] > 1 else names.get(each) or each for each in ids)
