"""Pictures side by side in one PNG, and each in its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from trainers.files import write_atomically

LEAST = 48  # pixels that a picture takes in a grid: smaller ones are enlarged by whole factors, unsmoothed
GAP = 2


@dataclass(frozen=True)
class Sheet:
    """Where pictures stand in a grid, in its pixels: number i has its top left corner at (gap + i % columns * cell, gap + i // columns * cell); side: of a picture."""

    rows: int
    columns: int
    cell: int
    side: int
    gap: int = GAP


def shape_of(count: int, size: int, rows: int | None = None) -> Sheet:
    """The grid of `count` pictures of `size` in `rows` rows, near a square if None."""
    rows = min(rows or max(1, round(count**0.5)), count)
    side = size * max(1, -(-LEAST // size))
    return Sheet(rows, -(-count // rows), side + GAP, side)


def to_image(pixels: UInt8[Tensor, "c s s"]) -> Image.Image:
    """One picture, grey or RGB."""
    array = pixels.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def grid(pixels: UInt8[Tensor, "n c s s"], rows: int | None = None) -> Image.Image:
    """All of them in `rows` rows (near a square if None), row by row, on white."""
    count, channels, size, _ = pixels.shape
    at = shape_of(count, size, rows)
    sheet = np.full((at.rows * at.cell + GAP, at.columns * at.cell + GAP, channels), 255, dtype=np.uint8)
    enlarged = pixels.permute(0, 2, 3, 1).cpu().numpy().repeat(at.side // size, 1).repeat(at.side // size, 2)
    for i, picture in enumerate(enlarged):
        top, left = GAP + i // at.columns * at.cell, GAP + i % at.columns * at.cell
        sheet[top : top + at.side, left : left + at.side] = picture
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def save_png(image: Image.Image, path: Path, about: dict[str, str] | None = None) -> None:
    """Writes a PNG, with `about` as its text chunks."""
    info = PngInfo()
    for name, text in (about or {}).items():
        info.add_itxt(name, text)
    write_atomically(path, lambda partial: image.save(partial, format="PNG", pnginfo=info))
