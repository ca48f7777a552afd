"""`neurosim list`: what is installed, and what each rule declares that a synapse must have access to."""

from __future__ import annotations

import pytest

from neurosim.cli import main
from neurosim.cli.listing import LISTS, circuit_lines, experiment_lines, rule_lines
from neurosim.plasticity import Signal, available_rules
from neurosim.published import published_experiments
from neurosim.vectorization import ORDERS

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
    (at,) = (at for at, row in enumerate(rows) if row.split()[:1] == [name])
    row, below = rows[at : at + 2]
    marks = row.split()[1 : len(headings) + 1]
    assert {heading for heading, mark in zip(headings, marks, strict=True) if mark == "x"} == EXPECTED[name]
    assert set(marks) == {"x", "."}
    description = (available_rules()[name].__doc__ or "").splitlines()[0]
    assert below.strip() and description.startswith(below.strip())


def test_every_rule_of_ours_is_checked_above() -> None:
    ours = {name for name, rule in available_rules().items() if rule.__module__.startswith("neurosim.")}
    assert ours == set(EXPECTED)


def test_every_heading_is_explained() -> None:
    head, *rows = rule_lines()
    legend = " ".join(rows[next(at for at, row in enumerate(rows) if row.startswith("pre: ")) :])
    assert [entry.split(": ")[0] for entry in legend.split(", ")] == head.split()


def test_experiments_and_circuits() -> None:
    words = " ".join(experiment_lines()[1:]).split()
    assert words[::2] == list(published_experiments()), "whole names, so that each can be copied"
    assert words[:2] == ["table1/fc/vectorized/nonnegative/gevb", "1.87"]
    assert len(experiment_lines()) == 1 + len(words) / 4
    assert all(len(line.split()) > 3 for line in circuit_lines() if not line.startswith(" "))


def test_every_kind_of_part_has_a_list(monkeypatch, capsys) -> None:
    kinds = ["circuits", "connectivities", "rules", "gates", "initializers", "codes", "losses", "relaxations"]
    assert [*LISTS] == [*kinds, "vectorizations", "optimizers", "datasets", "experiments", "figures"]
    monkeypatch.setattr("sys.argv", ["neurosim", "list", "--help"])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().out
    assert all(kind in told for kind in LISTS)


@pytest.mark.parametrize("kind", LISTS)
def test_no_line_is_wider_than_a_terminal(kind: str) -> None:
    assert max(len(f"  {line}") for line in LISTS[kind]()) <= 120


def test_names_that_options_take() -> None:
    first = {kind: [line.split()[0] for line in LISTS[kind]()] for kind in ("vectorizations", "optimizers")}
    assert first["vectorizations"] == ["group", "temporal", *(f"temporal:{order}" for order in ORDERS)]
    assert first["optimizers"] == ["adam", "sgd"]
    assert "OneHot           cross_entropy, squared, logistic" in LISTS["losses"]()


def test_several_lists_at_once(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["neurosim", "list", "losses", "optimizers"])
    with pytest.raises(SystemExit) as ended:
        main()
    heads = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert ended.value.code == 0 and heads == ["losses", "optimizers"]
    monkeypatch.setattr("sys.argv", ["neurosim", "list", "losses", "gate"])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr()
    assert printed.out == "" and "unknown list 'gate'; did you mean 'gates'?" in printed.err


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [
        ("gates", "SignGate(", "``G(h) = 1 where t . h >= 0`` (tie included), else 0 (Eq. 8)."),
        ("codes", "ErrorCorrecting(classes, length", "Words of a chosen length that differ in many bits"),
        ("relaxations", "NoiseRelaxation(presentations=100, rate=1.0, every=100)", "An offline phase in which"),
    ],
)
def test_parts_of_circuits(kind: str, name: str, line: str) -> None:
    lines = LISTS[kind]()
    (at,) = (at for at, text in enumerate(lines) if text.startswith(name))
    assert line in lines[at + 1]
