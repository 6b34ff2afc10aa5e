"""Captions of a cache: drawn evenly, encoded once where that fits, and at use else, with the same states."""

from dataclasses import replace

import pytest
import torch

import trainers.latents.captions
from tests.trainers.latents.encoders import bert
from tests.trainers.latents.gallery import recipe, show
from trainers.files import read_json, write_json
from trainers.latents import build_cache, open_cache
from trainers.recipes.schema import TextOptions
from trainers.text import load_encoder

READABLE = [i for i in range(50) if i not in (7, 33)]
TEXTS = [f"train picture {i}, take {j}" for i in READABLE for j in range(i % 4)]


def quiet(_line):
    return None


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A recipe conditioned on text; its shards of states hold 16."""
    show(monkeypatch)
    monkeypatch.setattr(trainers.latents.captions, "TEXTS", 16)
    bert(tmp_path / "bert")
    plain = recipe("none")
    return replace(plain, data=replace(plain.data, condition="text"), text=TextOptions("sentence", str(tmp_path / "bert"), 3))


@pytest.fixture
def folder(made, tmp_path):
    build_cache(made, tmp_path / "cache", say=quiet, items=16)
    return tmp_path / "cache"


def states(folder):
    return sorted((folder / "train").glob("text-*/shard-*.safetensors"))


def test_texts_belong_to_the_items_that_are_in_the_cache(made, folder):
    captions = open_cache(folder, "train", made).captions
    assert captions is not None
    assert captions.texts == TEXTS
    assert len(captions) == len(TEXTS)
    assert captions.counts.tolist() == [i % 4 for i in READABLE]
    assert [captions.owner(n) for n in range(len(TEXTS))] == [row for row, i in enumerate(READABLE) for _ in range(i % 4)]
    assert captions.text(3) == TEXTS[3]
    assert captions.text(captions.null) == ""
    with pytest.raises(ValueError, match=f"caption {captions.null} is of no item"):
        captions.owner(captions.null)


def test_captions_are_drawn_evenly_and_items_without_get_the_null_one(made, folder):
    captions = open_cache(folder, "train", made).captions
    assert captions is not None
    three, none = READABLE.index(3), READABLE.index(4)
    uniforms = (torch.arange(300) + 0.5) / 300
    drawn = captions.pick(torch.full((300,), three), uniforms)
    assert {captions.owner(int(n)) for n in drawn} == {three}
    assert drawn.unique(return_counts=True)[1].tolist() == [100, 100, 100]
    assert captions.owner(int(captions.pick(torch.tensor([three]), torch.tensor([1 - 1e-9]))[0])) == three  # float32 rounds it to 1
    assert captions.pick(torch.tensor([none, three]), torch.tensor([0.5, 0.0])).tolist() == [captions.null, int(drawn[0])]


@pytest.mark.parametrize("kept", [True, False], ids=["cached", "at use"])
def test_states_are_those_of_the_encoder(made, folder, kept, tmp_path, monkeypatch):
    said: list[str] = []
    if not kept:
        monkeypatch.setattr(trainers.latents.captions, "LARGEST_CACHE", 100)
        folder = tmp_path / "other"
        build_cache(made, folder, say=said.append, items=16)
        assert not states(folder)
        assert "encoded as they are used" in said[-1]
    captions = open_cache(folder, "train", made).captions
    assert captions is not None
    numbers = torch.tensor([5, captions.null, 0, 40])
    found = captions.states(numbers)
    expected = load_encoder(made.text).encode([TEXTS[5], "", TEXTS[0], TEXTS[40]])
    assert found.dtype == torch.float32
    assert found.shape == (4, 4, 16)
    assert torch.allclose(found, expected, atol=2e-3)


def test_states_are_encoded_once_and_mended(made, folder, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in states(folder)}
    contents = {path: path.read_bytes() for path in states(folder)}
    assert len(before) == -(-(len(TEXTS) + 1) // 16)
    build_cache(made, folder, say=quiet, items=16)
    assert {path: path.stat().st_mtime_ns for path in states(folder)} == before
    second = states(folder)[1]
    second.unlink()
    with pytest.raises(ValueError, match=r"shard-00001.safetensors is missing: run `python -m trainers cache gallery"):
        open_cache(folder, "train", made)
    build_cache(made, folder, say=quiet, items=16)
    assert {path: path.read_bytes() for path in states(folder)} == contents
    second.write_bytes(contents[second][:-1] + b"\x7f")
    with pytest.raises(ValueError, match=r"shard-00001.safetensors is damaged .*: run"):
        open_cache(folder, "train", made)
    kept = {path: at for path, at in before.items() if path != second}
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.parametrize("key", ["texts", "shards", "shape"])
def test_a_manifest_of_states_that_lacks_a_key_is_named_with_the_cure(made, folder, key):
    path = next((folder / "train").glob("text-*/manifest.json"))
    write_json(path, {name: value for name, value in read_json(path).items() if name != key})
    for attempt in (lambda: open_cache(folder, "train", made), lambda: build_cache(made, folder, say=quiet, items=16)):
        with pytest.raises(ValueError, match=rf"manifest.json lacks '{key}'.*remove {path.parent} and run cache again"):
            attempt()


def test_another_encoder_or_other_rows_have_states_of_their_own(made, folder):
    longer = replace(made, text=replace(made.text, max_tokens=5))
    with pytest.raises(ValueError, match=r"no states of the train captions by .* with max_tokens=5; run cache for this recipe"):
        open_cache(folder, "train", longer)
    build_cache(longer, folder, say=quiet, items=16)
    for each in (made, longer):
        captions = open_cache(folder, "train", each).captions
        assert captions is not None
        assert captions.states(torch.tensor([0])).shape == (1, 1 + each.text.max_tokens, 16)


def test_a_missing_encoder_is_said_before_anything_is_encoded(made, tmp_path):
    gone = replace(made, text=TextOptions("sentence", str(tmp_path / "cache")))
    (tmp_path / "cache").mkdir()
    with pytest.raises(ValueError, match=r"has no config.json"):
        build_cache(gone, tmp_path / "new", say=quiet)
    assert not (tmp_path / "new").exists()


def test_a_class_recipe_reads_the_same_cache_without_states(made, folder):
    plain = replace(made, data=replace(made.data, condition="class"), text=TextOptions())
    assert open_cache(folder, "train", plain).captions is None


def test_a_split_without_captions_is_refused(made, folder):
    (folder / "train" / "captions.json").unlink()
    with pytest.raises(ValueError, match="has no captions for its train split"):
        open_cache(folder, "train", made)


def test_states_of_other_texts_are_not_taken(made, folder):
    captions = [[text.upper()] for text in TEXTS[:48]]
    write_json(folder / "train" / "captions.json", captions)
    with pytest.raises(ValueError, match="not finished: run"):
        open_cache(folder, "train", made)
