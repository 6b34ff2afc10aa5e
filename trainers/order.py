"""Which sample comes when, and every random number that belongs to it: functions of (seed, global sample number), so that a killed run goes on bit-equal and any number of
processes see the same samples.

A *global sample number* counts visits from the start of training: step k of batch B holds k B to k B + B - 1. An epoch has floor(n / B) steps and its own permutation of the
data; what is left over of one is left out, and comes in others.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.random import normals, uniforms

# What the numbers of a training's seed are used for: streams of their own.
EPOCH, FLIP, TIME, NOISE, CAPTION, NULL, COMPONENT, POSTERIOR, DROPOUT, PAIRING, WEIGHTS = range(0x54524E00, 0x54524E00 + 11)


@dataclass(frozen=True)
class Order:
    """n data, effective batches of `batch`, and the seed.

    Raises ValueError for a batch larger than the data.
    """

    n: int
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.batch > self.n:
            raise ValueError(
                f"training.batch={self.batch} is more than the {self.n} samples of the training split; --set training.batch={self.n} or less"
            )

    @property
    def steps_per_epoch(self) -> int:
        return self.n // self.batch

    def epoch(self, step: int) -> int:
        """The epoch that a step (from 0 on) belongs to."""
        return step // self.steps_per_epoch

    def samples(self, step: int) -> Int[Tensor, " b"]:
        """The global sample numbers of a step."""
        return torch.arange(step * self.batch, (step + 1) * self.batch)

    def index(self, step: int) -> Int[Tensor, " b"]:
        """The data of a step, no datum twice."""
        place = step % self.steps_per_epoch * self.batch
        return _shuffled(self.seed, self.n, self.epoch(step))[place : place + self.batch]

    def flips(self, samples: Int[Tensor, " b"]) -> Bool[Tensor, " b"]:
        """Whether each visit sees the mirror image."""
        return self.uniforms(samples, FLIP) < 0.5

    def uniforms(self, samples: Int[Tensor, " b"], stream: int) -> Float[Tensor, " b"]:
        """One uniform number for each visit, float64."""
        return uniforms(self.seed, samples, 1, stream)[:, 0]

    def normals(self, samples: Int[Tensor, " b"], shape: tuple[int, ...], stream: int = NOISE) -> Float[Tensor, "b *shape"]:
        """Standard normal numbers for each visit, float32."""
        return normals(self.seed, samples, int(torch.Size(shape).numel()), stream, torch.float32).reshape(-1, *shape)


@lru_cache(maxsize=2)
def _shuffled(seed: int, n: int, epoch: int) -> Int[Tensor, " n"]:
    """An epoch's order. Two are kept: the prefetching thread may be an epoch ahead."""
    return uniforms(seed, torch.arange(n) + (epoch << 32), 1, EPOCH)[:, 0].argsort()
