"""A training as its process runs it: what it says, in which order, and that its numbers are toy's."""

import itertools
import json
import multiprocessing
import struct
import threading
from collections.abc import Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from app.tasks import learn
from app.tasks.learning_limits import LIMITS
from toy.learning.learner import Learner
from toy.learning.options import LearningOptions
from toy.scene import Scene

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

SMALL = {"iterations": 60, "train_batch": 64, "width": 16, "depth": 2, "first_seed": 5}
SCENES = [{"count": 200}, {"count": 200, "prior": "conditional"}]


class Training:
    """learn.train in a thread, and the other end of its pipe."""

    def __init__(self, scenes: list[dict], options: dict[str, Any]) -> None:
        given = {"scenes": scenes, "options": learn.check({"scenes": scenes, "options": options})["options"]}
        self.pipe, other = multiprocessing.Pipe()
        self.thread = threading.Thread(target=learn.train, args=(given, other), daemon=True)
        self.thread.start()
        self.heard: list[tuple[str, dict, list[bytes]]] = []

    def until(self, *names: str) -> dict:
        while True:
            assert self.pipe.poll(60)
            self.heard.append(self.pipe.recv())
            if self.heard[-1][0] in names:
                return self.heard[-1][1]

    def all(self, name: str) -> list[dict]:
        return [numbers for said, numbers, _ in self.heard if said == name]


@pytest.fixture(autouse=True, scope="module")
def _quick() -> Iterator[None]:
    """Fewer pairs and particles to measure on; small grids."""
    of_toy = learn.report
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ENDS", 50), ("LOOKED_AT", 400), ("FINAL_BYTES", 2**17), ("LIVE_BYTES", 2**15)):
            patch.setattr(learn, name, value)
        patch.setattr(learn, "report", lambda learned, **kwargs: of_toy(learned, **kwargs, pairs=2000, ends=50))
        yield


@pytest.fixture(scope="module")
def pair(_quick: None) -> Training:
    """A and B trained to the end."""
    training = Training(SCENES, SMALL)
    training.until("end", "failed")
    return training


def test_a_training_is_told_from_its_first_snapshot_to_its_last_share(pair: Training):
    training, end = pair, pair.heard[-1][1]
    names = [name for name, _, _ in training.heard]
    assert names[:3] == ["preparing", "started", "snapshot"]
    assert names[-5:] == ["measuring", "report", "measuring", "report", "end"]
    assert (end["why"], end["iteration"], end["budget"]) == ("done", 60, 60)
    snapshots = training.all("snapshot")
    assert [s["iteration"] for s in (snapshots[0], snapshots[-1])] == [0, 60]
    assert snapshots[0]["kept"] == [0]
    for side in snapshots[-1]["sides"]:
        assert side["loss"] > 0.9 * side["floor"] > 0
        assert len(side["t"]) == len(side["rms"]) == 40
        assert side["measured_loss"] == pytest.approx(side["measured_floor"] + side["field_rms"] ** 2, rel=0.2)
    for said in training.all("report"):
        assert set(said["shares"]) == {"solver", "model", "grid"}
        assert said["shares"]["solver"] == said["report"]["solver"]["rmse"]
        assert said["shares"]["grid"] == said["report"]["grid"]["end_median"] > 0
    json.dumps([numbers for _, numbers, _ in training.heard], allow_nan=False)


def check_grid(packed: bytes, scene: dict, options: dict[str, Any], side: str = "a") -> None:
    """The bytes are the velocity of the network that the scene, the options and the seed give."""
    (length,) = struct.unpack("<I", packed[:4])
    header = json.loads(packed[4 : 4 + length])
    assert (header["side"], header["iteration"]) == (side, options["iterations"])
    values = np.frombuffer(packed[4 + length :], dtype="<f4").reshape(*(header[n] for n in ("classes", "times", "ny", "nx")), 2)
    learner = Learner(Scene(**scene), LearningOptions(**options))
    learner.run()
    k, (left, right, low, high) = 3, header["boxes"][3]
    corners = torch.tensor([[left, low], [right, low], [left, high]], dtype=torch.float64)
    there = learner.field(0, torch.float32).velocity(corners, header["t"][k]).numpy()
    assert np.allclose(values[0, k, [0, 0, -1], [0, -1, 0]], there, atol=1e-4)


def test_each_side_sends_the_velocity_of_its_own_network(pair: Training):
    grids = next(grids for name, _, grids in reversed(pair.heard) if name == "snapshot")
    assert len(grids) == 2
    for packed, scene, side in zip(grids, SCENES, "ab", strict=True):
        check_grid(packed, scene, SMALL, side)


def test_a_pause_holds_everything_and_changes_nothing():
    options = SMALL | {"iterations": 400}
    training = Training(SCENES[:1], options)
    training.until("started")
    training.pipe.send("pause")
    where = training.until("paused")
    assert where["iteration"] < 400
    assert not training.pipe.poll(0.5)  # not a word meanwhile
    training.pipe.send("resume")
    assert training.until("resumed")["iteration"] == where["iteration"]
    training.until("end")
    check_grid(next(grids for name, _, grids in reversed(training.heard) if name == "snapshot")[0], SCENES[0], options)


@pytest.mark.parametrize("paused", [False, True])
def test_stopping_measures_what_has_been_learned_so_far(paused: bool):
    training = Training(SCENES[:1], SMALL | {"iterations": 20_000})
    training.until("progress")
    if paused:
        training.pipe.send("pause")
        training.until("paused")
    training.pipe.send("stop")
    end = training.until("end", "failed")
    assert end["why"] == "stopped"
    assert 0 < end["iteration"] < 20_000
    assert training.all("report")[0]["report"]["losses"]["floor"] > 0


@pytest.mark.parametrize("paused", [False, True])
def test_a_training_nobody_listens_to_ends_without_a_word(monkeypatch: pytest.MonkeyPatch, paused: bool):
    complaints: list[object] = []
    monkeypatch.setattr(threading, "excepthook", complaints.append)
    training = Training(SCENES[:1], SMALL | {"iterations": 20_000})
    training.until("progress")
    if paused:
        training.pipe.send("pause")
        training.until("paused")
    training.pipe.close()
    training.thread.join(20)
    assert not training.thread.is_alive()
    assert complaints == []


def test_snapshots_are_thinned_and_the_first_stays(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(learn, "KEPT", 6)
    monkeypatch.setattr(learn, "FIRST_EVERY", 2)
    monkeypatch.setattr(learn, "time", SimpleNamespace(perf_counter=itertools.count().__next__))  # a turn of 10 iterations takes 2
    training = Training(SCENES[:1], SMALL | {"iterations": 150})
    training.until("end", "failed")
    taken = [s["iteration"] for s in training.all("snapshot")]
    assert taken == [0, 10, 20, 30, 40, 50, 60, 80, 100, 120, 150]  # half as often from the 7th on, and again from the 10th
    kept = [s["kept"] for s in training.all("snapshot")]
    assert max(map(len, kept)) == 6
    assert [taken[k] for k in kept[-1]] == [0, 40, 80, 120, 150]
    assert all(k[0] == 0 and k == sorted(set(k)) for k in kept)
    assert all(s["kept"][-1] == s["k"] for s in training.all("snapshot"))


def test_full_ots_floor_is_zero_and_looms_is_not_known_beforehand():
    paired = Training([{"coupling": "full-ot", "count": 400}], SMALL)
    paired.until("end", "failed")
    assert {side["floor"] for s in paired.all("progress") for side in s["sides"]} == {0.0}
    table = Training([{"count": 200}], SMALL | {"method": "loom", "data": 256, "ot_batch": 64})
    table.until("end", "failed")
    last = table.all("snapshot")[-1]["sides"][0]
    assert (last["floor"], last["field_rms"]) == (None, None)
    assert table.all("report")[0]["report"]["losses"]["floor_kind"] == "fitted"


def test_networks_that_see_the_class_send_a_grid_for_each():
    training = Training([{"count": 200, "sees": "class", "target": "bimodal"}], SMALL)
    assert training.until("started")["classes"] == [4]
    training.until("end", "failed")
    packed = training.heard[2][2][0]
    (length,) = struct.unpack("<I", packed[:4])
    assert json.loads(packed[4 : 4 + length])["classes"] == 4


def test_options_are_cut_to_a_pages_limits_and_said():
    found = learn.check({"scenes": [{}], "options": {"iterations": 10**6, "seeds": 8, "learning_rate": 1e-3, "data": 100}})
    assert (found["options"]["iterations"], found["options"]["seeds"], found["options"]["learning_rate"]) == (LIMITS["iterations"], 1, 1e-3)
    assert len(found["notes"]) == 3
    assert learn.check({"scenes": [{}], "options": None})["options"] == asdict(LearningOptions())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"scenes": []},
        {"scenes": [{}] * 3},
        {"scenes": {}},
        {"scenes": [{"nfe": 0}]},
        {"scenes": [{}], "options": []},
        {"scenes": [{}], "options": {"wrong": 1}},
        {"scenes": [{}], "options": {"width": "wide"}},
        {"scenes": [{}], "options": {"width": -1}},
        {"scenes": [{}], "options": {"width": True}},
        {"scenes": [{}], "options": {"method": "x" * 10**5}},
        {"scenes": [{}], "options": {"method": []}},
        {"scenes": [{"coupling": "batch-ot"}], "options": {"method": "loom"}},
    ],
)
def test_what_cannot_be_trained_is_refused_before_a_process_is_started(given: dict):
    with pytest.raises(ValueError) as caught:
        learn.check(given)
    assert len(str(caught.value)) < 600


def test_a_scene_that_turns_out_not_to_be_trainable_is_said_in_one_sentence():
    training = Training([{"coupling": "full-ot", "count": 20}], SMALL)
    assert "at least 400" in training.until("failed", "end")["error"]
