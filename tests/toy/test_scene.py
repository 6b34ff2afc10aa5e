"""Scenes and views: validation, and query strings that give the same picture back."""

import math
import re
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
EYES = [[[1.0, 0.0], [0.0, 1.0]]] * 2
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


@pytest.mark.parametrize(
    ("mixture", "words"),
    [
        (Mixture([1 - 1e-200, 1e-200], [[0, 0], [1, 1]], EYES, [0, 1]), "weight 1e-200"),
        (Mixture([0.5, 0.5], [[1e20, 0], [1, 1]], EYES), "mean at 1e.20"),
        (Mixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1e-300, 0], [0, 1e-300]]] * 2), "standard deviations from 1e-150"),
        (Mixture([0.5, 0.5], [[0, 0], [1, 1]], [[[1, 1 - 1e-12], [1 - 1e-12, 1]]] * 2), "within a factor"),
        (Mixture([1 / 65] * 65, [[k, 0] for k in range(65)], [[[1, 0], [0, 1]]] * 65), "65 components"),
    ],
    ids=["weight", "mean", "small", "flat", "many"],
)
def test_a_mixture_beyond_what_numbers_and_addresses_carry_is_no_target(mixture, words):
    with pytest.raises(ValueError, match=words):
        Scene(target=CUSTOM, mixture=mixture)
    if len(mixture.weights) <= 64:
        scene, notes = Scene.from_query(f"target=custom&mixture={pack(mixture)}")
        assert scene == Scene()
        assert any(re.search(words, note) for note in notes)


def test_a_fit_needs_enough_pairs_in_batches_of_any_size():
    rare = Mixture([1 - 3e-4, 3e-4], [[0, 0], [3, 3]], EYES)
    assert Scene(target=CUSTOM, mixture=rare, coupling="batch-ot", batch_size=64).batch_size == 64
    with pytest.raises(ValueError, match="batches of 1024"):
        Scene(target=CUSTOM, mixture=rare, coupling="batch-ot", batch_size=1024)


def test_notes_say_which_key_was_given_twice_and_which_scene_is_meant():
    assert Scene.from_query("prior_mean=0.5&prior-mean=0.7")[1] == ["prior-mean is given more than once; the last is used"]
    notes = View.from_query("v=1&nfe=0&b-nfe=0&b-solver=heun")[1]
    assert [note.startswith("in B, ") for note in notes] == [False, True, True]


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
