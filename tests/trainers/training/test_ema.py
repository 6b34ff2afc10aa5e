"""Averages of the weights: the formula, in fp32, and without a trace on the network."""

import pytest
import torch

from trainers.ema import Average


def test_the_average_is_the_formulas():
    """theta <- d theta + (1 - d) w with d = min(decay, k / (k + 9)), by hand in float64."""
    g = torch.Generator().manual_seed(0)
    network = torch.nn.Linear(3, 2)
    average = Average(network, 0.9)
    expected = [p.detach().double() for p in network.parameters()]
    for k in range(1, 12):
        with torch.no_grad():
            for p in network.parameters():
                p.add_(torch.randn(p.shape, generator=g))
        average.update(network.parameters(), k)
        d = min(0.9, k / (k + 9))
        expected = [d * e + (1 - d) * p.detach().double() for e, p in zip(expected, network.parameters(), strict=True)]
    for found, wanted in zip(average.shadow, expected, strict=True):
        assert torch.allclose(found.double(), wanted, atol=1e-5)


@pytest.mark.parametrize("step", [1, 9, 81, 1000])
def test_a_short_run_is_not_held_to_its_first_weights(step: int):
    assert Average(torch.nn.Linear(1, 1), 0.999).decay_at(step) == pytest.approx(min(0.999, step / (step + 9)))


def test_averages_are_fp32_and_move_where_bf16_would_stand_still():
    """Decay .9999 moves by less than bf16 can tell: 0 of 2,000 steps would show."""
    network = torch.nn.Linear(4, 4).bfloat16()
    average = Average(network, 0.9999)
    assert all(s.dtype == torch.float32 for s in average.shadow)
    with torch.no_grad():
        for p in network.parameters():
            p.fill_(1.0)
    average.shadow = [torch.full_like(s, 0.99) for s in average.shadow]
    for _ in range(2000):
        average.update(network.parameters(), 10**6)
    for s in average.shadow:
        assert torch.allclose(s, torch.full_like(s, 1 - 0.01 * 0.9999**2000), atol=1e-5)


def test_inside_swapped_the_network_has_the_averages_and_then_its_own_weights_again():
    network = torch.nn.Linear(3, 3)
    average = Average(network, 0.5)
    with torch.no_grad():
        network.weight.add_(1)
    raw, averaged = network.weight.detach().clone(), average.shadow[0].clone()
    with average.swapped(network):
        assert torch.equal(network.weight, averaged)
    assert torch.equal(network.weight, raw)
    assert torch.equal(average.shadow[0], averaged)
