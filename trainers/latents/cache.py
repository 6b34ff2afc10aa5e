"""Reads a cache: normalised latents of any items, from memory or from mapped shards."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainers.files import sha256_of
from trainers.latents.build import STATISTICS
from trainers.latents.captions import CaptionStates, open_captions
from trainers.latents.manifest import NAMED_BY_PATH, check_fits, read_manifest
from trainers.latents.normalisation import Moments, Normalisation
from trainers.latents.rows import Rows
from trainers.latents.tensors import Damaged, mapped
from trainers.recipes.schema import Recipe

IN_MEMORY = 512 * 2**20  # bytes of a split; beyond that its shards are mapped


def open_cache(folder: Path, split: str = "train", recipe: Recipe | None = None) -> "Cache":
    """One split of a cache. With a recipe: normalised as that says, and refused where it would have been made otherwise.

    Raises ValueError where there is no such cache, where it is unfinished, where a shard is missing or damaged, and where it does not fit.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        unnamed = recipe is not None and recipe.data.reader in NAMED_BY_PATH and recipe.data.path is None
        hint = " (unless named, that of a folder of pictures is found by --set data.path=FOLDER)" if unnamed else ""
        raise ValueError(
            f"{folder} is no cache; `python -m trainers cache {recipe.name if recipe else 'RECIPE'} --cache {folder}` makes one{hint}"
        )
    again = f"run `python -m trainers cache {manifest['recipe']} --cache {folder}` again, which makes what is missing"
    if recipe is not None:
        check_fits(folder, manifest, recipe)
    for needed in {"train", split}:  # normalisation is the training split's
        if not manifest["splits"].get(needed, {}).get("finished"):
            raise ValueError(f"the {needed} split of {folder} is not finished: {again}")
    try:
        return Cache(folder, split, manifest, recipe)
    except Damaged as damage:
        raise ValueError(f"{damage}: {again}") from damage


class Cache:
    """Latents of a split in the order of its pictures, broken ones left out. index (n,): their numbers in the source. Made by open_cache."""

    def __init__(self, folder: Path, split: str, manifest: dict[str, Any], recipe: Recipe | None) -> None:
        self.folder, self.split, self.manifest = folder, split, manifest
        self.shape: tuple[int, int, int] = tuple(manifest["shape"])
        self.classes: tuple[str, ...] = tuple(manifest["classes"])
        shards = manifest["splits"][split]["shards"]
        paths = [folder / shard["file"] for shard in shards]
        in_memory = sum(path.stat().st_size for path in paths if path.exists()) < IN_MEMORY
        files = [mapped(path) for path in paths]
        if in_memory:  # they are read whole anyway
            for path, shard in zip(paths, shards, strict=True):
                if sha256_of(path) != shard["sha256"]:
                    raise Damaged(f"{path} is damaged (its hash is not that in the manifest)")
        self._rows = {name: Rows([f[name] for f in files], in_memory) for name in files[0] if name.startswith("latents")}
        self.index: Int[Tensor, " n"] = torch.cat([f["index"] for f in files])
        self.labels: Int[Tensor, " n"] | None = torch.cat([f["labels"] for f in files]) if "labels" in files[0] else None
        self.may_flip: Bool[Tensor, " n"] = torch.cat([f["may_flip"] for f in files])
        self.names: Sequence[str] = Names([f["names"] for f in files], [shard["count"] for shard in shards])
        self.normalisation = Normalisation.by(recipe.autoencoder.normalise if recipe else manifest["normalise"], self._moments())
        text = recipe.text if recipe is not None and recipe.data.condition == "text" else None
        self.captions: CaptionStates | None = None if text is None else open_captions(text, folder, split)

    def __len__(self) -> int:
        return len(self.index)

    def read(
        self, index: Int[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None, posterior: Float[Tensor, "b k h w"] | None = None
    ) -> Float[Tensor, "b k h w"]:
        """Normalised latents of some items, float32. flip: mirrored pictures, where may_flip allows. posterior: normal numbers, for a draw from a KL's posterior.

        Raises ValueError where the cache has no mirrored latents, or no posterior.
        """
        x = self._stored("latents", index, flip).float()
        if self._rows["latents"].dtype == torch.uint8:
            x = x.div_(127.5).sub_(1)
        if posterior is not None:
            if "latents_std" not in self._rows:
                raise ValueError(f"{self.folder} holds no posterior; it is kept for autoencoder.kind=kl with autoencoder.posterior=sample")
            x += posterior * self._stored("latents_std", index, flip).float()
        return x.sub_(self.normalisation.center).div_(self.normalisation.spread)

    def batches(self, size: int) -> Iterator[tuple[Float[Tensor, "b k h w"], Int[Tensor, " b"]]]:
        """All items in order, unflipped: normalised latents and the rows they are."""
        for start in range(0, len(self), size):
            index = torch.arange(start, min(start + size, len(self)))
            yield self.read(index), index

    def _stored(self, name: str, index: Tensor, flip: Tensor | None) -> Tensor:
        x = self._rows[name].take(index)
        if flip is None:
            return x
        flip = flip & self.may_flip[index]
        if not flip.any():
            return x
        if x.dtype == torch.uint8:
            x[flip] = x[flip].flip(-1)
            return x
        mirrored = name.replace("latents", "latents_flip")
        if mirrored not in self._rows:
            raise ValueError(f"{self.folder} holds no mirrored latents; it was made with data.flip=false")
        x[flip] = self._rows[mirrored].take(index[flip])
        return x

    def _moments(self) -> Moments:
        path = self.folder / STATISTICS
        tensors = mapped(path)
        if sha256_of(path) != self.manifest["statistics"]["sha256"]:
            raise Damaged(f"{path} is damaged (its hash is not that in the manifest)")
        return Moments(self.manifest["statistics"]["count"], tensors["mean"], tensors["squares"])


class Names(Sequence[str]):
    """Names of the items, decoded shard by shard as they are asked for."""

    def __init__(self, texts: Sequence[Tensor], counts: Sequence[int]) -> None:
        self._texts, self._starts = texts, torch.tensor([0, *counts]).cumsum(0)
        self._shards: dict[int, list[str]] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(f"name {i} of {len(self)}")
        i %= len(self)
        shard = int(torch.searchsorted(self._starts, i, right=True)) - 1
        if shard not in self._shards:
            self._shards[shard] = bytes(self._texts[shard].numpy()).decode().split("\n")
        return self._shards[shard][i - int(self._starts[shard])]
