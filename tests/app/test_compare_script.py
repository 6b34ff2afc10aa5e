"""The Compare page's script in V8, without a browser: what of it is pure."""

import io
import json
from functools import lru_cache
from typing import Any

import pytest
from PIL import Image
from py_mini_racer import MiniRacer

from app.stage import COMPARE, source
from app.tasks import compare
from lab.grids import GRIDS
from lab.solvers import ADAPTIVE
from trainers.diffusion import DIFFUSION
from trainers.sampling import SOLVERS

ENCODER = """globalThis.TextEncoder = class { encode(text) { return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0)); } };"""


@lru_cache(maxsize=1)
def engine() -> MiniRacer:
    made = MiniRacer()
    made.eval(ENCODER)
    made.eval(source(COMPARE))
    return made


def value(body: str, **given: Any) -> Any:
    """What the body of a function of `L` and `given` returns."""
    script = (
        f"JSON.stringify(((L, given) => {{ {body} }})(FlowLab, {json.dumps(given)}), (k, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v))"
    )
    return json.loads(str(engine().eval(script)))


MODEL = {
    "id": "runs/a", "name": "a", "about": "A", "images": 1000, "condition": "class", "shape": [1, 8, 8], "steps": [20, 10],
    "classes": ["0", "1"], "ddpm": False, "guidance": 2, "weights": ["ema", "model"],
}  # fmt: skip
PANEL = {"model": "runs/a", "step": None, "weights": "ema", "solver": "euler", "grid": "uniform", "guidance": 1}


def words(panels: list[dict[str, Any]], models: list[dict[str, Any]]) -> str:
    return value(
        "return L.differenceInWords({ hidden: false, results: null, wish: { panels: given.panels }, models: given.models });",
        panels=panels,
        models=models,
    )


def test_texts_in_a_png_are_read_by_others_and_the_picture_stays():
    file = io.BytesIO()
    Image.radial_gradient("L").resize((20, 10)).save(file, format="PNG")
    texts = {"Software": "Flow Lab", "Settings": '{"prompt": "Zürich – 空"}'}
    made = bytes(value("return L.pngWithText(Uint8Array.from(given.png), given.texts);", png=list(file.getvalue()), texts=texts))
    image = Image.open(io.BytesIO(made))
    image.verify()  # every checksum
    image = Image.open(io.BytesIO(made))
    image.load()
    assert {name: image.info[name] for name in texts} == texts
    assert image.tobytes() == Image.open(io.BytesIO(file.getvalue())).tobytes()


def test_the_line_names_what_differs_and_nothing_else():
    other = MODEL | {"id": "runs/b", "name": "b"}
    assert words([PANEL, PANEL], [MODEL]) == "The panels are alike."
    assert words([PANEL, PANEL | {"model": "runs/b"}], [MODEL, other]) == "Same normal numbers. What differs: the model (a | b)."
    assert "the solver (euler | heun), guidance (1 | 2)" in words([PANEL, PANEL | {"solver": "heun", "guidance": 2}], [MODEL])
    assert "the step (20 | 10)" in words([PANEL, PANEL | {"step": 10}], [MODEL])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": 2_500_000}, "unequal training: 1,000 | 2.50 million pictures seen"),
        ({"condition": "text"}, "they are told different things"),
        ({"shape": [3, 8, 8]}, "their latents have other shapes"),
    ],
)
def test_unequal_budgets_and_what_cannot_be_compared_are_warned_of(change: dict[str, Any], said: str):
    other = MODEL | {"id": "runs/b", "name": "b"}
    panels = [PANEL, PANEL | {"model": "runs/b"}]
    assert "Mind:" not in words(panels, [MODEL, other])
    assert said in words(panels, [MODEL, other | change])


def test_a_panel_shows_the_most_that_its_solver_can_use_within_the_budget():
    def shown(nfe: Any, rungs: list[Any], budgets: list[int]) -> Any:
        return value(
            "return L.rungOf({ rungs: new Map(given.rungs.map((n) => [n, {}])), loaded: { budgets: given.budgets } }, given.nfe);",
            nfe=nfe,
            rungs=rungs,
            budgets=budgets,
        )

    assert shown(4, [0, 2, 4, 8], [2, 4, 8]) == 4
    assert shown(3, [0, 2, 4, 8, "exact"], [2, 4, 8]) == 2
    assert shown(1, [0, 2, 4], [2, 4]) == 0
    assert shown(8, [0, 2, 4], [2, 4, 8]) is None  # it comes yet
    assert shown("exact", [0, 2, 4], [2, 4]) is None


def test_only_another_wish_makes_results_stale():
    body = "const page = { wish: { ...given.wish, ...given.change }, results: { wish: given.wish } }; return L.isStale(page);"
    wish = {"panels": [PANEL], "n": 16, "seed": 0, "nfe": 8, "told": [], "prompts": []}
    assert not value(body, wish=wish, change={"nfe": 32})
    for change in ({"n": 4}, {"seed": 1}, {"told": ["3"]}, {"prompts": ["a"]}, {"panels": [PANEL | {"grid": "edm"}]}):
        assert value(body, wish=wish, change=change)


def test_a_model_is_sampled_by_its_own_conventions_until_the_reader_says_otherwise():
    plain = value("return L.defaultPanel(given.model);", model=MODEL)
    assert plain == PANEL | {"guidance": 2}
    assert value("return L.defaultPanel(given.model);", model=MODEL | {"ddpm": True})["solver"] == "ddim-scheduler"
    assert value("return L.defaultPanel(given.model);", model=MODEL | {"condition": "none", "weights": ["model"]}) == PANEL | {
        "weights": "model"
    }


def test_an_error_that_its_reference_cannot_tell_shows_its_doubt():
    assert value("return L.withDoubt(0.01234, { resolved: true, reference_error: 0.001 });") == "0.0123"
    assert value("return L.withDoubt(0.01234, { resolved: false, reference_error: 0.004 });") == "0.0123 ± 0.004"
    assert value("return [L.shortReal(0), L.shortReal(123456), L.shortReal(0.0004), L.shortReal(1234.5)];") == [
        "0",
        "1.2e+5",
        "4.0e-4",
        "1230",
    ]


def test_what_the_page_offers_is_what_the_server_takes():
    """Lists and limits stand on both sides; a name that only one of them knows would be refused once it is chosen."""
    shown = value(
        "return { ladder: L.COMPARE_LADDER, solvers: [...L.COMPARE_SOLVERS, ...L.DDPM_SOLVERS], diffusion: L.DDPM_SOLVERS, grids: L.COMPARE_GRIDS, "
        "panels: L.MOST_PANELS, most: L.COMPARE_COUNTS.at(-1), longest: L.PROMPT_LENGTH };"
    )
    assert tuple(shown["ladder"]) == compare.LADDER
    assert sorted(shown["solvers"]) == sorted(set(SOLVERS) - set(ADAPTIVE))
    assert sorted(shown["diffusion"]) == sorted(DIFFUSION)
    assert sorted(shown["grids"]) == sorted(GRIDS)
    assert (shown["panels"], shown["most"], shown["longest"]) == (compare.MOST_PANELS, compare.MOST, compare.LONGEST)


def test_a_panel_that_is_taken_away_takes_its_samples_with_it_and_leaves_the_others():
    body = (
        "const wish = { panels: ['a', 'b', 'c'] }, page = { wish, results: { state: given.state, panels: [1, 2, 3], wish: { panels: ['a', 'b', 'c'] } } };"
        "L.removePanel(page, 1); return [page.wish.panels, page.results.panels, page.results.wish.panels, page.order ?? null];"
    )
    assert value(body, state="done") == [["a", "c"], [1, 3], ["a", "c"], [0, 1]]
    assert value(body, state="sampling") == [["a", "c"], [1, 2, 3], ["a", "b", "c"], None]


def test_a_budget_that_failed_says_so_in_its_panel_alone():
    body = (
        "const page = { ready: false, results: { panels: [0, 1].map(() => ({ rungs: new Map(), failures: new Map() })) } };"
        "L.takeEvent(page, 'rung', { panel: 1, nfe: 4, error: 'not finite' }); return page.results.panels.map((panel) => [...panel.failures]);"
    )
    assert value(body) == [[], [[4, "not finite"]]]


def test_why_something_failed_is_not_told_before_the_names_are():
    body = (
        "globalThis.document = { createElement: () => ({ setAttribute() {}, append() {} }) };"
        "const message = { replaceChildren(words) { this.words = words; this.lastChild = {}; } }, page = { hidden: given.hidden, dom: { message } };"
        "L.tellFailure(page, 'Panel 2: digits-cpd is damaged.'); return [message.words, page.untold];"
    )
    assert value(body, hidden=False) == ["Panel 2: digits-cpd is damaged.", ""]
    assert value(body, hidden=True) == ["Not all could be sampled; why is told with the names.", "Panel 2: digits-cpd is damaged."]
