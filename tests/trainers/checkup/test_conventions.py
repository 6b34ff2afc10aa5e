"""conventions.json: every field is read and checked, and what cannot be is one sentence that names it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainers.checkup.nets import PLAIN
from trainers.checkup.conventions import EXAMPLE, Latents, conventions, read_conventions


def test_every_field_is_read(tmp_path: Path):
    told = {
        "direction": "data-to-noise",
        "time_scale": 1000,
        "time_offset": -1,
        "prediction": "noise",
        "path": "vp",
        "classes": ["cat", "dog"],
        "null_class": 2,
        "shape": [4, 8, 8],
        "autoencoder": {"kind": "kl", "path": "vae", "scaling": 0.18215, "shift": 0.1},
        "about": "somebody's",
    }
    file = tmp_path / "conventions.json"
    file.write_text(json.dumps(told))
    found = read_conventions(file)
    assert (found.direction, found.reverses, found.time_scale, found.time_offset) == ("data-to-noise", True, 1000.0, -1.0)
    assert (found.prediction, found.path, found.sigma_min) == ("noise", "vp", 0.0)
    assert (found.classes, found.null_class, found.shape) == (("cat", "dog"), 2, (4, 8, 8))
    assert found.autoencoder == Latents("kl", 0.18215, "vae", 0.1)
    assert found.about == "somebody's"


def test_what_may_be_left_out_has_the_values_that_are_documented():
    found = conventions(PLAIN)
    assert (found.time_offset, found.sigma_min, found.classes, found.null_class, found.shape, found.autoencoder) == (
        0,
        0,
        (),
        None,
        None,
        None,
    )
    assert not found.reverses
    assert conventions(PLAIN | {"classes": 3}).classes == ("0", "1", "2")
    assert conventions(PLAIN | {"sigma_min": 1e-4}).sigma_min == 1e-4


def test_the_example_in_the_sentences_is_one():
    assert conventions(json.loads(EXAMPLE)).reverses


@pytest.mark.parametrize("name", ["direction", "time_scale", "prediction", "path"])
def test_nothing_that_matters_is_guessed(name: str):
    with pytest.raises(ValueError, match=f"conventions must say {name} too, such as in"):
        conventions({key: value for key, value in PLAIN.items() if key != name})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"direction": "backwards"}, "direction='backwards' is unknown"),
        ({"prediction": "v_prediction"}, "prediction='v_prediction' is unknown"),
        ({"path": "linear"}, "path='linear' is unknown"),
        ({"timescale": 1}, "field='timescale' is unknown; did you mean 'time_scale'"),
        ({"time_scale": "1000"}, "time_scale='1000' must be a number"),
        ({"time_scale": True}, "time_scale=True must be a number"),
        ({"time_scale": -1}, "time_scale=-1 must be above 0; a time that runs the other way is said by direction"),
        ({"time_offset": None}, "time_offset=None must be a number"),
        ({"sigma_min": 1}, r"sigma_min=1 must lie in \[0, 1\)"),
        ({"sigma_min": 0.1, "path": "cosine"}, "is of path='cond-ot' alone"),
        ({"classes": 0}, "classes=0 must be a whole number of at least 1"),
        ({"classes": ["a", "a"]}, "a list of different names"),
        ({"classes": 3, "null_class": -1}, "null_class=-1 must be a whole number of at least 0"),
        ({"null_class": 3}, "null_class=3 is of a network that is told classes"),
        ({"shape": [8, 8]}, r"must be \[channels, height, width\]"),
        ({"shape": [1, 8, 0]}, "shape=0 must be a whole number of at least 1"),
        ({"autoencoder": {"kind": "kl", "path": "vae"}}, "autoencoder must say scaling too"),
        ({"autoencoder": {"kind": "gan", "scaling": 1}}, "autoencoder.kind='gan' is unknown"),
        ({"autoencoder": {"kind": "kl", "scaling": 0}}, "autoencoder.scaling must not be 0"),
        ({"autoencoder": {"kind": "kl", "scaling": 1, "path": 3}}, "autoencoder.path must be a text"),
        ({"about": 3}, "about must be a text"),
    ],
)
def test_what_cannot_be_is_one_sentence(changes: dict[str, Any], sentence: str):
    with pytest.raises(ValueError, match=sentence) as caught:
        conventions(PLAIN | changes)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_object_or_no_json_is_named(tmp_path: Path):
    file = tmp_path / "conventions.json"
    file.write_text("[]")
    with pytest.raises(ValueError, match=r"conventions\.json: conventions must be an object"):
        read_conventions(file)
    file.write_text("{")
    with pytest.raises(ValueError, match=r"conventions\.json is damaged"):
        read_conventions(file)
