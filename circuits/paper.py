"""The networks of Tables 3 and 4 of Clark, Abbott & Chung (NeurIPS 2021).

With vector units by default; ``conventional=True`` gives the conventional network of the same architecture, with scalar
units (K = 1) and ten output units.

Where the paper's text leaves a choice:

- Biases: one per channel in convolutional populations, one per unit (so per position) in locally connected ones, and
  at the output. All have K components and start at 0.
- Average pooling follows the gates of the first two convolutional or local populations.
- The loss is softmax cross-entropy on the one vector output unit.
- The first layer and all biases keep mixed signs; "nonnegative" means every weight past the first layer, output
  included.
- Locally connected CIFAR-10: Table 4 gives FC1 = 512; the published runs of the vectorized network had 256, and so has
  this one; the conventional network has 512. Pass ``fc1=512`` for the table's.
- Conventional networks: the published runs flattened ``(channels, height, width)`` before FC1 and paired adjacent
  entries for the ON/OFF initialization, which breaks its pairs there; the vectorized ones kept channel pairs. The
  conventional networks here reproduce that, by ``OnOff(flattened=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from neurosim.circuit import INPUT, OUTPUT, Circuit
from neurosim.connectivity import AvgPool, Connectivity, Conv2d, Dense, Local2d
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.gates import Gate, ReLU, SignGate
from neurosim.initializers import He, Initializer, OnOff
from neurosim.plasticity import PlasticityRule
from neurosim.readout import OneHot, Readout
from neurosim.rules.bp import BP
from neurosim.rules.gevb import GEVB

Sign = Literal["nonnegative", "mixed"]
#: channels, connectivity, whether average pooling follows
Layer = tuple[int, Connectivity, bool]


def network(
    inputs: tuple[int, ...],
    layers: Sequence[Layer],
    widths: Sequence[int],
    *,
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    readout: Readout | None = None,
    gate: Gate | None = None,
    conventional: bool = False,
) -> Circuit:
    """A feedforward network of the paper: spatial ``layers``, then fully connected ``widths``, then the output.

    Args:
        inputs: shape of one image.
        layers: ``(channels, connectivity, pooled)``; named ``conv1``, ``lc1``, ... with relays ``pool1``, ...
        widths: units of the fully connected populations ``fc1``, ``fc2``, ...
        sign: ``"nonnegative"`` (ON/OFF initialization) or ``"mixed"`` (He initialization) past the first layer.
        rule: the rule of every group; default GEVB, in conventional networks BP.
        readout: default one-hot with ten classes and softmax cross-entropy.
        gate: of every population but the pools and the output; default :class:`SignGate`.
        conventional: scalar units (K = 1) and one output unit per component of the readout.

    Raises:
        UnknownNameError: another sign.
        CircuitError: :class:`ReLU` with nonnegative weights.
    """
    circuit = Circuit(inputs, readout or OneHot(10), K=1 if conventional else None)
    _refuse_sign(sign, gate, circuit.K)
    init: Initializer = OnOff() if sign == "nonnegative" else He()
    gate = gate if gate is not None else SignGate()
    learned = rule if rule is not None else BP() if conventional else GEVB()
    pre = INPUT

    def connect(post: str, connectivity: Connectivity) -> None:
        limit = "mixed" if circuit.populations[pre].scalar else sign
        flattens = conventional and isinstance(connectivity, Dense) and len(circuit.populations[pre].shape) > 1
        broken = flattens and pre != INPUT and sign == "nonnegative"  # see the module's docstring
        circuit.connect(
            pre, post, connectivity, rule=learned, sign=limit, init=OnOff(flattened=True) if broken else init
        )

    for number, (channels, connectivity, pooled) in enumerate(layers, start=1):
        local = isinstance(connectivity, Local2d)
        name = f"{'lc' if local else 'conv'}{number}"
        circuit.population(name, (channels, ...), gate=gate, bias="unit" if local else "channel")
        connect(name, connectivity)
        pre = name
        if pooled:
            circuit.relay(f"pool{number}", name, AvgPool(2))
            pre = f"pool{number}"
    for number, width in enumerate(widths, start=1):
        circuit.population(f"fc{number}", (width,), gate=gate)
        connect(f"fc{number}", Dense())
        pre = f"fc{number}"
    connect(OUTPUT, Dense())
    return circuit.check()


def _refuse_sign(sign: str, gate: Gate | None, components: int) -> None:
    if sign not in get_args(Sign):
        raise UnknownNameError("sign", sign, get_args(Sign))
    if isinstance(gate, ReLU) and components == 1 and sign == "nonnegative":  # for vector units the gate refuses itself
        raise CircuitError(
            "gate=ReLU() with sign='nonnegative': weights past the first layer of rectified activity give no negative "
            "pre-activation, so that every later gate is open at initialization and its layer linear; use sign='mixed'"
        )


MNIST, CIFAR10 = (1, 28, 28), (3, 32, 32)


def mnist_fc(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    widths: Sequence[int] = (1024, 512),
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """MNIST, fully connected: 1024, 512 vector units (Table 3)."""
    return network(MNIST, [], widths, sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)


def mnist_conv(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    channels: Sequence[int] = (64, 32),
    fc1: int = 1024,
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """MNIST, convolutional: 64 and 32 channels of 3x3, pooled, then 1024 (Table 3)."""
    layers: list[Layer] = [(n, Conv2d(3, padding=1), True) for n in channels]
    return network(MNIST, layers, [fc1], sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)


def mnist_lc(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    channels: Sequence[int] = (32, 32),
    fc1: int = 1024,
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """MNIST, locally connected: 32 and 32 channels of 3x3, pooled, then 1024 (Table 3)."""
    layers: list[Layer] = [(n, Local2d(3, padding=1), True) for n in channels]
    return network(MNIST, layers, [fc1], sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)


def _three(channels: Sequence[int]) -> tuple[int, int, int]:
    if len(channels) != 3:
        raise CircuitError(f"channels: the network has three spatial populations, got {tuple(channels)}")
    return channels[0], channels[1], channels[2]


def cifar10_fc(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    widths: Sequence[int] = (1024, 512, 512),
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """CIFAR-10, fully connected: 1024, 512, 512 vector units (Table 4)."""
    return network(CIFAR10, [], widths, sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)


def cifar10_conv(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    channels: Sequence[int] = (128, 64, 64),
    fc1: int = 1024,
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """CIFAR-10, convolutional: 128 and 64 channels of 5x5, pooled, 64 of 2x2 with stride 2, then 1024 (Table 4)."""
    first, second, third = _three(channels)
    layers: list[Layer] = [
        (first, Conv2d(5, padding=2), True),
        (second, Conv2d(5, padding=2), True),
        (third, Conv2d(2, stride=2), False),
    ]
    return network(CIFAR10, layers, [fc1], sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)


def cifar10_lc(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    channels: Sequence[int] = (64, 32, 32),
    fc1: int | None = None,
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """CIFAR-10, locally connected: 64, 32 channels of 5x5, pooled, 32 of 2x2 with stride 2, then 256 (Table 4: 512)."""
    first, second, third = _three(channels)
    layers: list[Layer] = [
        (first, Local2d(5, padding=2), True),
        (second, Local2d(5, padding=2), True),
        (third, Local2d(2, stride=2), False),
    ]
    width = fc1 or (512 if conventional else 256)
    return network(
        CIFAR10, layers, [width], sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate
    )
