"""What spikes of the loss do to alignment: angles after every epoch, and the output weights around every spike.

    python benchmarks/loss_spikes.py --circuit mnist-conv --seeds 0 1 --epochs 20 --out results/loss-spikes.json

The exact credit of the last hidden population is its weights onto the one output unit (Eq. 13), so its angle with
GEVB's is that of these weights with equal ones: ``atan`` of their standard deviation over their mean. Between spikes
they grow more alike; one may set many of them to 0 within a few steps. Checkpoints ten epochs apart do not show that.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts, quick_options, write_json
from torch import Tensor

from neurosim import Simulator, circuits
from neurosim.analysis import gradient_alignment
from neurosim.datasets import batches, load_dataset

#: a spike is a step whose loss is above twice the median of so many before, and so many after the one before it
WINDOW = 50
#: after so many steps the weights that a spike set to 0 are counted
AFTER = 20


def measure(circuit: str, seed: int, epochs: int, batch_size: int, data: Any, options: dict[str, Any]) -> Any:
    """One training; a row of angles at the start and after every epoch, and the spikes."""
    simulator = Simulator(circuits.load(circuit, **options), seed=seed)
    output = next(group.name for group in simulator.circuit.into("output"))
    order, trace = torch.Generator(device="cpu").manual_seed(seed), list[tuple[float, float]]()
    rows = [row(simulator, data, output, 0)]
    for epoch in range(1, epochs + 1):
        for images, labels in batches(data.train, batch_size=batch_size, generator=order):
            loss = simulator.learn(images, labels).mean_loss
            trace.append((loss, share_of_zeros(simulator.weights[output])))
        rows.append(row(simulator, data, output, epoch))
    return {"seed": seed, "angles": rows, "spikes": spikes_of(trace)}


def row(simulator: Simulator, data: Any, output: str, epoch: int) -> dict[str, Any]:
    """Angles on the first 128 training images, and how alike the output weights are."""
    first = data.train.images[:128], data.train.labels[:128]
    weights = simulator.weights[output]
    return {
        "epoch": epoch,
        "degrees": {name: round(angle, 2) for name, angle in gradient_alignment(simulator, *first).items()},
        "output_weights": {
            "mean": round(float(weights.mean()), 5),
            "std": round(float(weights.std()), 5),
            "zero": round(share_of_zeros(weights), 3),
        },
    }


def share_of_zeros(weights: Tensor) -> float:
    """The share of weights that the sign constraint holds at 0."""
    return float((weights == 0).double().mean())


def spikes_of(trace: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Steps (from 1) whose loss is far above that of the steps before, except among the first hundred, where it falls.

    Args:
        trace: of every step the loss before it and the share of output weights at 0 after it.
    """
    found: list[dict[str, Any]] = []
    for number in range(2 * WINDOW, len(trace)):
        usual = statistics.median(loss for loss, _ in trace[number - WINDOW : number])
        if trace[number][0] > 2 * usual and (not found or number + 1 - found[-1]["step"] > WINDOW):
            after = trace[min(number + AFTER, len(trace) - 1)][1]
            found.append(
                {
                    "step": number + 1,
                    "loss": round(trace[number][0], 3),
                    "median_before": round(usual, 3),
                    "zero_before": round(trace[number - 1][1], 3),
                    "zero_after": round(after, 3),
                }
            )
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--circuit", default="mnist-conv")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tiny circuit on few digits, to try this script out")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="JSON file; an existing one is replaced")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    circuit = "digits-fc" if asked.quick else asked.circuit
    data = load_dataset("digits" if asked.quick else circuit.partition("-")[0], asked.data_dir)
    options = quick_options(circuit) if asked.quick else {}
    seeds = " ".join(map(str, asked.seeds))
    command = f"python benchmarks/loss_spikes.py --circuit {circuit} --seeds {seeds} --epochs {asked.epochs}"
    report: dict[str, Any] = {"machine": machine_facts(), "command": command}
    report |= {"circuit": circuit, "epochs": asked.epochs, "batch_size": asked.batch_size, "measured": []}
    for seed in asked.seeds:
        found = measure(circuit, seed, asked.epochs, asked.batch_size, data, options)
        report["measured"].append(found)
        write_json(asked.out, report)
        last = ", ".join(f"{name} {degrees:.1f}" for name, degrees in found["angles"][-1]["degrees"].items())
        print(f"{circuit}, seed {seed}: {len(found['spikes'])} spikes; degrees at the end: {last}", flush=True)


if __name__ == "__main__":
    main()
