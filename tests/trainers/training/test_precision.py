"""training.precision=auto: bf16 only where the device has instructions for it; a run keeps what it began with."""

import json
from pathlib import Path

import pytest
import torch

from trainers import cli, precision
from trainers.planning import plan
from trainers.recipes import apply, by_name
from trainers.recipes.schema import Recipe
from trainers.runs import Run

AUTO = by_name("emoji-condot")
SHORT = ("--steps", "2", "--checkpoint-every", "2", "--set", "training.precision=auto", "--set", "network.channels=8")


@pytest.mark.parametrize(
    ("known", "native"),
    [
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx2": True, "avx512_bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({}, False),
    ],
)
def test_a_processor_has_bf16_where_it_has_instructions_for_it(known, native, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert precision.has_bf16(torch.device("cpu")) is native


def test_auto_takes_what_suits_the_device_and_leaves_other_choices_alone():
    assert AUTO.training.precision == "auto"
    assert [precision.settled(AUTO, bf16=native).training.precision for native in (True, False)] == ["bf16", "fp32"]
    for chosen in ("fp32", "bf16", "fp16"):
        assert precision.settled(with_precision(chosen), bf16=chosen == "fp32").training.precision == chosen


@pytest.mark.parametrize("began", ["fp32", "bf16"])
def test_a_run_goes_on_with_the_precision_that_it_began_with(began):
    for native in (True, False):
        assert precision.settled(AUTO, with_precision(began), bf16=native).training.precision == began


def test_a_run_that_never_began_has_no_say():
    assert precision.settled(AUTO, AUTO, bf16=True).training.precision == "bf16"


def test_emulated_bf16_is_said(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert "training.precision=auto" in (precision.note(with_precision("bf16")) or "")
    assert precision.note(with_precision("fp32")) is None
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    assert precision.note(with_precision("bf16")) is None


def test_a_run_holds_the_precision_and_may_be_gone_on_with_elsewhere(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert main(capsys, "train", "digits-condot", "--run", "run", *SHORT)[0] == 0
    assert Run(Path("run")).recipe().training.precision == "fp32"
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    status, said = main(capsys, "train", "digits-condot", "--run", "run", *SHORT[2:], "--steps", "4")
    assert status == 0, said
    assert Run(Path("run")).recipe().training.precision == "fp32"
    with pytest.raises(ValueError, match=r"training.precision was fp32, now bf16"):
        Run(Path("run")).begin(apply(Run(Path("run")).recipe(), {"training.precision": "bf16"}))


def test_a_plan_counts_with_what_the_device_has(capsys):
    peaks = {device: plan(AUTO, device).images_per_second for device in ("a100", "v100")}
    assert peaks["a100"] / peaks["v100"] == pytest.approx(312 / 15.7)
    status, said = main(capsys, "plan", "emoji-condot", "--device", "a100", "--json")
    assert status == 0
    assert json.loads(said)["device"] == "a100"


def main(capsys, *arguments: str) -> tuple[int, str]:
    """Status, and all that was printed."""
    status = cli.main(arguments)
    said = capsys.readouterr()
    return status, said.out or said.err


def with_precision(kind: str) -> Recipe:
    return apply(AUTO, {"training.precision": kind})
