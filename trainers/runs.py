"""A run's folder: the whole truth about one training. Any index over runs can be made again from such folders.

recipe.toml   metrics.jsonl   samples/*.png   checkpoints/step-00001000/   process.json   lock   samples.log where it is wanted
job.json      log.txt         job.lock        of a training in the background (trainers.jobs)
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from trainers import layout
from trainers.files import is_partial, write_atomically, write_json
from trainers.recipes import Recipe, apply, differences, flatten, read_recipe, write_recipe
from trainers.recipes.checks import described

# What may differ when a run goes on: how long, how often it reports, and how it is looked at. Everything else would be another training.
FREE = (
    "name",
    "about",
    "reported",
    "training.steps",
    "training.log_every",
    "training.checkpoint_every",
    "training.keep",
    "training.threads",
    "training.mirror",
)
PATHS = ("data.path", "autoencoder.path", "text.path")  # need not be said again
BEFORE = (layout.LOCK, layout.PROCESS, layout.JOB, layout.JOB_LOCK, layout.LOG)  # what may lie in a folder before its run begins
FREE_PARTS = ("sampling.", "training.preview_")


class Run:
    """One run's folder and the files in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe_file, self.metrics = folder / layout.RECIPE, folder / layout.METRICS
        self.samples, self.checkpoints, self.process = folder / layout.SAMPLES, folder / layout.CHECKPOINTS, folder / layout.PROCESS

    def sample_log(self, process: int = 0) -> Path:
        """Where a process writes the numbers of the data that it saw: samples.log, and samples-1.log of a second one."""
        return self.folder / (f"samples-{process}.log" if process else "samples.log")

    @property
    def exists(self) -> bool:
        return self.recipe_file.exists()

    def recipe(self) -> Recipe:
        """Raises ValueError where the folder is not a run's."""
        if not self.exists:
            raise ValueError(f"{self.folder} is not a run's folder: it has no recipe.toml")
        return read_recipe(self.recipe_file)

    def begin(self, recipe: Recipe) -> Recipe:
        """Makes the folder for a recipe, or checks that it is that of the same training; returns the recipe, with the paths that the run knows already.

        Raises ValueError naming every value that differs.
        """
        if self.exists and (self.metrics.exists() or any(self.checkpoints.glob("step-*"))):  # else nothing was trained, and all may change
            before = flatten(self.recipe())
            recipe = apply(recipe, {name: before[name] for name in PATHS if flatten(recipe)[name] is None})
            changed = {n: v for n, v in differences(self.recipe(), recipe).items() if n not in FREE and not n.startswith(FREE_PARTS)}
            if recipe.optimiser.decay != "constant" and before["training.steps"] != recipe.training.steps:
                changed["training.steps"] = (
                    before["training.steps"],
                    recipe.training.steps,
                )  # the learning rate would have fallen otherwise
            if changed:
                listed = "; ".join(f"{n} was {described(old)}, now {described(new)}" for n, (old, new) in changed.items())
                raise ValueError(f"{self.folder} holds another training ({listed}); give those values, or name a new --run")
        elif not self.exists and self.folder.exists() and any(not _may_lie_before(p) for p in self.folder.iterdir()):
            raise ValueError(f"{self.folder} is not empty and not a run's folder; name another --run")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_recipe(recipe, self.recipe_file)  # first: from then on the folder is a run's, whatever kills this process
        for folder in (self.samples, self.checkpoints):
            folder.mkdir(exist_ok=True)
        return recipe

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder, so that no two trainings write to it. Raises ValueError while another does."""
        with ExitStack() as stack:
            try:
                stack.enter_context(layout.held(self.folder / layout.LOCK))
            except BlockingIOError:
                raise ValueError(f"{self.folder} is being trained by another process; wait for it, or name another --run") from None
            write_json(self.process, {"pid": os.getpid(), "started": time.time()})
            try:
                yield
            finally:
                self.process.unlink(missing_ok=True)

    def rewind(self, step: int, say: Callable[[str], None]) -> None:
        """Takes away what the metrics and the sample log say of steps after `step`, which will be made again, and names lines that are damaged.

        A last line that was being written when the machine stopped goes without a word.
        """
        for path in (self.metrics, *sorted(self.folder.glob("samples*.log"))):
            if not path.exists():
                continue
            lines = path.read_bytes().splitlines(keepends=True)
            if lines and not lines[-1].endswith(b"\n"):
                lines.pop()
            steps = [_step_of(line, path == self.metrics) for line in lines]
            damaged = [i + 1 for i, found in enumerate(steps) if found is None]
            if damaged:
                say(
                    f"{path}: line {damaged[0]} is damaged{f', and {len(damaged) - 1} more' if damaged[1:] else ''}; left out, the others stay"
                )
            kept = b"".join(line for line, found in zip(lines, steps, strict=True) if found is not None and found <= step)
            write_atomically(path, lambda partial, kept=kept: partial.write_bytes(kept))

    def record(self, line: dict[str, Any]) -> None:
        """Appends one line to the metrics."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _may_lie_before(path: Path) -> bool:
    """Whether something may lie in a folder before its run begins: the locks and notes of a start, and what a start that was killed had half written."""
    return path.name in BEFORE or is_partial(path)


def _step_of(line: bytes, metrics: bool) -> int | None:
    """The step that a line speaks of; None for a line that is none of ours."""
    try:
        found = json.loads(line)["step"] if metrics else line.split(b" ")[0]
        return int(found)
    except (ValueError, KeyError, TypeError):
        return None
