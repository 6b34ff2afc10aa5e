"""The table over methods: means and intervals over seeds, ties, and what each method has cost."""

import json
import statistics
from pathlib import Path

import pytest
from scipy import stats

from trainers import layout
from trainers.catalogue import SHIPPED
from trainers.commands.table import Table
from trainers.recipes import apply, by_name
from trainers.recipes.files import write_recipe
from trainers.recipes.shipped import ALL
from trainers.scoreboard import STUDENT, Board, boards, markdown
from trainers.scorecards import SCORES, card_of, cards, keep, pairs_of, run_of

BATCH, STEPS, SECONDS = 256, 1500, 10.0


def scored(runs: Path, name: str, seed: int, one_nn: dict[float, float], *, error: float = 0.02, kernel: float = 0.001) -> None:
    """The scorecard of a finished run with an evaluation in the layout of `python -m trainers evaluate`."""
    run = run_of(runs, name, seed)
    checkpoint = run / layout.CHECKPOINTS / f"step-{STEPS:08d}"
    checkpoint.mkdir(parents=True)
    write_recipe(apply(by_name(name), {"training.steps": STEPS, "training.batch": BATCH}), run / layout.RECIPE)
    (checkpoint / layout.STATE).write_text(json.dumps({"seconds": SECONDS * (seed + 1)}))

    def scores(value: float) -> dict[str, dict[str, float]]:
        return {"one_nn": {"value": value, "error": error}, "kernel": {"value": kernel, "error": error}}

    rows = [{"name": "round trip", "nfe": None, "scores": scores(0.7)}, {"name": "real against real", "nfe": None, "scores": scores(0.49)}]
    rows += [
        {"name": "prior alone" if nfe == 0 else f"euler {nfe:g}", "nfe": nfe, "scores": scores(value)} for nfe, value in one_nn.items()
    ]
    rows.append({"name": "dopri5 at 1e-05", "nfe": 140.0, "scores": scores(0.52)})
    flow = {"straightness": 7.0 + seed, "acceleration": 300.0, "transport_cost": 90.0}
    (run / layout.EVALUATIONS).mkdir()
    (run / layout.EVALUATIONS / "step-00001500-ema-pixels-val.json").write_text(
        json.dumps({"protocol": {"n": 176}, "rows": rows, "flow": flow})
    )
    keep(card_of(runs, name, seed), runs / "scores")


def boards_in(folder: Path) -> list[Board]:
    return boards(cards(folder / "scores", tuple(ALL)))


def test_quantiles_are_students():
    assert pytest.approx([stats.t.ppf(0.975, k) for k in range(2, 2 + len(STUDENT))], abs=5e-4) == STUDENT


def test_a_cell_is_the_mean_over_seeds_with_students_interval(tmp_path):
    values = (0.60, 0.66, 0.63)
    for seed, value in enumerate(values):
        scored(tmp_path, "digits-condot", seed, {8.0: value})
    (board,) = boards_in(tmp_path)
    (line,) = board.lines
    cell = line.scores["one_nn"]["8"]
    assert (line.seeds, cell.seeds) == (3, 3)
    assert cell.value == pytest.approx(0.63)
    low, high = stats.t.interval(0.95, 2, loc=0.63, scale=statistics.stdev(values) / 3**0.5)
    assert cell.half == pytest.approx((high - low) / 2, rel=1e-3)
    assert line.flow["straightness"].value == pytest.approx(8.0)
    assert line.seconds == pytest.approx(2 * SECONDS)
    assert "**0.63 ± 0.075**" in markdown(board)


def test_one_seed_has_the_interval_of_its_pictures(tmp_path):
    scored(tmp_path, "digits-condot", 0, {0.0: 0.99, 8.0: 0.6})
    (board,) = boards_in(tmp_path)
    scores = board.lines[0].scores["one_nn"]
    assert scores["8"].half == pytest.approx(1.96 * 0.02)
    assert set(scores) == {"prior", "8", "adaptive"}
    assert board.real["one_nn"].value == 0.49


def test_seeds_that_agree_by_chance_do_not_take_the_pictures_own_error_away(tmp_path):
    for seed in range(3):
        scored(tmp_path, "digits-condot", seed, {8.0: 0.600}, error=0.03)
        scored(tmp_path, "digits-cpd", seed, {8.0: 0.605}, error=0.03)
    (board,) = boards_in(tmp_path)
    assert board.lines[0].scores["one_nn"]["8"].half == pytest.approx(1.96 * 0.03)
    assert len(board.ties("one_nn", "8")) == 2


def test_what_the_seeds_cannot_tell_apart_is_a_tie(tmp_path):
    for seed, noise in enumerate((-0.004, 0.0, 0.004)):
        scored(tmp_path, "digits-condot", seed, {8.0: 0.700 + noise}, error=0.001)
        scored(tmp_path, "digits-cpd", seed, {8.0: 0.600 + noise}, error=0.001, kernel=-0.5)
        scored(tmp_path, "digits-loom", seed, {8.0: 0.402 + noise}, error=0.001)  # as far below a half as cpd is above
    (board,) = boards_in(tmp_path)
    assert board.ties("one_nn", "8") == ["digits-loom", "digits-cpd"] or board.ties("one_nn", "8") == ["digits-cpd", "digits-loom"]
    assert "digits-cpd" not in board.ties("kernel", "8")
    shown = markdown(board)
    assert "| digits-condot | 3 |  |  |  |  | 0.7 ± 0.0099 |" in shown
    assert "**0.402 ± 0.0099**" in shown


def test_a_reflow_pays_for_its_teacher_and_pairs(tmp_path):
    scored(tmp_path, "digits-condot", 0, {8.0: 0.6})
    pairs = pairs_of(tmp_path, "digits-reflow", 0)
    pairs.mkdir()
    (pairs / "manifest.json").write_text(json.dumps({"nfe": 64.0}))
    scored(tmp_path, "digits-reflow", 0, {8.0: 0.6})
    (board,) = boards_in(tmp_path)
    plain, taught = board.lines
    assert plain.passes == pytest.approx(3 * STEPS * BATCH / 1e6)
    assert taught.passes == pytest.approx(2 * plain.passes + 20_000 * 64 / 1e6)
    assert taught.seconds == 2 * SECONDS


def test_another_sampler_is_a_line_of_its_own(tmp_path):
    scored(tmp_path, "emoji-ddpm", 0, {8.0: 0.6})
    run = run_of(tmp_path, "emoji-ddpm", 0)
    rows = [{"name": "ddim-scheduler 8", "nfe": 8.0, "scores": {"one_nn": {"value": 0.9, "error": 0.01}}}]
    (run / layout.EVALUATIONS / "sampler-ddim-scheduler.json").write_text(json.dumps({"protocol": {"n": 176}, "rows": rows, "flow": None}))
    keep(card_of(tmp_path, "emoji-ddpm", 0, "ddim-scheduler"), tmp_path / "scores")
    (board,) = boards_in(tmp_path)
    assert [line.name for line in board.lines] == ["emoji-ddpm", "emoji-ddpm, ddim-scheduler"]
    assert [line.scores["one_nn"]["8"].value for line in board.lines] == [0.6, 0.9]
    assert board.lines[1].flow == {}
    assert "| emoji-ddpm, ddim-scheduler | 1 |" in markdown(board)


def test_what_is_no_scorecard_is_named(tmp_path):
    with pytest.raises(ValueError, match="digits-condot-0 has not been scored; `python -m trainers ship digits-condot` does it"):
        card_of(tmp_path, "digits-condot", 0)
    scored(tmp_path, "digits-condot", 0, {8.0: 0.6})
    (tmp_path / "scores" / "other.json").write_text('{"version": 2}')
    with pytest.raises(ValueError, match=r"other\.json is no scorecard of version 1"):
        boards_in(tmp_path)


def test_the_command_prints_and_writes_the_same(tmp_path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ValueError, match="there are no scorecards"):
        Table(scores=tmp_path / "scores").go()
    scored(tmp_path, "digits-condot", 0, {8.0: 0.6})
    Table(scores=tmp_path / "scores", out=tmp_path / "table.json", json=True).go()
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "table.json").read_text())
    Table(scores=tmp_path / "scores").go()
    assert "| digits-condot | 1 |" in capsys.readouterr().out
    (tmp_path / "scores" / "digits-condot-0.json").unlink()
    scored(tmp_path, "emoji-cpd", 0, {8.0: 0.6})
    Table(scores=tmp_path / "scores", out=tmp_path / "table.json", json=True).go()
    assert [board["base"] for board in json.loads((tmp_path / "table.json").read_text())["boards"]] == ["digits", "emoji"]


def test_the_table_on_the_page_is_that_of_the_scorecards_that_ship():
    shown = json.loads((SHIPPED / "table.json").read_text())["boards"]
    made = json.loads(json.dumps([board.summary() for board in boards(cards(SCORES, tuple(ALL)))]))
    assert {board["base"]: board for board in shown} | {board["base"]: board for board in made} == {board["base"]: board for board in shown}
