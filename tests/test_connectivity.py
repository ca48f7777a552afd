"""Laws that every connectivity keeps: two maps follow from the first, in every memory order."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
import reference
import torch
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from small_circuits import batch_for, scatter_biases
from torch import Tensor

from neurosim import BP, GEVB, AvgPool, Circuit, Connectivity, Conv2d, Dense, Local2d, OneHot, SignGate, Simulator
from neurosim.connectivity import Shape
from neurosim.errors import CircuitError

TOLERANCE = 1e-10

#: name -> connectivity, presynaptic shape, postsynaptic channels
CASES: dict[str, tuple[Connectivity, Shape, int]] = {
    "dense from a vector": (Dense(), (5,), 4),
    "dense from an image": (Dense(), (3, 4, 5), 4),
    "conv": (Conv2d(3, padding=1), (2, 5, 5), 4),
    "conv, one channel": (Conv2d(2), (1, 4, 3), 2),
    "conv, rectangular": (Conv2d((3, 2), stride=(2, 1), padding=(0, 2)), (3, 7, 6), 4),
    "conv, gaps between fields": (Conv2d(2, stride=3), (2, 9, 7), 3),
    "conv, margin left over": (Conv2d(3, stride=2), (2, 8, 6), 3),
    "conv, many channels": (Conv2d(3, stride=(1, 2), padding=1), (9, 4, 5), 3),
    "conv, few inputs per unit": (Conv2d((2, 1), stride=(1, 2), padding=(0, 1)), (1, 4, 5), 8),
    "local": (Local2d(3, padding=1), (2, 5, 5), 4),
    "local, one channel": (Local2d(2), (1, 4, 3), 2),
    "local, rectangular": (Local2d((3, 2), stride=(2, 1), padding=(0, 2)), (3, 7, 6), 4),
    "local, gaps between fields": (Local2d(2, stride=3), (2, 9, 7), 3),
    "local, margin left over": (Local2d(3, stride=2), (2, 8, 6), 3),
    "local, few inputs per unit": (Local2d(1), (1, 3, 3), 5),
    "local, many inputs per unit": (Local2d((2, 3), padding=1), (5, 4, 5), 3),
    "pool": (AvgPool(2), (3, 6, 4), 3),
    "pool, margin left over": (AvgPool(2), (2, 5, 7), 2),
    "pool, overlapping": (AvgPool((3, 2), stride=1), (2, 5, 4), 2),
    "pool, gaps": (AvgPool(2, stride=(3, 2)), (2, 8, 6), 2),
}
WEIGHTED = [name for name, (connectivity, _, _) in CASES.items() if connectivity.has_weights]
SPATIAL = [name for name, (connectivity, _, _) in CASES.items() if not isinstance(connectivity, Dense)]


def random(shape: Shape, seed: int) -> Tensor:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu")


def laid_out(tensor: Tensor, order: list[int]) -> Tensor:
    """The same values with the axes ``order`` from the largest stride to the smallest."""
    return tensor.permute(order).contiguous().permute([order.index(axis) for axis in range(len(order))])


def tensors(connectivity: Connectivity, pre: Shape, channels: int, lead: Shape) -> tuple[Tensor | None, Tensor, Tensor]:
    """An arranged weight, presynaptic and postsynaptic signals."""
    post = connectivity.post_shape(pre, channels)
    weight = connectivity.arrange(random(connectivity.weight_shape(pre, post), 0)) if connectivity.has_weights else None
    return weight, random((*lead, *pre), 1), random((*lead, *post), 2)


def close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and float((found - expected).abs().max()) <= TOLERANCE


def check_laws(connectivity: Connectivity, weight: Tensor | None, x: Tensor, y: Tensor, pre: Shape) -> None:
    """Overrides equal the defaults, and ``<forward(w, x), y> = <x, transpose(w, y)> = <w, correlate(y, x)>``."""
    back = connectivity.transpose(weight, y, pre)
    inner = (connectivity.forward(weight, x, pre) * y).sum()
    assert close(back, Connectivity.transpose(connectivity, weight, y, pre))
    assert close((x * back).sum(), inner)
    if weight is None:
        return
    update = connectivity.correlate(y, x, pre)
    assert close(update, Connectivity.correlate(connectivity, y, x, pre))
    assert close((weight * update).sum(), inner)
    out = connectivity.arrange(torch.full_like(weight, torch.nan))
    assert close(connectivity.correlate(y, x, pre, out=out), update)


def explicit_forward(connectivity: Connectivity, weight: Tensor | None, a: Tensor) -> Tensor:
    """The drive of ``a`` ``(batch, *pre)``, one postsynaptic position after the other."""
    if isinstance(connectivity, Dense):
        return torch.einsum("ij,bj->bi", weight.flatten(1), a.flatten(1))
    top, left = getattr(connectivity, "padding", (0, 0))
    (down, right), (rows, columns) = connectivity.stride or connectivity.kernel, connectivity.kernel
    padded = torch.zeros(*a.shape[:2], a.shape[2] + 2 * top, a.shape[3] + 2 * left, dtype=a.dtype, device=a.device)
    padded[:, :, top : top + a.shape[2], left : left + a.shape[3]] = a
    height, width = (padded.shape[2] - rows) // down + 1, (padded.shape[3] - columns) // right + 1
    units = []
    for y, x in product(range(height), range(width)):
        window = padded[:, :, y * down : y * down + rows, x * right : x * right + columns]
        if isinstance(connectivity, AvgPool):
            units.append(window.mean((2, 3)))
        else:
            own = weight if isinstance(connectivity, Conv2d) else weight[:, y, x]
            units.append(torch.einsum("cpij,bpij->bc", own, window))
    return torch.stack(units, dim=2).unflatten(2, (height, width))


def test_every_connectivity_is_among_the_cases() -> None:
    ours = {kind for kind in Connectivity.known().values() if kind.__module__.startswith("neurosim.")}
    assert ours == {type(connectivity) for connectivity, _, _ in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_forward_is_its_definition(name: str) -> None:
    connectivity, pre, channels = CASES[name]
    weight, x, y = tensors(connectivity, pre, channels, (4,))
    expected = explicit_forward(connectivity, weight, x)
    assert expected.shape == y.shape, "post_shape tells the shape of the drive"
    assert close(connectivity.forward(weight, x, pre), expected)


@pytest.mark.parametrize("lead", [(4,), (1,), (3, 2)], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_laws(name: str, lead: Shape) -> None:
    connectivity, pre, channels = CASES[name]
    weight, x, y = tensors(connectivity, pre, channels, lead)
    check_laws(connectivity, weight, x, y, pre)
    backwards = list(range(x.ndim))[::-1], list(range(y.ndim))[::-1]
    check_laws(connectivity, weight, laid_out(x, backwards[0]), laid_out(y, backwards[1]), pre)
    if weight is not None:  # a weight in some other memory order gives the same numbers
        check_laws(connectivity, laid_out(weight, list(range(weight.ndim))[::-1]), x, y, pre)


extent = st.integers(1, 3)
field = st.tuples(extent, extent)


@given(
    kind=st.sampled_from([Dense, Conv2d, Local2d, AvgPool]),
    pre=st.tuples(st.sampled_from([1, 2, 8]), st.integers(3, 7), st.integers(3, 7)),
    channels=extent,
    kernel=field,
    stride=field,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    lead=st.one_of(st.tuples(extent), st.tuples(extent, extent)),
    shuffle=st.randoms(use_true_random=False),
)
def test_laws_in_any_shape_and_memory_order(kind, pre, channels, kernel, stride, padding, lead, shuffle) -> None:
    options = {Dense: {}, AvgPool: {"kernel": kernel, "stride": stride}}
    connectivity = kind(**options.get(kind, {"kernel": kernel, "stride": stride, "padding": padding}))
    channels = channels if connectivity.has_weights else pre[0]
    weight, x, y = tensors(connectivity, pre, channels, lead)
    x, y = (laid_out(signal, shuffle.sample(range(signal.ndim), signal.ndim)) for signal in (x, y))
    drive = connectivity.forward(weight, x, pre).flatten(0, len(lead) - 1)
    assert close(drive, explicit_forward(connectivity, weight, x.flatten(0, len(lead) - 1)))
    check_laws(connectivity, weight, x, y, pre)


@pytest.mark.parametrize("at_once", ["all", "one"])
@pytest.mark.parametrize("order", ["as given", "backwards"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_modulated_correlation_is_its_definition(
    name: str, order: str, at_once: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if at_once == "one":
        monkeypatch.setattr("neurosim.connectivity.local._MODULATED_BYTES", 1)
    connectivity, pre, channels = CASES[name]
    weight, x, y = tensors(connectivity, pre, channels, (4,))
    modulator = random((4, 3), 3)
    each = torch.stack([Connectivity.correlate(connectivity, y[b : b + 1], x[b : b + 1], pre) for b in range(4)])
    expected = torch.einsum("bm,b...->m...", modulator, each)
    if order == "backwards":
        x, y = (laid_out(signal, list(range(signal.ndim))[::-1]) for signal in (x, y))
    arranged = connectivity.arrange(torch.full((3 * channels, *weight.shape[1:]), torch.nan, dtype=torch.float64))
    for modulated in (connectivity.correlate_modulated, partial(Connectivity.correlate_modulated, connectivity)):
        assert close(modulated(y, x, modulator, pre), expected)
        out = arranged.clone(memory_format=torch.preserve_format).unflatten(0, (3, channels))
        assert close(modulated(y, x, modulator, pre, out=out), expected)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 1, 0]], ids=str)
def test_pooling_keeps_the_memory_order(order: list[int]) -> None:
    pool, d = AvgPool(2), laid_out(random((3, 4, 5, 6), 0), order)
    for found in (pool.forward(None, d, (4, 5, 6)), pool.transpose(None, d, (4, 10, 12))):
        assert sorted(range(4), key=found.stride, reverse=True) == order


@pytest.mark.parametrize("name", WEIGHTED)
def test_arranging_changes_no_value(name: str) -> None:
    connectivity, pre, channels = CASES[name]
    weight = random(connectivity.weight_shape(pre, connectivity.post_shape(pre, channels)), 0)
    assert torch.equal(connectivity.arrange(weight.clone()), weight)
    assert weight.shape[0] == channels
    assert weight.shape[connectivity.pre_axis(connectivity.post_shape(pre, channels))] == pre[0]


@pytest.mark.parametrize("name", WEIGHTED)
def test_fan_in_counts_the_inputs_of_one_unit(name: str) -> None:
    connectivity, pre, channels = CASES[name]
    post = connectivity.post_shape(pre, channels)
    ones = torch.ones(connectivity.weight_shape(pre, post), dtype=torch.float64, device="cpu")
    drive = connectivity.forward(ones, torch.ones(1, *pre, dtype=torch.float64, device="cpu"), pre)
    assert int(drive.max()) == connectivity.fan_in(pre)


@pytest.mark.parametrize("options", [(3, 1, 1), ((3, 2), (2, 1), (0, 2)), (2, 3, 0)], ids=str)
def test_local_with_equal_weights_is_a_convolution(options) -> None:
    local, conv, pre = Local2d(*options), Conv2d(*options), (3, 8, 7)
    shared, x, y = tensors(conv, pre, 4, (2, 3))
    weight = local.arrange(shared[:, None, None].expand(local.weight_shape(pre, tuple(y.shape[2:]))))
    assert close(local.forward(weight, x, pre), conv.forward(shared, x, pre))
    assert close(local.transpose(weight, y, pre), conv.transpose(shared, y, pre))
    assert close(local.correlate(y, x, pre).sum((1, 2)), conv.correlate(y, x, pre))


@frozen
class OwnRow(Connectivity):
    """A stranger's: a unit sees one row of an image, with weights of its own. Nothing but what must be defined."""

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        assert channels is not None
        return (channels, pre[1], 1)

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (post[0], *pre)

    def fan_in(self, pre: Shape) -> int:
        return pre[0] * pre[2]

    def pre_axis(self, post: Shape) -> int:
        return 1

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Tensor:
        return torch.einsum("cpyx,...pyx->...cy", weight, a).unsqueeze(-1)


def test_laws_of_a_strangers_connectivity() -> None:
    weight, x, y = tensors(OwnRow(), (2, 4, 3), 5, (3, 2))
    check_laws(OwnRow(), weight, x, y, (2, 4, 3))


@pytest.mark.parametrize("components", [1, 3])
def test_a_strangers_connectivity_learns(components: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its backpropagation is autograd's gradient, and so is what GEVB does at the output layer."""
    known = reference.drive

    def drive(connectivity: Connectivity, weight: Tensor | None, a: Tensor) -> Tensor:
        return (
            connectivity.forward(weight, a, ()) if isinstance(connectivity, OwnRow) else known(connectivity, weight, a)
        )

    monkeypatch.setattr(reference, "drive", drive)
    c = Circuit((2, 5, 4), OneHot(3), K=components)
    c.population("rows", (4, ...), gate=SignGate(), bias="channel")
    c.population("top", (6, ...), gate=SignGate())
    for pre, post, connectivity in [("input", "rows", OwnRow()), ("rows", "top", OwnRow()), ("top", "output", Dense())]:
        c.connect(pre, post, connectivity, rule=BP())
    simulator = Simulator(c, precision="float64", seed=1)
    scatter_biases(simulator)
    images, labels = batch_for(c, 6)
    expected = reference.Reference(simulator).gradients(images, labels)
    step = simulator.learn(images, labels)
    assert set(step.updates) == set(expected)
    for name, gradient in expected.items():
        assert float(gradient.abs().max()) > 1e-3
        assert close(step.updates[name], gradient), name
    if components > 1:
        assert float(Simulator(c.with_rules(GEVB())).learn(images, labels).updates["rows->top"].abs().max()) > 0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (lambda: Conv2d(0), r"kernel must be an integer >= 1, or \(height, width\) of such; got 0"),
        (lambda: Conv2d((3, 0)), r"kernel must be an integer >= 1, .* got \(3, 0\)"),
        (lambda: Conv2d(3, stride=0), "stride must be an integer >= 1, .* got 0"),
        (lambda: Conv2d(3, padding=-1), "padding must be an integer >= 0, .* got -1"),
        (lambda: Local2d(3, padding=(0, -1)), r"padding must be an integer >= 0, .* got \(0, -1\)"),
        (lambda: AvgPool(0), "kernel must be an integer >= 1, .* got 0"),
        (lambda: AvgPool(2, stride=0), "stride must be an integer >= 1, .* got 0"),
        (
            lambda: Conv2d(3).post_shape((7,), 4),
            r"Conv2d.* needs a presynaptic population of shape \(channels, height, width\), got \(7,\); use Dense\(\)",
        ),
        (lambda: Local2d(3).post_shape((7,), 4), r"Local2d.* needs a presynaptic population .* got \(7,\)"),
        (lambda: AvgPool(2).post_shape((7,), None), r"AvgPool.* needs a presynaptic population .* got \(7,\)"),
        (
            lambda: Conv2d(5).post_shape((1, 6, 4), 2),
            r"Conv2d\(kernel=\(5, 5\).*: its kernel does not fit into the presynaptic 6 x 4 even once",
        ),
        (lambda: Local2d(9, padding=1).post_shape((1, 6, 6), 2), "Local2d.* does not fit into the presynaptic 6 x 6"),
        (lambda: AvgPool(3).post_shape((1, 2, 9), None), "AvgPool.* does not fit into the presynaptic 2 x 9"),
        (
            lambda: AvgPool(2).post_shape((4, 6, 6), 5),
            "AvgPool.* keeps the 4 presynaptic channels, got a population of 5",
        ),
        (
            lambda: Dense().post_shape((3,), None),
            "Dense needs a postsynaptic population whose number of units is known",
        ),
        (lambda: Conv2d(3).post_shape((1, 6, 6), None), "Conv2d needs a postsynaptic .* number of channels is known"),
        (lambda: Local2d(3).post_shape((1, 6, 6), None), "Local2d needs a postsynaptic .* number of channels is known"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, text: str) -> None:
    with pytest.raises(CircuitError, match=text):
        wrong()


def test_what_a_subclass_must_define_is_said() -> None:
    class Unfinished(Connectivity):
        pass

    calls = {
        "post_shape": lambda c: c.post_shape((3,), 4),
        "weight_shape": lambda c: c.weight_shape((3,), (4,)),
        "fan_in": lambda c: c.fan_in((3,)),
        "pre_axis": lambda c: c.pre_axis((4,)),
        "forward": lambda c: c.forward(None, torch.zeros(1, 3, device="cpu"), (3,)),
    }
    for name, call in calls.items():
        with pytest.raises(NotImplementedError, match=rf"Unfinished must define {name}\("):
            call(Unfinished())
