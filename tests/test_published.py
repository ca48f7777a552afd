"""The 48 experiments of Tables 1 and 2, and how they are chosen."""

from __future__ import annotations

import itertools
import re

import pytest

from neurosim.circuit_library import load
from neurosim.errors import UnknownNameError
from neurosim.published import Protocol, published_experiments, select
from neurosim.rules import BP, DFA, GEVB

ALL = published_experiments()
#: hand-copied from the paper's Tables 1 and 2
SPOT_CHECKS = {
    "table1/fc/vectorized/nonnegative/gevb": (1.87, 0.06),
    "table1/conv/conventional/nonnegative/dfa": (1.56, 0.67),
    "table1/lc/vectorized/mixed/bp": (1.44, None),
    "table2/fc/vectorized/nonnegative/gevb": (47.62, 1.25),
    "table2/fc/conventional/mixed/bp": (45.69, 0.73),
}


def test_every_combination_is_there_once() -> None:
    expected = {
        "/".join(parts)
        for network, rules in (("vectorized", ["gevb", "bp"]), ("conventional", ["dfa", "bp"]))
        for parts in itertools.product(
            ["table1", "table2"], ["fc", "conv", "lc"], [network], ["nonnegative", "mixed"], rules
        )
    }
    assert set(ALL) == expected and len(ALL) == 48
    assert {experiment.protocol for experiment in ALL.values()} == {Protocol(190, 10, 128, 3e-4, 5)}
    assert all(name == experiment.name for name, experiment in ALL.items())


@pytest.mark.parametrize("name", SPOT_CHECKS)
def test_published_numbers(name: str) -> None:
    assert (ALL[name].test_error, ALL[name].train_error) == SPOT_CHECKS[name]


@pytest.mark.parametrize("name", ALL)
def test_the_circuit_is_what_the_name_says(name: str) -> None:
    table, architecture, network, sign, rule = name.split("/")
    dataset = {"table1": "mnist", "table2": "cifar10"}[table]
    assert ALL[name].dataset == dataset
    circuit = ALL[name].build()
    conventional = network == "conventional"
    assert circuit.K == (1 if conventional else 10) and circuit.output_units == (10 if conventional else 1)
    limits = (0.0, 1.0) if sign == "nonnegative" else (-1.0, 1.0)
    expected = {"gevb": GEVB(), "bp": BP(), "dfa": DFA(limits=limits)}[rule]
    assert {group.rule for group in circuit.groups.values()} == {expected}
    assert {group.sign for group in circuit.groups.values() if group.pre != "input"} == {sign}
    assert circuit == load(f"{dataset}-{architecture}", sign=sign, rule=expected, conventional=conventional)


def test_select() -> None:
    assert [e.name for e in select(ALL)] == list(ALL)
    assert len(select(ALL, parts=["table1", "fc"])) == 8
    assert len(select(ALL, parts=["conv,lc", "gevb,dfa", "mixed"])) == 8
    assert len(select(ALL, ["table1/fc"])) == 8
    assert len(select(ALL, ["table2/*/gevb"])) == 6
    assert [e.name for e in select(ALL, ["table1/fc"], ["gevb", "mixed"])] == ["table1/fc/vectorized/mixed/gevb"]


@pytest.mark.parametrize(
    ("patterns", "parts", "message"),
    [
        ([], ["gevbb"], "unknown part of an experiment's name 'gevbb'; did you mean 'gevb'? Known: bp, "),
        (["table3/fc"], [], "Known: table1, table2; beginnings stand for all that follow, whole names: `neurosim l"),
        (["table9"], [], "unknown experiment 'table9'; did you mean 'table2'? Known: table1, table2; beginnings"),
        (["table1/f"], [], "unknown experiment 'table1/f'; did you mean 'table1/fc'? Known: table1/conv, table1/fc"),
        (["table1/fc/vectorised/mixed"], [], "Known: table1/fc/conventional, table1/fc/vectorized; beginnings"),
        (
            ["table1"],
            ["gevb", "conventional"],
            "unknown combination of filters 'table1 gevb conventional'; known: conv, fc, gevb, lc, mixed, nonnegative, "
            "table1, vectorized; each fits some, together none: these are the parts of names that 'conventional' had",
        ),
    ],
)
def test_filters_that_select_nothing(patterns: list[str], parts: list[str], message: str) -> None:
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        select(ALL, patterns, parts)
