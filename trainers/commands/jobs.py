"""python -m trainers jobs list | start | stop | pause | resume | logs | delete | limit"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import Positional, UseAppendAction, subcommand

from lab.command_line import duration

Runs = Annotated[Path, tyro.conf.arg(help="Folder of the runs.")]
Name = Annotated[str, tyro.conf.arg(name="name", help="Name of a run.")]


@dataclass(frozen=True)
class List:
    """Every run: its state, how far it is, its speed and what is left."""

    runs: Runs = Path("runs")
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.jobs import Index

        found = Index(self.runs, say).list()
        if self.json:
            print(json.dumps({"runs": [asdict(state) for state in found]}))
            return
        print(table(found) if found else f"no runs in {self.runs}; `python -m trainers jobs start digits-condot` begins one")


@dataclass(frozen=True)
class Start:
    """Train a recipe in the background, as soon as it is its turn. It goes on when this terminal is closed."""

    recipe: Positional[str]
    """Name of a recipe or a TOML file."""
    name: str | None = None
    """Of the run; unless given, the recipe's, with a number where that is taken."""
    runs: Runs = Path("runs")
    steps: int | None = None
    """Steps in all, unless the recipe's."""
    data: str | None = None
    """Folder or file of the pictures, where the recipe has none of its own."""
    autoencoder: str | None = None
    """Folder or hub name of the autoencoder."""
    set: Annotated[tuple[str, ...], UseAppendAction] = ()
    """KEY=VALUE, any value of the recipe."""

    def go(self) -> None:
        from trainers.data import open_images
        from trainers.jobs import start
        from trainers.jobs.names import free_name
        from trainers.recipes import load_recipe, with_paths

        steps = () if self.steps is None else (f"training.steps={self.steps}",)
        recipe = load_recipe(self.recipe, (*with_paths(self.set, self.data, self.autoencoder), *steps))
        if recipe.coupling.kind != "pairs":
            open_images(recipe.data, recipe.data.train_split)  # what is not there is said here, not in a log
        print(sentence(start(self.runs, self.name or free_name(self.runs, recipe.name), recipe)))


@dataclass(frozen=True)
class Stop:
    """Have a run write a checkpoint and end; it can be resumed."""

    name: Positional[str]
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import stop
        from trainers.jobs.control import wait

        stop(self.runs, self.name)
        print(sentence(wait(self.runs, self.name)))


@dataclass(frozen=True)
class Pause:
    """Put a run to sleep in memory; it keeps its place, and goes on where it was."""

    name: Positional[str]
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import pause

        print(sentence(pause(self.runs, self.name)))


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was paused, stopped, failed, or whose process is gone."""

    name: Positional[str]
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import resume

        print(sentence(resume(self.runs, self.name)))


@dataclass(frozen=True)
class Logs:
    """What a run said."""

    name: Positional[str]
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import log

        print(log(self.runs, self.name), end="")


@dataclass(frozen=True)
class Delete:
    """Take a run away for good, with its checkpoints."""

    name: Positional[str]
    yes: bool = False
    """Without it nothing is deleted."""
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import delete, folder_of

        if not self.yes:
            raise ValueError(f"{folder_of(self.runs, self.name)} with its checkpoints would be gone for good; say --yes")
        delete(self.runs, self.name)
        print(f"{self.name} is deleted")


@dataclass(frozen=True)
class Limit:
    """How many runs train at once; the others wait in the order in which they were started."""

    number: Positional[int | None] = None
    """Unless given, the present one is printed."""
    runs: Runs = Path("runs")

    def go(self) -> None:
        from trainers.jobs import limit, set_limit

        if self.number is not None:
            set_limit(self.runs, self.number)
        print(limit(self.runs))


@dataclass(frozen=True)
class Jobs:
    """Trainings in the background: list, start, stop, pause, resume, logs, delete, limit."""

    what: (
        Annotated[List, subcommand("list")]
        | Annotated[Start, subcommand("start")]
        | Annotated[Stop, subcommand("stop")]
        | Annotated[Pause, subcommand("pause")]
        | Annotated[Resume, subcommand("resume")]
        | Annotated[Logs, subcommand("logs")]
        | Annotated[Delete, subcommand("delete")]
        | Annotated[Limit, subcommand("limit")]
    )

    def go(self) -> None:
        self.what.go()


def sentence(state: Any) -> str:
    """How a run stands."""
    before = f", {state.before} before it" if state.before else ""
    return f"{state.name}: {state.state}{before}, step {state.step} of {state.steps}{f' ({state.message})' if state.message else ''}"


def table(states: list[Any]) -> str:
    """For people."""
    rows = [("run", "recipe", "state", "step", "loss", "img/s", "left")]
    for state in states:
        told = (f"{state.loss:.4f}" if state.loss is not None else "", f"{state.images_per_second:.0f}" if state.images_per_second else "")
        left = "" if state.eta is None else duration(state.eta)
        rows.append((state.name, state.recipe, state.state, f"{state.step} of {state.steps}", *told, left))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
