"""Models that can be sampled: runs and exports that hold a checkpoint, and checkpoints made elsewhere with their conventions.json.

Small files alone are read and nothing heavy is imported, since a server lists them.
"""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.files import read_json
from trainers.jobs.names import NAME, check_name, is_run
from trainers.layout import CHECKPOINTS, CONVENTIONS, EVALUATIONS, INSIDE, RECIPE, STATE, steps_of

MOST_CLASSES = 100_000  # that are listed
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
            if NAME.fullmatch(name) and _is_model(folder / name) and (model := read_model(place, folder / name)) is not None:
                found.append(model)
    return found


def checkpoint_folder(runs: Path, id_: str, step: int | None = None, shipped: Path = SHIPPED) -> Path:
    """The folder of a checkpoint by its model's id, place/name, and its step (the newest if None). Raises ValueError where there is none; no id leads elsewhere."""
    place, _, name = id_.partition("/")
    home = {"shipped": shipped, "runs": runs}.get(place)
    if home is None or not _is_model(home / check_name(name)):
        raise ValueError(f"there is no model {id_[:100]!r}")
    if _is_foreign(home / name):
        if step:
            raise ValueError(f"{id_} was made elsewhere and has one checkpoint alone, step 0")
        return home / name
    steps = steps_of(home / name)
    if not steps or (step is not None and step not in steps):
        known = f"; it has {', '.join(map(str, steps))}" if steps else ""
        raise ValueError(f"{id_} has no checkpoint{'' if step is None else f' of step {step}'}{known}")
    return home / name / CHECKPOINTS / f"step-{steps[0] if step is None else step:08d}"


def evaluation(runs: Path, id_: str, shipped: Path = SHIPPED) -> dict[str, Any] | None:
    """The newest evaluation of a model by its id, as `python -m trainers evaluate` wrote it; None where there is none that can be read. Raises ValueError for an unknown id."""
    checkpoint = checkpoint_folder(runs, id_, None, shipped)
    folder = (checkpoint if _is_foreign(checkpoint) else checkpoint.parent.parent) / EVALUATIONS
    files = sorted(folder.glob("step-*.json"), key=lambda file: (file.name.split("-")[1], file.stat().st_mtime)) if folder.is_dir() else []
    for file in reversed(files):
        try:
            return read_json(file)
        except (OSError, ValueError):
            continue
    return None


def _is_foreign(folder: Path) -> bool:
    return not folder.is_symlink() and (folder / CONVENTIONS).is_file()


def _is_model(folder: Path) -> bool:
    return _is_foreign(folder) or is_run(folder)


def read_foreign(place: str, folder: Path) -> Model | None:
    """What the small files of a checkpoint made elsewhere say; None where they cannot be read. They are checked when it is loaded."""
    try:
        told, config = (
            read_json(folder / CONVENTIONS),
            read_json(next(f for inside in INSIDE if (f := folder / inside / "config.json").is_file())),
        )
        side = config.get("sample_size")
        shape = told.get("shape") or [config["in_channels"], *([side, side] if isinstance(side, int) else side)]
        classes = told.get("classes") or ()
        names = tuple(map(str, range(min(classes, MOST_CLASSES)))) if isinstance(classes, int) else tuple(map(str, classes[:MOST_CLASSES]))
        return Model(
            place,
            folder.name,
            "",
            str(told.get("about") or f"{config['_class_name']}, made elsewhere"),
            "made elsewhere",
            "class" if names else "none",
            told["prediction"],
            False,
            1.0,
            int(shape[1]),
            tuple(int(n) for n in shape),
            names,
            (0,),
            ("as they are",),
            0,
            0.0,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration):
        return None


def read_model(place: str, folder: Path) -> Model | None:
    """What the small files of a run say; None where it has no checkpoint, or they cannot be read."""
    if _is_foreign(folder):
        return read_foreign(place, folder)
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
