"""Downsampled ImageNet, 64 or 32 pixels, in its official npz files: train_data_batch_1.npz to _10 and val_data.npz.

Keys: data (n, 3 S S) uint8, all of red, then green, then blue; labels, 1 to 1000 in the devkit's order (1 is n02119789, a kit fox), not in that of sorted WordNet
ids; mean, which is not used. Pictures were box-filtered to a square by their makers, without a crop. Names come from map_clsloc.txt beside the files or above them.

Arrays stored uncompressed, as the official ones are, are mapped into memory; of compressed ones a single archive is held at a time. An archive's check sums are
verified when it is first read from.
"""

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from numpy.lib import format as npy

from trainers.bars import QUIET, track
from trainers.data.images import Batch, Images, Report, class_counts
from trainers.data.official import IMAGENET_32, IMAGENET_64
from trainers.data.stores import hash_of
from trainers.data.synsets import devkit_order, readable
from trainers.recipes.schema import DataOptions

CLASSES = 1000
BATCHES = 10
MAP = "map_clsloc.txt"
KIT_FOX = "n02119789"
OFFICIAL = {64: IMAGENET_64, 32: IMAGENET_32}
# What zipfile and numpy raise on damaged files.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, TokenError, SyntaxError, TypeError, ValueError, MemoryError)
LOCAL_HEADER = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Archive:
    """One npz file: how many pictures, of which size, their labels from 0, where `data` begins if it is stored plainly, and the check sums of its entries."""

    path: Path
    count: int
    size: int
    labels: Int[np.ndarray, " n"]
    offset: int | None
    sums: tuple[tuple[str, int, int], ...]

    def check(self) -> None:
        """Reads it all against its check sums. Raises ValueError naming it."""
        with _reading(self.path), zipfile.ZipFile(self.path) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as file:
                    while file.read(1 << 22):
                        pass

    def pixels(self) -> UInt8[np.ndarray, "n d"]:
        """All pictures, mapped or, where they are compressed, read."""
        shape = (self.count, 3 * self.size**2)
        if self.offset is not None:
            return np.memmap(self.path, np.uint8, "r", self.offset, shape) if self.count else np.zeros(shape, np.uint8)
        with _reading(self.path), np.load(self.path, allow_pickle=False) as arrays:
            return arrays["data"]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What goes wrong inside an archive becomes one sentence that names it."""
    try:
        yield
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged: {error}; fetch it again") from error


def read_archive(path: Path) -> Archive:
    """Reads the headers and the labels of one npz file, strictly. Raises ValueError naming the file and what is wrong."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        for key in ("data", "labels"):
            if f"{key}.npy" not in entries:
                raise ValueError(f"it has no array '{key}' (it has {', '.join(sorted(entries)) or 'none'})")
        with archive.open("labels.npy") as file:
            labels = npy.read_array(file, allow_pickle=False)
        with archive.open("data.npy") as file:
            shape, planar, dtype, length = _header(file)
        data = entries["data.npy"]
        size = round((shape[1] / 3) ** 0.5) if len(shape) == 2 else 0
        if dtype != np.uint8 or planar or size not in OFFICIAL or shape[1] != 3 * size**2:
            raise ValueError(f"'data' is {dtype} {shape}, and n pictures of 64 or 32 pixels are uint8 (n, 12288) or (n, 3072)")
        if data.file_size != length + shape[0] * shape[1]:
            raise ValueError(f"'data' takes {data.file_size:,} bytes, and {shape} needs {length + shape[0] * shape[1]:,}")
        if labels.shape != shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(f"'labels' is {labels.dtype} {labels.shape}, and {shape[0]} whole numbers are needed")
        if labels.size and not (labels.min() >= 1 and labels.max() <= CLASSES):
            raise ValueError(f"'labels' run from {labels.min()} to {labels.max()}, and the devkit's are 1 to {CLASSES}")
        offset = None
        if data.compress_type == zipfile.ZIP_STORED:
            with path.open("rb") as file:
                file.seek(data.header_offset)
                head = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            offset = data.header_offset + LOCAL_HEADER.size + head[9] + head[10] + length
        sums = tuple((entry.filename, entry.file_size, entry.CRC) for entry in archive.infolist())
    return Archive(path, shape[0], size, labels.astype(np.int64) - 1, offset, sums)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, planar, dtype = read(file)
    return shape, planar, dtype, file.tell()


def find_archives(path: Path) -> dict[str, list[Path]]:
    """The npz files of each split, below `path` or in a folder in it, batches in the order of their numbers. Raises ValueError where one is there twice, or pickled only."""
    files = [path] if path.is_file() else sorted([*path.glob("*"), *path.glob("*/*")])
    found: dict[str, dict[int, Path]] = {"train": {}, "val": {}}
    pickled: dict[tuple[str, int], Path] = {}
    for file in files:
        each = re.fullmatch(r"(?:train_data_batch_(\d+)|val_data)(\.npz)?", file.name)
        if each is None or not file.is_file():
            continue
        split, number = "train" if each[1] else "val", int(each[1] or 0)
        if each[2] is None:
            pickled[split, number] = file
        elif number in found[split]:
            raise ValueError(f"{found[split][number]} and {file} are the same batch; keep one of them")
        else:
            found[split][number] = file
    for (split, number), file in pickled.items():
        if number not in found[split]:
            why = "is of the pickled variant of downsampled ImageNet, and unpickling executes whatever code a file holds"
            raise ValueError(f"{file} {why}: take the npz one (Imagenet64_train_part1_npz.zip and the like)")
    return {split: [batches[number] for number in sorted(batches)] for split, batches in found.items() if batches}


def class_names(path: Path, archives: list[Path]) -> tuple[tuple[str, ...], str | None]:
    """Names in the order of the labels, and a line where the map is missing or its order is not the devkit's."""
    for folder in dict.fromkeys([path if path.is_dir() else path.parent, archives[0].parent, archives[0].parent.parent, path.parent]):
        file = folder / MAP
        if file.is_file():
            ids, names = devkit_order(file.read_text(encoding="utf-8", errors="replace"), file)
            odd = (
                None
                if ids[0] == KIT_FOX
                else f"{file} gives label 1 to {ids[0]}, and the devkit gives it to {KIT_FOX}: its order is another"
            )
            return readable(ids, names), odd
    return tuple(
        f"class {k}" for k in range(1, CLASSES + 1)
    ), f"{MAP} is neither beside the npz files nor above them: classes are numbered 1 to {CLASSES}"


class ImagenetNpz(Images):
    """One split of 64 pixels."""

    reader = "imagenet64"

    def __init__(self, path: Path, files: list[Path], split: str, limit: int | None = None) -> None:
        self.archives = [read_archive(file) for file in track(files, len(files), "archives", "files", wait=QUIET, leave=False)]
        sizes = {archive.size: archive.path for archive in self.archives}
        if len(sizes) > 1:
            raise ValueError(
                f"{' and '.join(map(str, sizes.values()))} hold pictures of {' and '.join(map(str, sizes))} pixels; keep one size in a folder"
            )
        super().__init__(source=path, split=split, size=self.archives[0].size)
        self.ends = np.cumsum([archive.count for archive in self.archives])
        self.labels = np.concatenate([archive.labels for archive in self.archives])[:limit]
        self.may_flip = np.ones(len(self.labels), dtype=bool)
        self.preparation = "box-filtered to a square by its makers"
        self.classes, line = class_names(path, files)
        missing = sorted(set(range(1, BATCHES + 1)) - {int(file.stem.rsplit("_", 1)[1]) for file in files}) if split == "train" else []
        lost = f"train: of ten batches {', '.join(f'{number}' for number in missing)} are missing" if missing else None
        self.complaints = tuple(each for each in (line, lost) if each)
        self.fingerprint = hash_of([(archive.path.name, *archive.sums) for archive in self.archives] + [len(self)])
        self._checked: set[int] = set()
        self._open: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.labels) if self.labels is not None else 0

    def name(self, index: int) -> str:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return f"{self.archives[which].path.name}:{index - int(self.ends[which]) + self.archives[which].count}"

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        for first in range(start, stop, size):
            index = np.arange(first, min(first + size, stop))
            place = np.searchsorted(self.ends, index, side="right")
            rows = np.concatenate([self._rows(which, index[place == which]) for which in np.unique(place)])
            yield Batch(index, rows.reshape(-1, 3, self.size, self.size))

    def _rows(self, which: np.integer, index: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n d"]:
        archive = self.archives[which]
        if self._open is None or self._open[0] != which:
            if which not in self._checked:
                archive.check()
                self._checked.add(int(which))
            self._open = None  # before the next is read: two compressed ones would take 3 GB
            self._open = (int(which), archive.pixels())
        first = int(self.ends[which]) - archive.count
        return np.array(self._open[1][index[0] - first : index[-1] + 1 - first])


class Imagenet32(ImagenetNpz):
    """The same at 32 pixels."""

    reader = "imagenet32"


def open_imagenet(path: Path, options: DataOptions, split: str) -> ImagenetNpz:
    """Raises ValueError where the split is not there, an archive is damaged, or the size is another."""
    if not path.exists():
        raise ValueError(f"{path} is not there")
    files = find_archives(path).get(split)
    if not files:
        wanted = "train_data_batch_1.npz to train_data_batch_10.npz" if split == "train" else "val_data.npz"
        raise ValueError(f"{path} has no {wanted} (looked there and one folder down)")
    images = (Imagenet32 if options.reader == "imagenet32" else ImagenetNpz)(path, files, split, options.limit)
    if options.reader != _reader(images.size) or (options.size, options.channels) != (images.size, 3):
        cure = f"set data.reader={_reader(images.size)}, data.size={images.size} and data.channels=3"
        raise ValueError(f"{path} holds pictures of {images.size} x {images.size} with 3 channels; {cure}")
    return images


def _reader(size: int) -> str:
    return f"imagenet{size}"


def inspect_imagenet(path: Path) -> Report:
    """Reads every archive against its check sums, and counts."""
    splits, complaints, reader = {}, [], "imagenet64"
    found = find_archives(path)
    for split, files in found.items():
        images = ImagenetNpz(path, files, split)
        reader = _reader(images.size)
        for archive in track(images.archives, len(files), split, "archives", wait=QUIET):
            archive.check()
        splits[split] = {
            "pictures": len(images),
            "archives": len(files),
            "sizes": {f"{images.size} x {images.size}": len(images)},
            "modes": {"RGB": len(images)},
            "broken": [],
        } | class_counts(images)
        splits[split]["official"], line = OFFICIAL[images.size].compare(split, splits[split])
        complaints += [*images.complaints, *([line] if line else [])]
    complaints += [
        f"{name} is missing"
        for split, name in (("train", "train_data_batch_*.npz"), ("val", "val_data.npz"))
        if split not in found and path.is_dir()
    ]
    return Report(reader, str(path), splits, tuple(dict.fromkeys(complaints)))
