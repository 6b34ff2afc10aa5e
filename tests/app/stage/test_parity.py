"""The browser's twin against Python over random scenes: particles, field, end points, and every measure on the same reference grid and quadrature."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lab import measures, random
from lab.reference import along, global_error, reference
from lab.solvers import evaluations_per_step, solve
from tests.app.stage.engine import call, handed, plain, random_scene
from toy.blocks import PairedField
from toy.drawn_pairs import draw_pairs
from toy.scene import Scene
from toy.trace import coupling_cost
from toy.world import TARGET_STREAM, World, draw_data, particles, world

SCENES, BATCHES = 200, 10
RUNGS = (1, 2, 4, 8)
POINTS = 24  # of the field, at each of the times


def close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    """Within `tolerance` of the larger of 1 and the expected size, element by element."""
    a, b = torch.as_tensor(found, dtype=torch.float64), torch.as_tensor(expected, dtype=torch.float64)
    assert a.shape == b.shape, f"{what}: {tuple(a.shape)} for {tuple(b.shape)}"
    gap = ((a - b).abs() / b.abs().clamp(min=1)).max() if a.numel() else torch.zeros(())
    assert gap <= tolerance, f"{what}: off by {float(gap):.2e}"


def both(scene: Scene, **more: Any) -> tuple[World, dict[str, Any]]:
    """The scene's world in Python, and everything that the browser makes of it."""
    made = world(scene)
    given = handed(made) | more
    if isinstance(made.field, PairedField):
        shown, data = particles(made), draw_data(made.target, particles(made).condition, scene.seed, TARGET_STREAM)
        assert torch.equal(shown.x_0, made.field.x_0)
        given["order"] = [int((data == row).all(1).nonzero()[0]) for row in made.field.x_1]
    return made, call(SCRIPT, **given)


SCRIPT = """
const world = worldOf(given), { scene } = world, budgets = given.rungs.filter((n) => n % FlowLab.evaluationsPerStep(scene.solver) === 0);
const particles = FlowLab.drawParticles(world, scene.count), run = FlowLab.sceneRun(world, particles);
const block = FlowLab.measureBlock(world, particles, run, { budgets });
const flow = FlowLab.trueFlowOf(world, world.paired ? particles.condition : Int32Array.from(given.classes)), fields = [], densities = [];
if (!world.paired) given.times.forEach((t, i) => {
  const x = Float64Array.from(given.points[i]), u = new Float64Array(x.length), d = new Float64Array(x.length / 2);
  flow.velocity(x, t, u);
  FlowLab.logDensity(world.field, t, x, FlowLab.toldClasses(world, Int32Array.from(given.classes)), d);
  fields.push(u); densities.push(d);
});
return { source: world.source, lastTime: world.lastTime, particles, run, fields, densities, measured: FlowLab.settle(world, [block]), end: FlowLab.endOf(block.reference) };
"""


def points_of(made: World, times: list[float]) -> tuple[list[Tensor], Tensor]:
    """Points of the coupling's law at each time and a little beyond it, and a class for each."""
    pairs = draw_pairs(made, POINTS, random.generator(7, stream=5))
    beyond = 1 + 0.2 * random.normals(8, torch.arange(POINTS), 1)
    moments = [torch.tensor(t, dtype=torch.float64) for t in times]
    found = [(made.path.alpha(t) * pairs.x_1 + made.path.sigma(t) * pairs.x_0) * beyond for t in moments]
    return found, pairs.condition


def velocity_scale(made: World, times: list[float]) -> float:
    """The size of what velocities are differences of: |d_alpha| RMS(x_1) + |d_sigma| RMS(x_0), on average over the times."""
    t = torch.tensor(times, dtype=torch.float64)
    x_0, x_1 = (float((m.covariance.trace() + m.mean.square().sum()).sqrt()) for m in (made.source, made.target))
    return float((made.path.d_alpha(t).abs() * x_1 + made.path.d_sigma(t).abs() * x_0).mean())


def check(scene: Scene) -> None:
    """Everything of one scene."""
    made = world(scene)
    times = [0.0, 0.03, 0.4, 0.77, 0.99, made.last_time]
    points, classes = points_of(made, times)
    made, js = both(scene, times=times, points=[p.flatten().tolist() for p in points], classes=classes.tolist(), rungs=RUNGS)
    shown = particles(made)
    assert js["lastTime"] == made.last_time
    assert js["particles"]["condition"] == shown.condition.tolist()
    for name, numbers in plain(made.source).items():
        close(js["source"][name], numbers, 1e-11, f"the prior's {name}")
    close(js["particles"]["x0"], shown.x_0.flatten(), 1e-11, "x_0")
    if not isinstance(made.field, PairedField):
        told = classes if made.sees_class else None
        truth = torch.stack([made.field.velocity(p, t, told) for p, t in zip(points, times, strict=True)])
        found = torch.tensor(js["fields"], dtype=torch.float64).reshape(truth.shape)
        size = truth.norm(dim=-1) + velocity_scale(made, times)
        off = ((found - truth).norm(dim=-1) / size).max()
        assert off < 1e-9, f"the field is off by {float(off):.1e} of its size and the scene's"
        densities = torch.stack([made.field.log_prob(p, t, told) for p, t in zip(points, times, strict=True)])
        close(js["densities"], densities, 1e-8, "log density")
    compare_runs(made, shown.x_0, made.condition(shown), js)


def compare_runs(made: World, x_0: Tensor, told: Tensor | None, js: dict[str, Any]) -> None:
    """End points of the solver and of the exact flow, and the measures."""
    scene, velocity, path = made.scene, made.field.velocity, made.path
    start, span = path.start(x_0), (0.0, made.last_time)
    run = solve(velocity, start, method=scene.solver, nfe=scene.nfe, grid=scene.grid, condition=told, path=path, t_span=span)
    exact = reference(velocity, start, condition=told, path=path, times=run.t)
    assert js["run"]["nfe"] == run.nfe
    close(js["run"]["t"], run.t, 1e-12, "the solver's times")
    close(js["run"]["x"], run.x.flatten(), 1e-7, "the solver's states")
    close(js["end"], exact.trajectory.end.flatten(), 1e-7, "the exact ends")
    flow, m = along(exact, velocity, condition=told, path=path), js["measured"]
    error, local = global_error(run.end, exact), measures.local_error(velocity, exact, run.t, scene.solver, condition=told, path=path)
    bent = measures.acceleration_along(flow, velocity, told)
    expected = {
        "rmse": error.rmse, "median": error.median, "max": error.max, "referenceError": error.reference_error,
    }  # fmt: skip
    for name, value in expected.items():
        close(m["globalError"][name], value, 1e-6, name)
    close(m["localError"]["rmse"], local.rmse, 1e-6, "local error, RMSE")
    close(m["localError"]["median"], local.median, 1e-6, "local error, median")
    close(m["straightness"], measures.straightness(flow, velocity, told).mean(), 1e-6, "straightness")
    close(m["acceleration"], (bent.values * flow.t.diff()).sum(), 1e-6, "acceleration")
    close(m["accelerationAlong"]["values"], bent.values, 1e-6, "acceleration along t")
    close(m["accelerationAlong"]["t"], bent.t, 1e-9, "its times")
    if scene.seed % 4 == 0:  # it is the field once more at the same points
        close(m["speedAlong"]["values"], measures.mean_square(measures.slopes(flow, velocity, told)), 1e-6, "speed along t")
    efficiency = measures.path_efficiency(flow, float(made.target.covariance.trace().sqrt()))
    assert (m["pathEfficiency"] is None) == (efficiency is None)
    close(m["pathEfficiency"] or 0.0, efficiency or 0.0, 1e-6, "path efficiency")
    close(m["transportCost"]["coupling"], coupling_cost(made), 1e-9, "cost of the coupling")
    close(m["transportCost"]["flow"], measures.transport_cost(start, exact.trajectory.end), 1e-6, "cost of the flow")
    own, true = (made.target.class_log_prob(x).argmax(1) for x in (run.end, exact.trajectory.end))
    close(m["wrongClass"], (own != true).double().mean(), 1e-12, "wrong class")
    rungs = [n for n in RUNGS if n % evaluations_per_step(scene.solver) == 0]
    assert [point["nfe"] for point in m["ladder"]["points"]] == rungs
    for nfe, point in zip(rungs, m["ladder"]["points"], strict=True):
        end = solve(velocity, start, method=scene.solver, nfe=nfe, grid=scene.grid, condition=told, path=path, t_span=span).end
        rung = global_error(end, exact)
        close([point["rmse"], point["median"]], [rung.rmse, rung.median], 1e-6, f"error at {nfe} evaluations")


@pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time
@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_twin_agrees_with_python_over_random_scenes(batch: int):
    wrong = []
    with torch.no_grad():
        for number in range(batch, SCENES, BATCHES):
            scene = random_scene(number)
            try:
                check(scene)
            except AssertionError as error:
                wrong.append(f"scene {number} ({scene.to_query()}): {str(error).splitlines()[0]}")
            if len(wrong) == 3:
                break
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "query",
    [
        "coupling=batch-ot&batch-size=16&solver=heun&nfe=6&count=40",
        "coupling=class-batch-ot&batch-size=32&prior=ring&sees=class&path=vp&nfe=5&count=40&target=two-modes",
        "coupling=full-ot&count=60&solver=ddim&grid=cosine&nfe=3",
        "coupling=full-ot&count=60&sees=class&path=cosine&solver=ab2&nfe=7&prior=conditional&prior-covariance=none",
    ],
)
def test_fitted_batch_ot_and_full_ot_agree_too(query: str):
    scene, notes = Scene.from_query(query)
    assert not notes
    with torch.no_grad():
        check(scene)
