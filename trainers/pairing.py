"""How long a step of training takes to pair noise with data: one assignment of a recipe's coupling, timed on this machine's CPU."""

from dataclasses import dataclass
from time import thread_time

import torch
from torch import Tensor

from lab.priors import Gaussian
from trainers.methods import Method
from trainers.priors import FittedPrior
from trainers.recipes.schema import Recipe

LARGEST = 2048  # points that are assigned in earnest; the time of more is taken to grow as the cube


@dataclass(frozen=True)
class Pairing:
    """Groups of `size` samples that a step pairs, the seconds of a CPU's time that all of them take, and how many points were timed."""

    groups: int
    size: int
    seconds: float
    timed: int


def time_pairing(recipe: Recipe, shape: tuple[int, int, int], classes: int, text_width: int) -> Pairing | None:
    """Pairs one group of normal numbers of this shape on one thread, as the loop does. None where noise and data are paired without a search."""
    if recipe.coupling.kind in ("independent", "pairs"):
        return None
    size = recipe.coupling.batch or recipe.training.batch
    groups, timed = recipe.training.batch // size, min(size, LARGEST)
    method = Method(recipe, FittedPrior("standard", Gaussian(), {}))
    generator = torch.Generator().manual_seed(0)

    def pair(count: int, kinds: int) -> None:
        x_0, x_1 = (torch.randn(count, *shape, generator=generator) for _ in range(2))
        condition: Tensor | None = None
        if recipe.data.condition == "class":
            condition = torch.randint(kinds, (count,), generator=generator)
        elif recipe.data.condition == "text":
            condition = torch.randn(count, 1, text_width, generator=generator)
        method.couple(x_0, x_1, condition)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for count in (4, 128):  # what solves the small and the large is loaded
            pair(count, 1)
        began = thread_time()
        pair(timed, classes)
        seconds = thread_time() - began
    finally:
        torch.set_num_threads(threads)
    return Pairing(groups, size, groups * seconds * (size / timed) ** 3, timed)
