"""Moving averages of the weights, in float32 whatever the training's precision: in bf16 an average of decay .9999 would not move at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """theta <- d_k theta + (1 - d_k) w after step k = 1, 2, ..., with d_k = min(decay, k / (k + 9)): a short run is not held to its initial weights.

    Weights that are trained are averaged, buffers copied. Decay 0 is the weights themselves.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = [p.detach().clone().float() for p in network.parameters()]

    def decay_at(self, step: int) -> float:
        """d_k."""
        return min(self.decay, step / (step + 9))

    @torch.no_grad()
    def update(self, parameters: Iterable[Tensor], step: int) -> None:
        """Takes in the weights after step k (from 1 on)."""
        torch._foreach_lerp_(self.shadow, [p.detach().float() for p in parameters], 1 - self.decay_at(step))  # pyright: ignore[reportPrivateImportUsage]  # one kernel for all weights; torch has no other name for it

    @contextmanager
    def swapped(self, network: nn.Module) -> Iterator[None]:
        """Inside, the network has the averages for its weights. Nothing is copied: the two change places."""
        self._swap(network)
        try:
            yield
        finally:
            self._swap(network)

    def _swap(self, network: nn.Module) -> None:
        for i, p in enumerate(network.parameters()):
            p.data, self.shadow[i] = self.shadow[i], p.data

    @torch.no_grad()
    def copy_from(self, network: nn.Module) -> None:
        """Takes a network's weights for the averages."""
        for averaged, own in zip(self.shadow, network.parameters(), strict=True):
            averaged.copy_(own)
