"""Sixteen real pictures, each told by a condition of its own, are learned by heart by small U-Nets: the loss falls to a stated one, and samples are the pictures told."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.solvers import solve
from tests.trainers.training.small import loop_for
from trainers.autoencoders import load_autoencoder
from trainers.data import open_images
from trainers.latents import Cache, Normalisation
from trainers.latents.captions import CaptionStates
from trainers.latents.normalisation import Moments
from trainers.priors import fit_prior
from trainers.recipes import Recipe, apply, by_name
from trainers.sampling import sample
from trainers.sources import CacheSource
from trainers.text import load_encoder
from trainers.trained import load_trained

COUNT = 16


class Sixteen(Cache):
    """Pictures from all over a training split as a cache in memory, each of a class of its own; or told by its caption."""

    def __init__(self, recipe: Recipe) -> None:
        images = open_images(recipe.data, "train")
        rows = [i * len(images) // COUNT for i in range(COUNT)]
        self.pixels = torch.from_numpy(images.read(rows).pixels)
        raw = load_autoencoder(recipe.autoencoder, recipe.data.channels).encode(self.pixels).mean
        self.normalisation = Normalisation.by(recipe.autoencoder.normalise, Moments.of(raw))
        self.x = self.normalisation.apply(raw)
        channels, height, width = raw.shape[1:]
        self.folder, self.split, self.shape = Path("memory"), "train", (channels, height, width)
        self.index, self.may_flip = torch.arange(COUNT), torch.zeros(COUNT, dtype=torch.bool)
        self.labels, self.classes, self.captions = self.index, tuple(images.name(i) for i in rows), None
        if recipe.data.condition == "text":
            assert images.captions is not None
            names = [images.captions[i] for i in rows]
            states = load_encoder(recipe.text).encode([*(own[0] for own in names), ""])
            self.captions = CaptionStates(names, states.__getitem__)

    def read(self, index: Tensor, flip: Tensor | None = None, posterior: Tensor | None = None) -> Tensor:
        return self.x[index].clone()


@dataclass(frozen=True)
class Learned:
    """Losses by records of the run, samples of each condition as pictures, and the pictures that were trained on."""

    losses: list[float]
    made: Tensor
    real: Tensor


SMALL = {
    "data.flip": False,
    "network.condition_dropout": 0.0,
    "prior.mapper_steps": 100,
    "prior.mapper_width": 32,
    "prior.mapper_batch": 16,
    "optimiser.warmup": 20,
    "optimiser.learning_rate": 3e-3,
    "coupling.caches": 1,
    "training.batch": COUNT,
    "training.precision": "fp32",
    "training.ema": "0.98",
    "training.log_every": 50,
}
MLP = {"network.channels": "128", "network.layers": 2}
UNET = {"network.channels": "32", "network.attention": "8", "network.norm_groups": 8, "network.heads_of": 16}
CENTRED = {"prior.covariance": "none"}  # classes of one picture have no covariance
TEXTS = {"network.cross_attention": "32", "text.max_tokens": 4}


def learned(name: str, folder: Path, steps: int, changes: dict[str, Any]) -> Learned:
    """A recipe with a small network, trained on the sixteen and sampled from its checkpoint, once for each condition."""
    recipe = apply(by_name(name), SMALL | {"training.steps": steps, "training.checkpoint_every": steps} | changes)
    cache = Sixteen(recipe)
    source, prior = CacheSource(cache, recipe), fit_prior(recipe, cache, None, say=lambda line: None)
    loop, progress = loop_for(recipe, folder, source=source, prior=prior)
    assert loop.train(progress) == 0
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    model = load_trained(folder)
    told = cache.index if cache.captions is None else cache.captions.states(cache.index)
    if progress.table is None:
        solver = "heun" if model.noise is None else "ddim-scheduler"
        x = sample(model, COUNT, seed=1, solver=solver, nfe=40, condition=told).x
    else:  # each picture has one noise of its own, and the network has seen no other
        x_0 = progress.table.normals(cache.index, cache.shape)
        with torch.no_grad():
            x = solve(model.velocity, x_0, method="heun", nfe=40, condition=told).end
    return Learned([json.loads(line)["loss"] for line in lines], model.decode(x), cache.pixels)


# Steps, and a bound above the mean loss of the last fifty that was seen.
STATED: dict[str, tuple[int, float, dict[str, Any]]] = {
    "digits-condot": (600, 0.28, MLP),
    "digits-cpd": (600, 0.3, MLP | CENTRED),
    "digits-loom": (600, 0.005, MLP),
    "digits-ddpm": (600, 0.15, MLP),
    "emoji-condot": (300, 1.0, UNET),
    "emoji-text-cpd": (200, 1.3, UNET | TEXTS),
    "emoji-cpd": (200, 0.72, UNET | CENTRED),
    "emoji-loom": (200, 0.155, UNET),
    "emoji-ddpm": (300, 0.45, UNET),
    "emoji-text-condot": (400, 1.0, UNET | TEXTS),
}
QUICK = ("emoji-condot", "digits-ddpm")  # the others take as long each


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in STATED])
def test_sixteen_pictures_are_learned_by_heart(name: str, tmp_path):
    steps, stated, changes = STATED[name]
    found = learned(name, tmp_path, steps, changes)
    assert found.losses[-1] < stated < 0.85 * found.losses[0]
    if name.endswith("ddpm"):
        return  # so short a training does not tell the noise of pure noise well enough: data follow from it by division with alpha(0) = .0066
    made, real = (x.double().flatten(1) for x in (found.made, found.real))
    distances = torch.cdist(made, real)
    own, others = distances.diagonal(), (distances + torch.diag(torch.full((COUNT,), torch.inf))).amin(1)
    assert bool((own < others).all()), own / others  # every sample is nearest to the picture told
