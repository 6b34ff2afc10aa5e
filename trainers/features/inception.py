"""Inception, as published Frechet Inception distances use it: the TorchScript translation of TensorFlow's inception-2015-12-05, given as a file."""

from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trainers.features.base import Features
from trainers.files import sha256_of

# Of inception-2015-12-05.pt (95,607,719 bytes) of stylegan2-ada-pytorch, as k-diffusion and others pin it; the file itself was not to be had when this was written.
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
DIMENSION = 2048


class Inception(Features):
    """2,048 features after pooling. The network takes uint8 and resizes by itself, as TensorFlow 1 did (bilinear to 299, no antialiasing).

    The file holds a program, so its sha256 must be the known one or `sha256`, which a person gives for another file. Raises ValueError where it is not, and for a
    file that is no TorchScript network (pixels, return_features=True) of 2,048 features.
    """

    def __init__(self, path: Path, sha256: str | None = None, device: str = "cpu") -> None:
        found = sha256_of(path)
        if found != (sha256 or SHA256).lower():
            cure = "correct --features-sha256" if sha256 else f"if you trust this one, give --features-sha256 {found}"
            raise ValueError(
                f"{path} has sha256 {found}, not that of {'the file you expect' if sha256 else 'inception-2015-12-05.pt'}; {cure}"
            )
        try:
            self.network = torch.jit.load(str(path), map_location=device).eval()
        except RuntimeError as error:
            raise ValueError(f"{path} is not a TorchScript file: {str(error).splitlines()[0]}") from error
        self.name, self.hash, self.dimension, self.device = path.name, found, DIMENSION, torch.device(device)
        self.size, self.resize = 299, "bilinear as in TensorFlow 1, without antialiasing, to 299 px, by the network itself"

    def of(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        try:
            found = self.network(pixels.contiguous().to(self.device), return_features=True)
        except RuntimeError as error:
            raise ValueError(f"{self.name} does not take (pixels, return_features=True) as Inception does: {_last_line(error)}") from error
        if not isinstance(found, Tensor) or found.shape != (len(pixels), DIMENSION):
            raise ValueError(
                f"{self.name} gives {tuple(getattr(found, 'shape', ()))} for {len(pixels)} pictures, not ({len(pixels)}, {DIMENSION}) features"
            )
        return found


def _last_line(error: RuntimeError) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "no reason given")
