"""The table over all methods: scores of every training of every checkpoint that ships, with intervals over seeds, and ties where the seeds' spread decides nothing.

A cell is the mean over seeds and half a 95 % interval: that of the pictures (1.96 standard errors) or, from three seeds on, Student's over the seeds where that is
larger. Within a column the best value and all that cannot be told from it (the interval of the difference contains 0) are ties. Frechet distances over latents are shown
and never ranked.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainers.recipes.shipped import BUDGETS, base_of
from trainers.scorecards import Card

FLOW = ("straightness", "acceleration", "transport_cost")
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


def boards(cards: Sequence[Card]) -> list[Board]:
    """One for each data set that has been scored. Raises ValueError where nothing has."""
    if not cards:
        raise ValueError("there are no scorecards; `python -m trainers ship` trains and scores all")
    by_base: dict[str, dict[str, list[Card]]] = {}
    for card in cards:
        base = base_of(card.name)
        label = card.name if card.sampler is None else f"{card.name}, {card.sampler}"
        by_base.setdefault(base, {}).setdefault(label, []).append(card)
    return [_board(base, labelled) for base, labelled in by_base.items()]


def _board(base: str, labelled: Mapping[str, Sequence[Card]]) -> Board:
    first = next(iter(labelled.values()))[0]
    return Board(base, [_line(label, cards) for label, cards in labelled.items()], _real(first), first.protocol["n"])


def _column(row: Mapping[str, Any]) -> str | None:
    """Which column a row of an evaluation is for; None for real pictures."""
    if row["nfe"] is None:
        return None
    if row["nfe"] == 0:
        return "prior"
    return "adaptive" if row["name"].startswith("dopri5") else f"{row['nfe']:g}"


def _line(name: str, cards: Sequence[Card]) -> Line:
    scores: dict[str, dict[str, Cell]] = {}
    for measure in (*BEST, "latents_frechet"):
        for at in COLUMNS:
            found = [row["scores"][measure] for card in cards for row in card.rows if _column(row) == at and measure in row["scores"]]
            if found:
                scores.setdefault(measure, {})[at] = _cell(found)
    flows = [card.flow for card in cards if card.flow is not None]
    flow = {kind: _cell([{"value": each[kind], "error": None} for each in flows]) for kind in FLOW if flows}
    return Line(name, len(cards), scores, flow, _mean([card.seconds for card in cards]), _mean([card.passes for card in cards]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _real(card: Card) -> dict[str, Cell]:
    """Real pictures in the place of generated ones; round trips are no real pictures."""
    rows = [row for row in card.rows if row["name"].startswith("real")]
    return {measure: _cell([rows[0]["scores"][measure]]) for measure in BEST if rows and measure in rows[0]["scores"]}


def _cell(found: Sequence[Mapping[str, Any]]) -> Cell:
    values = [each["value"] for each in found]
    mean, errors = _mean(values), [each["error"] for each in found]
    # All seeds are compared with the same held-out pictures: what these leave open no spread over seeds shows, and no number of seeds makes less.
    pictures = None if None in errors else 1.96 * _mean(errors)
    if len(values) < 3:
        return Cell(mean, pictures, len(values))
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    seeds = STUDENT[len(values) - 3] * spread / math.sqrt(len(values))
    return Cell(mean, seeds if pictures is None else max(seeds, pictures), len(values))


def markdown(board: Board) -> str:
    """Three tables: 1-NN accuracy and kernel distance by evaluations, and everything at 8 of them."""
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
            *(_words(line.flow.get(kind), False) for kind in FLOW),
            f"{line.seconds:.0f}",
            f"{line.passes:.2f}",
        ]
        for line in board.lines
    ]
    return "\n".join(
        (
            f"**{board.base}**: 1-NN two-sample accuracy against held-out pictures by evaluations, n = {board.count}; .5 is ideal. In bold the best of a column and its ties.",
            "",
            *_by_evaluations(board, "one_nn"),
            "",
            "Kernel distance of features x 1000; 0 is ideal:",
            "",
            *_by_evaluations(board, "kernel"),
            "",
            f"At {AT} evaluations (Euler):",
            "",
            *_table(second, more),
            "",
            "A training picture costs three forward passes. A reflow's teacher is counted in seconds and passes, its pairs in passes. "
            "* Never to be ranked by: a Gaussian prior that was fitted to the latents wins it without any flow.",
        )
    )


def _by_evaluations(board: Board, measure: str) -> list[str]:
    """One score of every method in every column."""
    head = ["method", "seeds", *("prior alone" if at == "prior" else at for at in COLUMNS)]
    ties, scale = {at: board.ties(measure, at) for at in COLUMNS}, SCALE.get(measure, 1.0)
    rows = [
        [line.name, str(line.seeds), *(_words(line.scores.get(measure, {}).get(at), line.name in ties[at], scale) for at in COLUMNS)]
        for line in board.lines
    ]
    rows.append(["real against real", "", *(_words(board.real.get(measure), False, scale) if at == "prior" else "" for at in COLUMNS)])
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def _words(cell: Cell | None, best: bool, scale: float = 1.0) -> str:
    if cell is None:
        return ""
    value = f"{scale * cell.value:.3g}"
    words = value if cell.half is None else f"{value} ± {scale * cell.half:.2g}"
    return f"**{words}**" if best else words
