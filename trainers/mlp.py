"""A small network for pictures of a few pixels: residual blocks over the flattened picture, as a diffusers model, so that its folder loads like any other."""

import math
from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float, Int
from torch import Tensor, nn

FREQUENCIES = 64


@dataclass(frozen=True)
class Predicted:
    """The network's answer, under the name that diffusers' models give it."""

    sample: Float[Tensor, "b *shape"]


class Block(nn.Module):
    """h + W_2 silu(W_1 norm(h) + embedding)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.inner, self.dropout, self.outer = (
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.Dropout(dropout),
            nn.Linear(width, width),
        )
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, h: Float[Tensor, "b w"], embedding: Float[Tensor, "b w"]) -> Float[Tensor, "b w"]:
        return h + self.outer(self.dropout(nn.functional.silu(self.inner(self.norm(h)) + embedding)))


class MLP(ModelMixin, ConfigMixin):
    """x (B, *shape), timestep (B,) in the order of 0 to 1000, class_labels (B,) in 0 to classes - 1 (None if classes is 0)."""

    @register_to_config
    def __init__(self, shape: list[int], width: int = 352, layers: int = 3, dropout: float = 0.0, classes: int = 0) -> None:
        super().__init__()
        numbers = math.prod(shape)
        self.enter = nn.Linear(numbers, width)
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.told = nn.Embedding(classes, width) if classes else None
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(layers))
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, numbers)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, x: Float[Tensor, "b *shape"], timestep: Float[Tensor, " b"], class_labels: Int[Tensor, " b"] | None = None
    ) -> Predicted:
        # Periods from 2 pi to 2 pi 10^4 of the timestep, as diffusers' sinusoidal embedding has them.
        steps = torch.arange(FREQUENCIES, device=x.device) / FREQUENCIES
        angle = timestep.float()[:, None] * torch.exp(-math.log(10_000.0) * steps)
        embedding = self.time(torch.cat((angle.sin(), angle.cos()), 1).to(self.enter.weight.dtype))
        if self.told is not None:
            embedding = embedding + self.told(class_labels)
        h = self.enter(x.flatten(1))
        for block in self.blocks:
            h = block(h, embedding)
        return Predicted(self.leave(self.norm(h)).reshape(x.shape))
