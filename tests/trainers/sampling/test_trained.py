"""Which checkpoint is opened: the newest sound one, or the one that is named; nothing damaged, foreign or pickled."""

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from tests.trainers.sampling.conftest import digits, trained
from trainers.files import read_json, sha256_of
from trainers.sampling import sample
from trainers.trained import load_trained

BODY = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def run(run_of, tmp_path: Path) -> Path:
    """A copy that a test may spoil, with checkpoints at steps 10 and 20."""
    return Path(shutil.copytree(run_of("cpd"), tmp_path / "run"))


def checkpoint(run: Path, step: int) -> Path:
    return run / "checkpoints" / f"step-{step:08d}"


def test_the_newest_checkpoint_is_taken_or_the_one_that_is_named(run: Path):
    newest, named = load_trained(run), load_trained(checkpoint(run, 10))
    assert (newest.step, named.step) == (20, 10)
    assert newest.weights_hash == sha256_of(checkpoint(run, 20) / "ema" / BODY)
    assert newest.weights_hash != named.weights_hash
    assert newest.shape == (1, 8, 8)
    assert newest.classes == tuple("0123456789")
    assert newest.null == 10
    assert newest.label_law is not None
    assert float(newest.label_law.sum()) == pytest.approx(1)
    assert newest.noise is None
    assert newest.decode(torch.zeros(3, 1, 8, 8)).shape == (3, 1, 8, 8)


def test_pictures_come_back_from_their_latents(run: Path):
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = load_trained(run)
    assert found.decode(found.encode(pixels), batch=2).equal(pixels)


@pytest.mark.parametrize("file", [f"ema/{BODY}", f"model/{BODY}", "state.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_is_named_and_passed_over(run: Path, file: str, capsys):
    path = checkpoint(run, 20) / file
    path.write_bytes(path.read_bytes()[:-3])
    assert load_trained(run).step == 10
    said = capsys.readouterr().err
    assert str(path) in said
    assert "going back to the checkpoint before it" in said
    with pytest.raises(ValueError, match=f"step-00000020/{file}"):
        load_trained(checkpoint(run, 20))


def test_where_all_are_damaged_or_none_is_there(run: Path, tmp_path: Path):
    for step in (10, 20):
        (checkpoint(run, step) / "state.json").unlink()
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged"):
        load_trained(run)
    with pytest.raises(ValueError, match="nowhere does not exist; name a run's folder"):
        load_trained(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="other holds no checkpoint"):
        load_trained(tmp_path / "other")


def test_weights_by_name(home: Path):
    run = trained(digits("condot", **{"training.ema": "0.1,0.99", "training.steps": 3}), home / "averages", home)
    hashes = {name: load_trained(run, name).weights_hash for name in ("ema", "ema-0.99", "model")}
    folder = checkpoint(run, 3)
    assert hashes == {name: sha256_of(folder / name / BODY) for name in hashes}
    assert len(set(hashes.values())) == 3
    with pytest.raises(ValueError, match=r"weights='ema-0.1' are not in .*; it has ema, ema-0.99, model"):
        load_trained(run, "ema-0.1")


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_no_pickle_is_ever_read(run: Path, tmp_path: Path):
    """A malicious file under the weights' name is refused, by its hash, and with hashes made to fit by its format; one beside them is not looked at."""
    folder, sprung = checkpoint(run, 20), tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    (folder / "ema" / "diffusion_pytorch_model.bin").write_bytes(trap)
    assert load_trained(folder).step == 20
    for file in (f"ema/{BODY}", "state.safetensors"):
        before = (folder / file).read_bytes()
        (folder / file).write_bytes(trap)
        with pytest.raises(ValueError, match="is damaged: its hash is not the one"):
            load_trained(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trainers.checkpoints.Checkpoint.check", lambda self: None)
            with pytest.raises(ValueError, match=r"does not hold whole weights|is a pickle, which can run code"):
                load_trained(folder)
        (folder / file).write_bytes(before)
    (folder / "ema" / BODY).unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainers.checkpoints.Checkpoint.check", lambda self: None)
        with pytest.raises(ValueError, match="does not hold whole weights"):
            load_trained(folder)
    assert not sprung.exists()


def test_a_foreign_folder_is_refused(tmp_path: Path):
    from diffusers.models.unets.unet_2d import UNet2DModel

    body = UNet2DModel(
        sample_size=8, block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), norm_num_groups=4
    )
    body.save_pretrained(tmp_path / "body")
    with pytest.raises(ValueError, match="body holds no checkpoint"):
        load_trained(tmp_path / "body")
    (tmp_path / "state.json").write_text('{"epoch": 3}')
    with pytest.raises(ValueError, match=r"state.json is not that of a checkpoint of version 1"):
        load_trained(tmp_path)


def test_another_autoencoder_than_the_trainings_is_refused(run: Path):
    found = load_trained(run)
    found.checkpoint.facts["autoencoder_hash"] = "0" * 64
    with pytest.raises(ValueError, match=r"is not the autoencoder that .* was trained with"):
        found.decode(torch.zeros(1, 1, 8, 8))


def test_devices_that_are_not_here(run: Path):
    with pytest.raises(ValueError, match="device='gpu' is unknown; cpu, cuda and cuda:1"):
        load_trained(run, device="gpu")
    with pytest.raises(ValueError, match="device='cuda:99' is not in this machine"):
        load_trained(run, device="cuda:99")
    for name in ("meta", "mps"):
        with pytest.raises(ValueError, match=f"device='{name}' cannot be used here"):
            load_trained(run, device=name)


def test_a_checkpoint_samples_as_the_training_did(run_of):
    """The previews of the loop, from its own network in memory, are what the checkpoint makes of the same noise."""
    from PIL import Image

    from trainers.grids import grid

    run = run_of("condot")
    found = load_trained(run)
    options = found.recipe.sampling
    made = sample(found, 2, seed=7, solver=options.solver, nfe=options.nfe, condition=torch.arange(2))
    picture = Image.open(run / "samples" / "step-00000020.png")
    assert picture.tobytes() == grid(found.decode(made.x)).tobytes()
    assert read_json(found.checkpoint.folder / "state.json")["step"] == 20
