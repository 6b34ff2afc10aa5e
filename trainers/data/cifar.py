"""CIFAR-10, binary version: data_batch_1.bin to _5 and test_batch.bin, records of one label byte and 3 x 32 x 32 bytes, red, green, blue."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainers.data.images import Batch, Images, Report, class_counts
from trainers.data.official import CIFAR_10
from trainers.data.stores import hash_of
from trainers.files import sha256_of
from trainers.recipes.schema import DataOptions

SIZE, RECORD = 32, 1 + 3 * 32 * 32
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FILES = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "val": ("test_batch.bin",)}


def find_folder(path: Path) -> Path:
    """Where the .bin files lie: at `path` or in cifar-10-batches-bin below it. Raises ValueError where only the pickled version is there, or none."""
    if not path.exists():
        raise ValueError(f"{path} is not there")
    for folder in (path, path / "cifar-10-batches-bin"):
        if any((folder / name).is_file() for names in FILES.values() for name in names):
            return folder
    for folder in (path, path / "cifar-10-batches-py"):
        if (folder / "data_batch_1").is_file():
            raise ValueError(
                f"{folder} holds the Python version of CIFAR-10, which is pickled, and unpickling executes whatever code a file holds: take the binary version"
            )
    raise ValueError(f"{path} has no data_batch_1.bin to data_batch_5.bin and test_batch.bin (looked there and in cifar-10-batches-bin/)")


class Cifar(Images):
    """One split, mapped into memory."""

    reader = "cifar10"

    def __init__(self, folder: Path, split: str, limit: int | None = None) -> None:
        super().__init__(source=folder, split=split, size=SIZE)
        files = [folder / name for name in FILES[split] if (folder / name).is_file()]
        if not files:
            raise ValueError(f"{folder} has no {FILES[split][0]}")
        self.files = files
        self.records = [_records(file) for file in files]
        self.ends = np.cumsum([len(records) for records in self.records])
        self.labels = np.concatenate([records[:, 0] for records in self.records]).astype(np.int64)[:limit]
        self.classes = NAMES
        self.may_flip = np.ones(len(self.labels), dtype=bool)
        missing = [name for name in FILES[split] if not (folder / name).is_file()]
        self.complaints = (f"{split}: {', '.join(missing)} missing",) if missing else ()
        self.fingerprint = hash_of([part for file in files for part in (file.name, sha256_of(file))] + [len(self.labels)])

    def __len__(self) -> int:
        return len(self.labels) if self.labels is not None else 0

    def name(self, index: int) -> str:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return f"{self.files[which].name}:{index - int(self.ends[which]) + len(self.records[which])}"

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        for first in range(start, stop, size):
            index = np.arange(first, min(first + size, stop))
            place = np.searchsorted(self.ends, index, side="right")
            rows = [self.records[k][index[place == k] - (self.ends[k] - len(self.records[k])), 1:] for k in np.unique(place)]
            yield Batch(index, np.concatenate(rows).reshape(-1, 3, SIZE, SIZE))


def _records(file: Path) -> np.ndarray:
    length = file.stat().st_size
    if length == 0 or length % RECORD:
        raise ValueError(f"{file} is damaged: {length:,} bytes are no whole number of records of {RECORD:,}; fetch it again")
    records = np.memmap(file, np.uint8, "r", shape=(length // RECORD, RECORD))
    if records[:, 0].max() >= len(NAMES):
        raise ValueError(
            f"{file} is damaged: it has a label {records[:, 0].max()}, and CIFAR-10's are 0 to 9 (CIFAR-100 has two labels a record and is not read)"
        )
    return records


def open_cifar(path: Path, options: DataOptions, split: str) -> Cifar:
    """Raises ValueError where the split is not there, a file is damaged, or the size is another."""
    if (options.size, options.channels) != (SIZE, 3):
        raise ValueError(f"CIFAR-10 has pictures of {SIZE} x {SIZE} with 3 channels; set data.size={SIZE} and data.channels=3")
    return Cifar(find_folder(path), split, options.limit)


def inspect_cifar(path: Path) -> Report:
    """Reads every record's label, and counts."""
    folder = find_folder(path)
    splits, complaints = {}, []
    for split in FILES:
        if not any((folder / name).is_file() for name in FILES[split]):
            complaints.append(f"{FILES[split][0]} is missing")
            continue
        images = Cifar(folder, split)
        found = {
            "pictures": len(images),
            "sizes": {f"{SIZE} x {SIZE}": len(images)},
            "modes": {"RGB": len(images)},
            "broken": [],
        } | class_counts(images)
        found["official"], line = CIFAR_10.compare(split, found)
        splits[split] = found
        complaints += [*images.complaints, *([line] if line else [])]
    return Report("cifar10", str(folder), splits, tuple(complaints))
