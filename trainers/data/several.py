"""Data sets that lie side by side in one folder: recognised by names alone, so that the one which is meant can be asked for."""

import re
from pathlib import Path

from trainers.data.stores import is_picture

SPLITS = ("train", "val", "valid", "validation", "test")  # folders of one data set, not several
ARCHIVE = re.compile(r"(train_data_batch_\d+|val_data)(\.npz)?")
CIFAR = re.compile(r"(data_batch_\d|test_batch)(\.bin)?")


def data_sets_in(folder: Path) -> dict[Path, str]:
    """What lies in a folder and is a data set by its own marks, and what it is. Class folders have none; what begins with a dot is not looked at."""
    found = {}
    for each in sorted(folder.iterdir()):
        kind = None if each.name.startswith(".") else (_folder(each) if each.is_dir() else _file(each.name))
        if kind:
            found[each] = kind
    return found


def _file(name: str) -> str | None:
    if name.lower().endswith(".tar"):
        return "tar"
    return "captions of MS-COCO" if re.fullmatch(r"captions_\w+\.json", name) else None


def _folder(folder: Path) -> str | None:
    names = {each.name for each in folder.iterdir()}
    if {"train2017", "val2017"} & names:
        return "MS-COCO"
    inside = names | {each.name for split in (*SPLITS, "npz") if (folder / split).is_dir() for each in (folder / split).iterdir()}
    if any(map(ARCHIVE.fullmatch, inside)):
        return "ImageNet-64 or -32"
    if any(map(CIFAR.fullmatch, names)):
        return "CIFAR-10"
    if any(name.lower().endswith((".h5", ".hdf5")) for name in names):
        return "HDF5"
    return "pictures in train/" if (folder / "train").is_dir() else None


def several(folder: Path) -> str | None:
    """The sentence to refuse a folder with, which names each data set in it and the command to look at it; None where it is itself one or holds none."""
    found = data_sets_in(folder)
    packed = [kind for kind in found.values() if kind in ("tar", "MS-COCO")]  # what is not looked for below the top
    if not found or (len(found) == 1 and not packed) or _is_one(folder):
        return None
    if len(found) == 1 and any(is_picture(each.name) or (each.is_dir() and each not in found) for each in folder.iterdir()):
        return None
    count = f"{len(found)} data sets" if len(found) > 1 else "a data set"
    commands = "; ".join(f"{each.name} ({kind}): `python -m trainers data {each}`" for each, kind in found.items())
    return f"{folder} holds {count} and is none itself; look at {'one of them' if len(found) > 1 else 'that'}: {commands}"


def _is_one(folder: Path) -> bool:
    """Whether the folder has the marks of a data set at its own top."""
    names = {each.name for each in folder.iterdir()}
    return bool({"train", "train2017", "val2017"} & names) or any(ARCHIVE.fullmatch(n) or CIFAR.fullmatch(n) for n in names)
