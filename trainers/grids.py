"""Pictures side by side in one PNG, and each in its own."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from trainers.files import write_atomically

LEAST = 48  # pixels that a picture takes in a grid: smaller ones are enlarged by whole factors, unsmoothed
GAP = 2


def to_image(pixels: UInt8[Tensor, "c s s"]) -> Image.Image:
    """One picture, grey or RGB."""
    array = pixels.permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def grid(pixels: UInt8[Tensor, "n c s s"], rows: int | None = None) -> Image.Image:
    """All of them in `rows` rows (near a square if None), row by row, on white."""
    count, channels, size, _ = pixels.shape
    rows = min(rows or max(1, round(count**0.5)), count)
    columns = -(-count // rows)
    factor = max(1, -(-LEAST // size))
    cell = size * factor + GAP
    sheet = np.full((rows * cell + GAP, columns * cell + GAP, channels), 255, dtype=np.uint8)
    enlarged = pixels.permute(0, 2, 3, 1).cpu().numpy().repeat(factor, 1).repeat(factor, 2)
    for i, picture in enumerate(enlarged):
        top, left = GAP + i // columns * cell, GAP + i % columns * cell
        sheet[top : top + cell - GAP, left : left + cell - GAP] = picture
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def save_png(image: Image.Image, path: Path, about: dict[str, str] | None = None) -> None:
    """Writes a PNG, with `about` as its text chunks."""
    info = PngInfo()
    for name, text in (about or {}).items():
        info.add_itxt(name, text)
    write_atomically(path, lambda partial: image.save(partial, format="PNG", pnginfo=info))
