"""Fitted priors as tensors and as files: bit for bit, usable alone, and refused in one sentence where they are damaged or foreign."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.trainers.priors.caches import gaussian_cache, recipe, text_cache, text_recipe
from trainers.priors import FittedPrior, fit_prior
from trainers.priors.report import table

SHAPE = (2, 3, 3)
TRAIN, HELD_OUT = gaussian_cache(SHAPE, split=1), gaussian_cache(SHAPE, split=2)
GAUSSIANS = ("class-gaussian", "class-mixture", "pooled-gaussian")
CASES = [
    ("standard", "none"),
    ("scale-matched", "none"),
    *((kind, covariance) for kind in GAUSSIANS for covariance in ("none", "isotropic", "diagonal", "full", "pooled", "low-rank")),
    ("text-gaussian", "none"),
]


def fitted(kind: str, covariance: str = "low-rank") -> FittedPrior:
    if kind == "text-gaussian":
        return fit_prior(text_recipe(mapper_steps=20), text_cache(60, 1), text_cache(40, 2))
    return fit_prior(recipe(kind=kind, covariance=covariance, rank=3, components=2), TRAIN, HELD_OUT)


def drawn(prior: FittedPrior) -> list[torch.Tensor]:
    """Some x_0 and densities of a prior."""
    draw = torch.Generator().manual_seed(0)
    z, u = torch.randn(6, *SHAPE, generator=draw), torch.rand(6, generator=draw, dtype=torch.float64)
    condition = torch.randn(6, 2, 16, generator=draw) if prior.kind == "text-gaussian" else torch.tensor([0, 1, 2, 2, 1, 0])
    uniforms = u if prior.needs_uniforms else None
    index = torch.arange(6)
    made = [prior.from_normals(z, condition, uniforms=uniforms), prior.for_training(z, condition, index, uniforms=uniforms)]
    return [*made, prior.log_prob(z, condition)]


@pytest.mark.parametrize(("kind", "covariance"), CASES)
def test_a_state_and_a_file_give_the_prior_back_bit_for_bit(kind, covariance, tmp_path):
    prior = fitted(kind, covariance)
    prior.save(tmp_path / "deeper" / "prior.safetensors")
    for again in (FittedPrior.from_state(prior.state()), FittedPrior.load(tmp_path / "deeper" / "prior.safetensors")):
        assert all(torch.equal(a, b) for a, b in zip(drawn(prior), drawn(again), strict=True))
        assert again.report == {name: value for name, value in prior.report.items() if name != "seconds"}
        one, other = prior.state(), again.state()
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["class-mixture", "text-gaussian", "class-gaussian"])
def test_the_same_fit_gives_the_same_bytes(kind, tmp_path):
    for name in ("one", "two"):
        fitted(kind).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_is_usable_without_cache_and_flow_by_another_process(tmp_path):
    prior = fitted("text-gaussian")
    prior.save(tmp_path / "prior")
    code = f"""
import sys, torch
from pathlib import Path
from trainers.priors import FittedPrior
prior = FittedPrior.load(Path({str(tmp_path / "prior")!r}))
torch.save(prior.from_normals(torch.ones(3, 2, 3, 3), torch.ones(3, 16)), {str(tmp_path / "x")!r})
print([m for m in ("trainers.latents", "trainers.data", "trainers.networks", "diffusers", "transformers") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stderr
    assert torch.allclose(torch.load(tmp_path / "x"), prior.from_normals(torch.ones(3, 2, 3, 3), torch.ones(3, 16)))


def test_the_report_is_in_the_files_metadata_in_json(tmp_path):
    prior = fitted("class-gaussian")
    prior.save(tmp_path / "prior")
    with safe_open(tmp_path / "prior", "pt") as opened:
        report = json.loads(opened.metadata()["report"])
    assert report["held_out"] == prior.report["held_out"]
    assert report["classes"] == ["class 0", "class 1", "class 2"]
    assert "seconds" not in report


@pytest.mark.parametrize("kind", ["class-gaussian", "class-mixture", "pooled-gaussian", "standard"])
def test_bytes_are_those_of_the_priors_tensors(kind):
    prior = fitted(kind)
    size = sum(t.numel() * t.element_size() for name, t in prior.state().items() if name.startswith("prior."))
    assert prior.report["bytes"] == size
    assert prior.report["bytes_per_condition"] == (size // 3 if kind.startswith("class") else size)


def test_damaged_and_foreign_files_are_refused_in_a_sentence_that_names_them(tmp_path):
    path = tmp_path / "prior.safetensors"
    with pytest.raises(ValueError, match=r"prior.safetensors is no file; python -m trainers prior writes one"):
        FittedPrior.load(path)
    prior = fitted("class-gaussian")
    prior.save(path)
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-50], b"PK\x03\x04" + whole[4:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"prior.safetensors is damaged or no safetensors file: [^\n]+$"):
            FittedPrior.load(path)
    save_file({"weight": torch.ones(3)}, path)
    with pytest.raises(ValueError, match=r"prior.safetensors: this is not the state of a fitted prior"):
        FittedPrior.load(path)


@pytest.mark.parametrize("kind", ["class-gaussian", "class-mixture", "text-gaussian"])
def test_every_part_of_a_state_is_needed(kind):
    state = fitted(kind).state()
    for name in state:
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            FittedPrior.from_state({key: value for key, value in state.items() if key != name})


def test_other_versions_kinds_and_documents_are_refused():
    state = fitted("class-gaussian").state()

    def told(**changes):
        about = json.loads(bytes(state["about"].tolist())) | changes
        return state | {"about": torch.tensor(list(json.dumps(about).encode()), dtype=torch.uint8)}

    for changed, message in (
        (told(version=2), "version 2; this code reads version 1"),
        (told(kind="gauss"), "kind of the prior's state='gauss' is unknown"),
        (told(kind="class-mixture"), "its numbers are those of a 'class-gaussian' prior, its description is of 'class-mixture'"),
        (told(kind="standard"), "its numbers are those of a 'class-gaussian' prior, its description is of 'standard'"),
        (told(report=None), "its report is missing"),
        (state | {"about": torch.tensor([123, 200, 1], dtype=torch.uint8)}, "damaged: its description cannot be read"),
        (state | {"about": torch.tensor([49], dtype=torch.uint8)}, "damaged: its description is no JSON object"),
        (state | {"about": torch.ones(3)}, "not the state of a fitted prior"),
        (state | {"prior.means": torch.ones(3, 5)}, "spread is of 18 dimensions"),
    ):
        with pytest.raises(ValueError, match=message):
            FittedPrior.from_state(changed)


def test_a_mapper_of_another_size_is_refused():
    state = fitted("text-gaussian").state()
    about = json.loads(bytes(state["about"].tolist()))
    for key, value in (("width", 33), ("folds", 1), ("shape", [2, 3, 4])):
        changed = about | {"mapper": about["mapper"] | {key: value}}
        with pytest.raises(ValueError, match="mapper does not fit the state's weights"):
            FittedPrior.from_state(state | {"about": torch.tensor(list(json.dumps(changed).encode()), dtype=torch.uint8)})
    del about["mapper"]["width"]
    with pytest.raises(ValueError, match=r"damaged: .*width"):
        FittedPrior.from_state(state | {"about": torch.tensor(list(json.dumps(about).encode()), dtype=torch.uint8)})


def test_a_state_goes_into_a_checkpoint_beside_other_tensors(tmp_path):
    prior = fitted("class-mixture")
    save_file({f"prior.{name}": value for name, value in prior.state().items()} | {"table": torch.ones(2)}, tmp_path / "state.safetensors")
    held = load_file(tmp_path / "state.safetensors")
    again = FittedPrior.from_state({name.removeprefix("prior."): value for name, value in held.items() if name.startswith("prior.")})
    assert all(torch.equal(a, b) for a, b in zip(drawn(prior), drawn(again), strict=True))


@pytest.mark.parametrize(("kind", "covariance"), CASES)
def test_the_report_prints_and_is_json(kind, covariance):
    prior = fitted(kind, covariance)
    assert json.loads(json.dumps(prior.report)) == prior.report
    shown = table(prior.report)
    assert "bytes" in shown
    if kind != "standard":
        assert f"{prior.report['held_out']['nats_per_dimension']['prior']:.4f}" in shown
        assert "N(0, I)" in shown
