"""A checkpoint made elsewhere has the velocity that its conventions mean, to the last bit where nothing but a sign and a time changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from lab.conversions import GaussianSource, convert
from lab.paths import by_name
from lab.random import normals
from lab.solvers import solve
from tests.trainers.checkup.nets import dit, points, sent, told_by_text, unet
from trainers.checkup import load_foreign
from trainers.checkup.plausibility import Slope, slopes_at_ends
from trainers.methods import Method
from trainers.networks import Network
from trainers.recipes import by_name as recipe_of
from trainers.sampling import NOISE, sample


@pytest.mark.parametrize("scale", [1, 999, 1000])
def test_a_reversed_velocity_is_the_plain_models_with_time_and_sign_turned_round(scale: int, tmp_path: Path):
    network = unet()
    x, t = points()
    reversed_ = load_foreign(sent(network, tmp_path, direction="data-to-noise", time_scale=scale))
    with torch.no_grad():
        assert torch.equal(reversed_.velocity(x, t), -network(x, scale * (1 - t)).sample)


def test_a_velocity_of_our_direction_is_the_networks_own(tmp_path: Path):
    network = unet()
    x, t = points()
    found = load_foreign(sent(network, tmp_path, time_scale=999, time_offset=0.5))
    with torch.no_grad():
        assert torch.equal(found.velocity(x, t), network(x, 999 * t + 0.5).sample)


@pytest.mark.parametrize("path", ["cond-ot", "vp", "cosine", "polynomial"])
@pytest.mark.parametrize("prediction", ["data", "noise", "score"])
@pytest.mark.parametrize("direction", ["noise-to-data", "data-to-noise"])
def test_other_predictions_keep_their_sign_and_are_converted_on_the_path(direction: str, prediction: str, path: str, tmp_path: Path):
    network = unet()
    x, t = points()
    found = load_foreign(sent(network, tmp_path, direction=direction, time_scale=1000, prediction=prediction, path=path))
    with torch.no_grad():
        value = network(x, 1000 * (t if direction == "noise-to-data" else 1 - t)).sample
        expected = convert(value, x, t, path=by_name(path), given=prediction, wanted="velocity", source=GaussianSource())
        assert torch.allclose(found.velocity(x, t), expected, rtol=1e-6, atol=1e-6)


def test_sigma_min_is_the_paths(tmp_path: Path):
    network = unet()
    x, t = points()
    found = load_foreign(sent(network, tmp_path, prediction="data", sigma_min=0.3))
    with torch.no_grad():
        expected = network(x, t).sample - 0.7 * (x - t[:, None, None, None] * network(x, t).sample) / (1 - 0.7 * t)[:, None, None, None]
        assert torch.allclose(found.velocity(x, t), expected, atol=1e-5)


def test_the_body_of_a_ddpm_of_our_own_sent_as_foreign_is_the_same_field(tmp_path: Path):
    """1000 s - 1 and noise on VP are DDPM's conventions; sampling stops before its first step number, at 1 - 1/1000."""
    recipe = recipe_of("emoji-ddpm")
    network = unet()
    x, t = points()
    told = {"direction": "data-to-noise", "time_scale": 1000, "time_offset": -1, "prediction": "noise", "path": "vp"}
    found = load_foreign(sent(network, tmp_path, **told))
    method = Method(recipe, found.prior)
    with torch.no_grad():
        own = method.velocity(Network(network, recipe), x, t, None)
        assert torch.allclose(found.velocity(x, t), own, rtol=1e-5, atol=1e-5)
    assert found.last_time == pytest.approx(method.last_time)
    assert load_foreign(sent(network, tmp_path / "whole", prediction="noise", path="vp")).last_time == pytest.approx(1 - 1e-5)


def test_samples_are_integrals_of_that_velocity_from_our_own_noise(tmp_path: Path):
    """`sample` gives a foreign checkpoint the same x_0 as any other, and ends where the plain network's own ODE, run backwards in its own time, does."""
    network = unet()
    found = load_foreign(sent(network, tmp_path, direction="data-to-noise", time_scale=999))
    made = sample(found, 4, seed=3, solver="heun", nfe=8)
    assert torch.equal(made.x_0, normals(3, torch.arange(4), 16, NOISE, torch.float32).reshape(4, 1, 4, 4))

    def own(x: torch.Tensor, s: torch.Tensor, condition: Any = None) -> torch.Tensor:
        return network(x, 999 * s).sample

    with torch.no_grad():
        end = solve(own, made.x_0, method="heun", nfe=8, t_span=(1.0, 0.0)).end
    assert torch.allclose(made.x, end, atol=1e-5)
    assert made.nfe == 8


@pytest.mark.parametrize(("network", "table"), [(lambda: unet(num_class_embeds=4), 4), (dit, 4)], ids=["unet", "dit"])
def test_classes_reach_the_networks_table(network: Callable[[], Any], table: int, tmp_path: Path):
    body = network()
    x, t = points()
    found = load_foreign(sent(body, tmp_path, time_scale=1000, classes=["a", "b", "c"], null_class=3))
    told = torch.tensor([0, 2, 3])
    with torch.no_grad():
        assert torch.equal(found.velocity(x, t, told), body(x, timestep=1000 * t, class_labels=told).sample)
        assert not torch.equal(found.velocity(x, t, told), found.velocity(x, t, torch.tensor([1, 2, 3])))
    assert (found.body.table, found.null, found.classes) == (table, 3, ("a", "b", "c"))
    chosen, names = found.told(["c", "0"], 3, 0)
    assert chosen is not None
    assert (chosen.tolist(), names) == ([2, 0, 2], ["c", "a", "c"])
    drawn, _ = found.told([], 600, 0)
    assert drawn is not None
    assert torch.bincount(drawn, minlength=3).min() > 150
    with pytest.raises(ValueError, match="condition='d' is unknown"):
        found.told(["d"], 1, 0)


def test_an_older_dit_is_read_too(tmp_path: Path):
    body = dit()
    folder = sent(body, tmp_path, classes=3)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"DiTTransformer2DModel"', '"Transformer2DModel"'))
    x, t = points()
    told = torch.tensor([0, 1, 2])
    with torch.no_grad():
        assert torch.allclose(load_foreign(folder).velocity(x, t, told), body(x, timestep=t, class_labels=told).sample, atol=1e-6)


def test_of_a_network_that_predicts_a_variance_too_the_first_half_is_taken(tmp_path: Path):
    body = dit(out_channels=2)
    x, t = points()
    told = torch.tensor([0, 1, 2])
    with torch.no_grad():
        found = load_foreign(sent(body, tmp_path, classes=3)).velocity(x, t, told)
        assert torch.equal(found, body(x, timestep=t, class_labels=told).sample[:, :1])


def test_text_states_are_given_in_turn_and_zeros_where_there_are_none(tmp_path: Path):
    body = told_by_text()
    x, t = points()
    folder = sent(body, tmp_path)
    with torch.no_grad():
        nothing = load_foreign(folder)
        assert nothing.null is None
        assert nothing.told([], 3, 0) == (None, ["", "", ""])
        assert torch.equal(nothing.velocity(x, t), body(x, t, encoder_hidden_states=torch.zeros(3, 1, 6)).sample)
        states, null = torch.randn(2, 5, 6), torch.randn(5, 6)
        save_file({"states": states, "null": null}, folder / "text.safetensors")
        found = load_foreign(folder)
        told, names = found.told([], 3, 0)
        assert told is not None
        assert torch.equal(told, states[[0, 1, 0]])
        assert names == ["text 0", "text 1", "text 0"]
        assert torch.equal(found.velocity(x, t, told), body(x, t, encoder_hidden_states=told).sample)
        assert isinstance(found.null, torch.Tensor)
        assert torch.equal(found.null, null)


def test_weights_in_half_precision_are_used_in_single(tmp_path: Path):
    network = unet()
    folder = sent(network.half(), tmp_path)
    found = load_foreign(folder)
    x, t = points()
    with torch.no_grad():
        assert torch.equal(found.velocity(x, t), network.float()(x, t).sample)


def test_a_pipelines_folder_is_looked_into(tmp_path: Path):
    network = unet()
    sent(network, tmp_path / "unet")
    (tmp_path / "unet" / "conventions.json").rename(tmp_path / "conventions.json")
    x, t = points()
    with torch.no_grad():
        assert torch.equal(load_foreign(tmp_path).velocity(x, t), network(x, t).sample)


def test_latents_are_scaled_and_shifted_as_the_conventions_say(tmp_path: Path):
    network = unet(in_channels=32, out_channels=32)
    found = load_foreign(sent(network, tmp_path, autoencoder={"kind": "taef2", "scaling": 0.5, "shift": 0.25}))
    raw = torch.randn(2, 32, 4, 4)
    assert torch.allclose(found.normalisation.apply(raw), 0.5 * (raw - 0.25))
    assert torch.equal(found.decode(0.5 * (raw - 0.25)), found.autoencoder.decode(raw))
    assert found.decode(raw).shape == (2, 3, 32, 32)
    assert (found.recipe.data.size, found.recipe.data.channels) == (32, 3)
    assert load_foreign(sent(unet(in_channels=4, out_channels=4), tmp_path / "bare")).draws is False
    wrong = load_foreign(sent(unet(), tmp_path / "wrong", autoencoder={"kind": "taef2", "scaling": 1}))
    with pytest.raises(ValueError, match=r"makes latents of 32 channels, and the network of .* takes 1"):
        wrong.decode(torch.zeros(1, 1, 4, 4))


def test_the_shape_is_the_configs_or_that_of_the_conventions(tmp_path: Path):
    assert load_foreign(sent(unet(), tmp_path / "a")).shape == (1, 4, 4)
    assert load_foreign(sent(unet(), tmp_path / "b", shape=[1, 8, 8])).shape == (1, 8, 8)
    assert load_foreign(sent(unet(sample_size=None), tmp_path / "c", shape=[1, 8, 8])).shape == (1, 8, 8)
    with pytest.raises(ValueError, match="does not say how large samples are"):
        load_foreign(sent(unet(sample_size=None), tmp_path / "d"))
    with pytest.raises(ValueError, match="has 3 channels, and the network takes 1"):
        load_foreign(sent(unet(), tmp_path / "e", shape=[3, 4, 4]))
    with pytest.raises(ValueError, match="square ones alone"):
        load_foreign(sent(unet(), tmp_path / "f", shape=[1, 4, 8]))


class Exact(torch.nn.Module):
    """The exact prediction for N(0, .25 I) data on cond-ot, in the time s = 1 - t: expected x_0 is s x / (s^2 + .25 (1 - s)^2), expected x_1 .25 (1 - s) x over the same."""

    def __init__(self, prediction: str) -> None:
        super().__init__()
        self.prediction = prediction

    def forward(self, x: torch.Tensor, timestep: torch.Tensor, class_labels: Any = None) -> Any:
        s = timestep[:, None, None, None] / 999
        over = s**2 + 0.25 * (1 - s) ** 2
        noise, data = s * x / over, 0.25 * (1 - s) * x / over
        value = {"velocity": noise - data, "data": data, "noise": noise, "score": -x / over}[self.prediction]
        return type("Output", (), {"sample": value})


RIGHT = {"direction": "data-to-noise", "time_scale": 999}


def slopes_of(truth: str, folder: Path, **conventions: Any) -> tuple[Slope, ...]:
    found = load_foreign(sent(unet(), folder, **conventions))
    object.__setattr__(found.body, "network", Exact(truth))
    x, _ = points(8)
    return slopes_at_ends(found, x, 0.5 * x, None)


@pytest.mark.parametrize("prediction", ["velocity", "data", "noise", "score"])
def test_right_conventions_meet_the_slopes_of_an_independent_coupling(prediction: str, tmp_path: Path):
    found = slopes_of(prediction, tmp_path, prediction=prediction, **RIGHT)
    assert [s.expected for s in found] == {"velocity": [-1, 1], "data": [0, 1], "noise": [1, 0], "score": [-1]}[prediction]
    assert [s.found for s in found] == pytest.approx([s.expected for s in found], abs=1e-5)
    assert all(s.plausible for s in found)


@pytest.mark.parametrize(
    ("truth", "wrong"),
    [
        ("velocity", {"prediction": "data"}),
        ("velocity", {"prediction": "noise"}),
        ("velocity", {"time_scale": 1}),
        ("noise", {"prediction": "velocity"}),
        ("noise", {"prediction": "noise", "direction": "noise-to-data"}),
        ("data", {"prediction": "data", "direction": "noise-to-data"}),
        ("data", {"prediction": "data", "time_scale": 1}),
    ],
)
def test_wrong_conventions_do_not(truth: str, wrong: dict[str, Any], tmp_path: Path):
    assert not all(s.plausible for s in slopes_of(truth, tmp_path, **(RIGHT | {"prediction": truth} | wrong)))
