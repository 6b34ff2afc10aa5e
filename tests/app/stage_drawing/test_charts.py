"""The charts: points where the data are, exact scenes on the floor, a table for whoever cannot see them."""

import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest

from tests.app.stage_drawing.engine import value

LADDER = {"points": [{"nfe": n, "median": 1 / n, "rmse": 2 / n} for n in (1, 2, 4, 8, 16, 32, 64)], "referenceError": 1e-6, "order": 1.0}
NONE = {"points": [{"nfe": n, "median": 0, "rmse": 1e-17} for n in (1, 2, 4, 8)], "referenceError": 0, "order": None}


def chart(call: str, **data: Any) -> ET.Element:
    """A chart's markup as one XML tree."""
    return ET.fromstring(f"<figure>{value(f'L.{call}({json.dumps(data)})')}</figure>".replace(' xmlns="http://www.w3.org/2000/svg"', ""))


def words(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter("text")]


def cells(root: ET.Element) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in root.iter("tr")]


def test_a_slope_of_one_is_a_straight_line():
    """log-log: errors that halve where evaluations double lie evenly on a line."""
    marks = [(float(c.get("cx", "")), float(c.get("cy", ""))) for c in chart("errorChartMarkup", a=LADDER, b=None).iter("circle")]
    steps = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(marks)]
    assert len(marks) == 7
    assert all(step == pytest.approx(steps[0], abs=0.21) for step in steps)
    assert steps[0][0] > 0
    assert steps[0][1] > 0


def test_order_is_named_only_where_it_is_known():
    assert "order 1.0" in words(chart("errorChartMarkup", a=LADDER, b=None))
    assert not any("order" in word for word in words(chart("errorChartMarkup", a={**LADDER, "order": None}, b=None)))


def test_an_exact_scene_lies_on_the_floor_and_says_so():
    root = chart("errorChartMarkup", a=LADDER, b=NONE)
    assert "exact here by symmetry" in words(root)
    diamonds = [path for path in root.iter("path") if "z" in path.get("d", "")]
    heights = {float(re.match(r"M\S+ (\S+?)l", path.get("d", "")).group(1)) for path in diamonds}  # type: ignore[union-attr]
    assert len(diamonds) == 4
    assert len(heights) == 1
    assert "exact here by symmetry" not in words(chart("errorChartMarkup", a=LADDER, b=LADDER))


def test_a_and_b_differ_in_mark_dash_and_colour():
    root = chart("errorChartMarkup", a=LADDER, b=LADDER)
    lines = [path for path in root.iter("path") if path.get("stroke-width") == "2"]
    assert [bool(line.get("stroke-dasharray")) for line in lines] == [False, True]
    assert lines[0].get("stroke") != lines[1].get("stroke")
    assert {"A", "B"} <= set(words(root))


def test_the_table_has_the_numbers():
    table = cells(chart("errorChartMarkup", a=LADDER, b=NONE))
    assert table[0] == ["NFE", "A", "B"]
    assert table[3] == ["4", "0.25 (0.5)", "0 (0)"]
    assert table[-1] == ["64", "0.016 (0.031)", ""]


@pytest.mark.parametrize(
    ("call", "data"),
    [
        ("errorChartMarkup", {"a": None, "b": None}),
        ("errorChartMarkup", {"a": NONE, "b": NONE}),
        ("localErrorChartMarkup", {"a": {"t": [0], "rmse": [0.4]}, "b": {"t": [0, 0.5], "rmse": [0, 0]}}),
        ("speedChartMarkup", {"a": {"t": [0, 1], "values": [3, 3]}, "b": None}),
        ("accelerationChartMarkup", {"a": {"t": [0.2, 0.7], "values": [0, 1e9]}, "b": None}),
        ("fieldErrorChartMarkup", {"a": {"t": [], "rms": []}, "b": {"t": [0, 1], "rms": [0.1, 0.2]}}),
        ("sharesChartMarkup", {"a": {"start": None, "solver": 0.9, "model": 0}, "b": None}),
        ("sharesChartMarkup", {"a": None, "b": None}),
        ("lossChartMarkup", {"a": [[10, 5.0]], "b": [], "floorA": 2.5}),
        ("lossChartMarkup", {"a": [[i, 5 / i] for i in range(1, 400)], "b": [[1, 3.0], [2, 2.0]], "floorA": 0.01, "floorB": None}),
    ],
)
@pytest.mark.parametrize("width", [200, 400, 900])
def test_charts_of_little_or_odd_data_are_whole(call, data, width):
    """One point, no side, all zero, nothing at all: a chart without broken numbers, nothing outside its frame."""
    root = chart(call, **data, width=width)
    svg = root.find("svg")
    assert svg is not None
    text = ET.tostring(root, encoding="unicode")
    assert "NaN" not in text
    assert "Infinity" not in text
    assert "undefined" not in text
    right, bottom = float(svg.get("width", "")), float(svg.get("height", ""))
    for circle in svg.iter("circle"):
        assert 0 <= float(circle.get("cx", "")) <= right
        assert 0 <= float(circle.get("cy", "")) <= bottom


def test_many_points_have_few_marks():
    steps = {"t": [k / 200 for k in range(200)], "rmse": [1.0] * 200}
    assert len(list(chart("localErrorChartMarkup", a=steps, b=None).iter("circle"))) <= 16


def test_shares_that_do_not_arise_have_no_bar():
    root = chart("sharesChartMarkup", a={"start": None, "solver": 0.8, "model": 0.2}, b={"solver": 0.4})
    assert len(list(root.iter("rect"))) == 3
    widths = [float(rect.get("width", "")) for rect in root.iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    assert cells(root)[2] == ["model", "0.2", "does not arise"]


def test_words_of_the_data_cannot_become_markup():
    markup = value("L.chartFigure(L.CHART_SIZE, '', '<script>', ['<i>'], [['<b>&', '<u>']])")
    assert not any(tag in markup for tag in ("<script>", "<i>", "<b>", "<u>"))


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (1e-12, "0"), (0.23456, "0.23"), (18.74, "18.7"), (1234.5, "1230"), (3.2e-5, "3.2e-5"), (4e-4, "4e-4")]
)
def test_numbers_for_readers(number, shown):
    assert value(f"L.shortNumber({number})") == shown


@pytest.mark.parametrize(("tick", "shown"), [(0, "0"), (0.25, "0.25"), (64, "64"), (1e-6, "10⁻⁶"), (1e5, "10⁵"), (2e-4, "2 · 10⁻⁴")])
def test_ticks_in_words(tick, shown):
    assert value(f"L.tickWords({tick})") == shown


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.41), (0, 207), (50, 3000), (0, 1e-7)])
def test_linear_ticks_are_even_round_and_cover(low, high):
    ticks = value(f"L.linearTicks({low}, {high})")
    gaps = {round((b - a) / (ticks[1] - ticks[0]), 9) for a, b in pairwise(ticks)}
    assert ticks[0] <= low
    assert ticks[-1] >= high * (1 - 1e-9)
    assert gaps == {1}
    assert 3 <= len(ticks) <= 9


@pytest.mark.parametrize(("low", "high"), [(0.01, 4), (2.5, 11), (1e-9, 1), (0.3, 0.31)])
def test_logarithmic_ticks_cover_without_waste(low, high):
    ticks = value(f"L.logTicks({low}, {high})")
    assert ticks[0] <= low * (1 + 1e-9)
    assert ticks[-1] >= high * (1 - 1e-9)
    assert len(ticks) <= 9
