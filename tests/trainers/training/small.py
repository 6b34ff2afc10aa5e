"""Small trainings for tests: random latents in memory, recipes shrunken to them, and the loop over them as `train` runs it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor

from lab.random import normals
from lab.stored_pairs import StoredPairs
from tests.trainers.priors.caches import Captions, MemoryCache
from trainers.gauges import Gauges
from trainers.latents import Cache, Normalisation
from trainers.latents.captions import CaptionStates
from trainers.loop import Loop, Progress, fresh
from trainers.methods import Method
from trainers.networks import Network
from trainers.order import CAPTION, Order
from trainers.priors import FittedPrior, fit_prior
from trainers.recipes import Recipe, apply
from trainers.runs import Run
from trainers.sources import CacheSource, PairsSource, Source

CLASSES, ROWS, WIDTH = 3, 4, 6


class Latents(Source):
    """n random latents in memory, class c around its own mean, with a text for each where the recipe wants texts."""

    def __init__(self, recipe: Recipe, n: int = 48, shape: tuple[int, int, int] = (2, 8, 8), seed: int = 0) -> None:
        self.n, self.shape, self.recipe = n, shape, recipe
        self.labels = torch.arange(n) % CLASSES
        x = normals(seed, torch.arange(n), int(torch.Size(shape).numel()), dtype=torch.float32).reshape(n, *shape)
        self.x = x + self.labels[:, None, None, None].float()
        kind = recipe.data.condition
        self.classes = tuple("abc"[:CLASSES]) if kind == "class" else ()
        self.law = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64) if kind == "class" else None
        self.states = (
            normals(seed + 1, torch.arange(n + 1), ROWS * WIDTH, dtype=torch.float32).reshape(-1, ROWS, WIDTH) if kind == "text" else None
        )
        self.null_text = None if self.states is None else self.states[-1]
        center, spread = torch.zeros(1, 1, 1), torch.ones(1, 1, 1)
        self.normalisation = Normalisation(center, spread)

    @property
    def table_rows(self) -> int:
        return 2 * self.n if self.recipe.data.flip else self.n

    def flips(self, index: Tensor, samples: Tensor, order: Order) -> Tensor | None:
        return order.flips(samples) if self.recipe.data.flip else None

    def read(self, index: Tensor, samples: Tensor, order: Order) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x = self.x[index].clone()
        flips = self.flips(index, samples, order)
        if flips is not None:
            x[flips] = x[flips].flip(-1)
        if self.states is not None:
            order.uniforms(samples, CAPTION)
            return x, self.states[index], None
        return x, self.labels[index] if self.classes else None, None


class StoredTexts(Cache):
    """n latents in memory as a cache with captions gives them: item i has i % 4 captions (so some have none) that tell its brightness, and i % 3 of three may be mirrored."""

    def __init__(self, n: int = 48, shape: tuple[int, int, int] = (2, 8, 8), seed: int = 0) -> None:
        self.folder, self.split, self.shape, self.classes, self.labels = Path("memory"), "train", shape, (), None
        self.index, self.may_flip = torch.arange(n), torch.arange(n) % 3 > 0
        center = torch.zeros(1, 1, 1)
        self.normalisation = Normalisation(center, center + 1)
        drawn = normals(seed, self.index, int(torch.Size(shape).numel()), dtype=torch.float32).reshape(n, *shape)
        self.x = drawn + 2 * drawn[:, :1, :1, :1]
        counts = self.index % 4
        owner = self.index.repeat_interleave(counts)
        states = normals(seed + 1, torch.arange(len(owner) + 1), ROWS * WIDTH, dtype=torch.float32).reshape(-1, ROWS, WIDTH)
        states[:-1, 0, 0] += 4 * drawn[owner, 0, 0, 0]
        self.captions = CaptionStates([[f"take {j} of {i}" for j in range(int(k))] for i, k in enumerate(counts)], states.__getitem__)

    def read(self, index: Tensor, flip: Tensor | None = None, posterior: Tensor | None = None) -> Tensor:
        x = self.x[index].clone()
        if flip is not None:
            x[flip] = x[flip].flip(-1)
        return x


def shrunk(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with a network of some thousand weights, batches of 8 and one step; its method, kinds and shape of the network stay."""
    levels = len(recipe.network.channels)
    size = 8 << max(0, levels - 3)
    full = recipe.data.size // {"none": 1}.get(recipe.autoencoder.kind, 8)
    attended = [str(size >> i) for i in range(levels) if full >> i in recipe.network.attention]
    small: dict[str, Any] = {
        "network.attention": ",".join(attended),
        "network.layers": 1,
        "prior.rank": 2,
        "prior.mapper_steps": 20,
        "prior.mapper_width": 16,
        "prior.mapper_batch": 8,
        "training.batch": 8,
        "training.steps": 1,
        "training.precision": {"fp16": "fp32", "auto": "bf16"}.get(recipe.training.precision, recipe.training.precision),
        "training.log_every": 1,
        "training.preview_count": 2,
        "training.channels_last": recipe.training.channels_last,
        "optimiser.warmup": 0,
    }
    if recipe.network.kind == "mlp":
        small |= {"network.channels": "16", "training.steps": 4}  # its last layers begin at zero, and let nothing through to the others
    else:
        small |= {
            "network.channels": ",".join(["16"] * levels),
            "network.norm_groups": 8,
            "network.heads_of": 8,
            "network.heads": None if recipe.network.heads is None else 2,
        }
    if recipe.network.kind == "unet-conditional":
        small |= {"network.cross_attention": 8}
    if recipe.data.condition == "text":
        small |= {"text.max_tokens": ROWS - 1}
    return apply(recipe, small | changes)


def size_of(recipe: Recipe) -> int:
    """Height of the latents that `shrunk` is for."""
    return 8 << max(0, len(recipe.network.channels) - 3)


def data_for(recipe: Recipe, n: int = 48) -> tuple[Source, FittedPrior]:
    """Random latents or pairs, and the recipe's prior fitted to them."""
    size = size_of(recipe)
    latents = Latents(recipe, n, (2, size, size))
    texts = None if latents.states is None else Captions(torch.ones(n, dtype=torch.int64), latents.states)
    cache = MemoryCache(latents.x, latents.labels if latents.classes else None, latents.classes, captions=texts)
    if recipe.coupling.kind == "pairs":
        plain = apply(recipe, {"coupling.kind": "independent"})
        noise = normals(9, torch.arange(n), 2 * size * size, dtype=torch.float32).reshape(n, 2, size, size)
        condition = latents.labels if latents.classes else None
        stored = StoredPairs(noise, latents.x, torch.arange(n) if latents.states is not None else condition)
        source = PairsSource(
            stored,
            torch.arange(n),
            classes=latents.classes,
            law=latents.law,
            normalisation=latents.normalisation,
            captions=None if latents.states is None else CaptionStates([[str(i)] for i in range(n)], latents.states.__getitem__),
            null_text=latents.null_text,
        )
        return source, fit_prior(apply(plain, {"prior.kind": "standard"}), cache, None, say=_silent)  # pyright: ignore[reportArgumentType]
    return latents, fit_prior(recipe, cache, None, say=_silent)  # pyright: ignore[reportArgumentType]


def texts_for(recipe: Recipe, n: int = 48) -> tuple[CacheSource, FittedPrior]:
    """Stored latents with captions, and the recipe's prior fitted to them."""
    cache = StoredTexts(n)
    return CacheSource(cache, recipe), fit_prior(recipe, cache, None, say=_silent)


def _silent(_: str) -> None:
    return


def loop_for(
    recipe: Recipe, folder: Path, *, n: int = 48, held_out: bool = False, source: Source | None = None, prior: FittedPrior | None = None
) -> tuple[Loop, Progress]:
    """The loop over random latents, before its first step."""
    if source is None or prior is None:
        source, prior = data_for(recipe, n)
    method = Method(recipe, prior)
    run = Run(folder)
    run.begin(recipe)
    mixed = {"fp32": "no"}.get(recipe.training.precision, recipe.training.precision)
    AcceleratorState._reset_state()  # one process may hold one precision only, and tests are many
    accelerator = Accelerator(cpu=True, mixed_precision=mixed)
    progress = fresh(recipe, source, method, 0 if source.null_text is None else source.null_text.shape[-1])
    gauges = Gauges(batch=recipe.training.batch, steps=recipe.training.steps, device=accelerator.device, flops=1.0, peak=None, bar=False)
    loop = Loop(
        recipe=recipe,
        method=method,
        source=source,
        held_out=source if held_out else None,
        run=run,
        accelerator=accelerator,
        facts={"autoencoder_hash": "", "cache": ""},
        preview=lambda network, step: None,
        gauges=gauges,
        name_of=lambda i: f"picture {i}",
        say=_silent,
    )
    return loop, progress


def weights(network: Network) -> list[Tensor]:
    """Copies of a network's weights."""
    return [p.detach().clone() for p in network.parameters()]


def one_step(recipe: Recipe, folder: Path) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Weights before and after one step of the loop, and its loss."""
    if recipe.coupling.kind == "pairs":
        recipe = replace(recipe, coupling=replace(recipe.coupling, pairs="pairs"))
    loop, progress = loop_for(recipe, folder)
    before = weights(progress.network)
    seen: list[Tensor] = []
    losses = Method.losses

    def watched(self: Method, *args: Any) -> Tensor:
        found = losses(self, *args)
        seen.append(found.detach().mean())
        return found

    try:
        Method.losses = watched  # pyright: ignore[reportAttributeAccessIssue]
        loop.train(progress)
    finally:
        Method.losses = losses
    return before, weights(progress.network), torch.stack(seen).mean()
