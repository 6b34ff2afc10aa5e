"""How networks are trained on a scene: the options of `python -m toy train`, beside those of the scene itself."""

from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from lab.checks import unknown
from lab.losses import TIME_LAWS
from lab.solvers import FIXED_STEP, nearest_nfe
from toy.scene import Choice, Range

LEARNING_CONTROLS: dict[str, Choice | Range] = {
    "method": Choice(("scene", "loom", "class-loom"), "pairs: the scene's coupling, or LOOM's table, blind to classes or within them"),
    "iterations": Range(1, 1_000_000, "steps of the optimiser, in each round"),
    "train_batch": Range(1, 8192, "pairs in a step"),
    "width": Range(1, 1024, "numbers in a hidden layer"),
    "depth": Range(1, 8, "hidden layers"),
    "learning_rate": Range(1e-6, 0.1, "of Adam, at its height; it falls to zero along a cosine within each round"),
    "average": Range(0, 0.9999, "decay of the moving average of the weights that is looked at"),
    "time_law": Choice(tuple(TIME_LAWS), "law of t in training"),
    "seeds": Range(1, 32, "networks trained at once, each with a seed of its own"),
    "first_seed": Range(0, 2**32 - 1, "seed of the first network; the others follow"),
    "data": Range(64, 65_536, "data that LOOM's table holds"),
    "caches": Range(1, 16, "noises that the table keeps for each datum"),
    "ot_batch": Range(1, 4096, "pairs among which LOOM exchanges noises at a time"),
    "reflow": Range(0, 4, "rounds of reflow: trained anew on pairs that the network before has made"),
    "reflow_pairs": Range(64, 262_144, "pairs made for a round of reflow"),
    "reflow_solver": Choice(FIXED_STEP, "solver that makes them"),
    "reflow_nfe": Range(1, 4096, "its function evaluations"),
    "reflow_start": Choice(("scratch", "continue"), "whether a round begins with new weights or with those of the round before"),
}
BELONGS = {
    "loom": ("data", "caches", "ot_batch"),
    "reflow": ("reflow_pairs", "reflow_solver", "reflow_nfe", "reflow_start"),
}
FRACTIONAL = frozenset({"learning_rate", "average"})


@dataclass(frozen=True)
class LearningOptions:
    """How networks are trained. Ranges and choices are in `LEARNING_CONTROLS`; `data` must be a multiple of `ot_batch` and of `train_batch`, and one of the two of the other.

    Raises ValueError naming the option, its value and what it may be.
    """

    method: str = "scene"
    iterations: int = 3000
    train_batch: int = 256
    width: int = 128
    depth: int = 3
    learning_rate: float = 5e-3
    average: float = 0.99
    time_law: str = "uniform"
    seeds: int = 1
    first_seed: int = 0
    data: int = 4096
    caches: int = 1
    ot_batch: int = 128
    reflow: int = 0
    reflow_pairs: int = 16_384
    reflow_solver: str = "rk4"
    reflow_nfe: int = 64
    reflow_start: str = "scratch"

    def __post_init__(self) -> None:
        for name, control in LEARNING_CONTROLS.items():
            _check(name, getattr(self, name), control)
        if self.reflow_nfe not in (usable := nearest_nfe(self.reflow_solver, self.reflow_nfe)):
            raise ValueError(
                f"reflow_nfe={self.reflow_nfe} cannot be used exactly by {self.reflow_solver}; nearest: {' or '.join(map(str, usable))}"
            )
        if self.method != "scene":
            large, small = max(self.ot_batch, self.train_batch), min(self.ot_batch, self.train_batch)
            if large % small or self.data % large:
                raise ValueError(
                    f"data={self.data}, ot_batch={self.ot_batch} and train_batch={self.train_batch} do not fit: one batch must be a multiple of the other, and data of both"
                )

    def idle(self) -> list[str]:
        """One sentence for each option that was changed and, beside the others, changes nothing."""
        off = {"loom": self.method == "scene", "reflow": self.reflow == 0}
        wanted = {"loom": "method=loom or class-loom", "reflow": "reflow=1 or more"}
        return [
            f"{f.name}={getattr(self, f.name)} changes nothing: it belongs to {wanted[owner]}"
            for owner, names in BELONGS.items()
            for f in fields(self)
            if f.name in names and off[owner] and getattr(self, f.name) != f.default
        ]

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seed of every network."""
        return tuple(range(self.first_seed, self.first_seed + self.seeds))


def _check(name: str, value: Any, control: Choice | Range) -> None:
    if isinstance(control, Choice):
        if value not in control.values:
            raise ValueError(unknown(name, value, control.values))
        return
    whole = "" if name in FRACTIONAL else "whole "
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if not number or (whole and value != int(value)) or not control.least <= value <= control.most:
        raise ValueError(f"{name}={value!r} must be a {whole}number in {control.least:g} to {control.most:g} ({control.about})")
