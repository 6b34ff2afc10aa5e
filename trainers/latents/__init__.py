"""The latent cache: pictures encoded once into fp16 shards with a manifest, and read back normalised. Also text states, beside each split."""

from trainers.latents.build import build_cache
from trainers.latents.cache import Cache, open_cache
from trainers.latents.manifest import default_folder
from trainers.latents.normalisation import Moments, Normalisation

__all__ = ["Cache", "Moments", "Normalisation", "build_cache", "default_folder", "open_cache"]
