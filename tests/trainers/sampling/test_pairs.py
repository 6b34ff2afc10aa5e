"""Pairs for reflow: the same bytes for the same settings, however often killed; the teacher's own noise; what is refused."""

import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import trainers.pairs
from tests.trainers.sampling.conftest import digits, trained
from tests.trainers.training.commands import run, start
from trainers.commands.pairs import Pairs
from trainers.files import read_json, sha256_of, write_json
from trainers.identity import identity
from trainers.latents import default_folder
from trainers.order import Order
from trainers.pairs import make_pairs, open_pairs
from trainers.recipes import apply
from trainers.sampling import sample
from trainers.trained import load_trained

SAID: list[str] = []


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch):
    """Of 16 pairs, so that a few pairs are several shards."""
    monkeypatch.setattr(trainers.pairs, "SHARD", 16)


def make(run: Path, out: Path, **given: Any) -> dict[str, Any]:
    SAID.clear()
    settings: dict[str, Any] = {"n": 40, "nfe": 4, "seed": 3} | given
    return make_pairs(Pairs(run, out, **settings), SAID.append)


def contents(folder: Path) -> dict[str, str]:
    return {p.name: sha256_of(p) for p in sorted(folder.glob("*.safetensors"))}


@pytest.fixture
def teacher(run_of: Callable[[str], Path]) -> Path:
    return run_of("cpd")


def student(teacher: Path, pairs: Path, **changes: Any) -> Any:
    """The recipe of a reflow on these pairs, and its data."""
    recipe = apply(load_trained(teacher).recipe, {"coupling.kind": "pairs", "coupling.pairs": str(pairs)} | changes)
    return open_pairs(recipe, default_folder(recipe, teacher.parent))


def test_a_kill_at_any_moment_changes_no_byte(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make(teacher, tmp_path / "straight")
    manifest = read_json(tmp_path / "straight" / "manifest.json")
    assert [s["count"] for s in manifest["shards"]] == [16, 16, 8]
    assert manifest["n"] == manifest["wanted"] == 40
    expected = contents(tmp_path / "straight")
    made = trainers.pairs._shard
    for killed_at in (0, 1, 2):
        out = tmp_path / f"killed-{killed_at}"

        def until(*arguments: Any, last: int = killed_at) -> dict[str, Any]:
            if arguments[3] == last:
                raise KeyboardInterrupt
            return made(*arguments)

        monkeypatch.setattr(trainers.pairs, "_shard", until)
        with pytest.raises(KeyboardInterrupt):
            make(teacher, out)
        (out / f"pairs-{killed_at:05d}.safetensors").write_bytes(b"written, but not yet in the manifest")
        monkeypatch.setattr(trainers.pairs, "_shard", made)
        make(teacher, out)
        assert read_json(out / "manifest.json") == manifest
        assert contents(out) == expected


def test_a_kill_before_the_manifest_can_be_gone_on_with(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainers.pairs, "_note", killed)
        with pytest.raises(KeyboardInterrupt):
            make(teacher, tmp_path / "pairs")
    assert [p.name for p in (tmp_path / "pairs").iterdir()] == ["teacher.safetensors"]
    (tmp_path / "pairs" / ".teacher.safetensors.12345.partial").write_text("half")  # of a process that was killed while it wrote
    assert make(teacher, tmp_path / "pairs")["n"] == 40


def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "pairs"
    make(teacher, out)
    before, made, numbers = contents(out), trainers.pairs._shard, []

    def noted(*arguments: Any) -> dict[str, Any]:
        numbers.append(arguments[3])
        return made(*arguments)

    monkeypatch.setattr(trainers.pairs, "_shard", noted)
    (out / "pairs-00001.safetensors").unlink()
    cut = out / "pairs-00002.safetensors"
    cut.write_bytes(cut.read_bytes()[:-5])
    make(teacher, out)
    assert numbers == [1, 2]
    assert contents(out) == before
    make(teacher, out)
    assert numbers == [1, 2]


def test_more_are_added_and_fewer_take_none_away(teacher: Path, tmp_path: Path):
    make(teacher, tmp_path / "at-once")
    for n in (5, 20, 40):
        assert make(teacher, tmp_path / "by-and-by", n=n)["n"] == n
    assert contents(tmp_path / "by-and-by") == contents(tmp_path / "at-once")
    make(teacher, tmp_path / "by-and-by", n=17)
    assert contents(tmp_path / "by-and-by") == contents(tmp_path / "at-once")
    assert read_json(tmp_path / "by-and-by" / "manifest.json") == read_json(tmp_path / "at-once" / "manifest.json")


def test_the_batch_changes_no_pair_of_a_fixed_step_solver(teacher: Path, tmp_path: Path):
    make(teacher, tmp_path / "a", batch=256)
    make(teacher, tmp_path / "b", batch=5)
    for name in contents(tmp_path / "a"):
        a, b = (load_file(tmp_path / folder / name) for folder in "ab")
        assert all(torch.allclose(a[key].float(), b[key].float(), atol=2e-3) for key in a)
    make(teacher, tmp_path / "c", solver="dopri5", atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="batch was 256, now 5"):
        make(teacher, tmp_path / "c", solver="dopri5", atol=1e-3, rtol=1e-3, batch=5)


def test_evaluations_are_counted_and_told(teacher: Path, tmp_path: Path):
    assert make(teacher, tmp_path / "a", nfe=6)["nfe"] == 6
    assert SAID[-1] == f"40 pairs of step 20 in {tmp_path / 'a'}, 6 evaluations each"
    assert make(teacher, tmp_path / "b", nfe=8, guidance=2.0)["nfe"] == 8
    manifest = make(teacher, tmp_path / "c", solver="dopri5")
    assert manifest["nfe"] == pytest.approx(sum(s["count"] * s["nfe"] for s in manifest["shards"]) / 40)
    assert manifest["nfe"] > 8


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"nfe": 6}, "requested_nfe was 4, now 6"),
        ({"solver": "euler"}, "solver was heun, now euler"),
        ({"seed": 4}, "seed was 3, now 4"),
        ({"guidance": 2.0}, r"guidance was 1\.0, now 2\.0"),
        ({"weights": "model"}, "teacher_weights was"),
        ({"step": 10}, "teacher_step was 20, now 10"),
    ],
)
def test_pairs_that_were_made_otherwise_are_refused(teacher: Path, tmp_path: Path, changes: dict[str, Any], difference: str):
    make(teacher, tmp_path / "pairs")
    before = contents(tmp_path / "pairs")
    step = changes.pop("step", None)
    with pytest.raises(ValueError, match=f"holds other pairs .{difference}"):
        make(teacher if step is None else teacher / "checkpoints" / f"step-{step:08d}", tmp_path / "pairs", **changes)
    assert contents(tmp_path / "pairs") == before


def test_the_same_teacher_under_another_name_goes_on(teacher: Path, tmp_path: Path):
    make(teacher, tmp_path / "pairs", n=16)
    moved = Path(shutil.copytree(teacher, tmp_path / "moved"))
    assert make(moved, tmp_path / "pairs")["n"] == 40


def test_a_folder_of_other_things_is_left_alone(teacher: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no pairs"):
        make(teacher, tmp_path)
    with pytest.raises(ValueError, match="--n 0 must be at least 1"):
        make(teacher, tmp_path / "pairs", n=0)


@pytest.mark.parametrize("method", ["condot", "cpd", "scale-matched", "fm-diffusion"])
def test_the_noise_of_a_pair_is_the_teachers_bit_for_bit(method: str, run_of: Callable[[str], Path], tmp_path: Path):
    """Every pair of both splits, read in an order that the teacher did not have."""
    run = run_of(method)
    make(run, tmp_path / "pairs")
    theirs = sample(load_trained(run), 40, seed=3, nfe=4)
    check(student(run, tmp_path / "pairs"), theirs.x_0, theirs.x, theirs.condition)


def check(found: tuple, x_0: torch.Tensor, x: torch.Tensor, condition: torch.Tensor | None, rounding: float = 0.0) -> None:
    train, held_out, _, name = found
    assert (train.n, held_out.n) == (38, 2)
    numbers = torch.arange(40)
    for source, rows in ((train, numbers[numbers % 20 != 19]), (held_out, numbers[numbers % 20 == 19])):
        index = torch.arange(source.n).flip(0)
        x_1, told, noise = source.read(index, index, Order(source.n, 1, 0))
        assert (noise - x_0[rows].flip(0)).abs().max() <= rounding
        assert torch.allclose(x_1, x[rows].flip(0), atol=5e-3, rtol=1e-3)
        if condition is not None:
            assert told.equal(condition[rows].flip(0))
    assert name(19) == "pair 20"
    assert name(0) == "pair 0"


def test_pairs_of_a_text_model_keep_noise_and_caption(text_run: Path, tmp_path: Path):
    make(text_run, tmp_path / "pairs", guidance=2.0)
    model = load_trained(text_run)
    found = student(text_run, tmp_path / "pairs")
    kept = torch.cat([load_file(p)["condition"] for p in sorted((tmp_path / "pairs").glob("pairs-*"))])
    captions = found[0].captions
    assert len(kept.unique()) > 10
    assert int(kept.max()) <= captions.null
    told = captions.states(kept)
    theirs = sample(model, 40, seed=3, nfe=4, guidance=2.0, condition=told)
    check(found, theirs.x_0, theirs.x, told, rounding=2e-6)  # the mapper's products in float32 are rounded by the batch
    assert model.null_text is not None
    assert found[0].null_text.equal(model.null_text)


def test_reflow_of_a_reflow(teacher: Path, home: Path, tmp_path: Path):
    """Two rounds: prior, law of the classes and latents are handed on, and the second student's noise is still the first teacher's law of it."""
    run = teacher
    for number in (1, 2):
        pairs = tmp_path / f"pairs-{number}"
        make(run, pairs, n=128, seed=number)
        recipe = apply(
            load_trained(run).recipe,
            {"coupling.kind": "pairs", "coupling.pairs": str(pairs), "loss.times": "u-shaped", "training.steps": 4},
        )
        run = trained(recipe, tmp_path / f"round-{number}", home)
    first, last = load_trained(teacher), load_trained(run)
    assert last.recipe.coupling.pairs == str(tmp_path / "pairs-2")
    assert last.prior.state().keys() == first.prior.state().keys()
    assert all(value.equal(last.prior.state()[name]) for name, value in first.prior.state().items())
    assert first.label_law is not None
    assert last.label_law is not None
    assert last.label_law.equal(first.label_law)
    assert sample(last, 5, seed=9, nfe=2).x_0.equal(sample(first, 5, seed=9, nfe=2).x_0)


def test_a_mixture_cannot_teach(run_of: Callable[[str], Path], tmp_path: Path):
    with pytest.raises(ValueError, match="has a mixture for its prior"):
        make(run_of("cpd-mixture"), tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()


def test_what_a_student_is_refused(teacher: Path, tmp_path: Path):
    out = tmp_path / "pairs"
    with pytest.raises(ValueError, match="holds no pairs; `python -m trainers pairs RUN --out"):
        student(teacher, out)
    make(teacher, out)
    with pytest.raises(ValueError, match=r"data.size was 8, the recipe says 32\); --set data.size=8"):
        student(teacher, out, **{"data.size": 32})
    manifest = read_json(out / "manifest.json")
    for changed, message in (
        ({"wanted": 100}, "holds 40 of 100 pairs; run the same `pairs` command to its end"),
        ({"autoencoder_hash": "0" * 64}, "in the latents of another autoencoder"),
        ({"version": 7}, "is not that of pairs of version 2"),
    ):
        write_json(out / "manifest.json", manifest | changed)
        with pytest.raises(ValueError, match=message):
            student(teacher, out)
    write_json(out / "manifest.json", manifest)
    shard = out / "pairs-00001.safetensors"
    tensors = load_file(shard)
    save_file(tensors | {"x_1": tensors["x_1"] + 1}, shard)
    with pytest.raises(ValueError, match=r"pairs-00001.safetensors is missing or damaged; the same `pairs` command makes it again"):
        student(teacher, out)
    shard.unlink()
    with pytest.raises(ValueError, match=r"pairs-00001.safetensors is missing or damaged"):
        student(teacher, out)
    make(teacher, out)
    assert student(teacher, out)[0].n == 38


def test_samples_that_are_not_finite_are_not_kept(teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def spoiled(*arguments: Any, **given: Any) -> Any:
        made = sample(*arguments, **given)
        return replace(made, x=made.x.log())

    monkeypatch.setattr(trainers.pairs, "sample", spoiled)
    with pytest.raises(ValueError, match="made samples that are not finite"):
        make(teacher, tmp_path / "pairs")
    assert not list((tmp_path / "pairs").glob("pairs-*"))


def test_digits_reflow_is_the_recipe_for_them(run_of: Callable[[str], Path], home: Path, tmp_path: Path):
    make(run_of("condot"), tmp_path / "pairs", n=80)
    run = trained(digits("reflow", **{"coupling.pairs": str(tmp_path / "pairs"), "training.steps": 2}), tmp_path / "run", home)
    assert load_trained(run).checkpoint.facts["held_out_loss"] is not None


@pytest.mark.slow
def test_killed_from_outside_the_same_command_goes_on(teacher: Path, tmp_path: Path):
    """SIGKILL once a shard is in the manifest; the shards of the whole run in one go are the same, byte for byte."""
    given = ("pairs", str(teacher), "--n", "6000", "--nfe", "64", "--seed", "2")
    process = start(*given, "--out", "killed", cwd=tmp_path)
    manifest, end = tmp_path / "killed" / "manifest.json", time.monotonic() + 120
    while not (manifest.exists() and read_json(manifest)["shards"]) and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 0 < read_json(manifest)["n"] < 6000
    for out in ("killed", "straight"):
        status, _, said = run(*given, "--out", out, cwd=tmp_path)
        assert status == 0, said
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


def test_a_teachers_file_that_was_changed_is_refused_and_made_again(teacher: Path, tmp_path: Path):
    make(teacher, tmp_path / "pairs")
    file = tmp_path / "pairs" / "teacher.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + bytes(b ^ 1 for b in whole[-9:]))
    with pytest.raises(ValueError, match=r"teacher\.safetensors is missing or damaged; the same `pairs` command makes it again"):
        student(teacher, tmp_path / "pairs")
    make(teacher, tmp_path / "pairs")
    assert file.read_bytes() == whole
    student(teacher, tmp_path / "pairs")


def test_an_identity_of_pairs_is_their_contents_teacher_and_seed(teacher: Path, tmp_path: Path):
    recipe = apply(load_trained(teacher).recipe, {"coupling.kind": "pairs"})
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make(teacher, tmp_path / name, seed=seed)
        found.append(identity(apply(recipe, {"coupling.pairs": str(tmp_path / name)}), tmp_path))
    assert found[0] == found[1]
    assert {name for name in found[0] if found[0][name] != found[2][name]} == {"pairs seed", "pairs sha256"}
    manifest = read_json(tmp_path / "b" / "manifest.json")
    write_json(tmp_path / "b" / "manifest.json", manifest | {"teacher_sha256": "another"})
    assert identity(apply(recipe, {"coupling.pairs": str(tmp_path / "b")}), tmp_path)["pairs sha256"] != found[0]["pairs sha256"]


def test_pairs_that_were_told_other_captions_are_refused(text_run: Path, tmp_path: Path):
    make(text_run, tmp_path / "pairs")
    manifest = read_json(tmp_path / "pairs" / "manifest.json")
    assert len(manifest["captions"]) == 64
    recipe = apply(load_trained(text_run).recipe, {"coupling.kind": "pairs", "coupling.pairs": str(tmp_path / "pairs")})
    cache = Path(load_trained(text_run).checkpoint.facts["cache"])
    open_pairs(recipe, cache)
    for name in ("captions", "text_encoder"):
        write_json(tmp_path / "pairs" / "manifest.json", manifest | {name: "another"})
        with pytest.raises(ValueError, match="were told other captions, or by another text encoder"):
            open_pairs(recipe, cache)
