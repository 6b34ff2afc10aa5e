"""Pairs files of LOOM-CFM, HDF5 shards with groups "0", "1", ... of source and target, as pairs to train on: x_0 and x_1 are taken as they are stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lab.stored_pairs import StoredPairs
from trainers.bars import QUIET, track
from trainers.data.hdf5 import DAMAGE, ENDINGS, read_shard
from trainers.recipes.schema import Recipe

MANIFEST = "manifest.json"  # of pairs that `python -m trainers pairs` made


def pairs_files(folder: Path) -> list[Path]:
    """The HDF5 files of a folder, or the file itself, in order; none of a folder of pairs that were made here, whatever else lies in it."""
    if (folder / MANIFEST).is_file():
        return []
    files = [folder] if folder.is_file() else sorted(folder.glob("*"))
    return [file for file in files if file.suffix.lower() in ENDINGS and not file.name.startswith(".")]


def read_pairs(recipe: Recipe, folder: Path) -> StoredPairs:
    """All pairs of a folder's files, float32, in memory.

    Raises ValueError for files that are damaged or hold no pairs, for values that are no finite floating-point numbers (c, h, w) of one shape, and for a recipe that they
    do not fit: they have no conditions, and nobody says how their numbers were normalised.
    """
    for name, wanted in (("data.condition", "none"), ("autoencoder.normalise", "none"), ("prior.kind", "standard")):
        section, _, key = name.partition(".")
        own = getattr(getattr(recipe, section), key)
        if own != wanted:
            raise ValueError(
                f"{folder} holds pairs of HDF5, which are used as they are stored, without conditions; --set {name}={wanted}, not {own}"
            )
    expected = (recipe.data.channels, recipe.data.size, recipe.data.size) if recipe.autoencoder.kind == "none" else None
    noises, samples = [], []
    for file in pairs_files(folder):
        shard = read_shard(file)
        if shard.layout != "pairs":
            raise ValueError(f"{file} holds pictures, not pairs of source and target")
        for k, (noise, sample) in enumerate(_values(file, shard.count)):
            shape = expected or (samples[0].shape if samples else sample.shape)
            if noise.shape != sample.shape or sample.shape != shape or sample.ndim != 3:
                raise ValueError(
                    f"{file}: pair {k} is {noise.shape} and {sample.shape}; it must be {shape} twice, as the others and the recipe are"
                )
            if not (np.isfinite(noise).all() and np.isfinite(sample).all()):
                raise ValueError(f"{file}: pair {k} holds numbers that are not finite")
            noises.append(noise)
            samples.append(sample)
    return StoredPairs(torch.from_numpy(np.stack(noises)), torch.from_numpy(np.stack(samples)))


def _values(file: Path, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Source and target of each pair, float32."""
    import h5py

    try:
        with h5py.File(file, "r") as found:
            opened: Any = found
            for k in track(range(count), count, file.name, "pairs", wait=QUIET):
                group = opened[str(k)]
                pair = [group[name][()] for name in ("source", "target")]
                if not all(np.issubdtype(each.dtype, np.floating) for each in pair):
                    raise ValueError(
                        f"pair {k} is {pair[0].dtype} and {pair[1].dtype}; pairs are floating-point numbers in the model's own units"
                    )
                yield tuple(each.astype(np.float32) for each in pair)
    except DAMAGE as error:
        raise ValueError(f"{file} cannot be used: {error}") from error
