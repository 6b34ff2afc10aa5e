"""Pictures that lie as files in a store, decoded on all cores while they are read."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from trainers.bars import QUIET, bar
from trainers.data.images import Batch, Broken, Images, limited, tasted
from trainers.data.pictures import PREPARATIONS, Seen, Unreadable, decode, upright
from trainers.data.stores import Store, hash_of
from trainers.recipes.schema import DataOptions

T = TypeVar("T")
AHEAD = 1  # batches decoded while one is used
SHOWN = 8  # sizes in a report


class Listed(Images):
    """Files of a store, in the order given."""

    def __init__(self, store: Store, names: Sequence[str], split: str, options: DataOptions) -> None:
        super().__init__(source=store.source, split=split, size=options.size, channels=options.channels)
        self.store, self.names = store, limited(names, options.limit)
        self.preparation, self._how = PREPARATIONS[options.preparation], options.preparation
        self.may_flip = np.ones(len(self.names), dtype=bool)
        self.fingerprint = hash_of((*(part for name in self.names for part in (name, store.files[name])), *self._tasted()))

    def _tasted(self) -> Iterator[bytes]:
        """The contents of a few pictures, evenly spread: frames of one camera may have the names and sizes of another's."""
        for k in tasted(len(self.names)):
            with suppress(OSError):  # it is found broken when it is read
                yield self.store.read(self.names[k])

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        waiting: deque[tuple[range, Iterator[UInt8[np.ndarray, "c s s"] | Broken]]] = deque()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for first in range(start, stop, size):
                index = range(first, min(first + size, stop))
                waiting.append((index, pool.map(self._decode, index)))
                if len(waiting) > AHEAD:
                    yield self._batch(*waiting.popleft())
            while waiting:
                yield self._batch(*waiting.popleft())

    def read(self, index: Sequence[int]) -> Batch:
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return self._batch(index, pool.map(self._decode, index))

    def _batch(self, index: Sequence[int], decoded: Iterator[UInt8[np.ndarray, "c s s"] | Broken]) -> Batch:
        results = list(decoded)
        whole = [each for each in results if not isinstance(each, Broken)]
        pixels = np.stack(whole) if whole else np.zeros((0, self.channels, self.size, self.size), np.uint8)
        kept = [k for k, each in zip(index, results, strict=True) if not isinstance(each, Broken)]
        return Batch(np.array(kept, dtype=np.int64), pixels, tuple(each for each in results if isinstance(each, Broken)))

    def _decode(self, index: int) -> UInt8[np.ndarray, "c s s"] | Broken:
        return _or_broken(self.names[index], lambda data: decode(data, self.size, self.channels, self._how), self.store)


def _or_broken(name: str, use: Callable[[bytes], T], store: Store) -> T | Broken:
    try:
        return use(store.read(name))
    except Unreadable as error:
        return Broken(name, str(error))
    except (FileNotFoundError, PermissionError) as error:
        return Broken(name, (error.strerror or str(error)).lower())


def survey(images: Listed) -> dict[str, Any]:
    """Decodes every picture of a split as it is stored: sizes, modes and what is broken, with a progress bar. For a Report."""

    def look(name: str) -> Seen | Broken:
        return _or_broken(name, lambda data: upright(data)[1], images.store)

    sizes, modes, broken = Counter(), Counter(), []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool, bar(len(images), images.split, "pictures", wait=QUIET) as shown:
        for first in range(0, len(images), 256):
            for found in pool.map(look, images.names[first : first + 256]):
                shown.update()
                if isinstance(found, Broken):
                    broken.append(found)
                else:
                    sizes[f"{found.width} x {found.height}"] += 1
                    modes[found.mode] += 1
    common = dict(sizes.most_common(SHOWN))
    if len(sizes) > SHOWN:
        common[f"{len(sizes) - SHOWN:,} other sizes"] = sizes.total() - sum(common.values())
    return {
        "pictures": len(images),
        "sizes": common,
        "modes": dict(modes.most_common()),
        "broken": [{"name": each.name, "why": each.why} for each in broken],
    }
