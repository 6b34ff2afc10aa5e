"""Gaussian mixtures of pairs (x_0, x_1) in four dimensions, one within each group of pairs, by an EM quick enough to repeat while somebody waits.

A log density is quadratic in z: a product of 15 coefficients per component with the 15 monomials (1, z_i, z_i z_j) of each point. The same monomials, averaged
under the responsibilities, are the moments of the next step. So an iteration is two matrix products and a softmax (25,000 points x 16 components: 1.6 ms in float32).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.mixtures import GaussianMixture

LEAST_PER_COMPONENT = 50  # pairs that a component must have on average
LEAST_PER_GROUP = 10  # pairs for the one covariance of a group
FLOOR = 1e-4  # added to covariances, in the group's variances: no component is narrower than a hundredth of its group
STARTING_POINTS = 2000
K_MEANS = 5
STARTS = 2  # of which the likelier one goes on: with one start a fit in ten ends in a poor local optimum
COARSE_SHARE, COARSE, FINE = 0.25, 15, 12  # iterations on a quarter of the points, twice, and then on all of them
ROW, COLUMN = torch.triu_indices(4, 4)
HALF_OF_SQUARES = torch.where(ROW == COLUMN, -0.5, -1.0)


@dataclass(frozen=True, eq=False)
class PairMixture(GaussianMixture):
    """sum_l weights_l N(means_l, covariances_l) in four dimensions (x_0, x_1); component l lies in group_l."""

    group: Int[Tensor, " k"]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "n 4"], Int[Tensor, " n"]]:
        """Independent draws and their components."""
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return self.from_normals(torch.randn(count, 4, dtype=torch.float64, generator=generator), component), component


def fit_pairs(
    pairs: Float[Tensor, "n 4"],
    group: Int[Tensor, " n"],
    components: int,
    *,
    weights: Float[Tensor, " g"],
    generator: torch.Generator,
    start: PairMixture | None = None,
) -> PairMixture:
    """A mixture of `components` Gaussians within each group of pairs (fewer where a group has less than 50 pairs for each), by maximum likelihood.

    pairs (n, 4) float64 in random order, group (n,) in 0 to G - 1, weights (G,) of the groups (those of weight 0 are left out). Two k-means starts with 15 iterations on
    a quarter of the pairs each, 15 more of the likelier one, then 12 on all; from `start`, a fit with the same groups, only the last. The mixture's mean in each group is that
    of the pairs, its covariance too but for the floor of 1e-4 of the group's variances.

    Raises ValueError where a group of positive weight has fewer than 10 pairs, or pairs without spread.
    """
    found = []
    for g in torch.nonzero(weights > 0)[:, 0].tolist():
        own = pairs[group == g]
        if len(own) < LEAST_PER_GROUP:
            raise ValueError(f"component {g} of the target has {len(own)} pairs; its fit needs at least {LEAST_PER_GROUP}: take more pairs")
        centre, scale = own.mean(0), own.std(0)
        if not bool((scale > 0).all()):
            raise ValueError(
                f"the pairs of the target's component {g} do not spread in every coordinate; a Gaussian cannot be fitted to them"
            )
        z = ((own - centre) / scale).T.contiguous()
        monomials = _monomials(z)
        if start is None:
            begun = _begin(monomials, max(1, min(components, len(own) // LEAST_PER_COMPONENT)), generator)
        else:
            mine = start.group == g
            begun = _Gaussians(
                start.weights[mine] / start.weights[mine].sum(),
                (start.means[mine] - centre) / scale,
                start.covariances[mine] / scale[:, None] / scale,
            )
        fit = _finish(monomials, begun)
        found.append((weights[g] * fit.weights, centre + scale * fit.means, scale[:, None] * fit.covariances * scale, g))
    w, m, s = (torch.cat([f[i] for f in found]) for i in range(3))
    return PairMixture(w / w.sum(), m, 0.5 * (s + s.mT), torch.cat([torch.full((len(f[0]),), f[3]) for f in found]))


@dataclass(frozen=True)
class _Gaussians:
    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k 4"]
    covariances: Float[Tensor, "k 4 4"]

    def coefficients(self) -> Float[Tensor, "k 15"]:
        """Of log(w N(z; mean, covariance)) in the monomials of z, up to a constant that all components share."""
        factor = torch.linalg.cholesky(self.covariances)
        precision = torch.cholesky_inverse(factor)
        pull = (precision @ self.means[:, :, None])[:, :, 0]
        constant = self.weights.log() - factor.diagonal(dim1=1, dim2=2).log().sum(1) - 0.5 * (self.means * pull).sum(1)
        return torch.cat((constant[:, None], pull, precision[:, ROW, COLUMN] * HALF_OF_SQUARES), dim=1)


def _monomials(z: Float[Tensor, "4 n"]) -> Float[Tensor, "15 n"]:
    return torch.cat((torch.ones_like(z[:1]), z, z[ROW] * z[COLUMN]))


def _moments(monomials: Float[Tensor, "15 n"], now: _Gaussians) -> Float[Tensor, "k 15"]:
    """The expectation step: sums of the monomials under each component's responsibilities."""
    logits = now.coefficients().to(monomials.dtype) @ monomials
    share = logits.sub_(logits.amax(0)).exp_()
    return share.div_(share.sum(0)) @ monomials.T


def _maximise(moments: Float[Tensor, "k 15"], floor: float) -> _Gaussians:
    mass = moments[:, 0].double().clamp(min=1e-6)  # a component that lost all its points keeps a finite, harmless shape
    scaled = moments.double() / mass[:, None]
    mean = scaled[:, 1:5]
    second = torch.empty(len(mass), 4, 4, dtype=torch.float64)
    second[:, ROW, COLUMN] = second[:, COLUMN, ROW] = scaled[:, 5:]
    return _Gaussians(mass / mass.sum(), mean, second - mean[:, :, None] * mean[:, None, :] + floor * torch.eye(4, dtype=torch.float64))


def _log_likelihood(monomials: Float[Tensor, "15 n"], now: _Gaussians) -> float:
    """Per point, up to a constant."""
    return float(torch.logsumexp(now.coefficients().to(monomials.dtype) @ monomials, dim=0).double().mean())


def _begin(monomials: Float[Tensor, "15 n"], components: int, generator: torch.Generator) -> _Gaussians:
    """The likeliest of a few k-means starts, after some iterations on some of the points."""
    if components == 1:
        return _maximise(monomials.sum(1)[None], FLOOR)
    some = monomials[:, : max(int(COARSE_SHARE * monomials.shape[1]), LEAST_PER_COMPONENT * components)].float()
    starts = [_iterate(some, _k_means(monomials[:, :STARTING_POINTS], components, generator), COARSE) for _ in range(STARTS)]
    return _iterate(some, max(starts, key=lambda start: _log_likelihood(some, start)), COARSE)


def _k_means(monomials: Float[Tensor, "15 n"], components: int, generator: torch.Generator) -> _Gaussians:
    """k-means++ and a few rounds of k-means."""
    points = monomials[1:5].T.contiguous()
    centres = points[torch.randint(len(points), (1,), generator=generator)]
    nearest = (points - centres).square().sum(1)
    for _ in range(components - 1):
        centres = torch.cat((centres, points[torch.multinomial(nearest, 1, generator=generator)]))
        nearest = torch.minimum(nearest, (points - centres[-1]).square().sum(1))
    for _ in range(K_MEANS):
        member = torch.nn.functional.one_hot(torch.cdist(points, centres).argmin(1), components).double()
        count = member.sum(0)[:, None]
        centres = torch.where(count > 0, member.T @ points / count.clamp(min=1), centres)
    member = torch.nn.functional.one_hot(torch.cdist(points, centres).argmin(1), components).double()
    return _maximise(member.T @ monomials.T, 1e-2)


def _iterate(monomials: Float[Tensor, "15 n"], now: _Gaussians, count: int) -> _Gaussians:
    for _ in range(count):
        now = _maximise(_moments(monomials, now), FLOOR)
    return now


def _finish(monomials: Float[Tensor, "15 n"], now: _Gaussians) -> _Gaussians:
    """Iterations on all points in float32, whose rounding is far below the floor, and a last one in float64, whose moments are those of the points."""
    if len(now.weights) > 1:
        now = _iterate(monomials.float(), now, FINE)
        alive = now.weights * monomials.shape[1] >= 5
        now = _Gaussians(now.weights[alive], now.means[alive], now.covariances[alive])
    return _maximise(_moments(monomials, now), FLOOR)
