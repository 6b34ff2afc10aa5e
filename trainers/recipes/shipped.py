"""The checkpoints that ship with the lab: which recipes, with which changes, so that all fit in 64 MB and each comparison is fair.

At equal network, data, pictures seen, batch and learning rate. The learning rate is the best of three after 60,000 pictures by held-out loss, for CondOT, CPD and DDPM, each
of which speaks for its family; where they agree there is one for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.checks import unknown
from trainers.recipes.methods import METHODS

# Held-out losses at 5e-4, 1e-3, 2e-3: CondOT .831, .703, .655; CPD .493, .482, .461; DDPM .193, .183, .178 (4e-3: .650, .469, .185).
# 0.38M parameters in place of the recipe's 0.97M: a third of the file, held-out loss .55 for .54 (CondOT) and .41 for .39 (CPD) at the recipe's learning rate.
DIGITS = {"network.channels": "208", "optimiser.learning_rate": "2e-3"}
# Held-out losses after 60,000 pictures at 2e-3, 4e-3, 8e-3: CondOT 1.028, .981, .972 (1e-3: 1.110); CPD 1.209, 1.194, 1.647; DDPM .260, .247, .989, where 8e-3 diverges.
# 1.83M parameters (2.87M told texts) in place of the recipe's 4.58M: twice the pictures a second, and all fit. float32, so that other machines make the same.
EMOJI = {"network.channels": "64,96", "optimiser.learning_rate": "4e-3", "training.steps": "1600", "training.precision": "fp32"}
EMOJI_METHODS = ("condot", "batchot", "class-batchot", "loom", "class-loom", "cpd", "cpd-ot", "ddpm", "reflow", "scale-matched", "pooled")
SAMPLERS = ("ddpm", "ddim-scheduler", "dpm-solver++")  # of trainers.diffusion, beside the probability flow that all others are sampled by
EMOJI_MEASURES = (
    "frechet",
    "kernel",
    "one-nn",
    "precision-recall",
    "coverage",
    "nearest",
    "solver-error",
    "flow",
    "latents",
    "prior",
    "real",
    "round-trip",
)
BUDGETS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Shipped:
    """A checkpoint that ships. recipe: by name; settings: what differs from it; teacher: the one whose pairs it is trained on, with how many pairs of how many evaluations."""

    recipe: str
    settings: Mapping[str, Any]
    count: int
    """Samples of each row of its scores: as many as there are held-out pictures."""
    teacher: str | None = None
    pairs: int = 0
    pair_options: tuple[str, ...] = ()
    scoring: tuple[str, ...] = ()
    """Options of `evaluate` beside budgets and count."""
    flow_solver: tuple[str, ...] = ()
    """The option that names the solver of the flow; the recipe's unless given."""
    samplers: tuple[str, ...] = ()
    """With which it is scored as well."""


def _digits(method: str) -> Shipped:
    taught = method == "reflow"
    return Shipped(
        f"digits-{method}",
        DIGITS,
        176,
        teacher="digits-condot" if taught else None,
        pairs=20_000 if taught else 0,
        pair_options=("--solver", "heun", "--nfe", "64") if taught else (),
    )


def _emoji(base: str, method: str) -> Shipped:
    taught = method == "reflow"
    return Shipped(
        f"{base}-{method}",
        EMOJI,
        190,
        teacher="emoji-condot" if taught else None,
        pairs=10_000 if taught else 0,
        pair_options=("--solver", "heun", "--nfe", "16") if taught else (),
        flow_solver=("--solver", "euler"),
        scoring=("--guidance", "1", "--measures", *EMOJI_MEASURES),
        samplers=SAMPLERS if method == "ddpm" else (),
    )


ALL: Mapping[str, Shipped] = {
    **{f"digits-{method}": _digits(method) for method in METHODS},
    **{f"emoji-{method}": _emoji("emoji", method) for method in EMOJI_METHODS},
    **{f"emoji-text-{method}": _emoji("emoji-text", method) for method in ("condot", "cpd")},
}


def base_of(name: str) -> str:
    """Which of the data sets a checkpoint is of: digits, emoji or emoji-text. Those of one are compared with one another."""
    return "emoji-text" if name.startswith("emoji-text-") else name.partition("-")[0]


def by_name(name: str) -> Shipped:
    """Raises ValueError for a name that does not ship."""
    if name not in ALL:
        raise ValueError(unknown("checkpoint", name, tuple(ALL)))
    return ALL[name]
