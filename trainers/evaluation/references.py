"""Features of real pictures: computed once for a split, a feature network and a resize, and kept in a file that says what they are of."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.random import permutation
from trainers.bars import bar
from trainers.data.images import Batch, Images
from trainers.evaluation.moments import LARGEST, Accumulator, Moments
from trainers.features.base import Features, hash_of
from trainers.files import write_atomically

VERSION = 1  # of the files
KEEP = 20_000  # pictures whose features are kept: 1,280 numbers each are 100 MB
CHOICE = 0x45564C00  # the stream that chooses them
READ = 64  # pictures at a time


@dataclass(frozen=True)
class Real:
    """Features of a split's real pictures.

    moments: of all that were read, None above 4,096 dimensions. features (m, D), float32: of the kept ones, in random order, so that the first k are a fair sample; index
    (m,): which pictures of the split they are. total: pictures of the split; broken: left out of those read. hash: of all these numbers. about: what they are of.
    """

    moments: Moments | None
    features: Float[Tensor, "m d"]
    index: Int[Tensor, " m"]
    total: int
    read: int
    broken: int
    hash: str
    about: dict[str, Any]


def real_features(
    images: Images,
    features: Features,
    folder: Path | None = None,
    *,
    whole: bool = True,
    keep: int = KEEP,
    say: Callable[[str], None] = print,
) -> Real:
    """Reads them from `folder`, or computes and writes them there. whole: moments over every picture of the split; else only the kept ones are read.

    Raises ValueError where too many pictures are broken to leave two.
    """
    chosen = permutation(0, len(images), CHOICE)[:keep]
    whole = whole or len(chosen) == len(images)
    about = {
        "version": VERSION,
        "reader": images.reader,
        "split": images.split,
        "fingerprint": images.fingerprint,
        "pictures": len(images),
        "size": images.size,
        "channels": images.channels,
        "preparation": images.preparation,
        "features": features.about(),
        "kept": len(chosen),
        "whole": whole,
    }
    path = None if folder is None else folder / f"{file_name(about)}.safetensors"
    found = None if path is None or not path.exists() else _read(path, about, say)
    if found is not None:
        return found
    real = _computed(images, features, chosen, about)
    if path is not None:
        _write(path, real)
    return real


def file_name(about: dict[str, Any]) -> str:
    """FEATURES-SPLIT-HASH; the hash is that of everything they depend on."""
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", Path(about["features"]["name"]).name)
    return f"{name}-{about['split']}-{key}"


def _computed(images: Images, features: Features, chosen: Tensor, about: dict[str, Any]) -> Real:
    place = torch.full((len(images),), -1).scatter(0, chosen, torch.arange(len(chosen)))
    kept = torch.zeros(len(chosen), features.dimension)
    there = torch.zeros(len(chosen), dtype=torch.bool)
    sums = Accumulator(features.dimension) if features.dimension <= LARGEST else None
    count = broken = 0
    pieces = images.batches(READ) if about["whole"] else _some(images, chosen)
    with bar(len(images) if about["whole"] else len(chosen), f"{features.name} of {images.split}", "pictures") as shown:
        for batch in pieces:
            broken += len(batch.broken)
            shown.update(len(batch.index) + len(batch.broken))
            if not len(batch.index):
                continue
            found = features(torch.from_numpy(np.ascontiguousarray(batch.pixels)))
            count += len(found)
            if sums is not None:
                sums.update(found)
            rows = place[torch.from_numpy(batch.index).long()]
            kept[rows[rows >= 0]] = found[rows >= 0].float()
            there[rows[rows >= 0]] = True
    if count < 2:
        raise ValueError(
            f"{images.source or images.reader}: {count} pictures of split {images.split} can be read ({broken} are broken); scores need two at least"
        )
    moments = None if sums is None else sums.moments()
    numbers = kept[there], chosen[there]
    return Real(moments, *numbers, len(images), count, broken, _hash(moments, *numbers), about)


def _some(images: Images, chosen: Tensor) -> Iterator[Batch]:
    for rows in chosen.sort().values.split(READ):
        yield images.read(rows.tolist())


def _tensors(moments: Moments | None, features: Tensor, index: Tensor) -> dict[str, Tensor]:
    found = {"features": features.contiguous(), "index": index.contiguous()}
    return found if moments is None else found | {"mean": moments.mean.contiguous(), "covariance": moments.covariance.contiguous()}


def _hash(moments: Moments | None, features: Tensor, index: Tensor) -> str:
    return hash_of(_tensors(moments, features, index))


def _write(path: Path, real: Real) -> None:
    from safetensors.torch import save_file

    numbers = {"total": real.total, "read": real.read, "broken": real.broken, "hash": real.hash}
    metadata = {"about": json.dumps(real.about, sort_keys=True), "numbers": json.dumps(numbers)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda partial: save_file(_tensors(real.moments, real.features, real.index), partial, metadata))


def _read(path: Path, about: dict[str, Any], say: Callable[[str], None]) -> Real | None:
    """What a file holds; None, saying so, where it is damaged: it is made again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
            metadata = file.metadata() or {}
        numbers = json.loads(metadata["numbers"])
        sound = json.loads(metadata["about"]) == about and hash_of(tensors) == numbers["hash"]
    except (SafetensorError, OSError, KeyError, ValueError):
        sound, tensors, numbers = False, {}, {}
    if not sound:
        say(f"{path} is damaged; its statistics are computed again")
        return None
    moments = Moments(numbers["read"], tensors["mean"], tensors["covariance"]) if "mean" in tensors else None
    return Real(
        moments, tensors["features"], tensors["index"], numbers["total"], numbers["read"], numbers["broken"], numbers["hash"], about
    )
