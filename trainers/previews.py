"""Pictures of a training on its way: samples of the averaged weights at fixed noise and conditions, which draw nothing of the training's own numbers."""

from typing import Any

import torch

from lab.solvers import ADAPTIVE
from trainers.autoencoders import Autoencoder
from trainers.grids import grid, save_png
from trainers.methods import Method
from trainers.networks import Network, null_condition
from trainers.order import Order
from trainers.recipes.schema import Recipe
from trainers.runs import Run
from trainers.sampling import sample
from trainers.sources import Source

PREVIEW_SEED = 7


class Preview:
    """A network on its way, as sampling wants it."""

    def __init__(self, network: Network, method: Method, source: Source) -> None:
        self.network, self.method = network, method
        self.path, self.last_time, self.prior = method.path, method.last_time, method.prior
        self.shape, self.label_law = source.shape, source.law
        self.null = null_condition(method.recipe, len(source.classes), source.null_text)
        self.noise = network if method.recipe.loss.times == "ddpm-1000" else None

    def velocity(self, x: torch.Tensor, t: torch.Tensor, condition: Any = None) -> torch.Tensor:
        return self.method.velocity(self.network, x, t, condition)


def preview(
    network: Network, step: int, run: Run, recipe: Recipe, method: Method, source: Source, autoencoder: Autoencoder, device: torch.device
) -> None:
    """A grid of samples at fixed noise and conditions, in samples/step-00001000.png; at the first, samples/prior.png, the same noise before any step."""
    training, count, options = network.training, recipe.training.preview_count, recipe.sampling
    network.eval()
    condition = preview_condition(recipe, source, count)
    solver, nfe = ("heun", 16) if options.solver in ADAPTIVE else (options.solver, options.nfe)
    scale = options.guidance if condition is not None else 1.0
    made = sample(
        Preview(network, method, source),
        count,
        seed=PREVIEW_SEED,
        solver=solver,
        nfe=nfe,
        guidance=scale,
        condition=condition,
        device=device,
    )
    network.train(training)
    about = {
        "recipe": recipe.name,
        "step": str(step),
        "solver": solver,
        "nfe": f"{made.nfe:g}",
        "guidance": f"{scale:g}",
        "seed": str(PREVIEW_SEED),
    }
    for name, x in ((f"step-{step:08d}", made.x), ("prior", made.x_0)):
        path = run.samples / f"{name}.png"
        if name != "prior" or not path.exists():
            pixels = autoencoder.decode(source.normalisation.undo(x))
            save_png(grid(pixels), path, about if name != "prior" else about | {"step": "0", "nfe": "0"})


def preview_condition(recipe: Recipe, source: Source, count: int) -> torch.Tensor | None:
    """Classes in turn; texts, those of the first data at a fixed draw."""
    if recipe.data.condition == "class":
        return torch.arange(count) % len(source.classes)
    if recipe.data.condition == "text":
        rows = torch.linspace(0, source.n - 1, count).long()
        return source.read(rows, torch.arange(count), Order(source.n, 1, PREVIEW_SEED))[1]
    return None
