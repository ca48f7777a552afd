"""How weights start: their scale by itself, and the pairing of Eq. 16 by itself."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from neurosim import (
    AvgPool,
    Circuit,
    Conv2d,
    Dense,
    HalfNormal,
    He,
    Initializer,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    Zeros,
)
from neurosim.errors import CircuitError
from neurosim.initializers import SIGNS, Site
from neurosim.parameters import draw_weights
from neurosim.streams import stream

#: group -> inputs of one unit, groups onto the same population, whether it comes from scalar units
PLACES = {
    "input->c1": (2 * 3 * 3, 1, True),
    "input->l1": (2 * 3 * 3, 1, True),
    "c1->c2": (16 * 3 * 2, 1, False),
    "l1->l2": (16 * 3 * 2, 1, False),
    "p1->f1": (16 * 3 * 3, 1, False),
    "p0->f1b": (2 * 4 * 4, 1, True),
    "input->f2": (2 * 8 * 8, 2, True),
    "f1->f2": (60, 2, False),
    "f2->output": (200, 3, False),
    "c2->output": (12 * 4 * 5, 3, False),
    "l2->output": (12 * 4 * 5, 3, False),
    "f1b->f3": (60, 1, False),
}
#: the axis of a weight that runs over presynaptic channels
PRE_AXIS = {Dense: 1, Conv2d: 1, Local2d: 3}
SITE = Site(
    weight_shape=(4, 6), pre_axis=1, fan_in=6, copies=None, pre_scalar=False, post_single=False, sources=1, sign="mixed"
)


def everywhere(init: Initializer, K: int | None = None) -> Circuit:
    """A circuit with every connectivity in the first layer and after, skips, relays, and groups side by side."""
    c = Circuit((2, 8, 8), OneHot(10), K=K)
    c.relay("p0", "input", AvgPool(2))
    for name in ("c1", "l1"):
        c.population(name, (16, ...), gate=SignGate())
        c.connect("input", name, (Conv2d if name == "c1" else Local2d)(3), init=init)
    c.relay("p1", "c1", AvgPool(2))
    sign = "nonnegative" if init == OnOff() else "mixed"
    for pre, name in (("c1", "c2"), ("l1", "l2")):
        c.population(name, (12, ...), gate=SignGate())
        c.connect(pre, name, (Conv2d if name == "c2" else Local2d)((3, 2)), init=init, sign=sign)
    for name, width in (("f1", 60), ("f1b", 60), ("f2", 200), ("f3", 30)):
        c.population(name, width, gate=SignGate())
    for group, (_, _, first) in PLACES.items():
        if group not in c.groups:
            c.connect(*group.split("->"), Dense(), init=init, sign="mixed" if first else sign)
    return c


def paired(c: Circuit, group: str, weight: Tensor) -> Tensor:
    """The weight with its post- and presynaptic channels as the first two axes (after the components)."""
    components = 1 if PLACES[group][2] else 0  # axes before the postsynaptic channels
    return weight.movedim(components + PRE_AXIS[type(c.groups[group].connectivity)], components + 1)


def looks_normal(sample: Tensor, std: float) -> None:
    """Mean, variance and fourth moment within 5 standard deviations of their estimates."""
    n, z = sample.numel(), sample.flatten() / std
    assert n > 1000
    assert abs(float(z.mean())) < 5 / math.sqrt(n)
    assert abs(float(z.square().mean()) - 1) < 5 * math.sqrt(2 / n)
    assert abs(float(z.pow(4).mean()) - 3) < 5 * math.sqrt(96 / n)


@pytest.mark.parametrize("K", [None, 1])
@pytest.mark.parametrize("group", PLACES)
@pytest.mark.parametrize("init", [He(), OnOff()], ids=str)
def test_scale(init: Initializer, group: str, K: int | None) -> None:
    """``1 / sqrt(n_in)`` from scalar units, ``sqrt(2 / n_in)`` after; ON/OFF's half-size matrix: ``2 / sqrt(n_in)``."""
    c = everywhere(init, K)
    inputs, sources, first = PLACES[group]
    site = c.site(c.group(group))
    draws = [paired(c, group, init.draw(site, stream(seed, "weights", group))) for seed in range(20)]
    assert torch.equal(draws[3], paired(c, group, draw_weights(c, 3)[group])), "this is what a circuit starts with"
    sample, variance = torch.stack(draws), (1 if first else 2) / inputs
    if init == OnOff():
        post_axis = 2 if first else 1
        if sample.shape[post_axis] > 1:
            sample = sample[:, :, 0::2] if first else sample[:, 0::2]
        if not first:  # [W]+ and [-W]+ lie side by side
            sample, variance = sample[:, :, 0::2] - sample[:, :, 1::2], 4 / inputs
    looks_normal(sample, math.sqrt(variance / sources))


def test_sources_are_counted_whether_they_learn_or_not() -> None:
    one, two = everywhere(He()), everywhere(He())
    two.connect("f1", "f3", Dense(), rule=None)
    ratio = draw_weights(one, 0)["f1b->f3"] / draw_weights(two, 0)["f1b->f3"]
    assert float((ratio - math.sqrt(2)).abs().max()) < 1e-12


def test_components_have_first_weights_of_their_own() -> None:
    weight = draw_weights(everywhere(He()), 0)["input->c1"]
    assert weight.shape == (10, 16, 2, 3, 3)
    flat = weight.flatten(1)
    correlation = torch.corrcoef(flat) - torch.eye(10, dtype=torch.float64, device="cpu")
    assert float(correlation.abs().max()) < 5 / math.sqrt(flat.shape[1])


@pytest.mark.parametrize("K", [None, 1])
@pytest.mark.parametrize("group", PLACES)
def test_pairing(group: str, K: int | None) -> None:
    """Eq. 16, interleaved: units 2i and 2i + 1 are a pair on both sides, whatever the connectivity."""
    c = everywhere(OnOff(), K)
    weight = paired(c, group, draw_weights(c, 1)[group])
    if PLACES[group][2]:  # (+W, -W)
        assert torch.equal(weight[:, 1::2], -weight[:, 0::2])
        assert float(weight.min()) < 0 < float(weight.max())
        return
    same, opposite = weight[0::2, 0::2], weight[0::2, 1::2]
    assert float(weight.min()) == 0
    assert bool(((same > 0) ^ (opposite > 0)).all()), "[W]+ beside [-W]+: one of two is zero"
    if group.endswith("output") and K is None:
        assert weight.shape[0] == 1, "one vector output unit takes one row"
        return
    assert weight.shape[0] > 1, "the ten outputs of a conventional network are paired as well"
    assert torch.equal(weight[1::2, 0::2], opposite)
    assert torch.equal(weight[1::2, 1::2], same)


def test_pairing_of_the_published_conventional_networks() -> None:
    """Adjacent entries of the flattened population instead of channels: the same scale, but no ON/OFF pairs."""
    c = everywhere(OnOff())
    site, broken = c.site(c.group("p1->f1")), OnOff(flattened=True)
    weight = broken.draw(site, stream(1))
    flat = weight.flatten(1)
    same, opposite = flat[0::2, 0::2], flat[0::2, 1::2]
    assert torch.equal(flat[1::2, 0::2], opposite)
    assert torch.equal(flat[1::2, 1::2], same)
    assert bool(((same > 0) ^ (opposite > 0)).all())
    looks_normal(same - opposite, math.sqrt(4 / PLACES["p1->f1"][0]))
    assert not torch.equal(weight[1::2, 0::2], weight[0::2, 1::2]), "channels are not paired"
    broken.check(site)


@pytest.mark.parametrize("group", ["input->f2", "f1->f2", "c1->c2", "l1->l2"])
def test_flattened_pairs_are_for_dense_groups_from_space(group: str) -> None:
    """Conventional pairing flattens a whole population; a receptive field has no such order."""
    c = everywhere(He())
    with pytest.raises(CircuitError, match=r"OnOff\(flattened=True\) is for a dense group from .* use OnOff\(\)"):
        OnOff(flattened=True).check(c.site(c.group(group)))


@given(st.integers(1, 20), st.integers(0, 10_000))
def test_spectrum(half: int, seed: int) -> None:
    """Section 5: the eigenvalues of the weights are those of W~ and those of its absolute values."""
    site = Site((2 * half, 2 * half), 1, 2 * half, None, False, False, 1, "nonnegative")
    weight = OnOff().draw(site, stream(seed))
    mixed = weight[0::2, 0::2] - weight[0::2, 1::2]
    blocks = torch.cat([torch.cat([weight[i::2, 0::2], weight[i::2, 1::2]], dim=1) for i in (0, 1)])
    expected = torch.cat([torch.linalg.eigvals(mixed), torch.linalg.eigvals(mixed.abs())])
    for matrix in (blocks, weight):
        distance = (torch.linalg.eigvals(matrix)[:, None] - expected[None, :]).abs()
        assert float(distance[linear_sum_assignment(distance.numpy())].max()) < 1e-9


@pytest.mark.parametrize("sign", ["nonnegative", "nonpositive"])
def test_half_normal(sign: str) -> None:
    site = Site((50, 400), 1, 400, None, False, False, 2, sign)
    size = HalfNormal(3.0).draw(site, stream(0)) * (1 if sign == "nonnegative" else -1)
    assert float(size.min()) > 0
    std = 3 / 400 / math.sqrt(2)
    assert abs(float(size.square().mean()) / std**2 - 1) < 5 * math.sqrt(2 / size.numel())
    assert abs(float(size.mean()) / std - math.sqrt(2 / math.pi)) < 5 * math.sqrt((1 - 2 / math.pi) / size.numel())


@pytest.mark.parametrize("pre_scalar", [True, False])
@pytest.mark.parametrize("kind", [k for k in Initializer.known().values() if k.__module__.startswith("neurosim.")])
def test_every_initializer_keeps_the_signs_it_promises(kind: type[Initializer], pre_scalar: bool) -> None:
    copies = 3 if pre_scalar else None
    for sign in kind().signs(pre_scalar):
        weight = kind().draw(Site((4, 6), 1, 6, copies, pre_scalar, False, 1, sign), stream(0))
        assert weight.shape == ((3, 4, 6) if pre_scalar else (4, 6))
        assert weight.dtype == torch.float64
        assert sign != "nonnegative" or float(weight.min()) >= 0
        assert sign != "nonpositive" or float(weight.max()) <= 0


def test_zeros() -> None:
    assert Zeros().signs(True) == Zeros().signs(False) == SIGNS
    assert not bool(Zeros().draw(SITE, stream(0)).any())


@pytest.mark.parametrize(("width", "use"), [(1, 2), (5, 6)])
def test_odd_widths_are_refused(width: int, use: int) -> None:
    for sides in [(width, 6, "postsynaptic"), (6, width, "presynaptic")]:
        text = (
            rf"OnOff pairs units 2i and 2i \+ 1; the {sides[2]} population has an odd number .* {width}; use {use}, or"
        )
        with pytest.raises(CircuitError, match=text):
            OnOff().check(Site(sides[:2], 1, sides[1], None, False, False, 1, "mixed"))
    OnOff().check(Site((1, 6), 1, 6, None, False, True, 1, "mixed"))  # a single unit has no partner
    OnOff().check(Site((6, 3), 1, 3, 2, True, False, 1, "mixed"))  # scalar inputs are not paired


def test_a_scale_must_be_positive() -> None:
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(CircuitError, match=f"HalfNormal.scale must be a positive number, got {scale}"):
            HalfNormal(scale)


def test_what_a_subclass_must_define_is_said() -> None:
    with pytest.raises(NotImplementedError, match=r"Initializer must define draw\("):
        Initializer().draw(SITE, stream(0))
