"""Small multilayer perceptrons for velocities, several at once in one batched tensor, each with parameters of its own.

A velocity is the best guess that is linear in x, known from the pairs' second moments, plus r times what the network F adds:

    v(x, t, class) = d_alpha mu_1 + d_sigma mu_0 + g (x - m) + r F((x - m) / s, t, class)
    m = alpha mu_1 + sigma mu_0            s^2 = alpha^2 a_1 + 2 alpha sigma c + sigma^2 a_0
    g = (alpha d_alpha a_1 + (alpha d_sigma + sigma d_alpha) c + sigma d_sigma a_0) / s^2
    r^2 = (alpha d_sigma - sigma d_alpha)^2 (a_0 a_1 - c^2) / s^2

mu_0, mu_1 are the means of x_0 and x_1, a_0, a_1 their variances per coordinate and c their covariance per coordinate. Then F has inputs and targets of unit size at
every t, on every path: VE's points reach from 150 to 6, and VP's conditional velocity grows without bound at t = 1. Source: the preconditioning of Karras et al. 2022,
table 1, for velocities and any affine path.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.paths import Path

FREQUENCIES = (1, 2, 4)  # of sin(pi k t) and cos(pi k t)
POINT, TIME = 2, 1 + 2 * len(FREQUENCIES)
INIT_STREAM = 0x4E4E01  # the numbers of a seed that its network begins with
CLASS_SPREAD = 0.5  # standard deviation of a class's embedding at the start
LEAST_RESIDUAL = 1e-4  # of a_0 a_1: where x_0 determines x_1 linearly, F would otherwise be asked for 0 / 0


@dataclass(frozen=True)
class Moments:
    """Second moments of pairs: means (2,) of x_0 and x_1, and per coordinate the variances and the covariance of the two."""

    mean_0: Float[Tensor, " 2"]
    mean_1: Float[Tensor, " 2"]
    variance_0: float
    variance_1: float
    covariance: float

    @staticmethod
    def of(x_0: Float[Tensor, "n 2"], x_1: Float[Tensor, "n 2"]) -> "Moments":
        """The moments of n pairs."""
        a, b = x_0.double(), x_1.double()
        mean_0, mean_1 = a.mean(0), b.mean(0)
        a, b = a - mean_0, b - mean_1
        return Moments(mean_0, mean_1, float(a.square().mean()), float(b.square().mean()), float((a * b).mean()))


@dataclass(frozen=True)
class Scaled:
    """m (*b, 2), s, g, r (*b, 1) and the drift d_alpha mu_1 + d_sigma mu_0 (*b, 2) of the module's text at given times."""

    centre: Float[Tensor, "*b 2"]
    size: Float[Tensor, "*b 1"]
    drift: Float[Tensor, "*b 2"]
    slope: Float[Tensor, "*b 1"]
    residual: Float[Tensor, "*b 1"]


@dataclass(frozen=True)
class Scaling:
    """The part of a velocity that is linear in x, and the sizes of the rest, from the pairs' moments and the path."""

    moments: Moments
    path: Path

    def at(self, t: Float[Tensor, "*b"]) -> Scaled:
        """The coefficients at times t, in float64."""
        p, k, time = self.path, self.moments, t.double()[..., None]
        alpha, sigma, d_alpha, d_sigma = p.alpha(time), p.sigma(time), p.d_alpha(time), p.d_sigma(time)
        a_0, a_1, c = k.variance_0, k.variance_1, k.covariance
        square = alpha**2 * a_1 + 2 * alpha * sigma * c + sigma**2 * a_0
        square = square.clamp(min=LEAST_RESIDUAL * (a_0 + a_1))
        slope = (alpha * d_alpha * a_1 + (alpha * d_sigma + sigma * d_alpha) * c + p.sigma_d_sigma(time) * a_0) / square
        left = max(a_0 * a_1 - c * c, LEAST_RESIDUAL * a_0 * a_1)
        residual = (alpha * d_sigma - sigma * d_alpha).abs() * sqrt(left) / square.sqrt()
        return Scaled(alpha * k.mean_1 + sigma * k.mean_0, square.sqrt(), d_alpha * k.mean_1 + d_sigma * k.mean_0, slope, residual)


@dataclass(frozen=True)
class Architecture:
    """An MLP of `depth` hidden layers of `width` with SiLU. classes: how many a network is told of; 0 where it sees the position alone.

    Its first layer reads the point, t with sinusoids of it, and the class as a unit vector: the rows of its matrix that belong to the classes are their embeddings.
    """

    width: int = 128
    depth: int = 3
    classes: int = 0

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every layer."""
        sizes = [POINT + TIME + self.classes, *[self.width] * self.depth, 2]
        return list(itertools.pairwise(sizes))

    @property
    def count(self) -> int:
        """Parameters of one network."""
        return sum((i + 1) * o for i, o in self.shapes)

    def layers(self, parameters: Float[Tensor, "s p"]) -> list[tuple[Tensor, Tensor]]:
        """Views of the parameters: matrices (S, inputs, outputs) and offsets (S, 1, outputs), layer by layer."""
        found, start = [], 0
        for i, o in self.shapes:
            middle, end = start + i * o, start + (i + 1) * o
            found.append((parameters[:, start:middle].unflatten(1, (i, o)), parameters[:, middle:end].unflatten(1, (1, o))))
            start = end
        return found

    def begin(self, seeds: Sequence[int], round_: int = 0) -> Float[Tensor, "s p"]:
        """Parameters (S, P) float32 to start from, a function of each seed (and round) alone: He's normal law, offsets and the last layer 0, so that F = 0."""
        rows = torch.arange(self.count) + (round_ << 32)
        parameters = torch.stack([random.normals(s, rows, 1, INIT_STREAM, torch.float32)[:, 0] for s in seeds])
        layers = self.layers(parameters)
        for matrix, offset in layers:
            matrix.mul_(sqrt(2 / matrix.shape[1]))
            offset.zero_()
        first = layers[0][0]
        first[:, : POINT + TIME].mul_(sqrt(first.shape[1] / (POINT + TIME)))
        first[:, POINT + TIME :].mul_(CLASS_SPREAD * sqrt(first.shape[1] / 2))
        layers[-1][0].zero_()
        return parameters

    def inputs(self, z: Float[Tensor, "*b 2"], t: Float[Tensor, "*b"], condition: Int[Tensor, "*b"] | None) -> Float[Tensor, "*b features"]:
        """What the first layer reads, in the dtype of z: scaled points, times and, where networks are told them, classes."""
        angle = torch.pi * t[..., None] * torch.tensor(FREQUENCIES, dtype=t.dtype)
        parts = [z, t[..., None].to(z.dtype), angle.sin().to(z.dtype), angle.cos().to(z.dtype)]
        if self.classes:
            if condition is None:
                raise ValueError("condition must be given: this network is told the class of each point")
            parts.append(torch.nn.functional.one_hot(condition, self.classes).to(z.dtype))
        return torch.cat(parts, dim=-1)


def perceptron(layers: Sequence[tuple[Tensor, Tensor]], h: Float[Tensor, "s b features"]) -> Float[Tensor, "s b 2"]:
    """S networks on S batches at once: F of the module's text."""
    for matrix, offset in layers[:-1]:
        h = torch.nn.functional.silu(torch.baddbmm(offset, h, matrix))
    matrix, offset = layers[-1]
    return torch.baddbmm(offset, h, matrix)


class LearnedField:
    """The velocity of trained networks: `velocity(x, t, condition=None)`, as exact fields have it.

    Of a single network x is (B, 2), t a number or (B,) and condition (B,). Of S networks at once (`one=False`) x is (S, B, 2), t (S,) and condition (S, B): every network moves
    its own batch. condition is ignored by networks that see the position alone. Arithmetic is in `dtype`; float64 makes references of a network's own flow exact to rounding.
    """

    def __init__(
        self,
        architecture: Architecture,
        parameters: Float[Tensor, "s p"],
        scaling: Scaling,
        *,
        one: bool = True,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if one and len(parameters) != 1:
            raise ValueError(f"parameters are those of {len(parameters)} networks; choose one of them, or say one=False")
        self.architecture, self.scaling, self.one, self.dtype = architecture, scaling, one, dtype
        self._layers = [(m.contiguous(), b.contiguous()) for m, b in architecture.layers(parameters.detach().to(dtype))]

    def velocity(self, x: Tensor, t: Tensor | float, condition: Tensor | None = None) -> Tensor:
        """v(x, t) or v(x, t, class), of the shape and dtype of x. Raises ValueError for shapes that do not fit and for a class that is missing or unknown."""
        classes = self.architecture.classes
        if x.ndim != (2 if self.one else 3) or x.shape[-1] != 2:
            raise ValueError(f"x has shape {tuple(x.shape)}; it must be {'(B, 2)' if self.one else '(S, B, 2)'}")
        if classes and condition is not None and len(condition) and not 0 <= int(condition.min()) <= int(condition.max()) < classes:
            raise ValueError(f"condition must lie in 0 to {classes - 1}, the classes that the network knows")
        time = torch.as_tensor(t, dtype=torch.float64)
        if time.ndim and time.shape != x.shape[:1]:
            raise ValueError(f"t has shape {tuple(time.shape)}; it must be a number or ({x.shape[0]},)")
        if self.one:
            x, condition = x[None], None if condition is None else condition[None]
            shared = time.ndim == 0 or (len(time) > 0 and time.stride(0) == 0)  # an expanded tensor holds a single time
            time = time.reshape(-1)[:1] if shared else time
        each = time.reshape(-1, 1) if not self.one else time[None]
        scaled, each = self.scaling.at(each), each.expand(x.shape[:2])
        points = x.to(self.dtype)
        centre, size, drift, slope, residual = (
            getattr(scaled, name).to(self.dtype) for name in ("centre", "size", "drift", "slope", "residual")
        )
        away = points - centre
        value = drift + slope * away + residual * perceptron(self._layers, self.architecture.inputs(away / size, each, condition))
        return (value[0] if self.one else value).to(x.dtype)
