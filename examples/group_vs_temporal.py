"""Is a vector unit a group of K neurons, or one neuron at K moments? To learning it is the same. (Section 7.1)

The circuit is trained twice from the same weights: with all components side by side, and bin by bin in time. With gates
that are known in the first bin and a loss that compares bin by bin, one presentation of the stimulus is enough; the
paper's gates and cross-entropy look at all bins, so the stimulus is presented again. Both end at the same weights.

Run it:  python examples/group_vs_temporal.py
"""

from __future__ import annotations

from functools import partial

from neurosim import SGD, Circuit, FirstBinGate, OneHot, SignGate, Simulator, Temporal, circuits
from neurosim.datasets import load_dataset
from neurosim.step_costs import step_costs
from neurosim.training import Trainer

CIRCUITS: dict[str, tuple[Circuit, Temporal]] = {
    "first-bin gates, squared error": (
        circuits.load("digits-fc", widths=(64, 32), gate=FirstBinGate(), readout=OneHot(10, "squared")),
        Temporal("causal"),  # would refuse a circuit that needs a second presentation
    ),
    "sign gates, cross-entropy": (
        circuits.load("digits-fc", widths=(64, 32), gate=SignGate()),
        Temporal("replay"),
    ),
}


def largest_difference(one: Simulator, other: Simulator) -> float:
    """Of any weight, absolute."""
    return max(float((one.weights[name] - other.weights[name]).abs().max()) for name in one.circuit.groups)


def main(epochs: int = 10) -> dict[str, float]:
    """Train both circuits in both ways on the embedded digits; returns the largest differences."""
    digits, differences = load_dataset("digits"), {}
    for name, (circuit, temporal) in CIRCUITS.items():
        print(name)
        both = {}
        for vectorization in ("group", temporal):
            simulator = Simulator(circuit, vectorization=vectorization, precision="float64", optimizer=SGD(0.02))
            result = Trainer(simulator, digits, epochs=epochs, batch_size=32).run()
            both[simulator.vectorization] = simulator
            print(f"  {simulator.vectorization:9s} test error {result.epochs[-1].test_error:6.2%}", flush=True)
        differences[name] = largest_difference(both["group"], both["temporal"])
        print(f"  largest difference of a weight after {epochs} epochs: {differences[name]:.1e}")
        images, labels = digits.train.images[:128], digits.train.labels[:128]
        costs = step_costs({kind: partial(simulator.learn, images, labels) for kind, simulator in both.items()})
        for kind, cost in costs.items():
            print(
                f"  {kind:9s} {both[kind].presentations} presentations of a batch of {len(labels)}: "
                f"{1e3 * cost.cpu_seconds:5.1f} ms, {(cost.peak_bytes or 0) / 2**20:.2f} MiB"
            )
    return differences


if __name__ == "__main__":
    main()
