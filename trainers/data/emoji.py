"""The emoji that come with the project in assets/emoji: 1,906 base designs of 64 x 64 on white, nine categories as classes, names as captions.

Graphics: Twemoji, CC BY 4.0; names: emoji-data, MIT; see LICENSE there. `trainers.data.make_emoji` says how they were made and split.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from trainers.data.held import Held, count
from trainers.data.images import Report, limited
from trainers.data.pictures import DAMAGE, PREPARATIONS, to_square
from trainers.data.stores import hash_of
from trainers.files import read_json
from trainers.recipes.schema import DataOptions

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "emoji"


@cache
def _read(folder: Path) -> tuple[dict[str, Any], UInt8[np.ndarray, "n 3 s s"]]:
    """The index and all pictures. Raises ValueError naming a file that is missing or damaged."""
    index, path = read_json(folder / "emoji.json"), folder / "sheet.webp"
    size, columns = index["size"], index["columns"]
    try:
        with Image.open(path) as image:
            sheet = np.asarray(image.convert("RGB"))
    except DAMAGE as error:
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    rows = sheet.shape[0] // size
    pixels = sheet.reshape(rows, size, columns, size, 3).transpose(0, 2, 4, 1, 3).reshape(rows * columns, 3, size, size)
    return index, np.ascontiguousarray(pixels[: len(index["pictures"])])


class Emoji(Held):
    """One split, category by category. Flags, symbols and clocks are not mirrored."""

    reader = "emoji"

    def __init__(self, split: str, options: DataOptions, folder: Path = FOLDER) -> None:
        index, pixels = _read(folder)
        rows = limited([k for k, picture in enumerate(index["pictures"]) if picture[3] == split], options.limit)
        codes, names, labels, _, flips = zip(*(index["pictures"][k] for k in rows), strict=True)
        own = pixels[rows]
        preparation = "as stored"
        if (options.size, options.channels) != (index["size"], 3):
            own = np.stack(
                [to_square(Image.fromarray(each.transpose(1, 2, 0)), options.size, options.channels, options.preparation) for each in own]
            )
            preparation = PREPARATIONS[options.preparation]
        super().__init__(own, [f"{code} {name}" for code, name in zip(codes, names, strict=True)], source=folder, split=split)
        self.preparation = preparation
        self.classes = tuple(index["categories"])
        self.labels = np.array(labels, dtype=np.int64)
        self.captions = [(name,) for name in names]
        self.may_flip = np.array(flips, dtype=bool)
        self.fingerprint = hash_of((pixels[rows].tobytes(), *names, self.labels.tobytes()))


def inspect_emoji() -> Report:
    """Counts and classes of both splits."""
    return Report("emoji", str(FOLDER), {split: count(Emoji(split, DataOptions())) for split in ("train", "val")})
