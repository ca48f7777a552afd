"""The sign-match theorem, weight by weight: where its conditions are met it holds, where not it can fail."""

from __future__ import annotations

import pytest
import torch
from small_circuits import batch_for, scatter_biases, small

from neurosim import BP, GEVB, Circuit, Conv2d, Dense, HalfNormal, OneHot, SignGate, Simulator
from neurosim.analysis import sign_agreement
from neurosim.analysis.active_paths import active_paths
from neurosim.analysis.sign_agreement import SignAgreement, compare_signs
from neurosim.circuits import available_circuits
from neurosim.errors import SimulationError
from neurosim.plasticity import rule_named


def test_zeros_are_counted_by_themselves() -> None:
    update = torch.tensor([1.0, -1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    exact = torch.tensor([2.0, -2.0, -1.0, 1.0, 0.0, 0.0, 0.0])
    found = compare_signs(update, exact)
    assert found == SignAgreement(agree=2, disagree=1, only_gradient=1, only_update=1, both_zero=2)
    assert found.share == 0.5 and found.total == 7 and (found + found).agree == 4
    assert torch.tensor(compare_signs(update, torch.zeros(7)).share).isnan()
    with pytest.raises(SimulationError, match=r"\(7,\) and \(2,\)"):
        compare_signs(update, torch.zeros(2))


def gevb(name: str, sign: str) -> Simulator:
    simulator = Simulator(small(name, sign=sign, rule=GEVB()), seed=2)
    scatter_biases(simulator)
    return simulator


@pytest.mark.parametrize("name", available_circuits())
def test_nonnegative_networks_agree_per_example(name: str) -> None:
    """For every weight that is one synapse; where weights are shared over space the theorem says nothing."""
    simulator = gevb(name, "nonnegative")
    circuit = simulator.circuit
    found = sign_agreement(simulator, *batch_for(circuit, 6))
    assert list(found) == list(circuit.groups)
    for group, counts in found.items():
        assert counts.total == 6 * simulator.weights[group].numel()
        if not isinstance(circuit.groups[group].connectivity, Conv2d):
            assert counts.share == 1.0 and counts.disagree == counts.only_gradient == 0


@pytest.mark.parametrize("name", ["digits-fc", "mnist-lc"])
def test_mixed_networks_do_not_agree(name: str) -> None:
    simulator = gevb(name, "mixed")
    found = sign_agreement(simulator, *batch_for(simulator.circuit, 16))
    hidden = [counts for group, counts in found.items() if not group.endswith("->output")]
    assert all(0.05 < counts.share < 0.95 for counts in hidden)
    assert found["fc2->output" if name == "digits-fc" else "fc1->output"].share == 1.0, "the exact gradient"


def test_a_batch_has_no_guarantee() -> None:
    simulator = gevb("digits-fc", "nonnegative")
    data = batch_for(simulator.circuit, 64)
    share = sign_agreement(simulator, *data, per="batch")["input->fc1"].share
    assert 0.5 < share < 1


def test_backpropagation_is_the_gradient() -> None:
    simulator = gevb("digits-fc", "mixed")
    for counts in sign_agreement(simulator, *batch_for(simulator.circuit, 4), rule=BP(), per="batch").values():
        assert counts.share == 1.0 and counts.only_update == 0


def test_only_update_is_where_paths_are_missing() -> None:
    """Half of the last hidden layer has weight 0 onto the output at ON/OFF initialization (Appendix C)."""
    simulator = Simulator(small("digits-fc", rule=GEVB()), seed=2)
    images, labels = batch_for(simulator.circuit, 8)
    without = active_paths(simulator, images)
    assert without.missing["fc2"] == pytest.approx(0.5, abs=1e-6) and not without.condition.met
    assert sign_agreement(simulator, images, labels)["fc1->fc2"].only_update > 0
    for group in simulator.circuit.groups:
        if group != "input->fc1":
            simulator.weights[group] = torch.full_like(simulator.weights[group], 0.01)
    assert active_paths(simulator, images).condition.met
    assert sign_agreement(simulator, images, labels)["fc1->fc2"].only_update == 0


def test_nothing_is_changed_and_slips_are_refused() -> None:
    simulator = gevb("digits-fc", "nonnegative")
    data = batch_for(simulator.circuit, 2)
    before = {key: tensor.clone() for key, tensor in simulator.state_dict().items()}
    sign_agreement(simulator, *data)
    assert all(torch.equal(tensor, before[key]) for key, tensor in simulator.state_dict().items())
    with pytest.raises(SimulationError, match="'example' or 'batch', got 'image'"):
        sign_agreement(simulator, *data, per="image")
    with pytest.raises(SimulationError, match="rule Kickback.* cannot apply"):
        sign_agreement(simulator, *data, rule=rule_named("kickback"))
    with pytest.raises(SimulationError, match="nothing learns"):
        sign_agreement(Simulator(simulator.circuit.with_rules(None)), *data)


def test_untied_weights_above_can_turn_tied_ones_below() -> None:
    """An untied group agrees, and so does the first layer; a tied group whose signals cross it need not."""
    c = Circuit(5, OneHot(4))
    for name, pre in (("h1", "input"), ("h2", "h1")):
        c.population(name, 8, gate=SignGate())
        nonnegative = {} if pre == "input" else {"sign": "nonnegative", "init": HalfNormal(2.0)}
        c.connect(pre, name, Dense(), rule=GEVB(), **nonnegative)
    c.connect("h2", "output", Dense(), rule=GEVB(), sign="nonnegative", init=HalfNormal(2.0), sharing="untied")
    simulator = Simulator(c, precision="float64")
    weight = simulator.weights["h2->output"]
    generator = torch.Generator(device="cpu").manual_seed(0)
    simulator.weights["h2->output"] = torch.rand(weight.shape, generator=generator, device="cpu", dtype=torch.float64)
    found = sign_agreement(simulator, *batch_for(c, 32))
    assert found["input->h1"].share == found["h2->output"].share == 1.0
    assert 0.5 < found["h1->h2"].share < 1.0
    assert [condition.name for condition in c.guarantees().conditions if not condition.met] == [
        "vectorized weight sharing"
    ]
