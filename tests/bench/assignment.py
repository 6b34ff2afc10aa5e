"""Where POT's network simplex overtakes SciPy's assignment, and what a LOOM-CFM batch costs: `python -m tests.bench.assignment` prints two tables.

One core, both solvers in turns in one process, medians. Costs are |x_1 - x_0|^2 of N(0, I) against eight Gaussians in the plane and against a mixture of rank 20 in 64
dimensions, in double precision: fresh pairs as batch OT meets them, and pairs already nearly optimal (one tenth of the rows moved) as LOOM's table holds them.
The second table: 1,281,167 data with 4 caches, data the size of a point, of a 4 x 8 x 8 latent and of a 3 x 32 x 32 image; `table` is taking slots, checks and writing.
"""

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import ot
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lab.assignment import AssignmentTable
from lab.couplings import Independent
from lab.optimal_transport import ITERATIONS, NETWORK_SIMPLEX_FROM, assign, squared_cost

SIZES = (32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
MATRICES = 3  # different costs of each size
SECONDS = 0.25  # at least, for each solver on each matrix, unless ROUNDS come first
ROUNDS = 30


def plane(n: int, g: torch.Generator) -> Tensor:
    angle = 2 * math.pi * torch.randint(8, (n,), generator=g) / 8
    return 4 * torch.stack((angle.cos(), angle.sin()), 1) + 0.3 * torch.randn(n, 2, generator=g)


def rank_20(n: int, g: torch.Generator) -> Tensor:
    spread = torch.randn(20, 64, generator=g) / math.sqrt(20)
    means = 2 * torch.randn(10, 20, generator=g)
    inside = means[torch.randint(10, (n,), generator=g)] + torch.randn(n, 20, generator=g)
    return inside @ spread + 0.1 * torch.randn(n, 64, generator=g)


def scipy_solver(cost: np.ndarray) -> np.ndarray:
    return linear_sum_assignment(cost)[1]


def pot_solver(cost: np.ndarray) -> np.ndarray:
    weights = np.full(len(cost), 1.0)
    return np.asarray(ot.emd(weights, weights, cost, numItermax=ITERATIONS)).argmax(1)


def medians(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each way, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    start = time.perf_counter()
    for done in range(ROUNDS):
        if done >= 3 and time.perf_counter() - start > SECONDS * len(ways):
            break
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            taken[name].append(1e3 * (time.perf_counter() - begin))
    return {name: statistics.median(times) for name, times in taken.items()}


def nearly_optimal(cost: Tensor, g: torch.Generator) -> Tensor:
    """The columns in optimal order, one tenth of them shuffled."""
    index = assign(cost)
    some = torch.randperm(len(index), generator=g)[: max(2, len(index) // 10)]
    index[some] = index[some.roll(1)]
    return cost[:, index]


def solvers() -> None:
    print(f"{'cost':>22} {'n':>5} {'SciPy ms':>9} {'POT ms':>9} {'SciPy/POT':>9}")
    for name, draw in (("plane", plane), ("rank 20 in 64-D", rank_20)):
        for kind in ("fresh", "nearly optimal"):
            ratios = []
            for n in SIZES:
                found = []
                for seed in range(MATRICES):
                    g = torch.Generator().manual_seed(1000 * seed + n)
                    x_1 = draw(n, g)
                    cost = squared_cost(x_1, torch.randn(x_1.shape, generator=g))
                    matrix = (cost if kind == "fresh" else nearly_optimal(cost, g)).numpy().copy()
                    found.append(medians({"scipy": lambda m=matrix: scipy_solver(m), "pot": lambda m=matrix: pot_solver(m)}))
                scipy, pot = (statistics.mean(f[solver] for f in found) for solver in ("scipy", "pot"))
                ratios.append(scipy / pot)
                print(f"{name + ', ' + kind:>22} {n:5d} {scipy:9.3f} {pot:9.3f} {scipy / pot:9.2f}", flush=True)
            slower = [n for n, ratio in zip(SIZES, ratios, strict=True) if ratio < 1]
            later = [n for n in SIZES if n > max(slower, default=0)]
            print(
                f"{name}, {kind}: POT is faster from n = {later[0] if later else 'nowhere'} on; the code switches at {NETWORK_SIMPLEX_FROM}"
            )


def batches() -> None:
    table = AssignmentTable(1_281_167, 4)
    print(f"{'shape':>12} {'batch':>5} {'table ms':>9} {'noise ms':>9} {'cost ms':>9} {'assign ms':>9} {'improve ms':>10}")
    for shape in ((2,), (4, 8, 8), (3, 32, 32)):
        for size in (128, 256, 512):
            g = torch.Generator().manual_seed(size)
            index = torch.randperm(table.n, generator=g)[:size]
            # Directions of large spread, as images have: pure noise would make the assignment unlike that of data.
            x_1 = (torch.randn(size, 20, generator=g) @ torch.randn(20, math.prod(shape), generator=g) / math.sqrt(20)).reshape(
                size, *shape
            )
            slots, small = table.slots(index, 0), torch.zeros(size, 2)
            x_0 = table.normals(slots, shape)
            cost = squared_cost(x_1, x_0)

            improved: list[float] = []

            def renewed(index: Tensor = index, x_1: Tensor = x_1, improved: list[float] = improved) -> None:
                table.refresh(1.0)  # else every call after the first would find the optimum in place
                begin = time.perf_counter()
                table.improve(index, x_1, epoch=0)
                improved.append(1e3 * (time.perf_counter() - begin))

            taken = medians(
                {
                    "table": lambda i=index, z=small: table.exchange(table.slots(i, 0), z, z, None, Independent()),
                    "noise": lambda s=slots, shape=shape: table.normals(s, shape),
                    "cost": lambda a=x_1, b=x_0: squared_cost(a, b),
                    "assign": lambda c=cost: assign(c),
                    "improve": renewed,
                }
            )
            row = [taken[k] for k in ("table", "noise", "cost", "assign")]
            print(
                f"{'x'.join(map(str, shape)):>12} {size:5d} "
                + " ".join(f"{ms:9.2f}" for ms in row)
                + f" {statistics.median(improved):10.2f}",
                flush=True,
            )


def main() -> None:
    torch.set_num_threads(1)
    solvers()
    print()
    batches()


if __name__ == "__main__":
    main()
