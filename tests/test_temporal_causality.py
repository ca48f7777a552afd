"""Causal order in time: nothing of a bin is read before the bin, shown by taking it away, and mutants that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from small_circuits import batch_for, scatter_biases
from test_temporal import CAUSAL, CONNECTIVITIES, EARLY, GATES, LOSSES, READOUTS, RULES, K, circuit
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neurosim import Circuit, Simulator
from neurosim.errors import CircuitError
from neurosim.temporal import Bin, Plan, Stimulus, TemporalPass
from neurosim.temporal_step import Lesson, TemporalUpdates
from neurosim.vectorization import Temporal


def causal(rule: str, readout: str) -> bool:
    try:
        circuit(RULES[rule], EARLY["external"], READOUTS[readout]).check(Temporal("causal"))
    except CircuitError:
        return False
    return True


@pytest.mark.parametrize("readout", LOSSES)
def test_which_rules_are_causal(readout: str) -> None:
    assert [rule for rule in RULES if causal(rule, readout)] == list(CAUSAL)


def learner(c: Circuit) -> Simulator:
    simulator = Simulator(c, precision="float64", vectorization="temporal:causal", seed=1)
    scatter_biases(simulator)
    return simulator


# -- the proof -------------------------------------------------------------------------------------------------------


class Foresight(AssertionError):
    """Something was read that is not there yet, or happened before its turn."""


class Blindfold(TorchDispatchMode):
    """Refuses every operation that reads a NaN, whether or not anything comes of it; views read nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(zip((each.name for each in func._schema.arguments), args, strict=False)) | (kwargs or {})
        for argument in func._schema.arguments:
            only_written = argument.name == "out" or func.overloadpacket.__name__ in ("copy_", "fill_", "zero_")
            if only_written and argument.alias_info is not None or _is_view(func):
                continue
            for tensor in tree_leaves(given.get(argument.name)):
                if isinstance(tensor, Tensor) and tensor.is_floating_point() and bool(tensor.isnan().any()):
                    raise Foresight(f"{func} reads what is not there")
        return func(*args, **(kwargs or {}))


def _is_view(func: Any) -> bool:
    return any(made.alias_info is not None and not made.alias_info.is_write for made in func._schema.returns)


class Teacher:
    """Lets a simulator learn while every bin is NaN but the one that the learner has asked for.

    What belongs to a bin: synapses from scalar units, biases, targets. Afterwards a bin is hidden again, except that
    the loss, which is no part of learning, sees all targets after the last one.
    """

    def __init__(self, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.simulator, self.learner, self.happened = simulator, simulator._in_bins, list[tuple[str, int]]()
        c = simulator.circuit
        scalar = [name for name, group in c.groups.items() if c.populations[group.pre].scalar]
        self.tables = [simulator.weights[name] for name in scalar] + list(simulator.biases.values())
        assert len(self.tables) >= 3 and all(len(table) == K for table in self.tables)
        self.truth = [table.clone() for table in self.tables]
        monkeypatch.setattr(simulator._pass, "present", partial(self.present, simulator._pass.present))
        monkeypatch.setattr(simulator._pass, "bin", partial(self.bin, simulator._pass.bin))
        for verb in ("_judge_bin", "_grow", "_update_in_bin"):
            monkeypatch.setattr(self.learner, verb, partial(self.noted, verb, getattr(self.learner, verb)))

    def present(self, run: Callable[..., Any], stimulus: Stimulus, plan: Plan, *noise: Any) -> Iterator[Any]:
        bins = run(stimulus, plan, *noise)
        for component in range(K):
            self.reveal(component)
            yield next(bins)
            self.hide()
        assert next(bins, None) is None
        self.target.copy_(self.targets)

    def bin(self, run: Callable[..., Bin], stimulus: Stimulus, component: int, *arguments: Any) -> Bin:
        self.happened.append(("bin", component))
        return run(stimulus, component, *arguments)

    def noted(self, verb: str, run: Callable[..., None], lesson: Lesson, component: int, *arguments: Any) -> None:
        self.happened.append((verb, component))
        run(lesson, component, *arguments)

    def hide(self) -> None:
        for table in (*self.tables, self.target):
            table.fill_(torch.nan)

    def reveal(self, component: int) -> None:
        self.hide()
        for table, values in zip(self.tables, self.truth, strict=True):
            table[component] = values[component]
        self.target[:, component] = self.targets[:, component]

    def teach(self, images: Tensor, labels: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """Output and error, and the updates."""
        simulator, prepared = self.simulator, self.simulator._shown(images)
        self.targets = simulator._codewords[labels]
        self.target = self.targets.clone()
        out = {name: torch.zeros_like(parameter) for name, parameter in simulator._parameters.items()}
        self.hide()
        with torch.no_grad(), Blindfold():
            seen, _ = self.learner.compute(prepared, self.target, partial(simulator._present, prepared), out)
        return seen, out


def prove_causal(c: Circuit, monkeypatch: pytest.MonkeyPatch, slices: int = 1) -> None:
    """Bin by bin in order, each learnt from before the next one is there, and the same learning as with all there."""
    data = batch_for(c, 6)
    expected = learner(c).probe(*data)
    simulator = learner(c)
    teacher = Teacher(simulator, monkeypatch)
    parts = [slice(6 * part // slices, 6 * (part + 1) // slices) for part in range(slices)]
    monkeypatch.setattr(simulator._pass, "slices", lambda images: parts)
    seen, out = teacher.teach(*data)
    verbs = ["bin", "_judge_bin", "_grow", *(["_update_in_bin"] if simulator._in_bins._early else [])]
    in_order = [(verb, component) for component in range(K) for verb in verbs] * slices
    if teacher.happened != in_order:
        raise Foresight(f"expected {in_order}, got {teacher.happened}")
    close = torch.equal if slices == 1 else partial(torch.allclose, rtol=0.0, atol=1e-12)
    assert close(seen.activity.output, expected.output)
    assert close(seen.error, expected.error)
    assert bool(seen.losses.isfinite().all())
    assert out.keys() == expected.updates.keys()
    assert all(close(out[name], expected.updates[name]) for name in out)


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("gate", EARLY)
@pytest.mark.parametrize("rule", CAUSAL)
def test_nothing_of_a_bin_is_read_before_the_bin(
    rule: str, gate: str, connectivity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for readout in LOSSES:
        prove_causal(circuit(RULES[rule], GATES[gate], READOUTS[readout], connectivity), monkeypatch)


@pytest.mark.parametrize("rule", CAUSAL)
def test_every_slice_is_causal(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_causal(circuit(RULES[rule], GATES["first bin"], READOUTS["squared"], "local"), monkeypatch, slices=2)


@pytest.mark.parametrize("gate", EARLY)
def test_what_is_broken_in_one_bin_spoils_no_other(gate: str) -> None:
    """NaN in the last bin: the components before it are what they would have been, whenever it is computed."""
    c = circuit(RULES["gevb"], GATES[gate], READOUTS["squared"])
    simulator, data = learner(c), batch_for(c, 5)
    expected = simulator.probe(*data)
    simulator.weights["input->h1"][K - 1] = torch.nan
    broken = simulator.probe(*data)
    past = slice(0, K - 1)
    for what in ("output", "error"):
        assert torch.equal(getattr(broken, what)[:, past], getattr(expected, what)[:, past])
    for update in ("input->h1", "bias of h1"):
        assert torch.equal(broken.updates[update][past], expected.updates[update][past])
    assert bool(broken.updates["h2->output"].isnan().all()), "shared synapses hear of every bin"


# -- mutants that the proof must catch -------------------------------------------------------------------------------


def _one_bin_ahead(self: TemporalPass, stimulus: Stimulus, plan: Plan, noise: Any = None) -> Iterator[tuple[int, Bin]]:
    ahead = self.bin(stimulus, 0, plan, noise or {})
    for component in range(K):
        now = ahead
        if component + 1 < K:
            ahead = self.bin(stimulus, component + 1, plan, noise or {})
        yield component, now


def _reads_all_first(self: TemporalPass, images: Tensor) -> Stimulus:
    """Reads every bin's synapses from scalar units and every bias, and does nothing with them."""
    stimulus = _BEGIN(self, images)
    for synapses in (each for incoming in self.incoming.values() for each in incoming if each.unshared):
        for component in range(K):
            synapses.drive_in_bin(stimulus.scalars[synapses.group.pre], component)
    _ = [bias.clone() for bias in self.biases.values()]
    return stimulus


def _knows_all_first(self: TemporalPass, images: Tensor) -> Stimulus:
    """Computes the drives of all bins from scalar units before the first one; what _looks_up then uses."""
    stimulus = _BEGIN(self, images)
    self._ahead = {  # type: ignore[attr-defined]
        synapses.group.name: [synapses.drive_in_bin(stimulus.scalars[synapses.group.pre], mu) for mu in range(K)]
        for incoming in self.incoming.values()
        for synapses in incoming
        if synapses.unshared
    }
    self._currents = {name: bias.clone() for name, bias in self.biases.items()}  # type: ignore[attr-defined]
    return stimulus


def _looks_up(self: TemporalPass, name: str, component: int, live: Any) -> Tensor:
    total: Any = 0.0
    for each in self.incoming[name]:
        ahead = self._ahead.get(each.group.name) if each.unshared else None  # type: ignore[attr-defined]
        total = total + (each.drive_in_bin(live[each.group.pre], component) if ahead is None else ahead[component])
    bias = getattr(self, "_currents", self.biases).get(name)
    return total if bias is None else total + bias[component].reshape(*bias.shape[1:], *[1] * (total.ndim - bias.ndim))


def _looks_at_all_targets(self: TemporalUpdates, lesson: Lesson, component: int, now: Bin) -> None:
    _JUDGE(self, lesson, component, now)
    lesson.target.sum()


_BEGIN, _JUDGE = TemporalPass.begin, TemporalUpdates._judge_bin
#: what is replaced; every mutant learns the same as the original
MUTANTS: dict[str, list[tuple[type, str, Any]]] = {
    "one bin ahead": [(TemporalPass, "present", _one_bin_ahead)],
    "reads all first": [(TemporalPass, "begin", _reads_all_first)],
    "knows all first": [(TemporalPass, "begin", _knows_all_first), (TemporalPass, "_drive", _looks_up)],
    "looks at all targets": [(TemporalUpdates, "_judge_bin", _looks_at_all_targets)],
}


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("mutant", MUTANTS)
def test_foresight_is_noticed(mutant: str, connectivity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning that is the same to the last bit where nothing is hidden, and reads what it should not."""
    for rule, gate in zip(("gevb", "sign-symmetric", "local error"), EARLY, strict=True):
        c = circuit(RULES[rule], GATES[gate], READOUTS["squared"], connectivity)
        data = batch_for(c, 5)
        original = learner(c).probe(*data)
        with monkeypatch.context() as patch:
            for owner, name, function in MUTANTS[mutant]:
                patch.setattr(owner, name, function)
            mutated = learner(c).probe(*data)
            assert all(torch.equal(mutated.updates[name], original.updates[name]) for name in original.updates)
            with pytest.raises(Foresight, match="reads what is not there"):
                prove_causal(c, patch)


def test_a_bin_before_its_turn_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing hides the future, its order alone tells."""
    monkeypatch.setattr(TemporalPass, "present", _one_bin_ahead)
    monkeypatch.setattr(Teacher, "hide", lambda self: None)
    with pytest.raises(Foresight, match=r"got \[\('bin', 0\), \('bin', 1\), \('_judge_bin', 0\)"):
        prove_causal(circuit(RULES["gevb"], None, READOUTS["squared"]), monkeypatch)
