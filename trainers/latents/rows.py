"""Rows of tensors that lie in several safetensors files, as if they were one: in memory where that is little, else mapped from the disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

DTYPES = {"F16": torch.float16, "F64": torch.float64, "U8": torch.uint8, "I64": torch.int64, "BOOL": torch.bool}


class Damaged(ValueError):
    """A file that is missing, cut short or no safetensors."""


def mapped(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped: nothing is read until it is used, and no file stays open. Raises Damaged."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except FileNotFoundError:
        raise Damaged(f"{path} is missing") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error
    if size != 8 + length + end:
        raise Damaged(f"{path} is damaged ({size} bytes, where {8 + length + end} were written)")
    contents = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    return {name: _view(contents[8 + length :], entry) for name, entry in header.items()}


def _view(contents: Tensor, entry: dict) -> Tensor:
    start, stop = entry["data_offsets"]
    dtype = DTYPES[entry["dtype"]]
    return torch.empty(entry["shape"], dtype=dtype) if start == stop else contents[start:stop].view(dtype).view(entry["shape"])


class Rows:
    """Row i of tensors (n_1, *shape), (n_2, *shape), ... laid end to end."""

    def __init__(self, parts: Sequence[Shaped[Tensor, "..."]], in_memory: bool) -> None:
        self.starts = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
        self.whole = torch.cat(list(parts)) if in_memory else None
        self._parts = [part.numpy() for part in parts]
        self._empty = parts[0].new_empty((0, *parts[0].shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        return self._empty.dtype

    def __len__(self) -> int:
        return int(self.starts[-1])

    def take(self, index: Int[Tensor, " b"]) -> Shaped[Tensor, "b ..."]:
        """Those rows, copied. Raises IndexError beyond the last."""
        if self.whole is not None:
            return self.whole[index]
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"rows {int(index.min())} to {int(index.max())} of {len(self)}")
        part = torch.searchsorted(self.starts, index, right=True) - 1
        out = self._empty.new_empty((len(index), *self._empty.shape[1:]))
        rows = out.numpy()
        for i, (p, row) in enumerate(zip(part.tolist(), (index - self.starts[part]).tolist(), strict=True)):  # 128 rows of 4 KB: 0.1 ms
            rows[i] = self._parts[p][row]
        return out
