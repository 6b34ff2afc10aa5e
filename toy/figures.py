"""matplotlib figures of traces, for paper and slide. Every function takes measured results and returns a Figure; `toy.gallery` chooses scenes and saves."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lab.measures import Ladder
from toy.report import names, target_label
from toy.scene import Scene
from toy.trace import Trace

INK, ACCENT, QUIET = "#1a1a1a", "#b3261e", "#8a8a8a"
# Charts use no class colours; line, mark and colour differ together, so that none has to be told by colour alone.
LINE_STYLES: tuple[tuple[str, str, str], ...] = (
    (INK, "-", "o"),
    (ACCENT, "--", "D"),
    ("#2b6cb0", "-.", "s"),
    ("#4d7c0f", ":", "^"),
    ("#7c3aed", "--", "v"),
    ("#b45309", "-.", "P"),
)
MORE_MARKS = ("x", "*", "<", ">", "p", "h")  # with the same colours again
EXACT = 1e-9  # errors below are rounding

STYLE: Any = {  # matplotlib types its own keys
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.dpi": 150,
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.08,
    "svg.fonttype": "none",
    "svg.hashsalt": "flow-matching-lab",  # the same figure gives the same file
    "pdf.fonttype": 42,
}


def figure(width: float, height: float, rows: int, columns: int, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """An empty figure in the house style, without pyplot's global state; axes (rows, columns)."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False, **kwargs)
    return drawn, axes


def number(value: float) -> str:
    """Three digits; 0 where nothing but rounding is left."""
    return "0" if abs(value) < EXACT else f"{value:.3g}"


FULL_OT = "Full OT pairs the shown points themselves: straight by construction, and no field for any other point."


def by_construction(traced: Trace) -> str:
    """What stands behind a number that full OT makes 0."""
    return ", by construction" if traced.scene.coupling == "full-ot" and traced.straightness < EXACT else ""


def protocol(traces: Sequence[Trace], *, solver: bool = True, reference_error: float | None = None) -> str:
    """What a reader needs to repeat a figure: target, solver with counted evaluations, n, seed, and the worst reference's own error (the traces' unless given)."""
    scenes = [traced.scene for traced in traces]

    def common(values: Iterable[object]) -> str:
        return " or ".join(dict.fromkeys(map(str, values)))

    parts = [f"Target {common(map(target_label, scenes))}"]
    if solver:
        parts.append(f"{common(s.solver for s in scenes)} with {common(traced.nfe for traced in traces)} evaluations")
    worst = max(traced.global_error.reference_error for traced in traces) if reference_error is None else reference_error
    parts += [f"n = {common(s.count for s in scenes)}", f"seed {common(s.seed for s in scenes)}", f"reference off by at most {worst:.0e}"]
    return ", ".join(parts) + "." + (f" {FULL_OT}" if any(s.coupling == "full-ot" for s in scenes) else "")


def _note(drawn: Figure, text: str, width: int) -> None:
    drawn.supxlabel(textwrap.fill(text, width), fontsize=7.5, color="#555555", x=0.01, ha="left")


def scene_names(traces: Sequence[Trace], but: Sequence[str]) -> dict[Scene, str]:
    """`names` of the scenes of all panels of a figure."""
    scenes = [traced.scene for traced in traces]
    return dict(zip(scenes, names(scenes, but), strict=True))


def _line(index: int) -> dict[str, Any]:
    colour, line, mark = LINE_STYLES[index % len(LINE_STYLES)]
    mark = mark if index < len(LINE_STYLES) else MORE_MARKS[index % len(MORE_MARKS)]
    return {"color": colour, "linestyle": line, "marker": mark, "markersize": 4, "markerfacecolor": colour if mark == "o" else "white"}


def error_against_nfe(panels: Sequence[tuple[str, Sequence[tuple[Trace, Ladder]]]]) -> Figure:
    """Global truncation error over counted evaluations, median and RMSE, one panel for each title. Scenes without error are named and not drawn."""
    called = scene_names([traced for _, ladders in panels for traced, _ in ladders], ("sees", "budget"))
    with mpl.rc_context(STYLE):
        drawn, axes = figure(4.4 * len(panels), 4.3, 1, len(panels), sharey=True)
        for ax, (title, ladders) in zip(axes[0], panels, strict=True):
            exact = []
            for i, (traced, ladder) in enumerate(ladders):
                if max(ladder.rmse) < EXACT:
                    exact.append(called[traced.scene])
                    continue
                order = "no clean order" if ladder.order is None else f"order {ladder.order:.2f}"
                ax.loglog(ladder.nfe, ladder.median, **_line(i), label=f"{called[traced.scene]} ({order})")
                ax.loglog(ladder.nfe, ladder.rmse, color=LINE_STYLES[i % len(LINE_STYLES)][0], linewidth=0.6, alpha=0.7)
            ax.plot([], [], color=QUIET, linewidth=0.6, label="thin, without marks: RMSE of the same")
            if exact:
                ax.plot([], [], " ", label=f"no error at any NFE: {'; '.join(exact)}")
            evaluations_axis(ax, sorted({n for _, ladder in ladders for n in ladder.nfe}))
            ax.set_title(title)
            ax.grid(axis="y", color="#dddddd", linewidth=0.5)
            ax.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(-0.02, -0.19), borderaxespad=0)
        axes[0][0].set_ylabel("global truncation error")
        every = [pair for _, ladders in panels for pair in ladders]
        methods = " or ".join(dict.fromkeys(ladder.method for _, ladder in every))
        worst = max(ladder.reference_error for _, ladder in every)
        words = protocol([traced for traced, _ in every], solver=False, reference_error=worst)
        _note(
            drawn,
            f"Solver {methods}. Marked: median; thin: RMSE, which a few particles in another class than the exact flow's hold up. Order: that of the median. {words}",
            70 * len(panels),
        )
    return drawn


def evaluations_axis(ax: Axes, nfe: Sequence[int]) -> None:
    """A logarithmic axis that is labelled with the evaluations themselves."""
    ax.xaxis.set_major_locator(FixedLocator([n for n in nfe if n & (n - 1) == 0]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}"))
    ax.set_xlabel("function evaluations (counted)")


def straightness_and_error(panels: Sequence[tuple[str, Sequence[Trace]]]) -> Figure:
    """Straightness, acceleration and error of the same scenes beside one another: what straightness says, and what it does not."""
    columns = (
        ("straightness", lambda tr: tr.straightness),
        ("acceleration", lambda tr: tr.acceleration),
        ("global truncation error (RMSE)", lambda tr: tr.global_error.rmse),
    )
    called = scene_names([traced for _, traces in panels for traced in traces], ("sees",))
    with mpl.rc_context(STYLE):
        drawn, axes = figure(9.4, 0.9 + 0.27 * sum(len(p[1]) + 1.5 for p in panels), len(panels), 3, sharex="col")
        for place, (row, (title, traces)) in enumerate(zip(axes, panels, strict=True)):
            words = [called[tr.scene] for tr in traces]
            y = np.arange(len(traces))[::-1]
            for i, (ax, (name, value)) in enumerate(zip(row, columns, strict=True)):
                values = [value(tr) for tr in traces]
                ax.hlines(y, 0, values, color="#cccccc", linewidth=1)
                ax.plot(values, y, "o", color=INK, markersize=5, clip_on=False)
                for traced, v, h in zip(traces, values, y, strict=True):
                    word = f"{number(v)}{by_construction(traced)}"
                    ax.annotate(word, (v, h), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
                ax.set_yticks(y, words if i == 0 else [""] * len(words))
                ax.set_ylim(-0.6, len(traces) - 0.4)
                most = max(value(tr) for _, every in panels for tr in every)
                ax.set_xlim(0, 1.25 * most if most > EXACT else 1)  # room for the number beside the longest line
                ax.tick_params(axis="y", length=0)
                if place == len(panels) - 1:
                    ax.set_xlabel(name)
            row[0].set_title(title)
        _note(
            drawn,
            "Straightness compares couplings under one prior; it does not rank priors. " + protocol([t for _, p in panels for t in p]),
            150,
        )
    return drawn


def local_error_and_acceleration(traces: Sequence[Trace]) -> Figure:
    """Where along t the solver errs in a single step from the exact state, and the acceleration that makes it err."""
    called = scene_names(traces, ())
    with mpl.rc_context(STYLE):
        drawn, axes = figure(8.8, 3.9, 1, 2)
        local_axis, acceleration_axis = axes[0]
        for i, traced in enumerate(traces):
            label, style = called[traced.scene], _line(i) | {"marker": ""}
            local = traced.local_error
            if local is not None:
                # One value for a whole step: drawn from the step's start to its end.
                ends = np.append(local.t.numpy(), traced.t[-1].item())
                local_axis.stairs(
                    local.rmse.numpy(), ends, color=style["color"], linestyle=style["linestyle"], label=label, baseline=None, linewidth=1.4
                )
            times, value = traced.acceleration_curve()
            if float(value.max()) > EXACT:
                acceleration_axis.plot(times, value, **style)
        local_axis.set(title="Local truncation error of each step", xlabel="t (0 prior, 1 data)", ylabel="RMSE of one step")
        acceleration_axis.set(title="Acceleration along the exact flow", xlabel="t (0 prior, 1 data)", ylabel="E |du/dt|²", yscale="log")
        local_axis.set_ylim(bottom=0)
        local_axis.legend(fontsize=8, loc="upper right")
        sees = " or ".join(dict.fromkeys(traced.scene.sees for traced in traces))
        _note(drawn, f"The field sees the {sees}. {protocol(traces)} Without acceleration, no curve.", 140)
    return drawn


def prior_sweep(scales: Sequence[float], curves: Sequence[tuple[str, Sequence[Trace]]]) -> Figure:
    """What a prior's scale does to the coupling's cost, to straightness and to the error: below the class's own spread the first falls while the error rises."""
    columns = (
        ("transport cost of the coupling", lambda tr: tr.transport_cost.coupling),
        ("straightness", lambda tr: tr.straightness),
        ("global truncation error (RMSE)", lambda tr: tr.global_error.rmse),
    )
    with mpl.rc_context(STYLE):
        drawn, axes = figure(9.4, 3.3, 1, 3)
        for ax, (name, value) in zip(axes[0], columns, strict=True):
            for i, (label, traces) in enumerate(curves):
                ax.plot(scales, [value(tr) for tr in traces], **_line(i), label=label)
            ax.set(title=name, xlabel="prior scale (1: the class's own)", xscale="log")
            ax.xaxis.set_major_locator(FixedLocator([s for s in scales if s in (0.1, 0.2, 0.5, 1, 2, 3)]))
            ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.axvline(1, color="#cccccc", linewidth=0.8, zorder=0)
            ax.set_ylim(bottom=0)
        axes[0][0].legend(fontsize=8)
        _note(
            drawn,
            f"Cheap is not accurate. The field sees the {curves[0][1][0].scene.sees}. {protocol([t for _, traces in curves for t in traces])}",
            150,
        )
    return drawn


def error_shares(traces: Sequence[Trace]) -> Figure:
    """Where each scene's error comes from: start, solver, coupling and estimate, in data units on one logarithmic axis. A share that does not arise has no mark."""
    kinds = ("start", "solver", "coupling", "estimate")
    called = scene_names(traces, ())
    with mpl.rc_context(STYLE):
        drawn, axes = figure(7.4, 1.25 + 0.34 * len(traces), 1, 1)
        ax = axes[0][0]
        y = np.arange(len(traces))[::-1]
        for i, name in enumerate(kinds):
            found = [(h, getattr(tr.shares, name)) for h, tr in zip(y, traces, strict=True)]
            shown = [(h, v) for h, v in found if v is not None and v > EXACT]
            ax.plot([v for _, v in shown], [h for h, _ in shown], **_line(i) | {"linestyle": "", "markersize": 7}, label=name)
        for h, tr in zip(y, traces, strict=True):
            if not any((getattr(tr.shares, name) or 0) > EXACT for name in kinds):
                ax.annotate("no error", (0.01, h), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=QUIET)
        ax.set_yticks(y, [called[tr.scene] for tr in traces])
        ax.set_ylim(-0.6, len(traces) - 0.4)
        ax.set(xscale="log", xlabel="share of the error, data units (estimate: median of end points, others RMSE)")
        ax.grid(axis="both", color="#e5e5e5", linewidth=0.5)
        ax.tick_params(axis="y", length=0)
        drawn.legend(*ax.get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=4)
        _note(drawn, protocol(traces), 125)
    return drawn
