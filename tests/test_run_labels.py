"""No circuit is called as another one, wherever the files of their runs are."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import pytest

from neurosim import Circuit, circuits
from neurosim.errors import DataError
from neurosim.gates import FirstBinGate
from neurosim.relaxation import Relaxation
from neurosim.rules.dfa import DFA
from neurosim.runs.labels import Named, told_apart


def digits(**options: object) -> Circuit:
    return circuits.load("digits-fc", **{"widths": (12, 8)} | options)


def changed(part: str, **fields: object) -> Circuit:
    """The first population or group otherwise."""
    plain = json.loads(digits().to_json())
    plain[part][0] |= fields
    return Circuit.from_json(json.dumps(plain))


def named(*those: tuple[Circuit, str]) -> list[Named]:
    return [Named("digits", "GEVB+", circuit, Path(path)) for circuit, path in those]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (digits(), digits(widths=(16, 8), gate=FirstBinGate()), ["12-8", "16-8"]),
        (digits(), digits(gate=FirstBinGate()), ["SignGate", "FirstBinGate"]),
        (digits(), digits().with_sharing("untied"), ["tied", "untied"]),
        (
            digits().with_sharing("untied"),
            digits().with_sharing("untied", Relaxation(every=2)),
            ["untied", "untied, Relaxation(rate=1.0, every=2)"],
        ),
        (digits(), changed("groups", init={"type": "He"}), ["OnOff", "He, OnOff"]),
        (
            digits(rule=DFA(limits=(0, 1))),
            digits(rule=DFA(limits=(0, 2))),
            ["DFA(limits=(0.0, 1.0), name='dfa')", "DFA(limits=(0.0, 2.0), name='dfa')"],
        ),
    ],
)
def test_what_differs_is_said_and_no_more(one, other, words):
    told = told_apart(named((one, "a/run.h5"), (other, "b/run.h5")))
    assert told == [f"GEVB+, {word}" for word in words]


def test_what_no_words_tell_the_shortest_paths_do():
    """A bias or none: nothing that labels speak of."""
    one, other = digits(), changed("populations", bias=None)
    for paths, words in {
        ("runs/a/seed0.h5", "runs/b/seed0.h5"): ["a", "b"],
        ("runs/a/x/seed0.h5", "runs/b/x/seed0.h5"): ["a", "b"],
        ("x/a.h5", "y/b.h5"): ["a", "b"],
        ("x/run.h5", "x/run.hdf5"): ["run.h5", "run.hdf5"],
        ("run.h5", "other/run.h5"): [Path.cwd().name, "other"],
    }.items():
        assert told_apart(named(*zip((one, other), paths, strict=True))) == [f"GEVB+, {word}" for word in words]
    three = ["x/run.h5", "y/run.h5", "x/other.h5"]
    told = told_apart(named(*((one, path) for path in three)))
    assert told == ["GEVB+, x/run", "GEVB+, y/run", "GEVB+, x/other"]


def test_one_circuit_more_changes_labels_and_never_makes_two_alike():
    those = [digits(), digits(gate=FirstBinGate()), digits(widths=(16, 8)), digits().with_sharing("untied")]
    words = ["12-8, SignGate, tied", "12-8, FirstBinGate", "16-8", "12-8, SignGate, untied"]
    expected = {f"GEVB+, {word}" for word in words}
    for order in permutations(those):
        assert set(told_apart(named(*((circuit, "run.h5") for circuit in order)))) == expected


def test_labels_that_stay_alike_are_refused():
    with pytest.raises(DataError, match=r"run.h5 and run.h5: different circuits .* by one name, GEVB\+; rename one"):
        told_apart(named((digits(), "run.h5"), (digits(), "run.h5")))
    assert told_apart([Named(title, "GEVB", digits(), Path("run.h5")) for title in "xy"]) == ["GEVB", "GEVB"]
