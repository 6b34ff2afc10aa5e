"""Level lines and regions of the stage against closed forms and against contourpy."""

import json
import math

import contourpy
import numpy as np
import pytest
from matplotlib.path import Path
from scipy.stats import chi2

from tests.app.stage_drawing.engine import value


def lines(grid: np.ndarray, level: float) -> list[np.ndarray]:
    rows, columns = grid.shape
    found = value(f"L.marchingSquares(Float64Array.from({json.dumps(grid.ravel().tolist())}), {columns}, {rows}, {level})")
    return [np.array(line).reshape(-1, 2) for line in found]


def area(line: np.ndarray) -> float:
    x, y = line.T
    return 0.5 * abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1]))


def test_a_cone_is_cut_in_a_circle():
    """Linear along every ray: the line is a closed circle to within what bilinear interpolation loses."""
    y, x = np.mgrid[:61, :61]
    (circle,) = lines(np.hypot(x - 30, y - 30), 20.0)
    assert (circle[0] == circle[-1]).all()
    assert abs(np.hypot(*(circle - 30).T) - 20).max() < 0.02
    assert area(circle) == pytest.approx(math.pi * 400, rel=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_lines_as_contourpy(seed):
    """Rough grids with saddles: as many points, at the same places. (Of a saddle both choices are level lines; points on cell edges are the same.)"""
    grid = np.random.default_rng(seed).normal(size=(17, 23))
    ours = np.concatenate([line[:-1] if (line[0] == line[-1]).all() else line for line in lines(grid, 0.1)])
    theirs = [np.asarray(line) for line in contourpy.contour_generator(z=grid, name="serial").lines(0.1)]
    theirs = np.concatenate([line[:-1] if (line[0] == line[-1]).all() else line for line in theirs])
    ordered = [points[np.lexsort(points.round(9).T)] for points in (ours, theirs)]
    assert len(ours) == len(theirs)
    assert abs(ordered[0] - ordered[1]).max() < 1e-9


@pytest.mark.parametrize(("level", "cut_off"), [(0.4, "low"), (0.6, "high")])
@pytest.mark.parametrize("turned", [False, True])
def test_a_saddle_joins_what_its_middle_joins(level, cut_off, turned):
    """Two high corners face two low ones, mean 1/2: below it the high ones are joined and each line cuts a low corner off; above it the other way round."""
    grid = np.array([[0.0, 1.0], [1.0, 0.0]] if turned else [[1.0, 0.0], [0.0, 1.0]])
    corners = np.argwhere(grid == (0.0 if cut_off == "low" else 1.0))[:, ::-1]
    found = lines(grid, level)
    assert len(found) == 2
    for line in found:
        assert min(abs(line - corner).sum(1).max() for corner in corners) < 1


def test_lines_keep_the_higher_side_on_their_left():
    """On the screen, where y points down: rings around hills and rings around holes run in opposite directions."""
    y, x = np.mgrid[:41, :41]
    hill = -np.hypot(x - 20, y - 20)
    for grid, sign in ((hill, -1), (-hill, 1)):
        (ring,) = lines(grid, float(grid[20, 10]) + 0.1)
        a, b = ring.T
        assert np.sign(a[:-1] @ b[1:] - a[1:] @ b[:-1]) == sign


MIXTURE = {"weights": [1], "means": [1, -2], "covariances": [1.5, 0.6, 0.5], "classes": [0]}


@pytest.mark.parametrize("way", ["componentEllipses", "densityRegions"])
def test_regions_of_a_gaussian_are_its_ellipses(way):
    """Both ways to find the region that holds a share: (x - m) S^-1 (x - m) is the chi-square quantile with two degrees of freedom."""
    precision = np.linalg.inv([[1.5, 0.6], [0.6, 0.5]])
    for region in value(f"L.{way}(L.makeMixture({json.dumps(MIXTURE)}))"):
        (line,) = (np.array(points).reshape(-1, 2) for points in region["lines"])
        off = line - [1, -2]
        squares = np.einsum("ni,ij,nj->n", off, precision, off)
        assert abs(np.sqrt(squares / chi2.ppf(region["share"], 2)) - 1).max() < (1e-9 if way == "componentEllipses" else 0.02)


def test_regions_of_a_mixture_hold_what_they_say():
    """Two components of one class that overlap, one heavy and narrow: the share of its own samples inside the level lines."""
    weights, means, variances = [0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.8, 0.2]
    plain = {"weights": weights, "means": [v for mean in means for v in mean], "covariances": [0.8, 0, 0.8, 0.2, 0, 0.2], "classes": [0, 0]}
    draw = np.random.default_rng(0)
    part = draw.choice(2, p=weights, size=40_000)
    points = np.array(means)[part] + np.sqrt(np.array(variances)[part])[:, None] * draw.normal(size=(40_000, 2))
    for region in value(f"L.outlinesOf(L.makeMixture({json.dumps(plain)}))"):
        within = np.array([Path(np.array(line).reshape(-1, 2)).contains_points(points) for line in region["lines"]])
        assert (within.sum(0) % 2).mean() == pytest.approx(region["share"], abs=0.01)


def test_a_class_of_two_components_gets_no_ellipses_of_its_own():
    one_each = {**MIXTURE, "weights": [0.5, 0.5], "means": [0, 0, 5, 0], "covariances": [1, 0, 1, 1, 0, 1], "classes": [0, 1]}
    shared = {**one_each, "means": [0, 0, 0.1, 0], "classes": [0, 0]}
    assert [len(region["lines"]) for region in value(f"L.outlinesOf(L.makeMixture({json.dumps(one_each)}))")] == [2, 2]
    assert [len(region["lines"]) for region in value(f"L.outlinesOf(L.makeMixture({json.dumps(shared)}))")] == [1, 1]


def test_bands_hold_the_shares_of_a_gaussian():
    """log density of N(0, I): the level that holds a share s lies log(1 / (1 - s)) below the peak."""
    x = np.linspace(-6, 6, 128)
    grid = -0.5 * (x[:, None] ** 2 + x[None, :] ** 2) - math.log(2 * math.pi)
    levels = value(f"L.bandLevels(Float32Array.from({json.dumps(grid.ravel().tolist())}), [0.98, 0.9, 0.5])")
    assert levels == pytest.approx([math.log(1 - s) - math.log(2 * math.pi) for s in (0.98, 0.9, 0.5)], abs=0.06)
    assert levels == sorted(levels)
