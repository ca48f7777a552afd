"""What a benchmark says about the machine it ran on, and where it writes its numbers."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import torch

#: environment variables that change what is measured
_TELLING = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def machine_facts() -> dict[str, Any]:
    """Processor, cores, versions and threads; nothing that names a host, a user or a folder."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in _TELLING if name in os.environ},
    }


def load_average() -> list[float] | None:
    """Processes that wanted to run in the last 1, 5 and 15 minutes: above the number of cores, times are noisy."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write numbers; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def quick_options(circuit: str) -> dict[str, Any]:
    """Options that make a ready-made circuit tiny, to try out a benchmark."""
    if circuit.endswith("-fc"):
        return {"widths": (8, 6)}
    return {"channels": (4, 2, 2) if circuit.startswith("cifar10") else (4, 2), "fc1": 8}


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
