"""The laws that every plasticity rule keeps, as a conformance suite for its author: one line of pytest.

    from neurosim.testing import rule_laws

    test_my_rule = rule_laws(MyRule())

runs every law on every circuit here that the rule does not refuse: dense, convolutional, locally connected and skipping
circuits, of vector and of scalar units. pytest must be installed; nothing else in neurosim needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor

from neurosim.circuit import OUTPUT, Circuit
from neurosim.credit import Presentation
from neurosim.description import slip
from neurosim.disturbances import alone, disturbances, is_view, remembered, sliced
from neurosim.errors import CircuitError
from neurosim.feedback import Feedback
from neurosim.law_circuits import CIRCUITS, INPUTS
from neurosim.optimizers import SGD
from neurosim.plasticity import PlasticityRule, Signal, no_rule, rule_named, rules_by_population
from neurosim.simulator import Simulator
from neurosim.step import bias_name

BATCH = 5
_NO_TRACE = "; what draw() gives is that, unless it starts equal everywhere and advance() changes it"


def refusal(rule: PlasticityRule, circuit: str) -> str | None:
    """Why a rule does not apply to one of :data:`CIRCUITS`, None where it does."""
    described = CIRCUITS[circuit](rule_named("bp"))
    reasons = (rule.refusal(described, group) for group in described.groups.values())
    return next((reason for reason in reasons if reason is not None), None)


def simulator_for(rule: PlasticityRule, circuit: str, seed: int = 0) -> Simulator:
    """A float64 simulator of one of :data:`CIRCUITS`, with biases that are not zero and untied weights that differ."""
    return _scattered(CIRCUITS[circuit](rule), seed)


def _scattered(described: Circuit, seed: int = 0) -> Simulator:
    simulator = Simulator(described, precision="float64", seed=seed, optimizer=SGD(0.05))
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for name, bias in simulator.biases.items():
        simulator.biases[name] = 0.1 * torch.randn(bias.shape, generator=generator, dtype=bias.dtype, device="cpu")
    for name, group in simulator.circuit.groups.items():
        if group.untied:  # they start equal, which would hide a component taken for another
            weight = simulator.weights[name]
            factor = torch.rand(weight.shape, generator=generator, dtype=weight.dtype, device="cpu").add_(0.5)
            simulator.weights[name] = weight * factor
    return simulator


def batch(simulator: Simulator, size: int = BATCH) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator(device="cpu").manual_seed(7)
    images = torch.randn((size, *INPUTS), generator=generator, dtype=torch.float64, device="cpu")
    labels = torch.randint(simulator.circuit.readout.classes, (size,), generator=generator, device="cpu")
    return images, labels


def updates_of(simulator: Simulator, seen: Presentation) -> dict[str, Tensor]:
    """The updates that a presentation leads to."""
    out = {name: torch.empty_like(parameter) for name, parameter in simulator._parameters.items()}
    simulator._updates.compute(seen, out)
    return out


def _sum(parts: Sequence[Mapping[str, Tensor]], divisor: int = 1) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).sum(0) / divisor for name in parts[0]}


def _largest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


# -- the laws ------------------------------------------------------------------------------------------------------


def updates_have_the_shape_of_the_weights(rule: PlasticityRule, circuit: str) -> None:
    """Every group and bias gets a finite update of its own shape, and none is a silent no-op."""
    simulator = simulator_for(rule, circuit)
    updates = simulator.probe(*batch(simulator, 64)).updates
    for name, weight in simulator.weights.items():
        assert updates[name].shape == weight.shape
        assert bool(updates[name].isfinite().all()) and bool(updates[name].any()), f"'{name}' gets no update"


def a_batch_is_the_sum_of_its_examples(rule: PlasticityRule, circuit: str) -> None:
    """The update of a batch is the mean of those of its examples alone, and the sum of those of its slices, whose
    ``batch_scale`` is that of the whole; with the same noise."""
    simulator = simulator_for(rule, circuit)
    images, labels = batch(simulator)
    seen = simulator.probe(images, labels).credits.seen
    each = [sliced(simulator, seen, images, slice(i, i + 1)) for i in range(BATCH)]
    halves = [sliced(simulator, seen, images, part) for part in (slice(0, 2), slice(2, BATCH))]
    whole, together = updates_of(simulator, seen), _sum([updates_of(simulator, half) for half in halves])
    mean = _sum([updates_of(simulator, alone(example)) for example in each], BATCH)
    assert _largest_difference(whole, mean) < 1e-8, "the update of a batch is not the mean over its examples"
    assert _largest_difference(whole, together) < 1e-8, (
        "the updates of two slices of a batch do not sum to that of the batch: use context.batch_scale, not the number "
        "of examples in sight"
    )


def chance_is_declared(rule: PlasticityRule, circuit: str) -> None:
    """A rule says ``stochastic`` where it draws noise or listens to a redrawn pathway, and nowhere else."""
    simulator = simulator_for(rule, circuit)
    seen, drawn = simulator.probe(*batch(simulator)).credits.seen, []

    def noise(label: str, population: str) -> Tensor:
        drawn.append(population)
        return seen.noise(label, population)

    def redraw(feedback: Feedback, group: str) -> Tensor:
        drawn.append(group)
        return seen.redraw(feedback, group)

    updates_of(simulator, attrs.evolve(seen, noise=noise, redraw=redraw))
    assert drawn or not rule.stochastic, "stochastic = True, but neither noise() nor a redrawn pathway is asked"
    assert rule.stochastic or not drawn, f"numbers are drawn at every step, for '{drawn[0]}'; say stochastic = True"


def zero_error_gives_zero_update(rule: PlasticityRule, circuit: str) -> None:
    """Error-driven rules change nothing where there is nothing to correct."""
    if not rule.error_driven:
        return
    simulator = simulator_for(rule, circuit)
    seen = simulator.probe(*batch(simulator)).credits.seen
    for name, update in updates_of(simulator, attrs.evolve(seen, error=torch.zeros_like(seen.error))).items():
        assert not bool(update.any()), f"'{name}' changes without an error; if that is meant, say error_driven = False"


def the_output_layer_follows_the_gradient(rule: PlasticityRule, circuit: str) -> None:
    """At the output the update is the exact gradient, whatever the rule."""
    simulator, reference = simulator_for(rule, circuit), simulator_for(rule_named("bp"), circuit)
    images, labels = batch(simulator)
    mine, exact = simulator.probe(images, labels).updates, reference.probe(images, labels).updates
    for group in simulator.circuit.into(OUTPUT):
        assert float((mine[group.name] - exact[group.name]).abs().max()) < 1e-12
    assert float((mine[f"bias of {OUTPUT}"] - exact[f"bias of {OUTPUT}"]).abs().max()) < 1e-12


def watching_changes_nothing(rule: PlasticityRule, circuit: str) -> None:
    """A probe shows the step that learning then makes, and leaves no trace."""
    watched, unwatched = simulator_for(rule, circuit), simulator_for(rule, circuit)
    images, labels = batch(watched)
    for _ in range(3):
        shown = {name: update.clone() for name, update in watched.probe(images, labels).updates.items()}
        watched.forward(images, keep="all")
        learned = watched.learn(images, labels).updates
        assert _largest_difference(shown, learned) == 0.0, "learning makes another step than the probe showed"
        unwatched.learn(images, labels)
    assert _largest_difference(watched.state_dict(), unwatched.state_dict()) == 0.0, "watching left a trace"


def learning_beside_others_is_what_the_probe_shows(rule: PlasticityRule, circuit: str) -> None:
    """So too where all later groups are frozen or learn by another rule, and learning keeps no more than it must."""
    described, gevb = CIRCUITS[circuit](rule), rule_named("gevb")
    later = [group for group in described.groups.values() if group.post != "h1"]
    applies = all(gevb.refusal(described, group) is None for group in later)
    for companion in (None, gevb) if applies else (None,):
        simulator = _scattered(described.with_rules({group.name: companion for group in later}))
        images, labels = batch(simulator)
        shown = simulator.probe(images, labels)
        credit, learned = shown.credit("h1", rule), simulator.learn(images, labels)
        apart = float((credit - learned.credit("h1", rule)).abs().max())
        assert apart < 1e-12 or not is_view(learned.credits.of("h1", rule), simulator), (
            "the credit of a step changes when the step is over, because it is a view of a trace, which advance "
            "changes in place; return a tensor of its own, state(key).clone() for one"
        )
        assert max(apart, _largest_difference(shown.updates, learned.updates)) < 1e-12, (
            f"beside groups that {'are frozen' if companion is None else f'learn by {companion}'} learning makes "
            f"another step than the probe shows: a signal is missing in uses, FEEDBACK or NOISE for one, or in needs"
        )


def saved_and_loaded_equals_unsaved(rule: PlasticityRule, circuit: str) -> None:
    """A state carries everything that the next steps depend on."""
    simulator, other = simulator_for(rule, circuit), simulator_for(rule, circuit)
    images, labels = batch(simulator)
    simulator.learn(images, labels)
    other.load_state_dict({name: tensor.clone() for name, tensor in simulator.state_dict().items()})
    for _ in range(2):
        simulator.learn(images, labels)
        other.learn(images, labels)
    difference = _largest_difference(simulator.state_dict(), other.state_dict())
    assert difference == 0.0, "a loaded state goes on differently: something is kept where the simulator does not save"


def a_step_runs_on_fake_cuda(rule: PlasticityRule, circuit: str) -> None:
    """No tensor is made on an implicit device and no value is read inside the step."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        simulator = Simulator(CIRCUITS[circuit](rule), device="cuda")
        images = torch.empty(BATCH, *INPUTS, device="cuda")
        labels = torch.empty(BATCH, dtype=torch.int64, device="cuda")
        for update in simulator.learn(images, labels).updates.values():
            assert update.device.type == "cuda"


def nothing_undeclared_is_used(rule: PlasticityRule, circuit: str) -> None:
    """What ``uses`` does not list can change without changing the postsynaptic factor of any hidden update, nor what
    the rule remembers of the step in its traces.

    Without the error no hidden update may change as a whole: to credit that has no axis for components the engine lends
    the error vector.
    """
    simulator, traces = simulator_for(rule, circuit), _traces(rule, circuit)
    seen = simulator.probe(*batch(simulator)).credits.seen
    for signal, changed in disturbances(seen, traces).items():
        if signal in rule.uses:
            continue
        for population, _ in rules_by_population(simulator.circuit):
            before, after = (_factor(simulator, each, population.name, rule) for each in (seen, changed))
            hint = _NO_TRACE if signal is Signal.FEEDBACK else ""
            assert torch.equal(before, after), f"the credit at '{population.name}' depends on {signal.value}{hint}"
        if signal is Signal.ERROR:
            shown, other = (_hidden_updates(simulator, each) for each in (seen, changed))
            for name, update in shown.items():
                assert torch.equal(update, other[name]), f"the update of '{name}' depends on {signal.value}"
        kept, disturbed = (remembered(simulator, each) for each in (seen, changed))
        # other constants differ there to begin with
        for name in sorted(traces if signal is Signal.FEEDBACK else kept):
            assert torch.equal(kept[name], disturbed[name]), f"the trace '{name}' depends on {signal.value}"


def its_circuit_is_saved_and_read_back(rule: PlasticityRule, circuit: str) -> None:
    """The circuit in a run file is rebuilt with an equal rule, every setting included."""
    described = CIRCUITS[circuit](rule)
    rebuilt = Circuit.from_json(described.to_json())
    equal = rebuilt == described and all(group.rule == rule for group in rebuilt.groups.values())
    assert equal, f"{rule} is not rebuilt from its settings; use numbers, texts and tuples of them"


def _factor(simulator: Simulator, seen: Presentation, population: str, rule: PlasticityRule) -> Tensor:
    return simulator._updates.credits(seen).gated(population, rule)


def _hidden_updates(simulator: Simulator, seen: Presentation) -> dict[str, Tensor]:
    of_output = {bias_name(OUTPUT), *(group.name for group in simulator.circuit.into(OUTPUT))}
    return {name: update for name, update in updates_of(simulator, seen).items() if name not in of_output}


def _traces(rule: PlasticityRule, circuit: str) -> frozenset[str]:
    """What a rule drew that is its own memory: it starts equal everywhere, so that it tells nothing of a unit, and
    learning changes it. All else that it drew is feedback, fixed or not."""
    simulator = simulator_for(rule, circuit)
    own = {name: t.clone() for name, t in simulator.feedback.items() if name.startswith(f"{rule.label}/")}
    for _ in range(2):
        simulator.learn(*batch(simulator))
    alike = (name for name, start in own.items() if bool((start == start.flatten()[:1]).all()))
    return frozenset(name for name in alike if not torch.equal(own[name], simulator.feedback[name]))


LAWS: tuple[Callable[[PlasticityRule, str], None], ...] = (
    updates_have_the_shape_of_the_weights,
    a_batch_is_the_sum_of_its_examples,
    chance_is_declared,
    zero_error_gives_zero_update,
    the_output_layer_follows_the_gradient,
    watching_changes_nothing,
    learning_beside_others_is_what_the_probe_shows,
    saved_and_loaded_equals_unsaved,
    a_step_runs_on_fake_cuda,
    nothing_undeclared_is_used,
    its_circuit_is_saved_and_read_back,
)


def _refuse_no_rule(given: Any) -> None:
    if not isinstance(given, PlasticityRule):
        named = f"; write rule_laws(rule_named({given!r}))" if isinstance(given, str) else slip(given)
        raise CircuitError(f"rule_laws: expected a rule such as GEVB(), got {given!r}{named}")
    if (reason := no_rule(type(given))) is not None:
        raise CircuitError(f"rule_laws: {reason}")


def rule_laws(rule: PlasticityRule) -> Any:
    """A pytest function that checks every law on every circuit to which ``rule`` applies.

    Raises:
        CircuitError: no object of a rule's class, or of a class that is no whole rule.
        AssertionError: the rule applies to no circuit at all.

    Example:
        >>> from neurosim import GEVB
        >>> test_gevb = rule_laws(GEVB())
    """
    import pytest

    _refuse_no_rule(rule)
    circuits = [name for name in CIRCUITS if refusal(rule, name) is None]
    assert circuits, f"{rule} refuses every circuit of the suite: {refusal(rule, next(iter(CIRCUITS)))}"

    @pytest.mark.parametrize("circuit", circuits)
    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
    def test(law: Callable[[PlasticityRule, str], None], circuit: str) -> None:
        law(rule, circuit)

    return test
