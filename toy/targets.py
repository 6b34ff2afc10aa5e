"""The named targets: every one a Gaussian mixture of at most 64 components with classes, within about [-6, 6]^2."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import unknown
from toy.mixtures import Mixture

LETTERS_LIMIT = 8
RADIUS = 4.0


def _spots(
    means: list[tuple[float, float]] | Tensor, std: tuple[float, float] | float, classes: list[int], weights: list[float] | None = None
) -> Mixture:
    """Upright components of one shape."""
    x, y = std if isinstance(std, tuple) else (std, std)
    k = len(means)
    covariance = torch.diag(torch.tensor([x * x, y * y], dtype=torch.float64)).expand(k, 2, 2)
    return Mixture(weights or [1 / k] * k, means, covariance, classes)


def _ring(count: int) -> Tensor:
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return RADIUS * torch.stack((angle.cos(), angle.sin()), dim=1)


def _along(curves: list[Float[Tensor, "m 2"]], width: float) -> Mixture:
    """One class a curve: narrow components along it, each stretched over the gap to its neighbours, so that the density is smooth along the curve."""
    means, covariances, classes = [], [], []
    for c, curve in enumerate(curves):
        tangent = torch.gradient(curve, dim=0)[0]
        # A standard deviation of .6 of the spacing leaves ripples below one per cent.
        stretch = 0.36 * tangent[:, :, None] * tangent[:, None, :]
        means.append(curve)
        covariances.append(stretch + width**2 * torch.eye(2, dtype=torch.float64))
        classes += [c] * len(curve)
    sizes = torch.cat([torch.gradient(m, dim=0)[0].norm(dim=1) for m in means])
    lengths = torch.tensor([float(torch.gradient(m, dim=0)[0].norm(dim=1).sum()) for m in means], dtype=torch.float64)
    weights = sizes / lengths[torch.tensor(classes)] / len(curves)  # uniform along each curve, equal classes
    return Mixture(weights / weights.sum(), torch.cat(means), torch.cat(covariances), classes)


def _ring_strips() -> Mixture:
    return _spots(_ring(8), (0.15, 0.8), list(range(8)))


def _eight_gaussians() -> Mixture:
    return _spots(_ring(8), 0.3, list(range(8)))


def _vertical_strips() -> Mixture:
    return _spots([(x, 0.0) for x in (-4.0, -2.0, 0.0, 2.0, 4.0)], (0.15, 1.6), list(range(5)))


def _two_modes() -> Mixture:
    return _spots([(4.0, 1.5), (4.0, -1.5)], 0.4, [0, 0])


def _bimodal() -> Mixture:
    offset = torch.tensor([[0.0, 1.2], [0.0, -1.2]], dtype=torch.float64)
    means = (torch.tensor([[-3.6, 0.0], [-1.2, 0.0], [1.2, 0.0], [3.6, 0.0]], dtype=torch.float64)[:, None] + offset).reshape(-1, 2)
    return _spots(means, 0.3, [0, 0, 1, 1, 2, 2, 3, 3])


def _interleaved() -> Mixture:
    """Three classes take turns along x: the mean of class 0 lies on a strip of class 1."""
    places = [-4.5, -3.0, -1.5, 0.0, 1.5, 3.0, 4.5]
    return _spots([(x, 0.0) for x in places], (0.2, 1.5), [0, 2, 1, 1, 1, 2, 0], [1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9, 1 / 6, 1 / 6])


def _rare_class() -> Mixture:
    return _spots([(-2.5, 1.5), (2.5, 1.5), (0.0, -2.8), (0.0, 4.5)], 0.6, [0, 1, 2, 3], [0.33, 0.33, 0.33, 0.01])


def _moons() -> Mixture:
    angle = torch.linspace(0, math.pi, 16, dtype=torch.float64)
    upper = torch.stack((2.6 * angle.cos() - 1.3, 2.6 * angle.sin() - 0.65), 1)
    lower = torch.stack((1.3 - 2.6 * angle.cos(), 0.65 - 2.6 * angle.sin()), 1)
    return _along([upper, lower], 0.22)


def _spiral() -> Mixture:
    s = torch.linspace(0.12, 1, 30, dtype=torch.float64).sqrt()
    arms = []
    for start in (0.0, math.pi):
        angle = start + 3 * math.pi * s
        arms.append(4.4 * s[:, None] * torch.stack((angle.cos(), angle.sin()), 1))
    return _along(arms, 0.16)


def _pinwheel() -> Mixture:
    radius = torch.linspace(0.8, 4.6, 8, dtype=torch.float64)
    arms = []
    for c in range(5):
        angle = 2 * math.pi * c / 5 + 0.28 * radius
        arms.append(radius[:, None] * torch.stack((angle.cos(), angle.sin()), 1))
    return _along(arms, 0.24)


def _checkerboard() -> Mixture:
    """Eight cells of 2 x 2, each a class of 2 x 2 components: as square as so few Gaussians get."""
    cells = [(-3.0 + 2 * i, -3.0 + 2 * j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    quarter = [(dx, dy) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)]
    means = [(x + dx, y + dy) for x, y in cells for dx, dy in quarter]
    return _spots(means, 0.32, [c for c in range(len(cells)) for _ in quarter])


def _squares() -> Mixture:
    """Four hollow squares, one class each."""
    curves = []
    for x, y in ((-2.4, 2.4), (2.4, 2.4), (-2.4, -2.4), (2.4, -2.4)):
        side = torch.linspace(-0.9, 0.9, 4, dtype=torch.float64)
        low, high = torch.full_like(side, -1.2), torch.full_like(side, 1.2)
        edges = [torch.stack(e, 1) for e in ((side, low), (high, side), (-side, high), (low, -side))]
        curves.append([edge + torch.tensor([x, y], dtype=torch.float64) for edge in edges])
    parts = [_along(edges, 0.14) for edges in curves]
    classes = [c for c, part in enumerate(parts) for _ in part.weights]
    return Mixture(
        torch.cat([p.weights for p in parts]) / 4, torch.cat([p.means for p in parts]), torch.cat([p.covariances for p in parts]), classes
    )


def _smiley() -> Mixture:
    """Face, eyes and mouth: three classes."""
    around = torch.linspace(0, 2 * math.pi, 33, dtype=torch.float64)[:-1]
    face = _along([4.0 * torch.stack((around.cos(), around.sin()), 1)], 0.16)
    smile = torch.linspace(1.2 * math.pi, 1.8 * math.pi, 12, dtype=torch.float64)
    mouth = _along([2.3 * torch.stack((smile.cos(), smile.sin()), 1)], 0.16)
    eyes = _spots([(-1.4, 1.2), (1.4, 1.2)], (0.28, 0.45), [0, 0])
    parts, shares = (face, eyes, mouth), (0.5, 0.25, 0.25)
    classes = [c for c, part in enumerate(parts) for _ in part.weights]
    weights = torch.cat([share * part.weights for share, part in zip(shares, parts, strict=True)])
    return Mixture(weights / weights.sum(), torch.cat([p.means for p in parts]), torch.cat([p.covariances for p in parts]), classes)


@lru_cache(maxsize=1)
def _digits() -> Mixture:
    """Real data: scikit-learn's 1,797 handwritten digits in their first two principal components, ten classes of one to three Gaussians, scaled to RMS radius 3.5."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    from toy.clouds import component_counts, mixture_of_classes

    pixels, labels = load_digits(return_X_y=True)
    points = torch.from_numpy(PCA(2, svd_solver="full").fit_transform(pixels))
    points = points * (3.5 / points.square().sum(1).mean().sqrt())
    classes = torch.from_numpy(labels).long()
    return mixture_of_classes(points, classes, component_counts(points, classes, most=3, seed=0), seed=0)


@lru_cache(maxsize=32)
def outlines(text: str) -> tuple[Any, ...]:
    """The glyphs of DejaVu Sans Bold that a text is drawn with, spaces left out, as matplotlib's paths. Raises ValueError, naming the sign, where there is nothing to draw."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.textpath import TextPath

    glyphs = [g for g in text if not g.isspace()]
    if not glyphs or len(text) > LETTERS_LIMIT:
        raise ValueError(f"letters={text!r} must be 1 to {LETTERS_LIMIT} characters, not all of them spaces")
    bold = FontProperties(family="DejaVu Sans", weight="bold")
    found = []
    for glyph in glyphs:
        # matplotlib fails on some signs without a glyph, and draws a box for the others
        known = glyph.isprintable() and get_font(findfont(bold)).get_char_index(ord(glyph)) != 0
        outline = TextPath((0, 0), glyph, size=1, prop=bold) if known else None
        if outline is None or not outline.to_polygons():
            raise ValueError(f"letters={text!r}: {glyph!r} has no outline to draw; use letters, digits or signs")
        found.append(outline)
    return tuple(found)


@lru_cache(maxsize=32)
def _letters(text: str) -> Mixture:
    """Typed letters, one class each: points inside the glyphs' outlines, fitted by narrow Gaussians, at most 64 in all."""
    import numpy as np
    from matplotlib.path import Path as Polygon

    from toy.clouds import mixture_of_classes

    glyphs = outlines(text)
    clouds, classes, shift = [], [], 0.0
    for c, outline in enumerate(glyphs):
        (left, bottom), (right, top) = outline.get_extents().get_points()
        gx, gy = np.meshgrid(np.linspace(left, right, 60), np.linspace(bottom, top, 60))
        grid = np.stack((gx.ravel(), gy.ravel()), 1)
        # Even-odd over the outline's closed curves, so that the hole of an O stays a hole.
        inside = grid[np.sum([Polygon(curve).contains_points(grid) for curve in outline.to_polygons()], axis=0) % 2 == 1]
        clouds.append(torch.from_numpy(inside + np.array([shift - left, 0.0])))
        classes.append(torch.full((len(inside),), c))
        shift += right - left + 0.12
    points = torch.cat(clouds)
    low, high = points.amin(0), points.amax(0)
    points = (points - 0.5 * (low + high)) * (9.0 / float((high - low).max()))
    each = max(1, min(12, 64 // len(glyphs)))
    return mixture_of_classes(points, torch.cat(classes), dict.fromkeys(range(len(glyphs)), each), seed=0)


SHAPES: dict[str, Callable[[], Mixture]] = {
    "ring-strips": _ring_strips,
    "eight-gaussians": _eight_gaussians,
    "vertical-strips": _vertical_strips,
    "two-modes": _two_modes,
    "bimodal": _bimodal,
    "interleaved": _interleaved,
    "rare-class": _rare_class,
    "moons": _moons,
    "spiral": _spiral,
    "pinwheel": _pinwheel,
    "checkerboard": _checkerboard,
    "squares": _squares,
    "smiley": _smiley,
    "digits": _digits,
}
NAMES = (*SHAPES, "letters")


def by_name(name: str, *, letters: str = "FLOW") -> Mixture:
    """The target of that name; `letters` is what the target "letters" spells. Raises ValueError with the nearest name that exists."""
    if name == "letters":
        return _letters(letters)
    if name not in SHAPES:
        raise ValueError(unknown("target", name, NAMES))
    return SHAPES[name]()
