"""Gates: the piecewise constant factor G(h) of a unit's nonlinearity ``a = G(h) h`` (Eq. 7), one file each."""

from neurosim.gates.base import Gate
from neurosim.gates.external import ExternalGate
from neurosim.gates.first_bin import FirstBinGate
from neurosim.gates.relu import ReLU
from neurosim.gates.sign import SignGate

__all__ = ["ExternalGate", "FirstBinGate", "Gate", "ReLU", "SignGate"]
