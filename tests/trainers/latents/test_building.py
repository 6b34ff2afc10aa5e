"""Building is done once: killed it goes on, damaged it mends, and made otherwise it is refused."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from tests.trainers.data.samples import picture as drawing
from tests.trainers.data.samples import write_tree
from tests.trainers.latents.gallery import recipe, show
from trainers.autoencoders.taef2 import FOLDER
from trainers.files import read_json, write_json
from trainers.latents import build_cache, default_folder, open_cache
from trainers.recipes import apply

DIFFUSERS: Any = import_module("diffusers")
ROOT = Path(__file__).resolve().parents[3]


def build(made, folder, **options):
    said: list[str] = []
    build_cache(made, folder, say=said.append, items=5, **options)
    return said


def shards(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished cache, to be copied and not changed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        show(patch)
        build(recipe(), folder)
    return folder


@pytest.fixture
def copy(whole, tmp_path, monkeypatch):
    """A copy of that cache, and the gallery that it was made of."""
    setting = show(monkeypatch)
    return Path(shutil.copytree(whole, tmp_path / "copy")), setting


SLOW = """
import os, signal, sys, threading, time
from pathlib import Path
import pytest
from tests.trainers.latents.gallery import recipe, show
from trainers.latents import build_cache
folder, least = Path(sys.argv[1]), int(sys.argv[2])

def watch():
    while len(list(folder.glob("train/shard-*.safetensors"))) < least:
        time.sleep(0.002)
    time.sleep(0.02 * least)
    os.kill(os.getpid(), signal.SIGKILL)

threading.Thread(target=watch, daemon=True).start()
show(pytest.MonkeyPatch(), pause=0.05)
build_cache(recipe(), Path(sys.argv[1]), items=5)
"""


def test_killed_at_any_moment_it_goes_on_after_the_last_whole_shard(whole, tmp_path, monkeypatch):
    """SIGKILL twice; what was whole is neither encoded nor written again, and the end is bit-equal to a build that was left alone."""
    folder, finished = tmp_path / "killed", {}
    for least in (2, 6):
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        # It kills itself: from outside, a kill would come late on a busy machine.
        child = subprocess.run([sys.executable, "-c", SLOW, str(folder), str(least)], cwd=ROOT, env=env, timeout=120, check=False)
        assert child.returncode == -signal.SIGKILL
        kept = {path: path.stat().st_mtime_ns for path in folder.glob("train/shard-*.safetensors")}
        assert len(kept) >= least
        assert finished.items() <= kept.items()
        finished = kept
    assert len(finished) < 10
    with pytest.raises(ValueError, match=r"the train split of .* is not finished: run `python -m trainers cache gallery --cache .*` again"):
        open_cache(folder)
    setting = show(monkeypatch)
    build(recipe(), folder)
    assert setting.read == [i for i in range(5 * len(finished), 50) if i not in (7, 33)] + [i for i in range(20) if i != 7]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert shards(folder) == shards(whole)
    assert read_json(folder / "manifest.json") == read_json(whole / "manifest.json")
    assert not list(folder.rglob("*.partial"))


def test_a_shard_written_just_before_the_kill_is_kept(copy):
    folder, setting = copy
    manifest = read_json(folder / "manifest.json")
    entry = manifest["splits"]["train"]
    entry["shards"], entry["finished"], manifest["statistics"], manifest["shape"] = entry["shards"][:4], False, None, None
    write_json(folder / "manifest.json", manifest)
    for number in range(6, 10):
        (folder / "train" / f"shard-{number:05d}.safetensors").unlink()
    build(recipe(), folder, splits=("train",))
    assert setting.read == [i for i in range(30, 50) if i != 33]  # shards 4 and 5 were whole


def test_a_whole_cache_is_left_alone(copy):
    folder, setting = copy
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.is_file() and path.name != ".lock"}
    said = build(recipe(), folder)
    assert setting.read == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert said == [
        "train: 48 of 50 pictures in 10 shards, 2 broken and left out",
        "val: 19 of 20 pictures in 4 shards, 1 broken and left out",
    ]


@pytest.mark.parametrize("harm", ["missing", "short", "changed", "statistics", "captions"])
def test_what_is_missing_or_damaged_is_named_and_made_again(copy, whole, harm):
    folder, setting = copy
    path = folder / {"statistics": "statistics.safetensors", "captions": "train/captions.json"}.get(harm, "train/shard-00002.safetensors")
    contents = bytearray(path.read_bytes())
    if harm in ("missing", "captions"):
        path.unlink()
    elif harm == "short":
        path.write_bytes(contents[:-100])
    else:
        contents[-1] ^= 1
        path.write_bytes(contents)
    if harm != "captions":
        word = "missing" if harm == "missing" else "damaged"
        with pytest.raises(
            ValueError,
            match=rf"{path.name} is {word}.*: run `python -m trainers cache gallery --cache .*` again, which makes what is missing",
        ):
            open_cache(folder, "train", recipe())
    build(recipe(), folder)
    assert setting.read == ([] if harm in ("statistics", "captions") else [10, 11, 12, 13, 14])
    assert shards(folder) == shards(whole)
    assert (folder / "train" / "captions.json").read_bytes() == (whole / "train" / "captions.json").read_bytes()
    assert len(open_cache(folder, "train", recipe())) == 48


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"data.size": 24}, "size 16 in the cache, 24 now"),
        ({"data.preparation": "squash"}, "preparation 'centre-crop' in the cache, 'squash' now"),
        ({"data.flip": False}, "flip True in the cache, False now"),
        ({"data.limit": 10}, "limit None in the cache, 10 now"),
        ({"data.reader": "coco"}, "reader 'folder' in the cache, 'coco' now"),
        (
            {"autoencoder.kind": "none"},
            "autoencoder 'taef2' in the cache, 'none' now; dtype 'float16' in the cache, 'uint8' now; autoencoder hash",
        ),
    ],
)
def test_another_recipe_is_refused_by_builder_and_reader_alike(copy, values, says):
    folder, _ = copy
    other = apply(recipe(), values)
    for attempt in (lambda: build(other, folder), lambda: open_cache(folder, "train", other)):
        with pytest.raises(ValueError, match=rf"was made otherwise: .*{says}"):
            attempt()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"fingerprint": "second"}, "fingerprint 'first train' in the cache, 'second train' now"),
        ({"preparation": "centre crop"}, "prepared 'drawn' in the cache, 'centre crop' now"),
        ({"counts": {"train": 51, "val": 20}}, "listed 50 in the cache, 51 now"),
    ],
)
def test_other_pictures_are_refused(copy, monkeypatch, change, says):
    folder, _ = copy
    show(monkeypatch, **change)
    with pytest.raises(ValueError, match=says):
        build(recipe(), folder)


def test_another_autoencoder_of_the_same_kind_is_refused(copy, tmp_path):
    folder, _ = copy
    shutil.copytree(FOLDER, tmp_path / "other")
    same = recipe(path=str(tmp_path / "other"))
    assert len(open_cache(folder, "train", same)) == 48  # the same weights elsewhere
    contents = bytearray((tmp_path / "other" / "encoder.safetensors").read_bytes())
    contents[-1] ^= 1
    (tmp_path / "other" / "encoder.safetensors").write_bytes(contents)
    for attempt in (lambda: build(same, folder), lambda: open_cache(folder, "train", same)):
        with pytest.raises(ValueError, match=r"autoencoder hash '[0-9a-f]{64}' in the cache, '[0-9a-f]{64}' now"):
            attempt()


def test_flip_makes_no_difference_to_pixels(tmp_path, monkeypatch):
    show(monkeypatch)
    build(recipe("none"), tmp_path)
    assert len(open_cache(tmp_path, "train", apply(recipe("none"), {"data.flip": False}))) == 48


def test_mirrored_latents_that_are_not_there_are_not_given(tmp_path, monkeypatch):
    show(monkeypatch)
    still = apply(recipe(), {"data.flip": False})
    build(still, tmp_path)
    assert "latents_flip" not in load_file(tmp_path / "train" / "shard-00000.safetensors")
    with pytest.raises(ValueError, match="holds no mirrored latents"):
        open_cache(tmp_path, "train", still).read(torch.tensor([1]), torch.tensor([True]))


def test_a_shard_of_broken_pictures_alone_is_empty(tmp_path, monkeypatch):
    show(monkeypatch, broken=tuple(range(5, 10)))
    build(recipe(), tmp_path)
    cache = open_cache(tmp_path, "train", recipe())
    assert cache.index.tolist() == [*range(5), *range(10, 50)]
    assert cache.names[5] == "train-010.png"
    assert torch.isfinite(cache.read(torch.arange(45))).all()


def test_a_split_without_one_readable_picture_is_refused(tmp_path, monkeypatch):
    show(monkeypatch, broken=tuple(range(50)))
    with pytest.raises(ValueError, match=r"no picture of train could be read \(train-000.png: cut short\)"):
        build(recipe(), tmp_path)


def test_a_folder_that_is_no_cache_is_left_alone(tmp_path, monkeypatch):
    show(monkeypatch)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds thesis.tex and no manifest.json: it is no cache"):
        build(recipe(), tmp_path)
    with pytest.raises(ValueError, match=r"is no cache; `python -m trainers cache gallery --cache"):
        open_cache(tmp_path, "train", recipe())


def test_a_manifest_of_another_version_or_damaged_is_named(copy):
    folder, _ = copy
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", manifest | {"version": 99})
    with pytest.raises(ValueError, match=r"manifest.json is of version 99; this program reads version 1"):
        open_cache(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest.json is damaged"):
        open_cache(folder)


def test_the_held_out_split_needs_the_training_split_for_its_normalisation(tmp_path, monkeypatch):
    show(monkeypatch)
    build(recipe(), tmp_path, splits=("val",))
    with pytest.raises(ValueError, match=r"the train split of .* is not finished"):
        open_cache(tmp_path, "val", recipe())
    build(recipe(), tmp_path, splits=("train",))
    assert len(open_cache(tmp_path, "val", recipe())) == 19


def test_folders_are_named_after_what_makes_latents_differ(tmp_path):
    emoji = recipe()
    emoji = replace(emoji, data=replace(emoji.data, reader="emoji", size=64))
    assert default_folder(emoji, tmp_path) == tmp_path / "cache" / "emoji-64-taef2"
    changes = {
        "data.flip": False,
        "data.limit": 7,
        "data.size": 32,
        "data.preparation": "squash",
        "autoencoder.kind": "none",
        "autoencoder.path": "CompVis/VQ f8.safetensors",
    }
    names = {default_folder(apply(emoji, {name: value}), tmp_path).name for name, value in changes.items()}
    assert names == {
        "emoji-64-taef2-unflipped",
        "emoji-64-taef2-limit-7",
        "emoji-32-taef2",
        "emoji-64-taef2-squash",
        "emoji-64-pixels",
        "emoji-64-taef2-vq-f8",
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/Flowers of 2024", "folder-flowers-of-2024-64-pixels"),
        ("/data/cats_and_dogs/", "folder-cats-and-dogs-64-pixels"),
        ("/data/tiny-imagenet-20.tar", "folder-tiny-imagenet-20-64-pixels"),
        ("/data/写真", "folder-写真-64-pixels"),
        ("~", f"folder-{re.sub('[^a-z0-9.]+', '-', Path.home().name.lower())}-64-pixels"),
        (None, "folder-64-pixels"),
    ],
)
def test_folders_of_pictures_give_their_caches_their_names(tmp_path, path, name):
    made = recipe("none", size=64)
    made = replace(made, data=replace(made.data, path=path))
    assert default_folder(made, tmp_path).name == name
    assert default_folder(apply(made, {"data.reader": "imagenet64"}), tmp_path).name == "imagenet64-64-pixels"


def test_two_folders_of_one_name_are_both_named_where_they_meet(tmp_path):
    """Made from real folders: the cache of the first is refused to the second by builder and reader, and kept where the first has only moved."""
    made = {}
    for k, home in enumerate(("cats", "dogs")):
        write_tree(tmp_path / home / "pictures", {f"{c}/{i}.png": drawing(9 * k + i) for c in "ab" for i in range(6)})
        made[home] = apply(recipe("none"), {"data.path": str(tmp_path / home / "pictures"), "data.size": 24})
    folder = default_folder(made["cats"], tmp_path)
    assert default_folder(made["dogs"], tmp_path) == folder
    said = build(made["cats"], folder)
    assert any("of each class a tenth of the pictures, by a hash of their names, is held out" in line for line in said)
    assert sum("by a hash" in line for line in said) == 1
    assert [split["count"] for split in read_json(folder / "manifest.json")["splits"].values()] == [11, 1]
    assert all("by a hash of their names" in split["notes"][0] for split in read_json(folder / "manifest.json")["splits"].values())
    both = rf"{tmp_path}/cats/pictures.*{tmp_path}/dogs/pictures.*another folder with --cache"
    for attempt in (lambda: build(made["dogs"], folder), lambda: open_cache(folder, "train", made["dogs"])):
        with pytest.raises(ValueError, match=both):
            attempt()
    (tmp_path / "cats").rename(tmp_path / "moved")
    moved = apply(made["cats"], {"data.path": str(tmp_path / "moved" / "pictures")})
    build(moved, folder)
    with pytest.raises(
        ValueError, match=r"is no cache; .* makes one \(unless named, that of a folder of pictures is found by --set data.path=FOLDER\)"
    ):
        open_cache(tmp_path / "cache" / "folder-24-pixels", "train", apply(recipe("none"), {"data.size": 24}))


@pytest.mark.parametrize(
    ("key", "split", "shard"),
    [("made", None, None), ("statistics", None, None), ("captions sha256", "train", None), ("source", "val", None), ("sha256", "train", 3)],
)
def test_a_manifest_that_lacks_a_key_is_named_with_the_cure(copy, key, split, shard):
    folder, _ = copy
    manifest = read_json(folder / "manifest.json")
    part = manifest if split is None else manifest["splits"][split]
    del (part if shard is None else part["shards"][shard])[key]
    write_json(folder / "manifest.json", manifest)
    for attempt in (lambda: build(recipe(), folder), lambda: open_cache(folder, "train", recipe())):
        with pytest.raises(ValueError, match=rf"manifest.json lacks '{key}'.*remove {folder} and run cache again"):
            attempt()


def test_a_hubs_name_needs_no_network_to_be_compared(tmp_path, monkeypatch):
    show(monkeypatch)
    DIFFUSERS.AutoencoderTiny(
        latent_channels=2,
        encoder_block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        num_encoder_blocks=(1,),
        num_decoder_blocks=(1,),
    ).save_pretrained(tmp_path / "tiny")
    build(recipe("tiny", path=str(tmp_path / "tiny")), tmp_path / "cache")
    with pytest.raises(ValueError, match=r"autoencoder name '.*tiny' in the cache, 'someone/else' now"):
        open_cache(tmp_path / "cache", "train", recipe("tiny", path="someone/else"))


def test_of_two_who_need_the_same_cache_one_makes_it(tmp_path, monkeypatch):
    setting = show(monkeypatch, pause=0.02)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(build, recipe("none"), tmp_path) for _ in range(2)]:
            done.result()
    assert len(setting.read) == 48 + 19
    assert len(open_cache(tmp_path, "train", recipe("none"))) == 48


def test_who_needs_a_cache_that_another_process_makes_waits_and_says_so(tmp_path, monkeypatch):
    show(monkeypatch)
    (tmp_path / "cache").mkdir()
    lock, said, hold = FileLock(tmp_path / "cache" / ".lock"), [], threading.Event()
    lock.acquire()

    def tell(line: str) -> None:
        said.append(line)
        hold.set()

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(build_cache, recipe(), tmp_path / "cache", say=tell)
        assert hold.wait(60)
        assert said == [f"another process is making {tmp_path / 'cache'}; this one waits until it has ended"]
        assert not made.done()
        lock.release()
        made.result(60)
    assert (tmp_path / "cache" / "manifest.json").exists()
