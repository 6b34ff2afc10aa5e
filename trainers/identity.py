"""Which data a training has seen, as its checkpoints say, so that it is gone on with over the same."""

import hashlib
from pathlib import Path
from typing import Any

from trainers.checkpoints import Checkpoint
from trainers.files import read_json, sha256_of
from trainers.hdf5_pairs import pairs_files
from trainers.latents.manifest import read_manifest
from trainers.recipes import Recipe
from trainers.text import encoder_hash

HASH = 32  # characters that a hash has at least


def identity(recipe: Recipe, cache: Path) -> dict[str, Any]:
    """For JSON: how many pictures each split of the cache holds and the fingerprint of their source, the classes, and the hashes of autoencoder, text encoder and captions;
    of a reflow, its pairs. Not where any of it lies.
    """
    if recipe.coupling.kind == "pairs":
        assert recipe.coupling.pairs is not None
        if files := pairs_files(Path(recipe.coupling.pairs)):
            return {"pairs files": len(files), "pairs sha256": hashlib.sha256("".join(map(sha256_of, files)).encode()).hexdigest()}
        manifest = read_json(Path(recipe.coupling.pairs) / "manifest.json")
        hashes = "".join([manifest["teacher_sha256"], *(shard["sha256"] for shard in manifest["shards"])])
        found = {"pairs": manifest["n"], "pairs seed": manifest["seed"], "pairs sha256": hashlib.sha256(hashes.encode()).hexdigest()}
        return found | {"captions": manifest["captions"], "text encoder": manifest["text_encoder"]}
    manifest = read_manifest(cache)
    assert manifest is not None, "the cache was opened before"
    found: dict[str, Any] = {"classes": manifest["classes"], "autoencoder": manifest["made"]["autoencoder hash"]}
    for split, entry in manifest["splits"].items():
        found |= {f"{split} pictures": entry["count"], f"{split} fingerprint": entry["fingerprint"]}
    if recipe.data.condition == "text":
        found |= {f"{split} captions": sha256_of(cache / split / "captions.json") for split in manifest["splits"]}
        found["text encoder"] = encoder_hash(recipe.text)
    return found


def check_same_data(checkpoint: Checkpoint, now: dict[str, Any]) -> None:
    """Raises ValueError naming every difference between the data of a checkpoint and those at hand; prior, order and assignment table belong to the former."""
    before = checkpoint.facts.get("data")
    if before is None:
        raise ValueError(f"{checkpoint.folder} does not say which data it was trained on: an earlier version wrote it; name another --run")
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    differing.sort(key=lambda name: _is_hash(before.get(name)))  # what people can read comes first
    changed = [f"{name} {_told(before.get(name))}, now {_told(now.get(name))}" for name in differing]
    if changed:
        raise ValueError(
            f"{checkpoint.folder} was trained on other data ({'; '.join(changed)}); bring those back, or name another --run to begin anew"
        )


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) >= HASH


def _told(value: object) -> object:
    return f"{str(value)[:8]}..." if _is_hash(value) else value
