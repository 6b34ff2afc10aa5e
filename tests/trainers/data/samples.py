"""Small data sets of the official layouts, made for tests."""

import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(seed: int = 0, width: int = 24, height: int = 24, mode: str = "RGB", form: str = "PNG", **options: Any) -> bytes:
    """A file's bytes: noise of the given mode."""
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return encoded(Image.fromarray(values[..., 0] if bands == 1 else values, mode=mode), form, **options)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def write_tree(folder: Path, files: dict[str, bytes]) -> Path:
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)
    return folder


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            archive.addfile(member, io.BytesIO(contents))
    return path


def class_tree(splits: Iterable[str] = ("train", "val"), classes: Iterable[str] = ("b", "a"), each: int = 2) -> dict[str, bytes]:
    names = [f"{split}/{name}/{k}.png" for split in splits for name in classes for k in range(each)]
    return {name: picture(seed) for seed, name in enumerate(names)}


def coco_tree(change: Callable[[dict[str, Any]], None] = lambda document: None) -> dict[str, bytes]:
    """Three training pictures with two captions each, one for validation; `change` edits the training annotations."""
    files = {f"train2017/{k:012d}.jpg": picture(k, 30, 20, form="JPEG") for k in (7, 8, 9)} | {
        "val2017/000000000001.jpg": picture(1, form="JPEG")
    }
    train: dict[str, Any] = {
        "images": [{"id": k, "file_name": f"{k:012d}.jpg"} for k in (9, 8, 7)],
        "annotations": [{"id": 10 * k + j, "image_id": k, "caption": f"picture {k},\n caption {j} "} for j in (1, 2) for k in (8, 7, 9)],
    }
    change(train)
    val = {"images": [{"id": 1, "file_name": "000000000001.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "one"}]}
    documents = {
        f"annotations/captions_{name}2017.json": json.dumps(document).encode() for name, document in (("train", train), ("val", val))
    }
    return files | documents


def class_map() -> str:
    """A map_clsloc.txt: the first two classes as the devkit has them, the last two with one name, as its two cranes."""
    names = ["n02119789 1 kit_fox", "n02100735 2 English_setter"] + [f"n{k:08d} {k} thing_{k}" for k in range(3, 999)]
    return "\n".join([*names, "n02012849 999 crane", "n03126707 1000 crane"]) + "\n"


def write_npz(path: Path, numbers: Iterable[int], size: int = 64, *, compressed: bool = False, **changed: Any) -> np.ndarray:
    """An archive of the official layout; numbers are its labels. Returns its pictures (n, 3, size, size)."""
    labels = list(numbers)
    data = np.random.default_rng(len(path.name) + sum(labels)).integers(0, 256, (len(labels), 3 * size * size), dtype=np.uint8)
    arrays = {"data": data, "labels": np.array(labels), "mean": np.zeros(3 * size * size)} | changed
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **{key: value for key, value in arrays.items() if value is not None})
    return data.reshape(-1, 3, size, size)
