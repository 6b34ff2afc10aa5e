"""How much faster the folded field is than the plain numpy formula: `python -m tests.bench.field` prints one JSON object.

K = 32 target components with full covariances, N = 10,000 particles, N(0, I), CondOT, one evaluation at one time. The plain formula is
written as well as numpy allows without folding: components along the last axis, no einsum over tiny matrices, and the better of all
particles at once and 2,000 at a time (which fits the cache). Both are timed in turns in one process with the same thread settings; the
medians are compared. `fresh` is a time seen for the first time, `again` one that is remembered; the ratio is that of `fresh`.
"""

import json
import os
import statistics
import time

# These pin a kernel of OpenBLAS that is not this machine's own; they have to go before numpy is loaded.
for pinned in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(pinned, None)

import numpy as np  # noqa: E402
import torch  # noqa: E402

from toy.field import MixtureField  # noqa: E402
from toy.mixtures import Mixture  # noqa: E402

K, N, ROUNDS = 32, 10_000, 30


def plain(x: np.ndarray, t: float, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray) -> np.ndarray:
    """u(x, t) from N(0, I) on CondOT, by the formula in toy/field.py's text."""
    V = (1 - t) ** 2 * np.eye(2) + t**2 * covariances
    P = np.linalg.inv(V)
    dx, dy = x[:, :1] - t * means[:, 0], x[:, 1:] - t * means[:, 1]
    pulled_x, pulled_y = P[:, 0, 0] * dx + P[:, 0, 1] * dy, P[:, 0, 1] * dx + P[:, 1, 1] * dy
    logits = np.log(weights) - 0.5 * np.log(np.linalg.det(V)) - 0.5 * (dx * pulled_x + dy * pulled_y)
    r = np.exp(logits - logits.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    G = t * covariances - (1 - t) * np.eye(2)
    u_x = means[:, 0] + G[:, 0, 0] * pulled_x + G[:, 0, 1] * pulled_y
    u_y = means[:, 1] + G[:, 1, 0] * pulled_x + G[:, 1, 1] * pulled_y
    return np.stack(((r * u_x).sum(1), (r * u_y).sum(1)), 1)


def main() -> None:
    draws = np.random.default_rng(0)
    weights = draws.random(K)
    weights /= weights.sum()
    means = 3 * draws.normal(size=(K, 2))
    roots = 0.4 * draws.normal(size=(K, 2, 2))
    covariances = roots @ roots.transpose(0, 2, 1) + 0.05 * np.eye(2)
    mixture = weights, means, covariances
    field = MixtureField(Mixture([1.0], [[0.0, 0.0]], [np.eye(2)]), Mixture(*mixture))
    x, t = 2 * draws.normal(size=(N, 2)), 0.6
    fresh_times = iter(np.linspace(0.55, 0.65, ROUNDS + 1))
    ways = {
        "plain": lambda: plain(x, t, *mixture),
        "plain_chunked": lambda: np.concatenate([plain(x[i : i + 2000], t, *mixture) for i in range(0, N, 2000)]),
        "fresh": lambda: field.velocity(x, next(fresh_times)),
        "again": lambda: field.velocity(x, t),
    }
    disagreement = float(np.abs(ways["plain"]() - ways["again"]()).max())
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - start)
    seconds = {name: statistics.median(values) for name, values in taken.items()}
    ratio = min(seconds["plain"], seconds["plain_chunked"]) / seconds["fresh"]
    print(
        json.dumps({"seconds": seconds, "ratio": ratio, "disagreement": disagreement, "threads": torch.get_num_threads(), "K": K, "N": N})
    )


if __name__ == "__main__":
    main()
