"""Class means and covariances in one pass over batches, in float64."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


class MomentAccumulator:
    """Count, mean and scatter of each of `classes` classes of D-dimensional points, merged batch by batch (Chan et al. 1983), so that a large common offset costs no digits."""

    def __init__(self, classes: int, dimension: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.int64)
        self.means = torch.zeros(classes, dimension, dtype=torch.float64)
        self.scatter = torch.zeros(classes, dimension, dimension, dtype=torch.float64)

    def update(self, x: Float[Tensor, "n *shape"], labels: Int[Tensor, " n"]) -> None:
        """Adds a batch. Raises ValueError for points that are not finite or labels outside the classes."""
        points = x.flatten(1).double()
        if not bool(torch.isfinite(points).all()):
            raise ValueError("x must be finite, without NaN, to have moments")
        if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < len(self.counts)):
            raise ValueError(f"labels must lie in 0 to {len(self.counts) - 1}")
        for c in labels.unique().tolist():
            own = points[labels == c]
            mean, n, before = own.mean(0), len(own), int(self.counts[c])
            gap = mean - self.means[c]
            centred = own - mean
            self.scatter[c] += centred.T @ centred + torch.outer(gap, gap) * (before * n / (before + n))
            self.means[c] += gap * (n / (before + n))
            self.counts[c] += n

    @property
    def covariances(self) -> Float[Tensor, "c d d"]:
        """Unbiased covariances; zero for classes with fewer than two members."""
        return self.scatter / (self.counts - 1).clamp(min=1)[:, None, None]
