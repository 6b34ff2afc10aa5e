"""CIFAR-10's binary version."""

from pathlib import Path

import numpy as np
import pytest

from tests.trainers.data.samples import write_tree
from trainers.data import inspect, open_images
from trainers.recipes.schema import DataOptions


def records(labels: list[int], seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, None], pixels], axis=1).tobytes()


def whole(folder: Path) -> Path:
    return write_tree(folder, {f"data_batch_{k}.bin": records([k, 9, 0], k) for k in range(1, 6)} | {"test_batch.bin": records([4, 4])})


def options(path: Path, **changed: object) -> DataOptions:
    return DataOptions(**({"reader": "cifar10", "path": str(path), "size": 32} | changed))  # pyright: ignore[reportArgumentType]


def test_records_are_a_label_and_three_planes(tmp_path: Path):
    whole(tmp_path / "cifar-10-batches-bin")
    images = open_images(options(tmp_path), "train")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 9, 0, 2, 9, 0, 3, 9, 0, 4, 9, 0, 5, 9, 0]
    assert images.classes[0] == "airplane"
    raw = np.frombuffer((tmp_path / "cifar-10-batches-bin" / "data_batch_2.bin").read_bytes(), np.uint8)
    assert images.name(4) == "data_batch_2.bin:1"
    for size in (1, 2, 99):
        pixels = np.concatenate([batch.pixels for batch in images.batches(size, 2, 5)])
        assert np.array_equal(pixels[2], raw[3073 + 1 : 2 * 3073].reshape(3, 32, 32))
    assert len(open_images(options(tmp_path, limit=4), "train")) == 4
    assert len(open_images(options(tmp_path), "val")) == 2


def test_a_report_counts_and_names_missing_batches(tmp_path: Path):
    whole(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    report = inspect(tmp_path)
    assert (report.reader, report.splits["train"]["pictures"], report.splits["train"]["most"]) == ("cifar10", 12, 4)
    assert any("data_batch_3.bin" in line for line in report.complaints)
    assert any("official: 50,000" in line for line in report.complaints)


@pytest.mark.parametrize(
    ("contents", "what"), [(records([1, 2])[:-5], "no whole number of records"), (records([1, 10]), "label 10"), (b"", "0 bytes")]
)
def test_a_damaged_file_is_named(tmp_path: Path, contents: bytes, what: str):
    whole(tmp_path)
    (tmp_path / "data_batch_4.bin").write_bytes(contents)
    with pytest.raises(ValueError, match=rf"data_batch_4\.bin is damaged.*{what}"):
        inspect(tmp_path)


def test_the_python_version_is_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(ValueError, match=r"executes whatever code.*binary version"):
        inspect(write_tree(tmp_path, {"cifar-10-batches-py/data_batch_1": b"\x80\x02}q\x01."}))


def test_another_size_names_the_cure(tmp_path: Path):
    with pytest.raises(ValueError, match=r"set data\.size=32"):
        open_images(options(whole(tmp_path), size=64), "train")
