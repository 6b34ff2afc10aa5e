"""Curves as SVG text that stands in a page: no script, no outside file; colours are the page's own (--c0 to --c3, --line, --quiet), so that they follow light and dark."""

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 96, 14, 44
COLOURS = 4
APART = 16  # pixels between the names at the curves' ends


@dataclass(frozen=True)
class Curve:
    """Points of one line, x rising; `hollow`: points that are drawn open, as unsure."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    hollow: Sequence[bool] = ()


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    log: bool
    first: float  # in pixels
    last: float

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return self.first + (at - low) / (high - low) * (self.last - self.first)


def chart(
    curves: Sequence[Curve],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    x_ticks: Sequence[float] = (),
    level: float | None = None,
) -> str:
    """One figure. level: a dashed line across. On a log axis what is not above 0 is left out. Raises ValueError where nothing is left to draw."""
    shown = [_kept(curve, log_x, log_y) for curve in curves]
    xs, ys = [x for c in shown for x in c.x], [y for c in shown for y in c.y]
    if not xs:
        raise ValueError(f"the chart {title!r} has no point that can be drawn")
    ticks_x = [*x_ticks] or _ticks(min(xs), max(xs), log_x)
    ticks_y = _ticks(min([*ys, *([level] if level else [])]), max([*ys, *([level] if level else [])]), log_y)
    across = _Axis(min(*xs, *ticks_x), max(*xs, *ticks_x), log_x, LEFT, WIDTH - RIGHT)
    up = _Axis(min(*ys, *ticks_y), max(*ys, *ticks_y), log_y, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">',
        *(_rule(LEFT, up(y), WIDTH - RIGHT, up(y), "grid") + _text(LEFT - 8, up(y) + 4, _number(y), "end") for y in ticks_y),
        *(
            _rule(across(x), HEIGHT - BOTTOM, across(x), HEIGHT - BOTTOM + 4, "grid")
            + _text(across(x), HEIGHT - BOTTOM + 18, _number(x), "middle")
            for x in _apart(ticks_x, across)
        ),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"),
        f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>',
        "" if level is None else _rule(LEFT, up(level), WIDTH - RIGHT, up(level), "level"),
        *(_line(curve, across, up, k % COLOURS) for k, curve in enumerate(shown)),
        *_names(shown, up),
        "</svg>",
    ]
    return "".join(parts)


def _kept(curve: Curve, log_x: bool, log_y: bool) -> Curve:
    hollow = curve.hollow or [False] * len(curve.x)
    points = [
        (x, y, h)
        for x, y, h in zip(curve.x, curve.y, hollow, strict=True)
        if math.isfinite(y) and (x > 0 or not log_x) and (y > 0 or not log_y)
    ]
    return Curve(curve.name, [p[0] for p in points], [p[1] for p in points], [p[2] for p in points])


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Round numbers around a range: decades, or steps of 1, 2 or 5."""
    if log:
        first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        return [10.0**k for k in range(first, max(last, first + 1) + 1)]
    low = min(low, 0.0)
    rough = max(high - low, 1e-12) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * (1 - 1e-9))
    return [k * step for k in range(math.floor(low / step), max(math.ceil(high / step - 1e-9), 1) + 1)]


def _apart(ticks: Sequence[float], axis: _Axis) -> list[float]:
    """Those whose numbers do not run into one another."""
    kept: list[float] = []
    for tick in ticks:
        if not kept or axis(tick) - axis(kept[-1]) >= 24:
            kept.append(tick)
    return kept


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _line(curve: Curve, across: Callable[[float], float], up: Callable[[float], float], k: int) -> str:
    points = [(across(x), up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle class="{"hollow" if hollow else "dot"}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{html.escape(curve.name)}: {_number(a)}, {b:.3g}</title></circle>'
        for (x, y), a, b, hollow in zip(points, curve.x, curve.y, curve.hollow, strict=True)
    )
    return f'<g class="c{k}"><polyline points="{line}"/>{dots}</g>'


def _names(curves: Sequence[Curve], up: Callable[[float], float]) -> list[str]:
    """At the curves' ends, moved apart where they would lie on one another."""
    ends = sorted((up(curve.y[-1]), k, curve.name) for k, curve in enumerate(curves) if curve.name and curve.y)
    places: list[float] = []
    for y, _, _ in ends:
        places.append(max(y, places[-1] + APART) if places else y)
    over = max(0.0, places[-1] - (HEIGHT - BOTTOM)) if places else 0.0
    return [
        f'<text class="name c{k % COLOURS}" x="{WIDTH - RIGHT + 10}" y="{place - over + 4:.1f}">{html.escape(name)}</text>'
        for place, (_, k, name) in zip(places, ends, strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.0e}"
