"""DINOv2 and CLIP through transformers, by folder or hub name, loaded strictly and from safetensors only."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from trainers.features.base import Features, hash_of
from trainers.features.resize import BICUBIC, bicubic, standardised

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def load_transformers(name: str, device: str = "cpu") -> Features:
    """DINOv2 or CLIP, as the model's own config.json says. Raises ValueError for a name that cannot be loaded, and for other models."""
    kind = _config(name).model_type
    if kind == "dinov2":
        return Dinov2(name, device)
    if kind == "clip":
        return Clip(name, device)
    raise ValueError(f"features={name!r} holds a model of type {kind!r}; features are made of dinov2 and clip")


class TransformersFeatures(Features):
    """Brings pictures to what a model was trained on."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def prepared(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        """Resized and standardised, on the device."""
        return standardised(bicubic(pixels, self.size), self.mean, self.std).to(self.device)


class Dinov2(TransformersFeatures):
    """The class token after the last normalisation, as the Frechet distance over DINOv2 features takes it (Stein et al. 2023)."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from transformers import Dinov2Model

        self.network = _strictly(Dinov2Model, name).to(device)
        self.name, self.hash, self.device = name, hash_of(self.network.state_dict()), torch.device(device)
        self.dimension = self.network.config.hidden_size
        # DINOv2 is published with positions for 518 px and evaluated at 224.
        self.size, self.mean, self.std = _preprocessing(name, 224, *IMAGENET)
        self.resize = BICUBIC.format(self.size)

    def of(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        return self.network(self.prepared(pixels)).pooler_output


class Clip(TransformersFeatures):
    """The image tower's projected output; and how well pictures fit texts."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from transformers import CLIPModel

        self.network = _strictly(CLIPModel, name).to(device)
        self.name, self.hash, self.device = name, hash_of(self.network.state_dict()), torch.device(device)
        self.dimension = self.network.config.projection_dim
        self.size, self.mean, self.std = _preprocessing(name, self.network.config.vision_config.image_size, *OPENAI)
        self.resize = BICUBIC.format(self.size)

    def of(self, pixels: UInt8[Tensor, "b 3 s s"]) -> Float[Tensor, "b d"]:
        return self.network.get_image_features(pixel_values=self.prepared(pixels)).pooler_output

    def texts(self, texts: Sequence[str]) -> Float[Tensor, "b d"]:
        """Of texts, float64; cut off at the model's longest. Raises ValueError where the folder has no tokenizer."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{self.name} has no tokenizer that can be loaded, which the CLIP score needs: {_first_line(error)}"
            ) from error
        longest, found = self.network.config.text_config.max_position_embeddings, []
        with torch.no_grad():
            for start in range(0, len(texts), 64):
                tokens = tokenizer(list(texts[start : start + 64]), padding=True, truncation=True, max_length=longest, return_tensors="pt")
                inputs = {key: tokens[key].to(self.device) for key in ("input_ids", "attention_mask")}
                found.append(self.network.get_text_features(**inputs).pooler_output.double().cpu())
        return torch.cat(found)


def _config(name: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"features={name!r} is no model that transformers can load: {_first_line(error)}") from error


def _strictly(kind: Any, name: str) -> Any:
    """The model, in float32 and evaluation mode. Raises ValueError where a weight is missing, left over or of another shape: nothing may stay at random numbers."""
    try:
        network, report = kind.from_pretrained(name, output_loading_info=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be loaded as {kind.__name__}: {_first_line(error)}") from error
    wrong = {what: sorted(map(str, report.get(f"{what}_keys") or ())) for what in ("missing", "unexpected", "mismatched")}
    for what, keys in wrong.items():
        if keys:
            raise ValueError(f"{name} does not fit {kind.__name__}: {len(keys)} {what} weights, such as {keys[0]}")
    return network.eval().requires_grad_(False)


def _preprocessing(
    name: str, size: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Size, mean and deviation from the model's preprocessor_config.json; those given where there is none."""
    from transformers.utils.hub import cached_file

    found = cached_file(name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    if found is None:
        return size, mean, std
    try:
        said = json.loads(Path(found).read_text(encoding="utf-8"))
        crop = said.get("crop_size") or said.get("size") or size
        side = crop if isinstance(crop, int) else crop.get("height") or crop["shortest_edge"]
        return int(side), tuple(map(float, said.get("image_mean", mean))), tuple(map(float, said.get("image_std", std)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{found} is not a preprocessor's configuration: {error}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
