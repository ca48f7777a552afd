"""What a newcomer prints and reads: short descriptions, numbers that are refused when they are none, near names."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any, ClassVar

import pytest
import torch
from attrs import frozen
from torch import Tensor

from neurosim import Circuit, Conv2d, CreditForm, Dense, OneHot, PlasticityRule, SignGate, Simulator, Trainer, circuits
from neurosim.credit import CreditContext
from neurosim.datasets import load_dataset
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.plasticity import Signal

DIGITS = load_dataset("digits").subset(train=64, test=32)
IMAGES, LABELS = DIGITS.train.images, DIGITS.train.labels


def simulator(rule: PlasticityRule | None = None) -> Simulator:
    options = {} if rule is None else {"rule": rule}
    return Simulator(circuits.load("digits-fc", widths=(8, 6), **options), seed=0)


# -- short descriptions ----------------------------------------------------------------------------------------------


def test_an_activity_prints_names_and_shapes() -> None:
    activity = simulator().forward(IMAGES, keep="all")
    text = repr(activity)
    assert len(text.splitlines()) < 20 and "tensor(" not in text
    assert "<Activity: output (64, 10, 1) float32" in text
    assert "  a of fc1: (64, 10, 8) float32" in text and "  G of fc2: (64, 6) float32" in text
    assert torch.equal(activity["fc1"], activity.activations["fc1"])
    with pytest.raises(UnknownNameError, match="unknown population whose activation was kept 'fc3'; did you mean 'fc"):
        activity["fc3"]
    assert "fc1" in activity and "fc3" not in activity and ["fc1"] not in activity
    assert list(activity) == list(activity.activations) and len(activity) == len(activity.activations) == 4
    bare = simulator().forward(IMAGES, keep=())
    assert list(bare) == [] and bool(bare), "its output was kept"


def test_everything_of_a_step_prints_in_a_line() -> None:
    step = simulator().probe(IMAGES, LABELS)
    for thing in (
        step,
        step.credits,
        step.credits.seen,
        step.credits.context("fc1", circuits.load("digits-fc").groups["fc1->fc2"].rule),
    ):
        assert len(repr(thing)) < 200 and "tensor(" not in repr(thing)


def test_a_result_prints_its_last_epoch() -> None:
    result = Trainer(simulator(), DIGITS, epochs=3, checkpoint_every=1).run()
    assert len(repr(result)) < 400
    assert "all 3 epochs trained; 3 epochs, 4 checkpoints, the last of them: EpochRow(epoch=3" in repr(result)
    assert repr(Trainer(simulator(), DIGITS, epochs=0).run()) == (
        "<TrainingResult: all 0 epochs trained; 0 epochs, 1 checkpoints>"
    )


# -- numbers that are none -------------------------------------------------------------------------------------------


def test_a_score_is_its_two_sums_and_their_means() -> None:
    sim = simulator()
    score = sim.score(IMAGES, LABELS)
    loss, mistakes = score
    predicted = sim.predict(IMAGES)
    assert score.error_rate == float((predicted != LABELS).double().mean()) == int(mistakes) / 64
    assert score.mean_loss == float(loss) / 64 and (score.loss, score.mistakes) == (loss, mistakes)
    assert abs(score.mean_loss - sim.probe(IMAGES, LABELS).mean_loss) < 1e-5
    assert sim.probe(IMAGES, LABELS).error_rate == score.error_rate
    assert repr(score).startswith("<Score: mean loss 2.") and "of 64 mistaken" in repr(score)


def test_a_copied_score_is_the_same_score() -> None:
    score = simulator().score(IMAGES, LABELS)
    for other in (copy.copy(score), copy.deepcopy(score), pickle.loads(pickle.dumps(score)), score._replace()):
        assert type(other) is type(score) and tuple(map(float, other)) == tuple(map(float, score))
        assert (other.images, other.mean_loss, other.error_rate) == (64, score.mean_loss, score.error_rate)
    halved = score._replace(mistakes=torch.tensor(16), images=32)
    assert (halved.error_rate, float(halved.loss)) == (0.5, float(score.loss))


def diverged() -> tuple[Simulator, Tensor]:
    """What an image that is not a number leads to: a step is made without complaint, because it reads nothing."""
    sim, images = simulator(), torch.zeros(64, 1, 8, 8)
    images[3, 0, 1, 1] = math.nan
    sim.learn(images, LABELS)
    return sim, images


def test_a_loss_that_is_no_number_is_said_where_it_is_read() -> None:
    sim, images = diverged()
    step, score = sim.learn(images, LABELS), sim.score(IMAGES, LABELS)
    text = (
        "loss: expected a finite number, found nan; the simulator has diverged or was shown images that are not finite"
    )
    for read in (lambda: step.mean_loss, lambda: step.error_rate, lambda: score.mean_loss, lambda: score.error_rate):
        with pytest.raises(SimulationError, match=text):
            read()
    assert "NOT FINITE" in repr(step) and "NOT FINITE" in repr(score), "a repr says so and does not fail"
    assert "FINITE" not in repr(simulator().probe(IMAGES, LABELS))


# -- what a rule looks at --------------------------------------------------------------------------------------------


@frozen
class _Looking(PlasticityRule):
    """A stranger's rule that reads what an expression of its context says."""

    uses: ClassVar[frozenset[Signal]] = PlasticityRule.uses | {Signal.POSTSYNAPTIC}
    read: str = "context.error"

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT

    def credit(self, context: CreditContext) -> Tensor | None:
        found: Any = eval(self.read)
        assert found is not None
        return context.error.new_ones(()).expand(len(context.error), *context.units)


@pytest.mark.parametrize("need", ["activation", "pre_activation"])
def test_what_a_rule_looks_at_it_must_declare(need: str) -> None:
    """Even where it is there: the activation of fc1 is kept, because fc1 is presynaptic to fc2."""
    text = rf"_Looking.* looks at context.{need} at 'fc1' without declaring it; write needs = frozenset\(\{{.{need}"
    for look in (simulator(_Looking(f"context.{need}")).learn, simulator(_Looking(f"context.{need}")).probe):
        with pytest.raises(SimulationError, match=text):
            look(IMAGES, LABELS)


def test_a_misspelt_name_in_a_context_finds_its_neighbour() -> None:
    for wrong, near in (("activations", "activation"), ("pre_activations", "pre_activation"), ("unit", "units")):
        with pytest.raises(
            AttributeError, match=f"a CreditContext has no '{wrong}'; did you mean '{near}'. There is: "
        ):
            simulator(_Looking(f"context.{wrong}")).learn(IMAGES, LABELS)
    with pytest.raises(AttributeError, match="a CreditContext has no 'xyz'; there is: activation, batch_scale"):
        simulator(_Looking("context.xyz")).learn(IMAGES, LABELS)
    simulator(_Looking("hasattr(context, 'weights')")).learn(IMAGES, LABELS)


def test_the_units_of_a_context_are_the_populations_shape() -> None:
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("v", (2, 6, 6), gate=SignGate())
    c.connect("input", "v", Conv2d(3, padding=1), rule=_Looking("context.units == (2, 6, 6) or None"))
    c.connect("v", "output", Dense(), rule=_Looking())
    step = Simulator(c).learn(torch.zeros(3, 1, 6, 6), torch.arange(3))
    assert step.credit("v").shape == (3, 2, 6, 6)
