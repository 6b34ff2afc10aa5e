"""Two to four checkpoints sampled side by side, in a process of its own: the same normal numbers mapped by each one's prior, the same conditions, the same counted evaluations.

What is made goes through the pipe as (name, numbers, []), pictures as lossless WebP in base64, one sheet for all samples of a panel:
loaded {panel, ...}, rung {panel, nfe, picture, ...} for x_0 (nfe 0) and every budget, the nearest to the wished one first, film, nearest and known (app.tasks.looks),
exact {panel, picture, flow, errors}, and last of all end or failed. A rung whose samples are not finite has an error in place of its picture; the others go on.
When the pipe is closed from the other end, the process ends.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from app.tasks.looks import film, known_captions, nearest_pictures, picture
from lab.checks import check_name, whole_number
from lab.grids import GRIDS
from lab.solvers import ADAPTIVE
from trainers.checkup.subjects import draws, open_subject, told
from trainers.diffusion import DIFFUSION, RANDOM
from trainers.evaluation.flow_measures import TIMES, Flow, follow, solver_error
from trainers.evaluation.subject import Subject
from trainers.grids import shape_of
from trainers.sampling import SOLVERS, Samples, budgets_near, sample, start

TOO_LARGE = "so many samples of this size on their way take more memory than there is to spare; ask for fewer"
LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
MOST, FEWEST_PANELS, MOST_PANELS, LONGEST, MOST_TOLD = 64, 1, 4, 300, 64
EXACT = 1e-6
MOST_NUMBERS = 250_000_000  # of states that are held at once, 1 GB in float32: 64 samples of 3 x 64 x 64 at 65 times are 51 million


class Pipe(Protocol):
    """Where what is made goes: a worker's pipe, or whoever keeps it."""

    def send(self, obj: Any, /) -> None: ...


@dataclass(frozen=True)
class Panel:
    """A checkpoint, and how it is sampled; condition: what each of its samples is told."""

    model: Subject
    solver: str
    grid: str
    guidance: float
    condition: Tensor | None

    def can(self, nfe: int) -> bool:
        """Whether the solver can use this budget exactly."""
        return budgets_near(self.solver, nfe, self.guidance) == (nfe,)


@dataclass(frozen=True)
class Wish:
    """What a page asks for. told: classes in turn, for models of classes (none: as often as in the data); prompts: in turn, for models of texts."""

    panels: tuple[Mapping[str, Any], ...]
    n: int
    seed: int
    nfe: int
    told: tuple[str, ...]
    prompts: tuple[str, ...]
    exact: bool


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """The wish as it will be used. Raises ValueError, naming the field, for what cannot be; a model's own limits are found when it is loaded."""
    return asdict(_wish(given))


def _wish(given: Mapping[str, Any]) -> Wish:
    panels = given.get("panels")
    if not isinstance(panels, list) or not FEWEST_PANELS <= len(panels) <= MOST_PANELS or not all(isinstance(p, Mapping) for p in panels):
        raise ValueError(f"panels must be a list of {FEWEST_PANELS} to {MOST_PANELS} objects")
    return Wish(
        tuple(_panel(panel) for panel in panels),
        _within("n", given.get("n", 18), 1, MOST),
        _within("seed", given.get("seed", 0), 0, 2**63),
        _within("nfe", given.get("nfe", 8), 1, LADDER[-1]),
        _texts("told", given.get("told", [])),
        _texts("prompts", given.get("prompts", [])),
        _truth("exact", given.get("exact", True)),
    )


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MOST_TOLD or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{name} must be a list of at most {MOST_TOLD} texts")
    long = next((text for text in value if len(text) > LONGEST), None)
    if long is not None:
        raise ValueError(f"a prompt of {len(long):,} characters is too long; at most {LONGEST} are read")
    return tuple(value)


def _within(name: str, value: Any, least: int, most: int) -> int:
    number = whole_number(name, value, least)
    if number > most:
        raise ValueError(f"{name}={number} is too many; at most {most}")
    return number


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false")
    return value


def _panel(panel: Mapping[str, Any]) -> dict[str, Any]:
    solver, times = panel.get("solver", "heun"), panel.get("grid", "uniform")
    check_name("solver", solver if isinstance(solver, str) else str(solver)[:40], tuple(s for s in SOLVERS if s not in ADAPTIVE))
    check_name("grid", times if isinstance(times, str) else str(times)[:40], tuple(GRIDS))
    guidance = panel.get("guidance", 1.0)
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or not 0 <= guidance <= 20:
        raise ValueError(f"guidance={str(guidance)[:20]} must be a number from 0 to 20")
    weights = panel.get("weights", "ema")
    if not isinstance(weights, str):
        raise ValueError("weights must be a name")
    return {"solver": solver, "grid": times, "guidance": float(guidance), "weights": weights}


def run(given: Mapping[str, Any], pipe: Pipe) -> None:
    """Works a wish off. `given` is what `check` returned, and `folders`, those of the checkpoints."""
    began = time.perf_counter()
    wish = Wish(**{name: value for name, value in given.items() if name != "folders"})
    try:
        _work(wish, [Path(folder) for folder in given["folders"]], pipe)
        pipe.send(("end", {"seconds": time.perf_counter() - began}, []))
    except ValueError as error:
        pipe.send(("failed", {"error": str(error)}, []))
    except (BrokenPipeError, ConnectionResetError):  # nobody listens any more
        return
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate" not in str(error):  # torch's own way of saying it
            raise
        pipe.send(("failed", {"error": "this takes more memory than there is; ask for fewer samples"}, []))


def _work(wish: Wish, folders: list[Path], pipe: Pipe) -> None:
    panels = [_loaded(k, asked, folder, wish, pipe) for k, (asked, folder) in enumerate(zip(wish.panels, folders, strict=True))]
    for k, panel in enumerate(panels):
        x_0 = start(panel.model, torch.arange(wish.n), panel.condition, wish.seed)
        pipe.send(("rung", {"panel": k, "nfe": 0, "evaluations": 0, "seconds": 0.0, "picture": picture(panel.model.decode(x_0))}, []))
    ends: list[dict[int, Tensor]] = [{} for _ in panels]
    first: list[tuple[int, Samples] | None] = [
        None for _ in panels
    ]  # of each panel the budget next to the wished one, with the states on its way
    for nfe in sorted(LADDER, key=lambda n: (abs(n - wish.nfe), n)):
        for k, panel in enumerate(panels):
            if panel.can(nfe):
                made = _rung(k, panel, wish, nfe, first[k] is None, pipe)
                if made is not None:
                    ends[k][nfe], first[k] = made.x, first[k] or (nfe, made)
    for k, (panel, looked_at) in enumerate(zip(panels, first, strict=True)):
        if looked_at is not None:
            _looks(k, panel, *looked_at, wish, pipe)
    for k, panel in enumerate(panels):
        if wish.exact:
            _exact(k, panel, wish, ends[k], pipe)


def _loaded(k: int, asked: Mapping[str, Any], folder: Path, wish: Wish, pipe: Pipe) -> Panel:
    model = open_subject(folder, asked["weights"])
    if not draws(model):
        raise ValueError(
            f"panel {k + 1}: {folder.name} works on latents and names no autoencoder that would make pictures of them; say it in its conventions.json"
        )
    texts = {"class": wish.told, "text": wish.prompts}.get(model.recipe.data.condition, ())
    if model.recipe.data.condition == "text" and not texts:
        raise ValueError(f"panel {k + 1} is told a text: type a prompt")
    condition, names = told(model, texts, wish.n, wish.seed)
    if asked["guidance"] != 1 and condition is None:
        raise ValueError(f"panel {k + 1}: guidance needs a model with conditions, and this one was trained without; set it to 1")
    if asked["guidance"] != 1 and model.null is None:
        raise ValueError(f"panel {k + 1}: guidance needs a condition that means none, and {folder.name} has none; set it to 1")
    if asked["solver"] in DIFFUSION and model.noise is None:
        raise ValueError(f"panel {k + 1}: {asked['solver']} is for models trained as DDPM; take heun or another solver of the velocity")
    if asked["solver"] in DIFFUSION and asked["grid"] != "uniform":
        raise ValueError(f"panel {k + 1}: {asked['solver']} goes through its own thousand steps; leave the grid uniform")
    panel = Panel(model, asked["solver"], asked["grid"], asked["guidance"], condition)
    facts = {"names": names, "budgets": [n for n in LADDER if panel.can(n)], "step": model.step, "weights_hash": model.weights_hash}
    facts |= {"parameters": model.parameters, "sheet": asdict(shape_of(wish.n, model.recipe.data.size))}
    pipe.send(("loaded", {"panel": k, **facts}, []))
    return panel


def _rung(k: int, panel: Panel, wish: Wish, nfe: int, states: bool, pipe: Pipe) -> Samples | None:
    """Samples of one budget; None where they are not finite, which is told."""
    began = time.perf_counter()
    made = sample(
        panel.model,
        wish.n,
        seed=wish.seed,
        solver=panel.solver,
        nfe=nfe,
        grid=panel.grid,
        guidance=panel.guidance,
        condition=panel.condition,
        states=states and _fits(panel, wish, nfe + 1),
    )
    if not bool(torch.isfinite(made.x).all()):
        error = f"the samples at {nfe} evaluations are not finite; take other weights or another solver"
        pipe.send(("rung", {"panel": k, "nfe": nfe, "error": error}, []))
        return None
    facts = {"panel": k, "nfe": nfe, "evaluations": made.nfe, "picture": picture(panel.model.decode(made.x))}
    pipe.send(("rung", {**facts, "seconds": time.perf_counter() - began}, []))
    return made


def _fits(panel: Panel, wish: Wish, states: int) -> bool:
    """Whether so many states of all samples may be held."""
    return wish.n * torch.Size(panel.model.shape).numel() * states <= MOST_NUMBERS


def _looks(k: int, panel: Panel, nfe: int, made: Samples, wish: Wish, pipe: Pipe) -> None:
    """A closer look at the samples of one budget, and at the prompts of a text model."""
    frames = {"error": TOO_LARGE} if made.states is None else film(panel.model, made, panel.guidance)
    pipe.send(("film", {"panel": k, "nfe": nfe} | frames, []))
    pipe.send(("nearest", {"panel": k, "nfe": nfe} | nearest_pictures(panel.model, made.x), []))
    if panel.model.recipe.data.condition == "text":
        pipe.send(("known", {"panel": k} | known_captions(panel.model, wish.prompts), []))


def _exact(k: int, panel: Panel, wish: Wish, ends: dict[int, Tensor], pipe: Pipe) -> None:
    """The checkpoint's own adaptive end points from the same x_0, and how far off each rung is, in latents and in pixels; not of solvers whose steps are random."""
    model = panel.model
    if not _fits(panel, wish, 4 * (TIMES + 1)):  # in double, and their slopes beside them
        pipe.send(("exact", {"panel": k, "error": TOO_LARGE}, []))
        return
    x_0 = start(model, torch.arange(wish.n), panel.condition, wish.seed)
    try:
        flow: Flow = follow(model, x_0, panel.condition, guidance=panel.guidance, finest=EXACT)
    except ValueError as error:
        pipe.send(("exact", {"panel": k, "error": str(error)}, []))
        return
    pictures = model.decode(flow.ends.float())
    errors = {}
    for nfe, x in sorted(ends.items()) if panel.solver not in RANDOM else ():
        found = solver_error(x, flow)
        off = (model.decode(x).double() - pictures.double()).flatten(1).square().mean(1)
        errors[nfe] = asdict(found) | {"resolved": found.resolved, "pixels": float(off.mean().sqrt() / 255)}
    pipe.send(("exact", {"panel": k, "flow": flow.summary(), "errors": errors, "picture": picture(pictures)}, []))
