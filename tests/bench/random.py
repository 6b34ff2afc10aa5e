"""How long 2,048 x 256 counter-based normal numbers take on one core: `python -m tests.bench.random` prints one JSON object."""

import json
import statistics
import time

import torch

from lab.random import normals

ROWS, NUMBERS, ROUNDS, BAR = 2048, 256, 20, 0.1  # the bar is seconds


def best(rounds: int = ROUNDS) -> tuple[float, float]:
    """Least and median seconds."""
    index, taken = torch.arange(ROWS), []
    for seed in range(rounds):
        begin = time.perf_counter()
        normals(seed, index, NUMBERS)
        taken.append(time.perf_counter() - begin)
    return min(taken), statistics.median(taken)


if __name__ == "__main__":
    torch.set_num_threads(1)
    least, median = best()
    print(json.dumps({"rows": ROWS, "numbers": NUMBERS, "least_seconds": least, "median_seconds": median, "bar": BAR}))
