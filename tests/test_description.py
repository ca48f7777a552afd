"""Inert parts: frozen, comparable, saved to plain data and back; strangers' classes beside ours."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import attrs
import pytest
from attrs import frozen

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    CodeTable,
    Conv2d,
    Dense,
    ErrorCorrecting,
    ExternalGate,
    FirstBinGate,
    Gray,
    HalfNormal,
    He,
    Hierarchical,
    Initializer,
    Local2d,
    OneHot,
    OnOff,
    PlasticityRule,
    SignGate,
    Zeros,
)
from neurosim.connectivity import Connectivity
from neurosim.credit import ForwardWeights
from neurosim.description import _KNOWN, Description
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import load_entry_points
from neurosim.readout import Readout
from neurosim.vectorization import Group, Temporal

PARTS = [
    Dense(), Conv2d(3), Conv2d((3, 2), stride=(2, 1), padding=(0, 2)), Local2d(2), AvgPool(2), AvgPool(3, (1, 2)),
    SignGate(), He(), OnOff(), Zeros(), OnOff(True), HalfNormal(0.25), OneHot(10), OneHot(3, "squared"), Binary(10),
    GEVB(), BP(), ForwardWeights(), Group(), Temporal(), Temporal("causal"), FirstBinGate(), ExternalGate(),
    ExternalGate("pool", 0.5, ((0.1, -2), (3, 4))), Gray(9), ErrorCorrecting(10, 15), ErrorCorrecting(3, 4, "squared"),
    CodeTable(3, [[0, 1], [1, 0], [1, 1]]), Hierarchical(4, [0, 1, 1, 1], "squared"),
]  # fmt: skip


@frozen
class DescriptionTestRule(PlasticityRule):
    """A stranger's rule with fields of every sort, other parts among them."""

    rate: float
    spread: tuple[float, ...] = (1.0, 2.0)
    inner: Initializer = HalfNormal(0.5)
    code: Readout | None = OneHot(4)
    name: str = "x"
    flag: bool = True


def through_json(part: Description) -> Any:
    return json.loads(json.dumps(part.to_dict()))


def test_what_is_not_listed_comes_back_too() -> None:
    """Whatever else is installed, with its defaults; what has none needs a place among PARTS."""
    load_entry_points("neurosim.rules")
    listed = {type(part) for part in PARTS}
    for kind in [kind for family in _KNOWN.values() for kind in family.values()]:
        if kind.__module__.startswith("neurosim.") and not kind.__name__.startswith("_") and kind not in listed:
            test_saved_and_loaded_equals_unsaved(kind())


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_saved_and_loaded_equals_unsaved(part: Description) -> None:
    (family,) = [base for base in type(part).__mro__ if "kind" in base.__dict__ and base is not Description]
    again = family.from_dict(through_json(part))
    assert again == part
    assert type(again) is type(part)
    assert str(again) == str(part)
    assert hash(again) == hash(part)


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_parts_are_frozen(part: Description) -> None:
    for name in [f.name for f in attrs.fields(type(part))]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(part, name, 1)


def test_parts_of_parts_are_saved_too() -> None:
    rule = DescriptionTestRule(0.5, (3.0,), HalfNormal(2.0), Binary(9, "squared"), "y", False)
    assert PlasticityRule.from_dict(through_json(rule)) == rule
    rule = DescriptionTestRule(0.5, (), code=None)
    assert PlasticityRule.from_dict(through_json(rule)) == rule


def test_fields_make_the_difference() -> None:
    assert Conv2d(3) == Conv2d((3, 3))
    assert Conv2d(3) != Conv2d(3, padding=1)
    assert Conv2d(3) != Local2d(3)
    assert DescriptionTestRule(0.5) != DescriptionTestRule(0.6)


@pytest.mark.parametrize(
    ("family", "data", "text"),
    [
        (
            Connectivity,
            {"type": "Cnv2d"},
            "unknown connectivity.* 'Cnv2d'; did you mean 'Conv2d'. Known: .*AvgPool, .*Conv2d",
        ),
        (
            Initializer,
            {"type": "Xavier"},
            "unknown initializer.* 'Xavier'; known: .*HalfNormal, .*He, .*OnOff, .*Zeros",
        ),
        (PlasticityRule, {"type": "GVB"}, "unknown rule.* 'GVB'; did you mean 'GEVB'. Known: .*BP, .*GEVB"),
        (Readout, {"type": "Dense"}, "unknown readout.* 'Dense'; known: .*Binary, .*OneHot"),
    ],
)
def test_unknown_names_list_the_known_ones(family: type[Description], data: dict[str, Any], text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        family.from_dict(data)


@pytest.mark.parametrize(
    ("family", "data", "text"),
    [
        (Connectivity, {}, r"expected the data of a connectivity, with its type, got \{\}"),
        (Connectivity, {"type": None}, r"expected the data of a connectivity, with its type, got \{'type': None\}"),
        (
            Connectivity,
            {"type": "Conv2d"},
            "connectivity Conv2d: .*missing.* 'kernel'; its fields are: kernel, stride, pad",
        ),
        (Connectivity, {"type": "Dense", "n": 1}, "connectivity Dense: .*unexpected keyword argument 'n'; .* none"),
        (Connectivity, {"type": "Conv2d", "kernel": 0}, "kernel must be an integer >= 1"),
        (Readout, {"type": "OneHot", "classes": 1}, "OneHot.classes must be an integer of at least 2, got 1"),
    ],
)
def test_data_that_do_not_fit_are_refused(family: type[Description], data: dict[str, Any], text: str) -> None:
    with pytest.raises(CircuitError, match=text):
        family.from_dict(data)


def test_a_part_of_another_family_inside_is_refused() -> None:
    data = through_json(DescriptionTestRule(0.5))
    data["inner"]["kind"] = "no such kind"
    with pytest.raises(
        UnknownNameError, match="unknown kind of description 'no such kind'; known: .*initializer.*rule"
    ):
        PlasticityRule.from_dict(data)


def test_a_subclass_is_asked_for_by_its_own_name() -> None:
    with pytest.raises(CircuitError, match="expected a rule, got a BP"):
        GEVB.from_dict({"type": "BP"})


def test_a_class_may_be_defined_again_in_its_own_module() -> None:
    """As in a notebook whose cell runs twice: the later one counts."""

    def cell(default: float) -> type[PlasticityRule]:
        @frozen
        class WrittenTwice(PlasticityRule):
            rate: float = default

        return WrittenTwice

    cell(1.0)
    second = cell(2.0)
    assert PlasticityRule.from_dict({"type": "WrittenTwice"}) == second(2.0)


def test_a_namesake_in_another_module_is_refused() -> None:
    """Circuits are copied and saved by name: a second GEVB would silently replace ours in every circuit."""
    text = "a rule named GEVB exists already, in neurosim.rules.gevb; .*give the one in .*test_description another"
    with pytest.raises(CircuitError, match=text):
        type("GEVB", (PlasticityRule,), {"__module__": __name__})
    assert PlasticityRule.known()["GEVB"] is GEVB


def test_a_new_family_starts_empty() -> None:
    class Smell(Description):
        kind: ClassVar[str] = "smell of a test"

    assert Smell.known() == {}

    @frozen
    class Rose(Smell):
        strength: int = 3

    assert Smell.from_dict(Rose(5).to_dict()) == Rose(5)
    del _KNOWN["smell of a test"]
