"""The pictures themselves as features."""

import hashlib

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trainers.features.base import Features


class Pixels(Features):
    """All numbers of a picture, divided by 255: for digits and other small pictures, where distances of pixels mean something."""

    def __init__(self, channels: int, size: int) -> None:
        self.name, self.size, self.resize, self.device = "pixels", 0, "none", torch.device("cpu")
        self.channels, self.dimension = channels, channels * size * size
        self.hash = hashlib.sha256(b"pixels / 255").hexdigest()  # there are no weights

    def prepare(self, pixels: UInt8[Tensor, "b c s s"]) -> UInt8[Tensor, "b k s s"]:
        """Raises ValueError for pictures of another size than the first ones."""
        if pixels[0].numel() != self.dimension:
            raise ValueError(
                f"pixels have shape {tuple(pixels.shape)}; these features are of {self.channels} channels and {self.dimension} numbers"
            )
        return pixels

    def of(self, pixels: UInt8[Tensor, "b c s s"]) -> Float[Tensor, "b d"]:
        return pixels.flatten(1).double() / 255
