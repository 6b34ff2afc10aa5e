"""How a checkpoint is to be evaluated: what was asked for, completed by what its recipe says, and checked before anything slow begins."""

from dataclasses import dataclass
from pathlib import Path

from lab.checks import check_name, whole_number
from lab.solvers import ADAPTIVE, FIXED_STEP, nearest_nfe
from trainers.diffusion import DIFFUSION
from trainers.evaluation.flow_measures import TOLERANCE
from trainers.evaluation.references import KEEP
from trainers.evaluation.subject import Subject
from trainers.sampling import SOLVERS

MEASURES = (
    "frechet",
    "kernel",
    "one-nn",
    "precision-recall",
    "coverage",
    "nearest",
    "clip",
    "solver-error",
    "flow",
    "likelihood",
    "latents",
    "prior",
    "real",
    "round-trip",
)
LEAST = 20  # samples
BUDGETS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Options:
    """How to evaluate. None where the recipe says it: count, solver, grid, guidance, features, split; budgets: those of 1 to 32 that the solver can use exactly."""

    nfe: tuple[int, ...] | None = None
    count: int | None = None
    solver: str | None = None
    grid: str | None = None
    adaptive: bool = False
    tolerance: float = 1e-5
    """atol = rtol of the adaptive row."""
    guidance: float | None = None
    features: str | None = None
    features_sha256: str | None = None
    clip: str | None = None
    split: str | None = None
    reference: Path | None = None
    measures: tuple[str, ...] | None = None
    seed: int = 0
    cache: Path | None = None
    keep: int = KEEP
    flow_count: int = 32
    exact: float = TOLERANCE
    """atol = rtol of the end points that solver errors are against."""
    likelihood_count: int = 16


@dataclass(frozen=True)
class Plan:
    """Options with nothing left open. per_call: evaluations of the network for each of the field."""

    count: int
    seed: int
    solver: str
    grid: str
    guidance: float
    split: str
    measures: tuple[str, ...]
    budgets: tuple[int, ...]
    flow_count: int

    @property
    def per_call(self) -> int:
        return 1 if self.guidance == 1 else 2


def plan(subject: Subject, options: Options) -> Plan:
    """Raises ValueError for unknown names, budgets that the solver cannot use exactly, and what a model without conditions cannot have."""
    recipe = subject.recipe
    told = subject.label_law is not None or recipe.data.condition == "text"
    solver = options.solver or recipe.sampling.solver
    guidance = (recipe.sampling.guidance if told else 1.0) if options.guidance is None else options.guidance
    if guidance != 1 and not told:
        raise ValueError(f"guidance={guidance:g} needs a model with conditions; this one has none: leave it 1")
    count = whole_number("n", recipe.sampling.count if options.count is None else options.count, LEAST)
    return Plan(
        count,
        whole_number("seed", options.seed, 0),
        solver,
        options.grid or recipe.sampling.grid,
        guidance,
        options.split
        or {"train": recipe.data.train_split, "val": recipe.data.held_out_split}.get(recipe.sampling.split, recipe.sampling.split),
        _measures(options, told),
        _budgets(subject, options, solver, 1 if guidance == 1 else 2),
        min(whole_number("flow_count", options.flow_count, 1), count),
    )


def _measures(options: Options, told: bool) -> tuple[str, ...]:
    for name in options.measures or ():
        check_name("measures", name, MEASURES)
    if options.clip is not None and not told:
        raise ValueError("a CLIP score compares pictures with captions or names of classes; this model is told nothing: leave --clip out")
    if options.measures is not None and "clip" in options.measures and options.clip is None:
        raise ValueError("the measure clip needs a CLIP model: --clip FOLDER")
    wanted = options.measures or tuple(name for name in MEASURES if name != "clip" or options.clip is not None)
    return tuple(name for name in MEASURES if name in wanted)


def _budgets(subject: Subject, options: Options, solver: str, per_call: int) -> tuple[int, ...]:
    check_name("solver", solver, SOLVERS)
    if solver in ADAPTIVE:
        raise ValueError(
            f"{solver} chooses its own evaluations, so it has no budgets; name a fixed-step solver and give --adaptive for a row of dopri5"
        )
    if solver in DIFFUSION and subject.noise is None:
        raise ValueError(f"solver={solver!r} is for models trained as DDPM; take one of {', '.join(FIXED_STEP)}")
    fixed = solver if solver in FIXED_STEP else "euler"  # one evaluation a step, as DDPM's samplers
    if options.nfe is None:
        return tuple(n for n in BUDGETS if nearest_nfe(fixed, n, per_call) == (n,))
    for n in options.nfe:
        whole_number("nfe", n, 1)
        nearest = nearest_nfe(fixed, n, per_call)
        if nearest != (n,):
            guided = ", two a step for guidance," if per_call == 2 else ""
            raise ValueError(f"nfe={n}{guided} cannot be used exactly by {solver}; nearest: {' or '.join(map(str, nearest))}")
    return tuple(dict.fromkeys(options.nfe))
