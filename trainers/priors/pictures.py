"""What a prior looks like alone: samples of it, decoded, without any flow."""

from math import prod
from pathlib import Path

import torch
from torch import Tensor

from lab.random import normals, uniforms
from trainers.autoencoders import load_autoencoder
from trainers.grids import grid, save_png
from trainers.latents import Cache
from trainers.priors.fitted import FittedPrior
from trainers.recipes.schema import Recipe

COLUMNS, ROWS = 8, 20  # classes or captions beyond the first so many are not drawn
NORMAL, CHOICE = 0x5052_0007, 0x5052_0008  # streams of the counter


def draw(prior: FittedPrior, recipe: Recipe, cache: Cache, held_out: Cache, path: Path) -> list[str]:
    """Writes a PNG with a row for each class, each of some held-out captions, or, of a prior that sees neither, one; returns what the rows are."""
    names, conditions = _rows(prior, cache, held_out)
    count = len(names) * COLUMNS
    index, seed = torch.arange(count), recipe.training.seed
    z = normals(seed, index, prod(cache.shape), NORMAL, torch.float32).reshape(count, *cache.shape)
    u = uniforms(seed, index, 1, CHOICE)[:, 0] if prior.needs_uniforms else None
    x = prior.from_normals(z, None if conditions is None else conditions.repeat_interleave(COLUMNS, 0), uniforms=u)
    pixels = load_autoencoder(recipe.autoencoder, recipe.data.channels).decode(cache.normalisation.undo(x))
    save_png(grid(pixels, len(names)), path, {"prior": prior.kind, "rows": "; ".join(names)})
    return names


def _rows(prior: FittedPrior, cache: Cache, held_out: Cache) -> tuple[list[str], Tensor | None]:
    if prior.kind in ("class-gaussian", "class-mixture"):
        return list(cache.classes[:ROWS]), torch.arange(min(len(cache.classes), ROWS))
    if prior.kind == "text-gaussian":
        assert held_out.captions is not None
        numbers = torch.arange(min(len(held_out.captions), ROWS)) * max(len(held_out.captions) // ROWS, 1)
        return [held_out.captions.text(int(n)) for n in numbers], held_out.captions.states(numbers)
    return [prior.kind], None
