"""How pictures come to a feature network's size: a matter of several points of Frechet distance, so it is done in one place and named."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

BICUBIC = "bicubic, antialiased as in Pillow, in 8 bits, to {} px"


def bicubic(pixels: UInt8[Tensor, "b c s s"], size: int) -> UInt8[Tensor, "b c t t"]:
    """Bicubic with antialiasing in whole levels, as Pillow's BICUBIC: to a level or, of noise, two.

    On the CPU: there torch has it for uint8, with Pillow's rounding between the two passes.
    """
    if pixels.shape[-1] == size:
        return pixels
    return torch.nn.functional.interpolate(pixels.contiguous(), size=(size, size), mode="bicubic", antialias=True, align_corners=False)


def standardised(levels: UInt8[Tensor, "b c s s"], mean: tuple[float, ...], std: tuple[float, ...]) -> Float[Tensor, "b c s s"]:
    """Levels 0 to 255 as (level / 255 - mean) / std, each channel with its own."""
    shape = (1, len(mean), 1, 1)
    return (levels.float() / 255 - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)
