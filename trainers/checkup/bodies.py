"""The network of a diffusers folder, loaded whole from safetensors or not at all, and how each class of network is called.

| class                                             | condition                                                                        |
|---------------------------------------------------|----------------------------------------------------------------------------------|
| UNet2DModel                                       | none, or a class of its table                                                    |
| DiTTransformer2DModel, its older Transformer2DModel | a class of its table, whose last entry diffusers keeps for the null class        |
| UNet2DConditionModel                              | rows of text states (text.safetensors: states (n, rows, e), null (rows, e)), or one row of zeros |

A network with twice the samples' channels predicts a variance too, which no flow needs: the first half is taken.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lab.checks import check_name
from trainers.autoencoders.diffusers_models import weights_in
from trainers.autoencoders.strict import read_safetensors
from trainers.files import read_json, sha256_of
from trainers.layout import INSIDE

CLASSES = ("UNet2DModel", "UNet2DConditionModel", "DiTTransformer2DModel", "Transformer2DModel")
TEXT = "text.safetensors"
# What other networks of the same class are given beside sample, time, class or text states.
NEVER_GIVEN = {
    "UNet2DModel": ("class_embed_type",),
    "UNet2DConditionModel": ("addition_embed_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim"),
    "DiTTransformer2DModel": (),
    "Transformer2DModel": ("caption_channels", "cross_attention_dim", "num_vector_embeds", "use_additional_conditions"),
}


@dataclass(frozen=True, eq=False)
class Body:
    """A network and what its config says. table: entries of its classes, 0 for none; width: of the text states that it reads, 0 for none."""

    kind: str
    network: nn.Module
    channels: int
    size: tuple[int, int] | None
    table: int
    width: int
    hash: str

    def __call__(self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], condition: Tensor | None) -> Float[Tensor, "b c h w"]:
        """Its prediction at the times that it was trained with. condition: (b,) classes, or (b, rows, e) text states."""
        network: Callable[..., Any] = self.network
        if self.width:
            states = x.new_zeros(len(x), 1, self.width) if condition is None else condition.to(x.dtype)
            found = network(x, time, encoder_hidden_states=states)
        else:
            found = network(x, timestep=time, class_labels=condition)
        return found.sample[:, : self.channels]


def find_config(folder: Path) -> Path:
    """config.json of a network: the folder's own, or that of a pipeline's unet/ or transformer/ in it. Raises ValueError where there is none."""
    for inside in INSIDE:
        if (folder / inside / "config.json").is_file():
            return folder / inside / "config.json"
    raise ValueError(f"{folder} has no config.json, nor have unet/ and transformer/ in it; give the folder of a diffusers network")


def load(folder: Path) -> Body:
    """The network of a diffusers folder, in float32 and without gradients.

    Raises ValueError, in one sentence, for a class that is not known, a config that it does not fit, what a network is given that nobody here can give,
    pickles, and weights that are missing, too many or of another shape.
    """
    config_file = find_config(folder)
    config = read_json(config_file)
    if not isinstance(config, dict):
        raise ValueError(f"{config_file} is not the config of a network")
    kind = str(config.get("_class_name"))
    try:
        check_name("_class_name", kind, CLASSES)
    except ValueError as error:
        raise ValueError(f"{config_file}: {error}") from None
    weights = weights_in(config_file.parent)
    network = _made(kind, config, config_file)
    own = network.config  # with the values that the file leaves out
    _check_given(kind, own, config_file)
    _fill(network, read_safetensors(weights), weights)
    channels, out = own.in_channels, own.out_channels or own.in_channels
    if out not in (channels, 2 * channels):
        raise ValueError(f"{config_file} takes {channels} channels and gives {out}; a flow's network gives as many as it takes")
    return Body(
        kind,
        network.eval().requires_grad_(False),
        channels,
        _size(own.sample_size),
        _table(kind, own),
        _width(kind, own, config_file),
        sha256_of(weights),
    )


def _made(kind: str, config: dict[str, Any], file: Path) -> Any:
    import diffusers

    made = getattr(diffusers, kind)
    own = {name: value for name, value in config.items() if not name.startswith("_")}
    strange = sorted(set(own) - set(inspect.signature(made.__init__).parameters))
    if strange:
        raise ValueError(f"{file} sets {', '.join(strange)}, which {kind} does not know")
    try:
        return made(**own).float()
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError, NotImplementedError, ZeroDivisionError) as error:
        raise ValueError(f"{file} makes no {kind}: {str(error).splitlines()[0]}") from error


def _check_given(kind: str, config: Any, file: Path) -> None:
    """ValueError for a network that is given more than sample, time, class or text states, or its time in another form."""
    for name in NEVER_GIVEN[kind]:
        if config.get(name) is not None:
            raise ValueError(f"{file} has {name}={config[name]!r}: such a network is given more than a check-up can give")
    times = config.get("time_embedding_type", "positional")
    if times != "positional":
        raise ValueError(f"{file} has time_embedding_type={times!r}; a check-up needs positional, which takes any number for a time")
    if kind == "Transformer2DModel" and (config.get("norm_type") != "ada_norm_zero" or config.get("patch_size") is None):
        raise ValueError(
            f"{file} is of a Transformer2DModel that is no DiT (norm_type={config.get('norm_type')!r}); of these a check-up knows DiT alone"
        )
    if config.get("encoder_hid_dim_type") not in (None, "text_proj"):
        raise ValueError(
            f"{file} has encoder_hid_dim_type={config['encoder_hid_dim_type']!r}: such a network is given more than a check-up can give"
        )


def _fill(network: Any, state: dict[str, Tensor], weights: Path) -> None:
    """Copies the file's tensors into the network. Raises ValueError unless each has its place, and each place its tensor."""
    network._fix_state_dict_keys_on_load(state)  # attention's names of before diffusers 0.15
    own = network.state_dict()
    wrong = [
        *(f"{name} is missing" for name in own if name not in state),
        *(f"{name} has no place in it" for name in state if name not in own),
        *(
            f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ),
    ]
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ValueError(f"{weights} does not hold the weights of its own config.json: {wrong[0]}{more}")
    network.load_state_dict(state, strict=True)


def _size(given: Any) -> tuple[int, int] | None:
    if given is None:
        return None
    height, width = (given, given) if isinstance(given, int) else given
    return height, width


def _table(kind: str, config: Any) -> int:
    if "Transformer" in kind:
        return config.num_embeds_ada_norm + 1  # its LabelEmbedding keeps one entry more, for the null class
    return config.get("num_class_embeds") or 0


def _width(kind: str, config: Any, file: Path) -> int:
    if kind != "UNet2DConditionModel":
        return 0
    width = config.encoder_hid_dim or config.cross_attention_dim
    if not isinstance(width, int):
        raise ValueError(f"{file} has cross-attention of several widths ({width}); a check-up gives text states of one")
    return width


def read_text(folder: Path, width: int) -> tuple[Tensor, Tensor | None] | None:
    """Text states (n, rows, e) and the null ones (rows, e), if any, of a folder's text.safetensors; None where it has none. Raises ValueError for what does not fit."""
    file = folder / TEXT
    if not file.exists():
        return None
    held = read_safetensors(file)
    states, null = held.get("states"), held.get("null")
    if states is None or states.ndim != 3 or len(states) == 0 or states.shape[2] != width or not states.is_floating_point():
        raise ValueError(f"{file} must hold states (n, rows, {width}), the texts that samples are told in turn")
    if null is not None and null.shape != states.shape[1:]:
        raise ValueError(f"{file}: null is {tuple(null.shape)}, and must be {tuple(states.shape[1:])} as each of the states")
    if not all(bool(torch.isfinite(each).all()) for each in (states, *([] if null is None else [null]))):
        raise ValueError(f"{file} holds numbers that are not finite")
    return states.float(), None if null is None else null.float()
