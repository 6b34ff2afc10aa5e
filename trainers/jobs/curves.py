"""A run's records, few enough to draw: each bucket of steps gives its mean, least and largest value, so that no spike is lost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.layout import METRICS

POINTS = 400
KINDS = ("loss", "held_out_loss", "gradient_norm", "learning_rate", "images_per_second")


@dataclass(frozen=True)
class Curve:
    """One value over steps: the last step of each bucket; mean, least and largest of what was recorded in it."""

    step: list[int]
    mean: list[float]
    least: list[float]
    most: list[float]


@dataclass(frozen=True)
class Curves:
    """By name; loss_by_time holds the loss in each bin of t. records: how many lines there were; damaged: how many could not be read."""

    curves: dict[str, Curve]
    loss_by_time: list[Curve]
    records: int
    damaged: int


def curves(folder: Path, kinds: Sequence[str] = KINDS, points: int = POINTS) -> Curves:
    """Of a run's folder; empty where nothing was recorded."""
    lines, damaged = records(folder / METRICS)
    found = {kind: _curve([(line["step"], line.get(kind)) for line in lines], points) for kind in kinds}
    bins = max((len(line.get("loss_by_time") or ()) for line in lines), default=0)
    by_time = [
        _curve([(line["step"], line["loss_by_time"][k]) for line in lines if len(line.get("loss_by_time") or ()) > k], points)
        for k in range(bins)
    ]
    return Curves({kind: curve for kind, curve in found.items() if curve.step}, by_time, len(lines), damaged)


def records(metrics: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines of a run's records that hold a step, and how many do not (the last may still be on its way)."""
    try:
        raw = metrics.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return [], 0
    if raw and not raw[-1].endswith(b"\n"):
        raw.pop()
    found, damaged = [], 0
    for line in raw:
        try:
            each = json.loads(line)
            each["step"] = int(each["step"])
            found.append(each)
        except (ValueError, KeyError, TypeError):
            damaged += 1
    return found, damaged


def _curve(told: Sequence[tuple[int, Any]], points: int) -> Curve:
    """At most `points` buckets of equally many records."""
    numbers = [(step, float(value)) for step, value in told if isinstance(value, int | float)]
    size = max(1, -(-len(numbers) // points))
    buckets = [numbers[i : i + size] for i in range(0, len(numbers), size)]
    values = [[value for _, value in bucket] for bucket in buckets]
    return Curve(
        [bucket[-1][0] for bucket in buckets], [sum(v) / len(v) for v in values], [min(v) for v in values], [max(v) for v in values]
    )
