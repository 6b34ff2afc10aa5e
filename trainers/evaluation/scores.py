"""Scores of generated pictures against real ones, as pure functions of features: (n, D) each, float64.

| score             | ideal                | standard error                                                     |
|-------------------|----------------------|--------------------------------------------------------------------|
| Frechet distance  | 0, biased up by D/n  | delta method, over the generated pictures; none where n <= D       |
| kernel distance   | 0                    | from the spread over subsets                                       |
| 1-NN accuracy     | 1/2                  | from the spread over halves of both samples                        |
| precision, recall | 1                    | likewise                                                           |
| coverage          | 1                    | likewise                                                           |
| CLIP score        | high                 | of the mean                                                        |

*Subsets.* A statistic of s of n points, drawn without replacement, varies by v (1/s - 1/n) where that of all n varies by v / n: the spread over subsets times
sqrt(s / (n - s)) is the standard error of the whole; over halves it is the spread itself. Shares near 0 or 1 get one that is too large. Source: Politis & Romano 1994.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.distances import kernel_distance, one_nn_accuracy, precision_recall
from trainers.evaluation.moments import Moments

SUBSET, SUBSETS, HALVES = 1000, 20, 10
ROWS = 1024  # distances are taken this many rows at a time
NEAREST_REAL = 5  # of coverage, as in its paper
NEAREST = 3  # of precision and recall


@dataclass(frozen=True)
class Score:
    """A number and its standard error, None where there is no cheap one."""

    value: float
    error: float | None = None


def frechet(generated: Moments, real: Moments) -> float:
    """Frechet distance of two sets' means and covariances (Heusel et al. 2017), squared feature units: |mu - mu_r|^2 + tr S + tr S_r - 2 tr (S^1/2 S_r S^1/2)^1/2.

    The last trace is the sum of the singular values of R^T R_r for any roots R R^T = S: the pictures themselves are one, and a small one where they are fewer than D
    (200 of 2,048 dimensions: 0.1 s in place of 7), and the real pictures' is found once for all rows.
    """
    cross = torch.linalg.svdvals(generated.root.T @ real.root).sum()
    gap = (generated.mean - real.mean).square().sum()
    return float(gap + generated.covariance.trace() + real.covariance.trace() - 2 * cross)


def frechet_error(features: Float[Tensor, "n d"], generated: Moments, real: Moments) -> float | None:
    """Standard error of `frechet` over the draw of the generated pictures, given the real ones; None where n <= D and the covariance is singular.

    To first order a picture x changes the distance by 2 (mu - mu_r).(x - mu) + (x - mu)^T (1 - T) (x - mu), with T the optimal map from N(mu, S) to N(mu_r, S_r):
    T = S^-1/2 (S^1/2 S_r S^1/2)^1/2 S^-1/2.
    """
    n, dimension = features.shape
    if n <= dimension:
        return None
    values, vectors = torch.linalg.eigh(generated.covariance)
    if float(values[0]) <= len(values) * torch.finfo(torch.float64).eps * float(values[-1]):
        return None
    root, inverse = ((vectors * values.pow(power)) @ vectors.T for power in (0.5, -0.5))
    inner, turn = torch.linalg.eigh(root @ real.covariance @ root)
    carry = inverse @ (turn * inner.clamp(min=0).sqrt()) @ turn.T @ inverse
    gap = features.double() - generated.mean
    influence = 2 * gap @ (generated.mean - real.mean) + gap.square().sum(1) - ((gap @ carry) * gap).sum(1)
    return float(influence.std() / math.sqrt(n))


def kernel(
    generated: Float[Tensor, "n d"], real: Float[Tensor, "m d"], *, generator: torch.Generator, subset: int = SUBSET, subsets: int = SUBSETS
) -> Score:
    """Kernel distance (unbiased, cubic polynomial; lab.distances): mean over random subsets of 1,000 of each, or of half of the smaller sample where that is less."""
    least = min(len(generated), len(real))
    size = min(subset, least // 2)
    if size < 2:
        raise ValueError(f"a kernel distance needs at least four pictures of each, not {len(generated)} and {len(real)}")
    found = torch.tensor(
        [kernel_distance(some(generated, size, generator), some(real, size, generator)) for _ in range(subsets)], dtype=torch.float64
    )
    # The spread over subsets tells the whole sample's (smaller by size / (least - size) in variance); a mean over few subsets varies by a share of its own besides.
    return Score(float(found.mean()), float(found.std()) * math.sqrt(size / (least - size) + 1 / subsets))


def some(x: Float[Tensor, "n d"], count: int, generator: torch.Generator) -> Float[Tensor, "k d"]:
    """`count` rows, drawn without replacement."""
    return x[torch.randperm(len(x), generator=generator)[:count]]


def with_error(
    score: Callable[[Tensor, Tensor], Sequence[float]],
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n d"],
    *,
    generator: torch.Generator,
    halves: int = HALVES,
) -> tuple[Score, ...]:
    """Scores of two equally large samples, each with the spread over random halves of both as its standard error; None for samples under 20."""
    values = score(x, y)
    size = len(x) // 2
    if size < 10:
        return tuple(Score(value) for value in values)
    parts = [score(some(x, size, generator), some(y, size, generator)) for _ in range(halves)]
    spread = torch.tensor(parts, dtype=torch.float64).std(0) * math.sqrt(size / (len(x) - size))
    return tuple(Score(value, float(error)) for value, error in zip(values, spread, strict=True))


def one_nn(generated: Float[Tensor, "n d"], real: Float[Tensor, "n d"], *, generator: torch.Generator) -> Score:
    """1-NN two-sample accuracy (lab.distances): 1/2 where the laws are equal, 1 where they lie apart. Equally many of each."""
    return with_error(lambda x, y: (one_nn_accuracy(x, y),), generated, real, generator=generator)[0]


def precision_recall_of(generated: Float[Tensor, "n d"], real: Float[Tensor, "n d"], *, generator: torch.Generator) -> tuple[Score, Score]:
    """Precision and recall (Kynkaanniemi et al. 2019; lab.distances) with k = 3. Equally many of each."""

    def both(x: Tensor, y: Tensor) -> tuple[float, float]:
        found = precision_recall(y, x, NEAREST)
        return found.precision, found.recall

    precision, recall = with_error(both, generated, real, generator=generator)
    return precision, recall


def coverage_of(generated: Float[Tensor, "n d"], real: Float[Tensor, "n d"], *, generator: torch.Generator) -> Score:
    """`coverage` with k = 5. Equally many of each."""
    return with_error(lambda x, y: (coverage(y, x),), generated, real, generator=generator)[0]


def coverage(real: Float[Tensor, "n d"], generated: Float[Tensor, "m d"], neighbours: int = NEAREST_REAL) -> float:
    """Share of real points with a generated one no farther than their k-th nearest real one, in [0, 1]; 1 - (1/2)^k or more for equal laws and equally many.

    Raises ValueError for fewer than k + 1 real points. Source: Naeem et al. 2020, eq. 8.
    """
    if len(real) <= neighbours or len(generated) == 0:
        raise ValueError(
            f"coverage needs more than {neighbours} real pictures and some generated ones, not {len(real)} and {len(generated)}"
        )
    centre = real.mean(0)
    real, generated = (real - centre).double(), (generated - centre).double()
    covered = 0
    for start in range(0, len(real), ROWS):
        some_real = real[start : start + ROWS]
        among = torch.cdist(some_real, real)
        among[torch.arange(len(some_real)), torch.arange(start, start + len(some_real))] = torch.inf
        radius = among.kthvalue(neighbours, dim=1).values
        covered += int((torch.cdist(some_real, generated).amin(1) <= radius).sum())
    return covered / len(real)


class Nearest(NamedTuple):
    """For each of n points the distance to the nearest of others, (n,), and which that is, (n,)."""

    distance: Float[Tensor, " n"]
    which: Int[Tensor, " n"]


def nearest(x: Float[Tensor, "n d"], among: Float[Tensor, "m d"]) -> Nearest:
    """The nearest of `among` for every point of x, exactly. Raises ValueError where there is none."""
    if len(among) == 0:
        raise ValueError("there is no picture to be nearest to")
    centre = among.mean(0, dtype=torch.float64)
    others = among.double() - centre
    found = [torch.cdist(piece.double() - centre, others).min(1) for piece in x.split(ROWS)]
    which = torch.cat([block.indices for block in found])
    # A matrix product's distances are off by 1e-7 of the norms where they should be 0: those that were found are taken again, by differences.
    return Nearest((x.double() - among[which].double()).norm(dim=1), which)


def memorisation_ratio(generated: Float[Tensor, " n"], held_out: Float[Tensor, " m"]) -> float | None:
    """Median distance of generated pictures to their nearest training picture, over that of real pictures that were not trained on.

    About 1 where generated pictures keep the distance that new real ones have; far below 1 where training pictures are copied. None where that distance is 0.
    """
    usual = float(held_out.double().median())
    return float(generated.double().median()) / usual if usual > 0 else None


def clip_score(images: Float[Tensor, "n d"], texts: Float[Tensor, "n d"]) -> Score:
    """Mean over pictures of max(100 cos(picture, its text), 0), 0 to 100. Source: Hessel et al. 2021, with 100 for their 2.5."""
    if images.shape != texts.shape:
        raise ValueError(f"images {tuple(images.shape)} and texts {tuple(texts.shape)} must be equally many features of one model")
    each = (100 * torch.nn.functional.cosine_similarity(images.double(), texts.double(), dim=1)).clamp(min=0)
    return Score(float(each.mean()), float(each.std() / math.sqrt(len(each))) if len(each) > 1 else None)
