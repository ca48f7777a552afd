"""Record a circuit as an experimenter would: eight cells of a population, a synapse group's updates, the rule's credit.

Rows go to the run file while it trains, chosen and reduced where the tensors are, so a long run needs no more memory
than a short one, and the weights are the same, bit for bit, as without any recorder.

Run it:  python examples/record_a_circuit.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from neurosim import Recorder, Run, RunRecorder, Simulator, Trainer, circuits
from neurosim.analysis import AlignmentRecorder
from neurosim.datasets import load_dataset


def record(path: Path, epochs: int) -> Run:
    """Train on the embedded digits and record."""
    watch = [
        RunRecorder(path, overwrite=True),
        Recorder("fc1", ["gates", "activity"], every=23, indices=range(8)),  # an epoch is 23 steps
        Recorder("fc1->fc2", "updates", every=23, reduce="norm"),
        AlignmentRecorder(),  # at every checkpoint: angles to the gradient, agreement of signs
    ]
    simulator = Simulator(circuits.load("digits-fc"), seed=0)
    trainer = Trainer(
        simulator, load_dataset("digits"), epochs=epochs, batch_size=64, checkpoint_every=5, observers=watch
    )
    trainer.run()
    return Run(path)


def main(path: Path, epochs: int = 10) -> Run:
    """Record a run and print what was recorded."""
    run = record(path, epochs)
    print(run.summary())
    cells, synapses = run.recorded("fc1"), run.recorded("fc1->fc2")
    print("\nshare of a batch that opens the gate of cells 0 to 7; length of the update of fc1->fc2")
    for row, step in enumerate(cells.steps):
        gates = "  ".join(f"{share:4.2f}" for share in cells["gates"][row])
        print(f"step {step:4d}   {gates}   {synapses['updates'][row]:.4f}")
    print("\ndegrees between GEVB's credit and the gradient's")
    print(run.alignment("degrees").round(1).to_string(index=False))
    return run


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "record_a_circuit.h5"))
