"""A prior centred on what a network makes of a text's embedding."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from lab.conversions import GaussianSource
from lab.paths import flat
from lab.priors.base import Prior, State, check_kind, check_positive, pack, part

Mapper = nn.Module | Callable[[Tensor], Tensor]
WEIGHTS = "mapper."  # before the names of the mapper's own weights in a state


@dataclass(frozen=True, eq=False)
class TextGaussian(Prior):
    """N(mapper(e), sigma^2 I) for embeddings e (B, E) of any encoder; mapper(e) is (B, *shape).

    The mapper counts as frozen: no gradient flows into it from here, and a module is evaluated in eval mode whatever mode it is in (which it keeps). It is trained by
    `mapper_loss`. The best mapper gives E[x_1 | e], a blur where a text fits many images.
    Source: Issachar et al. 2025 (arXiv 2502.09611), where the embeddings are CLIP's; the public code takes sigma = 0.7.
    """

    mapper: Mapper
    sigma: float
    kind: ClassVar[str] = "text-gaussian"

    def __post_init__(self) -> None:
        check_positive("sigma", self.sigma)

    def mean(self, condition: Float[Tensor, "b e"]) -> Float[Tensor, "b *shape"]:
        """mapper(condition), without gradient. Raises ValueError for embeddings or means that are not finite."""
        if not bool(torch.isfinite(condition).all()):
            raise ValueError("condition must hold finite embeddings, without NaN")
        with torch.no_grad(), _evaluating(self.mapper):
            mean = self.mapper(condition)
        if not bool(torch.isfinite(mean).all()):
            raise ValueError("mapper returned means that are not finite")
        return mean

    def _centre(self, x: Tensor, condition: Tensor | None) -> Tensor:
        embeddings = _embeddings(condition)
        if len(embeddings) != len(x):
            raise ValueError(f"condition has {len(embeddings)} entries for {len(x)} samples")
        mean = self.mean(embeddings)
        if mean.shape != x.shape:
            raise ValueError(f"mapper returned means of shape {tuple(mean.shape)} for samples of shape {tuple(x.shape)}")
        return mean.to(x.device)

    def from_normals(self, z: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, "b *shape"]:
        """mapper(condition) + sigma z."""
        dtype = torch.promote_types(z.dtype, torch.float32)
        return (self._centre(z, condition).to(dtype) + self.sigma * z.to(dtype)).to(z.dtype)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """-|x - mapper(condition)|^2 / (2 sigma^2) - D log(sigma) - D/2 log(2 pi), nats, float64."""
        white = flat((x.double() - self._centre(x, condition).double()) / self.sigma)
        return -0.5 * white.square().sum(1) - white.shape[1] * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi))

    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """Means mapper(condition) and variances sigma^2, per sample."""
        mean = self.mean(_embeddings(condition))
        return GaussianSource(mean, torch.full((len(mean),), self.sigma**2, dtype=torch.float64), per_sample=True)

    def state(self) -> State:
        """kind, version and sigma; and a module's weights and buffers as "mapper." + name. Of a plain callable nothing is kept: `from_state` must be given it again."""
        weights = self.mapper.state_dict() if isinstance(self.mapper, nn.Module) else {}
        return pack(self.kind, {"sigma": self.sigma}, **{WEIGHTS + name: value for name, value in weights.items()})

    @classmethod
    def from_state(cls, state: State, mapper: Mapper | None = None) -> "TextGaussian":
        """The prior with that mapper. A module must be of the architecture that the state's weights come from; they are loaded into it, strictly.

        Raises ValueError without a mapper, for a plain callable where the state holds weights, and for weights that do not fit.
        """
        check_kind(state, cls.kind)
        weights = {name.removeprefix(WEIGHTS): value for name, value in state.items() if name.startswith(WEIGHTS)}
        if mapper is None:
            raise ValueError("a text prior needs mapper=, a module of the architecture whose weights the state holds, or the same callable")
        if isinstance(mapper, nn.Module):
            own = mapper.state_dict()
            wrong = sorted((own.keys() ^ weights.keys()) | {n for n in own.keys() & weights.keys() if own[n].shape != weights[n].shape})
            if wrong:
                raise ValueError(f"mapper does not fit the state's weights: {', '.join(wrong[:3])} missing, too many or of another shape")
            mapper.load_state_dict(weights)
        elif weights:
            raise ValueError("mapper must be a module: the state holds weights for one")
        return cls(mapper, float(part(state, "sigma")))


def mapper_loss(mapper: Mapper, condition: Float[Tensor, "b e"], x_1: Float[Tensor, "b *shape"]) -> Float[Tensor, ""]:
    """E |mapper(e) - x_1|^2, the mapper's training loss: summed over the sample's numbers, averaged over the batch; squared data units, with gradient.

    Over the number D of a sample's numbers it is the variance that the mapper leaves unexplained: sigma = (loss / D)^1/2 matches the prior's spread to the data's.
    Raises ValueError where the mapper's output has not the shape of x_1. Source: Issachar et al. 2025, the mean-squared error of the text mapper.
    """
    mean = mapper(condition)
    if mean.shape != x_1.shape:
        raise ValueError(f"mapper returned means of shape {tuple(mean.shape)} for data x_1 of shape {tuple(x_1.shape)}")
    return flat((mean - x_1).square()).sum(1).mean()


def _embeddings(condition: Tensor | None) -> Tensor:
    if condition is None or not condition.is_floating_point() or condition.ndim != 2:
        raise ValueError("TextGaussian needs condition=, one embedding per sample: (B, E), floating-point")
    return condition


@contextmanager
def _evaluating(mapper: Mapper) -> Iterator[None]:
    """A module in eval mode, and afterwards each of its parts in the mode it was in."""
    training = [m for m in mapper.modules() if m.training] if isinstance(mapper, nn.Module) else []
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True
