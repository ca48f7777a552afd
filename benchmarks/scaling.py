"""Time and memory of a step of learning over the number of components and of classes.

    python benchmarks/scaling.py --out results/scaling.json
    neurosim plot scaling results/scaling.json    # a picture of what was measured

Two sweeps on made-up images, both of GEVB in fully connected circuits:

- `components`: `mnist-fc` at full width, K = 1, 2, 4 ... 256, one-hot readout of K classes. All components side by side
  against time bins: in causal order (FirstBinGate, squared loss), and up to K = 64 replayed (SignGate, cross-entropy).
- `classes`: 10 to 1,000 classes with FirstBinGate and squared loss, one-hot (K = classes) against binary words
  (K = log2 of the classes, rounded up), side by side and in causal order. The hidden layers are narrower, because every
  component has first-layer weights of its own.

`seconds` is processor time of a step, every contestant once in each round; `memory` the highest sum of the tensors that
torch allocated in a step beyond weights, updates and optimizer state (as in memory.py); `parameters` those of weights
and biases, in bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import load_average, machine_facts, write_json
from temporal import processor_time

from neurosim import SGD, Binary, Circuit, FirstBinGate, OneHot, SignGate, Simulator, Temporal, circuits
from neurosim.gates import Gate
from neurosim.readout import Readout
from neurosim.step_costs import allocated_peak
from neurosim.vectorization import Vectorization, vectorization_named

BATCH, MOST_REPLAYED = 128, 64
GROUP, CAUSAL, REPLAY = vectorization_named("group"), Temporal("causal"), Temporal("replay")
SIZES = {"components": [2**power for power in range(9)], "classes": [10, 30, 100, 300, 1000]}
WIDTHS = {"components": (1024, 512), "classes": (256, 128)}
QUICK_SIZES = {"components": [1, 3], "classes": [3, 5]}

#: one contestant: made by this when its turn comes, because large ones do not fit into memory side by side with all
Build = Callable[[], Simulator]


def built(widths: tuple[int, ...], readout: Readout, gate: Gate, way: Vectorization) -> Simulator:
    circuit: Circuit = circuits.load("mnist-fc", widths=widths, readout=readout, gate=gate)
    return Simulator(circuit, optimizer=SGD(0.01), vectorization=way, seed=0)


def contestants(sweep: str, size: int, widths: tuple[int, ...]) -> dict[str, Build]:
    """What is compared at one size."""
    if sweep == "classes":
        codes: dict[str, Readout] = {"one-hot": OneHot(size, "squared"), "binary": Binary(size, "squared")}
        return {
            f"{code}, {where}": lambda readout=readout, way=way: built(widths, readout, FirstBinGate(), way)
            for code, readout in codes.items()
            for where, way in (("side by side", GROUP), ("in time", CAUSAL))
        }
    early: Readout = OneHot(size, "squared") if size > 1 else Binary(2, "squared")
    late: Readout = OneHot(size) if size > 1 else Binary(2)
    found: dict[str, Build] = {
        "side by side": lambda: built(widths, early, FirstBinGate(), GROUP),
        "in time, causal": lambda: built(widths, early, FirstBinGate(), CAUSAL),
    }
    if size <= MOST_REPLAYED:
        found["in time, replayed"] = lambda: built(widths, late, SignGate(), REPLAY)
    return found


def measure(sweep: str, size: int, rounds: int, quick: bool) -> dict[str, dict[str, Any]]:
    """Everything about one size."""
    simulators = {name: build() for name, build in contestants(sweep, size, (8, 6) if quick else WIDTHS[sweep]).items()}
    steps = {name: learning(simulator, 8 if quick else BATCH) for name, simulator in simulators.items()}
    memory = {}
    for name, step in steps.items():
        step()
        memory[name] = allocated_peak(step)
    seconds = processor_time(steps, rounds)
    return {
        name: {
            "K": simulator.circuit.K,
            "presentations": simulator.presentations,
            "seconds": seconds[name],
            "memory": memory[name],
            "parameters": sum(t.nbytes for t in (*simulator.weights.values(), *simulator.biases.values())),
        }
        for name, simulator in simulators.items()
    }


def learning(simulator: Simulator, batch: int) -> Callable[[], object]:
    """A step from random images and labels."""
    generator = torch.Generator(device="cpu").manual_seed(0)
    images = torch.randint(
        256, (batch, *simulator.circuit.inputs), generator=generator, dtype=torch.uint8, device="cpu"
    )
    labels = torch.randint(simulator.circuit.readout.classes, (batch,), generator=generator, device="cpu")
    return lambda: simulator.learn(images, labels)


def summary(sweep: str, size: int, found: dict[str, dict[str, Any]]) -> str:
    each = (
        f"{name} {1e3 * sorted(cost['seconds'])[len(cost['seconds']) // 2]:.1f} ms {cost['memory'] / 2**20:.2f} MiB"
        for name, cost in found.items()
    )
    return f"{size} {sweep}: " + "; ".join(each)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of a step over components and classes.")
    parser.add_argument("--sweeps", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers")
    parser.add_argument("--add", action="store_true", help="keep what --out holds of another sweep")
    parser.add_argument("--quick", action="store_true", help="tiny circuits: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report: dict[str, Any] = {"machine": machine_facts(), "batch": 8 if arguments.quick else BATCH, "seed": 0}
    report |= {"command": " ".join(["python", "benchmarks/scaling.py", *sys.argv[1:]]) if not arguments.quick else ""}
    report |= {"rounds": arguments.rounds, "memory_unit": "bytes", "widths": WIDTHS, "sweeps": {}}
    if arguments.add and arguments.out.exists():
        report["sweeps"] = json.loads(arguments.out.read_text(encoding="utf-8"))["sweeps"]
    for sweep in arguments.sweeps:
        report["sweeps"][sweep] = {}
        for size in (QUICK_SIZES if arguments.quick else SIZES)[sweep]:
            found = measure(sweep, size, arguments.rounds, arguments.quick)
            report["sweeps"][sweep][str(size)] = found
            report["load"] = load_average()
            print(summary(sweep, size, found), flush=True)
            write_json(arguments.out, report)


if __name__ == "__main__":
    main()
