"""Trees of pictures, on the disk or in a tar: splits, classes, and what is broken."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.trainers import data_folder
from tests.trainers.data.samples import class_tree, coco_tree, picture, write_tar, write_tree
from trainers.data import inspect, open_images
from trainers.recipes.schema import DataOptions


def options(path: Path, **changed: object) -> DataOptions:
    return DataOptions(**({"reader": "folder", "path": str(path), "size": 24} | changed))  # pyright: ignore[reportArgumentType]


HELD = [
    "a/07.png",
    "a/08.png",
    "a/14.png",
    "a/27.png",
    "b/01.png",
    "b/12.png",
    "c/08.png",
    "d/07.png",
]  # every tenth by sha256 of the names


def test_classes_are_the_sorted_folders_of_train(tmp_path: Path):
    images = open_images(options(write_tree(tmp_path, class_tree())), "train")
    assert images.classes == ("a", "b")
    assert [images.name(k) for k in range(4)] == ["train/a/0.png", "train/a/1.png", "train/b/0.png", "train/b/1.png"]
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert len(open_images(options(tmp_path), "val")) == 4


@pytest.mark.parametrize("name", ["valid", "test"])
def test_the_held_out_folder_may_have_another_name(tmp_path: Path, name: str):
    images = open_images(options(write_tree(tmp_path, class_tree(("train", name)))), "val")
    assert images.name(0) == f"{name}/a/0.png"


def test_a_tar_reads_as_the_folder_it_was_made_of(tmp_path: Path):
    files = class_tree(each=5)
    folder, tar = (
        write_tree(tmp_path / "folder", files),
        write_tar(tmp_path / "all.tar", {f"./set/{name}": data for name, data in files.items()}),
    )
    one, other = (open_images(options(path), "val") for path in (folder, tar))
    assert [other.name(k).removeprefix("set/") for k in range(len(other))] == [one.name(k) for k in range(len(one))]
    assert np.array_equal(next(one.batches(99)).pixels, next(other.batches(99)).pixels)


def test_batches_are_the_items_in_order_for_every_size_and_range(tmp_path: Path):
    images = open_images(options(write_tree(tmp_path, class_tree(each=7))), "train")
    whole = next(images.batches(99))
    parts = list(images.batches(4, 3, 13))
    assert [len(part.index) for part in parts] == [4, 4, 2]
    assert np.array_equal(np.concatenate([part.index for part in parts]), np.arange(3, 13))
    assert np.array_equal(np.concatenate([part.pixels for part in parts]), whole.pixels[3:13])
    assert np.array_equal(images.read([5, 2]).pixels, whole.pixels[[5, 2]])
    assert len(images.read([]).index) == 0


def test_a_broken_picture_is_left_out_of_its_batch_and_named(tmp_path: Path):
    files = class_tree() | {"train/a/1.png": picture()[:200], "train/b/0.png": b""}
    images = open_images(options(write_tree(tmp_path, files)), "train")
    batch = next(images.batches(4))
    assert batch.index.tolist() == [0, 3]
    assert len(batch.pixels) == 2
    assert [each.name for each in batch.broken] == ["train/a/1.png", "train/b/0.png"]
    assert "truncated" in batch.broken[0].why
    assert [(len(b.index), len(b.broken)) for b in images.batches(1)] == [(1, 0), (0, 1), (0, 1), (1, 0)]
    assert [each["name"] for each in inspect(tmp_path).splits["train"]["broken"]] == ["train/a/1.png", "train/b/0.png"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_are_followed_and_one_that_leads_nowhere_is_broken(tmp_path: Path):
    write_tree(tmp_path / "elsewhere", {"0.png": picture()})
    folder = write_tree(tmp_path / "set", class_tree(("train",), ("a",)))
    (folder / "train" / "b").symlink_to(tmp_path / "elsewhere")
    (folder / "train" / "a" / "2.png").symlink_to(tmp_path / "gone")
    (folder / "train" / "a" / "up").symlink_to(folder)
    images = open_images(options(folder), "train")
    assert images.classes == ("a", "b")
    assert [each.name for each in next(images.batches(9)).broken] == ["train/a/2.png"]


def test_a_flat_folder_holds_out_every_tenth_and_says_so(tmp_path: Path):
    folder = write_tree(tmp_path, {f"{k:02d}.png": picture(k) for k in range(23)})
    train, val = (open_images(options(folder, condition="none"), split) for split in ("train", "val"))
    assert [val.name(k) for k in range(len(val))] == ["09.png", "19.png"]
    assert len(train) == 21
    assert any("every tenth" in line for line in inspect(folder).complaints)


@pytest.mark.parametrize("root", ["", "train/"])
def test_class_folders_hold_out_a_tenth_of_each_class_and_say_so(tmp_path: Path, root: str):
    """By a hash of the names: neither the first of a series nor the last, and the same on every machine."""
    sizes = {"a": 40, "b": 23, "c": 9, "d": 8}
    folder = write_tree(tmp_path, {f"{root}{name}/{k:02d}.png": picture(k) for name, n in sizes.items() for k in range(n)})
    train, val = (open_images(options(folder), split) for split in ("train", "val"))
    assert train.labels is not None
    assert val.labels is not None
    assert train.classes == val.classes == ("a", "b", "c", "d")
    held = [val.name(k) for k in range(len(val))]
    assert sorted([*held, *(train.name(k) for k in range(len(train)))]) == sorted(
        f"{root}{c}/{k:02d}.png" for c, n in sizes.items() for k in range(n)
    )
    assert [(val.labels == c).sum() for c in range(2)] == [4, 2]
    assert [name.removeprefix(root) for name in held] == HELD
    report = inspect(folder)
    assert [found["pictures"] for found in report.splits.values()] == [72, 8]
    assert any("of each class a tenth of the pictures, by a hash of their names, is held out" in line for line in report.complaints)
    assert train.complaints == report.complaints


def test_what_has_a_held_out_split_is_not_split_again(tmp_path: Path):
    folder = write_tree(tmp_path, class_tree(each=20))
    assert [len(open_images(options(folder), split)) for split in ("train", "val")] == [40, 40]
    assert inspect(folder).complaints == ()


def test_fewer_than_ten_pictures_hold_out_none(tmp_path: Path):
    folder = write_tree(tmp_path, {f"{name}/{k}.png": picture(k) for name in "ab" for k in range(4)})
    assert len(open_images(options(folder), "train")) == 8
    with pytest.raises(ValueError, match=r"no split 'val'.*val/ beside train/.*data\.held_out_split=train"):
        open_images(options(folder), "val")
    assert any("none is held out" in line for line in inspect(folder).complaints)


def test_what_was_parted_here_is_compared_with_the_published_counts_as_one(tmp_path: Path):
    """20 pictures of 64 x 64 in classes called as ImageNet's: a piece of Tiny-ImageNet's training split."""
    files = {f"{name}/{k}.png": picture(k, 64, 64) for name in ("n00000001", "n00000002") for k in range(10)}
    report = inspect(write_tree(tmp_path, files))
    assert report.splits["train"]["official"] == {"name": "Tiny-ImageNet", "pictures": 100_000, "matches": False}
    assert "official" not in report.splits["val"]
    assert any("Tiny-ImageNet: it has 20 pictures" in line for line in report.complaints)
    write_tree(tmp_path, {"n00000001/large.png": picture(0, 80, 70)})
    assert inspect(tmp_path).splits["train"]["official"]["name"] == "ImageNet 2012"


def test_the_folders_of_coco_are_no_classes(tmp_path: Path):
    with pytest.raises(ValueError, match=r"train2017, val2017 are no classes; set data\.reader=coco"):
        open_images(options(write_tree(tmp_path, coco_tree())), "train")


def test_ffhq_is_no_set_of_classes_and_holds_out_the_last_ten_thousand(tmp_path: Path):
    numbers = (0, 999, 1000, 59_999, 60_000, 69_999)
    files = {f"images1024x1024/{k // 1000 * 1000:05d}/{k:05d}.png": picture(k) for k in numbers}
    train, val = (open_images(options(write_tree(tmp_path, files), condition="none"), split) for split in ("train", "val"))
    assert (train.classes, len(train), len(val)) == ((), 4, 2)
    report = inspect(tmp_path)
    assert report.splits["train"]["official"] == {"name": "FFHQ", "pictures": 60_000, "matches": False}


def test_classes_are_called_by_the_names_beside_them(tmp_path: Path):
    files = class_tree(classes=("n03126707", "n02012849", "n02119789")) | {
        "class_names.txt": b"n02119789\tkit fox, Vulpes macrotis\nn02012849\tcrane\nn03126707\tcrane\n"
    }
    images = open_images(options(write_tree(tmp_path, files)), "train")
    assert images.classes == ("crane (n02012849)", "kit fox", "crane (n03126707)")


def test_a_split_with_a_class_that_train_has_not_has_no_labels(tmp_path: Path):
    files = class_tree(("train",)) | class_tree(("val",), ("a", "z"))
    with pytest.raises(ValueError, match=r"no classes.*class z, which train/ has not"):
        open_images(options(write_tree(tmp_path, files)), "val")
    assert open_images(options(tmp_path, condition="none"), "val").labels is None
    assert len(open_images(options(tmp_path), "train")) == 4


def test_a_set_without_classes_is_not_trained_on_classes_in_silence(tmp_path: Path):
    folder = write_tree(tmp_path, {f"{k}.png": picture(k) for k in range(12)})
    with pytest.raises(ValueError, match=r"no classes.*data\.condition=none"):
        open_images(options(folder), "train")
    with pytest.raises(ValueError, match="no captions"):
        open_images(options(folder, condition="text"), "train")


def test_what_is_left_out_is_said(tmp_path: Path):
    files = class_tree() | {
        "train/loose.png": picture(),
        "other/x.png": picture(),
        "notes.txt": b"",
        ".DS_Store": b"",
        "train/a/._0.png": b"junk",
    }
    report = inspect(write_tree(tmp_path, files))
    said = "\n".join(report.complaints)
    assert "1 pictures lie in no class folder" in said
    assert "1 pictures lie outside" in said
    assert "1 other files are not read (notes.txt)" in said
    assert report.splits["train"]["pictures"] == 4


def test_a_report_counts_classes_sizes_and_modes(tmp_path: Path):
    files = class_tree() | {"train/a/2.png": picture(9, 30, 20, "L")}
    found = inspect(write_tree(tmp_path, files)).splits["train"]
    assert (found["pictures"], found["classes"], found["fewest"], found["most"]) == (5, 2, 2, 3)
    assert found["sizes"] == {"24 x 24": 4, "30 x 20": 1}
    assert found["modes"] == {"RGB": 4, "L": 1}


def test_fingerprints_follow_names_and_sizes(tmp_path: Path):
    files = class_tree()
    found = {open_images(options(write_tree(tmp_path / "one", files)), "train").fingerprint}
    assert open_images(options(write_tree(tmp_path / "copy", files)), "train").fingerprint in found
    found.add(open_images(options(tmp_path / "one", limit=3), "train").fingerprint)
    found.add(open_images(options(write_tree(tmp_path / "two", files | {"train/a/0.png": picture(5, 25)})), "train").fingerprint)
    found.add(open_images(options(tmp_path / "one"), "val").fingerprint)
    assert len(found) == 4


def test_fingerprints_tell_pictures_apart_that_have_names_and_sizes_in_common(tmp_path: Path):
    """Uncompressed pictures all have one size."""
    found = {
        open_images(
            options(
                write_tree(tmp_path / str(k), {f"{name}/{i}.bmp": picture(100 * k + i, form="BMP") for name in "ab" for i in range(9)})
            ),
            "train",
        ).fingerprint
        for k in range(2)
    }
    assert len(found) == 2


def test_a_limit_is_spread_over_the_classes(tmp_path: Path):
    images = open_images(options(write_tree(tmp_path, class_tree()), limit=2), "train")
    assert images.labels is not None
    assert images.may_flip is not None
    assert (len(images), images.labels.tolist(), len(images.may_flip)) == (2, [0, 1], 2)


@pytest.mark.parametrize("cut", [700, 1536, 2048 + 24 * 24 * 3])
def test_a_tar_that_is_cut_off_is_damaged(tmp_path: Path, cut: int):
    path = write_tar(tmp_path / "all.tar", class_tree())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"all\.tar is damaged"):
        inspect(path)


def test_a_tar_overwritten_in_the_middle_is_damaged_and_not_shorter(tmp_path: Path):
    path = write_tar(tmp_path / "all.tar", class_tree())
    with tarfile.open(path) as archive:
        place = archive.getmembers()[5].offset
    data = bytearray(path.read_bytes())
    data[place : place + 512] = b"\x07" * 512
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        open_images(options(path), "train")


def test_tars_that_cannot_be_read_in_place_are_named_with_a_cure(tmp_path: Path):
    inner = write_tar(tmp_path / "n01440764.tar", {"x.JPEG": picture(form="JPEG")}).read_bytes()
    with pytest.raises(ValueError, match=r"tar of 2 tars.*unpack"):
        open_images(options(write_tar(tmp_path / "train.tar", {"n01440764.tar": inner, "n01443537.tar": inner})), "train")
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz"):
        pass
    with pytest.raises(ValueError, match="compressed"):
        inspect(tmp_path / "all.tar.gz")


def test_an_official_archive_with_another_hash_is_damaged(tmp_path: Path):
    path = write_tar(tmp_path / "ILSVRC2012_img_val.tar", {"ILSVRC2012_val_00000001.JPEG": picture(form="JPEG")})
    with pytest.raises(ValueError, match=r"damaged: its MD5 is .* 29b22e2961454d5413ddabcf34fc5622"):
        inspect(path)


def test_a_folder_of_nothing_known_is_refused_naming_what_was_looked_for(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no data set known here.*train2017/.*pictures in folders"):
        inspect(write_tree(tmp_path, {"a.txt": b"", "b.txt": b""}))


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
def test_the_tiny_imagenet_tar():
    path = data_folder() / "tiny-imagenet-20.tar"  # pyright: ignore[reportOptionalOperand]
    report = inspect(path)
    assert {split: found["pictures"] for split, found in report.splits.items()} == {"train": 10_000, "val": 1_000}
    assert report.splits["train"]["modes"] == {"RGB": 9_755, "L": 245}
    assert report.splits["train"]["classes"] == 20
    images = open_images(options(path, size=64), "val")
    batch = next(images.batches(8, 100))
    assert (batch.pixels.shape, batch.broken) == ((8, 3, 64, 64), ())
    assert images.classes[:2] == ("tailed frog", "American alligator")


def test_npz_files_are_called_by_their_name(tmp_path: Path):
    (tmp_path / "train_data_batch_1.npz").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"holds npz files of downsampled ImageNet; set data\.reader=imagenet64"):
        open_images(options(tmp_path), "train")
