"""`python -m trainers data PATH`."""

import json
from pathlib import Path

import pytest

from tests.trainers import data_folder
from tests.trainers.data.samples import class_tree, coco_tree, picture, write_npz, write_tar, write_tree
from trainers.cli import main
from trainers.data import inspect


def test_it_tells_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    files = class_tree() | {f"train/a/broken{k}.png": picture()[:300] for k in range(7)} | {"notes.txt": b""}
    assert main(["data", str(write_tree(tmp_path, files))]) == 0
    said = capsys.readouterr().out
    for line in (
        "reader folder",
        "pictures      11",
        "classes       2 (2 to 9 pictures each)",
        "24 x 24: 4",
        "broken        7",
        "train/a/broken0.png: ",
        "and 2 more",
        "notes.txt",
    ):
        assert line in said


def test_json_is_one_object_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", str(write_tree(tmp_path, coco_tree())), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["reader"], found["splits"]["train"]["captions"], found["splits"]["train"]["per picture"]) == ("coco", 6, {"2": 3})


def test_the_words_name_what_comes_with_the_project(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "emoji"]) == 0
    assert main(["data", "digits"]) == 0
    said = capsys.readouterr().out
    assert "1,716" in said
    assert "1,621" in said


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    write_tree(tmp_path / "emoji", class_tree())
    monkeypatch.chdir(tmp_path)
    assert main(["data", "emoji"]) == 0
    assert "reader folder" in capsys.readouterr().out


def test_damage_ends_in_status_2_naming_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_npz(tmp_path / "npz" / "val_data.npz", (1, 2))
    archive = tmp_path / "npz" / "val_data.npz"
    archive.write_bytes(archive.read_bytes()[:-30])
    files = coco_tree()
    write_tree(tmp_path / "coco", files | {"annotations/captions_val2017.json": files["annotations/captions_val2017.json"][:-3]})
    for path, culprit in (("npz", "val_data.npz"), ("coco", "captions_val2017.json"), ("gone", "gone"), ("", "no data set known here")):
        write_tree(tmp_path / "empty", {})
        where = tmp_path / (path or "empty")
        where.mkdir(exist_ok=True) if not path else None
        assert main(["data", str(where)]) == 2
        said = capsys.readouterr()
        assert (said.out, culprit in said.err, said.err.count("\n")) == ("", True, 1)


def test_a_folder_of_several_data_sets_names_each_and_the_command_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    write_npz(tmp_path / "small" / "npz" / "val_data.npz", (1, 2))
    write_tree(tmp_path / "coco", coco_tree())
    write_tree(tmp_path / "mine", class_tree())
    write_tar(tmp_path / "all.tar", class_tree())
    assert main(["data", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert f"{tmp_path} holds 4 data sets" in said.err
    for name, kind in (("all.tar", "tar"), ("coco", "MS-COCO"), ("mine", "pictures in train/"), ("small", "ImageNet-64 or -32")):
        assert f"{name} ({kind}): `python -m trainers data {tmp_path / name}`" in said.err


@pytest.mark.parametrize("only", ["all.tar", "coco"])
def test_one_data_set_below_the_folder_that_was_named_is_pointed_at(tmp_path: Path, capsys: pytest.CaptureFixture[str], only: str):
    write_tree(tmp_path, {"README.md": b""})
    write_tree(tmp_path / "coco", coco_tree()) if only == "coco" else write_tar(tmp_path / "all.tar", class_tree())
    assert main(["data", str(tmp_path)]) == 2
    assert f"holds a data set and is none itself; look at that: {only}" in capsys.readouterr().err


def test_what_is_one_data_set_is_not_taken_for_several(tmp_path: Path):
    """Splits in folders of their own, class folders beside a tar, and a folder that holds nothing but the data set's."""
    for number, split in enumerate(("train", "val")):
        write_npz(tmp_path / "npz" / split / ("train_data_batch_1.npz" if split == "train" else "val_data.npz"), (number + 1, 2))
    write_tree(tmp_path / "classes", {f"{name}/{k}.png": picture(k) for name in "ab" for k in range(6)})
    write_tar(tmp_path / "classes" / "backup.tar", class_tree())
    write_tree(tmp_path / "within" / "set", class_tree())
    for name, reader in (("npz", "imagenet64"), ("classes", "folder"), ("within", "folder")):
        assert inspect(tmp_path / name).reader == reader


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
def test_the_folder_of_all_real_pieces_says_so(capsys: pytest.CaptureFixture[str]):
    assert main(["data", str(data_folder())]) == 2
    said = capsys.readouterr().err
    assert "holds 5 data sets" in said
    assert all(name in said for name in ("captions_val2017.json", "coco2017", "emoji64.tar", "imagenet64", "tiny-imagenet-20.tar"))


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
@pytest.mark.parametrize("name", ["imagenet64", "tiny-imagenet-20.tar", "coco2017", "emoji64.tar"])
def test_the_real_pieces_are_whole_and_not_official(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["data", str(data_folder() / name), "--json"]) == 0  # pyright: ignore[reportOptionalOperand]
    found = json.loads(capsys.readouterr().out)
    assert all(split["broken"] == [] for split in found["splits"].values())
    assert not any(split.get("official", {}).get("matches") for split in found["splits"].values())
