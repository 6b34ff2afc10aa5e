"""Published reference statistics: both layouts are read, pickles never, shapes are checked."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainers.evaluation.moments import published_moments


def statistics(dimension: int, seed: int = 0) -> dict[str, Any]:
    draws = np.random.default_rng(seed).normal(size=(50, dimension))
    return {"mu": draws.mean(0), "sigma": np.cov(draws.T)}


def test_edm_and_adm_layouts_give_the_same_moments(tmp_path: Path):
    plain, spatial = statistics(5), statistics(3, 1)
    np.savez(tmp_path / "edm.npz", **plain)
    np.savez(tmp_path / "VIRTUAL_imagenet64_labeled.npz", **plain, mu_s=spatial["mu"], sigma_s=spatial["sigma"])
    for name in ("edm.npz", "VIRTUAL_imagenet64_labeled.npz"):
        found = published_moments(tmp_path / name, 5)
        assert found.count == 0
        assert np.array_equal(found.mean, plain["mu"])
        assert np.allclose(found.covariance, plain["sigma"], rtol=1e-15)


class Program:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_pickle_is_ever_loaded(tmp_path: Path):
    made = tmp_path / "executed"
    (tmp_path / "edm2.pkl").write_bytes(pickle.dumps(Program(made)))
    (tmp_path / "disguised.npz").write_bytes(pickle.dumps(Program(made)))
    np.savez(tmp_path / "objects.npz", mu=np.array([Program(made)], dtype=object), sigma=np.eye(1))
    for name in ("edm2.pkl", "disguised.npz", "objects.npz"):
        with pytest.raises(ValueError, match="execute code"):
            published_moments(tmp_path / name, 1)
    assert not made.exists()


def test_wrong_files_are_named(tmp_path: Path):
    whole = statistics(5)
    np.savez(tmp_path / "other.npz", data=np.zeros(3))
    np.savez(tmp_path / "shapes.npz", mu=whole["mu"], sigma=np.eye(4))
    np.savez(tmp_path / "spatial.npz", **whole, mu_s=np.zeros(3), sigma_s=np.eye(2))
    np.savez(tmp_path / "infinite.npz", mu=whole["mu"] * np.inf, sigma=whole["sigma"])
    np.savez(tmp_path / "whole.npz", **whole)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:300])
    np.save(tmp_path / "single.npy", np.eye(5))
    for name, match in {
        "other.npz": "holds data; reference statistics need mu",
        "shapes.npz": r"mu has shape \(5,\) and sigma \(4, 4\)",
        "spatial.npz": r"mu_s has shape \(3,\) and sigma_s \(2, 2\)",
        "infinite.npz": "not finite",
        "cut.npz": "no npz file of plain arrays",
        "single.npy": "single array",
        "absent.npz": "missing",
    }.items():
        with pytest.raises(ValueError, match=match):
            published_moments(tmp_path / name, 5)
    with pytest.raises(ValueError, match="is of 5 features and these are 1280"):
        published_moments(tmp_path / "whole.npz", 1280)
