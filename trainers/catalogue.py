"""Models that can be sampled: runs and exports that hold a checkpoint. Small files alone are read and nothing heavy is imported, since a server lists them."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.files import read_json
from trainers.jobs.names import NAME, check_name, is_run
from trainers.layout import CHECKPOINTS, EVALUATIONS, RECIPE, STATE, steps_of

SHIPPED = Path(__file__).parent.parent / "assets" / "checkpoints"


@dataclass(frozen=True)
class Model:
    """A run's newest checkpoint as its small files show it. `place`: shipped or runs; `steps`: of its checkpoints, the newest first; `weights`: folders that can be sampled.

    data: where the pictures come from, in words; condition: none, class or text; shape: of a latent; size: of a picture's side; seconds: spent training.
    """

    place: str
    name: str
    recipe: str
    about: str
    data: str
    condition: str
    target: str
    ddpm: bool
    guidance: float
    size: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    steps: tuple[int, ...]
    weights: tuple[str, ...]
    images: int
    seconds: float

    @property
    def id(self) -> str:
        return f"{self.place}/{self.name}"


def models(runs: Path, shipped: Path = SHIPPED) -> list[Model]:
    """All, the shipped ones first, then by name; a folder whose small files are missing or damaged is left out."""
    found = []
    for place, folder in (("shipped", shipped), ("runs", runs)):
        for name in sorted(entry.name for entry in os.scandir(folder)) if folder.is_dir() else ():
            if NAME.fullmatch(name) and is_run(folder / name) and (model := read_model(place, folder / name)) is not None:
                found.append(model)
    return found


def checkpoint_folder(runs: Path, id_: str, step: int | None = None, shipped: Path = SHIPPED) -> Path:
    """The folder of a checkpoint by its model's id, place/name, and its step (the newest if None). Raises ValueError where there is none; no id leads elsewhere."""
    place, _, name = id_.partition("/")
    home = {"shipped": shipped, "runs": runs}.get(place)
    if home is None or not is_run(home / check_name(name)):
        raise ValueError(f"there is no model {id_[:100]!r}")
    steps = steps_of(home / name)
    if not steps or (step is not None and step not in steps):
        known = f"; it has {', '.join(map(str, steps))}" if steps else ""
        raise ValueError(f"{id_} has no checkpoint{'' if step is None else f' of step {step}'}{known}")
    return home / name / CHECKPOINTS / f"step-{steps[0] if step is None else step:08d}"


def evaluation(runs: Path, id_: str, shipped: Path = SHIPPED) -> dict[str, Any] | None:
    """The newest evaluation of a model by its id, as `python -m trainers evaluate` wrote it; None where there is none that can be read. Raises ValueError for an unknown id."""
    folder = checkpoint_folder(runs, id_, None, shipped).parent.parent / EVALUATIONS
    files = sorted(folder.glob("step-*.json"), key=lambda file: (file.name.split("-")[1], file.stat().st_mtime)) if folder.is_dir() else []
    for file in reversed(files):
        try:
            return read_json(file)
        except (OSError, ValueError):
            continue
    return None


def read_model(place: str, folder: Path) -> Model | None:
    """What the small files of a run say; None where it has no checkpoint, or they cannot be read."""
    steps = steps_of(folder)
    if not steps:
        return None
    newest = folder / CHECKPOINTS / f"step-{steps[0]:08d}"
    try:
        recipe = tomllib.loads((folder / RECIPE).read_text(encoding="utf-8"))
        facts = read_json(newest / STATE)
        return Model(
            place,
            folder.name,
            recipe["name"],
            recipe["about"],
            f"{recipe['data']['reader']}, by {recipe['data']['condition']}"
            if recipe["data"]["condition"] != "none"
            else recipe["data"]["reader"],
            recipe["data"]["condition"],
            recipe["loss"]["target"],
            recipe["loss"]["times"] == "ddpm-1000",
            recipe["sampling"]["guidance"],
            recipe["data"]["size"],
            tuple(facts["shape"]),
            tuple(facts["classes"]),
            steps,
            tuple(sorted(entry.name for entry in os.scandir(newest) if entry.name == "model" or entry.name.startswith("ema"))),
            steps[0] * recipe["training"]["batch"],
            float(facts["seconds"]),
        )
    except (OSError, ValueError, KeyError, TypeError):  # damaged, or being written: not one that can be sampled
        return None
