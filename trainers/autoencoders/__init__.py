"""Autoencoders: pictures to latents and back. All are loaded strictly, from safetensors, and give raw latents: the cache normalises."""

from pathlib import Path

from trainers.autoencoders.base import Autoencoder, Encoded, Pixels
from trainers.autoencoders.diffusers_models import KL, VQ, Tiny, diffusers_hash
from trainers.autoencoders.taef2 import FOLDER, Taef2, taef2_hash
from trainers.recipes.schema import AutoencoderOptions

__all__ = ["Autoencoder", "Encoded", "Pixels", "autoencoder_hash", "load_autoencoder"]


def load_autoencoder(options: AutoencoderOptions, channels: int = 3) -> Autoencoder:
    """The one that the options name; `channels` are those of the pictures. Raises ValueError naming what is missing, damaged or does not fit."""
    if options.kind == "none":
        return Pixels(channels)
    if options.kind == "taef2":
        return Taef2(_folder(options))
    return {"kl": KL, "vq": VQ, "tiny": Tiny}[options.kind](_path(options))


def autoencoder_hash(options: AutoencoderOptions) -> str:
    """What the loaded one would say is its hash, without loading it; "" for none."""
    if options.kind == "none":
        return ""
    return taef2_hash(_folder(options)) if options.kind == "taef2" else diffusers_hash(_path(options))


def _folder(options: AutoencoderOptions) -> Path:
    return Path(options.path) if options.path else FOLDER


def _path(options: AutoencoderOptions) -> str:
    if not options.path:
        raise ValueError(
            f"autoencoder.kind={options.kind} needs autoencoder.path (--autoencoder of cache): a folder, an LDM file in safetensors, or a name on the hub"
        )
    return options.path
