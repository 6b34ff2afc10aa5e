"""Scikit-learn's digits: 1,797 scans of 8 x 8 in 17 shades, ten classes. Of each class every tenth is held out."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trainers.data.held import Held, count
from trainers.data.images import Report
from trainers.data.stores import hash_of
from trainers.recipes.schema import DataOptions

TENTH = 10
SIZE, CHANNELS, SHADES = 8, 1, 16


class Digits(Held):
    """Value v of 0 to 16 becomes round(255 v / 16). Digits are not mirrored."""

    reader = "digits"

    def __init__(self, split: str, limit: int | None = None) -> None:
        scans, target = _table()
        place = np.empty(
            len(target), dtype=np.int64
        )  # within the class: the first scans go 0, 1, ..., 9, 0, 1, ..., and every tenth of them is a 9
        for digit in range(10):
            own = target == digit
            place[own] = np.arange(own.sum())
        rows = np.flatnonzero((place % TENTH == TENTH - 1) == (split == "val"))[:limit]
        pixels = np.rint(scans[rows] * (255 / SHADES)).astype(np.uint8)[:, None]
        super().__init__(pixels, [f"digit {row}" for row in rows], source=None, split=split)
        labels = target[rows].astype(np.int64)
        self.labels = labels
        self.classes = tuple(str(digit) for digit in range(10))
        self.may_flip = np.zeros(len(rows), dtype=bool)
        self.fingerprint = hash_of((self.pixels.tobytes(), labels.tobytes()))


def _table() -> tuple[np.ndarray, np.ndarray]:
    """What sklearn.datasets.load_digits returns as images and target, from the same file: the function brings scipy.stats and pandas with it, two seconds of a training's start."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise ValueError("the digits are in scikit-learn, which is not installed: pip install scikit-learn")
    table = np.loadtxt(Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz", delimiter=",", dtype=np.int64)
    return table[:, :-1].reshape(-1, SIZE, SIZE), table[:, -1]


def open_digits(options: DataOptions, split: str) -> Digits:
    """Raises ValueError for another size, which would no longer be this data set."""
    if (options.size, options.channels) != (SIZE, CHANNELS):
        raise ValueError(f"digits are {SIZE} x {SIZE} with {CHANNELS} channel; set data.size={SIZE} and data.channels={CHANNELS}")
    return Digits(split, options.limit)


def inspect_digits() -> Report:
    """Counts and classes of both splits."""
    return Report("digits", "scikit-learn", {split: count(Digits(split)) for split in ("train", "val")})
