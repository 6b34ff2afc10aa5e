"""manifest.json: what a cache was made from and how, which shards it has, and whether another recipe's latents would be the same."""

import re
from pathlib import Path
from typing import Any

from trainers.autoencoders import autoencoder_hash
from trainers.files import read_json, write_json
from trainers.recipes.schema import Recipe

VERSION = 1
NAME = "manifest.json"
NAMED_BY_PATH = ("folder", "hdf5")  # readers of anybody's pictures; the others' names say which pictures they read
KEYS = ("recipe", "made", "normalise", "items", "shape", "classes", "statistics", "splits")
SPLIT_KEYS = ("split", "fingerprint", "listed", "prepared", "source", "shards", "finished", "count", "captions sha256")
SHARD_KEYS = ("file", "count", "sha256", "broken")


def default_folder(recipe: Recipe, runs: Path) -> Path:
    """runs/cache/READER-SIZE-AUTOENCODER, and what else is out of the ordinary: emoji-64-taef2, folder-flowers-64-taef2, coco-256-vq-f8-squash-limit-500.

    A folder of one's own pictures gives the cache its name; two folders of one name need --cache, which is said where they meet.
    """
    data, autoencoder = recipe.data, recipe.autoencoder
    parts = [data.reader, str(data.size), "pixels" if autoencoder.kind == "none" else autoencoder.kind]
    if data.reader in NAMED_BY_PATH and data.path:
        parts.insert(1, _slug(Path(data.path).expanduser().resolve().name))
    if autoencoder.path:
        parts.append(_slug(Path(autoencoder.path).name))
    if data.preparation != "centre-crop":
        parts.append(data.preparation)
    if autoencoder.kind == "kl" and autoencoder.posterior == "sample":
        parts.append("sample")
    if autoencoder.kind != "none" and not data.flip:
        parts.append("unflipped")
    if data.limit is not None:
        parts.append(f"limit-{data.limit}")
    return runs / "cache" / "-".join(filter(None, parts))


def _slug(text: str) -> str:
    return re.sub(r"(?:[^\w.]|_)+", "-", re.sub(r"\.(safetensors|tar|h5|hdf5)$", "", text.lower())).strip("-.")


def asked(recipe: Recipe) -> dict[str, Any]:
    """What a recipe's latents depend on, apart from the pictures themselves and the autoencoder's weights."""
    data, autoencoder = recipe.data, recipe.autoencoder
    pixels = autoencoder.kind == "none"
    return {
        "reader": data.reader,
        "size": data.size,
        "channels": data.channels,
        "preparation": data.preparation,
        "limit": data.limit,
        "flip": data.flip and not pixels,  # pixels are mirrored as they are read
        "autoencoder": autoencoder.kind,
        "posterior": autoencoder.posterior if autoencoder.kind == "kl" else "mean",
        "dtype": "uint8" if pixels else "float16",
    }


def check_same(folder: Path, made: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises ValueError naming every difference, with both values."""
    found = [f"{name} {made.get(name)!r} in the cache, {value!r} now" for name, value in now.items() if made.get(name) != value]
    if found:
        raise ValueError(f"{folder} was made otherwise: {'; '.join(found)}; name another folder with --cache, or remove this one")


def check_fits(folder: Path, manifest: dict[str, Any], recipe: Recipe) -> None:
    """Whether a training by this recipe may read this cache, as far as that shows without the pictures. Raises ValueError naming every difference."""
    now = asked(recipe)
    made = dict(manifest["made"])
    path = recipe.autoencoder.path
    if path is None or Path(path).exists():
        now["autoencoder hash"] = autoencoder_hash(recipe.autoencoder)
    else:  # a hub's name, which needs no network here
        now["autoencoder name"] = path
    for split, name in (("train", recipe.data.train_split), ("val", recipe.data.held_out_split)):
        if split in manifest["splits"]:
            made[f"{split} split"], now[f"{split} split"] = manifest["splits"][split]["split"], name
            source = manifest["splits"][split]["source"]
            if recipe.data.path is not None and source is not None:
                made["source"], now["source"] = source, str(Path(recipe.data.path).expanduser().resolve())
    check_same(folder, made, now)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """None where there is none. Raises ValueError where it is damaged, of another version, or lacks what this version writes."""
    if not (folder / NAME).exists():
        return None
    manifest = read_json(folder / NAME)
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        version = manifest.get("version") if isinstance(manifest, dict) else None
        raise ValueError(
            f"{folder / NAME} is of version {version}; this program reads version {VERSION}: remove the folder and run cache again"
        )
    _check_keys(folder, manifest)
    return manifest


def _check_keys(folder: Path, manifest: dict[str, Any]) -> None:
    parts: list[tuple[dict[str, Any], tuple[str, ...], str]] = [(manifest, KEYS, "")]
    for split, entry in (manifest.get("splits") or {}).items():
        parts.append((entry, SPLIT_KEYS, f" of its {split} split"))
        parts += [(shard, SHARD_KEYS, f" of a shard of its {split} split") for shard in entry.get("shards", ())]
    for found, keys, where in parts:
        for key in keys:
            if key not in found:
                raise ValueError(
                    f"{folder / NAME} lacks {key!r}{where}: it is damaged, or of a version before this one; remove {folder} and run cache again"
                )


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    write_json(folder / NAME, manifest)
