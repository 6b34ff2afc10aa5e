"""taef2: the tiny f8 autoencoder that comes with the project (32 latent channels, MIT).

diffusers' AutoencoderTiny with other middle blocks: the three next to the latents on either side first add x + pool(x).
"""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trainers.autoencoders.base import Autoencoder, Encoded
from trainers.autoencoders.strict import load_strictly, read_safetensors
from trainers.files import sha256_of

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "taef2"
WIDTH, LATENT_CHANNELS, POOLED = 64, 32, 256


class Block(nn.Module):
    """x = x + pool(x) where pooled; then relu(conv(x) + x)."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(WIDTH), nn.ReLU(), _conv(WIDTH), nn.ReLU(), _conv(WIDTH))
        if pooled:
            inner = (nn.GroupNorm(4, POOLED), nn.ReLU(inplace=True))
            self.pool = nn.Sequential(nn.Conv2d(WIDTH, POOLED, 1, bias=False), *inner, nn.Conv2d(POOLED, WIDTH, 1, bias=False))
        else:
            self.pool = None

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    """3 tanh(x / 3): latents far out cannot upset the decoder."""

    def forward(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        return 3 * torch.tanh(x / 3)


def _conv(inside: int, out: int = WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inside, out, 3, padding=1, stride=stride, bias=bias)


def _blocks(pooled: bool = False) -> tuple[Block, ...]:
    return tuple(Block(pooled) for _ in range(3))


def _down() -> nn.Module:
    return _conv(WIDTH, stride=2, bias=False)


def _up() -> tuple[nn.Module, ...]:
    return nn.Upsample(scale_factor=2), _conv(WIDTH, bias=False)


def encoder() -> nn.Sequential:
    """Pictures in [0, 1] to latents."""
    first, last = _conv(3), _conv(WIDTH, LATENT_CHANNELS)
    return nn.Sequential(first, Block(), _down(), *_blocks(), _down(), *_blocks(), _down(), *_blocks(pooled=True), last)


def decoder() -> nn.Sequential:
    """Latents to pictures in [0, 1]."""
    first, last = (Clamp(), _conv(LATENT_CHANNELS), nn.ReLU()), (Block(), _conv(WIDTH, 3))
    return nn.Sequential(*first, *_blocks(pooled=True), *_up(), *_blocks(), *_up(), *_blocks(), *_up(), *last)


class Taef2(Autoencoder):
    """From a folder with encoder.safetensors and decoder.safetensors; by default the project's own."""

    kind = "taef2"

    def __init__(self, folder: Path = FOLDER) -> None:
        super().__init__(name="taef2", channels=LATENT_CHANNELS, factor=8, picture_channels=3, hash=taef2_hash(folder))
        parts = nn.ModuleDict({"encoder": encoder(), "decoder": decoder()})
        for name, part in parts.items():
            path = folder / f"{name}.safetensors"
            load_strictly(part, read_safetensors(path), str(path))
        for weights in parts.parameters():
            if weights.ndim == 4:
                weights.data = weights.data.contiguous(memory_format=torch.channels_last)  # a fifth faster on CPU
        self.network = parts.eval().requires_grad_(False)
        self.parts = parts

    def _encode(self, x: Float[Tensor, "b c s s"]) -> Encoded:
        return Encoded(self.parts["encoder"]((x + 1) / 2).contiguous())

    def _decode(self, latents: Float[Tensor, "b k h w"]) -> Float[Tensor, "b c s s"]:
        return (2 * self.parts["decoder"](latents) - 1).contiguous()


def taef2_hash(folder: Path = FOLDER) -> str:
    """Of both files. Raises ValueError naming one that is missing."""
    files = [folder / "encoder.safetensors", folder / "decoder.safetensors"]
    for each in files:
        if not each.is_file():
            raise ValueError(f"{each} is missing; taef2 is two files, encoder.safetensors and decoder.safetensors")
    return hashlib.sha256("".join(sha256_of(each) for each in files).encode()).hexdigest()
