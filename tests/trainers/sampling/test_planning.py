"""`plan`: what the papers' recipes cost, by the figures of their own tables, and what this machine does."""

import json
from dataclasses import replace

import pytest
import torch

import trainers.planning
from trainers.cli import main
from trainers.data import open_images
from trainers.networks import build
from trainers.planning import DEVICES, Plan, latent_shape, meta_network, operations, plan, table
from trainers.recipes import apply, by_name

CPD = "cpd-imagenet64"


@pytest.fixture(scope="module")
def found() -> Plan:
    """CPD's on one H200, at a quarter of its peak."""
    return plan(by_name(CPD), "h200")


def test_the_papers_network_has_872_million_parameters(found: Plan):
    """872.30M of the default U-Net, and 1,001 class embeddings (the null one too) of 1,280 numbers."""
    assert found.shape == (4, 8, 8)
    assert found.parameters == 872_300_484 + 1001 * 1280


def test_its_operations_are_those_of_the_table(found: Plan):
    """10.7 G forward and 32.0 G for a step at 8 x 8 with one token of context; 182 G and 541 G at 32 x 32 with 77: two for a multiply-add."""
    assert found.forward == pytest.approx(10.7e9, rel=0.03)
    assert found.step == pytest.approx(32.0e9, rel=0.03)
    coco = apply(by_name("cpd-coco"), {"text.max_tokens": 76})
    network = meta_network(coco, (4, 32, 32), 0, 1280)
    forward, step = operations(network, coco, (4, 32, 32), 1280)
    assert forward == pytest.approx(182e9, rel=0.03)
    assert step == pytest.approx(541e9, rel=0.03)


def test_hours_for_imagenet_on_one_h200(found: Plan):
    """2.9 h at 40 % of the peak, 12.4k images a second; 4.6 h at 25 %; four devices take a quarter."""
    recipe = by_name(CPD)
    fast = plan(recipe, "h200", use=0.4)
    assert fast.images == recipe.training.batch * recipe.training.steps
    assert fast.images == pytest.approx(1_281_167 * 100, rel=0.01)
    assert fast.hours == pytest.approx(2.9, rel=0.03)
    assert fast.images_per_second == pytest.approx(12_400, rel=0.03)
    assert found.hours == pytest.approx(4.6, rel=0.03)
    assert not found.measured
    one, four = (plan(by_name("digits-condot"), "a100", processes=n) for n in (1, 4))
    assert four.hours == pytest.approx(one.hours / 4)


def test_memory_and_disk_are_weights_gradients_moments_and_averages(found: Plan):
    """In fp32 of four bytes: 17.4 GB with one average, and on disk all but the gradients."""
    assert found.memory == 20 * found.parameters
    assert found.memory == pytest.approx(17.4e9, rel=0.01)
    assert found.checkpoint == 16 * found.parameters
    one, two = (plan(apply(by_name("digits-condot"), {"training.ema": ema}), "a100") for ema in ("0.999", "0.999,0.9999"))
    assert two.memory - one.memory == two.checkpoint - one.checkpoint == 4 * one.parameters


@pytest.mark.parametrize("name", ["digits-condot", "emoji-condot"])
def test_the_network_that_is_planned_is_the_one_that_is_trained(name: str):
    """With as many classes as the data have."""
    recipe = by_name(name)
    images = open_images(recipe.data, "train")
    trained = build(recipe, latent_shape(recipe), len(images.classes))
    assert plan(recipe, "v100" if recipe.training.precision == "fp32" else "a100").parameters == sum(
        p.numel() for p in trained.parameters()
    )


def test_without_a_device_this_machine_is_timed():
    threads = torch.get_num_threads()
    found = plan(by_name("digits-condot"))
    assert found.measured
    assert found.device == "this machine"
    assert 100 < found.images_per_second < 1e6
    assert found.hours == pytest.approx(found.images / found.images_per_second / 3600)
    assert found.use is None
    assert torch.get_num_threads() == threads


def test_what_cannot_be_planned(monkeypatch: pytest.MonkeyPatch):
    recipe = by_name(CPD)
    with pytest.raises(ValueError, match="device='h2000' is unknown; did you mean 'h200'"):
        plan(recipe, "h2000")
    bf16 = replace(recipe, training=replace(recipe.training, precision="bf16"))
    with pytest.raises(ValueError, match=r"training.precision=bf16 is not to be had on v100; it has fp16, fp32"):
        plan(bf16, "v100")
    assert plan(apply(by_name("digits-condot"), {"training.precision": "fp16"}), "v100").hours > 0
    monkeypatch.setattr(trainers.planning, "_free_memory", lambda: 8 * 10**9)
    with pytest.raises(ValueError, match=r"takes 17.5 GB before activations, more than this machine has free; name a --device: h200"):
        plan(recipe)
    for processes, use in ((0, 0.25), (1, 0.0), (1, 1.5)):
        with pytest.raises(ValueError, match=r"must be at least 1, and --use .* a share of the peak in"):
            plan(recipe, "h200", processes=processes, use=use)
    with pytest.raises(ValueError, match="--processes 2 needs a --device"):
        plan(recipe, processes=2)


def test_every_device_has_a_peak_and_memory():
    assert all(d.name == name and d.memory > 20e9 and max(d.peak.values()) > 5e13 for name, d in DEVICES.items())


def test_from_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "digits-condot", "--device", "a100", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {
        "recipe", "shape", "parameters", "forward", "step", "memory", "checkpoint", "images", "device", "processes", "use",
        "images_per_second", "hours", "measured",
    }  # fmt: skip
    assert printed["recipe"] == "digits-condot"
    assert main(["plan", CPD, "--device", "h200", "--use", "0.4"]) == 0
    said = capsys.readouterr().out
    for part in ("873.58 M", "10.7 G forward, 32 G with backward", "2.9 hours", "40% of the peak of 1 x h200"):
        assert part in said
    assert main(["plan", CPD, "--device", "tpu"]) == 2
    assert "device='tpu' is unknown" in capsys.readouterr().err


def test_minutes_where_hours_are_few():
    found = replace(plan(by_name("digits-condot"), "a100"), hours=0.5)
    assert "30.0 minutes" in table(found)
