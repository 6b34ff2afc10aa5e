"""python -m trainers cache, on what comes with the project."""

import json
import os
import subprocess
import sys

import pytest
import torch

from lab.distances import sample_frechet_distance
from tests.faults import ROOT
from tests.trainers.latents.gallery import picture, recipe, show
from trainers.commands.cache import Cache
from trainers.latents import build_cache, open_cache
from trainers.latents.fidelity import fidelity, psnr


def run(capsys, *arguments, **options):
    Cache(*arguments, **options, json=True).go()
    return json.loads(capsys.readouterr().out)


def test_digits_are_cached_as_pixels_where_training_looks_for_them(tmp_path, capsys):
    found = run(capsys, "digits-condot", runs=tmp_path)
    assert found["folder"] == str(tmp_path / "cache" / "digits-8-pixels")
    assert {name: split["pictures"] for name, split in found["splits"].items()} == {"train": 1621, "val": 176}
    assert (found["shape"], found["dtype"], found["round_trip"]) == ([1, 8, 8], "uint8", None)
    Cache("digits-condot", runs=tmp_path).go()
    assert "round trip  exact" in capsys.readouterr().out


def test_a_few_emoji_are_cached_as_latents_with_their_round_trip(tmp_path, capsys):
    options = {"runs": tmp_path, "set": ("data.limit=24",)}
    found = run(capsys, "emoji-condot", **options)
    assert found["folder"].endswith("emoji-64-taef2-limit-24")
    assert found["shape"] == [32, 8, 8]
    assert found["round_trip"]["pictures"] == 24
    assert 20 < found["round_trip"]["psnr_5"] < found["round_trip"]["psnr"] < found["round_trip"]["psnr_95"] < 40
    Cache("emoji-condot", **options).go()
    shown = capsys.readouterr().out
    assert "dB on average" in shown
    assert "24 pictures" in shown


def test_paths_replace_those_of_the_recipe(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"other.safetensors is missing|encoder.safetensors is missing"):
        run(capsys, "emoji-condot", autoencoder=str(tmp_path), runs=tmp_path)
    with pytest.raises(ValueError, match=r"digits-condot trains on pixels, so --autoencoder .* add --set autoencoder.kind=kl"):
        run(capsys, "digits-condot", autoencoder=str(tmp_path), runs=tmp_path)


def test_psnr_is_that_of_its_definition():
    black, grey = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    grey[1] = 51  # a fifth of white: 10 log10(25)
    assert psnr(black, grey).tolist() == pytest.approx([100, 13.9794], abs=1e-4)


def test_the_floor_is_the_distance_of_features_of_pictures_and_round_trips(tmp_path, monkeypatch):
    show(monkeypatch)
    build_cache(recipe(), tmp_path, say=lambda line: None, items=16)
    cache = open_cache(tmp_path, "val", recipe())
    seen = []

    def features(pixels):
        seen.append(pixels)
        return pixels.double().mean((2, 3))

    found = fidelity(recipe(), cache, count=19, features=features)
    originals, decoded = torch.cat(seen[0::2]), torch.cat(seen[1::2])
    assert originals.tolist() == [picture(i, 16).tolist() for i in cache.index.tolist()]
    assert found["psnr"] == pytest.approx(float(psnr(originals, decoded).mean()))
    expected = sample_frechet_distance(originals.double().mean((2, 3)), decoded.double().mean((2, 3)))
    assert found["frechet_floor"] == pytest.approx(expected)
    assert expected > 1
    assert fidelity(recipe(), cache, count=5)["frechet_floor"] is None


TERMINATED = """
import os, signal, sys
from trainers import cli
from trainers.latents import manifest
real = manifest.write_json
def written(*args, **kwargs):
    real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGTERM)
manifest.write_json = written
sys.exit(cli.main(sys.argv[1:]))
"""


def test_sigterm_ends_it_with_a_line_and_the_status_of_what_can_go_on(tmp_path):
    command = [sys.executable, "-c", TERMINATED, "cache", "digits-condot", "--runs", str(tmp_path)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 75
    assert ended.stderr.splitlines()[-1] == "stopped; nothing half-written is left, and the same command goes on from what is made"
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.rglob("*.partial"))
    Cache("digits-condot", runs=tmp_path).go()
