"""Data sets: one `Images` interface over every reader, and what `python -m trainers data` reports. May import lab and the recipes' schema.

`open_images(options, split)` gives one split, "train" or "val"; `inspect(path)` looks at whatever lies at a path, decodes all of it and says what it is.
"""

from collections.abc import Callable
from pathlib import Path

from trainers.data.images import Batch, Broken, Images, Report
from trainers.data.pictures import PREPARATIONS
from trainers.recipes.schema import CONDITIONS, READERS, DataOptions

__all__ = ["Batch", "Broken", "Images", "Report", "inspect", "open_images"]

EMBEDDED = ("emoji", "digits")


def open_images(options: DataOptions, split: str) -> Images:
    """One split of a data set: "train" or "val", which a reader maps to its own names ("test" too where a folder has it).

    Raises ValueError naming the cure where an option is not one, the split is not there, what the data set's condition needs is not there (classes or captions),
    or an archive or annotation file is damaged.
    """
    for value, allowed, name in (
        (options.reader, READERS, "reader"),
        (options.condition, CONDITIONS, "condition"),
        (options.preparation, (*PREPARATIONS,), "preparation"),
    ):
        if value not in allowed:
            raise ValueError(f"data.{name}={value} is none of {', '.join(allowed)}")
    if options.size < 1 or options.channels not in (1, 3) or (options.limit is not None and options.limit < 1):
        raise ValueError(
            f"data.size={options.size} and data.limit={options.limit} must be at least 1, and data.channels={options.channels} 1 or 3"
        )
    if split not in ("train", "val") and options.reader != "folder":
        raise ValueError(f"split '{split}' is neither train nor val")
    images = _open(options, split)
    if not len(images):
        raise ValueError(f"{options.path or options.reader}: split {split} has no pictures")
    if options.condition == "class" and images.labels is None:
        raise ValueError(f"{options.path} has no classes ({_why(images)}); set data.condition=none")
    if options.condition == "text" and images.captions is None:
        raise ValueError(f"{options.path} has no captions ({_why(images)}); set data.condition=none or class")
    return images


def _why(images: Images) -> str:
    return "; ".join(images.complaints) or f"{images.reader} has none of these"


def _open(options: DataOptions, split: str) -> Images:
    if options.reader in EMBEDDED:
        if options.path is not None:
            raise ValueError(f"{options.reader} come with the project: leave data.path={options.path} out, or set data.reader=folder")
        if options.reader == "digits":
            from trainers.data.digits import open_digits

            return open_digits(options, split)
        from trainers.data.emoji import Emoji

        return Emoji(split, options)
    if options.path is None:
        raise ValueError(f"data.path is missing: where do the pictures for the reader {options.reader} lie?")
    return _opener(options.reader)(Path(options.path).expanduser(), options, split)


def _opener(reader: str) -> Callable[[Path, DataOptions, str], Images]:
    if reader in ("imagenet64", "imagenet32"):
        from trainers.data.imagenet_npz import open_imagenet

        return open_imagenet
    if reader == "coco":
        from trainers.data.coco import open_coco

        return open_coco
    if reader == "cifar10":
        from trainers.data.cifar import open_cifar

        return open_cifar
    if reader == "hdf5":
        from trainers.data.hdf5 import open_hdf5

        return open_hdf5
    from trainers.data.folders import open_folders

    return open_folders


def inspect(path: Path) -> Report:
    """Finds out what lies at a path and decodes all of it. Raises ValueError where nothing is there, an archive or annotation file is damaged, or no layout fits."""
    from trainers.data.inspection import inspect_path

    return inspect_path(path)
