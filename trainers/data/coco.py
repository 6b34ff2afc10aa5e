"""MS-COCO 2017: train2017/, val2017/ and annotations/captions_*.json, joined by the images' ids. Every caption is kept."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.data.images import Report
from trainers.data.listed import Listed, survey
from trainers.data.official import COCO
from trainers.data.stores import Store, hash_of, is_picture, open_store
from trainers.recipes.schema import DataOptions

FOLDERS = {"train": "train2017", "val": "val2017"}


@dataclass(frozen=True)
class Captions:
    """An annotation file: captions of every file name, in the file's order; how many captions belong to no image of it; how many were empty."""

    of: dict[str, tuple[str, ...]]
    orphans: int
    empty: int


def read_captions(data: bytes, source: object) -> Captions:
    """Raises ValueError naming the file, and where in it, unless it is {"images": [{id, file_name}], "annotations": [{image_id, caption}]}."""
    try:
        document = json.loads(data)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{source} is damaged: {error}; fetch it again") from error
    if not (isinstance(document, dict) and all(isinstance(document.get(key), list) for key in ("images", "annotations"))):
        raise ValueError(f"{source} is no COCO annotation file: it has no lists 'images' and 'annotations'")
    file_of: dict[int, str] = {}
    for place, image in enumerate(document["images"]):
        if not (isinstance(image, dict) and type(image.get("id")) is int and isinstance(image.get("file_name"), str)):
            raise ValueError(f"{source} is damaged: images[{place}] has no whole number 'id' and text 'file_name'")
        if image["id"] in file_of:
            raise ValueError(f"{source} is damaged: images[{place}] has the id {image['id']} a second time")
        file_of[image["id"]] = image["file_name"]
    found: dict[str, list[str]] = {name: [] for name in file_of.values()}
    orphans = empty = 0
    for place, annotation in enumerate(document["annotations"]):
        if not (isinstance(annotation, dict) and type(annotation.get("image_id")) is int and isinstance(annotation.get("caption"), str)):
            raise ValueError(f"{source} holds no captions: annotations[{place}] has no whole number 'image_id' and text 'caption'")
        caption = " ".join(annotation["caption"].split())
        if not caption:
            empty += 1
        elif annotation["image_id"] not in file_of:
            orphans += 1
        else:
            found[file_of[annotation["image_id"]]].append(caption)
    return Captions({name: tuple(captions) for name, captions in found.items()}, orphans, empty)


class Coco(Listed):
    """One split, pictures in the order of their file names. Where the condition is text, pictures without captions are left out and counted in complaints."""

    reader = "coco"

    def __init__(self, store: Store, split: str, options: DataOptions) -> None:
        folder = FOLDERS[split]
        names = [name for name in store.under(folder) if is_picture(name)]
        annotations = f"annotations/captions_{folder}.json"
        complaints = []
        of: dict[str, tuple[str, ...]] = {}
        if annotations in store.files:
            data = store.read(annotations)
            captions = read_captions(data, store.source / annotations)
            of = {f"{folder}/{name}": found for name, found in captions.of.items()}
            missing = [name for name in of if name not in store.files]
            lost = captions.orphans + sum(len(of[name]) for name in missing)
            if missing:
                complaints.append(f"{split}: {len(missing):,} images of {annotations} are not in {folder}/ ({missing[0]}, ...)")
            if lost:
                complaints.append(f"{split}: {lost:,} captions belong to images that are not there, and are left out")
            if captions.empty:
                complaints.append(f"{split}: {captions.empty:,} captions are empty and are left out")
            bare = [name for name in names if not of.get(name)]
            if bare:
                left_out = " and are left out" if options.condition == "text" else ""
                complaints.append(f"{split}: {len(bare):,} images of {folder}/ have no captions{left_out} ({bare[0]}, ...)")
            if options.condition == "text":
                names = [name for name in names if of.get(name)]
        else:
            data = b""
            complaints.append(f"{split}: {store.source / annotations} is missing, so there are no captions")
        super().__init__(store, names, split, options)
        if data:
            self.captions = [of.get(name, ()) for name in self.names]
            self.fingerprint = hash_of((self.fingerprint, data))
        self.complaints = tuple(complaints)


def is_coco(store: Store) -> bool:
    """By its folders."""
    return any(name.startswith((*(f"{folder}/" for folder in FOLDERS.values()), "annotations/captions_")) for name in store.files)


def open_coco(path: Path, options: DataOptions, split: str) -> Coco:
    """Raises ValueError where the folder of the split is not there, or the annotation file is damaged."""
    store = open_store(path)
    if not any(is_picture(name) for name in store.under(FOLDERS[split])):
        raise ValueError(
            f"{path} has no pictures in {FOLDERS[split]}/; MS-COCO 2017 has train2017/, val2017/ and annotations/captions_*.json"
        )
    return Coco(store, split, options)


def inspect_coco(store: Store) -> Report:
    """Decodes every picture and joins every caption."""
    path = store.source
    splits: dict[str, dict[str, Any]] = {}
    complaints = []
    for split, folder in FOLDERS.items():
        if not store.under(folder):
            complaints.append(f"{folder}/ is missing")
            continue
        images = Coco(store, split, DataOptions(reader="coco", path=str(path), condition="none"))
        found = survey(images)
        if images.captions is not None:
            found |= _captions(images.captions)
        found["official"], line = COCO.compare(split, found)
        complaints += [*images.complaints, *([line] if line else [])]
        splits[split] = found
    return Report("coco", str(path), splits, tuple(complaints))


def _captions(captions: Any) -> dict[str, Any]:
    each = Counter(len(found) for found in captions)
    return {"captions": sum(k * n for k, n in each.items()), "per picture": {str(k): n for k, n in sorted(each.items())}}


def inspect_annotations(path: Path) -> Report:
    """An annotation file by itself, without pictures."""
    captions = read_captions(path.read_bytes(), path)
    found: dict[str, Any] = {"pictures": 0, "listed": len(captions.of)} | _captions(captions.of.values())
    split = next((name for name, folder in FOLDERS.items() if folder in path.name), "captions")
    complaints = ["an annotation file by itself: there are no pictures to read"]
    if captions.orphans:
        complaints.append(f"{captions.orphans:,} captions belong to images that the file does not list")
    if captions.empty:
        complaints.append(f"{captions.empty:,} captions are empty")
    if split in COCO.pictures:
        found["official"], line = COCO.compare(split, found | {"pictures": len(captions.of)})
        complaints += [line] if line else []
    return Report("coco", str(path), {split: found}, tuple(complaints))
