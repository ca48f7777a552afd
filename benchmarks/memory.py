"""How much memory a step of learning needs beyond weights, gradients and the optimizer's state.

    python benchmarks/memory.py --circuits mnist-fc mnist-conv mnist-lc --out results/memory.json

Every contestant runs in a fresh process and is measured twice, in two steps:

- `allocated`: the highest sum of the tensors that torch allocated during a step and had not freed, from its profiler.
- `resident`: by how much the process outgrew its size before the step (VmHWM - VmRSS, Linux alone). This also sees the
  matrix libraries' own buffers and what the allocator keeps; memory that an earlier step left free is returned first.

The batch itself, uint8 images and labels, is there before the step and not counted.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from baseline import Baseline, formulations, synthetic
from machine import machine_facts, quick_options, write_json
from torch.profiler import ProfilerActivity, profile

from neurosim import BP, Simulator, circuits

BATCH, QUICK_BATCH = 128, 8
OURS = ("GEVB", "BP")
WARM_UP = 2  # steps, after which gradients and the optimizer's state exist


def allocated_peak(step: Callable[[], object]) -> int:
    """Bytes: the highest level of torch's cpu allocator during a step, over the level that the step leaves.

    The profiler follows only what is allocated under its eyes, so gradients that a step frees and allocates anew must
    be freed before; they are then what the step leaves.
    """
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted((e["args"]["Ev Idx"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]")
    levels: list[int] = list(itertools.accumulate(change for _, change in changes))
    return max(levels) - levels[-1]


def resident_peak(step: Callable[[], object]) -> int | None:
    """Bytes: the largest resident size during a step, over the size before it; None where the system cannot tell."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts anew
        before = _status("VmRSS")
        step()
        return _status("VmHWM") - before
    except (AttributeError, OSError, TypeError):
        return None


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return 1024 * int(sizes[field].split()[0])


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
