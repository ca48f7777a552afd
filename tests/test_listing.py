"""`neurosim list`: what is installed, and what each rule declares that a synapse must have access to."""

from __future__ import annotations

import pytest

from neurosim.cli.listing import LISTS, circuit_lines, experiment_lines, rule_lines
from neurosim.plasticity import Signal, available_rules
from neurosim.published import published_experiments

#: by hand, from the equations: heading of each column that is marked
EXPECTED = {
    "gevb": {"pre", "gate", "error"},
    "bp": {"pre", "gate", "error", "feedback", "weights"},
    "fa": {"pre", "gate", "error", "feedback"},
    "dfa": {"pre", "gate", "error", "feedback"},
    "kickback": {"pre", "gate", "error", "feedback", "weights"},
    "sign-symmetric": {"pre", "gate", "error", "feedback", "weights"},
    "node-perturbation": {"pre", "gate", "scalar", "noise"},
    "local-error": {"pre", "gate", "post", "target"},
    "three-factor-hebbian": {"pre", "gate", "post", "scalar"},
}


@pytest.mark.parametrize("name", EXPECTED)
def test_marks_of_a_rule(name: str) -> None:
    head, *rows = rule_lines()
    headings = head.split()
    assert len(headings) == len(Signal)
    (row,) = (row for row in rows if row.split()[:1] == [name])
    marks = row.split()[1 : len(headings) + 1]
    assert {heading for heading, mark in zip(headings, marks, strict=True) if mark == "x"} == EXPECTED[name]
    assert set(marks) == {"x", "."}
    description = (available_rules()[name].__doc__ or "").splitlines()[0]
    assert row.endswith(description)


def test_every_rule_of_ours_is_checked_above() -> None:
    ours = {name for name, rule in available_rules().items() if rule.__module__.startswith("neurosim.")}
    assert ours == set(EXPECTED)


def test_every_heading_is_explained() -> None:
    head, *_, legend = rule_lines()
    assert [entry.split(": ")[0] for entry in legend.split(", ")] == head.split()


def test_experiments_and_circuits() -> None:
    lines = experiment_lines()
    assert [line.split()[0] for line in lines] == list(published_experiments())
    assert lines[0].split() == "table1/fc/vectorized/nonnegative/gevb test error 1.87 %".split()
    assert all(len(line.split()) > 3 for line in circuit_lines())
    assert set(LISTS) == {"circuits", "rules", "gates", "codes", "relaxations", "datasets", "experiments", "figures"}


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [
        ("gates", "SignGate(", "``G(h) = 1 where t . h >= 0`` (tie included), else 0 (Eq. 8)."),
        ("codes", "ErrorCorrecting(classes, length", "Words of a chosen length that differ in many bits"),
        ("relaxations", "NoiseRelaxation(presentations=100, rate=1.0, every=100) ", "An offline phase in which"),
    ],
)
def test_parts_of_circuits(kind: str, name: str, line: str) -> None:
    (found,) = (text for text in LISTS[kind]() if text.startswith(name))
    assert line in found
