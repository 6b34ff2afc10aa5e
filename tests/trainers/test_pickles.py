"""A pickle is called one, whatever its file is called, and never loaded."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from trainers.autoencoders.strict import read_safetensors
from trainers.checkpoints import read_tensors
from trainers.pickles import is_pickle

READERS = [read_tensors, read_safetensors]


class Dangerous:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('a pickle was loaded')",))


def by_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Dangerous()))


def by_torch(path: Path) -> None:
    torch.save({"weight": torch.zeros(2), "more": Dangerous()}, path)


def by_old_torch(path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


def cut_short(path: Path) -> None:
    by_torch(path)
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("write", [by_pickle, by_torch, by_old_torch, cut_short])
@pytest.mark.parametrize("name", ["weights.safetensors", "weights.ckpt"])
def test_a_pickle_under_any_name_is_refused_as_one(read: Callable[[Path], Any], write: Callable[[Path], None], name: str, tmp_path: Path):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a pickle, which can run code.*never loaded here; "):
        read(tmp_path / name)


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_pickle_is_not_called_one(read: Callable[[Path], Any], tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    assert not is_pickle(path)
    assert read(path)["weight"].tolist() == [0, 0]
    for contents in (b"", b"junk", b"PK\x03\x04 and nothing more"):
        path.write_bytes(contents)
        assert not is_pickle(path)
        with pytest.raises(ValueError, match=r"is damaged|is not a sound safetensors file"):
            read(path)
