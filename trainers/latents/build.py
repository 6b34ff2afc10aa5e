"""Builds a cache: every picture is encoded once, shard by shard. Whatever kills it, the next run goes on after the last whole shard."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from safetensors import safe_open
from torch import Tensor

from trainers.autoencoders import autoencoder_hash
from trainers.bars import QUIET, Bar, Lines, bar
from trainers.data import Images, open_images
from trainers.files import sha256_of, write_json
from trainers.latents.captions import build_captions
from trainers.latents.encode import Encoder
from trainers.latents.manifest import VERSION, asked, check_same, read_manifest, write_manifest
from trainers.latents.normalisation import Moments
from trainers.latents.tensors import mapped, note_of, write_tensors
from trainers.recipes.schema import Recipe
from trainers.text import encoder_hash

ITEMS = 1024  # pictures in a shard
BATCH = 32
STATISTICS, CAPTIONS = "statistics.safetensors", "captions.json"


def build_cache(
    recipe: Recipe,
    folder: Path,
    *,
    say: Callable[[str], None] = print,
    splits: Sequence[str] = ("train", "val"),
    items: int = ITEMS,
    fits: Callable[[int], object] | None = None,
) -> None:
    """Encodes the splits of a recipe into `folder`. A whole cache is checked (every shard's hash) and left; missing and damaged shards are made again.

    fits is called with the number of pictures that are listed for training, before anything is encoded, and raises ValueError where they cannot be used.

    Raises ValueError where the folder was made otherwise, naming the difference, where no picture could be read, and where latents overflow fp16.
    """
    made = asked(recipe) | {"autoencoder hash": autoencoder_hash(recipe.autoencoder)}
    names = {"train": recipe.data.train_split, "val": recipe.data.held_out_split}
    images = {split: open_images(recipe.data, names[split]) for split in splits}
    if fits is not None and "train" in images:
        fits(len(images["train"]))
    if recipe.data.condition == "text":
        encoder_hash(recipe.text)  # what is missing is said before hours of encoding, and before there is a folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder, say):
        build = _Build(recipe, folder, _begun(recipe, folder, made, items), say)
        for split in splits:
            build.split(split, names[split], images[split])
        if recipe.data.condition == "text":
            for split in splits:
                build_captions(recipe.text, folder, split, say=say)


@contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Of two who need the same cache, one makes it and the other waits, and says so."""
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"another process is making {folder}; this one waits until it has ended")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _begun(recipe: Recipe, folder: Path, made: dict[str, Any], items: int) -> dict[str, Any]:
    manifest = read_manifest(folder)
    if manifest is None:
        strangers = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
        if strangers:
            raise ValueError(
                f"{folder} holds {', '.join(sorted(strangers)[:3])} and no manifest.json: it is no cache; name an empty folder with --cache"
            )
        name = recipe.autoencoder.path or recipe.autoencoder.kind
        manifest = {
            "version": VERSION,
            "recipe": recipe.name,
            "made": made | {"autoencoder name": name},
            "normalise": recipe.autoencoder.normalise,
            "items": items,
            "shape": None,
            "classes": [],
            "statistics": None,
            "splits": {},
        }
        write_manifest(folder, manifest)
    check_same(folder, manifest["made"], made)
    return manifest


class _Build:
    """One run over the splits of a cache."""

    def __init__(self, recipe: Recipe, folder: Path, manifest: dict[str, Any], say: Callable[[str], None]) -> None:
        self.recipe, self.folder, self.manifest, self.say = recipe, folder, manifest, say
        self.key = hashlib.sha256(json.dumps(manifest["made"], sort_keys=True).encode()).hexdigest()
        self.encoder = Encoder(recipe)
        self.said: set[str] = set()

    def split(self, split: str, name: str, images: Images) -> None:
        """Makes what is missing of one split, which the source calls `name`, and its statistics and captions."""
        entry = self._entry(split, name, images)
        known: dict[str, Any] = {shard["file"]: shard for shard in entry["shards"]}
        changed = not entry["finished"]
        with bar(len(images), f"{split} latents", "pictures", wait=QUIET if entry["finished"] else 0) as shown:
            for number, start in enumerate(range(0, len(images), self.manifest["items"])):
                file, stop = f"{split}/shard-{number:05d}.safetensors", min(start + self.manifest["items"], len(images))
                if file not in known:
                    shard = self._adopted(images, file, start, stop)
                else:
                    shard = known[file] if self._sound(known[file]) else None
                if shard is None:
                    shard = self._encoded(images, file, start, stop, shown)
                else:
                    shown.skip(stop - start)
                if shard is not known.get(file):
                    changed, entry["finished"], known[file] = True, False, shard
                    entry["shards"] = [known[each] for each in sorted(known)]
                    write_manifest(self.folder, self.manifest)
        shards = entry["shards"]
        if changed or not self._finished(split, entry):
            self._finish(split, images, entry, shards)
            for line in images.complaints:
                if line not in self.said:
                    self.say(f"note: {line}")
                    self.said.add(line)
        broken = sum(len(shard["broken"]) for shard in shards)
        left_out = f", {broken} broken and left out" if broken else ""
        self.say(f"{split}: {entry['count']} of {entry['listed']} pictures in {len(shards)} shards{left_out}")

    def _entry(self, split: str, name: str, images: Images) -> dict[str, Any]:
        now = {
            "split": name,
            "fingerprint": images.fingerprint,
            "listed": len(images),
            "prepared": images.preparation,
        }
        source = None if images.source is None else str(images.source.resolve())
        entry = self.manifest["splits"].get(split)
        if entry is None:
            entry = now | {"source": source, "shards": [], "finished": False, "count": 0, "captions sha256": None}
            self.manifest["splits"][split] = entry
            self.manifest["classes"] = list(images.classes)
        if entry["source"] != source and entry["fingerprint"] != now["fingerprint"]:
            raise ValueError(
                f"{self.folder} holds the latents of other pictures, those of {entry['source']}; for those of {source} name another folder with --cache"
            )
        check_same(self.folder, entry, now)
        moved = entry["source"] != source  # which pictures may
        if moved and source is not None and entry["source"] is not None:
            self.say(
                f"{name}: the latents in {self.folder} were made from {entry['source']}; {source} has the same pictures, by names, sizes and a taste of contents"
            )
        entry["source"] = source
        entry["notes"] = list(images.complaints)  # how they fell into splits, and what is left out
        if moved:
            write_manifest(self.folder, self.manifest)
        return entry

    def _sound(self, shard: dict[str, Any]) -> bool:
        path = self.folder / shard["file"]
        if path.is_file() and sha256_of(path) == shard["sha256"]:
            return True
        self.say(f"{path} is {'damaged' if path.exists() else 'missing'}: making it again")
        return False

    def _adopted(self, images: Images, file: str, start: int, stop: int) -> dict[str, Any] | None:
        """A whole shard of this very cache that was written just before a kill, and not yet in the manifest."""
        path = self.folder / file
        if not path.is_file():
            return None
        note = json.loads(note_of(path) or "{}")
        if note.get("made") != self._made(images, start, stop):
            return None
        return {"file": file, "count": note["count"], "sha256": sha256_of(path), "broken": note["broken"]}

    def _made(self, images: Images, start: int, stop: int) -> str:
        return hashlib.sha256(f"{self.key} {images.split} {images.fingerprint} {start} {stop}".encode()).hexdigest()

    def _encoded(self, images: Images, file: str, start: int, stop: int, shown: Bar | Lines) -> dict[str, Any]:
        rows: list[dict[str, Tensor]] = []
        broken: list[dict[str, str]] = []
        for batch in images.batches(BATCH, start, stop):
            index = torch.from_numpy(batch.index).long()
            if len(index):
                rows.append({"index": index} | self.encoder.rows(torch.from_numpy(batch.pixels), _may_flip(images, index)))
            broken += [{"name": each.name, "why": each.why} for each in batch.broken]
            shown.update(len(index) + len(batch.broken))
        if not rows:
            rows = [{"index": torch.zeros(0, dtype=torch.int64)} | self.encoder.blank()]
        tensors = {name: torch.cat([each[name] for each in rows]) for name in rows[0]}
        index = tensors["index"]
        tensors |= self._facts(images, index)
        moments = Moments.of(_raw(tensors["latents"]), tensors.get("latents_std"))
        tensors |= {"moments.mean": moments.mean, "moments.squares": moments.squares}
        note = {"made": self._made(images, start, stop), "count": len(index), "broken": broken}
        path = self.folder / file
        path.parent.mkdir(exist_ok=True)
        write_tensors(path, tensors, json.dumps(note))
        return {"file": file, "count": len(index), "sha256": sha256_of(path), "broken": broken}

    def _facts(self, images: Images, index: Tensor) -> dict[str, Tensor]:
        numbers = index.numpy()
        names = "\n".join(images.name(int(i)).replace("\n", " ") for i in numbers)
        facts = {"may_flip": _may_flip(images, index), "names": torch.frombuffer(bytearray(names.encode() + b"\n"), dtype=torch.uint8)}
        if images.labels is not None:
            facts["labels"] = torch.from_numpy(images.labels[numbers]).long()
        return facts

    def _finished(self, split: str, entry: dict[str, Any]) -> bool:
        """Whether what is computed from the shards is there and sound."""
        expected = {f"{split}/{CAPTIONS}": entry["captions sha256"]}
        if split == "train":
            expected[STATISTICS] = self.manifest["statistics"]["sha256"]
        paths = {self.folder / file: sha256 for file, sha256 in expected.items() if sha256 is not None}
        return all(path.is_file() and sha256_of(path) == sha256 for path, sha256 in paths.items())

    def _finish(self, split: str, images: Images, entry: dict[str, Any], shards: list[dict[str, Any]]) -> None:
        entry["count"] = sum(shard["count"] for shard in shards)
        if not entry["count"]:
            first = next((f"{each['name']}: {each['why']}" for shard in shards for each in shard["broken"]), "the split is empty")
            raise ValueError(f"no picture of {images.split} could be read ({first})")
        self.manifest["shape"] = list(mapped(self.folder / shards[0]["file"])["latents"].shape[1:])
        if split == "train":
            self._write_statistics(shards)
        if images.captions is not None:
            entry["captions sha256"] = self._write_captions(split, images, shards)
        entry["finished"] = True
        write_manifest(self.folder, self.manifest)

    def _write_statistics(self, shards: list[dict[str, Any]]) -> None:
        parts = []
        for shard in shards:
            with safe_open(self.folder / shard["file"], "pt") as opened:
                parts.append(Moments(shard["count"], opened.get_tensor("moments.mean"), opened.get_tensor("moments.squares")))
        moments = Moments.merged(parts)
        path = self.folder / STATISTICS
        write_tensors(path, {"mean": moments.mean, "squares": moments.squares})
        (channel_mean, channel_std), (mean, std) = moments.over((1, 2)), moments.over((0, 1, 2))
        self.manifest["statistics"] = {
            "sha256": sha256_of(path),
            "count": moments.count,
            "mean": float(mean),
            "std": float(std),
            "channel mean": channel_mean.flatten().tolist(),
            "channel std": channel_std.flatten().tolist(),
        }

    def _write_captions(self, split: str, images: Images, shards: list[dict[str, Any]]) -> str:
        assert images.captions is not None
        captions = []
        for shard in shards:
            with safe_open(self.folder / shard["file"], "pt") as opened:
                captions += [list(images.captions[i]) for i in opened.get_tensor("index").tolist()]
        path = self.folder / split / CAPTIONS
        write_json(path, captions)
        return sha256_of(path)


def _may_flip(images: Images, index: Tensor) -> Tensor:
    return torch.ones(len(index), dtype=torch.bool) if images.may_flip is None else torch.from_numpy(images.may_flip[index.numpy()])


def _raw(stored: Tensor) -> Tensor:
    return stored.double() / 127.5 - 1 if stored.dtype == torch.uint8 else stored
