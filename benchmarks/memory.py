"""How much memory a step of learning needs beyond weights, gradients and the optimizer's state.

    python benchmarks/memory.py --circuits mnist-fc mnist-conv mnist-lc --out results/memory.json

Every contestant runs in a fresh process and is measured twice, in two steps, by `neurosim.step_costs`: `allocated` is
the highest sum of torch's tensors during a step, `resident` by how much the process outgrew its size before it.

The batch itself, uint8 images and labels, is there before the step and not counted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from baseline import Baseline, formulations, synthetic
from machine import machine_facts, quick_options, write_json

from neurosim import BP, Simulator, circuits
from neurosim.step_costs import WARM_UP, allocated_peak, resident_peak

BATCH, QUICK_BATCH = 128, 8
OURS = ("GEVB", "BP")


def measure(name: str, contestant: str, quick: bool) -> dict[str, int | None]:
    """One contestant's memory, in this process."""
    circuit = circuits.load(name, **quick_options(name) if quick else {})
    images, labels = synthetic(circuit, QUICK_BATCH if quick else BATCH)
    simulator = Simulator(circuit.with_rules(BP()) if contestant == "BP" else circuit)
    parameters = sum(t.nbytes for t in (*simulator.weights.values(), *simulator.biases.values()))
    learn: Callable[..., object] = simulator.learn
    baseline = None
    if contestant not in OURS:
        baseline = Baseline(simulator, contestant)
        learn = baseline.learn
    del simulator
    for _ in range(WARM_UP):
        learn(images, labels)
    resident = resident_peak(lambda: learn(images, labels))
    if baseline is not None:
        baseline.optimizer.zero_grad(set_to_none=True)
    return {"allocated": allocated_peak(lambda: learn(images, labels)), "resident": resident, "parameters": parameters}


def in_fresh_process(name: str, contestant: str, quick: bool) -> dict[str, int | None]:
    command = [sys.executable, __file__, "--circuits", name, "--only", contestant, *(["--quick"] if quick else [])]
    command += ["--threads", str(torch.get_num_threads())]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{name}, {contestant}: the measuring process failed\n{result.stderr}")
    found: dict[str, int | None] = json.loads(result.stdout.splitlines()[-1])
    return found


def summary(name: str, found: dict[str, dict[str, int | None]]) -> str:
    """A table for the terminal; resident memory in brackets."""

    def mebibytes(size: int | None) -> str:
        return "-" if size is None else f"{size / 2**20:.1f}"

    rows = [f"{name}: MiB of a step beyond weights, gradients and optimizer state, allocated (resident)"]
    for contestant, sizes in found.items():
        rows.append(f"  {contestant:24} {mebibytes(sizes['allocated']):>8} ({mebibytes(sizes['resident'])})")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a step of learning against plain torch and autograd.")
    parser.add_argument("--circuits", nargs="+", default=["mnist-fc", "mnist-conv", "mnist-lc"], metavar="NAME")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers, replaced")
    parser.add_argument("--threads", type=int, help="threads of torch, default its own choice")
    parser.add_argument("--quick", action="store_true", help="tiny circuits: does it run?")
    parser.add_argument("--only", metavar="CONTESTANT", help="measure this one here and print JSON; used by the script")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.only:
        print(json.dumps(measure(arguments.circuits[0], arguments.only, arguments.quick)))
        return
    report: dict[str, Any] = {"machine": machine_facts(), "batch": QUICK_BATCH if arguments.quick else BATCH}
    report |= {"unit": "bytes", "circuits": {}}
    for name in arguments.circuits:
        contestants = [*OURS, *formulations(circuits.load(name))]
        found = {contestant: in_fresh_process(name, contestant, arguments.quick) for contestant in contestants}
        report["circuits"][name] = found
        print(summary(name, found), flush=True)
        if arguments.out:
            write_json(arguments.out, report)


if __name__ == "__main__":
    main()
