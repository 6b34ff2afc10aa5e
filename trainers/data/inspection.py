"""What lies at a path: the layouts are tried by the files that only they have, and the one that fits is read to the end."""

from pathlib import Path

from trainers.data.images import Report
from trainers.data.official import check_archive
from trainers.data.several import ARCHIVE, CIFAR, several
from trainers.data.stores import PACKED, is_picture, open_store

LAYOUTS = (
    "train_data_batch_1.npz (ImageNet-64 and -32)",
    "train2017/ and annotations/ (MS-COCO)",
    "data_batch_1.bin (CIFAR-10, binary version)",
    ".h5 or .hdf5 (LOOM-CFM)",
    "pictures in folders, or a .tar of them",
)


def inspect_path(path: Path) -> Report:
    """See `trainers.data.inspect`."""
    if str(path) in ("emoji", "digits") and not path.exists():
        return _embedded(str(path))
    if not path.exists():
        raise ValueError(f"{path} is not there (the words emoji and digits name what comes with the project)")
    name = path.name.lower()
    if path.is_file() and name.endswith(".json"):
        from trainers.data.coco import inspect_annotations

        return inspect_annotations(path)
    refused = several(path) if path.is_dir() else None
    if refused:
        raise ValueError(refused)
    names = (
        [path.name]
        if path.is_file()
        else [*_names(path), *(inner for each in sorted(path.iterdir()) if each.is_dir() for inner in _names(each))]
    )
    if any(map(ARCHIVE.fullmatch, names)):
        from trainers.data.imagenet_npz import inspect_imagenet

        return inspect_imagenet(path)
    if any(map(CIFAR.fullmatch, names)):
        from trainers.data.cifar import inspect_cifar

        return inspect_cifar(path if path.is_dir() else path.parent)
    if any(each.lower().endswith((".h5", ".hdf5")) for each in names):
        from trainers.data.hdf5 import inspect_hdf5

        return inspect_hdf5(path)
    return _pictures(path)


def _embedded(word: str) -> Report:
    if word == "digits":
        from trainers.data.digits import inspect_digits

        return inspect_digits()
    from trainers.data.emoji import inspect_emoji

    return inspect_emoji()


def _pictures(path: Path) -> Report:
    from trainers.data.coco import inspect_coco, is_coco
    from trainers.data.folders import inspect_folders

    published = path.is_file() and check_archive(path)
    if path.is_file() and not path.name.lower().endswith((".tar", *PACKED)):
        raise ValueError(f"{path} is no data set known here; looked for {'; '.join(LAYOUTS)}")
    store = open_store(path)
    if is_coco(store):
        return inspect_coco(store)
    if not any(map(is_picture, store.files)):
        raise ValueError(f"{path} holds no data set known here: {len(store.files):,} files, and none of {'; '.join(LAYOUTS)}")
    return inspect_folders(store, published)


def _names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.is_file()]
