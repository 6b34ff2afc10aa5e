"""Pairs files of LOOM-CFM as reflow's pairs: stored noises and samples as they are, refusals, and a training on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.trainers.data.test_hdf5 import write
from tests.trainers.sampling.conftest import digits, trained
from trainers.commands.pairs import Pairs
from trainers.identity import identity
from trainers.order import Order
from trainers.pairs import make_pairs, open_pairs
from trainers.sampling import sample
from trainers.trained import load_trained

PLAIN = {"data.condition": "none", "autoencoder.normalise": "none"}


def values(count: int, shape: tuple[int, ...] = (1, 8, 8), first: int = 0) -> dict[str, Any]:
    drawn = np.random.default_rng(first)
    return {f"{k}/{key}": drawn.standard_normal(shape).astype(np.float32) for k in range(count) for key in ("source", "target")}


def reflow(folder: Path, **changes: Any) -> Any:
    return digits("reflow", **{"coupling.pairs": str(folder), **PLAIN, **changes})


def test_noises_and_samples_are_the_stored_ones_over_all_files(tmp_path: Path):
    stored = [values(30), values(13, first=1)]
    for name, each in zip(("a.h5", "b.hdf5"), stored, strict=True):
        write(tmp_path / name, each)
    source, held_out, prior, name_of = open_pairs(reflow(tmp_path), tmp_path)
    assert (source.n, held_out.n, source.shape, source.classes, prior.kind) == (41, 2, (1, 8, 8), (), "standard")
    order, index = Order(41, 8, 0), torch.tensor([0, 18, 19, 40])  # pair 19 is held out
    x_1, condition, x_0 = source.read(index, index, order)
    assert condition is None
    assert x_0 is not None
    for row, (which, k) in enumerate([(0, 0), (0, 18), (0, 20), (1, 12)]):
        assert np.array_equal(x_0[row].numpy(), stored[which][f"{k}/source"])
        assert np.array_equal(x_1[row].numpy(), stored[which][f"{k}/target"])
    assert (name_of(19), name_of(40)) == ("pair 20", "pair 42")


def test_a_network_is_trained_on_them_and_sampled(tmp_path: Path):
    write(tmp_path / "pairs" / "a.h5", values(200))
    run = trained(reflow(tmp_path / "pairs", **{"training.steps": 3}), tmp_path / "run", tmp_path)
    model = load_trained(run)
    assert sample(model, 2, seed=0, nfe=4).x.shape == (2, 1, 8, 8)
    assert model.checkpoint.facts["held_out_loss"] is not None


def test_an_identity_is_that_of_the_files(tmp_path: Path):
    found = []
    for name, first in (("a", 0), ("b", 0), ("c", 1)):
        write(tmp_path / name / "0.h5", values(20, first=first))
        found.append(identity(reflow(tmp_path / name), tmp_path))
    assert found[0] == found[1] != found[2]


def test_a_stray_file_beside_pairs_that_were_made_here_changes_nothing(run_of: Callable[[str], Path], tmp_path: Path):
    make_pairs(Pairs(run_of("condot"), tmp_path / "pairs", n=40, nfe=2), lambda line: None)
    recipe = digits("reflow", **{"coupling.pairs": str(tmp_path / "pairs")})
    before = identity(recipe, tmp_path)
    write(tmp_path / "pairs" / "stray.h5", values(3))
    assert identity(recipe, tmp_path) == before
    assert open_pairs(recipe, tmp_path)[0].n == 38


@pytest.mark.parametrize(
    ("stored", "changes", "words"),
    [
        (values(20), {"data.condition": "class"}, "--set data.condition=none, not class"),
        (values(20), {"autoencoder.normalise": "scale"}, "--set autoencoder.normalise=none, not scale"),
        (values(20, (1, 4, 4)), {}, r"pair 0 is \(1, 4, 4\) and \(1, 4, 4\); it must be \(1, 8, 8\) twice"),
        (values(20) | {"7/target": np.full((1, 8, 8), np.nan, np.float32)}, {}, "pair 7 holds numbers that are not finite"),
        (values(20) | {"7/target": np.zeros((1, 8, 8), np.uint8)}, {}, "pair 7 is float32 and uint8"),
        ({"image": np.zeros((3, 8, 8, 3), np.uint8)}, {}, "holds pictures, not pairs"),
    ],
)
def test_what_does_not_fit_is_one_sentence(stored: dict[str, Any], changes: dict[str, str], words: str, tmp_path: Path):
    write(tmp_path / "a.h5", stored)
    with pytest.raises(ValueError, match=words):
        open_pairs(reflow(tmp_path, **changes), tmp_path)


def test_a_cut_file_is_named(tmp_path: Path):
    path = write(tmp_path / "a.h5", values(20))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"a\.h5 is damaged or of another layout"):
        open_pairs(reflow(tmp_path), tmp_path)
