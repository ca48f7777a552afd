"""A small circuit for scikit-learn's embedded digits, the default of every example."""

from __future__ import annotations

from collections.abc import Sequence

from neurosim.circuit import Circuit
from neurosim.circuits.paper import Sign, network
from neurosim.gates import Gate
from neurosim.plasticity import PlasticityRule
from neurosim.readout import Readout


def digits_fc(
    sign: Sign = "nonnegative",
    rule: PlasticityRule | None = None,
    widths: Sequence[int] = (256, 128),
    conventional: bool = False,
    readout: Readout | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """Digits (8x8), fully connected: 256, 128 vector units."""
    return network((1, 8, 8), [], widths, sign=sign, rule=rule, conventional=conventional, readout=readout, gate=gate)
