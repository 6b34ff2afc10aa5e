"""Checkpoints: whole or not there, no pickle, damaged ones passed over, the best and the last ones kept."""

import errno
import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.trainers.training.small import loop_for, shrunk
from trainers import checkpoints, files
from trainers.checkpoints import Checkpoint, all_checkpoints, newest, prune, read_tensors, write_state
from trainers.files import read_json, sha256_of, write_atomically, write_json
from trainers.recipes import by_name

TINY = shrunk(by_name("digits-condot"), **{"training.steps": 6, "training.checkpoint_every": 2})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three checkpoints of a small training."""
    loop, progress = loop_for(TINY, tmp_path, held_out=True)
    loop.train(progress)
    return tmp_path / "checkpoints"


def test_a_checkpoint_holds_what_the_design_says_and_every_hash_is_right(run: Path):
    checkpoint = all_checkpoints(run)[-1]
    assert checkpoint.folder.name == "step-00000006"
    names = {str(p.relative_to(checkpoint.folder)) for p in checkpoint.folder.rglob("*") if p.is_file()}
    weights = "diffusion_pytorch_model.safetensors"
    assert names == {
        f"model/{weights}",
        "model/config.json",
        f"ema/{weights}",
        "ema/config.json",
        "optimizer.safetensors",
        "state.safetensors",
        "state.json",
    }
    facts = checkpoint.facts
    assert set(facts["files"]) == names - {"state.json"}
    for name, sha256 in facts["files"].items():
        assert sha256_of(checkpoint.folder / name) == sha256
    assert checkpoint.recipe == TINY
    assert facts["conventions"]["target"] == "velocity"
    model, ema = (read_tensors(checkpoint.folder / part / weights) for part in ("model", "ema"))
    assert any(not torch.equal(model[n], ema[n]) for n in model)
    assert all(v.dtype == torch.float32 for v in (*model.values(), *ema.values()))


@pytest.mark.parametrize(
    "file", ["model/diffusion_pytorch_model.safetensors", "ema/config.json", "optimizer.safetensors", "state.safetensors", "state.json"]
)
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_newest_is_named_and_passed_over(run: Path, file: str, damage: str):
    path = all_checkpoints(run)[-1].folder / file
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "gone":
        path.unlink()
    else:
        content[len(content) // 2] ^= 0x55
        path.write_bytes(bytes(content))
    said: list[str] = []
    found = newest(run, said.append)
    assert found is not None
    assert found.step == 4
    assert file in said[0]
    assert "going back" in said[0]


@pytest.mark.parametrize("told", ["step", "digest", "window"])
def test_a_state_that_reads_well_but_is_not_what_was_written_is_named_and_passed_over(run: Path, told: str):
    """Sound JSON of the right version, with one number or letter changed: only the checksum tells."""
    path = all_checkpoints(run)[-1].folder / "state.json"
    facts = read_json(path)
    window = facts["window"] | {"steps": facts["window"]["steps"] + 1}
    changed = {"step": facts["step"] + 1, "digest": facts["digest"][::-1], "window": window}[told]
    assert changed != facts[told]
    write_json(path, facts | {told: changed})
    with pytest.raises(ValueError, match=r"step-00000006/state\.json is damaged: its checksum"):
        _ = Checkpoint(path.parent).facts
    said: list[str] = []
    found = newest(run, said.append)
    assert found is not None
    assert found.step == 4
    assert str(path) in said[0]


def test_where_all_are_damaged_nothing_is_begun_anew_in_silence(run: Path):
    for checkpoint in all_checkpoints(run):
        (checkpoint.folder / "state.json").write_text("{")
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged"):
        newest(run, lambda _: None)


def test_an_unfinished_checkpoint_is_not_seen(run: Path):
    (run / ".step-00000008.partial").mkdir()
    (run / ".step-00000008.partial" / "state.json").write_text("{}")
    found = newest(run, print)
    assert found is not None
    assert found.step == 6


class Malice:
    """A pickle that would write a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.write_text, (self.path, "owned"))


@pytest.mark.parametrize("file", ["optimizer.safetensors", "state.safetensors", "model/diffusion_pytorch_model.safetensors"])
def test_a_pickle_is_refused_and_never_read(run: Path, tmp_path: Path, file: str):
    checkpoint, trap = all_checkpoints(run)[-1], tmp_path / "trap"
    path = checkpoint.folder / file
    path.write_bytes(pickle.dumps(Malice(trap)))
    facts = read_json(checkpoint.folder / "state.json")
    facts["files"][file] = sha256_of(path)  # as somebody would who wants it read
    write_state(checkpoint.folder / "state.json", facts)
    Checkpoint(checkpoint.folder).check()
    if file.startswith("model"):
        from trainers.networks import load_body

        with pytest.raises(ValueError, match="whole weights"):
            load_body(path.parent)
    else:
        with pytest.raises(ValueError, match="is a pickle, which can run code"):
            checkpoint.tensors(file)
    assert not trap.exists()


@pytest.mark.parametrize("length", [640, 896, 1152, 1408])
def test_a_file_whose_headers_length_begins_like_a_pickle_is_read(length: int, tmp_path: Path):
    """The first bytes of safetensors are the length of its header: 80 02 of one of 640 bytes, as of a pickle of protocol 2. A digits run's state was refused for it."""
    path, note = tmp_path / "some.safetensors", length - 200
    while not path.exists() or int.from_bytes(path.read_bytes()[:8], "little") < length:
        save_file({"a": torch.arange(3)}, path, metadata={"note": "x" * note})
        note += 1
    assert path.read_bytes()[:2] == bytes([0x80, length >> 8])
    assert torch.equal(read_tensors(path)["a"], torch.arange(3))


def test_the_code_reads_and_writes_no_pickle():
    """But for tensors alone: of a package's weights, whose hash is known, and of a file that a person converts by hand."""
    files = sorted(Path(checkpoints.__file__).parent.rglob("*.py"))
    assert len(files) > 100
    for file in files:
        text = file.read_text()
        loads = re.findall(r"torch\.load\(.*", text)
        assert all("weights_only=True" in load for load in loads)
        assert not loads or file.name in ("convert.py", "efficientnet.py"), file
        assert "torch.save(" not in text
        assert "import pickle" not in text or file.name == "convert.py"


def test_the_last_ones_and_the_best_are_kept(run: Path, tmp_path: Path):
    assert [c.step for c in all_checkpoints(run)] == [2, 4, 6]
    for checkpoint, loss in zip(all_checkpoints(run), (0.1, 0.9, 0.5), strict=True):
        facts = read_json(checkpoint.folder / "state.json")
        write_state(checkpoint.folder / "state.json", facts | {"held_out_loss": loss})
    prune(run, keep=1)
    assert [c.step for c in all_checkpoints(run)] == [2, 6]


def test_held_out_losses_are_the_same_draws_each_time(run: Path):
    """Equal weights, equal loss: of steps 2, 4 and 6 they differ, of the same checkpoint taken up again they do not (test_kill)."""
    losses = [c.facts["held_out_loss"] for c in all_checkpoints(run)]
    assert len(set(losses)) == 3
    assert all(loss > 0 for loss in losses)


def test_a_full_disk_leaves_what_was_there(run: Path, monkeypatch):
    before = {p: p.stat().st_size for p in run.rglob("*")}

    def full(partial: Path) -> None:
        partial.mkdir()
        (partial / "some").write_text("x" * 100)
        raise OSError(errno.ENOSPC, "No space left on device", str(partial))

    with pytest.raises(OSError, match="No space left"):
        write_atomically(run / "step-00000008", full)
    assert {p: p.stat().st_size for p in run.rglob("*")} == before


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch):
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})

    def broken(partial: Path) -> None:
        partial.write_text("{")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, broken)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]
    synced = []
    monkeypatch.setattr(files, "sync", lambda p: synced.append(p.name))
    write_json(path, {"a": 2})
    assert synced == [
        f".facts.json.{os.getpid()}.partial",
        tmp_path.name,
    ]  # the file before its new name, then the folder that holds the name


def test_an_optimiser_of_another_network_is_refused(run: Path):
    _, progress = loop_for(shrunk(by_name("digits-condot"), **{"network.layers": 2}), run / "other")
    names = [n for n, _ in progress.network.named_parameters()]
    tensors = all_checkpoints(run)[-1].tensors("optimizer.safetensors")
    with pytest.raises(ValueError, match="does not have"):
        checkpoints.restore_optimiser(progress.optimiser, {"exp_avg.other": torch.zeros(1)}, names)
    with pytest.raises(ValueError, match="lacks"):
        checkpoints.restore_optimiser(progress.optimiser, {k: v for k, v in tensors.items() if "blocks.0" not in k}, names)
