"""Plasticity rules, one file each; every one is a plug-in like a stranger's would be."""

from neurosim.rules.bp import BP
from neurosim.rules.dfa import DFA
from neurosim.rules.fa import FA, SignSymmetric
from neurosim.rules.gevb import GEVB
from neurosim.rules.hebbian import ThreeFactorHebbian
from neurosim.rules.kickback import Kickback
from neurosim.rules.local_error import LocalError
from neurosim.rules.node_perturbation import NodePerturbation

__all__ = [
    "BP",
    "DFA",
    "FA",
    "GEVB",
    "Kickback",
    "LocalError",
    "NodePerturbation",
    "SignSymmetric",
    "ThreeFactorHebbian",
]
