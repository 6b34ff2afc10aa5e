"""HDF5 shards under the key "image", and pairs files."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trainers.data import inspect, open_images
from trainers.recipes.schema import DataOptions


def options(path: Path, **changed: Any) -> DataOptions:
    return DataOptions(**({"reader": "hdf5", "path": str(path), "size": 16, "condition": "none"} | changed))


def write(path: Path, values: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file[name] = value
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def test_the_three_layouts_give_the_same_pictures(tmp_path: Path):
    pictures = noise(12, 16, 16, 3)
    planar = pictures.transpose(0, 3, 1, 2)
    layouts = {
        "array": {"image": pictures},
        "planar": {"image": planar},
        "groups": {f"{k}/image": picture for k, picture in enumerate(pictures)},
        "arrays": {f"{k}": picture for k, picture in enumerate(pictures)},
    }
    for name, values in layouts.items():  # "10" stands before "2" in the file
        images = open_images(options(write(tmp_path / name / "train" / "a.h5", values).parent.parent), "train")
        assert np.array_equal(np.concatenate([batch.pixels for batch in images.batches(5)]), planar), name
        assert np.array_equal(next(images.batches(4, 3, 9)).pixels, planar[3:7]), name


def test_shards_follow_one_another_and_val_is_its_own_folder(tmp_path: Path):
    shards = [noise(n, 20, 16, 3) for n in (3, 2)]
    for k, shard in enumerate(shards):
        write(tmp_path / "train" / f"shard_{k}.hdf5", {"image": shard})
    write(tmp_path / "val" / "shard_0.hdf5", {"image": noise(4, 16, 16, 3)})
    images = open_images(options(tmp_path), "train")
    assert [images.name(k) for k in (2, 3)] == ["shard_0.hdf5:2", "shard_1.hdf5:0"]
    cropped = np.concatenate(shards)[:, 2:18].transpose(0, 3, 1, 2)
    assert np.array_equal(np.concatenate([batch.pixels for batch in images.batches(2)]), cropped)
    assert len(open_images(options(tmp_path), "val")) == 4
    assert len(open_images(options(tmp_path, limit=4), "train")) == 4
    report = inspect(tmp_path)
    assert {split: found["pictures"] for split, found in report.splits.items()} == {"train": 5, "val": 4}
    assert report.splits["train"]["sizes"] == {"16 x 20": 5}


def test_one_array_among_groups_that_is_no_picture_is_broken(tmp_path: Path):
    write(
        tmp_path / "train" / "a.h5",
        {"0/image": noise(16, 16, 3), "1/image": np.zeros((16, 16, 3), np.float32), "2/image": noise(16, 16, 3)},
    )
    batch = next(open_images(options(tmp_path), "train").batches())
    assert (batch.index.tolist(), [each.name for each in batch.broken]) == ([0, 2], ["a.h5:1"])
    assert "float32" in inspect(tmp_path).splits["train"]["broken"][0]["why"]


def test_pairs_are_described_and_not_taken_for_pictures(tmp_path: Path):
    values = {f"{k}/{key}": np.zeros((4, 8, 8), np.float32) for k in range(3) for key in ("source", "target")}
    path = write(tmp_path / "pairs.h5", values)
    report = inspect(path)
    assert report.splits == {"pairs": {"pairs": 3, "files": 1, "shapes": {"float32 4x8x8": 3}}}
    with pytest.raises(ValueError, match="pairs of source and target"):
        open_images(options(path), "train")
    write(path, values | {"3/source": np.zeros(3), "3/target": np.zeros(4)})
    with pytest.raises(ValueError, match="pair 3 has a source"):
        inspect(path)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"image": np.zeros((2, 16, 16, 3), np.float32)}, "float32"),
        ({"image": np.zeros((2, 16, 16), np.uint8)}, r"\(2, 16, 16\)"),
        ({"pictures": np.zeros(3)}, "neither 'image' nor '0'"),
        ({"0/image": np.zeros(3), "2/image": np.zeros(3)}, "neither"),
        ({"0/label": np.zeros(3)}, "group '0' has label"),
    ],
)
def test_another_layout_is_named(tmp_path: Path, values: dict[str, Any], what: str):
    with pytest.raises(ValueError, match=rf"a\.h5 .*{what}"):
        inspect(write(tmp_path / "a.h5", values))


def test_a_damaged_file_is_named(tmp_path: Path):
    path = write(tmp_path / "train" / "a.h5", {"image": noise(9, 16, 16, 3)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"a\.h5 is damaged"):
        open_images(options(tmp_path), "train")


def test_a_missing_held_out_split_names_the_cure(tmp_path: Path):
    path = write(tmp_path / "a.h5", {"image": noise(9, 16, 16, 3)})
    with pytest.raises(ValueError, match=r"train/ and val/"):
        open_images(options(path), "val")


def test_other_values_in_files_of_the_same_size_are_another_fingerprint(tmp_path: Path):
    found = []
    for value in (10, 200):
        path = write(tmp_path / "one.h5", {"image": np.full((20, 16, 16, 3), value, np.uint8)})
        found.append(open_images(options(path), "train").fingerprint)
    assert found[0] != found[1]
