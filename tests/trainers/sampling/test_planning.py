"""`plan`: what the papers' recipes cost, by the figures of their own tables, and what this machine does."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

import trainers.pairing
import trainers.planning
from trainers.cli import main
from trainers.data import open_images
from trainers.networks import build
from trainers.pairing import Pairing
from trainers.planning import DEVICES, Counts, Plan, latent_shape, meta_network, operations, plan, table
from trainers.recipes import apply, by_name

CPD = "cpd-imagenet64"


@pytest.fixture(scope="module")
def found() -> Plan:
    """CPD's on one H200, at a quarter of its peak."""
    return plan(by_name(CPD), "h200")


def test_the_papers_network_has_872_million_parameters(found: Plan):
    """872.30M of the default U-Net, and 1,001 class embeddings (the null one too) of 1,280 numbers with a bias."""
    assert found.shape == (4, 8, 8)
    assert found.parameters == 872_300_484 + 1001 * 1280 + 1280


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
    with pytest.raises(
        ValueError, match=r"training.precision=bf16 is not to be had on v100, which has fp16, fp32: --set training.precision=fp16"
    ):
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
        "network_seconds", "pairing", "images_per_second", "hours", "measured", "classes", "pictures", "batch",
    }  # fmt: skip
    assert printed["recipe"] == "digits-condot"
    assert printed["pairing"] is None
    assert main(["plan", CPD, "--device", "h200", "--use", "0.4"]) == 0
    said = capsys.readouterr().out
    for part in ("873.58 M", "10.7 G forward, 32", "G with backward", "2.9 h", "40% of the peak of 1 x h200"):
        assert part in said
    assert main(["plan", CPD, "--device", "tpu"]) == 2
    assert "device='tpu' is unknown" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hours", "words"),
    [(2.9, "2.9 h"), (0.5, "30 min"), (0.01, "36 s"), (0.001, "3.6 s"), (1e-5, "0.036 s")],
)
def test_time_is_told_in_a_unit_that_shows_it(hours: float, words: str):
    found = replace(plan(by_name("digits-condot"), "a100"), hours=hours, network_seconds=1e6)
    assert f"  {words}" in table(found).splitlines()[-1]


def test_small_networks_are_told_in_megabytes():
    said = table(plan(by_name("digits-condot"), "a100"))
    for part in ("19 MB for weights", "checkpoint               15 MB", "1.91 M forward, 5.61 M with backward"):
        assert part in said


@pytest.mark.parametrize(
    ("name", "settings", "groups", "size"),
    [
        ("emoji-batchot", {}, 1, 128),
        ("emoji-class-batchot", {"coupling.batch": 64}, 2, 64),
        ("emoji-text-c2ot", {"coupling.batch": 32}, 4, 32),
        ("emoji-loom", {}, 1, 128),
        ("emoji-class-loom", {}, 1, 128),
    ],
)
def test_pairing_is_timed_in_the_groups_of_the_recipe(name: str, settings: dict, groups: int, size: int):
    recipe = apply(by_name(name), settings)
    found = plan(recipe, "a100")
    assert found.pairing is not None
    assert (found.pairing.groups, found.pairing.size, found.pairing.timed) == (groups, size, size)
    assert 1e-5 < found.pairing.seconds < 20
    assert "of CPU time here" in table(found)


def test_training_waits_for_pairing_only_where_it_takes_longer(monkeypatch: pytest.MonkeyPatch):
    """On a GPU it goes on beside the network; on a CPU both want the same cores. Without a search there is nothing to time."""
    recipe = by_name("emoji-batchot")
    quick, slow = (Pairing(1, 128, seconds, 128) for seconds in (1e-6, 7.0))
    monkeypatch.setattr(trainers.pairing, "time_pairing", lambda *_: quick)
    beside = plan(recipe, "a100")
    assert beside.images_per_second == pytest.approx(128 / beside.network_seconds)
    assert "the network alone" not in table(beside)
    monkeypatch.setattr(trainers.pairing, "time_pairing", lambda *_: slow)
    waiting = plan(recipe, "a100")
    assert waiting.hours == pytest.approx(7.0 * recipe.training.steps / 3600)
    assert "3.9 h, with pairing; the network alone would take" in table(waiting)
    monkeypatch.setattr(trainers.planning, "_measured", lambda *_: 64.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert plan(recipe).hours == pytest.approx(9.0 * recipe.training.steps / 3600)
    monkeypatch.undo()
    assert plan(by_name("emoji-condot"), "a100").pairing is None


def test_a_pairing_too_large_to_be_tried_is_told_from_a_smaller_one(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 0.5])
    monkeypatch.setattr(trainers.pairing, "LARGEST", 64)
    monkeypatch.setattr(trainers.pairing, "thread_time", lambda: next(clock))
    found = trainers.pairing.time_pairing(
        apply(by_name("digits-batchot"), {"training.batch": 512, "coupling.batch": 128}), (1, 8, 8), 10, 0
    )
    assert found == Pairing(groups=4, size=128, seconds=4 * 0.5 * 8, timed=64)
    assert "as the cube of 64, which were timed" in table(replace(plan(by_name("emoji-condot"), "a100"), pairing=found))


def tree(folder: Path, classes: int, pictures: int) -> None:
    """train/ with so many pictures of each class, and val/ with one."""
    for split, count in (("train", pictures), ("val", 1)):
        for c in range(classes):
            (folder / split / f"class-{c}").mkdir(parents=True)
            for k in range(count):
                Image.new("RGB", (16, 16), (c, k, 0)).save(folder / split / f"class-{c}" / f"{k}.png")


def test_a_folders_classes_and_pictures_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The network has an embedding for each of them and for none; pictures are listed, not decoded."""
    tree(tmp_path, 3, 20)
    (tmp_path / "train" / "class-0" / "0.png").write_bytes(b"broken")
    few = ("--set", "training.batch=32", "--set", "training.steps=10")
    assert main(["plan", "folder-condot", "--device", "a100", "--data", str(tmp_path), "--json", *few]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["classes"], printed["pictures"]) == (3, 60)
    assert main(["plan", "folder-condot", "--device", "a100", "--json", *few]) == 0
    unknown = capsys.readouterr()
    assert "--data PATH counts those of your pictures" in unknown.err
    width = 4 * 128  # of the time embedding
    assert json.loads(unknown.out)["parameters"] - printed["parameters"] == (1000 - 3) * width
    assert main(["plan", "folder-condot", "--device", "a100", "--data", str(tmp_path), *few]) == 0
    assert "60 pictures to train on, 3 classes; each is seen 10 times" in capsys.readouterr().out


def test_data_that_do_not_fit_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tree(tmp_path, 2, 4)
    for arguments, words in (
        (["folder-condot", "--data", str(tmp_path)], "training.batch=128 is more than the 8 samples"),
        (["folder-condot", "--data", str(tmp_path / "nowhere")], "nowhere"),
        (["digits-condot", "--data", str(tmp_path)], "digits come with the project"),
    ):
        assert main(["plan", *arguments, "--device", "a100"]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len([line for line in said.splitlines() if not line.startswith("note: ")]) == 1


def test_warnings_are_told_with_a_plan(capsys: pytest.CaptureFixture[str]):
    assert main(["plan", "emoji-condot", "--device", "a100", "--set", "coupling.caches=4"]) == 0
    assert "note: coupling.caches=4 has no effect here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["emoji-text-cpd", "coco64-c2ot"])
def test_text_recipes_are_planned_with_their_captions(name: str):
    """More tokens cost more operations and no parameters; a projection of the text encoder's width is in the network; a class embedding is not."""
    recipe = by_name(name)
    found, longer = (plan(apply(recipe, {"text.max_tokens": n}), "h200") for n in (recipe.text.max_tokens, recipe.text.max_tokens + 100))
    assert longer.parameters == found.parameters
    assert longer.forward > found.forward
    assert found.shape == (32, 8, 8)
    width, seen = 384, recipe.network.cross_attention  # of MiniLM's sentences
    unprojected = meta_network(recipe, found.shape, text_width=seen)
    assert found.parameters - sum(p.numel() for p in unprojected.parameters()) == width * seen + seen
    assert plan(recipe, "h200", counts=Counts(7, 10**6)).parameters == found.parameters
