"""matplotlib figures of traces, for paper and slide. Every function takes measured results and returns a Figure; `toy.gallery` chooses scenes and saves."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lab.measures import Ladder
from toy.mixtures import Mixture
from toy.report import short
from toy.trace import Trace

# Okabe & Ito 2008, unchanged; past eight classes the colours repeat and the digits at the class means decide.
CLASS_COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
INK, ACCENT, QUIET = "#1a1a1a", "#b3261e", "#8a8a8a"
LINE_STYLES: tuple[tuple[str, str, str], ...] = (
    (INK, "-", "o"),
    (ACCENT, "--", "D"),
    ("#2b6cb0", "-.", "s"),
    ("#4d7c0f", ":", "^"),
    ("#7c3aed", "--", "v"),
)
TRACES = 96  # particles whose path is drawn, stratified by class because any first n are

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
    "svg.hashsalt": "flow-matching-lab",  # the same figure gives the same file
    "pdf.fonttype": 42,
}


def figure(width: float, height: float, rows: int, columns: int, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """An empty figure in the house style, without pyplot's global state; axes (rows, columns)."""
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(width, height), layout="constrained")
        axes = drawn.subplots(rows, columns, squeeze=False, **kwargs)
    return drawn, axes


def trajectories(rows: Sequence[Sequence[Trace]], row_labels: Sequence[str] = ()) -> Figure:
    """Stages side by side, one row for each list of traces: prior dashed, target solid (50 % and 90 % regions), the solver's polylines, and ghosts.

    A ghost is the global truncation error: an ink line from the solver's end point to an open circle at the exact one, for the same 96 particles.
    """
    columns = max(len(row) for row in rows)
    with mpl.rc_context(STYLE):
        drawn, axes = figure(2.75 * columns, 3.15 * len(rows), len(rows), columns)
        for i, row in enumerate(rows):
            box = _box(row)
            for ax, traced in zip(axes[i], row, strict=False):
                stage(ax, traced, box)
            for ax in axes[i][len(row) :]:
                ax.set_axis_off()
            if i < len(row_labels):
                axes[i][0].annotate(
                    row_labels[i],
                    (-0.06, 0.5),
                    xycoords="axes fraction",
                    rotation=90,
                    va="center",
                    ha="right",
                    fontsize=10,
                    fontweight="bold",
                )
        first = rows[0][0].scene
        drawn.supxlabel(
            f"Same seeds in every stage; {first.solver} with {first.nfe} evaluations. Dark lines lead from where the solver ends to where the exact flow ends (circles). "
            f"n = {first.count}, seed {first.seed}; {TRACES} shown.",
            fontsize=8,
            color=INK,
        )
    return drawn


def stage(ax: Axes, traced: Trace, box: tuple[float, float, float, float]) -> None:
    """One stage: regions, polylines coloured by class, solver states as dots, ghosts, and the three numbers under the title."""
    _regions(ax, traced.world.source, box, "dashed")
    _regions(ax, traced.world.target, box, "solid")
    shown = slice(0, TRACES)
    colours = class_colours(_shown_class(traced)[shown])
    paths = traced.x[:, shown].permute(1, 0, 2).numpy()
    ax.add_collection(LineCollection(list(paths), colors=colours, linewidths=0.8, alpha=0.55, zorder=3))
    for k in range(len(paths[0])):
        ax.scatter(paths[:, k, 0], paths[:, k, 1], s=3 if k else 1.5, c=colours, linewidths=0, alpha=0.8, zorder=4)
    ends, exact = traced.x[-1, shown].numpy(), traced.reference.trajectory.x[-1, shown].numpy()
    ax.add_collection(LineCollection(list(np.stack((ends, exact), axis=1)), colors=INK, linewidths=1.1, zorder=5))
    ax.scatter(exact[:, 0], exact[:, 1], s=9, facecolors="none", edgecolors=INK, linewidths=0.6, zorder=6)
    ax.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[], aspect="equal")
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(short(traced.scene), pad=16)
    wrong = f", wrong class {100 * traced.wrong_class:.0f} %" if traced.world.target.class_count > 1 else ""
    ax.text(
        0,
        1.02,
        f"error {traced.global_error.rmse:.3g}, straightness {traced.straightness:.2g}{wrong}",
        transform=ax.transAxes,
        fontsize=7.5,
        color=INK,
    )


def error_against_nfe(panels: Sequence[tuple[str, Sequence[tuple[str, Ladder]]]]) -> Figure:
    """Global truncation error (RMSE) over counted evaluations, one panel for each title."""
    with mpl.rc_context(STYLE):
        drawn, axes = figure(4.2 * len(panels), 3.2, 1, len(panels), sharey=True)
        for ax, (title, ladders) in zip(axes[0], panels, strict=True):
            for (label, ladder), (colour, line, mark) in zip(ladders, LINE_STYLES, strict=False):
                ax.loglog(
                    ladder.nfe,
                    ladder.rmse,
                    line,
                    color=colour,
                    marker=mark,
                    markersize=4,
                    markerfacecolor="white" if mark != "o" else colour,
                    label=label,
                )
            evaluations_axis(ax, ladders[0][1].nfe)
            ax.set_title(title)
            ax.grid(axis="y", color="#dddddd", linewidth=0.5)
        axes[0][0].set_ylabel("global truncation error (RMSE)")
        axes[0][0].legend(fontsize=8, loc="lower left")
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
    with mpl.rc_context(STYLE):
        drawn, axes = figure(10.2, 0.55 + 0.28 * sum(len(p[1]) + 1.5 for p in panels), len(panels), 3, sharex="col")
        for row, (title, traces) in zip(axes, panels, strict=True):
            names = [short(tr.scene) for tr in traces]
            for i, (ax, (name, value)) in enumerate(zip(row, columns, strict=True)):
                values = [value(tr) for tr in traces]
                y = np.arange(len(traces))[::-1]
                ax.hlines(y, 0, values, color="#cccccc", linewidth=1)
                ax.plot(values, y, "o", color=INK, markersize=5)
                for v, h in zip(values, y, strict=True):
                    ax.annotate(f"{v:.3g}", (v, h), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
                ax.set_yticks(y, names if i == 0 else [""] * len(names))
                ax.set_ylim(-0.6, len(traces) - 0.4)
                ax.set_xlim(left=0)
                ax.margins(x=0.18)
                ax.tick_params(axis="y", length=0)
                if row is axes[-1]:
                    ax.set_xlabel(name)
            row[0].set_title(title)
    return drawn


def local_error_and_acceleration(traces: Sequence[Trace]) -> Figure:
    """Where along t the solver errs in a single step from the exact state, and the acceleration that makes it err."""
    with mpl.rc_context(STYLE):
        drawn, axes = figure(8.4, 3.2, 1, 2)
        for traced, (colour, line, _) in zip(traces, LINE_STYLES, strict=False):
            label = short(traced.scene)
            local = traced.local_error
            if local is not None:
                # One value for a whole step: drawn from the step's start to its end.
                axes[0][0].stairs(
                    local.rmse.numpy(),
                    np.append(local.t.numpy(), traced.t[-1].item()),
                    color=colour,
                    linestyle=line,
                    label=label,
                    baseline=None,
                )
            times, value = traced.acceleration_curve()
            axes[0][1].plot(times, value, line, color=colour, label=label)
        axes[0][0].set(title="Local truncation error of each step", xlabel="t (0 prior, 1 data)", ylabel="RMSE of one step")
        axes[0][1].set(title="Acceleration along the exact flow", xlabel="t (0 prior, 1 data)", ylabel="E |du/dt|² (log)", yscale="log")
        axes[0][0].set_ylim(bottom=0)
        axes[0][1].legend(fontsize=8)
        drawn.supxlabel(_protocol(traces[0]), fontsize=8)
    return drawn


def prior_sweep(scales: Sequence[float], curves: Sequence[tuple[str, Sequence[Trace]]]) -> Figure:
    """What a prior's scale does to the coupling's cost, to straightness and to the error: the first falls while the last rises."""
    columns = (
        ("transport cost of the coupling", lambda tr: tr.transport_cost.coupling),
        ("straightness", lambda tr: tr.straightness),
        ("global truncation error (RMSE)", lambda tr: tr.global_error.rmse),
    )
    with mpl.rc_context(STYLE):
        drawn, axes = figure(10.2, 3.1, 1, 3)
        for ax, (name, value) in zip(axes[0], columns, strict=True):
            for (label, traces), (colour, line, mark) in zip(curves, LINE_STYLES, strict=False):
                values = [value(tr) for tr in traces]
                ax.plot(
                    scales,
                    values,
                    line,
                    color=colour,
                    marker=mark,
                    markersize=4,
                    markerfacecolor="white" if mark != "o" else colour,
                    label=label,
                )
            ax.set(title=name, xlabel="prior scale (1: the class's own)", xscale="log")
            ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.axvline(1, color="#cccccc", linewidth=0.8, zorder=0)
            ax.set_ylim(bottom=0)
        axes[0][-1].legend(fontsize=8)
        drawn.supxlabel(_protocol(curves[0][1][0]), fontsize=8)
    return drawn


def class_colours(classes: torch.Tensor) -> list[str]:
    """Okabe-Ito colour of each class."""
    return [CLASS_COLOURS[int(c) % len(CLASS_COLOURS)] for c in classes]


def _shown_class(traced: Trace) -> torch.Tensor:
    """The class a particle is coloured by: its own where the field sees it, else the one in which its exact flow ends."""
    if traced.world.sees_class:
        return traced.condition
    return traced.world.target.class_log_prob(traced.reference.trajectory.x[-1]).argmax(1)


def _regions(ax: Axes, mixture: Mixture, box: tuple[float, float, float, float], line: str) -> None:
    """Outlines of the smallest regions that hold 50 % and 90 % of a mixture, by its density on a grid."""
    gx, gy = np.meshgrid(np.linspace(*box[:2], 241), np.linspace(*box[2:], 241))
    density = mixture.log_prob(torch.from_numpy(np.stack((gx.ravel(), gy.ravel()), 1))).exp().numpy().reshape(gx.shape)
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(mass, share)]) for share in (0.5, 0.9)})
    ax.contour(gx, gy, density, levels=levels, colors=QUIET, linewidths=(0.6, 0.9)[-len(levels) :], linestyles=line, zorder=2)


def _box(traces: Sequence[Trace]) -> tuple[float, float, float, float]:
    """One square box for stages that are compared: all drawn points, with a margin."""
    points = torch.cat([tr.x[:, :TRACES].reshape(-1, 2) for tr in traces] + [tr.exact[:, :TRACES].reshape(-1, 2) for tr in traces])
    low, high = points.quantile(0.002, dim=0), points.quantile(0.998, dim=0)
    centre, half = 0.5 * (low + high), 0.5 * float((high - low).max()) * 1.08 + 0.15
    x, y = float(centre[0]), float(centre[1])
    return x - half, x + half, y - half, y + half


def _protocol(traced: Trace) -> str:
    s = traced.scene
    sees = "class" if s.sees == "class" else "position"
    return f"{s.target}; field sees the {sees}; {s.solver}, {s.nfe} evaluations; n = {s.count}, seed {s.seed}; reference off by at most {traced.global_error.reference_error:.1g}"
