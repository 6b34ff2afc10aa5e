"""The exact marginal velocity, score and density between two Gaussian mixtures under any block coupling and any affine path.

Source components j ~ N(m_j, S_j), target components k ~ N(mu_k, Sigma_k), plan P_jk, cross-covariances C_jk = Cov(x_0, x_1 | jk). At t:

    M = sigma m_j + alpha mu_k            V = sigma^2 S_j + alpha^2 Sigma_k + alpha sigma (C + C^T)
    r_jk(x) proportional to P_jk N(x; M, V)
    E[x_0 | x, jk] = m_j  + (sigma S_j + alpha C)       V^-1 (x - M)
    E[x_1 | x, jk] = mu_k + (alpha Sigma_k + sigma C^T) V^-1 (x - M)
    u = sum r_jk (d_alpha E[x_1 | x, jk] + d_sigma E[x_0 | x, jk])          score = - sum r_jk V^-1 (x - M)

Every inner expression is quadratic (log density) or affine (expectations) in x. So each pair jk is folded, once per time, to six
coefficients of (1, x, y, x^2, xy, y^2) and six of (1, x, y), and two matrix products serve all particles (tests/bench/field.py measures
what that gains). Points are taken from the mean of the law at t, so that a scene far from the origin loses no digits.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd import forward_ad

from lab.paths import CondOT, Path, check_times
from toy.mixtures import Mixture

Array = TypeVar("Array", Tensor, np.ndarray)
Times = Tensor | np.ndarray | np.floating | float | int
Classes = Tensor | np.ndarray

CHUNK = 2**19  # pairs times particles at a time: 4 MB of float64, which stays in a core's cache (tests/bench/field.py)
CHUNK_OF_TIMES = 2**15  # the same where every particle has its own time, and so two dozen coefficients per pair
NEGLIGIBLE = -700.0  # log weights below it count as e^-700 = 1e-304: exp takes ten times as long where its result is denormal or zero
CACHED_NUMBERS = 4_000_000  # how many folded coefficients are kept for times that come again (32 MB)


@dataclass(frozen=True)
class _Folded:
    """Coefficients of x - `centre` at T times: log weight + log density (P, 6, T), and the affine map to be averaged (7, P, T), whose
    last row is ones.
    """

    centre: Float[Tensor, "2 t"]
    quadratic: Float[Tensor, "p 6 t"]
    affine: Float[Tensor, "7 p t"]

    def logits(self, x: Tensor, y: Tensor) -> Float[Tensor, "p n"]:
        features = torch.stack((torch.ones_like(x), x, y, x * x, x * y, y * y))
        if self.quadratic.shape[-1] == 1:
            return self.quadratic[..., 0] @ features
        return (self.quadratic * features).sum(1)

    def mean(self, weights: Float[Tensor, "p n"], x: Tensor, y: Tensor) -> Float[Tensor, "n 2"]:
        """sum_p w_p (b_p + G_p x) / sum_p w_p."""
        if self.affine.shape[-1] == 1:
            sums = self.affine[..., 0] @ weights
        else:
            sums = (self.affine * weights).sum(1)
        total = sums[6]
        return torch.stack(((sums[0] + sums[2] * x + sums[3] * y) / total, (sums[1] + sums[4] * x + sums[5] * y) / total), dim=-1)


class MixtureField:
    """Exact velocity, score, density and expectations between `source` and `target` for a block coupling on `path`.

    plan (J, K): joint weights of source and target components, whose margins must be the mixtures' weights; None is the independent
    coupling. cross (J, K, 2, 2): covariances of x_0 with x_1 within each pair; None is zero. Each pair belongs to the class of its target
    component; `condition` (B,) restricts a particle to the pairs of its class (the field *sees the class*), None uses all (it *sees the
    position*). `pairs` are the indices (j, k) of the pairs of positive weight.

    Points are (B, 2) and times a number or (B,), torch or numpy; arithmetic is float64 throughout and results have the type and dtype of
    x. Torch results are differentiable in x and t. Raises ValueError if the margins do not match or a pair's joint covariance is not
    positive semidefinite, and at a time where a pair has no density (x_0 and x_1 exactly opposed).
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
        self.plan: Float[Tensor, "j k"] = torch.outer(source.weights, target.weights) if plan is None else _float64(plan)
        _check_plan(self.plan, source, target)
        j, k = torch.nonzero(self.plan, as_tuple=True)
        self.pairs: tuple[Int[Tensor, " p"], Int[Tensor, " p"]] = (j, k)
        weight = self.plan[j, k]
        self._class = target.classes[k]
        # The plan's own: the target's to within the margins' tolerance, and p_t(x | class) then integrates to one exactly.
        self.class_weights: Float[Tensor, " c"] = torch.zeros(target.class_count, dtype=torch.float64).index_add(0, self._class, weight)
        # Vectors (2, P, 1) and matrices (2, 2, P, 1): pairs and times last, so that arithmetic runs along them.
        self._log_weight = weight.log()[:, None]
        self._m, self._mu = (v.T[..., None] for v in (source.means[j], target.means[k]))
        self._m_mean, self._mu_mean = ((weight[:, None] * v).sum(1, keepdim=True) for v in (self._m, self._mu))
        self._S, self._Sigma = (v.permute(1, 2, 0)[..., None] for v in (source.covariances[j], target.covariances[k]))
        self._C: Tensor | None = None
        if cross is not None:
            cross = _float64(cross)
            if cross.shape != (*shape, 2, 2):
                raise ValueError(f"cross has shape {tuple(cross.shape)}; for these mixtures it must be {(*shape, 2, 2)}")
            _check_joint(source.covariances[j], target.covariances[k], cross[j, k], j, k)
            self._C = cross[j, k].permute(1, 2, 0)[..., None]
        self._cache: OrderedDict[tuple[str, float], _Folded] = OrderedDict()

    def velocity(self, x: Array, t: Times, condition: Classes | None = None) -> Array:
        """Marginal velocity u(x, t), or u(x, t | class): (B, 2) to (B, 2). Where VP and VE are unbounded, that of the path's last time."""
        return self._evaluate(x, t, condition, "velocity", _mean)

    def score(self, x: Array, t: Times, condition: Classes | None = None) -> Array:
        """Gradient of log p_t(x), or of log p_t(x | class): (B, 2) to (B, 2)."""
        return self._evaluate(x, t, condition, "score", _mean)

    def log_prob(self, x: Array, t: Times, condition: Classes | None = None) -> Array:
        """log p_t(x), or log p_t(x | class), in nats: (B, 2) to (B,)."""
        return self._evaluate(x, t, condition, "score", lambda folded, logits, x, y: torch.logsumexp(logits, dim=0), normalised=True)

    def endpoints(self, x: Array, t: Times, condition: Classes | None = None) -> tuple[Array, Array]:
        """Expected source and data given where a particle is: E[x_0 | x_t], E[x_1 | x_t] (and class), each (B, 2)."""
        return self._evaluate(x, t, condition, "source", _mean), self._evaluate(x, t, condition, "data", _mean)

    def responsibilities(self, x: Array, t: Times, condition: Classes | None = None) -> Array:
        """Posterior weight of every pair of `pairs` given x_t (and class): (B, 2) to (B, P)."""
        return self._evaluate(x, t, condition, "score", lambda folded, logits, x, y: torch.softmax(logits, dim=0).T)

    def _evaluate(self, x: Array, t: Times, condition: Classes | None, kind: str, finish: "_Finish", normalised: bool = False) -> Array:
        points, position = _points(x)
        time, shared = _times(t, len(position))
        known = None if condition is None else self._known(condition, len(position))
        folded = self._fold(kind, time) if shared else None
        results = []
        for rows in _chunks(len(position), (CHUNK if shared else CHUNK_OF_TIMES) // len(self._class)):
            here = folded or self._fold(kind, time[rows])
            a, b = position[rows].T - here.centre
            logits = here.logits(a, b)
            if known is not None:
                logits = logits.masked_fill_(self._class[:, None] != known[rows], -torch.inf)
                if normalised:
                    logits = logits - self.class_weights[known[rows]].log()
            results.append(finish(here, logits, a, b))
        result = (results[0] if len(results) == 1 else torch.cat(results)).to(points.dtype)
        return cast(Array, result.numpy() if isinstance(x, np.ndarray) else result)

    def _known(self, condition: Classes, count: int) -> Int[Tensor, " n"]:
        known = _int64(condition)
        if known.shape != (count,):
            raise ValueError(f"condition has shape {tuple(known.shape)}; it must be one class per particle, ({count},)")
        classes = len(self.class_weights)
        if bool(((known < 0) | (known >= classes)).any()):
            raise ValueError(f"condition must lie in 0 to {classes - 1}, the classes of the target")
        return known

    def _fold(self, kind: str, time: Float[Tensor, " t"]) -> _Folded:
        """Coefficients at these times. Those of a single time are remembered: solvers, references and measures ask for the same times."""
        if len(time) != 1 or _differentiated(time):
            return self._fold_afresh(kind, time)
        key = (kind, float(time))
        folded = self._cache.get(key)
        if folded is None:
            with torch.inference_mode(False), torch.no_grad():  # or autograd would refuse to use what inference mode remembered
                folded = self._fold_afresh(kind, time)
            self._cache[key] = folded
            if len(self._cache) * 13 * len(self._class) > CACHED_NUMBERS:
                self._cache.popitem(last=False)
        return folded

    def _fold_afresh(self, kind: str, time: Float[Tensor, " t"]) -> _Folded:
        path, C = self.path, self._C
        alpha, sigma = path.alpha(time), path.sigma(time)
        data_gain, source_gain = alpha * self._Sigma, sigma * self._S
        V = alpha * data_gain + sigma * source_gain
        if C is not None:
            spread = V
            V = V + alpha * sigma * (C + C.transpose(0, 1))
            data_gain, source_gain = data_gain + sigma * C.transpose(0, 1), source_gain + alpha * C
            self._check_density(V, spread, time)
        M = alpha * (self._mu - self._mu_mean) + sigma * (self._m - self._m_mean)
        precision, log_det = _inverse(V)
        pull = (precision * M).sum(1)
        constant = (self._log_weight - np.log(2 * np.pi)) - 0.5 * (log_det + (M * pull).sum(0))
        quadratic = torch.stack((constant, pull[0], pull[1], -0.5 * precision[0, 0], -precision[0, 1], -0.5 * precision[1, 1]), dim=1)
        if kind == "score":
            offset, gain = pull, -precision
        else:
            if kind == "source":
                offset, gain = self._m.expand_as(M), source_gain
            elif kind == "data":
                offset, gain = self._mu.expand_as(M), data_gain
            else:
                d_alpha, d_sigma = path.d_alpha(time), path.d_sigma(time)
                offset = d_alpha * self._mu + d_sigma * self._m
                gain = d_alpha * data_gain + path.sigma_d_sigma(time) * self._S  # sigma d_sigma stays finite where d_sigma does not
                if C is not None:
                    gain = gain + d_sigma * alpha * C
            gain = (gain[:, :, None] * precision).sum(1)
            offset = offset - (gain * M).sum(1)
        affine = torch.cat((offset, gain.flatten(0, 1), torch.ones_like(offset[:1])))
        centre = alpha * self._mu_mean[:, 0] + sigma * self._m_mean[:, 0]
        return _Folded(centre, quadratic, affine)

    def _check_density(self, V: Tensor, spread: Tensor, time: Tensor) -> None:
        """ValueError where cross-covariances cancel a pair's whole spread in some direction."""
        trace, determinant = V[0, 0] + V[1, 1], V[0, 0] * V[1, 1] - V[0, 1] ** 2
        bad = determinant <= 1e-12 * trace * (spread[0, 0] + spread[1, 1])
        if bool(bad.any()):
            p, n = (int(i) for i in torch.nonzero(bad)[0])
            j, k = (int(i[p]) for i in self.pairs)
            raise ValueError(
                f"cross[{j}, {k}] leaves no density at t={float(time[n]):.6g}: x_0 and x_1 cancel there, and the velocity is not defined"
            )


_Finish = Callable[[_Folded, Tensor, Tensor, Tensor], Tensor]


def _mean(folded: _Folded, logits: Tensor, x: Tensor, y: Tensor) -> Float[Tensor, "n 2"]:
    # In place: the logits are this call's own, and no gradient needs them. The shift cancels in the quotient, so it carries no gradient.
    weights = logits.sub_(logits.detach().amax(0)).clamp_(min=NEGLIGIBLE).exp_()
    return folded.mean(weights, x, y)


def _inverse(V: Float[Tensor, "2 2 p t"]) -> tuple[Float[Tensor, "2 2 p t"], Float[Tensor, "p t"]]:
    """Inverse and log-determinant of symmetric positive definite 2 x 2 matrices."""
    a, b, d = V[0, 0], V[0, 1], V[1, 1]
    determinant = a * d - b * b
    return torch.stack((d, -b, -b, a)).reshape(V.shape) / determinant, determinant.log()


def _points(x: Tensor | np.ndarray) -> tuple[Tensor, Float[Tensor, "b 2"]]:
    """x as a tensor of its own dtype and as float64."""
    points = torch.from_numpy(np.array(x)) if isinstance(x, np.ndarray) else x
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"x has shape {tuple(points.shape)}; points must be (B, 2)")
    if not points.is_floating_point():
        raise ValueError(f"x has dtype {points.dtype}; points must be floating-point numbers, for the result has the dtype of x")
    return points, points.double()


def _times(t: Times, count: int) -> tuple[Float[Tensor, " t"], bool]:
    """The one time that all particles share (1,) and True, or their own times (B,) and False."""
    time = _float64(t)
    if time.ndim > 0 and time.shape not in ((1,), (count,)):
        raise ValueError(f"t has shape {tuple(time.shape)}; it must be a number or one time per particle, ({count},)")
    check_times(time)
    # An expanded tensor says by its stride that all are one, without a look at its values. A derivative is wanted for each of them, though.
    shared = time.numel() == 1 or (count > 0 and not _differentiated(time) and (time.stride(0) == 0 or bool((time == time[0]).all())))
    return (time.reshape(-1)[:1] if shared else time), shared


def _differentiated(time: Tensor) -> bool:
    """Whether somebody asks for a derivative in t, backwards or forwards."""
    return time.requires_grad or forward_ad.unpack_dual(time).tangent is not None


def _float64(value: Times) -> Tensor:
    """As a float64 tensor; arrays are copied, for they may be read-only."""
    return (
        torch.from_numpy(np.array(value, dtype=np.float64))
        if isinstance(value, np.ndarray)
        else torch.as_tensor(value, dtype=torch.float64)
    )


def _int64(condition: Classes) -> Int[Tensor, "*n"]:
    known = torch.from_numpy(np.array(condition)) if isinstance(condition, np.ndarray) else torch.as_tensor(condition)
    if known.is_floating_point() or known.is_complex() or known.dtype == torch.bool:
        raise ValueError(f"condition has dtype {known.dtype}; it must be whole numbers, one class per particle")
    return known.long()


def _chunks(count: int, size: int) -> list[slice]:
    return [slice(i, i + max(size, 1)) for i in range(0, max(count, 1), max(size, 1))]


def _check_plan(plan: Tensor, source: Mixture, target: Mixture) -> None:
    shape = (len(source.weights), len(target.weights))
    if plan.shape != shape:
        raise ValueError(f"plan has shape {tuple(plan.shape)}; for these mixtures it must be {shape}")
    if not bool(torch.isfinite(plan).all()) or bool((plan < 0).any()):
        raise ValueError("plan must hold finite numbers that are not negative")
    for side, name, margin, weights in (
        ("rows", "source", plan.sum(1), source.weights),
        ("columns", "target", plan.sum(0), target.weights),
    ):
        worst = (margin - weights).abs().max().item()
        if worst > 1e-9:
            raise ValueError(f"plan must have {side} that sum to the {name}'s weights; they are off by {worst:.2g}")


def _check_joint(S: Tensor, Sigma: Tensor, C: Tensor, j: Tensor, k: Tensor) -> None:
    """ValueError unless every pair's joint covariance of (x_0, x_1) is positive semidefinite, to rounding and whatever the two scales."""
    if not bool(torch.isfinite(C).all()):
        raise ValueError("cross must hold finite numbers")
    joint = torch.cat((torch.cat((S, C), -1), torch.cat((C.mT, Sigma), -1)), -2)
    scale = joint.diagonal(dim1=-2, dim2=-1).rsqrt()
    least = torch.linalg.eigvalsh(scale[:, :, None] * joint * scale[:, None, :])[:, 0]
    if bool((least < -1e-9).any()):
        worst = int(least.argmin())
        raise ValueError(
            f"cross[{int(j[worst])}, {int(k[worst])}] gives a joint covariance of (x_0, x_1) that is not positive semidefinite "
            f"(least eigenvalue of the correlations {least[worst].item():.3g})"
        )
