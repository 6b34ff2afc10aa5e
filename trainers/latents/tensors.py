"""safetensors files: mapped into memory as they lie, and written whole."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from trainers.files import write_atomically

NOTE = "note"
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


def write_tensors(path: Path, tensors: Mapping[str, Tensor], note: str | None = None) -> None:
    """Atomically; equal contents give equal files, for which there is but one note: safetensors shuffles several. Raises an OSError where the disk is full."""
    contents = save({name: tensor.contiguous() for name, tensor in tensors.items()}, None if note is None else {NOTE: note})

    def write(partial: Path) -> None:
        partial.write_bytes(contents)

    write_atomically(path, write)


def note_of(path: Path) -> str | None:
    """What `write_tensors` noted in a file; None where it noted nothing or the file is damaged."""
    try:
        with safe_open(path, "pt") as opened:
            return (opened.metadata() or {}).get(NOTE)
    except SafetensorError:
        return None
