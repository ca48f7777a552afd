"""Swap the plasticity rule of a circuit as easily as an optimizer, and compare from the same weights.

Frozen hidden layers are the control that every claim about learning needs: how far does the readout get alone? It
has to be trained to its end for that, so all settings share a learning rate at which 15 epochs do for the readout.

Run it:  python examples/swap_rules.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from neurosim import BP, GEVB, Adam, Circuit, Simulator, circuits
from neurosim.analysis import gradient_alignment
from neurosim.datasets import load_dataset
from neurosim.training import Trainer


def settings() -> dict[str, Circuit]:
    """One circuit under three settings."""
    circuit = circuits.load("digits-fc")
    hidden = [name for name, group in circuit.groups.items() if group.post != "output"]
    return {
        "GEVB": circuit.with_rules(GEVB()),
        "BP": circuit.with_rules(BP()),
        "frozen hidden layers": circuit.with_rules(dict.fromkeys(hidden)),
    }


def main(picture: Path | None = None, epochs: int = 15) -> dict[str, float]:
    """Train every setting on the embedded digits; returns the test errors after the last epoch."""
    digits = load_dataset("digits")
    first = digits.train.first(128)
    errors, curves = {}, {}
    for name, circuit in settings().items():
        simulator = Simulator(circuit, seed=0, optimizer=Adam(0.01))
        angles = gradient_alignment(simulator, first.images, first.labels, rule=GEVB())
        result = Trainer(simulator, digits, epochs=epochs).run()
        errors[name] = result.epochs[-1].test_error
        curves[name] = result.table
        at_start = ", ".join(f"{population} {degrees:.1f}" for population, degrees in angles.items())
        print(f"{name:22s} test error {errors[name]:6.2%}   GEVB to gradient at the start (degrees): {at_start}")
    halfway, end = curves["frozen hidden layers"]["test_error"].iloc[[epochs // 2, -1]]
    print(f"the frozen control's second half: from {halfway:.0%} to {end:.0%}; its readout gets no further alone")
    if picture is not None:
        from neurosim.figures.learning_curve import draw_learning_curves

        draw_learning_curves(curves).figure.savefig(picture, dpi=150)
        print(f"picture in {picture}")
    return errors


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "swap_rules.png"))
