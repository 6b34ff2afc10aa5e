"""python -m app.opening shipped/NAME shipped/NAME: makes the comparison that the Compare page opens with, assets/opening/compare.json, by the code that samples for it."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainers.catalogue import checkpoint_folder, models
from trainers.files import write_atomically

OPENING = Path(__file__).parent.parent / "assets" / "opening" / "compare.json"


class Kept:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def send(self, obj: Any, /) -> None:
        name, numbers, _ = obj
        self.events.append((name, numbers))
        print(f"{name} {numbers.get('panel', '')} {numbers.get('nfe', '')}".rstrip(), file=sys.stderr, flush=True)


def make(wish: dict[str, Any], runs: Path, out: Path = OPENING) -> None:
    """Samples the wish and writes {wish, events}. Raises ValueError for a wish or model that cannot be, or a comparison that failed."""
    from app.tasks.compare import check, run

    folders = [str(checkpoint_folder(runs, panel["model"], panel.get("step"))) for panel in wish["panels"]]
    kept = Kept()
    run(check(wish) | {"folders": folders}, kept)
    if kept.events[-1][0] != "end":
        raise ValueError(kept.events[-1][1]["error"])
    out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"version": 1, "wish": wish, "events": kept.events}, separators=(",", ":"))
    write_atomically(out, lambda partial: partial.write_text(text, encoding="utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser("python -m app.opening", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="ids: shipped/NAME or runs/NAME")
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nfe", type=int, default=8)
    parser.add_argument("--solver", default="euler")
    parser.add_argument("--told", nargs="*", default=[])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=OPENING)
    given = parser.parse_args(arguments)
    known = {model.id: model for model in models(given.runs)}
    try:
        if unknown := [name for name in given.models if name not in known]:
            raise ValueError(f"there is no model {unknown[0]!r}; there are {', '.join(known)}")
        panels = [
            {"model": name, "step": None, "weights": "ema", "solver": given.solver, "grid": "uniform", "guidance": known[name].guidance}
            for name in given.models
        ]
        wish = {"panels": panels, "n": given.n, "seed": given.seed, "nfe": given.nfe, "told": given.told, "prompts": []}
        make(wish, given.runs, given.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
