"""What the published data sets hold, to compare with what was found; and the hashes that their archives are published with."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.bars import QUIET, track


@dataclass(frozen=True)
class Official:
    """Counts of a published data set; per_class: fewest and most pictures of a class, where that is known."""

    name: str
    pictures: dict[str, int]
    classes: int = 0
    per_class: dict[str, tuple[int, int]] | None = None

    def compare(self, split: str, found: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """The entry `official` of a split in a Report, and a line where it differs."""
        wanted, wrong = self.pictures[split], []
        if found["pictures"] != wanted:
            wrong.append(f"{found['pictures']:,} pictures (official: {wanted:,})")
        if self.classes and found.get("classes", self.classes) != self.classes:
            wrong.append(f"{found['classes']:,} classes (official: {self.classes:,})")
        low_high = (self.per_class or {}).get(split)
        if low_high and not wrong and (found.get("fewest"), found.get("most")) != low_high:
            wrong.append(f"{found.get('fewest')} to {found.get('most')} pictures of a class (official: {low_high[0]} to {low_high[1]})")
        line = f"{split} is not the whole of {self.name}: it has {' and '.join(wrong)}" if wrong else None
        return {"name": self.name, "pictures": wanted, "matches": not wrong}, line


MEGABYTE = 2**20
PER_CLASS = {"train": (732, 1300), "val": (50, 50)}
IMAGENET = Official("ImageNet 2012", {"train": 1_281_167, "val": 50_000}, 1000, PER_CLASS)
IMAGENET_64 = Official("ImageNet-64", {"train": 1_281_167, "val": 50_000}, 1000, PER_CLASS)
IMAGENET_32 = Official("ImageNet-32", {"train": 1_281_167, "val": 50_000}, 1000, PER_CLASS)
TINY_IMAGENET = Official("Tiny-ImageNet", {"train": 100_000, "val": 10_000}, 200, {"train": (500, 500), "val": (50, 50)})
FFHQ = Official("FFHQ", {"train": 60_000, "val": 10_000})
COCO = Official("MS-COCO 2017", {"train": 118_287, "val": 5_000})
CIFAR_10 = Official("CIFAR-10", {"train": 50_000, "val": 10_000}, 10, {"train": (5000, 5000), "val": (1000, 1000)})

ARCHIVES = {  # name as published: MD5 as published
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
    "train2017.zip": "cced6f7f71b7629ddf16f17bbcfab6b2",
    "val2017.zip": "442b8da7639aecaf257c1dceb8ba8c80",
    "annotations_trainval2017.zip": "f4bbac642086de4f52a3fdda2de5fa2c",
}


def check_archive(path: Path) -> bool:
    """Whether a file is a published archive, by its name; its contents must then have the published hash. Raises ValueError where they have another."""
    wanted = ARCHIVES.get(path.name)
    if wanted is None:
        return False
    found = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(MEGABYTE), b"")
        for block in track(blocks, -(-path.stat().st_size // MEGABYTE), f"hashing {path.name}", "MB", wait=QUIET):
            found.update(block)
    if found.hexdigest() != wanted:
        raise ValueError(f"{path} is damaged: its MD5 is {found.hexdigest()}, and the published {path.name} has {wanted}; fetch it again")
    return True
