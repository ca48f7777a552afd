"""Relaxation by itself: fixed points, conserved averages, and the rates that the docstrings state."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from neurosim import Conv2d, Dense, Local2d, NoiseRelaxation, Relaxation
from neurosim.relaxation import spread
from neurosim.streams import stream

#: connectivity, presynaptic shape, postsynaptic shape
PLACES = {
    "dense": (Dense(), (6,), (4,)),
    "dense from space": (Dense(), (2, 2, 2), (4,)),
    "conv": (Conv2d(2), (1, 3, 3), (2, 2, 2)),
    "conv, padded": (Conv2d(3, padding=1), (1, 3, 3), (2, 3, 3)),
    "conv, strided": (Conv2d((1, 2), stride=2), (1, 3, 3), (2, 2, 1)),
    "local": (Local2d(2), (1, 3, 3), (2, 2, 2)),
}


def weights(place, components=3, seed=0):
    connectivity, pre, post = PLACES[place]
    size = (components, *connectivity.weight_shape(pre, post))
    return torch.randn(size, generator=stream(seed, "w"), dtype=torch.float64)


def random_signs(seed=0):
    generator = stream(seed, "signs")
    return lambda shape: 2.0 * torch.randint(2, shape, generator=generator, dtype=torch.float64) - 1.0


def all_patterns(pre):
    """Every pattern of signs once."""
    for pattern in product([-1.0, 1.0], repeat=torch.Size(pre).numel()):
        yield torch.tensor(pattern, dtype=torch.float64).view(1, *pre)


def after_one(place, weight, xi, rate=1.0):
    connectivity, pre, _ = PLACES[place]
    changed = weight.clone()
    NoiseRelaxation(presentations=1, rate=rate).relax(changed, connectivity, pre, lambda shape: xi)
    return changed


def deviations(weight):
    return weight - weight.mean(0)


@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_relaxation_by_hand(rate):
    weight = weights("dense")
    changed = weight.clone()
    Relaxation(rate).relax(changed, Dense(), (6,), random_signs())
    assert float((changed - (weight + rate * (weight.mean(0) - weight))).abs().max()) < 1e-15
    assert (float(spread(changed)) == 0.0) == (rate == 1.0)


@pytest.mark.parametrize("relaxation", [Relaxation(1.0), Relaxation(0.1), NoiseRelaxation(5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_weights_are_left_untouched(relaxation, dtype):
    """The fixed point, to the last bit: ten equal weights have an average that rounding could move."""
    connectivity, pre, _ = PLACES["dense"]
    weight = weights("dense", 1).to(dtype).expand(10, 4, 6).clone()
    changed = weight.clone()
    relaxation.relax(changed, connectivity, pre, lambda shape: random_signs()(shape).to(dtype))
    assert torch.equal(changed, weight)


@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize("place", PLACES)
def test_noise_keeps_the_average_and_has_the_stated_mean(place, rate):
    """Over all patterns of signs: deviations shrink by exactly ``1 - rate / n``, for every connectivity."""
    connectivity, pre, _ = PLACES[place]
    weight = weights(place)
    total = torch.zeros_like(weight)
    patterns = list(all_patterns(pre))
    for xi in patterns:
        changed = after_one(place, weight, xi, rate)
        assert float((changed.mean(0) - weight.mean(0)).abs().max()) < 1e-14
        total += changed
    expected = weight.mean(0) + (1 - rate / connectivity.fan_in(pre)) * deviations(weight)
    assert float((total / len(patterns) - expected).abs().max()) < 1e-13


@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize("place", ["dense", "dense from space", "local", "conv", "conv, strided"])
def test_noise_has_the_stated_mean_square_and_never_overshoots(place, rate):
    """Squares shrink by ``1 - (2 r - r^2) / n``, in a convolution by at least that; without padding none ever grows."""
    connectivity, pre, _ = PLACES[place]
    weight = weights(place)
    before = deviations(weight).square().sum()
    after = [deviations(after_one(place, weight, xi, rate)).square().sum() / before for xi in all_patterns(pre)]
    stated = 1 - (2 * rate - rate**2) / connectivity.fan_in(pre)
    mean = float(torch.stack(after).mean())
    assert float(max(after)) < 1 + 1e-12
    if place.startswith("conv"):
        assert stated - rate / connectivity.fan_in(pre) < mean < stated
    else:
        assert abs(mean - stated) < 1e-12


#: convolutions of one channel -> the largest growth of deviations in a presentation at rate 1, None where none grow
CONVOLUTIONS = {
    "plain": (Conv2d(2), (1, 3, 3), None),
    "strided": (Conv2d((1, 2), stride=2), (1, 3, 3), None),
    "padded": (Conv2d(3, padding=1), (1, 2, 2), 1.0361651),
    "padded, wider": (Conv2d(3, padding=1), (1, 3, 3), 1.0092686),
    "padded on one side": (Conv2d((3, 1), padding=(1, 0)), (1, 2, 3), 1.0305566),
}


def presented(connectivity, pre, rate):
    """What a presentation does to the deviation of a kernel, as matrices, one per pattern of signs."""
    shape = connectivity.weight_shape(pre, (1, 1, 1))
    size = torch.Size(shape).numel()
    basis = torch.eye(size, dtype=torch.float64).view(size, *shape[1:])  # every deviation has a channel of its own
    matrices = []
    for xi in all_patterns(pre):
        weight = torch.stack([basis, -basis])
        NoiseRelaxation(presentations=1, rate=rate).relax(weight, connectivity, pre, lambda shape, xi=xi: xi)
        matrices.append(weight[0].flatten(1).t())
    return torch.stack(matrices)


@pytest.mark.parametrize("rate", [0.3, 1.0])
@pytest.mark.parametrize("place", CONVOLUTIONS)
def test_no_deviation_of_a_convolution_grows_by_positions_or_in_the_mean(place, rate):
    """In any direction. Deviations as they are grow only where padding makes positions differ."""
    connectivity, pre, growth = CONVOLUTIONS[place]
    matrices = presented(connectivity, pre, rate)
    positions = F.unfold(
        torch.ones(1, *pre, dtype=torch.float64), connectivity.kernel, padding=connectivity.padding,
        stride=connectivity.stride,
    ).sum((0, 2))  # fmt: skip
    root = positions.sqrt()
    weighted = torch.linalg.matrix_norm(root[:, None] * matrices / root, 2)
    assert float(weighted.max()) < 1 + 1e-12
    squares = torch.linalg.eigvalsh((matrices.mT @ matrices).mean(0))
    assert float(squares.max()) < 1 - (2 * rate - rate**2) / connectivity.fan_in(pre) + 1e-12
    largest = float(torch.linalg.matrix_norm(matrices, 2).max())
    if growth is None:
        assert largest < 1 + 1e-12
    else:
        assert largest > 1.002 and (rate < 1 or abs(largest - growth) < 1e-7)


def test_orthogonal_noise_relaxes_completely_in_as_many_presentations_as_synapses():
    """Eight patterns that are orthogonal: each takes away what it sees of the deviations, together all."""
    one = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    patterns = iter(torch.kron(torch.kron(one, one), one).view(8, 1, 8))
    weight = torch.randn(3, 5, 8, generator=stream(0, "w"), dtype=torch.float64)
    average = weight.mean(0)
    NoiseRelaxation(presentations=8).relax(weight, Dense(), (8,), lambda shape: next(patterns))
    assert float((weight - average).abs().max()) < 1e-14


@pytest.mark.parametrize("rate", [0.5, 1.0])
@pytest.mark.parametrize("place", ["dense", "local"])
def test_a_phase_of_random_noise_relaxes_at_the_stated_rate(place, rate):
    """The root of the mean square over 40 phases of 3 n presentations, and the mean, against the formulas."""
    connectivity, pre, _ = PLACES[place]
    n = connectivity.fan_in(pre)
    phase = NoiseRelaxation(presentations=3 * n, rate=rate)
    squares, remaining = [], []
    for seed in range(40):
        weight = weights(place, seed=seed)
        before = deviations(weight)
        phase.relax(weight, connectivity, pre, random_signs(seed))
        after = deviations(weight)
        squares.append(float(after.square().sum() / before.square().sum()))
        remaining.append(float((after * before).sum() / before.square().sum()))
    stated = (1 - (2 * rate - rate**2) / n) ** (3 * n)
    assert abs(sum(squares) / 40 - stated) < 0.02
    assert abs(sum(remaining) / 40 - (1 - rate / n) ** (3 * n)) < 0.02
    assert abs(sum(remaining) / 40 - phase.remaining_mean(n)) < 0.02
    assert abs((sum(squares) / 40) ** 0.5 - phase.remaining_rms(n)) < 0.02


@pytest.mark.parametrize("rate", [0.4, 1.0])
def test_spread_falls_by_the_stated_rms(rate):
    """Many neurons of many synapses, so that one phase shows the mean over the noise; the signed mean is far less."""
    n = 40
    phase = NoiseRelaxation(presentations=100, rate=rate)
    average = torch.randn(1, 200, n, generator=stream(0, "average"), dtype=torch.float64)
    weight = average + 0.3 * torch.randn(5, 200, n, generator=stream(0, "deviations"), dtype=torch.float64)
    before, start = deviations(weight), float(spread(weight))
    ratios, parts = [], []
    for seed in range(30):
        relaxed = weight.clone()
        phase.relax(relaxed, Dense(), (n,), random_signs(seed))
        ratios.append((float(spread(relaxed)) / start) ** 2)
        parts.append(float((deviations(relaxed) * before).sum() / before.square().sum()))
    rms, mean = (sum(ratios) / 30) ** 0.5, sum(parts) / 30
    assert abs(rms / phase.remaining_rms(n) - 1) < 0.02
    assert abs(mean - phase.remaining_mean(n)) < 0.02
    assert phase.remaining_rms(n) > 1.2 * phase.remaining_mean(n)


@pytest.mark.parametrize("place", ["conv", "conv, padded", "conv, strided"])
def test_in_a_convolution_the_stated_rms_is_a_bound(place):
    connectivity, pre, _ = PLACES[place]
    phase, squares = NoiseRelaxation(presentations=3 * connectivity.fan_in(pre)), []
    for seed in range(40):
        weight = weights(place, seed=seed)
        before = deviations(weight).square().sum()
        phase.relax(weight, connectivity, pre, random_signs(seed))
        squares.append(float(deviations(weight).square().sum() / before))
    assert 0 < (sum(squares) / 40) ** 0.5 < phase.remaining_rms(connectivity.fan_in(pre))


@pytest.mark.parametrize("place", PLACES)
def test_many_presentations_reach_the_average(place):
    connectivity, pre, _ = PLACES[place]
    weight = weights(place)
    average = weight.mean(0)
    NoiseRelaxation(presentations=60 * connectivity.fan_in(pre)).relax(weight, connectivity, pre, random_signs())
    seen = connectivity.correlate(
        torch.ones(1, *PLACES[place][2], dtype=torch.float64), torch.ones(1, *pre, dtype=torch.float64), pre
    )
    assert float(((weight - average) * (seen > 0)).abs().max()) < 1e-9


def test_the_memory_order_of_weights_does_not_matter():
    connectivity, pre, _ = PLACES["local"]
    plain = weights("local")
    arranged = connectivity.arrange(plain.flatten(0, 1)).unflatten(0, (3, -1))
    for weight in (plain, arranged):
        NoiseRelaxation(4).relax(weight, connectivity, pre, random_signs())
    assert not arranged.is_contiguous() and float((plain - arranged).abs().max()) < 1e-14


def test_spread_by_hand():
    assert float(spread(torch.tensor([[3.0, 0.0], [5.0, 0.0]]))) == 0.25
    assert float(spread(torch.zeros(3, 2))) == 0.0
    assert float(spread(torch.tensor([[-1.0], [1.0]]))) == float("inf")
