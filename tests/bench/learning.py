"""How long a small network takes to train: `python -m tests.bench.learning` prints one JSON object.

The bar: 3,000 iterations of a 3 x 128 network at batch 256 with independent coupling in under 15 s on two cores. Beside it, three networks in one tensor, LOOM's table, a round of
reflow, and the report of one network. With --threads 1 (the command line's own choice) or 2.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace

import torch

from toy.learning.learner import train
from toy.learning.options import LearningOptions
from toy.learning.report import report
from toy.scene import Scene

BAR = 15.0  # seconds


def bar_options() -> LearningOptions:
    """What the bar speaks of."""
    return LearningOptions(iterations=3000, train_batch=256, width=128, depth=3)


def seconds(options: LearningOptions, scene: Scene | None = None) -> float:
    """Wall time of one training, its pairs included."""
    start = time.perf_counter()
    train(scene or Scene(), options)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    bar = bar_options()
    ways = {
        "bar": (bar, Scene()),
        "three networks": (replace(bar, seeds=3), Scene()),
        "told the class": (bar, Scene(sees="class", prior="conditional")),
        "loom": (replace(bar, method="loom"), Scene()),
        "reflow": (replace(bar, reflow=1), Scene()),
    }
    found = {name: statistics.median(seconds(*way) for _ in range(chosen.rounds)) for name, way in ways.items()}
    learned = train(Scene(), replace(bar, iterations=100))
    start = time.perf_counter()
    report(learned)
    found["report"] = time.perf_counter() - start
    print(json.dumps({"seconds": found, "bar": BAR, "met": found["bar"] < BAR, "threads": chosen.threads}))


if __name__ == "__main__":
    main()
