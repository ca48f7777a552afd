"""A circuit for the gratings, after the first areas of visual cortex."""

from __future__ import annotations

from typing import Literal

from neurosim import Circuit
from neurosim.connectivity import AvgPool, Conv2d, Dense
from neurosim.gates import SignGate
from neurosim.initializers import OnOff
from neurosim.plasticity import PlasticityRule
from neurosim.readout import OneHot
from neurosim_example.gratings import ORIENTATIONS, SIZE
from neurosim_example.metaplastic import Metaplastic


def gratings_v1(
    sign: Literal["nonnegative", "mixed"] = "nonnegative", rule: PlasticityRule | None = None, cells: int = 16
) -> Circuit:
    """Gratings (12x12): 16 channels of V1 cells, pooled to complex cells; 32 V2 cells and a shortcut past them."""
    learned = Metaplastic() if rule is None else rule
    circuit = Circuit((1, SIZE, SIZE), OneHot(ORIENTATIONS))
    circuit.population("v1", (cells, ...), gate=SignGate(), bias="channel")
    circuit.connect("input", "v1", Conv2d(5, padding=2), rule=learned, init=OnOff())
    circuit.relay("complex", "v1", AvgPool(3))
    circuit.population("v2", (2 * cells,), gate=SignGate())
    circuit.connect("complex", "v2", Dense(), rule=learned, init=OnOff(), sign=sign)
    circuit.connect("v2", "output", Dense(), rule=learned, init=OnOff(), sign=sign)
    circuit.connect("complex", "output", Dense(), rule=learned, init=OnOff(), sign=sign, name="shortcut")
    return circuit.check()
