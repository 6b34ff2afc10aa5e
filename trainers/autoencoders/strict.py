"""Weights are loaded whole or not at all: every tensor of the file has its place, and every place its tensor."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from trainers.pickles import refuse_pickle

SHOWN = 3  # names in a sentence; the rest are counted


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copies `state` into the module. Raises ValueError naming tensors that are missing, unexpected or of another shape."""
    own = module.state_dict()
    wrong = [
        f"{name} is {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    complaints = [
        _listed("missing", [name for name in own if name not in state]),
        _listed("unexpected", [name for name in state if name not in own]),
        _listed("of another shape", wrong),
    ]
    found = "; ".join(c for c in complaints if c)
    if found:
        raise ValueError(
            f"{source} does not fit {type(module).__name__}: {found}; nothing was loaded, check the kind of autoencoder and its configuration"
        )
    module.load_state_dict(dict(state), strict=True)


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{len(names)} tensors {what} ({', '.join(names[:SHOWN])}{more})"


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file. Raises ValueError naming it where it is missing, damaged or a pickle."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ValueError(f"{path} is missing")
    refuse_pickle(path, f"`python -m trainers.autoencoders.convert {path} OUT.safetensors` converts one you trust")
    if path.suffix != ".safetensors":
        raise ValueError(f"{path} is not called .safetensors, and autoencoders are loaded from nothing else")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
