"""The circuits on which every rule is held to the laws of ``neurosim.testing``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from neurosim.circuit import OUTPUT, Circuit
from neurosim.connectivity import AvgPool, Connectivity, Conv2d, Dense, Local2d
from neurosim.gates import SignGate
from neurosim.initializers import HalfNormal
from neurosim.plasticity import PlasticityRule
from neurosim.readout import Binary, OneHot, Readout
from neurosim.relaxation import NoiseRelaxation, Relaxation

INPUTS, CLASSES = (2, 6, 6), 3


def _chain(readout: Readout, K: int | None, rule: PlasticityRule, first: Connectivity, pooled: bool) -> Circuit:
    circuit = Circuit(INPUTS, readout, K=K)
    spatial = not isinstance(first, Dense)
    circuit.population("h1", (4, ...) if spatial else (6,), gate=SignGate(), bias="channel")
    circuit.connect("input", "h1", first, rule=rule)
    pre = "h1"
    if pooled:
        circuit.relay("pool", "h1", AvgPool(2))
        pre = "pool"
    circuit.population("h2", (4, ...) if spatial else (4,), gate=SignGate())
    circuit.connect(pre, "h2", first, rule=rule, sign="nonnegative", init=HalfNormal())
    circuit.connect("h2", OUTPUT, Dense(), rule=rule, sign="nonnegative", init=HalfNormal())
    return circuit


def _skipping(readout: Readout, K: int | None, rule: PlasticityRule, first: Connectivity) -> Circuit:
    circuit = _chain(readout, K, rule, first, pooled=False)
    circuit.connect("input", "h2", first, rule=rule)
    circuit.connect("h1", OUTPUT, Dense(), rule=rule, name="skip")
    return circuit


_SHAPES: dict[str, Callable[[Readout, int | None, PlasticityRule], Circuit]] = {
    "dense": lambda readout, K, rule: _chain(readout, K, rule, Dense(), False),
    "convolutional": lambda readout, K, rule: _chain(readout, K, rule, Conv2d(3, padding=1), True),
    "local": lambda readout, K, rule: _chain(readout, K, rule, Local2d(3, padding=1), True),
    "skip": lambda readout, K, rule: _skipping(readout, K, rule, Dense()),
    "convolutional skip": lambda readout, K, rule: _skipping(readout, K, rule, Conv2d(3, padding=1)),
    "local skip": lambda readout, K, rule: _skipping(readout, K, rule, Local2d(3, padding=1)),
}
_UNITS: dict[str, tuple[Readout, int | None]] = {
    "vector": (OneHot(CLASSES), None),
    "vector, squared": (OneHot(CLASSES, loss="squared"), None),
    "scalar": (OneHot(CLASSES), 1),
    "one scalar output": (Binary(2), 1),
}


def _untied(rule: PlasticityRule) -> Circuit:
    """Tied and untied groups, side by side and one after the other, with both relaxations."""
    circuit = Circuit(INPUTS, OneHot(CLASSES))
    relaxation, noisy = Relaxation(0.5), NoiseRelaxation(presentations=2, every=1)
    circuit.population("h1", (4, ...), gate=SignGate(), bias="channel")
    circuit.connect("input", "h1", Conv2d(3, padding=1), rule=rule)
    circuit.relay("pool", "h1", AvgPool(2))
    circuit.population("h2", (4, ...), gate=SignGate())
    circuit.connect("pool", "h2", Conv2d(3, padding=1), rule=rule, sharing="untied", relaxation=relaxation)
    circuit.population("h3", (4,), gate=SignGate())
    circuit.connect("h2", "h3", Dense(), rule=rule, sign="nonnegative", init=HalfNormal())
    circuit.connect("h1", "h3", Dense(), rule=rule, sharing="untied")
    circuit.connect("h3", OUTPUT, Dense(), rule=rule, sharing="untied", relaxation=noisy)
    circuit.connect("h1", OUTPUT, Dense(), rule=rule, name="skip")
    return circuit


#: name -> the circuit in which every group learns by a rule
CIRCUITS: dict[str, Callable[[PlasticityRule], Circuit]] = {
    f"{shape}, {units}": partial(build, readout, K)
    for shape, build in _SHAPES.items()
    for units, (readout, K) in _UNITS.items()
} | {"untied, vector": _untied}
