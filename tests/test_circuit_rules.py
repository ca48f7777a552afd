"""Which rule each group and bias of a circuit learns by, and copies with other rules."""

from __future__ import annotations

import re

import pytest

from neurosim import BP, GEVB, AvgPool, Binary, Circuit, Conv2d, Dense, OneHot, OnOff, SignGate, circuits
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plasticity import CreditForm, PlasticityRule


def two_rules(**options: object) -> Circuit:
    c = Circuit(4, OneHot(3))
    c.population("a", 2)
    c.population("f1", 2, **options)
    for pre, post, rule in [("input", "a", BP()), ("input", "f1", GEVB()), ("a", "f1", BP()), ("f1", "output", BP())]:
        c.connect(pre, post, Dense(), rule=rule)
    return c


def test_different_rules_need_a_bias_rule() -> None:
    text = (
        "population 'f1': its groups learn by different rules ('input->f1' GEVB(), 'a->f1' BP()), so its bias needs "
        "bias_rule= (one of them, or None to freeze it)"
    )
    with pytest.raises(CircuitError, match=re.escape(text)):
        two_rules().check()
    assert two_rules(bias_rule=BP()).check().bias_rule("f1") == BP()
    assert two_rules(bias_rule=None).check().bias_rule("f1") is None
    assert two_rules(bias=None).check().bias_rule("f1") is None


def test_a_bias_rule_that_cannot_apply() -> None:
    c = Circuit(5, OneHot(3), K=1)
    c.population("f1", 4, bias_rule=GEVB())
    c.connect("input", "f1", Dense(), rule=BP())
    c.connect("f1", "output", Dense(), rule=BP())
    with pytest.raises(
        CircuitError, match=r"population 'f1': bias_rule=GEVB\(\) cannot apply: .* exactly one output unit"
    ):
        c.check()


def test_a_shared_bias_rule_is_the_one_its_learning_groups_share() -> None:
    c = Circuit(4, OneHot(3))
    c.population("f1", 2)
    c.population("none", 2, bias=None)
    c.connect("input", "f1", Dense(), rule=GEVB())
    c.connect("input", "none", Dense(), rule=GEVB())
    c.connect("none", "f1", Dense(), rule=None)
    c.connect("f1", "output", Dense(), rule=None)
    c.check()
    assert c.bias_rule("f1") == GEVB(), "a frozen group does not count"
    assert c.bias_rule("output") is None, "with all inputs frozen it is frozen"
    assert c.bias_rule("none") is None
    assert c.bias_rule("input") is None


def test_a_bias_may_learn_where_all_groups_are_frozen() -> None:
    c = Circuit(4, OneHot(3))
    c.population("f1", 2, bias_rule=BP())
    c.connect("input", "f1", Dense())
    c.connect("f1", "output", Dense())
    assert c.check().bias_rule("f1") == BP()


def mixture() -> Circuit:
    """Two rules, a frozen group, a relay, and a bias that says by which rule it learns."""
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d(3), rule=GEVB(), init=OnOff())
    c.relay("p1", "c1", AvgPool(2))
    c.population("f1", 6, gate=SignGate(), bias_rule=BP())
    c.connect("p1", "f1", Dense(), rule=BP(), init=OnOff(), sign="nonnegative", name="pooled")
    c.connect("c1", "f1", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
    c.connect("f1", "output", Dense())
    return c.check()


def rules(c: Circuit) -> dict[str, PlasticityRule | None]:
    return {name: group.rule for name, group in c.groups.items()}


def test_two_outgoing_groups_with_different_rules() -> None:
    c = mixture()
    assert rules(c) == {"input->c1": GEVB(), "pooled": BP(), "c1->f1": GEVB(), "f1->output": None}
    assert {group.name for group in c.out_of("c1")} == {"c1->p1", "c1->f1"}
    assert c.bias_rule("f1") == BP()


def test_one_rule_for_all_that_learn() -> None:
    c = mixture()
    changed = c.with_rules(GEVB())
    assert rules(changed) == {"input->c1": GEVB(), "pooled": GEVB(), "c1->f1": GEVB(), "f1->output": None}
    assert changed.check().bias_rule("f1") == GEVB(), "a bias rule that was named follows"
    assert c == mixture(), "a copy"


def test_one_rule_for_frozen_groups_too() -> None:
    changed = mixture().with_rules(BP(), frozen_too=True)
    assert set(rules(changed).values()) == {BP()}
    assert changed.bias_rule("output") == BP()


def test_frozen_altogether() -> None:
    changed = mixture().with_rules(None)
    assert set(rules(changed).values()) == {None}
    assert changed.check().bias_rule("f1") is None


def test_rules_for_named_groups() -> None:
    changed = mixture().with_rules({"f1->output": BP(), "c1->f1": None})
    assert rules(changed) == {"input->c1": GEVB(), "pooled": BP(), "c1->f1": None, "f1->output": BP()}
    assert mixture().with_rules({}) == mixture()


def test_a_bias_rule_does_not_outlive_the_freezing_of_all_its_groups() -> None:
    changed = mixture().with_rules({"pooled": None, "c1->f1": None})
    assert changed.check().bias_rule("f1") is None
    assert mixture().with_rules({"pooled": None}).bias_rule("f1") == BP()


def test_a_copy_is_built_on_by_itself() -> None:
    c = mixture()
    twin = c.copy()
    assert twin == c
    twin.population("more", 2)
    twin.connect("f1", "more", Dense())
    assert c == mixture()
    assert twin != c


def test_nothing_but_rules_changes() -> None:
    c = circuits.load("mnist-conv")
    changed = c.with_rules(BP())
    assert changed != c
    assert changed.with_rules(GEVB()) == c
    data, other = changed.to_dict(), c.to_dict()
    for group in [*data["groups"], *other["groups"]]:
        del group["rule"]
    assert data == other


def test_refused_rules_leave_the_circuit_as_it_was() -> None:
    c = mixture()
    with pytest.raises(UnknownNameError, match=r"unknown group 'pool'; .*nown: c1->f1, f1->output, input->c1, pooled"):
        c.with_rules({"c1->f1": BP(), "pool": BP()})
    assert c == mixture()


def test_named_rules_that_leave_a_bias_in_doubt_are_found_when_checked() -> None:
    c = two_rules(bias=None).with_rules(BP()).check()
    c.population("f2", 2)
    for pre in ("a", "f1"):
        c.connect(pre, "f2", Dense(), rule=BP())
    c.connect("f2", "output", Dense(), rule=BP())
    with pytest.raises(CircuitError, match="population 'f2': its groups learn by different rules"):
        c.with_rules({"a->f2": GEVB()}).check()


@pytest.mark.parametrize(
    ("components", "gevb_applies"), [(None, True), (1, False)], ids=["one vector output", "scalar outputs"]
)
def test_forms_of_credit(components: int | None, gevb_applies: bool) -> None:
    c = Circuit(4, OneHot(3), K=components)
    group = c.connect("input", "output", Dense())
    assert BP().form(c) is (CreditForm.PER_UNIT if gevb_applies else CreditForm.PER_COMPONENT)
    assert BP().refusal(c, group) is None
    assert GEVB().form(c) is CreditForm.BROADCAST
    assert (GEVB().refusal(c, group) is None) == gevb_applies


def test_gevb_with_one_logistic_output_is_legal() -> None:
    """Section 2: one scalar output unit, K = 1."""
    c = Circuit(4, Binary(2))
    assert c.connect("input", "output", Dense(), rule=GEVB()).rule == GEVB()
    assert (c.K, c.output_units) == (1, 1)


def test_what_a_subclass_must_define_is_said() -> None:
    c = Circuit(4, OneHot(3))
    with pytest.raises(NotImplementedError, match=r"PlasticityRule must define form\(circuit\)"):
        PlasticityRule().form(c)
