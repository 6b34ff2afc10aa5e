"""The table that people read; its sentences serve the page too."""

from collections.abc import Sequence

from lab.measures import NO_ORDER, Ladder
from trainers.checkup.instruments import LOCAL, Checkup

UNSURE = "~"  # before an error of which the exact ends are not ten times better
STRETCHES = 8  # of the way, over which acceleration is averaged for people


def table(found: Checkup) -> str:
    """Protocol, evaluations needed, errors over budgets, and what the flow is like."""
    needed = "  ".join(f"{solver} {_evaluations(found, n)}" for solver, n in found.needed.items())
    return "\n".join(
        [
            *protocol(found),
            "",
            f"evaluations needed for a solver error of {found.asked.error:g} of the samples' spread",
            needed,
            "",
            f"solver error: RMSE of the end points in spreads of the samples{unsure(found)}",
            *_errors(found),
            "",
            local_words(found),
            *_columns(("t", "error"), found.local.t.tolist(), (found.local.rmse / found.exact.spread).tolist()),
            "",
            flow_words(found),
            "acceleration along t, mean of each eighth of the way",
            *_columns(("t", "E|du/dt|^2"), *stretches(found)),
            "",
            *_guidance(found),
            *(f"note: {note}" for note in found.notes),
        ]
    )


def protocol(found: Checkup) -> list[str]:
    """What was measured, and how, in sentences."""
    about, exact, asked, told = found.about, found.exact, found.asked, found.about["conventions"]
    first, last = about["t_span"]
    lines = [
        f"{about['name']}, made {about['made']}: {about['network']}, {about['parameters']:,} parameters, weights {about['weights']} ({about['weights_hash'][:12]}); "
        f"{' x '.join(map(str, about['shape']))} numbers a sample",
        f"n = {asked.n}, seed {asked.seed}, guidance {'off' if asked.guidance == 1 else f'{asked.guidance:g}'}; path {about['path']}, t from {first:g} to {last:g}",
    ]
    if told is not None:
        offset = f" {told['time_offset']:+g}" if told["time_offset"] else ""
        lines.append(f"conventions: {told['direction']}, time {told['time_scale']:g} s{offset}, predicts {told['prediction']}")
    for slope in found.slopes:
        lines.append(
            f"at t = {slope.t:g} the prediction changes by {slope.found:.2f} for each unit of x; by {slope.expected:.2f} where pairs are independent"
        )
    if about["texts"]:
        lines.append(f"text states: {about['texts']}")
    lines.append(
        f"exact flow: dopri5 at {exact.tolerance:g}, {exact.nfe} evaluations of the network for each sample; end points off by {exact.error / exact.spread:.1g} of the samples' "
        f"spread, which is {exact.spread:.4g} (root mean squared distance to their mean)"
    )
    return lines


def unsure(found: Checkup) -> str:
    """What the mark means, where there is one."""
    return "" if all(all(found.resolved(ladder)) for ladder in found.ladders) else f"; {UNSURE}: no more than the exact ends can tell"


def local_words(found: Checkup) -> str:
    """Over the local errors."""
    return f"local error: one {LOCAL} step of {found.asked.local_steps} equal ones, from the exact state at t against the exact flow, RMSE in spreads"


def flow_words(found: Checkup) -> str:
    """The flow in one line of numbers."""
    efficiency = "not shown: it hardly moves" if found.path_efficiency is None else f"{found.path_efficiency:.3f}"
    return (
        f"straightness {found.straightness:.4g} (0: straight at constant speed), acceleration {found.acceleration:.4g}, path efficiency {efficiency}, "
        f"transport cost {found.transport_cost:.4g}"
    )


def gauge_words(found: Checkup) -> str:
    """What guidance has to work with, in a sentence, or why that is not known."""
    if found.gap is None:
        return f"guidance: not gauged; {found.no_gap}"
    return "guidance gauge: E|u(x, t | c) - u(x, t | null)|^2 along the flow, relative to E|u(x, t | c)|^2; where it is near 0 guidance does nothing"


def order_words(ladder: Ladder) -> str:
    """The fitted order of a solver."""
    return NO_ORDER if ladder.order is None else f"order {ladder.order:.2f}"


def stretches(found: Checkup) -> tuple[list[float], list[float]]:
    """Middles of eighths of the way, and the acceleration's mean on each."""
    t, values = found.acceleration_along.t, found.acceleration_along.values
    first, last = found.about["t_span"]
    width = (last - first) / STRETCHES
    dt = found.times.diff().to(values.dtype)
    middles, means = [], []
    for k in range(STRETCHES):
        inside = (t >= first + k * width) & (t < first + (k + 1) * width)
        middles.append(first + (k + 0.5) * width)
        means.append(float((values[inside] * dt[inside]).sum() / dt[inside].sum()))
    return middles, means


def cell(value: float, sure: bool = True) -> str:
    """A number as the table has it."""
    return f"{'' if sure else UNSURE}{value:.3g}"


def _evaluations(found: Checkup, n: int | None) -> str:
    return f"more than {max(found.asked.nfe)}" if n is None else str(n)


def _errors(found: Checkup) -> list[str]:
    cells = {
        ladder.method: {n: cell(e, sure) for n, e, sure in zip(ladder.nfe, found.relative(ladder), found.resolved(ladder), strict=True)}
        for ladder in found.ladders
    }
    budgets = sorted({n for column in cells.values() for n in column})
    lines = [["NFE", *cells], *([str(n), *(column.get(n, "-") for column in cells.values())] for n in budgets)]
    lines.append(["", *(("-" if ladder.order is None else f"order {ladder.order:.2f}") for ladder in found.ladders)])
    return _aligned(lines)


def _guidance(found: Checkup) -> list[str]:
    if found.gap is None:
        return [gauge_words(found)]
    return [gauge_words(found), *_columns(("t", "relative"), found.gap.t.tolist(), found.gap.relative.tolist())]


def _columns(heads: tuple[str, str], t: Sequence[float], values: Sequence[float]) -> list[str]:
    return _aligned([[heads[0], *(f"{each:.3f}" for each in t)], [heads[1], *map(cell, values)]])


def _aligned(lines: list[list[str]]) -> list[str]:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
