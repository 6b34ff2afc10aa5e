"""Tensors of a PyTorch checkpoint (.pth, .pt, .ckpt, .bin) as safetensors, which is what autoencoders are loaded from.

    python -m trainers.autoencoders.convert taef2_encoder.pth assets/taef2/encoder.safetensors
    python -m trainers.autoencoders.convert model.ckpt kl-f8.safetensors

It is a step of its own, for a person who trusts the file: torch.load(weights_only=True) unpickles tensors and plain containers only, and refuses the rest.
"""

import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainers.files import write_atomically


def convert(source: Path, target: Path) -> int:
    """Writes the tensors of `source` to `target` and returns their number; those in "state_dict", where the file has one, as Lightning's do.

    Raises ValueError where the file is missing, damaged, holds more than tensors and plain containers, or holds no tensors.
    """
    from safetensors.torch import save

    if not source.is_file():
        raise ValueError(f"{source} is missing")
    try:
        read: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        why = str(error).strip().splitlines()[0]
        raise ValueError(f"{source} is damaged, or holds objects beside its tensors, which are never unpickled: {why}") from error
    read = read.get("state_dict", read) if isinstance(read, Mapping) else {}
    tensors = {name: value.contiguous().clone() for name, value in read.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{source} holds no tensors by name")

    def write(partial: Path) -> None:
        partial.write_bytes(save(tensors))

    write_atomically(target, write)
    return len(tensors)


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        count = convert(source, target)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{target}: {count} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
