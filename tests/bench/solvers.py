"""What a step costs besides its evaluations, here and in torchdiffeq: `python -m tests.bench.solvers` prints one JSON object.

The same method on the same grid of 64 equal steps, 64 points in the plane, float32, the field -x. Overhead per step = (run - the field's own time for as many
evaluations) / steps. Both are run in turns in one process on one thread, the order changing each round; medians over the rounds. Both keep all states; torchdiffeq's field
takes the scalar time as it comes, ours gets (B,). The bar: `ratio`, the worst of the methods, at most one half.

torchdiffeq's `rk4` is the 3/8 rule. It has no ab2: its explicit_adams of an order below 4 takes steps of rk4 instead.
"""

import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchdiffeq import odeint

from lab.solvers import evaluations_per_step, solve

BATCH, STEPS, ROUNDS = 64, 64, 30
SAME = {"euler": "euler", "midpoint": "midpoint", "heun": "heun2", "rk4-38": "rk4"}


def ours(x: Tensor, t: Tensor, condition: object = None) -> Tensor:
    return -x


def theirs(t: Tensor, x: Tensor) -> Tensor:
    return -x


def seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def overheads(method: str, other: str) -> dict[str, float]:
    """Microseconds per step of lab.solvers and of torchdiffeq besides the evaluations, their ratio, and the largest difference of their states."""
    x_0 = torch.randn(BATCH, 2, generator=torch.Generator().manual_seed(0))
    times = torch.linspace(0, 1, STEPS + 1)
    t, per_step = times[0].expand(BATCH), evaluations_per_step(method)

    def field() -> None:
        for _ in range(STEPS * per_step):
            ours(x_0, t)

    def run() -> Tensor:
        return solve(ours, x_0, method=method, grid=times).x

    def run_theirs() -> Tensor:
        states = odeint(theirs, x_0, times, method=other)
        assert isinstance(states, Tensor)
        return states

    difference = float((run() - run_theirs()).abs().max())
    ways = {"field": field, "lab": run, "torchdiffeq": run_theirs}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        names = list(ways)
        for name in names[turn % 3 :] + names[: turn % 3]:
            taken[name].append(seconds(ways[name]))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    lab, other_one = (1e6 * (medians[name] - medians["field"]) / STEPS for name in ("lab", "torchdiffeq"))
    return {"lab_us": lab, "torchdiffeq_us": other_one, "ratio": lab / other_one, "difference": difference}


def main() -> None:
    torch.set_num_threads(1)
    with torch.no_grad():
        found = {method: overheads(method, other) for method, other in SAME.items()}
    ratio = max(one["ratio"] for one in found.values())
    print(json.dumps({"ratio": ratio, "bar": 0.5, "methods": found, "batch": BATCH, "steps": STEPS, "rounds": ROUNDS}))


if __name__ == "__main__":
    main()
