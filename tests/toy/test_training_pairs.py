"""Streams of training pairs: their laws, that they are functions of seed and number, and LOOM's table."""

import itertools

import pytest
import torch

from tests.toy.scenes import generator
from toy.blocks import PairedField
from toy.drawn_pairs import LabelledPairs, draw_pairs
from toy.learning.pairs import FreshPairs, LoomPairs, draw_starts, scene_stream
from toy.mixtures import Mixture
from toy.scene import CUSTOM, Scene
from toy.trace import coupling_cost
from toy.world import World, particles, world

N = 20_000


def standard_error(values: torch.Tensor) -> float:
    return float(values.std()) / len(values) ** 0.5


def loom(made: World, seeds: tuple[int, ...] = (0,), *, per_class: bool = False, caches: int = 1, data: int = 1024) -> LoomPairs:
    return LoomPairs(made, seeds, data=data, caches=caches, ot_batch=128, train_batch=256, per_class=per_class)


@pytest.mark.parametrize(
    "scene",
    [
        Scene(),
        Scene(prior="conditional", target="bimodal"),
        Scene(prior="mirrored", target="two-modes", coupling="component-ot"),
        Scene(prior="conditional-mixture", target="bimodal", coupling="component-ot", sees="class", scale=0.7),
    ],
    ids=str,
)
def test_pairs_have_the_couplings_cost_and_their_classes_law(scene: Scene):
    """The mean cost is the closed form within four standard errors, and x_1 of a class has that class's mean; so has x_0 where the prior has classes."""
    made = world(scene)
    pairs = draw_pairs(made, N, generator(1))
    cost = (pairs.x_1 - pairs.x_0).square().sum(1)
    assert abs(float(cost.mean()) - coupling_cost(made)) < 4 * standard_error(cost) + 1e-12
    for c in range(made.target.class_count):
        rows = pairs.condition == c
        share = float(made.target.class_weights[c])
        assert abs(float(rows.double().mean()) - share) < 4 * (share / N) ** 0.5
        for points, law in ((pairs.x_1, made.target), (pairs.x_0, made.source)):
            if law.class_count == made.target.class_count:
                own, z = law.of_class(c), points[rows]
                assert bool(((z.mean(0) - own.mean).abs() < 4.5 * z.std(0) / len(z) ** 0.5).all())


def test_starts_have_the_priors_law_given_the_class():
    made = world(Scene(prior="conditional", target="rare-class", scale=0.5))
    x_0, condition = draw_starts(made, N, generator())
    for c in range(made.target.class_count):
        own, z = made.source.of_class(c), x_0[condition == c]
        assert bool(((z.mean(0) - own.mean).abs() < 4.5 * z.std(0) / len(z) ** 0.5).all())


def test_blocks_are_functions_of_seed_and_number():
    made = world(Scene(target="two-modes"))
    one, other = FreshPairs(made, (3, 8)), FreshPairs(made, (8,))
    assert torch.equal(one.block(1, 5, 100).x_1, other.block(0, 5, 100).x_1)
    assert not torch.equal(one.block(0, 5, 100).x_1, one.block(1, 5, 100).x_1)
    assert not torch.equal(one.block(1, 5, 100).x_1, one.block(1, 6, 100).x_1)
    assert not torch.equal(one.block(1, 0, 100).x_1, one.fresh(1, 100).x_1)
    far = FreshPairs(made, (8 + 2**32,))  # torch's own generators would take this seed for 8
    assert not torch.equal(far.block(0, 5, 100).x_1, other.block(0, 5, 100).x_1)


def test_full_ot_trains_on_the_shown_pairs_with_their_classes():
    made = world(Scene(target="two-modes", coupling="full-ot", count=400, sees="class"))
    stream = scene_stream(made, (0,))
    block = stream.block(0, 0, 300)
    field = made.field
    assert isinstance(field, PairedField)
    same = (torch.cat((block.x_0, block.x_1), 1)[:, None] == torch.cat((field.x_0, field.x_1), 1)).all(2)
    assert bool((same.sum(1) == 1).all())
    assert torch.equal(block.condition, particles(made).condition[same.int().argmax(1)])
    assert int(same.any(0).sum()) > 150  # 300 draws from 400 with replacement: 211 different ones on average
    assert stream.one_to_one
    with pytest.raises(ValueError, match="at least 400"):
        scene_stream(world(Scene(coupling="full-ot", count=100)), (0,))


def test_batch_ot_is_trained_on_a_pool_and_measured_on_others():
    made = world(Scene(target="two-modes", coupling="batch-ot", batch_size=16, prior="mirrored"))
    stream = scene_stream(made, (0,))
    pool, fresh = stream.block(0, 0, N), stream.fresh(0, N)
    costs = [(p.x_1 - p.x_0).square().sum(1) for p in (pool, fresh)]
    spread = sum(16 * standard_error(c) ** 2 for c in costs) ** 0.5  # at most: the 16 pairs of a batch are not independent
    assert abs(float(costs[0].mean() - costs[1].mean())) < 4 * spread
    least = 8.0**2  # both modes are 8 from their mirror images
    assert float(costs[0].mean()) - least < 0.3 * (coupling_cost(world(Scene(target="two-modes", prior="mirrored"))) - least)
    assert float(torch.cdist(pool.x_1[:500], fresh.x_1[:500]).min()) > 0


def test_looms_cost_never_rises_and_falls_below_batch_ots():
    made = world(Scene(target="eight-gaussians"))
    stream = loom(made)
    costs = [stream.table_pairs(0)[0].transport_cost]
    for number in range(24):  # six epochs of four blocks of two OT batches
        stream.block(0, number, 256)
        costs.append(stream.table_pairs(0)[0].transport_cost)
    assert all(later <= before + 1e-12 for before, later in itertools.pairwise(costs))
    assert costs[4] < 0.7 * costs[0]
    assert costs[-1] < costs[4] - 0.05  # an epoch of OT batches is batch OT; the table adds them up


def noises_by_class(pairs: LabelledPairs) -> list[torch.Tensor]:
    return [pairs.x_0[pairs.condition == c].sort(0).values for c in range(int(pairs.condition.max()) + 1)]


@pytest.mark.parametrize("prior", ["gaussian", "conditional", "conditional-mixture"])
def test_loom_within_classes_keeps_each_classs_noises(prior: str):
    stream = loom(world(Scene(target="bimodal", prior=prior)), per_class=True, caches=2)
    before = stream.table_pairs(0)[0]
    for number in range(8):
        stream.block(0, number, 256)
    after = stream.table_pairs(0)[0]
    assert after.transport_cost < before.transport_cost
    for mine, kept in zip(noises_by_class(after), noises_by_class(before), strict=True):
        assert torch.equal(mine, kept)


def test_blind_loom_moves_noises_between_classes_and_refuses_conditional_priors():
    stream = loom(world(Scene(target="bimodal")))
    before = stream.table_pairs(0)[0]
    stream.block(0, 0, 256)
    after = stream.table_pairs(0)[0]
    assert torch.equal(after.x_0.sort(0).values, before.x_0.sort(0).values)
    assert any(not torch.equal(a, b) for a, b in zip(noises_by_class(after), noises_by_class(before), strict=True))
    with pytest.raises(ValueError, match="class-loom"):
        loom(world(Scene(target="bimodal", prior="conditional")))


def test_looms_noises_have_a_mixture_priors_law():
    made = world(Scene(target="two-modes", prior="ring", scale=2.0))
    x_0 = loom(made, data=8192).table_pairs(0)[0].x_0
    assert bool((x_0.mean(0).abs() < 4 * made.source.covariance.diagonal().sqrt() / 8192**0.5).all())
    radius = x_0.norm(dim=1)
    law = made.source.sample(8192, generator(1)).norm(dim=1)
    assert abs(float(radius.mean() - law.mean())) < 4 * (2**0.5) * standard_error(law)
    assert abs(float(radius.std() / law.std()) - 1) < 0.05  # a Gaussian's radius would spread four times as much


def test_looms_last_block_can_be_read_again_and_no_other():
    made = world(Scene(target="two-modes"))
    stream = loom(made)
    block = stream.block(0, 0, 256)
    state = stream.state()
    assert torch.equal(stream.block(0, 0, 256).x_0, block.x_0)
    following = stream.block(0, 1, 256)
    stream.restore(state)
    assert torch.equal(stream.block(0, 1, 256).x_0, following.x_0)
    with pytest.raises(ValueError, match="out of order"):
        stream.block(0, 3, 256)


def test_too_few_data_for_a_component_are_refused():
    rare = Mixture([0.99, 0.01], [[0.0, 0.0], [3.0, 0.0]], [[[1.0, 0.0], [0.0, 1.0]]] * 2)
    with pytest.raises(ValueError, match="component 1"):
        loom(world(Scene(target=CUSTOM, mixture=rare)))
