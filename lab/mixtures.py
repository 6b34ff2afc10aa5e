"""Gaussian mixtures in any dimension: density, posterior, sampling from given numbers, and a stratified schedule of components."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k weights_k N(means_k, covariances_k).

    weights (K,), non-negative with sum 1 (to 1e-6); means (K, D); covariances (K, D, D), symmetric and positive definite; all float64. Raises ValueError naming the
    field and the component at fault.
    """

    weights: Float[Tensor, " k"]
    means: Float[Tensor, "k d"]
    covariances: Float[Tensor, "k d d"]

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
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
    """Stratified components: of any first n of them, component k has w_k n to within about one; (count,).

    The m-th particle of component k (m = 1, 2, ...) is due at (m - 1/2) / w_k; all due times are sorted (ties: lower k first) and the first `count` taken.
    Components of weight zero never appear.
    """
    present = torch.nonzero(weights > 0)[:, 0]
    if len(present) == 0:
        raise ValueError("weights must not all be zero")
    w = weights[present].double()
    # Component k is due about w_k count times, and the last one taken is due near time count / sum(w).
    copies = (w / w.sum() * count).ceil().long() + 1
    component = torch.repeat_interleave(torch.arange(len(w)), copies)
    first = torch.cumsum(copies, 0) - copies
    rank = torch.arange(len(component)) - first[component]
    due = (rank + 0.5) / w[component]
    return present[component[torch.sort(due, stable=True).indices[:count]]]
