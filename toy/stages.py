"""Stages drawn by matplotlib: trajectories with ghosts, and the pairs of a coupling, side by side on one scale."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from toy.drawn_pairs import LabelledPairs
from toy.figures import INK, QUIET, STYLE, by_construction, number, protocol, scene_names
from toy.mixtures import Mixture
from toy.trace import Trace

# Okabe & Ito 2008, their black and yellow last: with few classes no class has the ghosts' ink, and none is pale. Past eight classes the colours repeat.
CLASS_COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#F0E442", "#000000")
TRACES = 96  # particles whose path is drawn, stratified by class because any first n are
Box = tuple[float, float, float, float]
STAGE, GAP, LEFT, LINE = 2.35, 0.14, 0.3, 0.155  # inches: a stage's width, the gap beside it, the margin for row labels, a line of words
TITLE_WIDTH, NOTE_WIDTH = 32, 47  # characters over and under the width of one stage


@dataclass(frozen=True)
class Panel:
    """One stage of a sheet: its title, the lines under the title, and what draws it."""

    title: str
    words: str
    fill: Callable[[Axes], None]


def trajectories(rows: Sequence[Sequence[Trace]], row_labels: Sequence[str] = ()) -> Figure:
    """Stages side by side, one row for each list of traces: prior dashed, target solid (50 % and 90 % regions), the solver's polylines, and ghosts.

    A ghost is the global truncation error: an ink line from the solver's end point to an open circle at the exact one, for the same 96 particles.
    """
    every = [traced for row in rows for traced in row]
    box = _box(every)
    called = scene_names(every, ("sees",) if row_labels else ())

    def panel(traced: Trace) -> Panel:
        wrong = f"\n{100 * traced.wrong_class:.3g} % end in another class" if traced.world.target.class_count > 1 else ""
        words = f"error {number(traced.global_error.rmse)}, straightness {number(traced.straightness)}{by_construction(traced)}{wrong}"
        return Panel(called[traced.scene], words, lambda ax: stage(ax, traced, box))

    drawn = " or ".join(dict.fromkeys(str(min(TRACES, tr.scene.count)) for tr in every))
    foot = (
        "Dashed: prior; solid: target (50 and 90 %). Dark lines lead from where the solver ends to where the exact flow ends (circles); "
        "another class is another than the circle's. "
        f"{drawn} particles drawn in each stage. {protocol(every)}"
    )
    return _sheet([[panel(traced) for traced in row] for row in rows], row_labels, box, foot)


def coupling_lines(rows: Sequence[Sequence[tuple[Trace, LabelledPairs]]], row_labels: Sequence[str] = ()) -> Figure:
    """Pairs of each trace's coupling as lines: what a network would be trained to follow, beside what it costs and what its flow costs."""
    every = [traced for row in rows for traced, _ in row]
    box = _box(every)
    solver = ("solver", "budget")  # no solver has a part in pairs
    called = scene_names(every, ("sees", *solver) if row_labels else solver)

    def panel(traced: Trace, shown: LabelledPairs) -> Panel:
        cost = traced.transport_cost
        words = f"transport cost {number(cost.coupling)},\nof the flow's own ends {number(cost.flow)}"
        return Panel(called[traced.scene], words, lambda ax: pairs(ax, traced, shown, box))

    foot = (
        f"{len(rows[0][0][1])} pairs of each coupling, x_0 open, x_1 filled and coloured by its class; dashed: prior, solid: target (50 and 90 %). "
        f"Transport cost: mean squared distance. {protocol(every, solver=False)}"
    )
    return _sheet([[panel(*cell) for cell in row] for row in rows], row_labels, box, foot)


def _sheet(rows: Sequence[Sequence[Panel]], row_labels: Sequence[str], box: Box, foot: str) -> Figure:
    """Stages in rows, laid out in inches: a title and two lines over each, one note under all."""
    columns = max(len(row) for row in rows)
    tall = STAGE * (box[3] - box[2]) / (box[1] - box[0])
    left = LEFT if row_labels else 0.08
    note = textwrap.fill(foot, int(columns * NOTE_WIDTH))
    titles = [[textwrap.wrap(panel.title, TITLE_WIDTH, break_on_hyphens=False) for panel in row] for row in rows]
    header = LINE * (2.6 + max(len(title) for row in titles for title in row))
    bottom = 0.2 + 0.14 * (1 + note.count("\n"))
    width, height = left + columns * (STAGE + GAP), bottom + len(rows) * (tall + header)
    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(width, height))
        for i, row in enumerate(rows):
            base = height - (i + 1) * (tall + header) + 0.04
            for j, panel in enumerate(row):
                start = left + j * (STAGE + GAP)
                ax = drawn.add_axes((start / width, base / height, STAGE / width, tall / height))
                ax.set_rasterization_zorder(4.5)  # thousands of dots would make a vector file heavy
                panel.fill(ax)
                ax.set(xlim=box[:2], ylim=box[2:], xticks=[], yticks=[])
                for spine in ax.spines.values():
                    spine.set_visible(False)
                above = 1 + 0.05 / tall
                ax.text(0, above, panel.words, transform=ax.transAxes, va="bottom", fontsize=8, linespacing=1.3, color=INK)
                above += LINE * (1 + panel.words.count("\n")) / tall
                ax.text(0, above, "\n".join(titles[i][j]), transform=ax.transAxes, va="bottom", fontsize=9.5, fontweight="bold", color=INK)
            if i < len(row_labels):
                drawn.text(
                    0.13 / width, (base + tall / 2) / height, row_labels[i], rotation=90, va="center", ha="center", fontsize=9.5, color=INK
                )
        drawn.text(left / width, 0.08 / height, note, fontsize=7.5, color="#555555", va="bottom", linespacing=1.3)
    return drawn


def pairs(ax: Axes, traced: Trace, shown: LabelledPairs, box: Box) -> None:
    """Lines from x_0 (open squares) to x_1 (filled), coloured by the class of x_1."""
    x_0, x_1 = shown.x_0, shown.x_1
    _regions(ax, traced.world.source, box, "dashed")
    _regions(ax, traced.world.target, box, "solid")
    colours = class_colours(shown.condition)
    ax.add_collection(LineCollection(list(torch.stack((x_0, x_1), 1).numpy()), colors=colours, linewidths=0.8, alpha=0.7, zorder=3))
    ax.scatter(x_0[:, 0], x_0[:, 1], s=8, marker="s", facecolors="white", edgecolors=colours, linewidths=0.6, zorder=4)
    ax.scatter(x_1[:, 0], x_1[:, 1], s=8, marker="s", c=colours, linewidths=0, zorder=4)


def stage(ax: Axes, traced: Trace, box: Box) -> None:
    """One stage: regions, polylines coloured by class, solver states as dots, ghosts."""
    _regions(ax, traced.world.source, box, "dashed")
    _regions(ax, traced.world.target, box, "solid")
    shown = slice(0, TRACES)
    colours = class_colours(_shown_class(traced)[shown])
    paths = traced.x[:, shown].permute(1, 0, 2).numpy()
    ax.add_collection(LineCollection(list(paths), colors=colours, linewidths=0.9, alpha=0.5, zorder=3))
    for k in range(len(paths[0])):
        last = k == len(paths[0]) - 1
        ax.scatter(paths[:, k, 0], paths[:, k, 1], s=9 if last else 2.5, c=colours, linewidths=0, alpha=1 if last else 0.7, zorder=4)
    ends, exact = traced.x[-1, shown].numpy(), traced.reference.trajectory.x[-1, shown].numpy()
    ax.add_collection(LineCollection(list(np.stack((ends, exact), axis=1)), colors=INK, linewidths=0.9, zorder=5))
    ax.scatter(exact[:, 0], exact[:, 1], s=11, facecolors="none", edgecolors=INK, linewidths=0.5, zorder=6)


def class_colours(classes: torch.Tensor) -> list[str]:
    """Okabe-Ito colour of each class."""
    return [CLASS_COLOURS[int(c) % len(CLASS_COLOURS)] for c in classes]


def _shown_class(traced: Trace) -> torch.Tensor:
    """The class a particle is coloured by: its own where the field sees it, else the one in which its exact flow ends."""
    if traced.world.sees_class:
        return traced.condition
    return traced.world.target.class_log_prob(traced.reference.trajectory.x[-1]).argmax(1)


def _regions(ax: Axes, mixture: Mixture, box: Box, line: str) -> None:
    """Outlines of the smallest regions that hold 50 % and 90 % of a mixture, by its density on a grid."""
    gx, gy = np.meshgrid(np.linspace(*box[:2], 241), np.linspace(*box[2:], 241))
    density = mixture.log_prob(torch.from_numpy(np.stack((gx.ravel(), gy.ravel()), 1))).exp().numpy().reshape(gx.shape)
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = sorted({float(ordered[np.searchsorted(mass, share)]) for share in (0.5, 0.9)})
    ax.contour(gx, gy, density, levels=levels, colors=QUIET, linewidths=(0.6, 0.9)[-len(levels) :], linestyles=line, zorder=2)


def _box(traces: Sequence[Trace]) -> Box:
    """One box for all stages that are compared: everything drawn, with a margin, and never more than twice as long as wide."""
    low, high = (
        torch.stack([edge(torch.cat((tr.x[:, :TRACES].reshape(-1, 2), tr.exact[:, :TRACES].reshape(-1, 2)))) for tr in traces])
        for edge in (lambda p: p.amin(0), lambda p: p.amax(0))
    )
    margin = 0.04 * float((high.amax(0) - low.amin(0)).max())
    first, last = low.amin(0) - margin, high.amax(0) + margin
    widen = (0.5 * (0.5 * (last - first).max() - (last - first))).clamp(min=0)
    (x_0, y_0), (x_1, y_1) = (first - widen).tolist(), (last + widen).tolist()
    return x_0, x_1, y_0, y_1
