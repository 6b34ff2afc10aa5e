"""Velocities on a grid: exact where interpolation is, and honest about the rest."""

from pathlib import Path as File

import pytest
import torch

from lab import paths
from tests.toy.scenes import generator, normal, uniform
from toy.drawn_pairs import LabelledPairs, draw_pairs
from toy.learning.grids import GridField, grid_error, grid_times, on_grid
from toy.scene import Scene
from toy.world import particles, world

CONDOT = paths.CondOT()
BOX = (-2.0, 3.0, -1.0, 4.0)


def some_pairs(n: int = 500) -> LabelledPairs:
    z = normal(n, 4, generator=generator(5))
    return LabelledPairs(z[:, :2], 0.5 * z[:, 2:] + 1, torch.arange(n) % 2)


def multilinear(x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
    """Bilinear in x, linear in t, another for each class."""
    a, b = x.unbind(1)
    value = torch.stack((1 + a - 2 * b + 0.5 * a * b + t * (3 - a * b), t * b - a), dim=1)
    return value if condition is None else value * (1 + condition[:, None])


def inside(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = generator(6)
    low, size = torch.tensor([BOX[0], BOX[2]], dtype=torch.float64), torch.tensor([BOX[1] - BOX[0], BOX[3] - BOX[2]], dtype=torch.float64)
    return low + size * uniform(n, 2, generator=g), uniform(n, generator=g)


@pytest.mark.parametrize("classes", [0, 2])
def test_multilinear_velocities_are_reproduced_to_float32(classes: int):
    grid = on_grid(multilinear, some_pairs(), CONDOT, classes=classes, nx=5, ny=7, times=4, box=BOX)
    assert grid.values.shape == (max(1, classes), 4, 7, 5, 2)
    x, t = inside(300)
    told = torch.arange(300) % 2 if classes else None
    found, exact = grid.velocity(x, t, told), multilinear(x, t, told)
    assert float((found - exact).abs().max()) < 1e-5  # values up to 40, rounded to 2^-24 of themselves
    shared = torch.full((), 0.37, dtype=torch.float64)
    torch.testing.assert_close(grid.velocity(x, 0.37, told), multilinear(x, shared.expand(300), told), rtol=0, atol=1e-5)
    assert grid.velocity(x.float(), 0.37, told).dtype == torch.float32


def test_with_boxes_of_their_own_each_times_points_are_exact():
    """At the grid's times; between them the boxes differ and only functions of x that are linear at both are exact, as these are."""
    grid = on_grid(multilinear, some_pairs(), CONDOT, nx=4, ny=4, times=5)
    assert not torch.equal(grid.boxes[0], grid.boxes[-1])
    x, t = 0.2 * normal(200, 2, generator=generator(1)) + 0.5, uniform(200, generator=generator(2))
    torch.testing.assert_close(grid.velocity(x, t), multilinear(x, t), rtol=0, atol=1e-5)


def test_boxes_hold_the_particles_of_their_time():
    pairs = some_pairs()
    for path in (CONDOT, paths.VarianceExploding(), paths.VariancePreserving()):
        grid = on_grid(multilinear, pairs, path, nx=2, ny=2, times=6)
        for t, box in zip(grid.t, grid.boxes, strict=True):
            x = path.sample(x_0=pairs.x_0, x_1=pairs.x_1, t=t.expand(len(pairs))).x_t
            assert bool(((x > box[::2]) & (x < box[1::2])).all())
            assert bool(((box[1::2] - box[::2]) < 1.3 * (x.amax(0) - x.amin(0))).all())


def test_outside_the_box_a_velocity_is_that_of_its_edge():
    grid = on_grid(multilinear, some_pairs(), CONDOT, nx=5, ny=5, times=3, box=BOX)
    far = torch.tensor([[-50.0, 0.0], [50.0, 9.0], [0.0, -7.0]], dtype=torch.float64)
    edge = torch.tensor([[BOX[0], 0.0], [BOX[1], BOX[3]], [0.0, BOX[2]]], dtype=torch.float64)
    torch.testing.assert_close(grid.velocity(far, 0.5), multilinear(edge, torch.full((3,), 0.5).double()), rtol=0, atol=1e-5)


def test_halving_the_spacing_quarters_the_error():
    """Bilinear interpolation is of second order."""

    def wavy(x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack((torch.sin(2 * x[:, 0]), torch.cos(x.sum(1))), dim=1)

    pairs, start = some_pairs(2000), normal(10, 2, generator=generator(3))
    coarse, fine = (
        grid_error(on_grid(wavy, pairs, CONDOT, nx=n, ny=n, times=2, box=(-5, 5, -5, 5)), wavy, pairs, CONDOT, start, None)
        for n in (26, 51)
    )
    assert coarse.rms / fine.rms == pytest.approx(4, rel=0.1)
    t = uniform(2000, generator=generator(4))
    x = CONDOT.sample(x_0=pairs.x_0, x_1=pairs.x_1, t=t).x_t
    grid = on_grid(wavy, pairs, CONDOT, nx=26, ny=26, times=2, box=(-5, 5, -5, 5))
    assert coarse.rms == pytest.approx(float((grid.velocity(x, t) - wavy(x, t)).square().sum(1).mean().sqrt()), rel=0.1)


def test_the_error_that_is_reported_is_that_against_a_finer_grid():
    """64 x 64 x 32 against 160 x 160 x 96 at other points: the same but for the finer one's own error, (64 / 160)^2 = 16 % of it. In one box it would be .02 to .026."""
    made = world(Scene())
    pairs, others = (draw_pairs(made, 4000, generator(s)) for s in (1, 2))
    classes = made.target.class_count if made.sees_class else 0
    shown = particles(made, 300)
    start, told = made.path.start(shown.x_0), made.condition(shown)
    grid = on_grid(made.field.velocity, pairs, made.path, classes=classes)
    finer = on_grid(made.field.velocity, pairs, made.path, classes=classes, nx=160, ny=160, times=96)
    reported = grid_error(grid, made.field.velocity, pairs, made.path, start, told)
    seen = grid_error(grid, finer.velocity, others, made.path, start, told)
    assert reported.rms == pytest.approx(seen.rms, rel=0.25)
    assert reported.rms < 0.026
    assert reported.end_median < 0.02
    assert reported.end_share_off < 0.02
    assert reported.nbytes == max(1, classes) * 64 * 64 * 32 * 2 * 4


@pytest.mark.parametrize("path", ["vp", "ve"])
def test_grids_hold_flows_of_paths_that_are_unbounded_at_the_end(path: str):
    """A conditional prior: VP's velocity grows like 1 / sqrt(1 - t); per t the ends would be off by 1. VE's reaches from 400 to .1."""
    made = world(Scene(path=path, prior="conditional" if path == "vp" else "gaussian", sees="class", target="eight-gaussians"))
    pairs, shown = draw_pairs(made, 4000, generator(1)), particles(made, 200)
    grid = on_grid(made.field.velocity, pairs, made.path, classes=8, last_time=made.last_time, nx=32, ny=32)
    found = grid_error(grid, made.field.velocity, pairs, made.path, made.path.start(shown.x_0), shown.condition, last_time=made.last_time)
    assert found.end_median < 0.05
    assert grid.t[0] == 0
    assert bool((grid.t.diff() > 0).all())


def test_grid_times_are_uniform_or_equal_in_the_angle():
    assert torch.equal(grid_times(CONDOT, 5), torch.linspace(0, 1, 5, dtype=torch.float64))
    path = paths.VariancePreserving()
    angle = torch.asin(path.alpha(grid_times(path, 9, path.last_time)))
    torch.testing.assert_close(angle.diff(), angle.diff().mean().expand(8), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("path", [CONDOT, paths.VariancePreserving()], ids=str)
def test_a_file_gives_the_same_grid_back(tmp_path: File, path: paths.Path):
    grid = on_grid(multilinear, some_pairs(), path, classes=2, nx=3, ny=4, times=5)
    grid.save(tmp_path / "grid.npz", {"seed": 3})
    again, about = GridField.load(tmp_path / "grid.npz")
    assert about["seed"] == 3
    assert torch.equal(again.values, grid.values)
    x, t = inside(20)
    assert torch.equal(again.velocity(x, t, torch.zeros(20).long()), grid.velocity(x, t, torch.zeros(20).long()))
    with pytest.raises(ValueError, match=r"\.npz"):
        grid.save(tmp_path / "grid.bin")
    grid.save(tmp_path / "late.npz", {"version": 99})
    with pytest.raises(ValueError, match="version 99"):
        GridField.load(tmp_path / "late.npz")


def test_what_does_not_fit_a_grid_is_refused():
    grid = on_grid(multilinear, some_pairs(), CONDOT, classes=2, nx=3, ny=3, times=2)
    x = torch.zeros(4, 2)
    cases: list[tuple[torch.Tensor | float, torch.Tensor | None, str]] = [
        (0.5, None, "condition must be given"),
        (0.5, torch.full((4,), 2), "0 to 1"),
        (torch.zeros(3), torch.zeros(4).long(), "t has shape"),
    ]
    for t, told, words in cases:
        with pytest.raises(ValueError, match=words):
            grid.velocity(x, t, told)
    with pytest.raises(ValueError, match="nx=1"):
        on_grid(multilinear, some_pairs(), CONDOT, nx=1)
