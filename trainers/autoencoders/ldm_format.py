"""KL and VQ autoencoders in the layout of CompVis' latent-diffusion, f8 and f16: what diffusers' converter knows, and the attention inside levels that it leaves.

The configuration is read off the shapes. The loss and its discriminator, a moving average and other parts of a whole pipeline are left out, and nothing else.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "quantize.")
LEFT_OUT = ("loss.", "model_ema.", "model.", "cond_stage_model.")
PREFIXES = ("first_stage_model.", "vae.")


def converted(kind: str, state: Mapping[str, Tensor], source: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """diffusers' configuration and tensors. Raises ValueError where the file is no autoencoder of that kind, or one that diffusers has no class for."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint, update_vae_attentions_ldm_to_diffusers

    own = _own(state, source)
    config = _config(kind, own, source)
    levels = len(config["block_out_channels"])
    inner = [name for name in own if ".attn." in name]  # encoder.down.I.attn.J and decoder.up.I.attn.J; the middle's is called attn_1
    tensors: dict[str, Tensor] = convert_ldm_vae_checkpoint({name: t for name, t in own.items() if name not in inner}, config)
    for level in range(levels):
        for old, new in (
            (f"down.{level}.attn", f"down_blocks.{level}.attentions"),
            (f"up.{level}.attn", f"up_blocks.{levels - 1 - level}.attentions"),
        ):
            update_vae_attentions_ldm_to_diffusers([n for n in inner if f".{old}." in n], tensors, own, {"old": old, "new": new})
    quantize = {name: tensor for name, tensor in own.items() if name.startswith("quantize.")}
    return config, tensors | quantize


def _own(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    prefix = next((p for p in PREFIXES if any(name.startswith(p) for name in state)), "")
    inside = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    own = {name: tensor for name, tensor in inside.items() if name.startswith(PARTS)}
    strange = [name for name in inside if name not in own and not name.startswith(LEFT_OUT)]
    if "encoder.conv_in.weight" not in own:
        raise ValueError(
            f"{source} has no encoder.conv_in.weight: it is no autoencoder in LDM's layout; diffusers' own are loaded by their folder"
        )
    if strange:
        raise ValueError(
            f"{source} has {len(strange)} tensors that LDM's KL and VQ autoencoders do not have ({', '.join(strange[:3])}); unsupported"
        )
    return own


def _config(kind: str, own: Mapping[str, Tensor], source: str) -> dict[str, Any]:
    quantised = "quantize.embedding.weight" in own
    if any(name.startswith("quantize.") for name in own) and not quantised:
        raise ValueError(f"{source} quantises by other means than a codebook quantize.embedding.weight (Gumbel, say); unsupported")
    if quantised != (kind == "vq"):
        found, other = ("a codebook", "vq") if quantised else ("no codebook", "kl")
        raise ValueError(f"{source} has {found}: set autoencoder.kind={other}")
    try:
        levels = 1 + max(int(name.split(".")[2]) for name in own if name.startswith("encoder.down."))
        layers = 1 + max(int(name.split(".")[4]) for name in own if name.startswith("encoder.down.0.block."))
        widths = [own[f"encoder.down.{i}.block.0.conv1.weight"].shape[0] for i in range(levels)]
        out = own["encoder.conv_out.weight"].shape[0]
        embedded = own["post_quant_conv.weight"].shape[1]
        latent = out if quantised else out // 2
        pictures, made = own["encoder.conv_in.weight"].shape[1], own["decoder.conv_out.weight"].shape[0]
    except (KeyError, ValueError, IndexError) as error:
        raise ValueError(f"{source} lacks parts of an autoencoder in LDM's layout ({error}); unsupported") from error
    if not quantised and embedded != latent:
        raise ValueError(f"{source} embeds {latent} channels into {embedded}; diffusers' AutoencoderKL has no such model: unsupported")
    attends = [any(name.startswith(f"encoder.down.{i}.attn.") for name in own) for i in range(levels)]
    config: dict[str, Any] = {
        "in_channels": pictures,
        "out_channels": made,
        "down_block_types": ["AttnDownEncoderBlock2D" if a else "DownEncoderBlock2D" for a in attends],
        "up_block_types": ["AttnUpDecoderBlock2D" if a else "UpDecoderBlock2D" for a in reversed(attends)],
        "block_out_channels": widths,
        "latent_channels": latent,
        "layers_per_block": layers,
    }
    return config | ({"num_vq_embeddings": own["quantize.embedding.weight"].shape[0], "vq_embed_dim": embedded} if quantised else {})
