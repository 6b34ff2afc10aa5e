"""python -m trainers recipes [WORD ...]"""

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

COLUMNS = ("recipe", "data", "prior", "coupling", "path", "learns", "network")


@dataclass(frozen=True)
class Recipes:
    """List the recipes, a line each: data, prior, coupling, path, what the network learns, and its size. --json adds what each is and what papers report."""

    words: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="WORD ...")] = ()
    """Only those that have all these words in their name or line: emoji, cpd, coco, loom, vp, text, ..."""
    json: bool = False
    """Print one JSON list."""

    def go(self) -> None:
        from trainers.recipes import presets

        found = listed(self.words)
        if self.json:
            import json

            print(json.dumps(found, ensure_ascii=False))
            return
        if not found:
            raise ValueError(f"none of the {len(presets())} recipes has {' and '.join(self.words)} in its line; leave a word out")
        print(table(found))


def listed(words: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The presets whose line has all the words: the columns, parameters, `about` and `reported`."""
    from trainers.planning import size_of
    from trainers.recipes import presets

    found = []
    for name, recipe in presets().items():
        data, autoencoder = recipe.data, recipe.autoencoder
        told = {"none": "", "class": " by class", "text": " by text"}[data.condition]
        space = "" if autoencoder.kind == "none" else f", {autoencoder.kind} latents"
        standardised = ", standardised" if autoencoder.normalise == "coordinate" else ""
        row = {
            "recipe": name,
            "data": f"{data.reader} {data.size} px{told}{space}{standardised}",
            "prior": recipe.prior.kind,
            "coupling": recipe.coupling.kind,
            "path": recipe.path.kind,
            "learns": recipe.loss.target,
        }
        if all(any(word.lower() in text for text in row.values()) for word in words):
            parameters = size_of(recipe)
            found.append(
                row
                | {
                    "network": f"{recipe.network.kind} {parameters / 1e6:.3g}M",
                    "parameters": parameters,
                    "about": recipe.about,
                    "reported": recipe.reported,
                }
            )
    return found


def table(found: list[dict[str, Any]]) -> str:
    """For people."""
    rows = [COLUMNS, *(tuple(row[c] for c in COLUMNS) for row in found)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(COLUMNS))]
    return "\n".join("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
