"""Training from the command line: a line of progress every few seconds, then the reports, and a grid in a file where one is wanted."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from toy.learning.grids import on_grid
from toy.learning.learner import Learned, Learner, train
from toy.learning.options import LearningOptions
from toy.learning.report import PAIRS, NetworkReport, report
from toy.scene import Scene

EVERY = 2.0  # seconds between lines of progress


def run(scene: Scene, options: LearningOptions, say: Callable[[str], None], out: Path | None = None) -> tuple[Learned, list[NetworkReport]]:
    """Trains, measures every network after every round, and says how far it is. Raises ValueError for bad options."""
    learned = train(scene, options, Progress(say))
    reports = []
    for round_ in range(len(learned.rounds)):
        for network in range(options.seeds):
            say(f"measuring seed {options.seed_list[network]}, round {round_}")
            reports.append(report(learned, round_=round_, network=network))
    if out is not None:
        save_grid(learned, out)
        say(f"wrote {out}")
    return learned, reports


def save_grid(learned: Learned, out: Path, network: int = 0) -> None:
    """Writes one network's velocity after the last round as a grid (toy.learning.grids), with the scene's query string and the network's seed."""
    last = learned.rounds[-1]
    pairs = last.stream.fresh(network, PAIRS)
    classes = last.architecture.classes
    field = last.field(network, torch.float32)
    grid = on_grid(field.velocity, pairs, learned.world.path, classes=classes, last_time=learned.world.last_time)
    grid.save(out, {"scene": learned.scene.to_query(), "seed": learned.options.seed_list[network], "round": last.round})


class Progress:
    """Says, every few seconds, how far a learner is, the mean loss of the last iterations, and how long the rest will take."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last, self._from = say, time.perf_counter(), 0
        self._first: tuple[float, int] | None = None  # when the first iteration was over: before it, pairs may have been made for long

    def __call__(self, learner: Learner) -> None:
        now = time.perf_counter()
        if self._first is None:
            self._first = now, learner.total
        if now - self._last < EVERY and not learner.done:
            return
        recent = float(learner.losses[self._from :].mean())
        since, begun = self._first
        rest = (
            "" if learner.total == begun else f", {(now - since) / (learner.total - begun) * (learner.budget - learner.total):.0f} s left"
        )
        round_ = f"round {learner.round}, " if learner.options.reflow else ""
        self._say(f"{round_}iteration {learner.total} of {learner.budget}: loss {recent:.4f} in units of its own{rest}")
        self._last, self._from = now, learner.total
