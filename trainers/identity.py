"""Which data a training has seen, as its checkpoints say, so that it is gone on with over the same."""

import hashlib
from pathlib import Path
from typing import Any

from trainers.checkpoints import Checkpoint
from trainers.files import read_json
from trainers.latents.manifest import read_manifest
from trainers.recipes import Recipe


def identity(recipe: Recipe, cache: Path) -> dict[str, Any]:
    """For JSON: how many pictures each split of the cache holds and the fingerprint of their source, and the classes; of a reflow, its pairs. Not where any of it lies."""
    if recipe.coupling.kind == "pairs":
        assert recipe.coupling.pairs is not None
        manifest = read_json(Path(recipe.coupling.pairs) / "manifest.json")
        hashes = "".join(shard["sha256"] for shard in manifest["shards"])
        return {"pairs": manifest["n"], "pairs sha256": hashlib.sha256(hashes.encode()).hexdigest()}
    manifest = read_manifest(cache)
    assert manifest is not None, "the cache was opened before"
    found: dict[str, Any] = {"classes": manifest["classes"]}
    for split, entry in manifest["splits"].items():
        found |= {f"{split} pictures": entry["count"], f"{split} fingerprint": entry["fingerprint"]}
    return found


def check_same_data(checkpoint: Checkpoint, now: dict[str, Any]) -> None:
    """Raises ValueError naming every difference between the data of a checkpoint and those at hand; prior, order and assignment table belong to the former."""
    before = checkpoint.facts.get("data")
    if before is None:
        raise ValueError(f"{checkpoint.folder} does not say which data it was trained on: an earlier version wrote it; name another --run")
    changed = [f"{name} {before.get(name)}, now {now.get(name)}" for name in {**before, **now} if before.get(name) != now.get(name)]
    if changed:
        raise ValueError(
            f"{checkpoint.folder} was trained on other data ({'; '.join(changed)}); bring those back, or name another --run to begin anew"
        )
