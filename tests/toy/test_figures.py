"""What the figures draw is what was measured: ghosts, paths, pairs, curves and their labels, read back from matplotlib's own objects."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection

from lab import random
from toy import figures, stages
from toy.drawn_pairs import draw_pairs
from toy.gallery import FORMATS, KINDS, README, draw
from toy.mixtures import Mixture
from toy.report import names
from toy.scene import Scene
from toy.targets import by_name
from toy.trace import Trace, nfe_ladder, trace

SCENES = (Scene(count=120), Scene(count=120, prior="conditional"))


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [trace(scene) for scene in SCENES]


def line_collections(ax: Axes) -> list[LineCollection]:
    return [c for c in ax.collections if type(c) is LineCollection]


def test_ghosts_lead_from_the_solvers_ends_to_the_exact_ones(traces: list[Trace]):
    drawn = stages.trajectories([traces])
    for ax, traced in zip(drawn.axes, traces, strict=True):
        paths, ghosts = (np.array(c.get_segments()) for c in line_collections(ax)[-2:])
        n = stages.TRACES
        assert np.array_equal(paths, traced.x[:, :n].permute(1, 0, 2).numpy())
        assert np.array_equal(ghosts[:, 0], traced.x[-1, :n].numpy())
        assert np.array_equal(ghosts[:, 1], traced.reference.trajectory.x[-1, :n].numpy())


def test_stages_that_are_compared_share_one_box_and_one_scale(traces: list[Trace]):
    drawn = stages.trajectories([traces])
    boxes = [(*ax.get_xlim(), *ax.get_ylim()) for ax in drawn.axes]
    assert len(set(boxes)) == 1
    for ax in drawn.axes:
        size, (x_0, x_1, y_0, y_1) = ax.get_window_extent(), boxes[0]
        assert size.width / (x_1 - x_0) == pytest.approx(size.height / (y_1 - y_0), rel=1e-6)
        shown = np.concatenate([c.get_offsets() for c in ax.collections if isinstance(c, PathCollection)])
        assert (shown[:, 0] >= x_0).all()
        assert (shown[:, 0] <= x_1).all()
        assert (shown[:, 1] >= y_0).all()
        assert (shown[:, 1] <= y_1).all()


def test_the_numbers_over_a_stage_are_the_traces(traces: list[Trace]):
    drawn = stages.trajectories([traces])
    for ax, traced in zip(drawn.axes, traces, strict=True):
        words = " ".join(text.get_text() for text in ax.texts)
        assert f"error {traced.global_error.rmse:.3g}," in words
        assert f"straightness {traced.straightness:.3g}" in words
    note = " ".join(text.get_text() for text in drawn.texts).replace("\n", " ")
    assert "euler with 4 evaluations, n = 120, seed 0" in note


def test_coupling_lines_are_the_pairs(traces: list[Trace]):
    pairs = [draw_pairs(traced.world, 20, random.generator(traced.scene.seed)) for traced in traces]
    drawn = stages.coupling_lines([list(zip(traces, pairs, strict=True))])
    for ax, pair in zip(drawn.axes, pairs, strict=True):
        segments = np.array(line_collections(ax)[-1].get_segments())
        assert np.array_equal(segments, np.stack((pair.x_0.numpy(), pair.x_1.numpy()), 1))


def test_a_long_flow_is_not_drawn_as_a_strip():
    high = Mixture([0.5, 0.5], [[0, 40], [0, -40]], [[[0.1, 0], [0, 0.1]]] * 2)
    drawn = stages.trajectories([[trace(Scene(target="custom", mixture=high, count=60))]])
    size = drawn.axes[0].get_window_extent()
    assert 0.5 - 1e-9 <= size.width / size.height <= 2 + 1e-9


def test_scenes_are_named_by_all_that_is_not_the_same_in_them():
    plain, by_class = Scene(), Scene(prior="conditional")
    assert names([plain, by_class]) == ["N(0, I)", "class mean, full cov."]
    assert names([plain, replace(plain, path="vp")]) == ["N(0, I); cond-ot", "N(0, I); vp"]
    assert names([plain, replace(plain, nfe=8)]) == ["N(0, I); NFE 4", "N(0, I); NFE 8"]
    assert names([plain, replace(plain, nfe=8)], ("budget",)) == ["N(0, I)", "N(0, I)"]
    assert names([plain, replace(plain, sees="class")], ("sees",)) == ["N(0, I)", "N(0, I)"]
    assert names([plain, replace(by_class, solver="heun", grid="edm", target="moons")]) == [
        "N(0, I); ring-strips; euler",
        "class mean, full cov.; moons; heun on the edm grid",
    ]
    assert names([plain, plain]) == ["N(0, I)", "N(0, I)"]
    several = Scene(prior="conditional-mixture", prior_components=8)
    assert names([several, replace(several, target="moons")]) == [
        "1 Gaussian per class, full cov.; ring-strips",
        "8 Gaussians per class, full cov.; moons",
    ]
    own = [Scene(target="custom", mixture=by_name("moons").separated(s)) for s in (1, 2)]
    assert names(own) == ["N(0, I) (1)", "N(0, I) (2)"]


def test_stages_carry_the_names(traces: list[Trace]):
    drawn = stages.trajectories([[traces[0], trace(replace(SCENES[0], path="cosine"))]])
    assert [[text.get_text() for text in ax.texts][-1] for ax in drawn.axes] == ["N(0, I); cond-ot", "N(0, I); cosine"]


def test_the_error_curves_are_the_ladders_and_scenes_without_error_are_named(traces: list[Trace]):
    full = trace(replace(SCENES[0], coupling="full-ot"))
    every = [(traced, nfe_ladder(traced)) for traced in (*traces, full)]
    ax = figures.error_against_nfe([("panel", every)]).axes[0]
    curves = [np.array(line.get_xydata()) for line in ax.lines if len(np.asarray(line.get_xdata())) > 1]
    for i, (_, ladder) in enumerate(every[:2]):
        assert np.array_equal(curves[2 * i][:, 1], ladder.median)
        assert np.array_equal(curves[2 * i + 1][:, 1], ladder.rmse)
    assert len(curves) == 4
    legend = ax.get_legend()
    assert legend is not None
    assert "no error at any NFE: N(0, I), full OT" in [text.get_text() for text in legend.get_texts()]


def test_the_shares_are_the_traces(traces: list[Trace]):
    vp = trace(replace(SCENES[0], path="vp"))
    ax = figures.error_shares([vp, traces[0]]).axes[0]
    marks = {line.get_label(): np.array(line.get_xydata()) for line in ax.lines}
    assert marks["start"][:, 0] == pytest.approx([vp.shares.start])
    assert marks["solver"][:, 0] == pytest.approx([vp.shares.solver, traces[0].shares.solver])
    assert len(marks["coupling"]) == 0


def test_local_error_is_drawn_over_each_whole_step(traces: list[Trace]):
    left, right = figures.local_error_and_acceleration(traces).axes[:2]
    for patch, traced in zip(left.patches, traces, strict=True):
        values, edges, _ = patch.get_data()  # pyright: ignore[reportAttributeAccessIssue]  # a StepPatch
        assert traced.local_error is not None
        assert np.array_equal(values, traced.local_error.rmse.numpy())
        assert np.array_equal(edges, traced.t.numpy())
    assert len(right.lines) == 2


def test_straightness_acceleration_and_error_stand_beside_each_other_and_are_named(traces: list[Trace]):
    axes = figures.straightness_and_error([("one", traces), ("two", traces)]).axes
    assert [ax.get_xlabel() for ax in axes] == ["", "", "", "straightness", "acceleration", "global truncation error (RMSE)"]
    for ax, values in zip(axes[:2], ([t.straightness for t in traces], [t.acceleration for t in traces]), strict=True):
        assert np.array_equal(np.asarray(ax.lines[0].get_xdata()), values)


def test_a_sweep_draws_every_scale(traces: list[Trace]):
    scales = (0.5, 1.0, 2.0)
    swept = [trace(Scene(count=60, prior="conditional", sees="class", scale=s)) for s in scales]
    axes = figures.prior_sweep(scales, [("full covariance", swept)]).axes
    for ax, values in zip(
        axes,
        ([t.transport_cost.coupling for t in swept], [t.straightness for t in swept], [t.global_error.rmse for t in swept]),
        strict=True,
    ):
        assert np.array_equal(np.array(ax.lines[0].get_xydata()), np.stack((scales, values), 1))


def test_every_figure_of_the_readme_is_of_a_kind_that_exists_and_there():
    for name, (kind, sees, _, queries) in README.items():
        assert kind in KINDS
        assert sees in ("position", "class", "both")
        assert name.endswith(FORMATS)
        for query in queries:
            assert Scene.from_query(query)[1] == []


def test_a_figure_that_cannot_be_drawn_leaves_nothing_behind(tmp_path):
    out = tmp_path / "figure.png"
    out.write_bytes(b"old")
    with pytest.raises(ValueError, match="chooses its own"):
        draw("error", out, ["solver=dopri5&count=50"], lambda line: None)
    assert out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]
