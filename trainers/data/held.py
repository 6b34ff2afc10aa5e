"""Pictures that are held in memory as one array: the small data sets that come with the project."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trainers.data.images import Batch, Images, class_counts


class Held(Images):
    """pixels (n, c, size, size), and a name for each."""

    def __init__(self, pixels: UInt8[np.ndarray, "n c s s"], names: list[str], *, source: Path | None, split: str) -> None:
        super().__init__(source=source, split=split, size=pixels.shape[2], channels=pixels.shape[1])
        self.pixels, self.names = pixels, names

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        return self.names[index]

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        for first in range(start, stop, size):
            last = min(first + size, stop)
            yield Batch(np.arange(first, last), self.pixels[first:last].copy())


def count(images: Held) -> dict[str, Any]:
    """A split's entry in a report."""
    size = f"{images.size} x {images.size}"
    found = {
        "pictures": len(images),
        "sizes": {size: len(images)},
        "modes": {"L" if images.channels == 1 else "RGB": len(images)},
        "broken": [],
    }
    return found | class_counts(images) | ({"captions": sum(map(len, images.captions))} if images.captions else {})
