"""FA, DFA and their relatives against independent truth: backpropagation where they coincide, formulas elsewhere."""

from __future__ import annotations

import attrs
import pytest
import torch
import torch.nn.functional as F

from neurosim import BP, Adam, Binary, Circuit, Dense, OneHot, SignGate, Simulator
from neurosim.errors import CircuitError, SimulationError
from neurosim.feedback import FixedRandom, ForwardSigns
from neurosim.rules import DFA, FA, GEVB, Kickback, LocalError, NodePerturbation, SignSymmetric, ThreeFactorHebbian
from neurosim.testing import CIRCUITS, batch, simulator_for

SPATIAL = [name for name in CIRCUITS if "one scalar" not in name]


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def updates(simulator, data):
    return {name: update.clone() for name, update in simulator.probe(*data).updates.items()}


def one_hidden_layer(rule, K, hidden=6):
    circuit = Circuit(5, OneHot(4), K=K)
    circuit.population("h", hidden, gate=SignGate())
    circuit.connect("input", "h", Dense(), rule=rule)
    circuit.connect("h", "output", Dense(), rule=rule)
    return circuit


def data(size=8, inputs=5, classes=4):
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(size, inputs, generator=generator, dtype=torch.float64)
    return images, torch.randint(classes, (size,), generator=generator)


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_fa_through_the_forward_weights_is_bp(circuit):
    fa, bp = simulator_for(FA(), circuit), simulator_for(BP(), circuit)
    assert largest_difference(updates(fa, batch(fa)), updates(bp, batch(fa))) > 1e-3
    for name in fa.feedback:
        fa.feedback[name] = fa.weights[name.removeprefix("fa/")]
    assert largest_difference(updates(fa, batch(fa)), updates(bp, batch(fa))) < 1e-10


@pytest.mark.parametrize("K", [None, 1])
def test_dfa_through_the_output_weights_is_bp(K):
    dfa, bp = (Simulator(one_hidden_layer(rule, K), precision="float64") for rule in (DFA(), BP()))
    assert largest_difference(updates(dfa, data()), updates(bp, data())) > 1e-3
    dfa.feedback["dfa/h/D"] = dfa.weights["h->output"]
    assert largest_difference(updates(dfa, data()), updates(bp, data())) < 1e-12


def test_dfa_matrix_is_uniform_and_its_rows_are_shared():
    circuit = Circuit(5, OneHot(10), K=1)
    for name, width in (("small", 400), ("large", 1000)):
        circuit.population(name, width, gate=SignGate())
    rule = DFA(limits=(0, 1))
    circuit.connect("input", "large", Dense(), rule=rule)
    circuit.connect("large", "small", Dense(), rule=rule)
    circuit.connect("small", "output", Dense(), rule=rule)
    simulator = Simulator(circuit)
    large, small = simulator.feedback["dfa/large/D"], simulator.feedback["dfa/small/D"]
    assert large.shape == (10, 1000) and small.shape == (10, 400)
    assert torch.equal(large[:, :400], small)  # the first rows of one matrix, a row per unit
    assert 0 <= float(large.min()) and float(large.max()) < 1
    assert abs(float(large.mean()) - 0.5) < 5 * 12**-0.5 / 100
    spatial = simulator_for(DFA(), "convolutional, scalar").feedback["dfa/h1/D"]
    assert spatial.shape == (3, 4, 6, 6) and float(spatial.min()) < -0.9


@pytest.mark.parametrize("magnitude", ["unit", "fixed", "redrawn"])
@pytest.mark.parametrize("circuit", SPATIAL)
def test_sign_symmetric_feedback_has_the_forward_signs(circuit, magnitude):
    """Equal to FA through weights of those signs and magnitudes."""
    feedback = ForwardSigns(magnitude)
    simulator, fa = simulator_for(SignSymmetric(feedback), circuit), simulator_for(FA(), circuit)
    seen = simulator.probe(*batch(simulator)).credits.seen
    for name in fa.feedback:
        group = name.removeprefix("fa/")
        if magnitude == "unit":
            size = torch.ones_like(simulator.weights[group])
        else:
            kept = (
                seen.redraw(feedback, group)
                if magnitude == "redrawn"
                else simulator.feedback[f"{feedback.name}/{group}"]
            )
            size = kept
            assert bool((size >= 0).all())
        fa.feedback[name] = size * torch.sign(simulator.weights[group])
    assert largest_difference(updates(simulator, batch(simulator)), updates(fa, batch(simulator))) < 1e-10


def test_redrawn_magnitudes_change_with_every_step_and_follow_from_the_seed():
    one, other = (simulator_for(SignSymmetric(ForwardSigns("redrawn")), "dense, scalar") for _ in range(2))
    before = updates(one, batch(one))
    assert largest_difference(before, updates(one, batch(one))) == 0.0
    for simulator in (one, other):
        state = {name: weight.clone() for name, weight in simulator.weights.items()}
        simulator.learn(*batch(one))
        for name, weight in state.items():
            simulator.weights[name] = weight
        for name in simulator.biases:
            simulator.biases[name] = torch.zeros_like(simulator.biases[name])
    assert largest_difference(before, updates(one, batch(one))) > 1e-3
    assert largest_difference(updates(one, batch(one)), updates(other, batch(one))) == 0.0


def test_kickback_is_one_layer_of_backpropagation():
    """In a network with one hidden layer the truncation cuts nothing; deeper it is the sum over active next units."""
    shallow = Circuit(5, Binary(2))
    shallow.population("h", 6, gate=SignGate())
    shallow.connect("input", "h", Dense(), rule=BP())
    shallow.connect("h", "output", Dense(), rule=BP())
    bp, kick = (Simulator(shallow.with_rules(rule), precision="float64") for rule in (BP(), Kickback()))
    assert largest_difference(updates(bp, data(classes=2)), updates(kick, data(classes=2))) < 1e-12
    deep = simulator_for(Kickback(), "dense, one scalar output")
    step = deep.probe(*batch(deep))
    expected = step.activity.gates["h2"] @ deep.weights["h1->h2"]
    assert float((step.credit("h1") - expected).abs().max()) < 1e-12


@pytest.mark.parametrize("circuit", [name for name in CIRCUITS if name.endswith(("vector", "vector, squared"))])
def test_local_errors_are_gradients_of_local_losses(circuit):
    simulator = simulator_for(LocalError(), circuit)
    images, labels = batch(simulator)
    step = simulator.probe(images, labels)
    for population in ("h1", "h2"):
        a = step.activity.activations[population].clone().requires_grad_()
        units = a.flatten(2).shape[2]
        guesses = a.flatten(2).transpose(1, 2).reshape(-1, simulator.circuit.K)
        each = labels.repeat_interleave(units)
        if simulator.circuit.readout.loss == "cross_entropy":
            loss = F.cross_entropy(guesses, each, reduction="sum")
        else:
            loss = 0.5 * (guesses - F.one_hot(each, simulator.circuit.K)).square().sum()
        (expected,) = torch.autograd.grad(loss / len(labels), a)
        assert float((step.credit(population) - expected).abs().max()) < 1e-12


def test_three_factor_hebbian_by_hand():
    simulator = Simulator(one_hidden_layer(ThreeFactorHebbian(rate=0.5), None), precision="float64")
    images, labels = data()
    step = simulator.probe(images, labels)
    losses = F.cross_entropy(step.output.flatten(1), labels, reduction="none")
    a = step.activity.activations["h"]
    expected = torch.einsum("b,bki,bj->kij", losses / 8, a, images)  # nothing is expected yet
    assert float((step.updates["input->h"] - expected).abs().max()) < 1e-12
    simulator.learn(images, labels)
    trace = simulator.feedback["ThreeFactorHebbian/h/expected_loss"]
    assert abs(float(trace) - 0.5 * float(losses.mean())) < 1e-12


def test_two_modulated_rules_of_different_rates_are_what_they_are_alone():
    def build(first, second):
        circuit = Circuit(5, OneHot(4))
        for name in ("a", "b"):
            circuit.population(name, 6, gate=SignGate())
        circuit.connect("input", "a", Dense(), rule=first)
        circuit.connect("a", "b", Dense(), rule=second)
        circuit.connect("b", "output", Dense(), rule=BP())
        return circuit

    def second_step(*rules):
        simulator = Simulator(build(*rules), precision="float64")
        simulator.learn(*data())  # nothing was expected yet, so that it is the same step at every rate
        return updates(simulator, data())

    slow, fast = ThreeFactorHebbian(rate=0.1), ThreeFactorHebbian(rate=0.9, name="fast")
    mixed = second_step(slow, fast)
    for rule, group in ((slow, "input->a"), (fast, "a->b")):
        assert torch.equal(mixed[group], second_step(rule, rule)[group])
    assert not torch.equal(mixed["a->b"], second_step(slow, slow)["a->b"])
    assert Circuit.from_json(build(slow, fast).to_json()) == build(slow, fast)
    with pytest.raises(CircuitError, match="under the name 'ThreeFactorHebbian'; give one another name="):
        Simulator(build(slow, ThreeFactorHebbian(rate=0.9)))


def test_a_rule_that_has_no_name_is_told_what_to_do():
    @attrs.frozen
    class _Drawing(GEVB):
        gain: float = 1.0

        def draw(self, circuit, population, stream):
            return {"gain": torch.full((1,), self.gain, dtype=torch.float64)}

    circuit = one_hidden_layer(_Drawing(), None)
    circuit.population("g", 4, gate=SignGate())
    circuit.connect("input", "g", Dense(), rule=_Drawing(2.0))
    circuit.connect("g", "output", Dense())
    with pytest.raises(CircuitError, match="_Drawing has no name= .* everywhere, or give the class a field"):
        Simulator(circuit)


@pytest.mark.parametrize(("K", "loss", "sigma"), [(None, "squared", 0.1), (1, "cross_entropy", 1e-3)])
def test_node_perturbation_is_unbiased(K, loss, sigma):
    """Mean squared z-score of the mean over many draws against the gradient: within 10 % of 1.

    Wide layers, because the entries of an update share the noise of their unit: 1,200 independent scores or 300.
    """

    def build(rule):
        circuit = Circuit(5, OneHot(4, loss=loss), K=K)
        for name, width in (("a", 200), ("b", 100)) if K is None else (("a", 1000), ("b", 200)):
            circuit.population(name, width, gate=SignGate())
        for pre, post in (("input", "a"), ("a", "b"), ("b", "output")):
            circuit.connect(pre, post, Dense(), rule=rule)
        return Simulator(circuit, precision="float64")

    simulator, (images, labels) = build(NodePerturbation(sigma)), data(size=4)
    exact = updates(build(BP()), (images, labels))
    repeats, draws = 50, 40  # examples are independent draws, so a batch of copies is many draws at once
    many = images.repeat(repeats, 1), labels.repeat(repeats)
    samples = {name: [] for name in ("bias of a", "bias of b")}
    for draw in range(draws):
        simulator._steps = draw
        step = simulator.probe(*many)
        for name in samples:
            samples[name].append(step.updates[name].clone())
    scores = []
    for name, found in samples.items():
        error = (torch.stack(found).mean(0) - exact[name]) / (torch.stack(found).std(0) / draws**0.5)
        scores.append(error[torch.isfinite(error)].flatten())  # units that are closed on every example have none
    squared = torch.cat(scores).square().mean() * (draws - 3) / (draws - 1)  # Student's t has a wider spread
    assert abs(float(squared) - 1.0) < 0.1, float(squared)


def test_four_rules_in_one_circuit_are_what_they_are_alone():
    rules = {"input->a": FA(), "a->b": GEVB(), "b->c": DFA(), "c->output": BP()}

    def build(rule_of):
        circuit = Circuit(5, OneHot(4))
        for name, width in (("a", 8), ("b", 6), ("c", 6)):
            circuit.population(name, width, gate=SignGate())
        for name in rules:
            pre, post = name.split("->")
            circuit.connect(pre, post, Dense(), rule=rule_of(name))
        return Simulator(circuit, precision="float64", optimizer=Adam(0.01))

    mixed = build(rules.__getitem__)
    images, labels = data()
    together = updates(mixed, (images, labels))
    for name, rule in rules.items():
        alone = build(lambda _, rule=rule: rule)
        for key, value in alone.feedback.items():
            if key in mixed.feedback:
                assert torch.equal(value, mixed.feedback[key])
        assert torch.equal(updates(alone, (images, labels))[name], together[name])
    before = float(mixed.score(images, labels)[0])
    for _ in range(200):
        mixed.learn(images, labels)
    assert float(mixed.score(images, labels)[0]) < 0.7 * before


@pytest.mark.parametrize("rule", [BP(), FA(), NodePerturbation()], ids=lambda rule: type(rule).__name__)
def test_two_rules_in_one_population_look_as_far_as_either(rule):
    """GEVB needs no gate below a population, the other rule needs all of them, frozen groups' included."""
    circuit = Circuit(5, OneHot(4))
    circuit.population("side", 8, gate=SignGate())
    circuit.connect("input", "side", Dense())
    circuit.population("a", 8, gate=SignGate(), bias_rule=GEVB())
    circuit.connect("input", "a", Dense(), rule=rule)
    circuit.connect("side", "a", Dense(), rule=GEVB())
    circuit.population("b", 6, gate=SignGate())
    circuit.connect("a", "b", Dense())
    circuit.connect("b", "output", Dense())
    kinds = {"precision": "float64", "optimizer": Adam(0.01)}
    learned, watched = Simulator(circuit, **kinds).learn(*data()), Simulator(circuit, **kinds).probe(*data())
    assert largest_difference(learned.updates, watched.updates) < 1e-14


def test_feedback_runs_through_frozen_groups_and_is_shared():
    circuit = simulator_for(FA(), "dense, vector").circuit.with_rules({"h1->h2": None})
    simulator = Simulator(circuit)
    assert set(simulator.feedback) == {"fa/h1->h2", "fa/h2->output"}
    circuit = circuit.with_rules({"h1->h2": FA(FixedRandom("another"))})
    assert set(Simulator(circuit.with_rules({"h2->output": None})).feedback) == {
        "fa/h1->h2",
        "fa/h2->output",
        "another/h2->output",
    }


def test_refusals_and_mistakes():
    with pytest.raises(CircuitError, match="cannot apply: it is defined for one scalar output"):
        one_hidden_layer(Kickback(), None)
    with pytest.raises(CircuitError, match="cannot apply: each unit predicts the target itself"):
        one_hidden_layer(LocalError(), 1)
    with pytest.raises(CircuitError, match=r"DFA.limits must be \(low, high\)"):
        DFA(limits=(1, 0))
    clash = one_hidden_layer(DFA(), None)
    clash.population("g", 4, gate=SignGate())
    clash.connect("input", "g", Dense(), rule=DFA(limits=(0, 1)))
    clash.connect("g", "output", Dense())
    with pytest.raises(CircuitError, match="under the name 'dfa'; give one another name="):
        Simulator(clash)
    stranger = Simulator(one_hidden_layer(GEVB(), None), precision="float64").probe(*data())
    for rule, text in ((FA(), "no rule of the circuit listens to it"), (DFA(), "keeps nothing for 'h'")):
        with pytest.raises(SimulationError, match=text):
            stranger.credit("h", rule)
    assert attrs.evolve(DFA(), name="other").label == "other"
