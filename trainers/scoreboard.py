"""The table over all methods: scores of every training of every checkpoint that ships, with intervals over seeds, and ties where the seeds' spread decides nothing.

A cell is the mean over seeds and half a 95 % interval: that of the pictures (1.96 standard errors) or, from three seeds on, Student's over the seeds where that is
larger. Within a column the best value and all that cannot be told from it (the interval of the difference contains 0) are ties. Frechet distances over latents are shown
and never ranked.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainers import layout
from trainers.files import read_json
from trainers.recipes.files import read_recipe
from trainers.recipes.shipped import ALL, BUDGETS, Shipped
from trainers.shipping import pairs_of, run_of

BACKWARD = 2  # passes: the price of a gradient, in forward ones
BEST: Mapping[str, Callable[[float], float]] = {  # the least of this is the best
    "one_nn": lambda value: abs(value - 0.5),
    "kernel": abs,
    "precision": lambda value: -value,
    "recall": lambda value: -value,
    "coverage": lambda value: -value,
}
SHOWN = {"one_nn": "1-NN", "kernel": "kernel x 1000", "precision": "precision", "recall": "recall", "coverage": "coverage"}
SCALE = {"kernel": 1000.0}
AT = 8  # evaluations of the second table
# Student's quantile at 97.5 % for 2, 3, ... degrees of freedom.
STUDENT = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


@dataclass(frozen=True)
class Cell:
    """A mean and half its 95 % interval (None where there is none), over so many seeds."""

    value: float
    half: float | None
    seeds: int


@dataclass(frozen=True)
class Line:
    """A method: scores by measure and budget ("prior", "1" ... "32", "adaptive"), what the flow is like, seconds of training, and millions of forward passes in all."""

    name: str
    seeds: int
    scores: dict[str, dict[str, Cell]]
    flow: dict[str, Cell]
    seconds: float
    passes: float


@dataclass(frozen=True)
class Board:
    """All methods of one data set, and real pictures against real ones."""

    base: str
    lines: list[Line]
    real: dict[str, Cell]
    count: int

    def summary(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"ties": {measure: {at: self.ties(measure, at) for at in COLUMNS} for measure in BEST}}

    def ties(self, measure: str, at: str) -> list[str]:
        """The best by a measure and budget, and whoever cannot be told from it."""
        cells = {line.name: line.scores[measure][at] for line in self.lines if at in line.scores.get(measure, {})}
        if not cells:
            return []
        best = min(cells, key=lambda name: BEST[measure](cells[name].value))
        return [name for name in cells if name == best or not _told_apart(cells[name], cells[best], BEST[measure])]


COLUMNS = ("prior", *map(str, BUDGETS), "adaptive")


def _told_apart(a: Cell, b: Cell, badness: Callable[[float], float]) -> bool:
    if a.half is None or b.half is None:
        return False
    return abs(badness(a.value) - badness(b.value)) > math.hypot(a.half, b.half)


def boards(runs: Path, names: Sequence[str] = tuple(ALL)) -> list[Board]:
    """One for each data set that has been scored. Raises ValueError where nothing has."""
    by_base: dict[str, list[tuple[Line, dict[str, Cell], int]]] = {}
    for name in names:
        found = [(seed, scored) for seed in range(len(STUDENT) + 2) if (scored := _evaluation(run_of(runs, name, seed))) is not None]
        if found:
            base = "emoji-text" if name.startswith("emoji-text-") else name.partition("-")[0]
            evaluations = [scored for _, scored in found]
            line = _line(name, evaluations, runs, [seed for seed, _ in found])
            by_base.setdefault(base, []).append((line, _real(evaluations), evaluations[0]["protocol"]["n"]))
    if not by_base:
        raise ValueError(f"nothing has been scored in {runs}; `python -m trainers ship` trains and scores all")
    return [Board(base, [line for line, _, _ in rows], rows[0][1], rows[0][2]) for base, rows in by_base.items()]


def _evaluation(run: Path) -> dict[str, Any] | None:
    files = sorted((run / layout.EVALUATIONS).glob("step-*.json"))
    return read_json(files[-1]) if files else None


def _column(row: Mapping[str, Any]) -> str | None:
    """Which column a row of an evaluation is for; None for real pictures."""
    if row["nfe"] is None:
        return None
    if row["nfe"] == 0:
        return "prior"
    return "adaptive" if row["name"].startswith("dopri5") else f"{row['nfe']:g}"


def _line(name: str, evaluations: Sequence[Mapping[str, Any]], runs: Path, seeds: Sequence[int]) -> Line:
    scores: dict[str, dict[str, Cell]] = {}
    for measure in (*BEST, "latents_frechet"):
        for at in COLUMNS:
            found = [row["scores"][measure] for e in evaluations for row in e["rows"] if _column(row) == at and measure in row["scores"]]
            if found:
                scores.setdefault(measure, {})[at] = _cell(found)
    kinds = ("straightness", "acceleration", "transport_cost")
    flow = {kind: _cell([{"value": e["flow"][kind], "error": None} for e in evaluations if e["flow"]]) for kind in kinds}
    costs = [_cost(name, ALL[name], runs, seed) for seed in seeds]
    return Line(name, len(seeds), scores, flow, sum(c[0] for c in costs) / len(costs), sum(c[1] for c in costs) / len(costs))


def _real(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Cell]:
    rows = [row for row in evaluations[0]["rows"] if row["nfe"] is None]
    return {measure: _cell([rows[0]["scores"][measure]]) for measure in BEST if rows and measure in rows[0]["scores"]}


def _cell(found: Sequence[Mapping[str, Any]]) -> Cell:
    values = [each["value"] for each in found]
    mean, errors = sum(values) / len(values), [each["error"] for each in found]
    # All seeds are compared with the same held-out pictures: what these leave open no spread over seeds shows, and no number of seeds makes less.
    pictures = None if None in errors else 1.96 * sum(errors) / len(errors)
    if len(values) < 3:
        return Cell(mean, pictures, len(values))
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    seeds = STUDENT[len(values) - 3] * spread / math.sqrt(len(values))
    return Cell(mean, seeds if pictures is None else max(seeds, pictures), len(values))


def _cost(name: str, shipped: Shipped, runs: Path, seed: int) -> tuple[float, float]:
    """Seconds of training, and millions of forward passes: a picture of training costs three; a reflow's teacher is in both, its pairs in the passes."""
    run = run_of(runs, name, seed)
    seconds = float(read_json(run / layout.CHECKPOINTS / f"step-{layout.steps_of(run)[0]:08d}" / layout.STATE)["seconds"])
    training = read_recipe(run / layout.RECIPE).training
    passes = (1 + BACKWARD) * training.steps * training.batch / 1e6
    if shipped.teacher is None:
        return seconds, passes
    made = read_json(pairs_of(runs, name, seed) / "manifest.json")
    before = _cost(shipped.teacher, ALL[shipped.teacher], runs, seed)
    return seconds + before[0], passes + before[1] + shipped.pairs * made["nfe"] / 1e6


def markdown(board: Board) -> str:
    """Two tables: 1-NN accuracy by evaluations, and everything at 8 of them."""
    first = ["method", "seeds", *("prior alone" if at == "prior" else at for at in COLUMNS)]
    ties = {at: board.ties("one_nn", at) for at in COLUMNS}
    rows = [
        [line.name, str(line.seeds), *(_words(line.scores.get("one_nn", {}).get(at), line.name in ties[at]) for at in COLUMNS)]
        for line in board.lines
    ]
    rows.append(["real against real", "", *(_words(board.real.get("one_nn"), False) if at == "prior" else "" for at in COLUMNS)])
    second = [
        "method",
        *SHOWN.values(),
        "latents' Frechet*",
        "straightness",
        "acceleration",
        "transport cost",
        "training, s",
        "forward passes, M",
    ]
    best = {measure: board.ties(measure, str(AT)) for measure in SHOWN}
    more = [
        [
            line.name,
            *(_words(line.scores.get(m, {}).get(str(AT)), line.name in best[m], SCALE.get(m, 1.0)) for m in SHOWN),
            _words(line.scores.get("latents_frechet", {}).get(str(AT)), False),
            *(_words(line.flow[kind], False) for kind in line.flow),
            f"{line.seconds:.0f}",
            f"{line.passes:.2f}",
        ]
        for line in board.lines
    ]
    return "\n".join(
        (
            f"**{board.base}**: 1-NN two-sample accuracy against held-out pictures by evaluations, n = {board.count}; .5 is ideal. In bold the best of a column and its ties.",
            "",
            *_table(first, rows),
            "",
            f"At {AT} evaluations (Euler):",
            "",
            *_table(second, more),
            "",
            "A training picture costs three forward passes. A reflow's teacher is counted in seconds and passes, its pairs in passes. "
            "* Never to be ranked by: a Gaussian prior that was fitted to the latents wins it without any flow.",
        )
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def _words(cell: Cell | None, best: bool, scale: float = 1.0) -> str:
    if cell is None:
        return ""
    value = f"{scale * cell.value:.3g}"
    words = value if cell.half is None else f"{value} ± {scale * cell.half:.2g}"
    return f"**{words}**" if best else words
