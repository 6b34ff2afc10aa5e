"""What a cache keeps of pictures: fp16 latents, those of their mirror images and a KL's spread; or the pixels themselves."""

import torch
from jaxtyping import Bool, Shaped, UInt8
from torch import Tensor

from trainers.autoencoders import Autoencoder, load_autoencoder
from trainers.recipes.schema import Recipe

LARGEST = torch.finfo(torch.float16).max


class Encoder:
    """Pictures to the rows that a shard keeps of them, by name. The autoencoder is loaded when the first picture comes."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._loaded: Autoencoder | None = None
        self._sampled = recipe.autoencoder.kind == "kl" and recipe.autoencoder.posterior == "sample"

    @property
    def autoencoder(self) -> Autoencoder:
        if self._loaded is None:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._loaded = load_autoencoder(self._recipe.autoencoder, self._recipe.data.channels).to(device)
        return self._loaded

    def rows(self, pixels: UInt8[Tensor, "b c s s"], may_flip: Bool[Tensor, " b"]) -> dict[str, Shaped[Tensor, "b ..."]]:
        """latents, latents_flip where the recipe flips (the plain ones again for pictures that may not be), and latents_std, latents_flip_std of a KL that samples.

        Raises ValueError for latents that fp16 cannot hold.
        """
        if self._recipe.autoencoder.kind == "none":
            return {"latents": pixels}
        found = self._encoded("latents", pixels)
        if self._recipe.data.flip:
            mirrored = self._encoded("latents_flip", pixels[may_flip].flip(-1)) if may_flip.any() else {}
            for name in tuple(found):
                flipped = found[name].clone()
                if mirrored:
                    flipped[may_flip] = mirrored[name.replace("latents", "latents_flip")]
                found[name.replace("latents", "latents_flip")] = flipped
        return found

    def blank(self) -> dict[str, Shaped[Tensor, "0 ..."]]:
        """No rows, in the shape that they would have."""
        data = self._recipe.data
        pixels = torch.zeros(1, data.channels, data.size, data.size, dtype=torch.uint8)
        return {name: rows[:0] for name, rows in self.rows(pixels, torch.ones(1, dtype=torch.bool)).items()}

    def _encoded(self, name: str, pixels: Tensor) -> dict[str, Tensor]:
        encoded = self.autoencoder.encode(pixels)
        std = {f"{name}_std": self._half(encoded.std)} if self._sampled and encoded.std is not None else {}
        return {name: self._half(encoded.mean)} | std

    def _half(self, latents: Tensor) -> Tensor:
        largest = float(latents.abs().max())
        if not largest <= LARGEST:  # nor NaN
            raise ValueError(
                f"{self.autoencoder.name} gives latents as large as {largest:g}; fp16, in which they are kept, ends at {LARGEST:g}"
            )
        return latents.half().cpu()
