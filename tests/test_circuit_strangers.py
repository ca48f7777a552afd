"""Parts of other packages in a circuit: what is taken, and what is refused before anything runs."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pytest
import torch
from attrs import frozen
from torch import Tensor

from neurosim import GEVB, Circuit, Connectivity, CreditForm, Dense, He, OneHot, PlasticityRule
from neurosim.connectivity import Shape
from neurosim.errors import CircuitError, UnknownNameError


@frozen
class Diagonal(Connectivity):
    """One to one, from a vector: what a careful stranger writes."""

    def post_shape(self, pre: Shape, channels: int | None) -> Shape:
        return (pre[0],)

    def weight_shape(self, pre: Shape, post: Shape) -> Shape:
        return (post[0],)

    def fan_in(self, pre: Shape) -> int:
        return 1

    def pre_axis(self, post: Shape) -> int:
        return 0

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Tensor:
        return weight * a


@frozen
class DiagonalWithoutLead(Diagonal):
    """Sums the leading axes away."""

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Tensor:
        return (weight * a).sum((0, 1))


@frozen
class DiagonalOfOneAxis(Diagonal):
    """Knows one leading axis only."""

    def forward(self, weight: Tensor | None, a: Tensor, pre: Shape) -> Tensor:
        return torch.einsum("i,bi->bi", weight, a)


def hidden() -> Circuit:
    c = Circuit(4, OneHot(3))
    c.population("f1", 4)
    c.connect("input", "f1", Dense())
    c.population("f2", 4)
    return c


def test_a_connectivity_that_keeps_the_contract_is_taken() -> None:
    c = hidden()
    c.connect("f1", "f2", Diagonal())
    assert c.site(c.group("f1->f2")).weight_shape == (4,)


@pytest.mark.parametrize(
    ("connectivity", "text"),
    [
        (
            DiagonalWithoutLead(),
            "group 'f1->f2': DiagonalWithoutLead().forward must make (3, 2, 4), two leading axes and 'f2', from "
            "activity (3, 2, 4); it made (4,)",
        ),
        (DiagonalOfOneAxis(), "group 'f1->f2': DiagonalOfOneAxis().forward failed for activity (3, 2, 4), two leading"),
    ],
)
def test_a_map_of_the_wrong_shape_is_found_where_it_is_made(connectivity: Connectivity, text: str) -> None:
    c = hidden()
    with pytest.raises(CircuitError, match=re.escape(text)):
        c.connect("f1", "f2", connectivity)
    assert c == hidden()


class RuleWithInit(PlasticityRule):
    """Its strength is nowhere that could be saved or compared."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.BROADCAST


class HeWithInit(He):
    """The same below one of ours."""

    def __init__(self, scale: float) -> None:
        object.__setattr__(self, "scale", scale)


class InheritsEverything(GEVB):
    """Adds no setting, so nothing can be lost."""


@pytest.mark.parametrize(
    "options", [{"rule": RuleWithInit(2.0)}, {"init": HeWithInit(2.0)}], ids=["rule", "initializer"]
)
def test_settings_that_would_be_lost_are_refused(options: dict[str, Any]) -> None:
    (part,) = options.values()
    text = rf"'f1->f2': {type(part).__name__} has an __init__ of its own, .* make it an attrs class"
    c = hidden()
    with pytest.raises(CircuitError, match=text):
        c.connect("f1", "f2", Dense(), **options)
    assert c == hidden()


def test_a_subclass_without_settings_needs_no_decorator() -> None:
    c = hidden()
    c.connect("f1", "f2", Dense(), rule=InheritsEverything())
    again = Circuit.from_json(c.to_json())
    assert again == c
    assert type(again.groups["f1->f2"].rule) is InheritsEverything


@frozen
class RuleWithoutForm(PlasticityRule):
    def form(self, circuit: Circuit) -> Any:
        return "broadcast"


@frozen
class RuleWithOddNeed(GEVB):
    needs: ClassVar[frozenset[str]] = frozenset({"activitions"})


@frozen
class RuleThatRefuses(GEVB):
    def refusal(self, circuit: Circuit, group: Any) -> str | None:
        return "it is Sunday" if group.post == "f2" else None


@pytest.mark.parametrize(
    ("rule", "error", "text"),
    [
        (
            RuleWithoutForm(),
            CircuitError,
            r"group 'f1->f2': RuleWithoutForm\(\).form\(circuit\) must return a CreditForm, got 'broadcast'",
        ),
        (RuleWithOddNeed(), UnknownNameError, r"unknown need of RuleWithOddNeed\(\) 'activitions'; .*nown: "),
        (RuleThatRefuses(), CircuitError, r"'f1->f2': the rule RuleThatRefuses\(\) cannot apply: it is Sunday"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rule: PlasticityRule, error: type[Exception], text: str) -> None:
    c = hidden()
    with pytest.raises(error, match=text):
        c.connect("f1", "f2", Dense(), rule=rule)
    assert c == hidden()
    c.connect("f1", "f2", Dense(), rule=GEVB())
    with pytest.raises(error, match=text):
        c.with_rules(rule)
    assert c.group("f1->f2").rule == GEVB()
