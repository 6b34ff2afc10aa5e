"""What single strokes of a figure show, and what small numbers behind a trace are, each against an independent computation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from lab import measures
from lab.measures import Ladder
from lab.mixtures import schedule
from toy import figures, gallery, stages
from toy.drawn_pairs import LabelledPairs
from toy.mixtures import Mixture
from toy.priors import reduced
from toy.report import ladder_table
from toy.scene import Scene
from toy.trace import trace
from toy.world import FLOOR_STREAM, draw_data_like_ends, world

ONE = Mixture([1.0], [[0.5, -0.25]], [[[1.0, 0.0], [0.0, 0.25]]])


def test_regions_hold_half_and_nine_tenths_of_a_gaussian():
    """Ellipses of radius sqrt(-2 log(1 - share)) standard deviations, to the grid's spacing."""
    ax = Figure().subplots()
    stages._regions(ax, ONE, (-5.0, 5.0, -5.0, 5.0), "solid")
    radii = []
    for path in ax.collections[-1].get_paths():
        away = (np.asarray(path.vertices) - [0.5, -0.25]) / [1.0, 0.5]
        radii.append(np.linalg.norm(away, axis=1).mean())
    assert sorted(radii) == pytest.approx([math.sqrt(-2 * math.log(1 - share)) for share in (0.5, 0.9)], abs=0.03)


def test_a_particle_has_the_colour_of_its_own_class_where_the_field_sees_it_and_else_that_of_its_exact_end():
    told, blind = (trace(Scene(prior="mirrored", coupling="component-ot", sees=sees, count=200)) for sees in ("class", "position"))
    assert torch.equal(stages._shown_class(told), told.condition)
    means = blind.world.target.means  # eight equal components, one for each class, upright ellipses
    gap = (blind.reference.trajectory.end[:, None] - means) / torch.tensor([0.15, 0.8])
    assert torch.equal(stages._shown_class(blind), gap.square().sum(-1).argmin(1))
    assert not torch.equal(stages._shown_class(blind), blind.condition)


def test_pairs_are_drawn_from_x_0_to_x_1():
    traced, ax = trace(Scene(count=40)), Figure().subplots()
    x_0, x_1 = torch.zeros(3, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    stages.pairs(ax, traced, LabelledPairs(x_0, x_1, torch.tensor([0, 1, 2])), (-6.0, 6.0, -6.0, 6.0))
    squares = [np.asarray(c.get_offsets()) for c in ax.collections[-2:]]
    assert np.array_equal(squares[0], x_0.numpy())
    assert np.array_equal(squares[1], x_1.numpy())


def test_the_acceleration_curve_is_that_of_the_field_as_it_was_told():
    traced = trace(Scene(sees="class", count=60))
    found = measures.acceleration_along(traced.reference.trajectory, traced.world.field.velocity, traced.condition)
    drawn = figures.local_error_and_acceleration([traced]).axes[1].lines[0]
    assert np.array_equal(np.asarray(drawn.get_xdata()), found.t.numpy())
    assert np.array_equal(np.asarray(drawn.get_ydata()), found.values.numpy())


def test_efficiency_is_left_out_below_a_twentieth_of_the_targets_spread():
    """Matched Gaussians of standard deviation s: x_0 to x_0 + (m, 0), a displacement of m against a spread of s sqrt(2)."""
    for share, shown in ((0.04, False), (0.06, True)):
        s = 4.0
        moved = Mixture([1.0], [[share * s * math.sqrt(2), 0.0]], [[[s * s, 0.0], [0.0, s * s]]])
        traced = trace(Scene(target="custom", mixture=moved, prior="conditional", prior_mean=0.0, count=200))
        assert (traced.path_efficiency is not None) == shown


def test_classes_and_components_of_floor_data_are_drawn_independently():
    """Two classes of two components each, all of 1/4: chi squared of the 2 x 2 table stays under its 1 - 1e-4 quantile, 15.1."""
    target = Mixture([0.25] * 4, [[-30, -30], [-30, 30], [30, -30], [30, 30]], [[[1, 0], [0, 1]]] * 4, [0, 0, 1, 1])
    made = world(Scene(target="custom", mixture=target))
    x = draw_data_like_ends(made, schedule(target.class_weights, 4000), 0, FLOOR_STREAM)
    table = torch.histogramdd((x > 0).double(), bins=2, range=(0.0, 1.0, 0.0, 1.0)).hist
    expected = table.sum(1, keepdim=True) * table.sum(0, keepdim=True) / table.sum()
    assert float(((table - expected).square() / expected).sum()) < 15.1


def test_components_are_merged_where_runnalls_bound_is_least():
    """Brute force: the mixture of all pairs' bounds 1/2 ((w_i + w_j) log|S_ij| - w_i log|S_i| - w_j log|S_j|)."""
    generator = np.random.default_rng(3)
    for _ in range(20):
        w = generator.dirichlet([1.0] * 3)
        m = generator.normal(size=(3, 2)) * 0.7
        s = np.stack([np.diag(generator.uniform(0.02, 2.0, 2)) for _ in range(3)])
        bounds = {}
        for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            total = w[i] + w[j]
            mean = (w[i] * m[i] + w[j] * m[j]) / total
            merged = sum(w[a] / total * (s[a] + np.outer(m[a] - mean, m[a] - mean)) for a in (i, j))
            parts = total * np.linalg.slogdet(merged)[1] - sum(w[a] * np.linalg.slogdet(s[a])[1] for a in (i, j))
            bounds[k] = 0.5 * parts
        kept = min(bounds, key=lambda k: bounds[k])
        found = reduced(Mixture(w, m, s), 2)
        assert (found.means - torch.from_numpy(m[kept])).norm(dim=1).min() < 1e-12
        assert float((found.weights - float(w[kept])).abs().min()) < 1e-12


def test_the_ladders_table_has_rmse_median_and_max_in_their_columns():
    rows = ladder_table(Ladder("euler", (1, 2), (0.3, 0.15), (0.2, 0.1), (0.9, 0.45), 1e-6)).splitlines()
    assert rows[1].split() == ["NFE", "RMSE", "median", "max"]
    assert rows[2].split() == ["1", "0.3", "0.2", "0.9"]


def test_local_errors_are_drawn_over_sixteen_steps_unless_scenes_are_given():
    assert {scene.nfe for scene in gallery.standard("local-error", "ring-strips", "position")} == {16}
    assert {scene.nfe for scene in gallery.standard("error", "ring-strips", "position")} == {Scene().nfe}
    assert replace(gallery.standard("shares", "ring-strips", "class")[1], path="cond-ot") == Scene(sees="class")
