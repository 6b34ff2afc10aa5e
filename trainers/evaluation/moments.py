"""Mean and covariance of features, in float64 and in one pass: all that a Frechet distance knows of a set of pictures."""

import math
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lab.moments import MomentAccumulator

DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)  # what a damaged npz may raise
LARGEST = 4096  # dimensions; a covariance of 4,096 takes 134 MB and a distance a minute


@dataclass(frozen=True)
class Moments:
    """count, mean (D,) and unbiased covariance (D, D), float64. count is 0 where a published file does not tell it.

    rows (n, D), where there are few: R with R^T R the covariance, features minus their mean, over the root of n - 1.
    """

    count: int
    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]
    rows: Float[Tensor, "n d"] | None = None

    @property
    def dimension(self) -> int:
        return len(self.mean)

    @cached_property
    def root(self) -> Float[Tensor, "d r"]:
        """R with R R^T the covariance: the rows, or an eigenvector for each eigenvalue above rounding, found once. Raises ValueError for a negative eigenvalue."""
        if self.rows is not None:
            return self.rows.T
        values, vectors = torch.linalg.eigh(self.covariance)
        largest = float(values[-1].abs())
        if float(values[0]) < -1e-8 * largest:
            raise ValueError(f"a covariance has a negative eigenvalue, {float(values[0]):.3g}: it is none; look at where it comes from")
        kept = values > len(values) * torch.finfo(torch.float64).eps * largest
        return vectors[:, kept] * values[kept].sqrt()


class Accumulator:
    """Takes features a batch at a time. Raises ValueError above 4,096 dimensions."""

    def __init__(self, dimension: int) -> None:
        if dimension > LARGEST:
            raise ValueError(
                f"a covariance of {dimension} dimensions is too large to take a Frechet distance of (at most {LARGEST}); leave frechet out of --measures"
            )
        self._sums = MomentAccumulator(1, dimension)

    def update(self, features: Float[Tensor, "b d"]) -> None:
        """Raises ValueError for features that are not finite or of another dimension."""
        self._sums.update(features, torch.zeros(len(features), dtype=torch.int64))

    def moments(self) -> Moments:
        """Raises ValueError for fewer than two pictures."""
        count = int(self._sums.counts[0])
        if count < 2:
            raise ValueError(f"{count} pictures have no covariance; give at least two")
        return Moments(count, self._sums.means[0], self._sums.covariances[0])


def moments_of(features: Float[Tensor, "n d"]) -> Moments:
    """Of features that are all there."""
    sums = Accumulator(features.shape[1])
    sums.update(features)
    found = sums.moments()
    if found.count > found.dimension:
        return found
    return replace(found, rows=(features.double() - found.mean) / math.sqrt(found.count - 1))


def published_moments(path: Path, dimension: int) -> Moments:
    """From a published npz file: keys mu (D,) and sigma (D, D), as EDM's and ADM's (VIRTUAL_*.npz, which also holds mu_s and sigma_s, of spatial features; not used).

    Such files rarely tell of how many pictures they are, nor of which features. Raises ValueError for pickles (EDM2's, or arrays of objects), which execute code; for
    missing keys; and for shapes that do not fit each other or the dimension of the features.
    """
    if path.suffix == ".pkl":
        raise ValueError(
            f"{path} is a pickle, which can execute code, and is not read; save mu and sigma as npz: np.savez('reference.npz', mu=mu, sigma=sigma)"
        )
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        with archive:
            keys = sorted(archive.files)
            parts = {key: archive[key] for key in ("mu", "sigma", "mu_s", "sigma_s") if key in keys}
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except DAMAGED as error:
        raise ValueError(f"{path} is no npz file of plain arrays, so no statistics are read from it: {_reason(error)}") from error
    if not {"mu", "sigma"} <= parts.keys():
        raise ValueError(f"{path} holds {', '.join(keys) or 'nothing'}; reference statistics need mu (D,) and sigma (D, D)")
    for mean, covariance in (("mu", "sigma"), ("mu_s", "sigma_s")):
        if mean in parts and covariance in parts and (parts[mean].ndim != 1 or parts[covariance].shape != 2 * parts[mean].shape):
            raise ValueError(
                f"{path}: {mean} has shape {parts[mean].shape} and {covariance} {parts[covariance].shape}; they must be (D,) and (D, D)"
            )
    mu, sigma = (torch.from_numpy(np.array(parts[key], dtype=np.float64)) for key in ("mu", "sigma"))
    if len(mu) != dimension:
        raise ValueError(
            f"{path} is of {len(mu)} features and these are {dimension}; published statistics are mostly of Inception's 2,048 (--features FILE.pt)"
        )
    if not bool(torch.isfinite(mu).all() and torch.isfinite(sigma).all()):
        raise ValueError(f"{path} holds numbers that are not finite")
    return Moments(0, mu, 0.5 * (sigma + sigma.T))


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if "allow_pickle" in text or "pickled" in text.lower():
        return "it holds pickled objects, which can execute code"
    return text.splitlines()[0] if text else type(error).__name__
