"""The networks: diffusers' U-Nets at any size, and a small MLP, behind one call: network(x, t, condition) with t in [0, 1].

| kind             | body                           | condition                                                                                  |
|------------------|--------------------------------|--------------------------------------------------------------------------------------------|
| mlp              | trainers.mlp.MLP               | a class: an embedding added to that of the time                                            |
| unet             | diffusers UNet2DModel          | a class: an embedding added to that of the time                                            |
| unet-conditional | diffusers UNet2DConditionModel | rows of context for its cross-attention: a text's embeddings, or a class's one embedding   |

The null condition is class `classes` (one more than there are) or the embedding of the empty text. What is saved is the body alone, a diffusers folder.

A class is a row of context since CPD's authors say that conditions enter by cross-attention (the README of their code, which has texts alone). Its embedding is a column of
the body's own encoder_hid_proj, which is given one-hot rows, so that one folder holds everything: width x (classes + 1) weights and a bias. Attention to one row has
nothing to choose: its value is added at every place, and the questions and keys of the cross-attention stay as they began.
"""

from pathlib import Path
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from trainers.recipes.schema import NetworkOptions, Recipe

DDPM_STEPS = 1000


def embedded_time(recipe: Recipe, t: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """What the network's time embedding is given: time_scale t, but DDPM's step number n = 1000 (1 - t) - 1, so that diffusers' schedulers can call the body themselves."""
    if recipe.loss.times == "ddpm-1000":
        return DDPM_STEPS * (1 - t) - 1
    return recipe.network.time_scale * t


class Network(nn.Module):
    """A body with the recipe's conventions around it: predicts the recipe's target at (x_t, t, condition)."""

    def __init__(self, body: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.body, self.recipe = body, recipe

    def forward(self, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], condition: Tensor | None = None) -> Float[Tensor, "b c h w"]:
        time = embedded_time(self.recipe, t)
        if self.recipe.network.kind != "unet-conditional":
            return self.body(x, time, class_labels=condition).sample
        if self.recipe.data.condition == "text":
            assert condition is not None
            seen = condition.ne(0).any(-1)
            return self.body(x, time, encoder_hidden_states=condition, encoder_attention_mask=seen).sample
        return self.body(x, time, encoder_hidden_states=self._row(x, condition)).sample

    def _row(self, x: Float[Tensor, "b c h w"], condition: Int[Tensor, " b"] | None) -> Float[Tensor, "b 1 e"]:
        """What is no text as context of one row: classes one-hot, of zeros where the recipe has no condition."""
        if condition is None:
            return x.new_zeros(len(x), 1, self.recipe.network.cross_attention)
        known: Any = self.body.encoder_hid_proj
        return nn.functional.one_hot(condition, known.in_features)[:, None].to(x.dtype)

    def save(self, folder: Path) -> None:
        """The body as a diffusers folder: config.json and safetensors."""
        self.body.save_pretrained(folder, safe_serialization=True)  # pyright: ignore[reportCallIssue]  # diffusers' ModelMixin


def null_condition(recipe: Recipe, classes: int, empty_text: Tensor | None) -> int | Tensor | None:
    """The condition that means none: for classes the number after the last, for text the states of the empty one (rows, e)."""
    return {"none": None, "class": classes, "text": empty_text}[recipe.data.condition]


def build(recipe: Recipe, shape: tuple[int, int, int], classes: int, text_width: int = 0) -> Network:
    """A fresh network for samples of this shape (channels, height, width). Weights come from torch's global generator: seed it.

    Raises ValueError for feature maps that cannot be halved so often.
    """
    kind, options = recipe.network.kind, recipe.network
    told = classes + 1 if recipe.data.condition == "class" else None
    if kind == "mlp":
        from trainers.mlp import MLP

        return Network(
            MLP(shape=list(shape), width=options.channels[0], layers=options.layers, dropout=options.dropout, classes=told or 0), recipe
        )
    levels = [shape[1] >> i for i in range(len(options.channels))]
    if shape[1] != shape[2] or shape[1] % (1 << (len(levels) - 1)):
        raise ValueError(
            f"network.channels={options.channels} halve {shape[1]} x {shape[2]} pictures {len(levels) - 1} times, which does not go; name fewer"
        )
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    common: dict[str, Any] = {
        "sample_size": shape[1],
        "in_channels": shape[0],
        "out_channels": shape[0],
        "block_out_channels": options.channels,
        "layers_per_block": options.layers,
        "dropout": options.dropout,
        "norm_num_groups": options.norm_groups,
        "resnet_time_scale_shift": "scale_shift" if options.scale_shift else "default",
    }
    attended = [size in options.attention for size in levels]
    if kind == "unet":
        least = min(width for width, a in zip(options.channels, [*attended[:-1], True], strict=True) if a)  # the middle has attention too
        if least < options.heads_of:
            raise ValueError(
                f"network.heads_of={options.heads_of} is more than the {least} channels that attention has in network.channels={options.channels}; "
                f"--set network.heads_of={least} or less"
            )
        return Network(UNet2DModel(**common, **_plain(options, attended), num_class_embeds=told), recipe)
    body: Any = UNet2DConditionModel(**common, **_conditional(options, attended, told or text_width))
    if told:
        nn.init.normal_(body.encoder_hid_proj.weight)  # as embeddings begin
    return Network(body, recipe)


def _plain(options: NetworkOptions, attended: list[bool]) -> dict[str, Any]:
    return {
        "down_block_types": tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attended),
        "up_block_types": tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)),
        "attention_head_dim": options.heads_of,
        "downsample_type": options.resample,
        "upsample_type": options.resample,
    }


def _conditional(options: NetworkOptions, attended: list[bool], width: int) -> dict[str, Any]:
    """width: of the rows that will be given as context, projected where it is not that of the cross-attention; 0 for none."""
    if options.resample != "conv":
        raise ValueError("network.resample='resnet' is for network.kind='unet'; unet-conditional has conv alone")
    # diffusers calls the number of heads attention_head_dim here (its own documentation says so, and keeps it).
    heads: Any = options.heads or tuple(max(1, width // options.heads_of) for width in options.channels)
    projected = width not in (0, options.cross_attention)
    return {
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attended),
        "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attended)),
        "attention_head_dim": heads,
        "cross_attention_dim": options.cross_attention,
        "encoder_hid_dim": width if projected else None,
        "encoder_hid_dim_type": "text_proj" if projected else None,
    }


def load_body(folder: Path) -> nn.Module:
    """The body that a diffusers folder holds, by the class that its config names. Raises ValueError for a folder that holds none, and for weights that are missing or too many."""
    from trainers.files import read_json

    name = read_json(folder / "config.json").get("_class_name")
    if name == "MLP":
        from trainers.mlp import MLP as Body
    elif name == "UNet2DModel":
        from diffusers.models.unets.unet_2d import UNet2DModel as Body
    elif name == "UNet2DConditionModel":
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel as Body
    else:
        raise ValueError(f"{folder / 'config.json'} names a network of class {name!r}; known are MLP, UNet2DModel and UNet2DConditionModel")
    try:
        found: Any = Body.from_pretrained(folder, use_safetensors=True, output_loading_info=True, low_cpu_mem_usage=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"{folder} does not hold whole weights of a {name}: {str(error).splitlines()[0]}") from error
    body, info = found
    strange = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
    if strange:
        raise ValueError(f"{folder} does not hold the weights of its own config: {strange[0]} is missing, too many or of another shape")
    return body


def parameters(network: nn.Module) -> int:
    """The number of trained numbers."""
    return sum(p.numel() for p in network.parameters())
