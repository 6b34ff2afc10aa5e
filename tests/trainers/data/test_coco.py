"""MS-COCO: captions are joined by id, none is lost, and what has no partner is counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainers import data_folder
from tests.trainers.data.samples import coco_tree, write_tar, write_tree
from trainers.data import inspect, open_images
from trainers.recipes.schema import DataOptions


def options(path: Path, **changed: Any) -> DataOptions:
    return DataOptions(**({"reader": "coco", "path": str(path), "size": 16, "condition": "text"} | changed))


def test_captions_are_joined_by_id_in_the_order_of_the_files(tmp_path: Path):
    images = open_images(options(write_tree(tmp_path, coco_tree())), "train")
    assert [images.name(k) for k in range(3)] == [f"train2017/00000000000{k}.jpg" for k in (7, 8, 9)]
    assert images.captions == [(f"picture {k}, caption 1", f"picture {k}, caption 2") for k in (7, 8, 9)]
    assert (images.labels, images.complaints) == (None, ())
    val = open_images(options(tmp_path), "val")
    assert val.captions == [("one",)]


def test_a_tar_of_it_reads_alike(tmp_path: Path):
    images = open_images(options(write_tar(tmp_path / "coco.tar", coco_tree())), "train")
    assert images.captions is not None
    assert images.captions[0] == ("picture 7, caption 1", "picture 7, caption 2")
    assert next(images.batches(3)).pixels.shape == (3, 3, 16, 16)


def lonely(document: dict[str, Any]) -> None:
    document["annotations"] = [each for each in document["annotations"] if each["image_id"] != 8]
    document["images"].append({"id": 99, "file_name": "000000000099.jpg"})
    document["annotations"] += [
        {"id": 1, "image_id": 99, "caption": "a"},
        {"id": 2, "image_id": 99, "caption": "b"},
        {"id": 3, "image_id": 5, "caption": "c"},
    ]
    document["annotations"].append({"id": 4, "image_id": 7, "caption": " \n"})


def test_images_without_captions_and_captions_without_images_are_counted(tmp_path: Path):
    said = "\n".join(inspect(write_tree(tmp_path, coco_tree(lonely))).complaints)
    assert "train: 1 images of annotations/captions_train2017.json are not in train2017/ (train2017/000000000099.jpg" in said
    assert "train: 3 captions belong to images that are not there" in said
    assert "train: 1 images of train2017/ have no captions (train2017/000000000008.jpg" in said
    assert "train: 1 captions are empty" in said


def test_text_needs_a_caption_of_every_picture_and_other_conditions_do_not(tmp_path: Path):
    write_tree(tmp_path, coco_tree(lonely))
    images = open_images(options(tmp_path), "train")
    assert [images.name(k)[-5:] for k in range(len(images))] == ["7.jpg", "9.jpg"]
    assert any("and are left out" in line for line in images.complaints)
    every = open_images(options(tmp_path, condition="none"), "train")
    assert every.captions is not None
    assert (len(every), every.captions[1]) == (3, ())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda document: document.pop("images"), "no lists 'images' and 'annotations'"),
        (lambda document: document["images"].append({"id": 7, "file_name": "x.jpg"}), r"images\[3\] has the id 7 a second time"),
        (lambda document: document["images"].append({"file_name": "x.jpg"}), r"images\[3\]"),
        (lambda document: document["annotations"].insert(2, {"image_id": 7, "bbox": []}), r"annotations\[2\]"),
        (lambda document: document["annotations"].insert(0, {"image_id": "7", "caption": "x"}), r"annotations\[0\]"),
    ],
    ids=["no images", "twice", "no id", "no caption", "id as text"],
)
def test_a_wrong_annotation_file_is_named_with_the_place(tmp_path: Path, change: Any, what: str):
    write_tree(tmp_path, coco_tree(change))
    for read in (lambda: open_images(options(tmp_path), "train"), lambda: inspect(tmp_path)):
        with pytest.raises(ValueError, match=f"captions_train2017.json.*{what}"):
            read()


@pytest.mark.parametrize("spoil", [lambda data: data[:-40], lambda data: b"\xff" + data], ids=["cut off", "not text"])
def test_a_damaged_annotation_file_is_named(tmp_path: Path, spoil: Any):
    files = coco_tree()
    name = "annotations/captions_train2017.json"
    with pytest.raises(ValueError, match=r"captions_train2017\.json is damaged"):
        inspect(write_tree(tmp_path, files | {name: spoil(files[name])}))


def test_a_missing_annotation_file_is_a_line_and_an_error_only_for_text(tmp_path: Path):
    files = coco_tree()
    del files["annotations/captions_train2017.json"]
    report = inspect(write_tree(tmp_path, files))
    assert any("captions_train2017.json is missing" in line for line in report.complaints)
    assert len(open_images(options(tmp_path, condition="none"), "train")) == 3
    with pytest.raises(ValueError, match=r"no captions.*captions_train2017\.json is missing"):
        open_images(options(tmp_path), "train")


def test_other_captions_are_another_fingerprint(tmp_path: Path):
    one = open_images(options(write_tree(tmp_path / "one", coco_tree())), "train")
    other = open_images(options(write_tree(tmp_path / "two", coco_tree(lambda d: d["annotations"][0].update(caption="new")))), "train")
    assert one.fingerprint != other.fingerprint


def test_annotations_by_themselves_are_counted(tmp_path: Path):
    path = tmp_path / "captions_val2017.json"
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": "x"}] * 3}))
    report = inspect(path)
    assert (report.splits["val"]["captions"], report.splits["val"]["official"]["matches"]) == (3, False)


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
def test_the_real_pieces():
    folder: Any = data_folder()
    report = inspect(folder / "coco2017")
    assert {split: (found["pictures"], found["captions"], found["broken"]) for split, found in report.splits.items()} == {
        "train": (80, 400, []),
        "val": (120, 601, []),
    }
    official = inspect(folder / "captions_val2017.json")
    assert (official.splits["val"]["captions"], official.splits["val"]["official"]["matches"]) == (25_014, True)
