"""Where particles are between a run's states, and the ghosts."""

import pytest

from tests.app.stage_drawing.engine import value

RUN = "({ n: 2, t: Float64Array.of(0, 0.25, 1), x: Float64Array.of(0, 0, 10, 10, 1, 2, 10, 14, 4, 2, 4, 2) })"


@pytest.mark.parametrize(
    ("t", "where"),
    [
        (0, [0, 0, 10, 10]),
        (0.125, [0.5, 1, 10, 12]),
        (0.25, [1, 2, 10, 14]),
        (0.5, [2, 2, 8, 10]),
        (1, [4, 2, 4, 2]),
        (-1, [0, 0, 10, 10]),
        (7, [4, 2, 4, 2]),
    ],
)
def test_straight_between_the_real_states_and_held_beyond_them(t, where):
    assert value(f"L.statesAt({RUN}, {t}, new Float64Array(4))") == pytest.approx(where)


@pytest.mark.parametrize(("t", "k"), [(-0.1, 0), (0, 0), (0.2499, 0), (0.25, 1), (0.99, 1), (1, 2), (3, 2)])
def test_the_state_before_a_time(t, k):
    assert value(f"L.stateBefore({RUN}.t, {t})") == k


def test_the_nearest_row_within_reach():
    points = "Float64Array.of(0, 0, 1, 0, 5, 5)"
    assert value(f"L.nearestRow({points}, [0, 1, 2], 0.8, 0.1, 1)") == 1
    assert value(f"L.nearestRow({points}, [0, 2], 0.8, 0.1, 1)") == 0
    assert value(f"L.nearestRow({points}, [0, 1, 2], 3, 3, 1)") == -1


EXACT = "({ n: 2, t: Float64Array.of(0, 0.125, 0.25, 1), x: Float64Array.of(0, 0, 10, 10, 9, 9, 9, 9, 1, 3, 11, 14, 4, 4, 4, 1) })"


@pytest.mark.parametrize(
    ("time", "k", "solver", "exact"),
    [(0.3, 1, [10, 14], [11, 14]), (0.9999, 1, [10, 14], [11, 14]), (1, 2, [4, 2], [4, 1]), (0.1, 0, [10, 10], [10, 10])],
)
def test_ghosts_are_at_the_solvers_times(time, k, solver, exact):
    """Between its states a solver says nothing: the ghost is that of the last one."""
    assert value(f"L.ghostsAt({RUN}, {EXACT}, [1], {time})") == {"k": k, "solver": solver, "exact": exact}


def test_ghosts_hold_at_the_end_and_fade_before():
    assert value("[L.ghostOpacity(0.25, 0.25, false), L.ghostOpacity(0.25, 0.9, false), L.ghostOpacity(1, 1, true)]") == [1, 0.25, 1]


def test_dots_are_the_states_of_the_traced_rows():
    assert value(f"L.traceDots({RUN}, [1], Int32Array.of(3, 5))") == {"points": [10, 10, 10, 14, 4, 2], "colour": [5, 5, 5]}


@pytest.mark.parametrize("states", [2, 5, 13, 14, 51, 65])
def test_traces_have_at_most_13_points_while_a_control_moves(states):
    """The first and the last state always belong to them."""
    run = f"({{ n: 1, t: new Float64Array({states}), x: Float64Array.from({{ length: {2 * states} }}, (_, i) => i >> 1) }})"
    drawn = value(
        "(() => { const seen = [], ctx = { beginPath() {}, stroke() {}, moveTo: (x) => seen.push(x), lineTo: (x) => seen.push(x) }, view = { scale: 1, shiftX: 0, shiftY: 0 };"
        f" L.drawTraces(ctx, view, L.makeLook(false, false), {run}, [0], [0], true); return seen; }})()"
    )
    assert len(drawn) <= 13
    assert (drawn[0], drawn[-1]) == (0, states - 1)
    assert drawn == sorted(set(drawn))
