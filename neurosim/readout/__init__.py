"""The readout: how classes are written at the output, the loss, its error vector, and decoding.

`base` holds losses and decoding, `bits` the codes of bits, `tables` their words.
"""

from __future__ import annotations

from neurosim.readout.base import OneHot, Readout, codewords_of, known_loss
from neurosim.readout.bits import Binary, CodeTable, ErrorCorrecting, Gray, Hierarchical

__all__ = [
    "Binary",
    "CodeTable",
    "ErrorCorrecting",
    "Gray",
    "Hierarchical",
    "OneHot",
    "Readout",
    "codewords_of",
    "known_loss",
]
