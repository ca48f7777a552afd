"""Every law of the conformance suite catches a rule that breaks it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from attrs import field, frozen

from neurosim import GEVB, CreditForm, NodePerturbation, PlasticityRule, testing
from neurosim.errors import CircuitError
from neurosim.plasticity import Signal
from neurosim.testing import rule_laws

ROOT = Path(__file__).resolve().parents[1]
CIRCUIT = "dense, vector"
BARE = frozenset({Signal.PRESYNAPTIC, Signal.GATE})


class _PerUnit(PlasticityRule):
    def form(self, circuit: Any) -> CreditForm:
        return CreditForm.PER_UNIT

    def ones(self, context: Any) -> torch.Tensor:
        gate = context._pathways.seen.activity.gates[context.population]
        return torch.ones_like(gate)


@frozen
class UsesWeights(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        return context.feedback(context.forward_weights)


@frozen
class UsesFeedback(_PerUnit):
    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        size = population.shape
        return {"own": torch.rand(size, generator=stream(population.name), dtype=torch.float64, device="cpu")}

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * context.state("own")


@frozen
class UsesLoss(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * context.losses.unsqueeze(1)


@frozen
class UsesTarget(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * context.target[:, :1] + 1


@frozen
class UsesActivity(_PerUnit):
    needs = frozenset({"activation"})

    def credit(self, context: Any) -> torch.Tensor:
        return context.activation.square().sum(1)


@frozen
class UsesPreActivation(_PerUnit):
    needs = frozenset({"pre_activation"})

    def credit(self, context: Any) -> torch.Tensor:
        return context.pre_activation.square().sum(1)


@frozen
class UsesError(_PerUnit):
    uses = BARE

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * context.error[:, 0]


@frozen
class BroadcastsInSilence(GEVB):
    """Its credit is 1; the error vector, which the engine lends it, is not declared."""

    uses = BARE


@frozen
class LendsSilently(_PerUnit):
    uses = BARE

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context)


@frozen
class LooksFurtherThanItSays(_PerUnit):
    """Without FEEDBACK among its signals, a step of learning does not keep the gates of frozen populations."""

    uses = PlasticityRule.uses | {Signal.WEIGHTS}

    def credit(self, context: Any) -> torch.Tensor:
        return context.feedback(context.forward_weights)


@frozen
class UsesNoise(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        return context.noise()[:, 0]


@frozen
class MixesExamples(_PerUnit):
    uses = PlasticityRule.uses | {Signal.SCALAR}

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * context.losses.sum()


@frozen
class ChangesForNothing(PlasticityRule):
    def form(self, circuit: Any) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def credit(self, context: Any) -> torch.Tensor:
        gate = context._pathways.seen.activity.gates[context.population]
        return torch.ones_like(gate).unsqueeze(1).repeat(1, context.error.shape[1], 1) * context.batch_scale


@frozen
class DoesNothing(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        return 0 * self.ones(context)


@frozen
class ForgetsTheDevice(_PerUnit):
    def credit(self, context: Any) -> torch.Tensor:
        ones = self.ones(context)
        return torch.ones(ones.shape, dtype=ones.dtype, device="cpu")


@frozen
class LearnsWhileWatched(_PerUnit):
    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        return {"seen": torch.zeros(1, dtype=torch.float64, device="cpu")}

    def advance(self, context: Any) -> None:
        pass

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) + context.state("seen").add_(1)


MEMORY: dict[str, int] = {}


@frozen
class RemembersElsewhere(_PerUnit):
    """Two simulators share the memory, so that the second continues what the first began."""

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * (1 + MEMORY.get(context.population, 0))

    def advance(self, context: Any) -> None:
        MEMORY[context.population] = MEMORY.get(context.population, 0) + 1


@frozen
class KeepsAList(_PerUnit):
    """JSON gives back a tuple."""

    gains: list[float] = field(factory=lambda: [1.0, 2.0])

    def credit(self, context: Any) -> torch.Tensor:
        return self.gains[0] * self.ones(context)


class _Remembering(_PerUnit):
    """Its traces start equal everywhere and are changed by learning."""

    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        return {"trace": torch.zeros(population.shape, dtype=torch.float64, device="cpu")}

    def credit(self, context: Any) -> torch.Tensor:
        return self.ones(context) * (1 + context.state("trace"))


@frozen
class ForgetsNothing(_Remembering):
    """What it remembers is its own: it counts the steps."""

    def advance(self, context: Any) -> None:
        context.state("trace").add_(1)


@frozen
class CountsInOneNumber(ForgetsNothing):
    """Its trace has no dimension."""

    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        return {"trace": torch.zeros((), dtype=torch.float64, device="cpu")}


@frozen
class AdvancesNothing(UsesFeedback):
    """That it might change its constants makes none of them a trace."""

    def advance(self, context: Any) -> None:
        pass


@frozen
class AdvancesALittle(UsesFeedback):
    """A constant of the unit's own stays one when it changes."""

    def advance(self, context: Any) -> None:
        context.state("own").mul_(1.001)


@frozen
class RemembersWeights(_Remembering):
    def advance(self, context: Any) -> None:
        context.state("trace").copy_(context.one_hop(context.forward_weights).mean(0))


@frozen
class RemembersWeightsInItsFeedback(RemembersWeights):
    """Declared feedback is no place for forward weights either."""

    uses = PlasticityRule.uses | {Signal.FEEDBACK}

    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        size = population.shape
        return {"trace": torch.rand(size, generator=stream("own"), dtype=torch.float64, device="cpu")}


@frozen
class RemembersTheTarget(_Remembering):
    def advance(self, context: Any) -> None:
        context.state("trace").add_(context.target[:, 0].mean())


@frozen
class RemembersItsActivity(_Remembering):
    needs = frozenset({"activation"})

    def advance(self, context: Any) -> None:
        context.state("trace").copy_(context.activation.square().sum(1).mean(0))


@frozen
class RemembersFeedback(_Remembering):
    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        own = torch.rand(population.shape, generator=stream("own"), dtype=torch.float64, device="cpu")
        return {"own": own} | super().draw(circuit, population, stream)

    def advance(self, context: Any) -> None:
        context.state("trace").copy_(context.state("own"))


@frozen
class ShowsItsTrace(_Remembering):
    """A view of what advance changes: what a step shows changes after it."""

    def credit(self, context: Any) -> torch.Tensor:
        trace = context.state("trace")
        return trace.expand(len(context.error), *trace.shape)

    def draw(self, circuit: Any, population: Any, stream: Any) -> dict[str, torch.Tensor]:
        return {"trace": torch.ones(population.shape, dtype=torch.float64, device="cpu")}

    def advance(self, context: Any) -> None:
        context.state("trace").add_(1)


@frozen
class MixesExamplesUnderNoise(_PerUnit):
    """With noise, no two batches give the same, until the noise is held."""

    stochastic = True
    uses = PlasticityRule.uses | {Signal.NOISE}

    def credit(self, context: Any) -> torch.Tensor:
        return 1 + context.noise()[:, 0] + context.error.abs().mean()


@frozen
class ForgetsTheBatch(NodePerturbation):
    def credit(self, context: Any) -> torch.Tensor:
        return super().credit(context) / context.batch_scale


@frozen
class CountsWhatItSees(NodePerturbation):
    """Right side by side; in time, where a batch comes in slices, each weighs as much as the whole batch."""

    def credit(self, context: Any) -> torch.Tensor:
        return super().credit(context) / context.batch_scale / len(context.losses)


@frozen
class ClaimsChance(GEVB):
    stochastic = True


@frozen
class HidesChance(NodePerturbation):
    stochastic = False


CAUGHT = [
    (AdvancesNothing(), testing.nothing_undeclared_is_used, "specific feedback; what draw.. gives is that, unless it"),
    (AdvancesALittle(), testing.nothing_undeclared_is_used, "the credit at 'h1' depends on unit-specific feedback"),
    (
        RemembersWeights(),
        testing.nothing_undeclared_is_used,
        "'RemembersWeights/h1/trace' depends on forward weights",
    ),
    (RemembersWeightsInItsFeedback(), testing.nothing_undeclared_is_used, "h1/trace' depends on forward weights"),
    (RemembersTheTarget(), testing.nothing_undeclared_is_used, "h1/trace' depends on target"),
    (RemembersItsActivity(), testing.nothing_undeclared_is_used, "h1/trace' depends on postsynaptic activity"),
    (RemembersFeedback(), testing.nothing_undeclared_is_used, "h1/trace' depends on unit-specific feedback"),
    (MixesExamplesUnderNoise(), testing.a_batch_is_the_sum_of_its_examples, "is not the mean over its examples"),
    (ForgetsTheBatch(), testing.a_batch_is_the_sum_of_its_examples, "is not the mean over its examples"),
    (
        CountsWhatItSees(),
        testing.a_batch_is_the_sum_of_its_examples,
        "two slices .* use context.batch_scale, not",
    ),
    (
        ClaimsChance(),
        testing.chance_is_declared,
        "stochastic = True, but neither noise.. nor a redrawn pathway",
    ),
    (HidesChance(), testing.chance_is_declared, "drawn at every step, for 'h1'; say stochastic = True"),
    (
        ShowsItsTrace(),
        testing.learning_beside_others_is_what_the_probe_shows,
        "changes when the step is over, because it is a view of a trace, .* return a tensor of its own",
    ),
    (UsesWeights(), testing.nothing_undeclared_is_used, "the credit at 'h1' depends on forward weights"),
    (UsesFeedback(), testing.nothing_undeclared_is_used, "depends on unit-specific feedback"),
    (UsesLoss(), testing.nothing_undeclared_is_used, "depends on global scalar"),
    (UsesTarget(), testing.nothing_undeclared_is_used, "depends on target"),
    (UsesActivity(), testing.nothing_undeclared_is_used, "depends on postsynaptic activity"),
    (UsesPreActivation(), testing.nothing_undeclared_is_used, "depends on postsynaptic activity"),
    (UsesError(), testing.nothing_undeclared_is_used, "depends on global error vector"),
    (BroadcastsInSilence(), testing.nothing_undeclared_is_used, "update of 'input->h1' depends on global error vector"),
    (LendsSilently(), testing.nothing_undeclared_is_used, "update of 'input->h1' depends on global error vector"),
    (UsesNoise(), testing.nothing_undeclared_is_used, "depends on its own noise"),
    (MixesExamples(), testing.a_batch_is_the_sum_of_its_examples, "is not the mean over its examples"),
    (ChangesForNothing(), testing.zero_error_gives_zero_update, "'input->h1' changes without an error"),
    (DoesNothing(), testing.updates_have_the_shape_of_the_weights, "'input->h1' gets no update"),
    (LearnsWhileWatched(), testing.watching_changes_nothing, "learning makes another step than the probe showed"),
    (
        LooksFurtherThanItSays(),
        testing.learning_beside_others_is_what_the_probe_shows,
        "beside groups that are frozen learning makes another step than the probe shows: a signal is missing in uses",
    ),
    (RemembersElsewhere(), testing.saved_and_loaded_equals_unsaved, "a loaded state goes on differently"),
    (KeepsAList(), testing.its_circuit_is_saved_and_read_back, "is not rebuilt from its settings"),
]


@pytest.mark.parametrize(("rule", "law", "message"), CAUGHT, ids=lambda value: type(value).__name__)
def test_a_law_catches_the_rule_that_breaks_it(rule: PlasticityRule, law: Any, message: str) -> None:
    law(GEVB(), CIRCUIT)
    MEMORY.clear()
    with pytest.raises(AssertionError, match=message):
        law(rule, CIRCUIT)


def test_a_tensor_on_the_wrong_device_is_caught() -> None:
    with pytest.raises(Exception, match="device"):
        testing.a_step_runs_on_fake_cuda(ForgetsTheDevice(), CIRCUIT)


def test_every_law_is_seen_to_catch_something() -> None:
    elsewhere = {testing.a_step_runs_on_fake_cuda, testing.the_output_layer_follows_the_gradient}
    assert {law for _, law, _ in CAUGHT} == set(testing.LAWS) - elsewhere


def test_a_rule_that_applies_nowhere_is_no_success() -> None:
    class Refusing(GEVB):
        def refusal(self, circuit: Any, group: Any) -> str | None:
            return "it is never content"

    with pytest.raises(AssertionError, match="refuses every circuit of the suite: it is never content"):
        rule_laws(Refusing())


@pytest.mark.parametrize("rule", [ForgetsNothing(), CountsInOneNumber()])
def test_a_trace_of_its_own_is_no_feedback(rule: PlasticityRule) -> None:
    for law in testing.LAWS:
        law(rule, CIRCUIT)


class _HalfARule(PlasticityRule):
    def form(self, circuit: Any) -> CreditForm:
        return CreditForm.BROADCAST


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        (GEVB, "rule_laws: expected a rule such as GEVB.., got <class .*GEVB'>; write GEVB.*, an object of that class"),
        ("gevb", "rule_laws: expected a rule such as GEVB.., got 'gevb'; write rule_laws.rule_named.'gevb'"),
        (None, "rule_laws: expected a rule such as GEVB.., got None$"),
        (_HalfARule(), "rule_laws: _HalfARule must define credit"),
    ],
    ids=["class", "name", "nothing", "half a rule"],
)
def test_only_rules_are_held_to_laws(given: Any, text: str) -> None:
    with pytest.raises(CircuitError, match=text):
        rule_laws(given)


def test_the_rule_of_the_example_declares_what_it_uses() -> None:
    spec = importlib.util.spec_from_file_location("your_own_rule", ROOT / "examples" / "your_own_rule.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for law in testing.LAWS:
        law(example.RandomSigns(), CIRCUIT)
