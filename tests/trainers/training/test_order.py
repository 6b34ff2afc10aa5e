"""What comes when: every number is a function of (seed, global sample number)."""

import pytest
import torch

from trainers.loop import own_rows
from trainers.order import NOISE, TIME, Order
from trainers.recipes import apply, by_name


def test_an_epoch_sees_every_datum_once_and_epochs_differ():
    order = Order(96, 16, 5)
    epochs = [torch.cat([order.index(step) for step in range(e * 6, e * 6 + 6)]) for e in range(3)]
    for seen in epochs:
        assert torch.equal(seen.sort().values, torch.arange(96))
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[1], epochs[2])


def test_what_is_left_over_of_an_epoch_comes_in_others():
    order = Order(10, 4, 0)
    assert order.steps_per_epoch == 2
    assert [order.epoch(step) for step in range(5)] == [0, 0, 1, 1, 2]
    seen = torch.cat([order.index(step) for step in range(40)])
    assert set(seen.tolist()) == set(range(10))


def test_every_step_has_sample_numbers_of_its_own():
    order = Order(100, 7, 1)
    numbers = torch.cat([order.samples(step) for step in range(30)])
    assert torch.equal(numbers, torch.arange(210))


def test_another_seed_is_another_order():
    assert not torch.equal(Order(96, 96, 0).index(0), Order(96, 96, 1).index(0))


def test_numbers_of_a_sample_do_not_depend_on_its_neighbours():
    order = Order(100, 10, 3)
    samples = torch.arange(1000, 1010)
    whole = order.normals(samples, (2, 4, 4))
    alone = torch.cat([order.normals(samples[i : i + 1], (2, 4, 4)) for i in range(10)])
    assert torch.equal(whole, alone)
    assert torch.equal(order.uniforms(samples, TIME)[4:6], order.uniforms(samples[4:6], TIME))


def test_streams_are_apart_and_numbers_are_of_their_laws():
    order = Order(100, 10, 3)
    samples = torch.arange(20_000)
    times = order.uniforms(samples, TIME)
    z = order.normals(samples, (4,), NOISE).double()
    assert times.mean().item() == pytest.approx(0.5, abs=4 / (12 * 20_000) ** 0.5)
    assert z.mean().item() == pytest.approx(0, abs=4 / 80_000**0.5)
    assert z.var().item() == pytest.approx(1, abs=4 * (2 / 80_000) ** 0.5)
    assert order.flips(samples).double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 20_000**0.5)
    both = torch.stack((times, order.flips(samples).double()))
    assert abs(torch.corrcoef(both)[0, 1]) < 4 / 20_000**0.5


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match=r"training.batch=128 is more than the 80 samples.*training.batch=80"):
        Order(80, 128, 0)


@pytest.mark.parametrize(("batch", "accumulation", "processes"), [(24, 1, 1), (24, 2, 3), (24, 4, 2), (8, 1, 8)])
def test_processes_and_micro_batches_share_out_every_row_once(batch: int, accumulation: int, processes: int):
    recipe = apply(by_name("digits-condot"), {"training.batch": batch, "training.accumulation": accumulation})
    parts = [own_rows(recipe, p, processes) for p in range(processes)]
    rows = torch.cat([rows for rows, _ in parts])
    assert torch.equal(rows.sort().values, torch.arange(batch))
    assert {micro for _, micro in parts} == {batch // accumulation // processes}
    # the first micro-batches of all processes are the first rows of the effective batch: what one process would accumulate
    first = torch.cat([rows[:micro] for rows, micro in parts]).sort().values
    assert torch.equal(first, torch.arange(batch // accumulation))


def test_a_batch_that_processes_cannot_share_is_refused():
    recipe = apply(by_name("digits-condot"), {"training.batch": 24})
    with pytest.raises(ValueError, match="shared evenly by 5 processes"):
        own_rows(recipe, 0, 5)
