"""What workers compute is what toy computes, in the shapes that the page's JavaScript reads."""

import contextlib
import io
import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.tasks import clouds, coupling, figure, program, setup, verify
from app.tasks.grids import SIZES, pack_grid, sized
from app.tasks.scenes import FULL_OT_MOST, box, mixture_from, mixture_json, plain, scene_from, scene_json
from toy import gallery
from toy.blocks import PairedField
from toy.learning.grids import GridField
from toy.mixtures import Mixture
from toy.scene import CONTROLS, WHOLE, Scene, View
from toy.targets import NAMES, by_name
from toy.trace import trace
from toy.world import world

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

OWN = Mixture([0.25, 0.75], [[1.0, 2.0], [-1.0, 0.5]], [[[1.0, 0.3], [0.3, 2.0]], [[0.5, 0.0], [0.0, 0.1]]], [1, 0])
MANY = Mixture([1 / 65] * 65, [[float(k), 0.0] for k in range(65)], [[[1.0, 0.0], [0.0, 1.0]]] * 65)
SCENES = (
    Scene(count=300),
    Scene(target="custom", mixture=OWN, prior="conditional", sees="class", count=300),
    Scene(target="letters", letters="Hi", path="vp", solver="heun", nfe=6, seed=7, scale=0.5),
    Scene(solver="dopri5", tolerance=1e-4, coupling="full-ot", count=200),
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda s: s.target)
def test_a_scene_survives_the_way_to_the_page_and_back(scene: Scene):
    assert scene_from(json.loads(json.dumps(scene_json(scene)))) == scene


def test_whole_numbers_of_javascript_stay_whole_and_the_count_is_cut():
    scene = scene_from({"nfe": 8.0, "count": 10**6, "scale": 1})
    assert (scene.nfe, scene.count, scene.scale) == (8, 20_000, 1.0)
    assert type(scene.nfe) is int
    assert type(scene.scale) is float


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "scene must be an object"),
        ([], "scene must be an object"),
        ({"target": "moon"}, "did you mean 'moons'"),
        ({"colour": 1}, "scene's field='colour' is unknown"),
        ({"target": 3}, "target must be a text"),
        ({"letters": "x" * 10**5}, "a text of 100000 characters"),
        ({"nfe": "4"}, "nfe must be a number"),
        ({"nfe": True}, "nfe must be a number, not true or false"),
        ({"nfe": 4.5}, "whole number"),
        ({"nfe": 1e300}, "must lie in 1 to 4096"),
        ({"solver": "heun", "nfe": 5}, "nearest: 4 or 6"),
        ({"target": "custom"}, "give both or neither"),
        ({"target": "custom", "mixture": {"weights": [1]}}, "mixture's means"),
        ({"target": "custom", "mixture": {"weights": {"0": 1}}}, "mixture's weights must be a flat list"),
        ({"target": "custom", "mixture": mixture_json(OWN) | {"weights": [2.0, 3.0]}}, "weights"),
        ({"target": "custom", "mixture": mixture_json(OWN) | {"more": 1}}, "unknown keys more"),
        ({"target": "custom", "mixture": mixture_json(MANY)}, "1 to 64 components are needed"),
        ({"coupling": "full-ot", "count": FULL_OT_MOST + 1}, "too many for full OT"),
    ],
)
def test_a_bad_scene_is_refused_in_one_sentence_that_names_the_fault(given: object, named: str):
    with pytest.raises(ValueError) as caught:
        scene_from(given)
    assert named in str(caught.value)
    assert len(str(caught.value)) < 600


def test_full_ot_of_the_most_points_is_let_in():
    assert scene_from({"coupling": "full-ot", "count": FULL_OT_MOST}).count == FULL_OT_MOST


def test_a_mixture_is_flattened_row_by_row():
    found = mixture_json(OWN)
    assert found["means"] == [1.0, 2.0, -1.0, 0.5]
    assert found["covariances"] == [1.0, 0.3, 2.0, 0.5, 0.0, 0.1]
    assert (found["classes"], found["classCount"]) == ([1, 0], 2)
    assert mixture_from(found) == OWN


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_holds_its_target_its_mirror_image_and_the_prior_to_three_standard_deviations(name: str):
    target, edges = by_name(name), box(by_name(name))
    width, height = edges["right"] - edges["left"], edges["top"] - edges["bottom"]
    assert width == height
    assert all((2 * edge).is_integer() for edge in edges.values())
    reach = 3 * target.covariances.diagonal(dim1=-2, dim2=-1).sqrt()
    mirror = torch.tensor([-1.0, 1.0])  # the mirrored prior is shown too
    every = torch.cat([means + d for means in (target.means, mirror * target.means) for d in (reach, -reach)])
    low, high = every.amin(0), every.amax(0)
    inside = [
        edges["left"] <= min(low[0], -3),
        edges["bottom"] <= min(low[1], -3),
        edges["right"] >= max(high[0], 3),
        edges["top"] >= max(high[1], 3),
    ]
    assert all(inside)
    needed = max(float(max(high[i], 3) - min(low[i], -3)) for i in (0, 1))
    assert width <= 4 / 3 * needed + 2  # no larger than one Gaussian per class and rounding ask for


def test_the_setup_holds_every_target_and_the_first_one_says_what_it_lacks():
    whole, first = setup.setup({}), setup.first({})
    assert set(whole["targets"]) == set(whole["boxes"]) == set(NAMES)
    assert all(mixture_from(found) == by_name(name) for name, found in whole["targets"].items())
    assert whole["later"] == []
    assert set(first["targets"]) == set(NAMES) - set(first["later"])
    assert whole["opening"]["b"]["prior"] == "conditional"
    assert scene_from(whole["defaults"]) == Scene()
    assert whole["controls"]["nfe"] == {"least": 1, "most": 4096, "about": whole["controls"]["nfe"]["about"], "whole": True}
    assert whole["controls"]["fit_count"]["off"] == 0
    assert {name for name, control in whole["controls"].items() if control.get("whole")} == set(WHOLE) & set(CONTROLS)
    json.dumps(whole, allow_nan=False)


def test_a_view_comes_with_notes_and_the_box_of_its_own_mixture():
    wide = replace(SCENES[1], mixture=Mixture([1.0], [[9.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]], [0]))
    query = View(a=SCENES[1], b=wide).to_query()
    found = setup.view({"query": query + "&nfe=0&wrong=1"})
    assert scene_from(found["view"]["a"]) == replace(SCENES[1], nfe=1)
    assert wide.mixture is not None
    assert found["boxes"] == {"a": box(OWN), "b": box(wide.mixture)}
    assert len(found["notes"]) == 2
    assert setup.view({"query": ""})["boxes"] == {"a": None, "b": None}


def test_verification_is_toys_own_summary_with_the_prior_alone():
    found = verify.verify({"scene": {"count": 400}})
    summary = trace(Scene(count=400)).summary()
    assert {name: found[name] for name in summary} == json.loads(json.dumps(plain(summary)))
    assert found["prior_alone"]["value"] > 3 * found["prior_alone"]["floor"]


def test_a_prior_that_is_the_target_needs_no_steps():
    """On ring-strips the class prior with full covariance is the data's law: its samples alone are as good as data."""
    alone = verify.verify({"scene": {"prior": "conditional", "count": 400}})["prior_alone"]
    assert alone["value"] < 1.5 * alone["floor"]
    assert alone["n"] == 400


def test_numbers_that_json_cannot_carry_become_null():
    assert plain({"a": [1.0, math.nan], "b": (math.inf,), "c": None}) == {"a": [1.0, None], "b": [None], "c": None}


def test_full_ots_pairing_is_the_one_of_the_scenes_world():
    for sees in ("position", "class"):
        given = {"coupling": "full-ot", "count": 150, "sees": sees, "seed": 3}
        scene = scene_from(given)
        order = np.frombuffer(coupling.pairing({"scene": given}), dtype="<i4")
        assert sorted(order) == list(range(150))
        independent = world(replace(scene, coupling="independent"))
        from toy.world import TARGET_STREAM, draw_data, particles

        data = draw_data(independent.target, particles(independent).condition, scene.seed, TARGET_STREAM)
        field = world(scene).field
        assert isinstance(field, PairedField)
        assert torch.equal(field.x_1, data[torch.from_numpy(order.astype(np.int64))])


def test_only_full_ot_has_a_pairing_and_only_batch_ot_a_fit():
    with pytest.raises(ValueError, match="only 'full-ot' has"):
        coupling.pairing({"scene": {}})
    with pytest.raises(ValueError, match="only these are fitted"):
        coupling.fit({"scene": {"coupling": "component-ot", "prior": "mirrored"}})


def test_a_fit_is_a_block_coupling_that_gives_the_worlds_field():
    from toy.field import MixtureField

    given = {"coupling": "batch-ot", "batch_size": 4, "target": "two-modes"}
    found = coupling.fit({"scene": given})
    source, target = mixture_from(found["source"]), mixture_from(found["target"])
    count = len(source.weights)
    cross = torch.zeros(count, count, 2, 2, dtype=torch.float64)
    cross[range(count), range(count)] = torch.tensor(found["cross"], dtype=torch.float64).reshape(count, 2, 2)
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mine = MixtureField(source, target, torch.diag(source.weights), cross).velocity(x, 0.4)
    made = world(scene_from(given))
    assert torch.equal(mine, made.field.velocity(x, 0.4))
    assert made.fitted is not None
    assert found["cost"] == made.fitted.transport_cost
    assert found["estimate"]["field_rms"] == made.fitted.estimate.field_rms


def test_a_drawing_and_a_file_of_the_same_points_give_the_same_mixture():
    g = torch.Generator().manual_seed(1)
    spots = torch.cat((torch.randn(60, 2, generator=g) * 0.3 + 2, torch.randn(60, 2, generator=g) * 0.3 - 2)).double()
    points, classes = spots.tolist(), [0] * 60 + [1] * 60
    drawn = clouds.cloud({"points": points, "classes": classes})
    text = "x,y,class\n" + "\n".join(f"{x!r},{y!r},{c}" for (x, y), c in zip(points, classes, strict=True))
    read = clouds.cloud({"text": text})
    assert drawn["mixture"] == read["mixture"]
    assert drawn["box"] == box(mixture_from(drawn["mixture"]))
    assert (drawn["rows"], drawn["class_names"], drawn["mixture"]["classCount"]) == (120, ["0", "1"], 2)
    means = np.array(drawn["mixture"]["means"]).reshape(-1, 2)
    assert np.abs(np.abs(means) - 2).max() < 0.5
    assert drawn["w2"] < 3 * drawn["w2_floor"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "points must be a list"),
        ({"points": "junk"}, "points must be a list"),
        ({"points": [[1, 2]] * 3}, "between 8 and"),
        ({"points": [[1, "2"]] * 20}, "points must be pairs"),
        ({"points": [[1, 2, 3]] * 20}, "points must be pairs"),
        ({"points": [[1.0, 2.0]] * 20}, "coincide"),
        ({"points": [[i, i] for i in range(20)], "classes": [1]}, "one for each of the 20 points"),
        ({"points": [[i, i] for i in range(20)], "classes": [None] * 20}, "classes must be"),
        ({"text": ""}, "the file is empty"),
        ({"text": "a,b\n1,2"}, "no columns x and y"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(given: dict, words: str):
    with pytest.raises(ValueError, match=words):
        clouds.cloud(given)


def test_letters_are_the_target_that_spells_them():
    spelt = by_name("letters", letters="Hi")
    assert clouds.letters({"letters": "Hi"}) == mixture_json(spelt) | {"box": box(spelt)}
    for bad in (None, 3, "", "   ", "x" * 9, "x" * 10**6):
        with pytest.raises(ValueError):
            clouds.letters({"letters": bad})


def printed(text: str) -> list[dict]:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text, "view.py", "exec"), {"__name__": "__main__"})
    return [json.loads(line) for line in said.getvalue().splitlines()]


@pytest.mark.parametrize("scene", SCENES[:2], ids=lambda s: s.target)
def test_the_printed_program_gives_the_numbers_of_the_view(scene: Scene):
    view = View(a=scene, b=replace(scene, nfe=8, scale=0.7))
    found = printed(program.program({"query": view.to_query()}))
    for name, side in (("A", view.a), ("B", view.b)):
        assert {"stage": name} | json.loads(json.dumps(trace(side).summary())) in found


def test_nothing_in_an_address_can_write_a_line_of_the_program():
    text = program.program({"query": "count=20&b-count=20&wrong%0Aprint('in')%0D%0A=1&target=%0Aprint('in')&letters=%22%0Aprint('in')"})
    assert all("stage" in line for line in printed(text))


def test_a_figure_is_the_picture_that_its_name_says():
    scene = scene_json(Scene(count=60))
    view = {"a": scene, "b": scene_json(Scene(count=60, prior="conditional"))}
    assert figure.figure({"view": view}).startswith(b"\x89PNG")
    svg = figure.figure({"view": view, "format": "svg"}).decode()
    assert "euler with 4 evaluations, n = 60" in svg
    assert 'id="axes_2"' in svg
    alike = figure.figure({"view": view | {"b": scene}, "format": "svg"}).decode()
    assert 'id="axes_2"' not in alike  # one scene, shown once
    for bad in ({}, {"view": view, "kind": "wrong"}, {"view": view, "format": "exe"}, {"view": []}):
        with pytest.raises(ValueError):
            figure.figure(bad)


def test_a_prior_sweep_is_of_the_first_scene_whatever_its_prior(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gallery, "SCALES", (0.5, 1.0))
    a = Scene(count=60, nfe=8, prior="conditional", prior_covariance="isotropic", scale=0.7)
    view = {"a": scene_json(a), "b": scene_json(Scene(count=60))}
    svg = figure.figure({"view": view, "kind": "prior-sweep", "format": "svg"}).decode()
    assert "prior scale" in svg
    assert "euler with 8 evaluations, n = 60" in svg


def test_a_grids_bytes_are_laid_out_as_the_module_says():
    values = torch.arange(2 * 3 * 4 * 5 * 2, dtype=torch.float32).reshape(2, 3, 4, 5, 2)
    grid = GridField(values, torch.tensor([0.0, 0.5, 1.0]).double(), torch.arange(12.0).double().reshape(3, 4))
    packed = pack_grid(grid, {"side": "a", "k": 7})
    (length,) = struct.unpack("<I", packed[:4])
    assert length % 4 == 0
    header = json.loads(packed[4 : 4 + length])
    assert (header["classes"], header["times"], header["ny"], header["nx"], header["k"]) == (2, 3, 4, 5, 7)
    assert header["boxes"][1] == [4.0, 5.0, 6.0, 7.0]
    found = np.frombuffer(packed[4 + length :], dtype="<f4").reshape(2, 3, 4, 5, 2)
    assert np.array_equal(found, values.numpy())


def test_grids_are_as_fine_as_their_bytes_allow():
    for classes in (1, 3, 8, 12):
        n, times = sized(classes, 2**20)
        assert 8 * classes * n * n * times <= 2**20
        finer = SIZES[max(0, SIZES.index((n, times)) - 1)]
        assert finer == (n, times) or 8 * classes * finer[0] ** 2 * finer[1] > 2**20
    assert sized(64, 1) == SIZES[-1]
