"""Folders of pictures, or a tar of one: ImageNet, FFHQ, and any tree of class folders.

    train/CLASS/*.JPEG, val/CLASS/*.JPEG    classes are the folders of train/, in sorted order; val may be called valid, validation or test
    train/*.png, val/*.png                  no classes
    CLASS/*.jpg                             a tenth of each class is held out, by a hash of the pictures' names
    *.png                                   no classes; every tenth picture by sorted name is held out
    00000/00000.png, ...                    FFHQ's thousands: no classes; 60000 and on are held out, as published

train/ without val/ is split likewise. A folder that holds nothing but one other is looked through.
Names of classes come from map_clsloc.txt, class_names.txt, LOC_synset_mapping.txt or words.txt beside.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainers.data.images import Report, class_counts
from trainers.data.listed import Listed, survey
from trainers.data.official import FFHQ, IMAGENET, TINY_IMAGENET, Official
from trainers.data.stores import Store, is_picture, open_store
from trainers.data.synsets import MAPS, names_by_id, readable
from trainers.recipes.schema import DataOptions

HELD_OUT = ("val", "valid", "validation", "test")
TENTH = 10
FFHQ_TRAIN = 60_000
COCO_FOLDERS = {f"{split}2017" for split in ("train", "val", "test", "unlabeled")}


@dataclass(frozen=True)
class Layout:
    """How the pictures of a store fall into splits and classes. `ids`: class folders; `label`: of a picture, where there are classes."""

    kind: str
    splits: dict[str, list[str]]
    ids: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    label: dict[str, int] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()
    parted: bool = False  # val was parted from train here


def layout_of(store: Store) -> Layout:
    """Reads the tree of a store. Raises ValueError where there are no pictures, and where they are those of MS-COCO, whose folders are no classes."""
    pictures = [name for name in store.files if is_picture(name)]
    if not pictures:
        endings = Counter(Path(name).suffix or name for name in store.files).most_common(3)
        there = ", ".join(f"{count:,} {ending}" for ending, count in endings) or "nothing"
        if any(Path(name).name.startswith(("train_data", "val_data")) and name.endswith(".npz") for name in store.files):
            raise ValueError(f"{store.source} holds npz files of downsampled ImageNet; set data.reader=imagenet64 (or imagenet32)")
        raise ValueError(f"{store.source} holds no pictures (looked for .jpg, .png, .webp and the like, at any depth; found {there})")
    root = _root(pictures)
    within = {name: name[len(root) :] for name in pictures}
    folders = {path.split("/", 1)[0] for path in within.values() if "/" in path}
    if folders and folders <= COCO_FOLDERS:
        raise ValueError(
            f"{store.source} holds the pictures of MS-COCO, and {', '.join(sorted(folders))} are no classes; set data.reader=coco"
        )
    names = _names(store, root)
    if "train" in folders:
        splits = {split: {n: p.split("/", 1)[1] for n, p in within.items() if p.startswith(f"{split}/")} for split in ("train", *HELD_OUT)}
        splits = {split: found for split, found in splits.items() if found}
        outside = len(pictures) - sum(map(len, splits.values()))
        line = f"{outside:,} pictures lie outside {', '.join(f'{split}/' for split in splits)} and are not read"
        return with_held_out(_by_class("folders for splits", splits, names, [line] if outside else []))
    if _is_ffhq(within.values()):
        return _ffhq(pictures)
    if len(folders) < 2:
        return with_held_out(Layout("pictures without classes", {"train": pictures}))
    return with_held_out(_by_class("folders for classes", {"train": within}, names, []))


def with_held_out(layout: Layout) -> Layout:
    """With every tenth picture held out where the tree itself holds out none: by sorted name, and of classes as many of each as can be (n / 10, rounded up or down).

    Fewer than ten pictures are all trained on.
    """
    if set(layout.splits) & set(HELD_OUT):
        return layout
    pictures = layout.splits["train"]
    line = "no split of its own: every tenth picture, by sorted name, is held out"
    if layout.label:
        line = "no split of its own: of each class a tenth of the pictures, by a hash of their names, is held out"
        pictures = sorted(pictures, key=lambda name: (layout.label[name], hashlib.sha256(Path(name).name.encode()).digest(), name))
    if len(pictures) < TENTH:
        line = f"no split of its own, and fewer than {TENTH} pictures: none is held out"
    splits = {split: sorted(found) for split, found in _every_tenth(pictures).items()}
    return replace(layout, splits=splits, complaints=(*layout.complaints, line), parted="val" in splits)


def _by_class(kind: str, splits: dict[str, dict[str, str]], names: dict[str, str], complaints: list[str]) -> Layout:
    """splits: for each, the pictures and their paths within it. A split whose folders are not those of train/ keeps its pictures and has no labels."""
    ids = tuple(sorted({path.split("/", 1)[0] for path in splits["train"].values() if "/" in path}))
    if len(ids) < 2:
        return Layout("pictures without classes", {split: list(found) for split, found in splits.items()}, complaints=tuple(complaints))
    numbers = {each: k for k, each in enumerate(ids)}
    kept: dict[str, list[str]] = {}
    label: dict[str, int] = {}
    for split, found in splits.items():
        of = {name: path.split("/", 1)[0] for name, path in found.items() if "/" in path}
        loose, strange = [name for name in found if name not in of], sorted(set(of.values()) - set(ids))
        kept[split] = list(of or found)
        if not of:
            complaints.append(f"{split}/ has pictures but no class folders, and so no labels; sort them into folders named as in train/")
        elif loose:
            complaints.append(f"{split}: {len(loose):,} pictures lie in no class folder and are left out ({loose[0]}, ...)")
        if strange:
            complaints.append(
                f"{split}/ has the class {strange[0]}, which train/ has not, and so no labels; class folders must be named alike"
            )
        else:
            label |= {name: numbers[each] for name, each in of.items()}
    return Layout(kind, kept, ids, readable(ids, names), label, tuple(complaints))


def _ffhq(pictures: list[str]) -> Layout:
    trained = [int(Path(name).stem) < FFHQ_TRAIN for name in pictures]
    if all(trained) or not any(trained):
        line = f"this piece of FFHQ lies on one side of {FFHQ_TRAIN:,}: every tenth picture is held out instead of the published 10,000"
        return Layout("FFHQ", _every_tenth(pictures), complaints=(line,))
    splits = {split: [name for name, own in zip(pictures, trained, strict=True) if own == (split == "train")] for split in ("train", "val")}
    return Layout("FFHQ", splits)


def _root(pictures: list[str]) -> str:
    """The folder below which the tree begins: down through folders that hold nothing but one other."""
    root = ""
    while True:
        tops = {name[len(root) :].split("/", 1)[0] if "/" in name[len(root) :] else "" for name in pictures}
        if len(tops) > 1 or tops & {"", "train"}:
            return root
        root += f"{tops.pop()}/"


def _is_ffhq(paths: Any) -> bool:
    found = [re.fullmatch(r"(\d{5})/(\d{5})\.\w+", path) for path in paths]
    return all(each and int(each[1]) == int(each[2]) // 1000 * 1000 for each in found)


def _every_tenth(pictures: list[str]) -> dict[str, list[str]]:
    held_out = pictures[TENTH - 1 :: TENTH]
    return {"train": [name for k, name in enumerate(pictures) if k % TENTH != TENTH - 1]} | ({"val": held_out} if held_out else {})


def _names(store: Store, root: str) -> dict[str, str]:
    for name in MAPS:
        if f"{root}{name}" in store.files:
            return names_by_id(store.read(f"{root}{name}").decode("utf-8", errors="replace"))
    return {}


class Folders(Listed):
    """One split of a folder or tar."""

    reader = "folder"

    def __init__(self, store: Store, layout: Layout, split: str, options: DataOptions) -> None:
        names = layout.splits[split]
        super().__init__(store, names, split, options)
        self.classes = layout.classes
        if layout.label and names and names[0] in layout.label:
            self.labels = np.array([layout.label[name] for name in self.names], dtype=np.int64)
        self.complaints = layout.complaints


def open_folders(path: Path, options: DataOptions, split: str) -> Folders:
    """Raises ValueError naming the cure where the split is not there."""
    store = open_store(path)
    layout = layout_of(store)
    wanted = _held_out(layout) if split == "val" else split
    if wanted not in layout.splits:
        there = ", ".join(layout.splits)
        cure = "put pictures that are not trained on into val/ beside train/" if split == "val" else "name one of these"
        raise ValueError(
            f"{path} has no split '{split}' (it has {there}, as {layout.kind}); {cure}, or set data.held_out_split={next(iter(layout.splits))}"
        )
    images = Folders(store, layout, wanted, options)
    images.split = split
    return images


def _held_out(layout: Layout) -> str:
    """The split that is called val here, by its own name."""
    return next((name for name in HELD_OUT if name in layout.splits), "val")


def _official(layout: Layout, splits: dict[str, dict[str, Any]]) -> Official | None:
    """The published data set that this is, or is a piece of."""
    if layout.kind == "FFHQ":
        return FFHQ
    if layout.ids and all(re.fullmatch(r"n\d{8}", each) for each in layout.ids):
        return TINY_IMAGENET if all(set(found["sizes"]) <= {"64 x 64"} for found in splits.values()) else IMAGENET
    return None


def _compare(layout: Layout, splits: dict[str, dict[str, Any]]) -> list[str]:
    """Enters into the splits whether they are as published; a line for each that is not. What was parted here is compared as the one split that it was."""
    official, lines = _official(layout, splits), []
    if official is None:
        return []
    for split, found in splits.items():
        role = "val" if split == _held_out(layout) else split
        if layout.parted and split == "train":
            # The fewest and the most of a class in both parts do not add up to those of the whole, and are not compared.
            found = {"pictures": sum(each["pictures"] for each in splits.values()), "classes": found.get("classes", 0)}
            official = replace(official, per_class=None)
        elif layout.parted or role not in official.pictures:
            continue
        splits[split]["official"], line = official.compare(role, found)
        lines += [line] if line else []
    return lines


def inspect_folders(store: Store, published: bool = False) -> Report:
    """Decodes every picture of every split. `published`: the archive has the hash that it is published with."""
    path = store.source
    layout = layout_of(store)
    splits: dict[str, dict[str, Any]] = {}
    for split in layout.splits:
        images = Folders(store, layout, split, DataOptions(reader="folder", path=str(path)))
        splits[split] = survey(images) | class_counts(images)
    complaints = _compare(layout, splits)
    others = [name for name in store.files if not is_picture(name) and Path(name).name not in MAPS]
    if others:
        complaints.append(f"{len(others):,} other files are not read ({', '.join(others[:3])}{', ...' if len(others) > 3 else ''})")
    if published:
        splits = {split: found | {"archive": "MD5 as published"} for split, found in splits.items()}
    return Report("folder", str(path), splits, (*layout.complaints, *complaints))
