"""What every feature network is."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

CHUNK = {"cpu": 16, "cuda": 256}  # pictures at a time: EfficientNet-Lite0 at 128 px takes 8.5 ms a picture at 16 on one core, 12.7 at 64


class Features(ABC):
    """uint8 pictures (b, c, S, S), greyscale or colour, to float64 features (b, D), in small pieces, without gradients.

    name; hash: sha256 of the weights; dimension D; size: the side that pictures are brought to, 0 where they stay as they are; resize: how, in words.
    """

    name: str
    hash: str
    dimension: int
    size: int
    resize: str
    device: torch.device

    @abstractmethod
    def of(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        """Of a few colour pictures, which are on the CPU: resizing is the same everywhere, the network may be elsewhere."""

    def prepare(self, pixels: UInt8[Tensor, "b c s s"]) -> UInt8[Tensor, "b k s s"]:
        """Greyscale made colour. Raises ValueError for other numbers of channels."""
        if pixels.shape[1] not in (1, 3):
            raise ValueError(f"pixels have {pixels.shape[1]} channels; {self.name} takes greyscale (1) or colour (3)")
        return pixels.expand(-1, 3, -1, -1)

    def __call__(self, pixels: UInt8[Tensor, "b c s s"]) -> Float[Tensor, "b d"]:
        """Raises ValueError for pixels that are not uint8: scaled ones would be silently wrong."""
        if pixels.dtype != torch.uint8 or pixels.ndim != 4:
            raise ValueError(f"pixels are {pixels.dtype} of shape {tuple(pixels.shape)}; they must be uint8 (b, c, S, S), values 0 to 255")
        found = [torch.empty(0, self.dimension, dtype=torch.float64)]
        with torch.no_grad():
            for piece in pixels.split(CHUNK.get(self.device.type, CHUNK["cpu"])):
                found.append(self.of(self.prepare(piece.cpu())).double().cpu())
        return torch.cat(found)

    def about(self) -> dict[str, Any]:
        """What a result has to state of them."""
        return {"name": self.name, "hash": self.hash, "dimension": self.dimension, "size": self.size, "resize": self.resize}


def hash_of(state: Mapping[str, Tensor]) -> str:
    """sha256 of weights: names, types, shapes and bytes, in the order of their names; the same however they were stored."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
