"""Class means and covariances in one pass over batches, in float64: in full, their diagonals, pooled, or as a low-rank sketch.

| accumulator       | keeps of the covariances                                        | numbers kept for C classes in D dimensions |
|-------------------|-----------------------------------------------------------------|--------------------------------------------|
| MomentAccumulator | every class's, exactly                                          | C D^2                                      |
| DiagonalMoments   | every class's diagonal, exactly                                 | C D                                        |
| PooledMoments     | one for all classes, about each class's own mean, exactly       | D^2                                        |
| SketchedMoments   | every class's diagonal, exactly; its leading directions, nearly | C (rows + 1) D                             |

All also keep 2 C D numbers for the means. 1000 classes in 4096 dimensions: 134 GB in full, 33 MB of diagonals, 134 MB pooled, 1.1 GB for sketches of 32 rows;
a prior fitted to those sketches takes several times that at its peak.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.checks import one_class_each
from lab.paths import flat


class _Moments:
    """Counts and means of each class; subclasses add what they keep of the scatter about the mean.

    Batches are merged as Chan et al. 1983 do. Each class is counted from its own first member on, a difference that large common offsets leave exact, so that they
    cost no digits.
    """

    def __init__(self, classes: int, dimension: int) -> None:
        if classes < 1 or dimension < 1:
            raise ValueError(f"classes={classes} and dimension={dimension} must both be at least 1")
        self.counts = torch.zeros(classes, dtype=torch.int64)
        self._origin = torch.zeros(classes, dimension, dtype=torch.float64)
        self._from_origin = torch.zeros(classes, dimension, dtype=torch.float64)

    @property
    def means(self) -> Float[Tensor, "c d"]:
        """Class means; zero for classes without members."""
        return self._origin + self._from_origin

    def update(self, x: Float[Tensor, "n *shape"], labels: Int[Tensor, " m"]) -> None:
        """Adds a batch.

        Raises ValueError, and adds nothing, for points that are not finite or not of the dimension, and for labels that are not whole numbers, outside the classes
        or too few.
        """
        if not one_class_each(labels):
            raise ValueError("labels must be a tensor of whole numbers, one class per point: torch.as_tensor(labels).long()")
        points, labels = flat(x).double().cpu(), labels.cpu().long()
        classes, dimension = self._origin.shape
        if len(labels) != len(points):
            raise ValueError(f"labels has {len(labels)} entries for {len(points)} points x")
        if len(points) == 0:
            return
        if points.shape[1] != dimension:
            raise ValueError(f"x has {points.shape[1]} numbers per point; these moments are of {dimension}")
        if not bool(torch.isfinite(points).all()):
            raise ValueError("x must be finite, without NaN, to have moments")
        if not (int(labels.min()) >= 0 and int(labels.max()) < classes):
            raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}; labels must lie in 0 to {classes - 1}")
        present, place, n = labels.unique(return_inverse=True, return_counts=True)
        new = present[self.counts[present] == 0]
        first = torch.full((classes,), len(labels)).scatter_reduce(0, labels, torch.arange(len(labels)), "amin")
        self._origin[new] = points[first[new]]
        own = points - self._origin[labels]
        before, n = self.counts[present].double(), n.double()
        means = torch.zeros(len(present), dimension, dtype=torch.float64).index_add(0, place, own) / n[:, None]
        gap = means - self._from_origin[present]
        # What n points add to a scatter about the mean of all before + n is theirs about their own mean, and gap gap^T before n / (before + n) (Chan et al. 1983, eq. 2.1).
        between = gap * (before * n / (before + n)).sqrt()[:, None]
        self._add(torch.cat((own - means[place], between)), torch.cat((labels, present)))
        self._from_origin[present] += gap * (n / (before + n))[:, None]
        self.counts[present] += n.long()

    def _add(self, rows: Float[Tensor, "r d"], labels: Int[Tensor, " r"]) -> None:
        """Adds row row^T to the scatter of each row's class."""
        raise NotImplementedError

    def _freedom(self) -> Tensor:
        """Degrees of freedom of each class's covariance, at least 1."""
        return (self.counts - 1).clamp(min=1)

    @property
    def pooled_freedom(self) -> int:
        """Degrees of freedom of the pooled covariance: members less one mean per class that has any. Raises ValueError where none are left."""
        freedom = int((self.counts - 1).clamp(min=0).sum())
        if freedom < 1:
            raise ValueError("no class has two members, so there is no pooled covariance; fit to more data")
        return freedom


class MomentAccumulator(_Moments):
    """Count, mean and scatter of each of `classes` classes of D-dimensional points, merged batch by batch (Chan et al. 1983), so that a large common offset costs no digits."""

    def __init__(self, classes: int, dimension: int) -> None:
        super().__init__(classes, dimension)
        self.scatter = torch.zeros(classes, dimension, dimension, dtype=torch.float64)

    def _add(self, rows: Float[Tensor, "r d"], labels: Int[Tensor, " r"]) -> None:
        for c in labels.unique().tolist():
            own = rows[labels == c]
            self.scatter[c] += own.T @ own

    @property
    def covariances(self) -> Float[Tensor, "c d d"]:
        """Unbiased covariances; zero for classes with fewer than two members."""
        return self.scatter / self._freedom()[:, None, None]

    @property
    def variances(self) -> Float[Tensor, "c d"]:
        """Unbiased variances of every coordinate; zero for classes with fewer than two members."""
        return self.scatter.diagonal(dim1=-2, dim2=-1) / self._freedom()[:, None]

    @property
    def pooled(self) -> Float[Tensor, "d d"]:
        """Within-class covariance of all classes together: sum of their scatters over (members - classes that have any). Raises ValueError without such freedom."""
        return self.scatter.sum(0) / self.pooled_freedom

    @property
    def pooled_variances(self) -> Float[Tensor, " d"]:
        """The diagonal of `pooled`."""
        return self.scatter.diagonal(dim1=-2, dim2=-1).sum(0) / self.pooled_freedom


class DiagonalMoments(_Moments):
    """Count, mean and variances of each class: the diagonals of MomentAccumulator in D instead of D^2 numbers per class."""

    def __init__(self, classes: int, dimension: int) -> None:
        super().__init__(classes, dimension)
        self.squares = torch.zeros(classes, dimension, dtype=torch.float64)

    def _add(self, rows: Float[Tensor, "r d"], labels: Int[Tensor, " r"]) -> None:
        self.squares.index_add_(0, labels, rows.square())

    @property
    def variances(self) -> Float[Tensor, "c d"]:
        """Unbiased variances of every coordinate; zero for classes with fewer than two members."""
        return self.squares / self._freedom()[:, None]

    @property
    def pooled_variances(self) -> Float[Tensor, " d"]:
        """Within-class variances of all classes together. Raises ValueError if no class has two members."""
        return self.squares.sum(0) / self.pooled_freedom


class PooledMoments(_Moments):
    """Count and mean of each class, and one scatter about the class means for all: D^2 numbers, however many the classes."""

    def __init__(self, classes: int, dimension: int) -> None:
        super().__init__(classes, dimension)
        self.scatter = torch.zeros(dimension, dimension, dtype=torch.float64)

    def _add(self, rows: Float[Tensor, "r d"], labels: Int[Tensor, " r"]) -> None:
        self.scatter.addmm_(rows.T, rows)  # one product, however many the classes

    @property
    def pooled(self) -> Float[Tensor, "d d"]:
        """Within-class covariance of all classes together: the scatter over (members - classes that have any). Raises ValueError without such freedom."""
        return self.scatter / self.pooled_freedom


class PooledSketch(NamedTuple):
    """rows B (R, D) with B^T B close to the classes' scatters together, and what was lost in all, as SketchedMoments.lost."""

    rows: Float[Tensor, "r d"]
    lost: float


class SketchedMoments(DiagonalMoments):
    """Count, mean and variances of each class, exactly, and a sketch of its scatter S: B (rows, D) with B^T B close to S, by Frequent Directions.

    While a class's scatter has rank at most `rows`, B^T B = S. Beyond that every coming row shrinks what is kept, so that B^T B never exceeds S and

        0 <= v^T (S - B^T B) v <= lost <= (sum of S's eigenvalues past the k-th) / (rows + 1 - k)      for every unit v and k <= rows

    Leading variances are thus somewhat underestimated where the spectrum falls slowly; `lost` (C,) says by how much at most. Results depend a little on the order
    of the data. Source: Liberty 2013, Ghashami et al. 2016 (arXiv 1501.01711), algorithm 2.1 and theorem 1.1.
    """

    def __init__(self, classes: int, dimension: int, rows: int) -> None:
        super().__init__(classes, dimension)
        if not 1 <= rows <= dimension:
            raise ValueError(f"rows={rows} of the sketch must lie in 1 to the dimension, {dimension}")
        self.sketch = torch.zeros(classes, rows, dimension, dtype=torch.float64)
        self.lost = torch.zeros(classes, dtype=torch.float64)

    def _add(self, rows: Float[Tensor, "r d"], labels: Int[Tensor, " r"]) -> None:
        super()._add(rows, labels)
        for c in labels.unique().tolist():
            self.sketch[c], lost = _absorbed(self.sketch[c], rows[labels == c])
            self.lost[c] += lost

    @property
    def pooled_sketch(self) -> PooledSketch:
        """A sketch of the classes' scatters together."""
        merged, lost = torch.zeros_like(self.sketch[0]), float(self.lost.sum())
        for own in self.sketch:
            merged, more = _absorbed(merged, own)
            lost += more
        return PooledSketch(merged, lost)


def _absorbed(sketch: Tensor, rows: Tensor) -> tuple[Tensor, float]:
    """The sketch with more rows taken in, as many at a time as it has itself, and what that took off the energy of every kept direction."""
    kept, lost = len(sketch), 0.0
    for piece in rows.split(kept):
        every = torch.cat((sketch, piece))
        energy, turn = torch.linalg.eigh(every @ every.T)  # of few long rows: six times as fast as their singular values
        energy, turn = energy.flip(0).clamp(min=0), turn.flip(1)
        cut = float(energy[kept])
        share = ((energy[:kept] - cut).clamp(min=0) / torch.where(energy[:kept] > 0, energy[:kept], 1)).sqrt()
        sketch = share[:, None] * (turn[:, :kept].T @ every)
        lost += cut
    return sketch, lost
