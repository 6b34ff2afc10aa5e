"""Scorecards: what is left of a training that only had to be scored. One small JSON file for each training and sampler; the table over all methods is made of them.

assets/scores/NAME-SEED.json, and NAME-SEED-SAMPLER.json where a checkpoint was scored with another sampler too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from trainers import layout
from trainers.files import read_json, write_json
from trainers.recipes.files import read_recipe
from trainers.recipes.shipped import Shipped, by_name

VERSION = 1
SCORES = Path(__file__).parent.parent / "assets" / "scores"
BACKWARD = 2  # passes: the price of a gradient, in forward ones


@dataclass(frozen=True)
class Card:
    """The scores of one training of a checkpoint that ships, and what it has cost.

    protocol: how it was scored. rows: name, nfe, scores (with errors) of each. flow: straightness, acceleration, transport cost; None where no flow was followed.
    seconds of training, and passes, millions of forward passes in all: a picture of training costs three; a reflow's teacher is in both, its pairs in the passes.
    """

    name: str
    seed: int
    sampler: str | None
    protocol: dict[str, Any]
    rows: list[dict[str, Any]]
    flow: dict[str, float] | None
    seconds: float
    passes: float

    @property
    def file(self) -> str:
        """What it is called in a folder of scorecards."""
        return f"{self.name}-{self.seed}{'' if self.sampler is None else f'-{self.sampler}'}.json"


def run_of(runs: Path, name: str, seed: int) -> Path:
    """The folder of a training."""
    return runs / f"{name}-{seed}"


def pairs_of(runs: Path, name: str, seed: int) -> Path:
    """The folder of what a reflow is trained on."""
    return runs / f"{name}-{seed}-pairs"


def evaluation_of(run: Path, sampler: str | None) -> Path | None:
    """The file with a run's newest scores, with the solver that its recipe's fellows have, or with another sampler; None where there is none."""
    if sampler is not None:
        file = run / layout.EVALUATIONS / f"sampler-{sampler}.json"
        return file if file.exists() else None
    return max((run / layout.EVALUATIONS).glob("step-*.json"), default=None)


def card_of(runs: Path, name: str, seed: int, sampler: str | None = None) -> Card:
    """From the folders of a training that was scored. Raises ValueError where it was not, and for a name that does not ship."""
    shipped, run = by_name(name), run_of(runs, name, seed)
    file = evaluation_of(run, sampler)
    if file is None:
        raise ValueError(f"{run} has not been scored; `python -m trainers ship {name}` does it")
    found = read_json(file)
    rows = [{key: row[key] for key in ("name", "nfe", "scores")} for row in found["rows"]]
    flow = None if found["flow"] is None else {key: found["flow"][key] for key in ("straightness", "acceleration", "transport_cost")}
    seconds, passes = _cost(runs, name, seed, shipped)
    return Card(name, seed, sampler, found["protocol"], rows, flow, seconds, passes)


def _cost(runs: Path, name: str, seed: int, shipped: Shipped) -> tuple[float, float]:
    run = run_of(runs, name, seed)
    seconds = float(read_json(run / layout.CHECKPOINTS / f"step-{layout.steps_of(run)[0]:08d}" / layout.STATE)["seconds"])
    training = read_recipe(run / layout.RECIPE).training
    passes = (1 + BACKWARD) * training.steps * training.batch / 1e6
    if shipped.teacher is None:
        return seconds, passes
    made = read_json(pairs_of(runs, name, seed) / "manifest.json")
    before = _cost(runs, shipped.teacher, seed, by_name(shipped.teacher))
    return seconds + before[0], passes + before[1] + shipped.pairs * made["nfe"] / 1e6


def keep(card: Card, folder: Path) -> Path:
    """Writes a scorecard, in place of one of the same training; returns where."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / card.file, {"version": VERSION} | asdict(card))
    return folder / card.file


def cards(folder: Path, names: Sequence[str]) -> list[Card]:
    """Those of these checkpoints, in the names' order and by seed and sampler. Raises ValueError for files that are damaged, or none of ours."""
    found = [_read(file) for file in sorted(folder.glob("*.json"))]
    order = {name: k for k, name in enumerate(names)}
    return sorted((card for card in found if card.name in order), key=lambda card: (order[card.name], card.sampler or "", card.seed))


def _read(file: Path) -> Card:
    found = read_json(file)
    if not isinstance(found, Mapping) or found.get("version") != VERSION or not {field.name for field in fields(Card)} <= found.keys():
        raise ValueError(f"{file} is no scorecard of version {VERSION}; `python -m trainers ship NAME` makes them")
    return Card(**{field.name: found[field.name] for field in fields(Card)})
