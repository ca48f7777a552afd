"""neurosim: circuits of neural populations that learn by plug-in plasticity rules."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim import circuits as circuits
    from neurosim.circuit import Circuit as Circuit
    from neurosim.connectivity import AvgPool as AvgPool
    from neurosim.connectivity import Connectivity as Connectivity
    from neurosim.connectivity import Conv2d as Conv2d
    from neurosim.connectivity import Dense as Dense
    from neurosim.connectivity import Local2d as Local2d
    from neurosim.gates import ExternalGate as ExternalGate
    from neurosim.gates import FirstBinGate as FirstBinGate
    from neurosim.gates import Gate as Gate
    from neurosim.gates import ReLU as ReLU
    from neurosim.gates import SignGate as SignGate
    from neurosim.initializers import HalfNormal as HalfNormal
    from neurosim.initializers import He as He
    from neurosim.initializers import Initializer as Initializer
    from neurosim.initializers import OnOff as OnOff
    from neurosim.initializers import Zeros as Zeros
    from neurosim.optimizers import SGD as SGD
    from neurosim.optimizers import Adam as Adam
    from neurosim.optimizers import Optimizer as Optimizer
    from neurosim.plasticity import CreditForm as CreditForm
    from neurosim.plasticity import PlasticityRule as PlasticityRule
    from neurosim.readout import Binary as Binary
    from neurosim.readout import CodeTable as CodeTable
    from neurosim.readout import ErrorCorrecting as ErrorCorrecting
    from neurosim.readout import Gray as Gray
    from neurosim.readout import Hierarchical as Hierarchical
    from neurosim.readout import OneHot as OneHot
    from neurosim.readout import Readout as Readout
    from neurosim.relaxation import NoiseRelaxation as NoiseRelaxation
    from neurosim.relaxation import Relaxation as Relaxation
    from neurosim.rules import BP as BP
    from neurosim.rules import DFA as DFA
    from neurosim.rules import FA as FA
    from neurosim.rules import GEVB as GEVB
    from neurosim.rules import Kickback as Kickback
    from neurosim.rules import LocalError as LocalError
    from neurosim.rules import NodePerturbation as NodePerturbation
    from neurosim.rules import SignSymmetric as SignSymmetric
    from neurosim.rules import ThreeFactorHebbian as ThreeFactorHebbian
    from neurosim.runs.recorder import Recorder as Recorder
    from neurosim.runs.recording import RunRecorder as RunRecorder
    from neurosim.runs.run import Run as Run
    from neurosim.simulator import Simulator as Simulator
    from neurosim.training import Trainer as Trainer
    from neurosim.vectorization import Temporal as Temporal

__version__ = "0.1.0"

#: public name -> module that defines it; loaded when first used, so that `import neurosim` is instant
_HOME = {
    "Circuit": "circuit",
    **dict.fromkeys(["AvgPool", "Connectivity", "Conv2d", "Dense", "Local2d"], "connectivity"),
    **dict.fromkeys(["ExternalGate", "FirstBinGate", "Gate", "ReLU", "SignGate"], "gates"),
    **dict.fromkeys(["HalfNormal", "He", "Initializer", "OnOff", "Zeros"], "initializers"),
    **dict.fromkeys(["SGD", "Adam", "Optimizer"], "optimizers"),
    **dict.fromkeys(["CreditForm", "PlasticityRule"], "plasticity"),
    **dict.fromkeys(["Binary", "CodeTable", "ErrorCorrecting", "Gray", "Hierarchical", "OneHot", "Readout"], "readout"),
    **dict.fromkeys(["NoiseRelaxation", "Relaxation"], "relaxation"),
    **dict.fromkeys(["BP", "DFA", "FA", "GEVB", "Kickback", "LocalError"], "rules"),
    **dict.fromkeys(["NodePerturbation", "SignSymmetric", "ThreeFactorHebbian"], "rules"),
    "Recorder": "runs.recorder",
    "Run": "runs.run",
    "RunRecorder": "runs.recording",
    "Simulator": "simulator",
    "Temporal": "vectorization",
    "Trainer": "training",
}
_SUBPACKAGES = ("circuits", "rules")

__all__ = [*_HOME, *_SUBPACKAGES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return import_module(f"neurosim.{name}")
    if name in _HOME:
        return getattr(import_module(f"neurosim.{_HOME[name]}"), name)
    raise AttributeError(f"module 'neurosim' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
