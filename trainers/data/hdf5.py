"""HDF5 as LOOM-CFM has it: train/ and val/ with shards (.h5, .hdf5), pictures under the key "image".

In a shard, "image" is one array of uint8 (n, h, w, 3) or (n, 3, h, w); or each picture is a group or array "0", "1", ... of its own, with "image" in it where it is a
group. There are no classes and no captions. Pairs files, shards with groups "0", "1", ... of source and target that a model made for reflow, are told apart and
described by `python -m trainers data`; they are no pictures, but a reflow recipe takes them for its pairs (trainers.hdf5_pairs).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from trainers.bars import QUIET, track
from trainers.data.images import Batch, Broken, Images, Report, tasted
from trainers.data.pictures import PREPARATIONS, to_square
from trainers.data.stores import hash_of
from trainers.recipes.schema import DataOptions

ENDINGS = (".h5", ".hdf5")
KEY = "image"
FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation", "test")}
# What h5py raises on damaged files.
DAMAGE = (OSError, RuntimeError, LookupError, TypeError, AttributeError, ValueError)


@dataclass(frozen=True)
class Shard:
    """One file: how many pictures or pairs, and how they lie in it: "array", "groups" of KEY, "arrays" or "pairs"."""

    path: Path
    count: int
    layout: str


def read_shard(path: Path) -> Shard:
    """Looks at a file's keys. Raises ValueError naming it where it is damaged or has another layout."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            keys = list(file)
            found: Any = file.get(KEY, file.get("0"))
            if isinstance(found, h5py.Dataset) and found.name == f"/{KEY}":
                if found.ndim != 4 or found.dtype != np.uint8 or 3 not in (found.shape[1], found.shape[3]):
                    raise ValueError(f"'{KEY}' is {found.dtype} {found.shape}, and pictures are uint8 (n, h, w, 3) or (n, 3, h, w)")
                return Shard(path, found.shape[0], "array")
            numbered = [key for key in keys if key.isdecimal()]
            if found is None or not numbered or sorted(map(int, numbered)) != list(range(len(numbered))):
                raise ValueError(f"it has neither '{KEY}' nor '0', '1', ... (it has {', '.join(keys[:5]) or 'nothing'})")
            if isinstance(found, h5py.Dataset):
                return Shard(path, len(numbered), "arrays")
            for layout, wanted in (("pairs", {"source", "target"}), ("groups", {KEY})):
                if wanted <= set(found):
                    return Shard(path, len(numbered), layout)
            raise ValueError(f"group '0' has {', '.join(found) or 'nothing'}, and neither '{KEY}' nor 'source' and 'target'")
    except DAMAGE as error:
        raise ValueError(f"{path} is damaged or of another layout: {error}") from error


def find_shards(path: Path) -> dict[str, list[Path]]:
    """The files of each split: of train/ and val/ (valid, validation, test), else of `path` itself as split train. Raises ValueError where `path` is not there."""
    if not path.exists():
        raise ValueError(f"{path} is not there")
    if path.is_file():
        return {"train": [path]}
    found = {}
    for split, folders in FOLDERS.items():
        files = next((files for folder in folders if (files := _shards(path / folder))), [])
        if files:
            found[split] = files
    return found or ({"train": files} if (files := _shards(path)) else {})


def _shards(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in ENDINGS and not file.name.startswith("."))


class Hdf5(Images):
    """One split, shard after shard."""

    reader = "hdf5"

    def __init__(self, path: Path, shards: list[Shard], split: str, options: DataOptions) -> None:
        super().__init__(source=path, split=split, size=options.size, channels=options.channels)
        self.shards = shards
        self.ends = np.cumsum([shard.count for shard in shards])
        self.count = min(int(self.ends[-1]), options.limit or int(self.ends[-1]))
        self.may_flip = np.ones(self.count, dtype=bool)
        self._how, self.preparation = options.preparation, PREPARATIONS[options.preparation]
        named = (part for shard in shards for part in (shard.path.name, shard.path.stat().st_size, shard.count))
        self.fingerprint = hash_of((*named, *self._tasted())) + f"-{self.count}"

    def _tasted(self) -> Iterator[bytes]:
        """The contents of a few pictures, evenly spread: arrays of one shape have files of one size."""
        for k in tasted(self.count):
            found = next(self.stored(k, k + 1))
            if not isinstance(found, Broken):
                yield found.tobytes()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        which = int(np.searchsorted(self.ends, index, side="right"))
        return f"{self.shards[which].path.name}:{index - int(self.ends[which]) + self.shards[which].count}"

    def batches(self, size: int = 64, start: int = 0, stop: int | None = None) -> Iterator[Batch]:
        stop = len(self) if stop is None else min(stop, len(self))
        stored = self.stored(start, stop)
        for first in range(start, stop, size):
            index, pixels, broken = [], [], []
            for k in range(first, min(first + size, stop)):
                found = next(stored)
                if isinstance(found, Broken):
                    broken.append(found)
                    continue
                index.append(k)
                pixels.append(to_square(Image.fromarray(found), self.size, self.channels, self._how))
            own = np.stack(pixels) if pixels else np.zeros((0, self.channels, self.size, self.size), np.uint8)
            yield Batch(np.array(index, dtype=np.int64), own, tuple(broken))

    def stored(self, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "h w 3"] | Broken]:
        """Pictures as they lie in the files. Raises ValueError naming a file of which no more can be read."""
        import h5py

        for which, shard in enumerate(self.shards):
            first = int(self.ends[which]) - shard.count
            if first + shard.count <= start or first >= stop:
                continue
            try:
                with h5py.File(shard.path, "r") as file:
                    for k in range(max(start - first, 0), min(stop - first, shard.count)):
                        yield _picture(file, shard, k)
            except DAMAGE as error:
                raise ValueError(f"{shard.path} is damaged: {error}") from error


def _picture(file: Any, shard: Shard, k: int) -> UInt8[np.ndarray, "h w 3"] | Broken:
    array = file[KEY][k] if shard.layout == "array" else file[f"{k}/{KEY}" if shard.layout == "groups" else str(k)][()]
    if array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] == 3:
        return array
    if array.ndim == 3 and array.dtype == np.uint8 and array.shape[0] == 3:
        return np.ascontiguousarray(array.transpose(1, 2, 0))
    return Broken(f"{shard.path.name}:{k}", f"it is {array.dtype} {array.shape}, and a picture is uint8 (h, w, 3) or (3, h, w)")


def open_hdf5(path: Path, options: DataOptions, split: str) -> Hdf5:
    """Raises ValueError where the split is not there, a file is damaged, or it holds pairs."""
    found = find_shards(path)
    if split not in found:
        cure = "put shards into train/ and val/" if path.is_dir() else "name the folder that has train/ and val/"
        raise ValueError(
            f"{path} has no HDF5 files for split {split} (it has {', '.join(found) or 'none'}); {cure}, or set data.held_out_split=train"
        )
    shards = [read_shard(file) for file in found[split]]
    for shard in shards:
        if shard.layout == "pairs":
            raise ValueError(
                f"{shard.path} holds pairs of source and target for reflow, not pictures; name its folder in coupling.pairs of a reflow recipe"
            )
    return Hdf5(path, shards, split, options)


def inspect_hdf5(path: Path) -> Report:
    """Reads every picture; of pairs, counts and shapes."""
    splits: dict[str, dict[str, Any]] = {}
    complaints = []
    for split, files in find_shards(path).items():
        shards = [read_shard(file) for file in track(files, len(files), "files", "files", wait=QUIET, leave=False)]
        pairs = [shard for shard in shards if shard.layout == "pairs"]
        pictures = [shard for shard in shards if shard.layout != "pairs"]
        if pairs:
            splits[f"{split} (pairs)" if pictures else "pairs"] = _pairs(pairs)
            complaints.append(
                f"{sum(shard.count for shard in pairs):,} pairs of source and target, as a model made them for reflow: not pictures to train on"
            )
        if not pictures:
            continue
        images = Hdf5(path, pictures, split, DataOptions(reader="hdf5", path=str(path)))
        sizes, broken = Counter(), []
        for found in track(images.stored(0, len(images)), len(images), split, "pictures", wait=QUIET):
            if isinstance(found, Broken):
                broken.append({"name": found.name, "why": found.why})
            else:
                sizes[f"{found.shape[1]} x {found.shape[0]}"] += 1
        splits[split] = {
            "pictures": len(images),
            "files": len(pictures),
            "sizes": dict(sizes.most_common(8)),
            "modes": {"RGB": len(images)},
            "broken": broken,
        }
    return Report("hdf5", str(path), splits, tuple(complaints))


def _pairs(shards: list[Shard]) -> dict[str, Any]:
    import h5py

    shapes: Counter[str] = Counter()
    for shard in shards:
        try:
            with h5py.File(shard.path, "r") as file:
                for k in track(range(shard.count), shard.count, shard.path.name, "pairs", wait=QUIET):
                    source, target = (np.asarray(file[f"{k}/{key}"]) for key in ("source", "target"))
                    if source.shape != target.shape:
                        raise ValueError(f"pair {k} has a source {source.shape} and a target {target.shape}")
                    shapes[f"{source.dtype} {'x'.join(map(str, source.shape))}"] += 1
        except DAMAGE as error:
            raise ValueError(f"{shard.path} is damaged: {error}") from error
    return {"pairs": sum(shapes.values()), "files": len(shards), "shapes": dict(shapes.most_common(8))}
