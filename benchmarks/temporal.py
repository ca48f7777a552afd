"""What vectorization in time costs against all K components side by side: memory, time, presentations.

    python benchmarks/temporal.py --circuits mnist-fc mnist-conv --components 10 100 --out results/temporal.json

For every circuit, rule and K, with a one-hot readout of K classes, two variants:

- `causal`: FirstBinGate and squared loss, one presentation;
- `replay`: SignGate and cross-entropy, presented until gates and errors are known.

`memory` is the highest sum of the tensors that torch allocated during a step, beyond weights, updates and the
optimizer's state; the images as floating-point numbers are counted. `resident` is by how much a fresh process outgrew
its size in a step, buffers of the matrix libraries included (both as in memory.py). `seconds` is processor time of a
step, in turns with its rival in one process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import load_average, machine_facts, quick_options, write_json
from rounds import pairwise, spread

from neurosim import BP, GEVB, SGD, Binary, Circuit, FirstBinGate, OneHot, SignGate, Simulator, Temporal, circuits
from neurosim.gates import Gate
from neurosim.plasticity import PlasticityRule
from neurosim.readout import Readout
from neurosim.step_costs import WARM_UP, allocated_peak, resident_peak

BATCH, QUICK_BATCH = 128, 8
KINDS = ("group", "temporal")
RULES: dict[str, PlasticityRule] = {"GEVB": GEVB(), "BP": BP()}
VARIANTS: dict[str, tuple[Gate, str]] = {
    "causal": (FirstBinGate(), "squared"),
    "replay": (SignGate(), "cross_entropy"),
}


def circuit_of(name: str, rule: str, components: int, variant: str, quick: bool) -> Circuit:
    """A ready-made circuit with another rule and readout and other gates."""
    gate, loss = VARIANTS[variant]
    data = circuits.load(name, **quick_options(name) if quick else {}).to_dict()
    readout: Readout = OneHot(components, loss) if components > 1 else Binary(2)  # one bin: both modes do the same
    data |= {"readout": readout.to_dict(), "K": components}
    data["populations"] = [p | {"gate": gate.to_dict()} if p.get("gate") else p for p in data["populations"]]
    return Circuit.from_dict(data).with_rules(RULES[rule])


def simulator_and_step(
    circuit: Circuit, kind: str, variant: str, quick: bool
) -> tuple[Simulator, Callable[[], object]]:
    """One contestant, ``group`` or ``temporal``, and what makes a step of it from random images."""
    batch = QUICK_BATCH if quick else BATCH
    generator = torch.Generator(device="cpu").manual_seed(0)
    images = torch.randint(256, (batch, *circuit.inputs), generator=generator, dtype=torch.uint8, device="cpu")
    labels = torch.randint(circuit.readout.classes, (batch,), generator=generator, device="cpu")
    vectorization = Temporal(variant) if kind == "temporal" else "group"
    simulator = Simulator(circuit, optimizer=SGD(0.01), vectorization=vectorization)
    return simulator, lambda: simulator.learn(images, labels)


def measure(name: str, rule: str, components: int, variant: str, rounds: int, quick: bool) -> dict[str, Any]:
    """One comparison, in this process but for resident memory."""
    circuit, case = circuit_of(name, rule, components, variant, quick), (name, rule, components, variant, quick)
    resident = {kind: resident_in_fresh_process(kind, *case) for kind in KINDS}
    contestants = {kind: simulator_and_step(circuit, kind, variant, quick) for kind in KINDS}
    steps = {kind: step for kind, (_, step) in contestants.items()}
    memory = {}
    for kind, step in steps.items():
        step()
        memory[kind] = allocated_peak(step)
    seconds = processor_time(steps, rounds)
    return {
        "presentations": contestants["temporal"][0].presentations,
        "memory": memory,
        "memory_ratio_times_K": components * memory["temporal"] / memory["group"],
        "resident": resident,
        "seconds": {kind: spread(values) for kind, values in seconds.items()},
        "time_ratio": pairwise(seconds["temporal"], seconds["group"]),
        "load": load_average(),
    }


def resident_here(kind: str, name: str, rule: str, components: int, variant: str, quick: bool) -> int | None:
    """Resident memory of one contestant's step, in this process."""
    _, step = simulator_and_step(circuit_of(name, rule, components, variant, quick), kind, variant, quick)
    for _ in range(WARM_UP):
        step()
    return resident_peak(step)


def resident_in_fresh_process(
    kind: str, name: str, rule: str, components: int, variant: str, quick: bool
) -> int | None:
    command = [sys.executable, __file__, "--only", kind, "--circuits", name, "--rules", rule, "--variants", variant]
    command += ["--components", str(components), "--threads", str(torch.get_num_threads())]
    result = subprocess.run([*command, *(["--quick"] if quick else [])], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{name}, {rule}, K = {components}, {variant}, {kind}: the measuring process failed\n{result.stderr}")
    found: int | None = json.loads(result.stdout.splitlines()[-1])
    return found


def processor_time(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of a step, which other processes do not lengthen, the contestants in turns."""
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    for _ in range(rounds):
        for kind, step in steps.items():
            start = time.process_time()
            step()
            seconds[kind].append(time.process_time() - start)
    return seconds


def mebibytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.1f}"


def summary(title: str, found: dict[str, Any]) -> str:
    memory, resident, ratio = found["memory"], found["resident"], found["time_ratio"]
    return (
        f"{title}: {found['presentations']} presentation(s), memory {mebibytes(memory['temporal'])} of "
        f"{mebibytes(memory['group'])} MiB ({found['memory_ratio_times_K']:.2f} / K), resident "
        f"{mebibytes(resident['temporal'])} of {mebibytes(resident['group'])} MiB, time "
        f"{found['seconds']['temporal']['median'] * 1e3:.0f} of {found['seconds']['group']['median'] * 1e3:.0f} ms "
        f"(x {ratio['median']:.2f}, {ratio['min']:.2f} to {ratio['max']:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Vectorization in time against all components side by side.")
    parser.add_argument("--circuits", nargs="+", default=["mnist-fc", "mnist-conv", "mnist-lc"], metavar="NAME")
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--components", nargs="+", type=int, default=[10, 100], metavar="K")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers, replaced")
    parser.add_argument("--add", action="store_true", help="keep what --out holds of other measurements")
    parser.add_argument("--quick", action="store_true", help="tiny circuits: does it run?")
    parser.add_argument("--only", choices=KINDS, help="print its resident memory; used by the script")
    arguments = parser.parse_args()
    if arguments.add and not arguments.out:
        parser.error("--add: nothing to add to without --out")
    torch.set_num_threads(arguments.threads)
    cases = itertools.product(arguments.circuits, arguments.rules, arguments.components, arguments.variants)
    if arguments.only:
        print(json.dumps(resident_here(arguments.only, *next(cases), arguments.quick)))
        return
    report: dict[str, Any] = {"machine": machine_facts(), "batch": QUICK_BATCH if arguments.quick else BATCH}
    report |= {"seed": 0, "memory_unit": "bytes", "measured": {}}
    if arguments.add and arguments.out.exists():
        report["measured"] = json.loads(arguments.out.read_text(encoding="utf-8"))["measured"]
    for name, rule, components, variant in cases:
        title = f"{name}, {rule}, K = {components}, {variant}"
        found = measure(name, rule, components, variant, arguments.rounds, arguments.quick)
        report["measured"][title] = found | {"rounds": arguments.rounds}
        print(summary(title, found), flush=True)
        if arguments.out:
            write_json(arguments.out, report)


if __name__ == "__main__":
    main()
