"""Can K synapses with weights of their own replace the one weight that vector units share? (Section 7.1 of the paper)

GEVB changes a shared weight by a sum over all K components, which no single synapse can know. Untied synapses change
each by their own local product, and something draws the K weights of a pair together: their average, taken now and then
(assumed), or an offline phase in which correlated noise and a local rule do it (simulated). How much does it matter?

Run it:  python examples/local_synapses.py
"""

from __future__ import annotations

from neurosim import SGD, Circuit, NoiseRelaxation, Relaxation, Simulator, circuits
from neurosim.datasets import load_dataset
from neurosim.training import Trainer

RATE = 0.02


def settings() -> dict[str, Circuit]:
    """One circuit; tied, and untied with several relaxations."""
    tied = circuits.load("digits-fc", widths=(128, 64))
    noise = NoiseRelaxation(presentations=300, every=100)
    print(f"one phase of noise leaves {noise.remaining_rms(fan_in=128):.1%} of the spread of fc1->fc2, as expected")
    return {
        "tied": tied,
        "relaxed every step": tied.with_sharing("untied", Relaxation(rate=1.0, every=1)),
        "relaxed every 100": tied.with_sharing("untied", Relaxation(rate=1.0, every=100)),
        "noise every 100": tied.with_sharing("untied", noise),
        "never relaxed": tied.with_sharing("untied"),
    }


def simulator_of(circuit: Circuit, seed: int = 0) -> Simulator:
    """Averaging K local updates gives 1/K of their sum, so untied groups learn K times faster."""
    untied = {name: {"lr": RATE * circuit.K} for name, group in circuit.groups.items() if group.untied}
    return Simulator(circuit, seed=seed, precision="float64", optimizer=SGD(RATE, groups=untied))


def main(epochs: int = 10) -> dict[str, float]:
    """Train every setting on the embedded digits; returns the test errors."""
    digits, errors = load_dataset("digits"), {}
    for name, circuit in settings().items():
        simulator = simulator_of(circuit)
        result = Trainer(simulator, digits, epochs=epochs, batch_size=32).run()
        errors[name] = result.epochs[-1].test_error
        apart = ", ".join(f"{group} {value:.3f}" for group, value in simulator.spread().items())
        print(f"{name:18s} test error {errors[name]:6.2%}   spread of the K weights: {apart or '-'}", flush=True)
    return errors


if __name__ == "__main__":
    main()
