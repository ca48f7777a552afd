"""Answer in few bits: K ~ log2 C components instead of one per class (Section 7.3), with codes to choose from.

Every output component is one more neuron (or time bin) in each vector unit of the network, so a short code makes the
whole circuit cheaper. What it costs in errors, and which bits fail, is printed.

Run it:  python examples/binary_codes.py
"""

from __future__ import annotations

from neurosim import Binary, ErrorCorrecting, Gray, Hierarchical, OneHot, Simulator, circuits
from neurosim.analysis import CodeErrors, code_errors
from neurosim.datasets import load_dataset
from neurosim.readout import Readout
from neurosim.training import Trainer

#: coarse classes of the digits: 0 without a loop in its shape, 1 with one; the first bit of the hierarchical code
HAS_A_LOOP = (1, 0, 0, 0, 0, 0, 1, 0, 1, 1)

CODES: dict[str, Readout] = {
    "one-hot, cross-entropy": OneHot(10),
    "one-hot, squared error": OneHot(10, loss="squared"),
    "4 bits, plain binary": Binary(10),
    "4 bits, Gray": Gray(10),
    "loop first": Hierarchical(10, HAS_A_LOOP),
    "15 bits, error-correcting": ErrorCorrecting(10, 15),
}


def main(epochs: int = 30) -> dict[str, CodeErrors]:
    """Train the same circuit with every code on the embedded digits; returns the errors on the test images."""
    digits = load_dataset("digits")
    found = {}
    for name, code in CODES.items():
        simulator = Simulator(circuits.load("digits-fc", readout=code), seed=0)
        Trainer(simulator, digits, epochs=epochs).run()
        found[name] = errors = code_errors(simulator, digits.test)
        bits = " ".join(f"{bit:.1%}" for bit in errors.bits)
        coarse = "" if errors.coarse is None else f"   loop or not {errors.coarse:.2%}"
        print(f"{name:26s} K = {code.length:2d}   classes {errors.classes:6.2%}{coarse}   bits {bits}")
    return found


if __name__ == "__main__":
    main()
