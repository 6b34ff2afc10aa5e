"""What every autoencoder is to the rest: pictures as uint8 in, raw latents out, and back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn


@dataclass(frozen=True)
class Encoded:
    """Raw latents of a batch; std of the posterior around them, where the autoencoder has one (KL)."""

    mean: Float[Tensor, "b k h w"]
    std: Float[Tensor, "b k h w"] | None = None


class Autoencoder(ABC):
    """Pictures (b, c, S, S) to raw latents (b, channels, S / factor, S / factor): no scaling factor is applied, the cache normalises by measured moments.

    name: as the recipe has it. hash: sha256 of configuration and weights. `network` holds the weights, in float32 and without gradients.
    """

    kind: str
    network: nn.Module | None = None

    def __init__(self, *, name: str, channels: int, factor: int, picture_channels: int, hash: str) -> None:
        self.name, self.channels, self.factor, self.picture_channels, self.hash = name, channels, factor, picture_channels, hash
        self.device = torch.device("cpu")

    @abstractmethod
    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        """Of pictures in [-1, 1]."""

    @abstractmethod
    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        """To pictures in [-1, 1], not clipped."""

    def to(self, device: torch.device | str) -> "Autoencoder":
        """Itself, with its weights on that device; results come from there."""
        self.device = torch.device(device)
        if self.network is not None:
            self.network.to(self.device)
        return self

    @torch.no_grad()
    def encode(self, pixels: UInt8[Tensor, "b c s s"]) -> Encoded:
        """Raw latents. Raises ValueError for pictures whose size or channels the autoencoder cannot take."""
        channels, size = pixels.shape[1], pixels.shape[-1]
        if channels != self.picture_channels or size % self.factor:
            raise ValueError(
                f"pictures are {channels} x {size} x {size}; {self.name} takes {self.picture_channels} channels and sizes divisible by {self.factor}"
            )
        return self._encode(pixels.to(self.device).float() / 127.5 - 1)

    @torch.no_grad()
    def decode_float(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        """Pictures where black is 0 and white 1; they may lie a little outside."""
        return (self._decode(latents.to(self.device)) + 1) / 2

    def decode(self, latents: Float[Tensor, "b k h w"]) -> UInt8[Tensor, "b c s s"]:
        """Pictures, rounded and clipped."""
        return (255 * self.decode_float(latents)).round().clamp(0, 255).to(torch.uint8)


class Pixels(Autoencoder):
    """No autoencoder: raw latents are pixels / 127.5 - 1."""

    kind = "none"

    def __init__(self, channels: int) -> None:
        super().__init__(name="pixels", channels=channels, factor=1, picture_channels=channels, hash="")

    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        return Encoded(x)

    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        return latents
