"""Captions of a split and their states: encoded once into fp16 shards where that fits, else as they are used.

SPLIT/captions.json holds the texts of every item. SPLIT/text-HASH/ holds states of all texts in order and, as the last, of the null caption "".
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainers.bars import track
from trainers.files import read_json, sha256_of, write_json
from trainers.latents.rows import Rows
from trainers.latents.tensors import Damaged, mapped, write_tensors
from trainers.recipes.schema import TextOptions
from trainers.text import TextEncoder, encoder_hash, load_encoder

VERSION = 1
TEXTS = 4096  # in a shard
LARGEST_CACHE = 8 * 10**9  # bytes of a split's states; 590,000 captions of COCO with 77 tokens of CLIP would take 47 GB
IN_MEMORY = 512 * 2**20


class CaptionStates:
    """counts (n,) of captions of each item; texts, item by item. Caption number len(texts) is the null caption "", of no item. Made by `open_captions`."""

    def __init__(self, captions: Sequence[Sequence[str]], states: Callable[[Int[Tensor, " b"]], Float[Tensor, "b rows e"]]) -> None:
        self.texts = list(chain.from_iterable(captions))
        self.counts: Int[Tensor, " n"] = torch.tensor([len(each) for each in captions])
        self.null = len(self.texts)
        self._first = torch.tensor([0, *accumulate(len(each) for each in captions)])
        self._states = states

    @property
    def hash(self) -> str:
        """Of the texts and their order."""
        return _hash([*self.texts, ""])

    def __len__(self) -> int:
        """Captions, the null one not counted."""
        return len(self.texts)

    def pick(self, index: Int[Tensor, " b"], uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """A caption of each item, evenly among its own by a number in [0, 1); the null caption for an item without."""
        counts = self.counts[index]
        drawn = (uniforms.double() * counts).long().clamp(max=counts - 1)
        return torch.where(counts > 0, self._first[index] + drawn, self.null)

    def states(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b rows e"]:
        """Pooled embedding and token states of captions, float32."""
        return self._states(numbers)

    def text(self, number: int) -> str:
        return "" if number == self.null else self.texts[number]

    def owner(self, number: int) -> int:
        """The item that a caption is of. Raises ValueError for the null caption."""
        if not 0 <= number < self.null:
            raise ValueError(f"caption {number} is of no item; captions are 0 to {self.null - 1}")
        return int(torch.searchsorted(self._first, number, right=True)) - 1


def build_captions(options: TextOptions, folder: Path, split: str, *, say: Callable[[str], None] = print) -> None:
    """Encodes the captions of a split, shard by shard, going on where an earlier run ended. Raises ValueError for a split without captions."""
    captions = _read(folder, split)
    home = _home(options, folder, split)
    texts: list[str] = [*chain.from_iterable(captions), ""]
    manifest = _manifest(home) if (home / "manifest.json").exists() else None
    count = -(-len(texts) // TEXTS)
    if manifest is not None and manifest["texts"] != _hash(texts):
        manifest = None
    if manifest is not None and (manifest["shards"] is None or _whole(home, manifest, count)):
        return
    encoder = load_encoder(options).to("cuda" if torch.cuda.is_available() else "cpu")
    size = 2 * len(texts) * encoder.rows * encoder.width
    stored = size <= LARGEST_CACHE
    home.mkdir(parents=True, exist_ok=True)
    hashes = list(manifest["shards"]) if manifest is not None else []
    written: dict[str, Any] = {
        "version": VERSION,
        "encoder": options.path,
        "texts": _hash(texts),
        "captions": len(texts) - 1,
        "shape": [encoder.rows, encoder.width],
    }
    if not stored:
        write_json(home / "manifest.json", written | {"shards": None})
        limit = f"{LARGEST_CACHE / 1e9:.0f} GB"
        say(
            f"{split}: states of {len(texts) - 1} captions would take {size / 1e9:.0f} GB, more than {limit}: they are encoded as they are used"
        )
        return
    for number in track(range(count), count, f"{split} captions", f"shards of {TEXTS:,}"):
        path = home / f"shard-{number:05d}.safetensors"
        if number < len(hashes) and path.is_file() and sha256_of(path) == hashes[number]:
            continue
        states = encoder.encode(texts[number * TEXTS : (number + 1) * TEXTS])
        largest = float(states.abs().max())
        if not largest <= torch.finfo(torch.float16).max:
            raise ValueError(f"{encoder.name} gives states as large as {largest:g}, which fp16 cannot hold")
        write_tensors(path, {"states": states.half().cpu()})
        hashes[number:] = [sha256_of(path), *hashes[number + 1 :]]
        write_json(home / "manifest.json", written | {"shards": hashes})
    say(f"{split}: states of {len(texts) - 1} captions, {size / 1e6:.1f} MB")


def open_captions(options: TextOptions, folder: Path, split: str) -> CaptionStates:
    """Of a split whose captions were built. Raises ValueError where they were not; Damaged for a shard that is missing or damaged."""
    captions = _read(folder, split)
    home = _home(options, folder, split)
    texts: list[str] = [*chain.from_iterable(captions), ""]
    if not (home / "manifest.json").exists():
        raise ValueError(
            f"{folder} has no states of the {split} captions by {options.path} with max_tokens={options.max_tokens}; run cache for this recipe"
        )
    manifest = _manifest(home)
    if manifest["shards"] is None:
        return CaptionStates(captions, _AsUsed(options, texts))
    count = -(-len(texts) // TEXTS)
    if manifest["texts"] != _hash(texts) or len(manifest["shards"]) < count:
        raise Damaged(f"the states in {home} are not finished")
    paths = [home / f"shard-{number:05d}.safetensors" for number in range(count)]
    in_memory = 2 * len(texts) * manifest["shape"][0] * manifest["shape"][1] < IN_MEMORY
    parts = [mapped(path)["states"] for path in paths]
    if in_memory:
        for path, sha256 in zip(paths, manifest["shards"], strict=True):
            if sha256_of(path) != sha256:
                raise Damaged(f"{path} is damaged (its hash is not that in the manifest)")
    rows = Rows(parts, in_memory)
    if len(rows) != len(texts):
        raise Damaged(f"{home} holds states of {len(rows)} captions, where the split has {len(texts)}")
    return CaptionStates(captions, lambda numbers: rows.take(numbers).float())


class _AsUsed:
    """States of captions that were too many to keep; the encoder is loaded at the first use."""

    def __init__(self, options: TextOptions, texts: Sequence[str]) -> None:
        self._options, self._texts = options, texts
        self._encoder: TextEncoder | None = None

    def __call__(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b rows e"]:
        if self._encoder is None:
            self._encoder = load_encoder(self._options).to("cuda" if torch.cuda.is_available() else "cpu")
        return self._encoder.encode([self._texts[int(number)] for number in numbers.tolist()]).cpu()


def _read(folder: Path, split: str) -> list[list[str]]:
    path = folder / split / "captions.json"
    if not path.exists():
        raise ValueError(
            f"{folder} has no captions for its {split} split; set data.condition=class or none, or use a data set with captions"
        )
    return read_json(path)


def _manifest(home: Path) -> dict[str, Any]:
    """Raises ValueError where it is damaged or lacks what this version writes."""
    manifest = read_json(home / "manifest.json")
    lacking = [key for key in ("texts", "captions", "shape", "shards") if not isinstance(manifest, dict) or key not in manifest]
    if lacking:
        raise ValueError(
            f"{home / 'manifest.json'} lacks {lacking[0]!r}: it is damaged, or of a version before this one; remove {home} and run cache again"
        )
    return manifest


def _hash(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def _home(options: TextOptions, folder: Path, split: str) -> Path:
    return folder / split / f"text-{encoder_hash(options)[:12]}"


def _whole(home: Path, manifest: dict[str, Any], count: int) -> bool:
    if len(manifest["shards"]) != count:
        return False
    paths = [home / f"shard-{number:05d}.safetensors" for number in range(count)]
    return all(path.is_file() and sha256_of(path) == sha256 for path, sha256 in zip(paths, manifest["shards"], strict=True))
