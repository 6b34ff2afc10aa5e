"""The emoji and the digits, which come with the project."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainers import data_folder
from trainers.data import inspect, open_images
from trainers.data.emoji import FOLDER, Emoji
from trainers.data.images import Images
from trainers.data.make_emoji import arrange, designs, may_flip, splits
from trainers.recipes.schema import DataOptions


def pixels(images: Images) -> np.ndarray:
    return np.concatenate([batch.pixels for batch in images.batches(256)])


@pytest.fixture(scope="module")
def emoji() -> dict[str, Images]:
    return {split: open_images(DataOptions(), split) for split in ("train", "val")}


def test_there_are_1906_emoji_in_nine_categories(emoji: dict[str, Images]):
    report = inspect(Path("emoji"))
    assert sum(found["pictures"] for found in report.splits.values()) == sum(map(len, emoji.values())) == 1906
    assert [found["classes"] for found in report.splits.values()] == [9, 9]
    assert emoji["train"].classes == emoji["val"].classes
    assert "Component" not in emoji["train"].classes


def test_the_sheet_is_small_and_its_licences_are_kept():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3.5e6
    licence = (FOLDER / "LICENSE").read_text()
    assert "CC BY 4.0" in licence
    assert "Twitter" in licence
    assert "Cal Henderson" in licence


def test_about_a_tenth_of_each_category_is_held_out(emoji: dict[str, Images]):
    train, val = (np.bincount(emoji[split].labels, minlength=9) for split in ("train", "val"))  # pyright: ignore[reportArgumentType]
    share = val / (train + val)
    assert (share > 0.09).all()
    assert (share < 0.11).all()


def test_nothing_held_out_looks_like_a_picture_to_train_on(emoji: dict[str, Images]):
    """Norway's flag is Svalbard's, and 29 families share four pictures: a design lies in one split only."""
    train, val = (pixels(emoji[split]).reshape(len(emoji[split]), -1).astype(np.float64) for split in ("train", "val"))
    nearest = np.sqrt((np.square(val).sum(1)[:, None] + np.square(train).sum(1) - 2 * val @ train.T).min(1) / train.shape[1])
    assert nearest.min() > 3


def test_captions_are_names(emoji: dict[str, Images]):
    captions = {caption for images in emoji.values() for (caption,) in images.captions or ()}
    assert {"grinning face", "Greenland Flag", "bicycle", "slice of pizza"} <= captions
    assert all(images.labels is not None for images in emoji.values())


def test_emoji_lie_on_white(emoji: dict[str, Images]):
    found = pixels(emoji["train"])
    corners = found[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 255).mean() > 0.95


def test_flags_symbols_and_clocks_are_not_mirrored(emoji: dict[str, Images]):
    images = emoji["train"]
    assert images.captions is not None
    assert images.may_flip is not None
    assert images.labels is not None
    flips = {caption: bool(flip) for (caption,), flip in zip(images.captions, images.may_flip, strict=True)}
    labels = {caption: int(label) for (caption,), label in zip(images.captions, images.labels, strict=True)}
    for category in ("Flags", "Symbols"):
        own = [flip for name, flip in flips.items() if images.classes[labels[name]] == category]
        assert own
        assert not any(own)
    assert not any(flip for name, flip in flips.items() if name.startswith("clock face") or "moon symbol" in name)
    assert flips["bicycle"]
    assert flips["grinning face"]


def test_other_sizes_are_resampled_and_say_so(emoji: dict[str, Images]):
    small = open_images(DataOptions(size=16, channels=1, limit=5), "train")
    assert pixels(small).shape == (5, 1, 16, 16)
    assert (small.preparation, emoji["train"].preparation) == ("centre crop, Lanczos", "as stored")
    whole = pixels(emoji["train"])
    grey = whole[[k * len(whole) // 5 for k in range(5)]].mean((1, 2, 3))  # five, evenly spread
    assert abs(pixels(small).mean((1, 2, 3)) - grey).max() < 25


def test_a_damaged_sheet_is_named(tmp_path: Path):
    for name in ("emoji.json", "sheet.webp"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "sheet.webp").write_bytes((FOLDER / "sheet.webp").read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"sheet\.webp is missing or damaged"):
        Emoji("train", DataOptions(), tmp_path)


def test_pictures_that_look_alike_are_one_design_through_chains():
    base = np.full((1, 3, 4, 4), 100, np.uint8)
    alike = np.concatenate([base, base + 50, base + 4, base + 2, base + 50])  # the fourth joins the first and the third
    assert designs(alike) == [0, 1, 0, 0, 1]


def test_the_split_keeps_designs_together_and_does_not_depend_on_the_order():
    codes = [f"{k:04x}" for k in range(200)]
    categories = ["a"] * 120 + ["b"] * 80
    design = [k - k % 2 for k in range(200)]
    found = splits(categories, design, codes)
    assert Counter(found[:120])["val"] == 12
    assert Counter(found[120:])["val"] == 8
    assert all(found[k] == found[k + 1] for k in range(0, 200, 2))


def test_sides_and_writing_are_not_mirrored():
    for name, expected in (("RIGHT-FACING FIST", False), ("CALENDAR", False), ("BRIGHT BUTTON", True), ("FIST", True)):
        assert may_flip({"name": name, "category": "Objects", "subcategory": "other"}) == expected


@pytest.mark.skipif(data_folder() is None, reason="needs FLOWLAB_DATA")
def test_the_script_makes_what_is_shipped():
    from PIL import Image

    sheet, text = arrange(data_folder() / "emoji64.tar")  # pyright: ignore[reportOptionalOperand]
    assert text == (FOLDER / "emoji.json").read_text()
    assert np.array_equal(sheet, np.asarray(Image.open(FOLDER / "sheet.webp")))


def test_the_index_names_every_design_once():
    index: dict[str, Any] = json.loads((FOLDER / "emoji.json").read_text())
    codes = [picture[0] for picture in index["pictures"]]
    assert len(set(codes)) == 1906
    assert not {code for code in codes for tone in ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff") if tone in code.split("-")}


def test_digits_are_scikit_learns_in_eight_bits():
    from sklearn.datasets import load_digits

    stored: Any = load_digits()
    options = DataOptions(reader="digits", size=8, channels=1)
    train, val = (open_images(options, split) for split in ("train", "val"))
    rows = [int(images.name(k).split()[1]) for images in (train, val) for k in range(len(images))]
    assert sorted(rows) == list(range(1797))
    both = np.concatenate([pixels(train), pixels(val)])
    assert np.array_equal(both[:, 0], np.rint(stored.images[rows] * 255 / 16).astype(np.uint8))
    labels = np.concatenate([train.labels, val.labels])  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert np.array_equal(labels, stored.target[rows])
    assert both.max() == 255
    share = np.bincount(labels[len(train) :]) / np.bincount(labels)
    assert share.min() > 0.09
    assert share.max() < 0.11
    assert train.may_flip is not None
    assert not train.may_flip.any()


def test_digits_of_another_size_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"data\.size=8 and data\.channels=1"):
        open_images(DataOptions(reader="digits"), "train")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (DataOptions(reader="flowers"), r"data\.reader=flowers is none of emoji"),
        (DataOptions(condition="colour"), r"data\.condition=colour"),
        (DataOptions(preparation="stretch"), r"data\.preparation=stretch is none of centre-crop, squash"),
        (DataOptions(size=0), r"data\.size=0"),
        (DataOptions(channels=4), r"data\.channels=4"),
        (DataOptions(limit=0), r"data\.limit=0"),
        (DataOptions(path="x"), r"leave data\.path=x out"),
        (DataOptions(reader="folder"), r"data\.path is missing"),
        (DataOptions(reader="folder", path="/nowhere/at/all"), "is not there"),
        (DataOptions(reader="digits", size=8, channels=1, condition="text"), "no captions"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_options_are_named(options: DataOptions, what: str):
    with pytest.raises(ValueError, match=what):
        open_images(options, "train")


def test_another_split_is_refused():
    with pytest.raises(ValueError, match="neither train nor val"):
        open_images(DataOptions(), "test")


def test_fingerprints_of_splits_differ_and_stay(emoji: dict[str, Images]):
    found = {images.fingerprint for images in (*emoji.values(), open_images(DataOptions(limit=3), "train"))}
    assert len(found) == 3
    assert open_images(DataOptions(), "train").fingerprint == emoji["train"].fingerprint
    assert len(emoji["train"].fingerprint) == len(hashlib.sha256().hexdigest())
