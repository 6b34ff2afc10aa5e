"""The exact marginal velocity, score and density between two Gaussian mixtures under any block coupling and any affine path.

Source components j ~ N(m_j, S_j), target components k ~ N(mu_k, Sigma_k), plan P_jk, cross-covariances C_jk = Cov(x_0, x_1 | jk). At time t:

    M = sigma m_j + alpha mu_k            V = sigma^2 S_j + alpha^2 Sigma_k + alpha sigma (C + C^T)
    r_jk(x) proportional to P_jk N(x; M, V)
    E[x_0 | x, jk] = m_j  + (sigma S_j + alpha C)     V^-1 (x - M)
    E[x_1 | x, jk] = mu_k + (alpha Sigma_k + sigma C^T) V^-1 (x - M)
    u = sum r_jk (d_alpha E[x_1 | x, jk] + d_sigma E[x_0 | x, jk])          score = - sum r_jk V^-1 (x - M)

Every inner expression is quadratic (log density) or affine (expectations) in x, so each pair jk is folded to six coefficients of (1, x, y, x^2, xy, y^2) and two matrix
products serve all particles (tests/bench/field.py measures what that gains over the plain formula).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.paths import CondOT, Path, check_times
from toy.mixtures import Mixture

Array = TypeVar("Array", Tensor, np.ndarray)

CHUNK = 8192  # rows at a time: 8192 x 64 pairs of float64 are 4 MB, about a core's cache
CACHED_NUMBERS = 4_000_000  # how many folded coefficients are kept for times that come again (32 MB)


class MixtureField:
    """Exact velocity, score, density and expectations between `source` and `target` for a block coupling on `path`.

    plan (J, K): joint weights of source and target components, whose margins must be the mixtures' weights; None is the independent coupling. cross
    (J, K, 2, 2): covariances of x_0 with x_1 within each pair; None is zero. Each pair belongs to the class of its target component; `condition` (B,) restricts
    a particle to the pairs of its class (the field *sees the class*), None uses all (it *sees the position*).

    Points are (B, 2) and times a number or (B,), torch or numpy; arithmetic is float64 throughout and results have the type and dtype of x. Torch results are
    differentiable in x and t. Raises ValueError if the margins do not match or a pair's joint covariance is not positive semidefinite.
    """

    def __init__(
        self,
        source: Mixture,
        target: Mixture,
        plan: Tensor | np.ndarray | None = None,
        cross: Tensor | np.ndarray | None = None,
        path: Path | None = None,
    ) -> None:
        self.source, self.target, self.path = source, target, path or CondOT()
        shape = (len(source.weights), len(target.weights))
        plan = torch.outer(source.weights, target.weights) if plan is None else torch.as_tensor(plan, dtype=torch.float64)
        _check_plan(plan, source, target)
        j, k = torch.nonzero(plan, as_tuple=True)
        self.plan, self.pairs = plan, (j, k)
        self._weight, self._class = plan[j, k], target.classes[k]
        self._m, self._mu = source.means[j], target.means[k]
        self._S, self._Sigma = source.covariances[j], target.covariances[k]
        if cross is None:
            self._C = None
        else:
            cross = torch.as_tensor(cross, dtype=torch.float64)
            if cross.shape != (*shape, 2, 2):
                raise ValueError(f"cross has shape {tuple(cross.shape)}; for these mixtures it must be {(*shape, 2, 2)}")
            self._C = cross[j, k]
            _check_joint(self._S, self._Sigma, self._C, j, k)
        self.class_weights = target.class_weights
        self._folded: OrderedDict[tuple[str, float], tuple[Tensor, Tensor]] = OrderedDict()

    def velocity(self, x: Array, t: Array | float, condition: Array | None = None) -> Array:
        """Marginal velocity u(x, t), or u(x, t | class): (B, 2) to (B, 2). Where VP and VE are unbounded it is that of the path's last time."""
        return self._evaluate(x, t, condition, "velocity", _mean_of_affine)

    def score(self, x: Array, t: Array | float, condition: Array | None = None) -> Array:
        """Gradient of log p_t(x), or of log p_t(x | class): (B, 2) to (B, 2)."""
        return self._evaluate(x, t, condition, "score", _mean_of_affine)

    def log_prob(self, x: Array, t: Array | float, condition: Array | None = None) -> Array:
        """log p_t(x), or log p_t(x | class), in nats: (B, 2) to (B,)."""

        def log_density(features: Tensor, logits: Tensor, linear: Tensor) -> Tensor:
            return torch.logsumexp(logits, dim=-1)

        value = self._evaluate(x, t, condition, "score", log_density)
        if condition is None:
            return value
        log_weight = self.class_weights.log()[torch.as_tensor(condition)]
        return value - (log_weight.numpy() if isinstance(value, np.ndarray) else log_weight.to(value.dtype))

    def endpoints(self, x: Array, t: Array | float, condition: Array | None = None) -> tuple[Array, Array]:
        """Expected source and data given where a particle is: E[x_0 | x_t], E[x_1 | x_t] (and class), each (B, 2)."""
        return (self._evaluate(x, t, condition, "source", _mean_of_affine), self._evaluate(x, t, condition, "data", _mean_of_affine))

    def responsibilities(self, x: Array, t: Array | float, condition: Array | None = None) -> Array:
        """Posterior weight of every pair of `pairs` given x_t (and class): (B, 2) to (B, P)."""
        return self._evaluate(x, t, condition, "score", lambda features, logits, linear: torch.softmax(logits, dim=-1))

    def _evaluate(self, x, t, condition, kind: str, finish: Callable[[Tensor, Tensor, Tensor], Tensor]):
        points = torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"x has shape {tuple(points.shape)}; points must be (B, 2)")
        position = points.double()
        time = torch.as_tensor(t, dtype=torch.float64)
        per_particle = time.ndim > 0 and not _one_time(time)
        if per_particle and time.shape != (len(position),):
            raise ValueError(f"t has shape {tuple(time.shape)}; it must be a number or one time per particle, ({len(position)},)")
        time = time if per_particle else time.reshape(-1)[:1]
        check_times(time)
        known = None if condition is None else self._checked(torch.as_tensor(condition), len(position))
        if not per_particle:
            quadratic, linear = self._fold(kind, time)
        results = []
        for rows in _chunks(len(position)):
            features = _features(position[rows])
            if per_particle:
                quadratic, linear = self._fold(kind, time[rows])
                logits = torch.einsum("nf,npf->np", features, quadratic)
            else:
                logits = features @ quadratic[0].T
            if known is not None:
                logits = logits.masked_fill(self._class != known[rows, None], -torch.inf)
            results.append(finish(features, logits, linear))
        result = results[0] if len(results) == 1 else torch.cat(results)
        result = result.to(points.dtype)
        return result.numpy() if isinstance(x, np.ndarray) else result

    def _checked(self, condition: Tensor, count: int) -> Int[Tensor, " n"]:
        if condition.shape != (count,) or condition.is_floating_point():
            raise ValueError(f"condition must be one class per particle, ({count},) whole numbers, not {condition.dtype} of {tuple(condition.shape)}")
        if count and not bool(((condition >= 0) & (condition < len(self.class_weights))).all()):
            raise ValueError(f"condition must lie in 0 to {len(self.class_weights) - 1}, the classes of the target")
        return condition

    def _fold(self, kind: str, time: Float[Tensor, " t"]) -> tuple[Float[Tensor, "t p 6"], Float[Tensor, "t p 6"]]:
        """Coefficients of log weight + log density, and of the affine map that `kind` averages, for every time and pair."""
        cacheable = len(time) == 1 and not time.requires_grad
        key = (kind, float(time[0].detach()))
        if cacheable and key in self._folded:
            self._folded.move_to_end(key)
            return self._folded[key]
        folded = self._fold_afresh(kind, time)
        if cacheable:
            self._folded[key] = folded
            if len(self._folded) * folded[0].numel() * 2 > CACHED_NUMBERS:
                self._folded.popitem(last=False)
        return folded

    def _fold_afresh(self, kind: str, time: Tensor) -> tuple[Tensor, Tensor]:
        alpha, sigma = (c[:, None, None, None] for c in (self.path.alpha(time), self.path.sigma(time)))
        scaled_S, scaled_Sigma = sigma * self._S, alpha * self._Sigma
        V = sigma * scaled_S + alpha * scaled_Sigma
        source_gain, data_gain = scaled_S, scaled_Sigma
        if self._C is not None:
            V = V + alpha * sigma * (self._C + self._C.mT)
            source_gain, data_gain = source_gain + alpha * self._C, data_gain + sigma * self._C.mT
        M = sigma[..., 0] * self._m + alpha[..., 0] * self._mu
        precision, log_det = _inverse(V)
        pull = (precision @ M[..., None])[..., 0]
        constant = self._weight.log() - 0.5 * log_det - np.log(2 * np.pi) - 0.5 * (M * pull).sum(-1)
        quadratic = torch.stack(
            (constant, pull[..., 0], pull[..., 1], -0.5 * precision[..., 0, 0], -precision[..., 0, 1], -0.5 * precision[..., 1, 1]), dim=-1
        )
        if kind == "score":
            offset, gain = torch.zeros_like(M), -torch.eye(2, dtype=torch.float64).expand_as(V)
        elif kind == "source":
            offset, gain = self._m.expand_as(M), source_gain
        elif kind == "data":
            offset, gain = self._mu.expand_as(M), data_gain
        else:
            d_alpha, d_sigma, sigma_d_sigma = (
                c[:, None, None, None] for c in (self.path.d_alpha(time), self.path.d_sigma(time), self.path.sigma_d_sigma(time))
            )
            offset = d_alpha[..., 0] * self._mu + d_sigma[..., 0] * self._m
            gain = d_alpha * data_gain + sigma_d_sigma * self._S  # sigma d_sigma stays finite where d_sigma does not
            if self._C is not None:
                gain = gain + d_sigma * alpha * self._C
        gain = gain @ precision
        offset = offset - (gain @ M[..., None])[..., 0]
        return quadratic, torch.cat((offset, gain.flatten(-2)), dim=-1)


def _mean_of_affine(features: Tensor, logits: Tensor, linear: Tensor) -> Tensor:
    """sum_p r_p (b_p + G_p x), with r the softmax of the logits."""
    r = torch.softmax(logits, dim=-1)
    mean = r @ linear[0] if len(linear) == 1 else torch.einsum("np,npf->nf", r, linear)
    x, y = features[:, 1], features[:, 2]
    return torch.stack((mean[:, 0] + mean[:, 2] * x + mean[:, 3] * y, mean[:, 1] + mean[:, 4] * x + mean[:, 5] * y), dim=-1)


def _features(x: Float[Tensor, "n 2"]) -> Float[Tensor, "n 6"]:
    a, b = x[:, 0], x[:, 1]
    return torch.stack((torch.ones_like(a), a, b, a * a, a * b, b * b), dim=-1)


def _inverse(V: Float[Tensor, "*p 2 2"]) -> tuple[Float[Tensor, "*p 2 2"], Float[Tensor, "*p"]]:
    """Inverse and log-determinant of symmetric positive definite 2 x 2 matrices."""
    a, b, d = V[..., 0, 0], V[..., 0, 1], V[..., 1, 1]
    determinant = a * d - b * b
    return torch.stack((d, -b, -b, a), dim=-1).reshape(V.shape) / determinant[..., None, None], determinant.log()


def _one_time(time: Tensor) -> bool:
    """Whether all particles share one time; an expanded tensor says so by its stride, without reading its values."""
    return len(time) <= 1 or time.stride(0) == 0 or (not time.requires_grad and bool((time == time[0]).all()))


def _chunks(count: int) -> list[slice]:
    return [slice(i, i + CHUNK) for i in range(0, max(count, 1), CHUNK)]


def _check_plan(plan: Tensor, source: Mixture, target: Mixture) -> None:
    shape = (len(source.weights), len(target.weights))
    if plan.shape != shape:
        raise ValueError(f"plan has shape {tuple(plan.shape)}; for these mixtures it must be {shape}")
    if not bool(torch.isfinite(plan).all()) or bool((plan < 0).any()):
        raise ValueError("plan must hold finite numbers that are not negative")
    for name, margin, weights in (("rows", plan.sum(1), source.weights), ("columns", plan.sum(0), target.weights)):
        worst = (margin - weights).abs().max().item()
        if worst > 1e-9:
            raise ValueError(f"the plan's {name} must sum to the {'source' if name == 'rows' else 'target'} weights; they are off by {worst:.2g}")


def _check_joint(S: Tensor, Sigma: Tensor, C: Tensor, j: Tensor, k: Tensor) -> None:
    joint = torch.cat((torch.cat((S, C), -1), torch.cat((C.mT, Sigma), -1)), -2)
    eigenvalues = torch.linalg.eigvalsh(joint)
    bad = eigenvalues[:, 0] < -1e-9 * eigenvalues[:, -1]
    if bool(bad.any()):
        worst = int(torch.nonzero(bad)[0])
        raise ValueError(
            f"cross[{int(j[worst])}, {int(k[worst])}] gives a joint covariance of (x_0, x_1) that is not positive semidefinite "
            f"(least eigenvalue {eigenvalues[worst, 0].item():.3g})"
        )
