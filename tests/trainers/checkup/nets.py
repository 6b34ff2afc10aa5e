"""Small diffusers networks in folders with a conventions.json, as somebody else would send them; no bigger than a test needs."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

WEIGHTS = "diffusion_pytorch_model.safetensors"
PLAIN = {"direction": "noise-to-data", "time_scale": 1, "prediction": "velocity", "path": "cond-ot"}
SMALL: dict[str, Any] = {
    "sample_size": 4,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (8,),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}


def unet(**changes: Any) -> Any:
    """A UNet2DModel of a few thousand weights."""
    torch.manual_seed(0)
    return UNet2DModel(
        **(SMALL | {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "add_attention": False} | changes)
    ).eval()


def told_by_text(**changes: Any) -> Any:
    """A UNet2DConditionModel that reads text states of width 6."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "down_block_types": ("CrossAttnDownBlock2D",),
        "up_block_types": ("CrossAttnUpBlock2D",),
        "cross_attention_dim": 6,
        "attention_head_dim": 2,
    }
    return UNet2DConditionModel(**(SMALL | options | changes)).eval()


def dit(**changes: Any) -> Any:
    """A DiT of three classes and the null one, whose last layer is not zero."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "num_attention_heads": 2,
        "attention_head_dim": 4,
        "in_channels": 1,
        "num_layers": 1,
        "sample_size": 4,
        "patch_size": 2,
        "num_embeds_ada_norm": 3,
    }
    return DiTTransformer2DModel(**(options | changes)).eval()


def sent(network: Any, folder: Path, **conventions: Any) -> Path:
    """The folder with the network and its conventions: PLAIN with changes; what is None is left out."""
    network.save_pretrained(folder)
    told = {name: value for name, value in (PLAIN | conventions).items() if value is not None}
    (folder / "conventions.json").write_text(json.dumps(told))
    return folder


def points(n: int = 3, channels: int = 1, side: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """x (n, channels, side, side) and times (n,) inside (0, 1), float32."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels, side, side, generator=generator), 0.1 + 0.8 * torch.rand(n, generator=generator)
