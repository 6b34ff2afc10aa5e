"""How trainings end on the command line: one clear line, the right status, and nothing lost."""

import errno
import signal
from pathlib import Path

import pytest

from tests.trainers.training.commands import run, start, wait_for_step
from trainers import cli, loop
from trainers.checkpoints import all_checkpoints
from trainers.files import read_json
from trainers.recipes import apply, by_name, flatten
from trainers.runs import PATHS, Run

SHORT = (
    "--steps",
    "12",
    "--checkpoint-every",
    "4",
    "--set",
    "training.log_samples=true",
    "--set",
    "training.log_every=2",
    "--set",
    "training.preview_every=4",
)


def main(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The command line in this process: status, and the last line that it said."""
    status = cli.main(arguments)
    said = capsys.readouterr().err.strip().splitlines()
    return status, said[-1] if said else ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of twelve steps, with its cache."""
    folder = tmp_path_factory.mktemp("ends")
    status, _, said = run("train", "digits-condot", "--run", "run", *SHORT, cwd=folder)
    assert status == 0, said
    return folder


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def test_a_finished_run_has_all_that_the_design_names(inside: Path):
    run_folder = inside / "run"
    assert [c.step for c in all_checkpoints(run_folder / "checkpoints")] == [4, 8, 12]
    assert {p.name for p in (run_folder / "samples").iterdir()} == {
        "prior.png",
        "step-00000004.png",
        "step-00000008.png",
        "step-00000012.png",
    }
    assert (run_folder / "recipe.toml").exists()
    assert not (run_folder / "process.json").exists()


def test_a_finished_run_says_so(inside: Path, capsys):
    status, said = main(capsys, "train", "digits-condot", "--run", "run", *SHORT)
    assert status == 0
    assert "is trained: 12 steps" in said


def test_a_finished_run_goes_on_for_more_steps(inside: Path, capsys):
    import shutil

    shutil.copytree("run", "longer")
    status, _ = main(capsys, "train", "digits-condot", "--run", "longer", *SHORT, "--steps", "16")
    assert status == 0
    assert all_checkpoints(Path("longer/checkpoints"))[-1].step == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "digits-condot", "--run", "run", *SHORT, "--set", "training.batch=64"), "training.batch was 256, now 64"),
        (("train", "digits-cpd", "--run", "run", *SHORT), "prior.kind was standard, now class-gaussian"),
        (("train", "digits-condot", "--run", "run", *SHORT, "--seed", "5"), "training.seed was 0, now 5"),
        (("train", "digits-condot", "--run", "."), "is not empty and not a run's folder"),
        (("train", "digits-condoth", "--run", "x"), "did you mean 'digits-condot'"),
        (("train", "digits-condot", "--run", "x", "--set", "training.bach=3"), "did you mean 'training.batch'"),
        (("train", "digits-condot", "--run", "x", "--set", "sampling.guidance=nan"), "sampling.guidance=nan must lie in -100 to 100"),
        (("train", "digits-condot", "--run", "x", "--set", "training.batch=100000"), "training.batch=100000 is more than the 1621 samples"),
        (("train", "digits-reflow", "--run", "x"), "python -m trainers pairs"),
        (("train", "digits-reflow", "--run", "x", "--set", "coupling.pairs=nowhere"), "nowhere holds no pairs"),
        (("train", "digits-condot", "--run", "x", "--set", "training.precision=fp16"), "needs a GPU"),
        (("train", "digits-condot", "--run", "x", "--steps", "many"), "--help"),
        (("train", "digits-condot"), "--help"),
        (("train", "cpd-imagenet64", "--run", "x"), "autoencoder.path"),
        (("trane",), "--help"),
        (("sample", "nowhere", "--out", "y"), "nowhere does not exist"),
    ],
)
def test_bad_input_ends_in_one_line_and_status_2(arguments: tuple[str, ...], words: str, inside: Path, capsys):
    before = sorted(p for p in inside.rglob("*") if p.is_file() and "cache" not in p.parts and p.name not in ("lock", ".lock"))
    status, said = main(capsys, *arguments)
    assert status == 2
    assert words in said
    assert said.startswith("error: ")
    after = sorted(p for p in inside.rglob("*") if p.is_file() and "cache" not in p.parts and p.name not in ("lock", ".lock"))
    assert after == before


def test_only_how_long_and_how_it_is_watched_may_change(tmp_path):
    """Every other value of a recipe makes another training, and is refused by its name."""
    recipe = by_name("digits-condot")
    kept = Run(tmp_path / "run")
    kept.begin(recipe)
    kept.metrics.touch()  # something was trained
    content, free = kept.recipe_file.read_text(), set()
    for name, value in flatten(recipe).items():
        other: object = {bool: not value, int: 97, float: 0.123, str: "other"}.get(type(value), 3)
        if isinstance(value, tuple):
            other = (0.5, 0.25) if name in ("training.ema", "optimiser.betas") else (7,)
        if value is None:
            other = "x" if name in (*PATHS, "coupling.pairs") else 0.5 if name in ("prior.shrinkage", "prior.sigma") else 3
        try:
            kept.begin(apply(recipe, {name: other}))
        except ValueError as error:
            assert name in str(error)  # noqa: PT017  # some are refused, some are not: that is what is asked
        else:
            free.add(name)
            kept.recipe_file.write_text(content)
    watching = ("log_every", "checkpoint_every", "keep", "threads", "mirror", "preview_every", "preview_count")
    sampling = {n for n in flatten(recipe) if n.startswith("sampling.")}  # how a checkpoint is looked at, at any time
    assert free == {"name", "about", "reported", "training.steps", *(f"training.{n}" for n in watching)} | sampling
    parts = {n.partition(".")[0] for n in free}
    assert not parts & {"network", "prior", "coupling", "path", "loss", "optimiser", "data", "autoencoder", "text"}


def test_a_full_disk_is_said_in_one_line_and_keeps_the_last_checkpoint(tmp_path, monkeypatch, folder, capsys):
    monkeypatch.chdir(tmp_path)
    real, calls = loop.checkpoints.save, []

    def full(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "optimizer.safetensors")
        return real(*given, **named)

    monkeypatch.setattr(loop.checkpoints, "save", full)
    arguments = ("train", "digits-condot", "--run", "full", "--cache", str(folder / "runs" / "cache" / "digits-8-pixels"), *SHORT)
    status, said = main(capsys, *arguments)
    assert status == 1
    assert said.startswith("error: the disk is full")
    assert [c.step for c in all_checkpoints(tmp_path / "full" / "checkpoints")] == [4]
    status, _ = main(capsys, *arguments)
    assert status == 0
    assert all_checkpoints(tmp_path / "full" / "checkpoints")[-1].step == 12


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_missing_or_damaged_shard_is_made_again(damage: str, tmp_path, folder, monkeypatch, capsys):
    """Training goes through `cache` first, which names a shard that is not what was written and makes it anew."""
    import shutil

    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder / "runs", tmp_path / "runs")
    (shard,) = Path("runs/cache/digits-8-pixels/train").glob("shard-00001*")
    whole = shard.read_bytes()
    shard.unlink() if damage == "gone" else shard.write_bytes(whole[:100])
    status, _ = main(capsys, "train", "digits-condot", "--run", "again", *SHORT)
    assert status == 0
    assert shard.read_bytes() == whole


def test_a_diverged_run_ends_with_status_1_and_its_samples(tmp_path, monkeypatch, folder, capsys):
    monkeypatch.chdir(tmp_path)
    cache = str(folder / "runs" / "cache" / "digits-8-pixels")
    wild = [part for setting in ("optimiser.learning_rate=10", "optimiser.eps=0", "optimiser.clip=none") for part in ("--set", setting)]
    status, said = main(capsys, "train", "digits-condot", "--run", "wild", "--cache", cache, *SHORT, *wild)
    if status == 0:
        pytest.fail("this rate was expected to diverge; choose a wilder one")
    assert status == 1
    assert "is not finite, with samples" in said


def test_two_trainings_do_not_share_a_folder(tmp_path, folder):
    cache = str(folder / "runs" / "cache" / "digits-8-pixels")
    long = ("train", "digits-condot", "--run", "one", "--cache", cache, "--steps", "100000", "--set", "training.log_samples=true")
    first = start(*long, cwd=tmp_path)
    try:
        wait_for_step(tmp_path / "one", 3, first)
        status, _, said = run(*long, cwd=tmp_path)
        assert status == 2
        assert "is being trained by another process" in said
        record = read_json(tmp_path / "one" / "process.json")
        assert record["pid"] == first.pid
    finally:
        first.send_signal(signal.SIGTERM)
    # SIGTERM: a checkpoint within the deadline that schedulers give, and the status that asks to be run again
    out = first.communicate(timeout=30)[1]
    assert first.returncode == 75, out
    assert "the same command goes on from there" in out
    last = all_checkpoints(tmp_path / "one" / "checkpoints")[-1]
    last.check()
    assert last.step == len((tmp_path / "one" / "samples.log").read_text().splitlines())


def test_fewer_steps_than_are_done_leave_a_runs_record_true(inside: Path, capsys):
    status, said = main(capsys, "train", "digits-condot", "--run", "run", "--steps", "5", *SHORT[2:])
    assert status == 0
    assert "run is trained: 12 steps" in said
    assert Run(inside / "run").recipe().training.steps == 12


def test_a_network_that_cannot_be_is_refused_before_anything_is_encoded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, said = main(capsys, "train", "emoji-condot", "--run", "x", "--set", "network.channels=32,32")
    assert status == 2
    assert "network.heads_of=64 is more than the 32 channels" in said
    assert "latents" not in said
    assert not list(tmp_path.iterdir())


def test_a_batch_that_cannot_be_filled_is_refused_before_anything_is_encoded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, said = main(capsys, "train", "emoji-condot", "--run", "x", "--set", "data.limit=50")
    assert status == 2
    assert "training.batch=128 is more than the 50 samples of the training split" in said
    assert not list(tmp_path.rglob("*.safetensors"))
