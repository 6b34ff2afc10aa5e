"""The twin's random numbers, schedules, fields on a grid, and its address, each by itself."""

import pytest
import torch

from lab import random
from lab.mixtures import schedule
from lab.paths import by_name
from tests.app.stage.engine import call, described, random_scene
from toy.demands import CUSTOM
from toy.learning.grids import GridField, grid_times
from toy.mixtures import Mixture
from toy.packing import pack, unpack
from toy.scene import Scene, View

SIGNED = 2**32


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(counter: tuple, key: tuple, answer: tuple):
    found = call(
        "const out = new Int32Array(4); FlowLab.philox(...given.counter.map((w) => w | 0), ...given.key.map((w) => w | 0), out); return out;",
        counter=counter,
        key=key,
    )
    assert [word % SIGNED for word in found] == list(answer)


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("stream", [0, 7, 0x544945])
def test_normal_numbers_are_pythons(seed: int, stream: int):
    found = torch.tensor(call("return FlowLab.normalPairs(given.seed, 500, given.stream);", seed=seed, stream=stream), dtype=torch.float64)
    expected = random.normals(seed, torch.arange(500), 2, stream).flatten()
    assert (found - expected).abs().max() < 1e-14 * expected.abs().max()


def test_schedules_are_pythons():
    generator = torch.Generator().manual_seed(0)
    for trial in range(60):
        count = int(torch.randint(1, 40, (), generator=generator))
        weights = torch.rand(count, generator=generator, dtype=torch.float64) ** 3
        if trial % 3 == 0:
            weights = (4 * weights).ceil()  # many of one size
        if trial % 4 == 0 and count > 1:
            weights[0] = 0
        if not bool(weights.any()):
            continue
        weights = weights / weights.sum()
        assert call("return FlowLab.schedule(Float64Array.from(given.w), 777);", w=weights.tolist()) == schedule(weights, 777).tolist()


@pytest.mark.parametrize("path", ["cond-ot", "vp"])
@pytest.mark.parametrize("classes", [0, 3])
def test_a_field_on_a_grid_is_pythons(path: str, classes: int):
    generator = torch.Generator().manual_seed(1)
    held = by_name(path)
    t = grid_times(held, 6, held.last_time)
    low = -3 - torch.rand(6, 2, generator=generator, dtype=torch.float64)
    high = 3 + torch.rand(6, 2, generator=generator, dtype=torch.float64)
    boxes = torch.stack((low[:, 0], high[:, 0], low[:, 1], high[:, 1]), dim=1)
    values = torch.randn(max(1, classes), 6, 5, 7, 2, generator=generator)
    grid = GridField(values, t, boxes, held if path == "vp" else None)
    x = 3 * torch.randn(50, 2, generator=generator, dtype=torch.float64)
    own = torch.randint(0, classes, (50,), generator=generator) if classes else None
    for time in (0.0, 0.21, 0.5, 0.97, 1.0):
        found = call(
            """
            const grid = { ...given.grid, values: Float32Array.from(given.grid.values), t: Float64Array.from(given.grid.t), boxes: Float64Array.from(given.grid.boxes) };
            const out = new Float64Array(given.x.length);
            FlowLab.gridVelocity(grid, FlowLab.makePath({ path: given.path }), Float64Array.from(given.x), given.time, given.classes, out);
            return out;
            """,
            grid={
                "values": values.flatten().tolist(),
                "t": t.tolist(),
                "boxes": boxes.flatten().tolist(),
                "nx": 7,
                "ny": 5,
                "classes": max(1, classes),
                "perAngle": path == "vp",
            },
            x=x.flatten().tolist(),
            path=path,
            time=time,
            classes=None if own is None else own.tolist(),
        )
        expected = grid.velocity(x, min(time, held.last_time), own).flatten()
        assert (torch.tensor(found, dtype=torch.float64) - expected).abs().max() < 1e-9 * expected.abs().max()


def address(view: View) -> str:
    """The browser's query string of a view."""
    setup = {"version": 1, "defaults": described(Scene()), "opening": described_view(View())}
    return call(
        """
        const view = FlowLab.receivedView(given.view);
        globalThis.btoa = globalThis.btoa || ((text) => { // V8 alone has none
          const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
          let out = "";
          for (let i = 0; i < text.length; i += 3) {
            const bytes = [0, 1, 2].map((j) => text.charCodeAt(i + j)), word = (bytes[0] << 16) | ((bytes[1] || 0) << 8) | (bytes[2] || 0);
            for (let j = 0; j < 4; j++) out += i + j > text.length ? "=" : letters[(word >> (18 - 6 * j)) & 63];
          }
          return out;
        });
        globalThis.URLSearchParams = globalThis.URLSearchParams || class {
          constructor(first) { this.pairs = Object.entries(first); }
          set(name, value) { this.pairs.push([name, value]); }
          toString() { return this.pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&"); }
        };
        return FlowLab.queryOf(view, given.setup);
        """,
        view=described_view(view),
        setup=setup,
    )


def described_view(view: View) -> dict:
    return {
        "a": described(view.a),
        "b": described(view.b),
        "time": view.time,
        "show": list(view.show),
        "playback": view.playback,
        "layout": view.layout,
    }


@pytest.mark.parametrize("number", range(20))
def test_the_browsers_address_is_read_back_as_the_same_view(number: int):
    view = View(random_scene(number), random_scene(100 + number), 0.375, ("ghosts", "field"), "exact", "lecture")
    again, notes = View.from_query(address(view))
    assert not notes
    assert again == view


def test_a_packed_mixture_is_pythons():
    mixture = Mixture([0.25, 0.75], [[1.5, -2], [0.1, 1 / 3]], [[[1, 0.2], [0.2, 2]], [[0.3, 0], [0, 0.1]]], [0, 1])
    view = View(Scene(target=CUSTOM, mixture=mixture), Scene(target=CUSTOM, mixture=mixture))
    text = dict(part.split("=") for part in address(view).split("&"))["mixture"]
    assert text == pack(mixture)
    assert unpack(text) == mixture


def test_budgets_snap_down_to_what_a_solver_can_use():
    cases = [("rk4", 7, 4), ("rk4", 3, 4), ("heun", 5, 4), ("euler", 5, 5), ("kutta3", 64, 63)]
    for solver, nfe, usable in cases:
        found = call("return FlowLab.usableNfe(given.solver, given.nfe);", solver=solver, nfe=nfe)
        assert found == usable
