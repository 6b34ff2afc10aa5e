"""Gaussian mixtures in any dimension: density, posterior, sampling from given numbers, and a stratified schedule of components."""

import heapq
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k weights_k N(means_k, covariances_k).

    weights (K,), non-negative with sum 1 (to 1e-6); means (K, D); covariances (K, D, D), symmetric and positive definite; all float64. Raises ValueError naming the
    field and the component at fault. Points x are (n, D); ValueError for others.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Float[Tensor, "k d d"]

    def __post_init__(self) -> None:
        k, d = len(self.weights), self.means.shape[-1]
        if self.weights.shape != (k,) or self.means.shape != (k, d) or self.covariances.shape != (k, d, d) or k * d == 0:
            shapes = ", ".join(f"{name} {tuple(getattr(self, name).shape)}" for name in ("weights", "means", "covariances"))
            raise ValueError(f"{shapes}: they must be (K,), (K, D) and (K, D, D), with K and D at least 1")
        for name in ("weights", "means", "covariances"):
            if getattr(self, name).dtype != torch.float64:
                raise ValueError(f"{name} are {getattr(self, name).dtype}; give them in float64: {name}.double()")
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise ValueError(f"{name} must be finite numbers, without NaN")
        if bool((self.weights < 0).any()):
            k = int(torch.nonzero(self.weights < 0)[0])
            raise ValueError(f"weights[{k}]={self.weights[k].item():g} is negative; weights must be non-negative and sum to 1")
        if abs(self.weights.sum().item() - 1) > 1e-6:
            raise ValueError(f"weights sum to {self.weights.sum().item():.6g}; they must sum to 1")
        size = self.covariances.abs().amax((-2, -1), keepdim=True)
        crooked = (self.covariances - self.covariances.mT).abs().amax((-2, -1)) > 1e-9 * size[:, 0, 0]
        if bool(crooked.any()):
            raise ValueError(f"covariances[{int(torch.nonzero(crooked)[0])}] is not symmetric")
        eigenvalues = torch.linalg.eigvalsh(self.covariances)
        singular = eigenvalues[:, 0] <= 1e-14 * eigenvalues[:, -1].clamp(min=0)
        if bool(singular.any()):
            k = int(torch.nonzero(singular)[0])
            raise ValueError(f"covariances[{k}] is not positive definite (least eigenvalue {eigenvalues[k, 0].item():.3g})")

    @cached_property
    def cholesky(self) -> Float[Tensor, "k d d"]:
        """Lower Cholesky factors of the covariances."""
        return torch.linalg.cholesky(self.covariances)

    @property
    def mean(self) -> Float[Tensor, " d"]:
        """Mean of the whole mixture."""
        return self.weights @ self.means

    @property
    def covariance(self) -> Float[Tensor, "d d"]:
        """Covariance of the whole mixture: within components plus between their means."""
        gap = self.means - self.mean
        return torch.einsum("k,kij->ij", self.weights, self.covariances) + torch.einsum("k,ki,kj->ij", self.weights, gap, gap)

    def component_log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """log(weights_k N(x; means_k, covariances_k)), (n, K)."""
        if x.ndim != 2 or x.shape[1] != self.means.shape[1]:
            raise ValueError(f"x has shape {tuple(x.shape)}; points of this mixture are (n, {self.means.shape[1]})")
        columns = []
        for mean, factor, log_weight in zip(self.means, self.cholesky, self.weights.log(), strict=True):  # over components, not points
            white = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False)
            constant = log_weight - factor.diagonal().log().sum() - 0.5 * len(mean) * math.log(2 * math.pi)
            columns.append(constant - 0.5 * (white * white).sum(0))
        return torch.stack(columns, dim=1)

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Log density in nats, (n,)."""
        return torch.logsumexp(self.component_log_prob(x), dim=1)

    def responsibilities(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Posterior probability of each component, (n, K)."""
        return torch.softmax(self.component_log_prob(x), dim=1)

    def from_normals(self, normals: Float[Tensor, "n d"], component: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        """means_k + chol(covariances_k) z for given standard normal numbers and components."""
        return self.means[component] + torch.einsum("nij,nj->ni", self.cholesky[component], normals.to(self.means.dtype))

    def sample(self, count: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
        """Independent draws."""
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        normals = torch.randn(count, self.means.shape[1], dtype=self.means.dtype, generator=generator)
        return self.from_normals(normals, component)


def schedule(weights: Float[Tensor, " k"], count: int) -> Int[Tensor, " n"]:
    """Stratified components: of any first n of them, component k has w_k n to within one and a half (at most 1.2 off in 400 random sets of weights); (count,).

    Components of equal weight take turns. Groups of them are halved again and again, along Huffman's tree: of any first n that come to a branch, one side gets its
    share of n, rounded. (All components by their own due times would drift apart: of 64, one with weight .5 and the others equal, by six at n = 200.)
    Components of weight zero never appear. Raises ValueError for negative weights, and where all are zero.
    """
    if not bool((weights >= 0).all()):
        raise ValueError("weights must not be negative")
    present = torch.nonzero(weights > 0)[:, 0]
    if len(present) == 0:
        raise ValueError("weights must not all be zero")
    w = weights[present].double()
    # float32: thirds are thirds, however they were computed, and any language's sums of them come to the same bits (app/stage/schedule.js).
    level, group = torch.unique((w / w.max()).float(), return_inverse=True)
    component = torch.empty(count, dtype=torch.int64)
    heap: list[tuple[float, int, Any]] = [
        (float(value) * int((group == g).sum()), g, present[group == g]) for g, value in enumerate(level)
    ]  # a leaf is its members, a branch its two sides
    heapq.heapify(heap)
    while len(heap) > 1:
        left, right = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (left[0] + right[0], len(present) + len(heap), (left, right)))
    waiting = [(heap[0], torch.arange(count))]
    while waiting:
        (_, _, node), places = waiting.pop()
        if isinstance(node, Tensor):
            component[places] = node[torch.arange(len(places)) % len(node)]
            continue
        left, right = node
        filled = torch.floor(torch.arange(len(places) + 1, dtype=torch.float64) * (left[0] / (left[0] + right[0])) + 0.5)
        first = filled.diff() > 0
        waiting += [(left, places[first]), (right, places[~first])]
    return component
