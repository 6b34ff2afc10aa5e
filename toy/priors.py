"""The toy world's priors as mixtures: what each name on the control means, for a given target."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.mixtures import schedule
from lab.moments import MomentAccumulator
from toy.mixtures import Mixture
from toy.scene import Scene

RING_COMPONENTS = 32
FIT_STREAM = 7  # the samples that moments are fitted to are never those that are shown
TIE = 1e-9  # costs of merging (nats) closer than this are equal


def prior_mixture(scene: Scene, target: Mixture) -> Mixture:
    """The law of x_0. Conditional priors carry the target's classes; the others are of one class, the same for every condition.

    gaussian: N(0, scale^2 I). ring: 32 narrow components on a ring with the same second moments. mirrored: the target reflected in x = 0, deviations from
    its component means times `scale`. conditional: N(mean_c, covariance_c) per class. conditional-mixture: the same for each of at most `prior_components` groups
    of the class's components.
    """
    eye = torch.eye(2, dtype=torch.float64)
    if scene.prior == "gaussian":
        return Mixture([1.0], [[0.0, 0.0]], scene.scale**2 * eye[None])
    if scene.prior == "ring":
        return _ring(scene.scale)
    if scene.prior == "mirrored":
        mirror = target.transformed([[-1.0, 0.0], [0.0, 1.0]])
        return Mixture(mirror.weights, mirror.means, scene.scale**2 * mirror.covariances)
    if scene.fit_count:
        every = torch.arange(len(target.weights))
        target = _refitted(target, target.classes if scene.prior == "conditional" else every, scene.fit_count, scene.seed)
    groups = 1 if scene.prior == "conditional" else scene.prior_components
    grouped = [reduced(target.of_class(c), groups) for c in range(target.class_count)]
    weights = torch.cat([w * g.weights for w, g in zip(target.class_weights, grouped, strict=True)])
    classes = torch.cat([torch.full((len(g.weights),), c) for c, g in enumerate(grouped)])
    covariances = torch.cat([g.covariances for g in grouped])
    shaped = scene.scale**2 * _shaped(covariances, weights, scene.prior_covariance)
    return Mixture(weights, scene.prior_mean * torch.cat([g.means for g in grouped]), shaped, classes)


def _shaped(covariances: Float[Tensor, "k 2 2"], weights: Float[Tensor, " k"], shape: str) -> Float[Tensor, "k 2 2"]:
    """What a conditional prior keeps of its covariances."""
    eye = torch.eye(2, dtype=torch.float64).expand_as(covariances)
    if shape == "none":
        return eye
    if shape == "isotropic":
        return 0.5 * covariances.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] * eye
    if shape == "diagonal":
        return covariances * eye
    if shape == "pooled":
        return (weights[:, None, None] * covariances).sum(0).expand_as(covariances)
    return covariances


def _ring(scale: float) -> Mixture:
    """A ring with the second moments of N(0, scale^2 I): radius^2 + 2 width^2 = 2 scale^2, with a width of an eighth of the radius."""
    radius = scale * math.sqrt(2 / (1 + 2 / 64))
    angle = 2 * math.pi * torch.arange(RING_COMPONENTS, dtype=torch.float64) / RING_COMPONENTS
    means = radius * torch.stack((angle.cos(), angle.sin()), dim=1)
    covariance = (radius / 8) ** 2 * torch.eye(2, dtype=torch.float64)
    return Mixture([1 / RING_COMPONENTS] * RING_COMPONENTS, means, covariance.expand(RING_COMPONENTS, 2, 2))


def reduced(mixture: Mixture, most: int) -> Mixture:
    """The mixture with at most that many components, its mean and covariance kept exactly.

    The pair whose merging costs least (Runnalls 2007, eq. 21: an upper bound on the Kullback-Leibler divergence) is merged until few enough are left.
    """
    w, m, s = mixture.weights, mixture.means, mixture.covariances
    while len(w) > most:
        pair_w = w[:, None] + w[None, :]
        share = w[:, None] / pair_w
        gap = m[:, None] - m[None, :]
        merged = (
            share[..., None, None] * s[:, None]
            + (1 - share)[..., None, None] * s[None, :]
            + (share * (1 - share))[..., None, None] * gap[..., :, None] * gap[..., None, :]
        )
        log_det = torch.linalg.slogdet(s).logabsdet
        cost = 0.5 * (pair_w * torch.linalg.slogdet(merged).logabsdet - w[:, None] * log_det[:, None] - w[None, :] * log_det[None, :])
        # Of pairs that are alike by symmetry the first is merged, whatever their last bits say: the browser's twin must find the same.
        above = torch.ones_like(cost).triu(1).bool()
        cheap = above & (cost <= cost[above].min() + TIE)
        i, j = divmod(int(cheap.flatten().nonzero()[0]), len(w))
        rest = torch.ones(len(w), dtype=torch.bool)
        rest[[i, j]] = False
        mean = share[i, j] * m[i] + (1 - share[i, j]) * m[j]
        w = torch.cat((w[rest], pair_w[i, j][None]))
        m, s = torch.cat((m[rest], mean[None])), torch.cat((s[rest], merged[i, j][None]))
    return Mixture(w, m, s)


def _refitted(target: Mixture, label: Int[Tensor, " k"], count: int, seed: int) -> Mixture:
    """One Gaussian for each group of the target's components with the same label, its moments those of the group's share of `count` fresh samples."""
    component = schedule(target.weights, count)
    members = torch.bincount(label[component], minlength=int(label.max()) + 1)  # enough of each: Scene sees to it
    normals = random.normals(seed, torch.arange(count), 2, stream=FIT_STREAM)
    fitted = MomentAccumulator(len(members), 2)
    fitted.update(target.from_normals(normals, component), label[component])
    weights = torch.zeros(len(members), dtype=torch.float64).index_add(0, label, target.weights)
    classes = torch.zeros(len(members), dtype=torch.int64).index_copy(0, label, target.classes)
    return Mixture(weights, fitted.means, fitted.covariances, classes)
