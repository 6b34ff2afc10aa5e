"""What every reader of a data set gives: pictures as uint8 arrays in a fixed order, with their classes and captions, a chunk at a time.

A reader lists its items once, from names and indices, without decoding; pictures are decoded while they are read, and one that cannot be is left out of its
batch and named. Nothing is ever repaired in silence.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

TASTED = 8  # pictures
T = TypeVar("T")


@dataclass(frozen=True)
class Broken:
    """A picture that could not be read: which, and why, in one sentence."""

    name: str
    why: str


@dataclass(frozen=True)
class Batch:
    """Pictures read together: index (b,), their item numbers in the split; pixels (b, c, size, size) uint8; and those that had to be left out."""

    index: Int[np.ndarray, " b"]
    pixels: UInt8[np.ndarray, "b c s s"]
    broken: tuple[Broken, ...] = ()


def tasted(count: int) -> range:
    """The few items, evenly spread, whose contents go into a fingerprint: other pictures may have the names and sizes of these."""
    return range(0, count, -(-count // TASTED) or 1)


def limited(items: Sequence[T], limit: int | None) -> list[T]:
    """So many of the items, evenly spread: pictures are often sorted by class. All where there is no limit, or fewer."""
    return list(items) if limit is None or limit >= len(items) else [items[k * len(items) // limit] for k in range(limit)]


class Images(ABC):
    """One split of a data set at one size.

    classes: their names, in the order of the labels; () without. labels (n,) int64, None without. captions: of every item, None without; an item may have none.
    may_flip (n,): False for pictures whose mirror image means something else (letters, flags). fingerprint: a hash of what was read from (names, sizes and, where
    that is cheap, contents), which a cache is bound to. complaints: lines about what is not as it should be and had to be left out or left unsaid.
    """

    reader: ClassVar[str]

    def __init__(self, *, source: Path | None, split: str, size: int, channels: int = 3) -> None:
        self.source, self.split, self.size, self.channels = source, split, size, channels
        self.classes: tuple[str, ...] = ()
        self.labels: Int[np.ndarray, " n"] | None = None
        self.captions: Sequence[tuple[str, ...]] | None = None
        self.may_flip: Bool[np.ndarray, " n"] | None = None
        self.fingerprint = ""
        self.complaints: tuple[str, ...] = ()
        self.preparation = "as stored"  # how pictures come to their size: "box-stretched by its makers", "centre crop, Lanczos", ...

    @abstractmethod
    def __len__(self) -> int:
        """Items listed, broken ones among them."""

    @abstractmethod
    def name(self, index: int) -> str:
        """Of an item, as its source has it: a file's name, or the archive's and a number."""

    @abstractmethod
    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        """Items start to stop in order, `size` listed items at a time. Raises ValueError naming an archive that is damaged as a whole."""

    def read(self, index: Sequence[int]) -> Batch:
        """Some items, in the given order."""
        found = [batch for i in index for batch in self.batches(1, i, i + 1)]
        if not found:
            return Batch(np.zeros(0, np.int64), np.zeros((0, self.channels, self.size, self.size), np.uint8))
        return Batch(
            np.concatenate([b.index for b in found]),
            np.concatenate([b.pixels for b in found]),
            tuple(each for b in found for each in b.broken),
        )


@dataclass(frozen=True)
class Report:
    """What `python -m trainers data PATH` found. `complaints`: lines about what differs from the official data set or had to be left out; never fatal.

    Of a split, where known: pictures; classes; fewest and most, of a class; captions; sizes {"64 x 64": pictures}; modes {"RGB": pictures}; broken, a list of
    {name, why}; official {name, pictures, matches}.
    """

    reader: str
    source: str
    splits: dict[str, dict[str, Any]]
    complaints: tuple[str, ...] = field(default=())


def class_counts(images: Images) -> dict[str, int]:
    """For a report: how many classes have pictures, and the fewest and most of those; nothing without labels."""
    if images.labels is None:
        return {}
    counts = np.bincount(images.labels, minlength=len(images.classes))
    return {
        "classes": int((counts > 0).sum()),
        "fewest": int(counts[counts > 0].min(initial=len(images))),
        "most": int(counts.max(initial=0)),
    }
