"""How much of a picture survives the cache: decoded fp16 latents against the pictures themselves, as PSNR and as a Frechet distance that no sample can undercut."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.distances import sample_frechet_distance
from trainers.autoencoders import load_autoencoder
from trainers.bars import track
from trainers.data import open_images
from trainers.latents.cache import Cache
from trainers.recipes.schema import Recipe

BATCH = 16
PICTURES = 256
LEAST = 1e-10  # of a mean square: equal pictures count as 100 dB


def psnr(x: UInt8[Tensor, "b c s s"], y: UInt8[Tensor, "b c s s"]) -> Float[Tensor, " b"]:
    """10 log10(255^2 / mean square difference) of each pair of pictures, in dB; 100 for equal ones."""
    square = ((x.double() - y.double()) / 255).square().mean((1, 2, 3))
    return -10 * square.clamp(min=LEAST).log10()


def round_trips(recipe: Recipe, cache: Cache, count: int) -> Iterator[tuple[UInt8[Tensor, "b c s s"], UInt8[Tensor, "b c s s"]]]:
    """Pictures, evenly spread over the split, and what their cached latents decode to."""
    data = recipe.data
    images = open_images(data, {"train": data.train_split, "val": data.held_out_split}[cache.split])
    autoencoder = load_autoencoder(recipe.autoencoder, data.channels).to("cuda" if torch.cuda.is_available() else "cpu")
    rows = torch.linspace(0, len(cache) - 1, min(count, len(cache))).round().long().unique()
    parts = rows.split(BATCH)
    for some in track(parts, len(parts), "round trip", f"batches of {BATCH}"):
        pixels = torch.from_numpy(images.read(cache.index[some].tolist()).pixels)
        yield pixels, autoencoder.decode(cache.normalisation.undo(cache.read(some))).cpu()


def fidelity(
    recipe: Recipe, cache: Cache, *, count: int = PICTURES, features: Callable[[Tensor], Tensor] | None = None
) -> dict[str, float | int | None]:
    """psnr: mean over pictures, with its 5 and 95 per cent points; frechet_floor where features of uint8 pictures are given, between originals and round trips."""
    ratios: list[Tensor] = []
    seen: list[tuple[Tensor, Tensor]] = []
    for pixels, again in round_trips(recipe, cache, count):
        ratios.append(psnr(pixels, again))
        if features is not None:
            seen.append((features(pixels), features(again)))
    found = torch.cat(ratios)
    low, high = found.quantile(torch.tensor([0.05, 0.95], dtype=found.dtype)).tolist()
    result: dict[str, Any] = {"pictures": len(found), "psnr": float(found.mean()), "psnr_5": low, "psnr_95": high, "frechet_floor": None}
    if features is not None:
        originals, decoded = (torch.cat([pair[i] for pair in seen]) for i in (0, 1))
        result["frechet_floor"] = sample_frechet_distance(originals, decoded)
    return result
