"""Untied synapses are K synapses side by side: in time one neuron has one, so circuits with any of them are refused."""

from __future__ import annotations

import pytest
from test_temporal import EARLY, GATES, READOUTS, RULES, circuit

from neurosim import Circuit, Relaxation, Simulator
from neurosim.errors import CircuitError
from neurosim.vectorization import ORDERS, Temporal

ADVICE = r"use sharing='tied', or vectorization='group' for K synapses side by side"


@pytest.mark.parametrize("relaxation", [None, Relaxation()], ids=str)
@pytest.mark.parametrize("gate", EARLY)
@pytest.mark.parametrize("order", ORDERS)
def test_untied_groups_are_refused(order: str, gate: str, relaxation: Relaxation | None) -> None:
    """Whatever draws the weights together afterwards: learning itself would need K of them."""
    for rule in ("gevb", "bp"):
        c = circuit(RULES[rule], GATES[gate], READOUTS["squared"])
        c.check(Temporal(order))
        untied = c.with_sharing("untied", relaxation)
        text = rf"^vectorization in time: untied: 'h1->h2', 'skip', 'h2->output'; in time one neuron has one .*{ADVICE}"
        with pytest.raises(CircuitError, match=text):
            untied.check(Temporal(order))
        with pytest.raises(CircuitError, match=text):
            Simulator(untied, vectorization=Temporal(order))
        untied.check("group")


def test_one_untied_group_is_enough() -> None:
    data = circuit(RULES["gevb"], GATES["sign"], READOUTS["squared"]).to_dict()
    for group in data["groups"]:
        if group["name"] == "skip":
            group["sharing"] = "untied"
    with pytest.raises(CircuitError, match=r"in time: untied: 'skip'; in time"):
        Circuit.from_dict(data).check("temporal")


def test_all_reasons_at_once() -> None:
    c = circuit(RULES["local error"], GATES["sign"], READOUTS["cross-entropy"]).with_sharing("untied")
    with pytest.raises(CircuitError, match=rf"{ADVICE}; the rule LocalError\(\) at population 'h1' cannot be computed"):
        c.check("temporal")
