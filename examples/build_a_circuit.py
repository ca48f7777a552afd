"""Build a circuit of your own: a skip connection, inhibition and two rules side by side, trained and drawn.

Run it:  python examples/build_a_circuit.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from neurosim import BP, GEVB, Circuit, Dense, HalfNormal, OneHot, OnOff, SignGate, Simulator
from neurosim.datasets import load_dataset
from neurosim.figures.run_overview import draw_run
from neurosim.runs.recording import RunRecorder
from neurosim.training import Trainer


def build() -> Circuit:
    """Two hidden populations; the first also reaches the output directly, and the second inhibits it."""
    circuit = Circuit(inputs=(1, 8, 8), readout=OneHot(10))
    circuit.population("v1", (128,), gate=SignGate())
    circuit.population("it", (64,), gate=SignGate())
    circuit.connect("input", "v1", Dense(), rule=GEVB(), init=OnOff())
    circuit.connect("v1", "it", Dense(), rule=GEVB(), sign="nonnegative", init=OnOff())
    circuit.connect("it", "output", Dense(), rule=BP(), sign="nonnegative", init=OnOff())
    circuit.connect("v1", "output", Dense(), rule=BP(), sign="nonnegative", init=OnOff(), name="skip")
    circuit.connect("it", "output", Dense(), rule=BP(), sign="nonpositive", init=HalfNormal(0.1), name="inhibition")
    return circuit


def main(out: Path, epochs: int = 10, overwrite: bool = False) -> float:
    """Train the circuit on the embedded digits; returns the test error."""
    circuit = build()
    print(circuit)
    recorder = RunRecorder(out, overwrite=overwrite)
    result = Trainer(Simulator(circuit, seed=0), load_dataset("digits"), epochs=epochs, observers=[recorder]).run()
    draw_run(out).savefig(out.with_suffix(".png"), dpi=150)
    error = result.epochs[-1].test_error
    print(f"test error after {epochs} epochs: {error:.1%}; run in {out}, picture in {out.with_suffix('.png')}")
    return error


if __name__ == "__main__":
    named = len(sys.argv) > 1  # a file of yours is not replaced; the example's own is
    main(Path(sys.argv[1] if named else "build_a_circuit.h5"), overwrite=not named)
