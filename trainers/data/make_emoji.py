"""Makes assets/emoji/ from a tar of emoji-data's 64-pixel Twemoji: `python -m trainers.data.make_emoji emoji64.tar`.

One picture for each base design: entries of emoji.json without their skin-tone variants, and without the category Component (five swatches). Pictures are laid onto
white and set side by side, category by category, in one lossless WebP. Some designs share a picture (families, flags of islands): those whose pixels differ by less
than ALIKE (root mean square, of 255) go into the same split, so that nothing held out was trained on.
"""

import argparse
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from trainers.data.pictures import decode
from trainers.data.stores import open_store
from trainers.files import write_atomically

SIZE, COLUMNS = 64, 44
HELD_OUT = 0.1
ALIKE = 3.0
SIDED = re.compile(
    r"\b(?:LEFT|RIGHT|LEFTWARDS|RIGHTWARDS|MOON|CALENDAR|MAHJONG|CONVENIENCE|PAGER|SLOT MACHINE|BILLIARDS|MEDAL|E-MAIL|BANKNOTE|GLOBE|WORLD MAP|JAPAN|CHART|SCORE|HOSPITAL|HOTEL)\b"
)
ABOUT = "64 x 64 emoji on white, row by row in sheet.webp; fields: code, name, category, split, and whether the mirror image means the same"


def designs(pixels: UInt8[np.ndarray, "n c s s"]) -> list[int]:
    """For every picture the number of the first that looks the same, through chains of likeness."""
    flat = pixels.reshape(len(pixels), -1).astype(np.float32)  # of the emoji, no two lie between 1.2 and 7.4, which rounding cannot cross
    squares = np.square(flat).sum(1)
    near = (squares[:, None] + squares - 2 * flat @ flat.T) / flat.shape[1] < ALIKE**2
    first = list(range(len(flat)))
    for k in range(1, len(flat)):
        alike = {first[j] for j in np.flatnonzero(near[k, :k])}
        if alike:
            lowest = min(alike)
            first = [lowest if each in alike else each for each in first]
            first[k] = lowest
    return first


def splits(categories: list[str], design: list[int], codes: list[str]) -> list[str]:
    """About HELD_OUT of each category, whole designs in the order of their hashes: the same choice for ever."""
    found = ["train"] * len(codes)
    for category in sorted(set(categories)):
        members = [k for k, each in enumerate(categories) if each == category]
        room = round(HELD_OUT * len(members))
        for first in sorted({design[k] for k in members}, key=lambda k: hashlib.sha256(codes[k].encode()).hexdigest()):
            group = [k for k in members if design[k] == first]
            if len(group) <= room and all(categories[k] == category for k, each in enumerate(design) if each == first):
                room -= len(group)
                for k in group:
                    found[k] = "val"
    return found


def may_flip(entry: dict[str, Any]) -> bool:
    """Flags, symbols (letters, digits, arrows), clocks and moons, and what bears writing or a side in its name mean something else in a mirror."""
    return entry["category"] not in ("Flags", "Symbols") and entry["subcategory"] != "time" and not SIDED.search(entry["name"])


def caption(name: str) -> str:
    """HASH KEY becomes hash key; Greenland Flag stays."""
    return name.lower() if name.isupper() else name


def arrange(archive: Path) -> tuple[UInt8[np.ndarray, "h w 3"], str]:
    """The sheet and the text of emoji.json."""
    store = open_store(archive)
    entries = [each for each in json.loads(store.read("emoji.json")) if each["category"] != "Component"]
    entries.sort(key=lambda each: (each["category"], each["sort_order"]))
    pixels = np.stack([decode(store.read(f"img/{each['image']}"), SIZE, 3, "centre-crop") for each in entries])
    codes = [each["unified"].lower() for each in entries]
    split = splits([each["category"] for each in entries], designs(pixels), codes)
    rows = -(-len(entries) // COLUMNS)
    sheet = np.full((rows * COLUMNS, 3, SIZE, SIZE), 255, np.uint8)
    sheet[: len(pixels)] = pixels
    sheet = sheet.reshape(rows, COLUMNS, 3, SIZE, SIZE).transpose(0, 3, 1, 4, 2).reshape(rows * SIZE, COLUMNS * SIZE, 3)
    categories = sorted({each["category"] for each in entries})
    lines = [
        json.dumps([code, caption(each["name"]), categories.index(each["category"]), split[k], may_flip(each)], ensure_ascii=False)
        for k, (code, each) in enumerate(zip(codes, entries, strict=True))
    ]
    head = {"about": ABOUT, "size": SIZE, "columns": COLUMNS, "categories": categories}
    return sheet, json.dumps(head, indent=1)[:-2] + ',\n "pictures": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def make(archive: Path, folder: Path) -> None:
    """Writes sheet.webp and emoji.json."""
    sheet, text = arrange(archive)
    webp = io.BytesIO()
    Image.fromarray(sheet).save(webp, "WEBP", lossless=True, quality=100, method=6)
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in (("sheet.webp", webp.getvalue()), ("emoji.json", text.encode())):

        def write(partial: Path, contents: bytes = contents) -> None:
            partial.write_bytes(contents)

        write_atomically(folder / name, write)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Makes assets/emoji/ from a tar of emoji-data's 64-pixel Twemoji.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--out", type=Path, default=Path("assets/emoji"))
    given = parser.parse_args()
    make(given.archive, given.out)
