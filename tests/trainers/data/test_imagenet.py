"""Downsampled ImageNet: planes, the devkit's labels, and archives that are damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers import data_folder
from tests.trainers.data.samples import class_map, write_npz, write_tree
from trainers.data import inspect, open_images
from trainers.data.imagenet_npz import ImagenetNpz
from trainers.data.official import Official
from trainers.recipes.schema import DataOptions


def options(path: Path, **changed: Any) -> DataOptions:
    values: dict[str, Any] = {"reader": "imagenet64", "path": str(path)}
    return DataOptions(**(values | changed))


def write_set(folder: Path, **changed: Any) -> tuple[np.ndarray, np.ndarray]:
    """Batches 1, 2 and 10 and the validation batch; returns the pictures of both splits."""
    train = [
        write_npz(folder / f"train_data_batch_{k}.npz", labels, **changed) for k, labels in ((1, (1, 1000, 2)), (2, (7, 8)), (10, (999, 1)))
    ]
    return np.concatenate(train), write_npz(folder / "val_data.npz", (3, 3, 1))


@pytest.mark.parametrize("compressed", [False, True], ids=["mapped", "compressed"])
def test_pictures_are_planar_and_labels_the_devkits_less_one(tmp_path: Path, compressed: bool):
    train, val = write_set(tmp_path, compressed=compressed)
    images = open_images(options(tmp_path), "train")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 999, 1, 6, 7, 998, 0]  # batch 10 after batch 2
    assert [images.name(k) for k in (0, 2, 3, 6)] == [
        "train_data_batch_1.npz:0",
        "train_data_batch_1.npz:2",
        "train_data_batch_2.npz:0",
        "train_data_batch_10.npz:1",
    ]
    for size in (1, 2, 4, 99):
        assert np.array_equal(np.concatenate([batch.pixels for batch in images.batches(size)]), train)
    assert np.array_equal(next(images.batches(9, 2, 6)).pixels, train[2:6])
    assert np.array_equal(images.read([6, 0]).pixels, train[[6, 0]])
    held_out = open_images(options(tmp_path), "val")
    assert np.array_equal(next(held_out.batches()).pixels, val)


def test_plain_arrays_are_mapped_and_batches_are_not(tmp_path: Path):
    train, _ = write_set(tmp_path)
    images = open_images(options(tmp_path), "train")
    assert isinstance(images, ImagenetNpz)
    assert isinstance(images.archives[0].pixels(), np.memmap)
    batch = next(images.batches(3))
    batch.pixels[...] = 0  # a batch is its reader's own to change
    assert np.array_equal(next(images.batches(3)).pixels, train[:3])


def test_names_come_from_the_map_beside_or_above_and_its_absence_is_said(tmp_path: Path):
    write_set(tmp_path / "npz")
    images = open_images(options(tmp_path / "npz"), "train")
    assert images.classes[:2] == ("class 1", "class 2")
    assert any("map_clsloc.txt" in line for line in images.complaints)
    (tmp_path / "map_clsloc.txt").write_text(class_map())
    for path in (tmp_path, tmp_path / "npz"):
        images = open_images(options(path), "train")
        assert images.classes[:3] == ("kit fox", "English setter", "thing 3")
        assert images.classes[998:] == ("crane (n02012849)", "crane (n03126707)")
        assert not any("map_clsloc.txt" in line for line in images.complaints)


def test_a_map_in_another_order_is_said_and_a_damaged_one_refused(tmp_path: Path):
    write_set(tmp_path)
    lines = class_map().splitlines()
    first, second = (line.split() for line in lines[:2])
    swapped = [f"{second[0]} 1 {second[2]}", f"{first[0]} 2 {first[2]}", *lines[2:]]
    (tmp_path / "map_clsloc.txt").write_text("\n".join(swapped))
    assert any("its order is another" in line for line in open_images(options(tmp_path), "train").complaints)
    for wrong, what in ((lines[:-1], "999 labels"), ([lines[0], *lines], "line 2"), (["kit fox", *lines[1:]], "line 1")):
        (tmp_path / "map_clsloc.txt").write_text("\n".join(wrong))
        with pytest.raises(ValueError, match=rf"map_clsloc\.txt is damaged.*{what}"):
            inspect(tmp_path)


def test_a_report_counts_and_names_what_is_missing(tmp_path: Path):
    write_set(tmp_path)
    report = inspect(tmp_path)
    found = report.splits["train"]
    assert (report.reader, found["pictures"], found["classes"], found["fewest"], found["most"]) == ("imagenet64", 7, 6, 1, 2)
    assert found["official"] == {"name": "ImageNet-64", "pictures": 1_281_167, "matches": False}
    said = "\n".join(report.complaints)
    assert "batches 3, 4, 5, 6, 7, 8, 9 are missing" in said
    assert "7 pictures (official: 1,281,167)" in said


def test_the_official_counts_match_only_as_a_whole():
    official = Official("it", {"train": 10}, 2, {"train": (4, 6)})
    whole = {"pictures": 10, "classes": 2, "fewest": 4, "most": 6}
    assert official.compare("train", whole) == ({"name": "it", "pictures": 10, "matches": True}, None)
    for wrong, said in (
        ({"pictures": 9}, "9 pictures"),
        ({"classes": 1}, "1 classes"),
        ({"fewest": 3, "most": 7}, "3 to 7 pictures of a class"),
    ):
        entry, line = official.compare("train", whole | wrong)
        assert (entry["matches"], said in (line or "")) == (False, True)


def test_imagenet_32_reads_alike_and_a_wrong_size_names_the_cure(tmp_path: Path):
    pictures = write_npz(tmp_path / "train_data_batch_1.npz", (1, 2), size=32)
    images = open_images(options(tmp_path, reader="imagenet32", size=32), "train")
    assert (images.reader, images.size) == ("imagenet32", 32)
    assert np.array_equal(next(images.batches()).pixels, pictures)
    assert inspect(tmp_path).reader == "imagenet32"
    with pytest.raises(ValueError, match=r"32 x 32.*data\.reader=imagenet32, data\.size=32"):
        open_images(options(tmp_path), "train")
    write_npz(tmp_path / "train_data_batch_2.npz", (1, 2), size=64)
    with pytest.raises(ValueError, match="keep one size"):
        inspect(tmp_path)


def test_the_pickled_variant_is_refused_with_the_reason_and_never_opened(tmp_path: Path):
    harm = b"cos\nsystem\n(S'touch " + str(tmp_path / "harm").encode() + b"'\ntR."
    write_tree(tmp_path, {"train_data_batch_1": harm, "val_data": harm})
    for read in (lambda: inspect(tmp_path), lambda: open_images(options(tmp_path), "train")):
        with pytest.raises(ValueError, match=r"executes whatever code.*npz"):
            read()
    assert not (tmp_path / "harm").exists()


def test_an_array_of_objects_is_refused_and_not_unpickled(tmp_path: Path):
    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "harm",))

    write_npz(tmp_path / "val_data.npz", (1, 2), labels=np.array([Harm(), 2], dtype=object))
    with pytest.raises(ValueError, match=r"val_data\.npz"):
        inspect(tmp_path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"labels": None}, "no array 'labels'"),
        ({"data": None}, "no array 'data'"),
        ({"labels": np.array([1, 2, 3])}, "labels"),
        ({"labels": np.array([0, 5])}, "run from 0 to 5"),
        ({"labels": np.array([1, 1001])}, "run from 1 to 1001"),
        ({"labels": np.array([1.0, 2.0])}, "float64"),
        ({"data": np.zeros((2, 12288), np.float32)}, "float32"),
        ({"data": np.zeros((2, 12000), np.uint8)}, r"\(2, 12000\)"),
        ({"data": np.zeros((2, 3, 64, 64), np.uint8)}, r"\(2, 3, 64, 64\)"),
        ({"data": np.asfortranarray(np.zeros((2, 12288), np.uint8))}, "data"),
    ],
    ids=[
        "no labels",
        "no data",
        "too many labels",
        "label 0",
        "label 1001",
        "labels as floats",
        "data as floats",
        "wrong width",
        "four axes",
        "column order",
    ],
)
def test_an_archive_of_another_layout_is_named(tmp_path: Path, changed: dict[str, Any], what: str):
    write_npz(tmp_path / "val_data.npz", (1, 2), **changed)
    for read in (lambda: inspect(tmp_path), lambda: open_images(options(tmp_path), "val")):
        with pytest.raises(ValueError, match=rf"val_data\.npz is damaged: .*{what}"):
            read()


@pytest.mark.parametrize("compressed", [False, True], ids=["mapped", "compressed"])
def test_an_archive_with_flipped_bits_is_damaged(tmp_path: Path, compressed: bool):
    path = tmp_path / "val_data.npz"
    write_npz(path, (1, 2, 3), compressed=compressed)
    data = bytearray(path.read_bytes())
    data[20_000] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"val_data\.npz is damaged"):
        inspect(tmp_path)
    with pytest.raises(ValueError, match=r"val_data\.npz is damaged"):
        list(open_images(options(tmp_path), "val").batches())


def test_an_array_header_that_is_rubbish_is_damage(tmp_path: Path):
    path = tmp_path / "val_data.npz"
    write_npz(path, (1, 2))
    path.write_bytes(path.read_bytes().replace(b"'shape': (2,), }", b"'shape': (2,(, }"))
    with pytest.raises(ValueError, match=r"val_data\.npz is damaged"):
        open_images(options(tmp_path), "val")


@pytest.mark.parametrize("keep", [0, 100, 20_000])
def test_an_archive_that_is_cut_off_is_damaged(tmp_path: Path, keep: int):
    path = tmp_path / "val_data.npz"
    write_npz(path, (1, 2, 3))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"val_data\.npz is damaged"):
        open_images(options(tmp_path), "val")


def test_a_batch_that_is_there_twice_is_refused(tmp_path: Path):
    for folder in ("part1", "part2"):
        write_npz(tmp_path / folder / "train_data_batch_1.npz", (1, 2))
    with pytest.raises(ValueError, match="the same batch"):
        open_images(options(tmp_path), "train")


def test_limit_and_fingerprint(tmp_path: Path):
    train, _ = write_set(tmp_path)
    some = open_images(options(tmp_path, limit=4), "train")
    assert np.array_equal(np.concatenate([batch.pixels for batch in some.batches(3)]), train[:4])
    whole = open_images(options(tmp_path), "train").fingerprint
    assert whole not in (some.fingerprint, open_images(options(tmp_path), "val").fingerprint)
    write_npz(tmp_path / "train_data_batch_2.npz", (8, 7), data=np.zeros((2, 12288), np.uint8))  # as long as before
    assert open_images(options(tmp_path), "train").fingerprint != whole


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
def test_the_real_pieces_have_every_class_once_and_the_devkits_names():
    folder: Any = data_folder()
    report = inspect(folder / "imagenet64")
    assert {split: found["pictures"] for split, found in report.splits.items()} == {"train": 800, "val": 200}
    train, val = (open_images(options(folder / "imagenet64" / "npz"), split) for split in ("train", "val"))
    assert train.labels is not None
    assert val.labels is not None
    assert np.array_equal(np.sort(np.concatenate([train.labels, val.labels])), np.arange(1000))
    assert (train.classes[0], train.labels[0]) == ("kit fox", 955)
    assert len(set(train.classes)) == 1000
    pixels = np.concatenate([batch.pixels for batch in train.batches(64)]).astype(int)
    interleaved = pixels.reshape(800, 64, 64, 3).transpose(0, 3, 1, 2)
    roughness, if_interleaved = (np.abs(np.diff(each, axis=3)).mean() for each in (pixels, interleaved))
    assert roughness < 0.6 * if_interleaved  # 13.5 against 25.8: neighbours in a plane are alike
