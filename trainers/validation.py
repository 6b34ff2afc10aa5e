"""The loss on held-out data, at fixed samples, times and noises: what the best checkpoint is chosen by."""

import torch

from trainers.batches import Batches
from trainers.ema import Average
from trainers.methods import Method
from trainers.networks import Network
from trainers.order import Order
from trainers.recipes.schema import Recipe
from trainers.sources import Source

SEED = 20_260_101  # of the held-out draws, apart from any training's
MOST, BATCH = 512, 128


def held_out_name(recipe: Recipe) -> str:
    """What that loss is called: nothing is held out where both splits are one, and pairs are held out by themselves."""
    both = recipe.data.held_out_split == recipe.data.train_split and recipe.coupling.kind != "pairs"
    return "loss of the average on the training data itself (nothing is held out)" if both else "held-out loss"


@torch.no_grad()
def held_out_loss(network: Network, average: Average, method: Method, source: Source | None, device: torch.device) -> float | None:
    """The averaged weights' mean loss over up to 512 held-out data, always the same draws; None without held-out data.

    LOOM-CFM has no slots for held-out data; they are paired within each batch.
    """
    if source is None:
        return None
    count = min(MOST, source.n) // min(BATCH, source.n) * min(BATCH, source.n)
    batches = Batches(method, source, Order(source.n, min(BATCH, source.n), SEED), held_out=True)
    training = network.training
    network.eval()
    total = 0.0
    with average.swapped(network):
        for step in range(count // batches.order.batch):
            batch = batches.draw(step, torch.arange(batches.order.batch)).to(device)
            total += float(method.losses(network, batch.x_0, batch.x_1, batch.t, batch.told).sum())
    network.train(training)
    return total / count
