"""A velocity on a grid (toy.learning.grids) as it travels to the browser: a small JSON header, then float32.

    bytes 0 to 3        H, the header's length in bytes: little-endian uint32, a multiple of 4
    bytes 4 to 3 + H    JSON in UTF-8, filled up with spaces
    the rest            float32, little-endian: velocity u, v at [class][time][row][column], 2 * classes * times * ny * nx numbers

The header holds `version`, `classes` (1 where the field sees the position alone), `times`, `ny`, `nx`, `t` (times), `boxes` (times of [least x,
greatest x, least y, greatest y]: row 0 lies at least y,
column 0 at least x, both ends included), `path` (null, or "vp": values are then velocities per angle, see toy.learning.grids), and what the sender
adds: `k`, `side`, `iteration`, `round`.
Between points the velocity is bilinear in x and, between times, linear in t (in the angle atan2(alpha, sigma) where `path` is given); outside a box it is that of its edge.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

from toy.learning.grids import GridField

VERSION = 1
SIZES = ((64, 32), (48, 24), (32, 16), (24, 12), (16, 12))  # points along each axis, and times
LIVE_BYTES, FINAL_BYTES = 2**19, 12 * 2**20  # of one side: 48 x 48 points and 24 times take 0.1 s, the last 64 x 64 and 32 take 0.26


def sized(classes: int, most_bytes: int) -> tuple[int, int]:
    """Points along each axis and times of the finest grid for so many classes that the bytes allow (the coarsest there is, if none)."""
    return next(((n, times) for n, times in SIZES if 8 * classes * n * n * times <= most_bytes), SIZES[-1])


def pack_grid(grid: GridField, about: Mapping[str, Any]) -> bytes:
    """The bytes of a grid, in the module's layout."""
    classes, times, ny, nx, _ = grid.values.shape
    header = {
        "version": VERSION,
        "classes": classes,
        "times": times,
        "ny": ny,
        "nx": nx,
        "t": grid.t.tolist(),
        "boxes": grid.boxes.tolist(),
        "path": None if grid.path is None else grid.path.name,
    }
    text = json.dumps(header | dict(about)).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + grid.values.numpy().astype("<f4").tobytes()
