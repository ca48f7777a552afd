"""Circuits as text, as plain data and as JSON, and back."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_circuits import random_circuit

from neurosim import BP, GEVB, AvgPool, Circuit, Conv2d, Dense, HalfNormal, OneHot, OnOff, SignGate, Simulator
from neurosim.circuits import available_circuits, load
from neurosim.errors import CircuitError, UnknownNameError


def example() -> Circuit:
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d(3), rule=GEVB(), init=OnOff())
    c.relay("p1", "c1", AvgPool(2))
    c.population("f1", 6, bias=None)
    c.connect("p1", "f1", Dense(), rule=BP())
    c.connect("c1", "f1", Dense(), sign="nonpositive", init=HalfNormal(), name="inhibition")
    c.connect("f1", "output", Dense(), rule=GEVB())
    return c


PRINTED = """\
Circuit: K = 4 (vector units), readout OneHot(classes=4, loss='cross_entropy'), 630 weights
  population  shape      gate        bias
  input       (1, 6, 6)  scalar      -
  c1          (4, 4, 4)  SignGate()  channel
  p1          (4, 2, 2)  relay       -
  f1          (6,)       linear      -
  output      (1,)       linear      unit
  group       connectivity                                          rule    sign         init                   weights
  input->c1   Conv2d(kernel=(3, 3), stride=(1, 1), padding=(0, 0))  GEVB()  mixed        OnOff()                (4, 4, 1, 3, 3)
  inhibition  Dense()                                               frozen  nonpositive  HalfNormal(scale=1.0)  (6, 4, 4, 4)
  p1->f1      Dense()                                               BP()    mixed        He()                   (6, 4, 2, 2)
  f1->output  Dense()                                               GEVB()  mixed        He()                   (1, 6)
"""  # noqa: E501


def test_print() -> None:
    assert str(example()) + "\n" == PRINTED
    assert repr(example()) == "<Circuit: K = 4, 5 populations, 4 synapse groups>"


def test_print_of_a_conventional_circuit() -> None:
    c = Circuit(5, OneHot(3), K=1, output_bias=None)
    assert str(c).splitlines()[0] == (
        "Circuit: K = 1 (scalar units), readout OneHot(classes=3, loss='cross_entropy'), 0 weights"
    )
    assert "output      (3,)   linear  -" in str(c)


def same(c: Circuit, other: Circuit) -> None:
    """Equal in every way in which a circuit can be asked."""
    assert other == c
    assert other.to_json() == c.to_json()
    assert str(other) == str(c)
    assert other.order == c.order
    assert other.populations == c.populations
    assert other.groups == c.groups
    assert (other.K, other.readout, other.inputs) == (c.K, c.readout, c.inputs)
    for name in c.populations:
        assert {g.name for g in other.into(name)} == {g.name for g in c.into(name)}
    assert [other.site(group) for group in other.groups.values()] == [c.site(group) for group in c.groups.values()]


@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
@pytest.mark.parametrize("name", available_circuits())
def test_ready_made_circuits_come_back(name: str, sign: str) -> None:
    c = load(name, sign=sign)
    same(c, Circuit.from_json(c.to_json()))
    same(c, Circuit.from_dict(c.to_dict()))


@given(st.randoms(use_true_random=False))
def test_any_circuit_comes_back(random: Random) -> None:
    c = random_circuit(random)
    same(c, Circuit.from_json(c.to_json()))
    first, second = Circuit.from_dict(c.to_dict()), Circuit.from_json(Circuit.from_json(c.to_json()).to_json())
    for name in c.populations:  # sums are taken in this order, so that copies agree to the last bit
        assert [g.name for g in first.into(name)] == [g.name for g in second.into(name)]


def test_a_circuit_under_construction_comes_back() -> None:
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (4, ...))
    again = Circuit.from_json(c.to_json())
    same(c, again)
    again.connect("input", "c1", Conv2d(3))
    assert again.populations["c1"].shape == (4, 4, 4)


def test_a_copy_is_a_copy() -> None:
    c = example()
    data = c.to_dict()
    again = Circuit.from_dict(data)
    data["populations"].clear()
    again.population("more", 2)
    assert c == example()


def test_a_rule_that_is_not_installed_is_named() -> None:
    data = example().to_dict()
    data["groups"][0]["rule"] = {"type": "NotInstalled"}
    with pytest.raises(UnknownNameError, match="unknown rule.* 'NotInstalled'; known: .*BP, "):
        Circuit.from_dict(data)


def test_equality() -> None:
    changes = {
        "inputs": lambda: Circuit((1, 6, 7), OneHot(4)),
        "readout": lambda: Circuit((1, 6, 6), OneHot(4, "squared")),
        "K": lambda: Circuit((1, 6, 6), OneHot(4), K=1),
        "output bias": lambda: Circuit((1, 6, 6), OneHot(4), output_bias=None),
    }
    plain = Circuit((1, 6, 6), OneHot(4))
    assert plain == Circuit((1, 6, 6), OneHot(4))
    assert all(plain != change() for change in changes.values())
    assert plain != "Circuit"
    with pytest.raises(TypeError, match="unhashable"):
        hash(plain)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("populations", 0, "gate"), None),
        (("populations", 0, "bias"), "unit"),
        (("populations", 0, "bias_rule"), {"type": "BP"}),
        (("populations", 0, "bias_rule"), None),
        (("populations", 2, "population"), "f2"),
        (("groups", 0, "rule"), None),
        (("groups", 0, "rule"), {"type": "BP"}),
        (("groups", 0, "name"), "first"),
        (("groups", 1, "sign"), "nonnegative"),
        (("groups", 1, "init", "scale"), 2.0),
        (("groups", 3, "init"), {"type": "Zeros"}),
    ],
)
def test_every_difference_counts(path: tuple[Any, ...], value: Any) -> None:
    text = example().to_json()
    data = json.loads(text)
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    if path[-1] == "population":
        data = json.loads(json.dumps(data).replace('"f1"', '"f2"'))
    changed = Circuit.from_dict(data)
    assert changed != example()
    assert json.loads(changed.to_json()) == data


def broken(**changes: Any) -> str:
    return json.dumps(example().to_dict() | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "the circuit's text is not JSON: Expecting property name"),
        ("[]", "these data are no circuit: expected format 'neurosim-circuit'"),
        ("{}", "these data are no circuit: expected format 'neurosim-circuit'"),
        (broken(format="x"), "these data are no circuit: expected format 'neurosim-circuit'"),
        (broken(version=2), "circuit data of version 2; this neurosim reads version 1"),
        (json.dumps({"format": "neurosim-circuit", "version": 1}), "incomplete or malformed: KeyError('inputs')"),
        (broken(groups=[{}]), "circuit data are incomplete or malformed: KeyError('pre')"),
        (broken(groups=[3]), "circuit data are incomplete or malformed: TypeError"),
        (broken(populations=[{"relay": "r", "pre": "inptu"}]), "circuit data are incomplete or malformed: KeyError"),
        (broken(readout={"type": "TwoHot"}), "'TwoHot'; did you mean 'OneHot'? Known: "),
        (broken(K=3), "K = 3 does not fit the readout"),
        (broken(populations=[]), "unknown population 'c1'"),
    ],
)
def test_text_that_is_no_circuit_is_refused(text: str, said: str) -> None:
    with pytest.raises((CircuitError, UnknownNameError), match=re.escape(said)):
        Circuit.from_json(text)


def test_the_builders_checks_run_again() -> None:
    data = example().to_dict()
    data["groups"][0]["sign"] = "nonnegative"
    with pytest.raises(CircuitError, match=r"group 'input->c1': OnOff\(\) draws weights for sign='mixed' here"):
        Circuit.from_dict(data)


def test_a_simulator_keeps_a_copy() -> None:
    c = example()
    c.connect("p1", "output", Dense())
    simulator = Simulator(c)
    c.population("more", 2)
    assert "more" not in simulator.circuit.populations
    assert simulator.circuit != c
