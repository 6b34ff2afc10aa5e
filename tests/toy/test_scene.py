"""Scenes and views: validation, and query strings that give the same picture back."""

import math
from dataclasses import replace

import pytest
import torch

from lab.solvers import ADAPTIVE, FIXED_STEP
from toy.mixtures import Mixture
from toy.packing import pack, unpack
from toy.scene import CONTROLS, CUSTOM, Choice, Scene, View
from toy.targets import NAMES, by_name
from toy.trace import trace

OWN = by_name("moons")
# Of the first n, rare-class's class of weight .01 has n / 100, rounded: 350 have the four that a covariance needs.
RARE = Mixture([1 - 1e-6, 1e-6], [[0.0, 0.0], [1.0, 1.0]], [[[1.0, 0.0], [0.0, 1.0]]] * 2, [0, 1])
DIFFERENT = Scene(
    target="bimodal",
    separation=1.3,
    sees="class",
    prior="conditional-mixture",
    prior_components=3,
    prior_mean=0.1,
    prior_covariance="diagonal",
    scale=1 / 3,
    fit_count=500,
    coupling="component-ot",
    path="polynomial",
    sigma_min=0.01,
    degree=3.5,
    solver="heun",
    grid="edm",
    nfe=10,
    tolerance=1e-7,
    count=777,
    seed=12345,
)


@pytest.mark.parametrize("scene", [Scene(), DIFFERENT, Scene(target="letters", letters="A&b= é"), Scene(target=CUSTOM, mixture=OWN)])
def test_a_query_string_gives_the_same_scene_back(scene):
    again, notes = Scene.from_query(scene.to_query())
    assert again == scene
    assert notes == []


@pytest.mark.parametrize(
    "view",
    [
        View(),
        View(a=DIFFERENT, b=Scene(), time=0.42, playback="exact", layout="lecture", show=("density", "pairs")),
        View(a=Scene(target=CUSTOM, mixture=OWN), b=Scene(target=CUSTOM, mixture=OWN, nfe=8)),
        View(show=()),
    ],
)
def test_a_query_string_gives_the_same_view_back(view):
    again, notes = View.from_query(view.to_query())
    assert again == view
    assert notes == []


def test_an_empty_address_is_the_opening_view():
    view, notes = View.from_query("")
    assert view == View()
    assert view.a.prior == "gaussian"
    assert view.b.prior == "conditional"
    assert notes == []


def test_equal_scenes_are_short_in_the_address():
    assert View().to_query() == "v=1&b-prior=conditional"
    assert Scene().to_query() == "v=1"


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("nfe=99999", "nfe", 4096),
        ("nfe=0", "nfe", 1),
        ("nfe=7&solver=heun", "nfe", 6),
        ("nfe=2&solver=rk4", "nfe", 4),
        ("scale=-3", "scale", 0.02),
        ("scale=nan", "scale", 1.0),
        ("scale=inf", "scale", 5),
        ("count=1e9", "count", 20000),
        ("target=moon", "target", "ring-strips"),
        ("target=custom", "target", "ring-strips"),
        ("mixture=!!!&target=custom", "target", "ring-strips"),
        ("coupling=component-ot", "coupling", "independent"),
        ("letters=", "letters", "FLOW"),
        ("seed=3.7", "seed", 3),
        ("v=99&nfe=8", "nfe", 8),
        ("colour=red", "nfe", 4),
        ("nfe=8&nfe=6", "nfe", 6),
        ("target=two-modes&prior=conditional&coupling=component-ot", "coupling", "independent"),
        ("target=two-modes&prior=conditional-mixture&prior-components=1&coupling=component-ot", "coupling", "independent"),
        ("target=letters&letters=%20%20", "letters", "FLOW"),
        ("target=letters&letters=A%E2%80%8B", "letters", "FLOW"),
        ("target=letters&letters=ABCDEFGHIJ", "letters", "ABCDEFGH"),
        ("target=rare-class&prior=conditional&fit-count=32", "fit_count", 350),
        (f"target=custom&mixture={pack(RARE)}&prior=conditional&fit-count=32", "fit_count", 0),
        (f"target=custom&mixture={pack(RARE)}&coupling=batch-ot", "coupling", "independent"),
        (f"target=moons&mixture={pack(OWN)}", "mixture", None),
    ],
)
def test_bad_values_are_clamped_or_ignored_and_reported(query, field, value):
    scene, notes = Scene.from_query(query)
    assert getattr(scene, field) == value
    assert notes
    view, view_notes = View.from_query(query)
    assert getattr(view.a, field) == value
    assert view_notes


def test_a_view_reports_what_it_ignores():
    view, notes = View.from_query("v=1&show=density,nonsense&time=7&b-nfe=0")
    assert view.show == ("density",)
    assert view.time == 1
    assert view.b.nfe == 1
    assert len(notes) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "moon"}, "did you mean 'moons'"),
        ({"prior": "gausian"}, "did you mean 'gaussian'"),
        ({"nfe": 0}, "nfe=0"),
        ({"nfe": 7, "solver": "heun"}, "nearest: 6 or 8"),
        ({"scale": math.nan}, "scale"),
        ({"count": 10**9}, "count"),
        ({"target": CUSTOM}, "mixture"),
        ({"mixture": OWN}, "mixture"),
        ({"letters": ""}, "letters"),
        ({"coupling": "component-ot"}, "several components"),
        ({"coupling": "component-ot", "target": "two-modes", "prior": "conditional"}, "several components"),
        ({"target": "letters", "letters": "  "}, "not all of them spaces"),
        ({"target": "rare-class", "prior": "conditional", "fit_count": 349}, "take at least 350"),
        ({"target": CUSTOM, "mixture": RARE, "prior": "conditional", "fit_count": 1000}, "0, for exact moments"),
        ({"target": CUSTOM, "mixture": RARE, "coupling": "class-batch-ot"}, "weight 1e-06"),
    ],
)
def test_a_scene_refuses_what_it_cannot_be(change, words):
    with pytest.raises(ValueError, match=words):
        Scene(**change)


@pytest.mark.parametrize(
    "query",
    [
        "target=two-modes&prior=mirrored&coupling=component-ot",
        "target=two-modes&prior=conditional-mixture&coupling=component-ot",
        "target=rare-class&prior=conditional&fit-count=350",
        "target=rare-class&coupling=component-ot&prior=conditional",
        "target=ring-strips&letters=%20%20&fit-count=32",
    ],
)
def test_what_fits_together_is_left_alone_and_can_be_built(query):
    scene, notes = Scene.from_query(query)
    assert [note for note in notes if "letters" not in note] == []
    assert trace(replace(scene, count=64)).world.scene.target == scene.target


def test_mixtures_are_packed_exactly_and_within_bounds():
    g = torch.Generator().manual_seed(0)
    a = torch.randn(5, 2, 2, dtype=torch.float64, generator=g)
    w = torch.rand(5, dtype=torch.float64, generator=g)
    mixture = Mixture(w / w.sum(), torch.randn(5, 2, dtype=torch.float64, generator=g), a @ a.mT, [0, 1, 2, 1, 0])
    again = unpack(pack(mixture))
    for name in ("weights", "means", "covariances", "classes"):
        assert torch.equal(getattr(again, name), getattr(mixture, name))
    for bad in ("", "AAAA", "*", "A" * 9000):
        with pytest.raises(ValueError, match=r"base64|components"):
            unpack(bad)


def test_names_are_those_of_the_lab():
    solver, target = CONTROLS["solver"], CONTROLS["target"]
    assert isinstance(solver, Choice)
    assert isinstance(target, Choice)
    assert solver.values == (*FIXED_STEP, *ADAPTIVE)
    assert target.values == (*NAMES, CUSTOM)
