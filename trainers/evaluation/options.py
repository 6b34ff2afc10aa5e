"""How a checkpoint is to be evaluated: what was asked for, completed by what its recipe says, and checked before anything slow begins."""

from dataclasses import dataclass, replace

from lab.checks import check_name, whole_number
from lab.grids import GRIDS
from lab.solvers import ADAPTIVE, FIXED_STEP
from trainers.commands.evaluate import Options
from trainers.diffusion import DIFFUSION
from trainers.evaluation.flow_measures import LOOSER
from trainers.evaluation.subject import Subject
from trainers.sampling import SOLVERS, budgets_near

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
EXACT = 1e-5


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
    exact: float

    @property
    def per_call(self) -> int:
        return 1 if self.guidance == 1 else 2


def with_recipe(subject: Subject, options: Options) -> Options:
    """For a recipe whose own solver is adaptive: the row of dopri5, whichever that is, and a ladder of Euler's, which can use any budget exactly."""
    if options.solver is None and subject.recipe.sampling.solver in ADAPTIVE:
        return replace(options, solver="euler", adaptive=True)
    return options


def plan(subject: Subject, options: Options) -> Plan:
    """Raises ValueError for unknown names, budgets that the solver cannot use exactly, and what a model without conditions cannot have."""
    recipe = subject.recipe
    told = subject.label_law is not None or recipe.data.condition == "text"
    solver = options.solver or recipe.sampling.solver
    guidance = (recipe.sampling.guidance if told else 1.0) if options.guidance is None else options.guidance
    if guidance != 1 and not told:
        raise ValueError(f"guidance={guidance:g} needs a model with conditions; this one has none: leave it 1")
    count = whole_number("n", recipe.sampling.count if options.count is None else options.count, LEAST)
    grid = options.grid or recipe.sampling.grid
    check_name("grid", grid, GRIDS)
    if solver in DIFFUSION and grid != "uniform":
        raise ValueError(f"grid={grid!r} is for solvers of the velocity; {solver} goes through its own thousand steps: leave it uniform")
    budgets = _budgets(subject, options, solver, guidance)
    return Plan(
        count,
        whole_number("seed", options.seed, 0),
        solver,
        grid,
        guidance,
        options.split
        or {"train": recipe.data.train_split, "val": recipe.data.held_out_split}.get(recipe.sampling.split, recipe.sampling.split),
        _measures(options, told),
        budgets,
        min(whole_number("flow-n", options.flow_count, 1), count),
        _exact(options),
    )


def _exact(options: Options) -> float:
    """The finest tolerance of the end points that solver errors are against."""
    for name, value in (("tolerance", options.tolerance), ("exact", options.exact), ("likelihood-tolerance", options.likelihood_tolerance)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"--{name} {value:g} must be between 0 and 1, such as 1e-5")
    whole_number("likelihood-n", options.likelihood_count, 1)
    whole_number("keep", options.keep, LEAST)
    return options.exact or min(EXACT, options.tolerance / LOOSER if options.adaptive else EXACT)


def _measures(options: Options, told: bool) -> tuple[str, ...]:
    for name in options.measures:
        check_name("measures", name, MEASURES)
    if options.clip is not None and not told:
        raise ValueError("a CLIP score compares pictures with captions or names of classes; this model is told nothing: leave --clip out")
    if "clip" in options.measures and options.clip is None:
        raise ValueError("the measure clip needs a CLIP model: --clip FOLDER")
    wanted = options.measures or tuple(name for name in MEASURES if name != "clip" or options.clip is not None)
    return tuple(name for name in MEASURES if name in wanted)


def _budgets(subject: Subject, options: Options, solver: str, guidance: float) -> tuple[int, ...]:
    check_name("solver", solver, SOLVERS)
    if solver in ADAPTIVE:
        raise ValueError(
            f"{solver} chooses its own evaluations, so it has no budgets; name a fixed-step solver and give --adaptive for a row of dopri5"
        )
    if solver in DIFFUSION and subject.noise is None:
        raise ValueError(f"solver={solver!r} is for models trained as DDPM; take one of {', '.join(FIXED_STEP)}")
    if not options.nfe:
        return tuple(n for n in BUDGETS if budgets_near(solver, n, guidance) == (n,))
    for n in options.nfe:
        whole_number("nfe", n, 1)
        nearest = budgets_near(solver, n, guidance)
        if nearest != (n,):
            guided = ", two a step for guidance," if guidance != 1 else ""
            raise ValueError(f"nfe={n}{guided} cannot be used exactly by {solver}; nearest: {' or '.join(map(str, nearest))}")
    return tuple(dict.fromkeys(options.nfe))
