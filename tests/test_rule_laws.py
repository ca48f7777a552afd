"""Every law over every rule, its variants included, on every circuit of the conformance suite."""

from __future__ import annotations

from neurosim.feedback import ForwardSigns
from neurosim.plasticity import available_rules
from neurosim.rules import (
    BP,
    DFA,
    FA,
    GEVB,
    Kickback,
    LocalError,
    NodePerturbation,
    SignSymmetric,
    ThreeFactorHebbian,
)
from neurosim.testing import rule_laws

test_bp = rule_laws(BP())
test_gevb = rule_laws(GEVB())
test_fa = rule_laws(FA())
test_dfa = rule_laws(DFA())
test_dfa_nonnegative = rule_laws(DFA(limits=(0, 1)))
test_sign_symmetric = rule_laws(SignSymmetric())
test_sign_symmetric_fixed = rule_laws(SignSymmetric(ForwardSigns("fixed")))
test_sign_symmetric_redrawn = rule_laws(SignSymmetric(ForwardSigns("redrawn")))
test_kickback = rule_laws(Kickback())
test_node_perturbation = rule_laws(NodePerturbation())
test_local_error = rule_laws(LocalError())
test_three_factor_hebbian = rule_laws(ThreeFactorHebbian())


def test_every_registered_rule_is_under_the_laws() -> None:
    """A rule that is announced and not listed above would be tested by nobody."""
    ours = {rule for rule in available_rules().values() if rule.__module__.startswith("neurosim.")}
    assert ours == {BP, DFA, FA, GEVB, Kickback, LocalError, NodePerturbation, SignSymmetric, ThreeFactorHebbian}
