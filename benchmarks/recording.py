"""What it costs to watch: alignment at every checkpoint, a population's activity every ten steps, and memory.

    python benchmarks/recording.py --out results/recording.json

- `alignment`: processor time that an AlignmentRecorder takes at a checkpoint, and that of a step of learning, in turns.
  At the default schedule there is a checkpoint every ten epochs of 60,000 images, so the share of training time is
  the first over ten epochs of the second. Evaluation and other passes are left out, which makes the share larger.
- `activity`: the same steps with and without a Recorder of one population's mean activity every ten steps, in turns;
  wall time and processor time, the latter not lengthened by other processes; and, because the difference is smaller
  than the noise between two runs, the due steps against the others of the same run.
- `memory`: resident memory of a process that records a small circuit at every step, read at regular times.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise as pairwise_of
from pathlib import Path
from typing import Any

import torch
from baseline import synthetic
from machine import load_average, machine_facts, quick_options, write_json
from rounds import pairwise, spread

from neurosim import Simulator, circuits
from neurosim.analysis.alignment_recorder import EXAMPLES
from neurosim.analysis.credit_quality import SIGN_EXAMPLES, credit_quality
from neurosim.datasets import Dataset, Split
from neurosim.observers import Observer
from neurosim.runs.recorder import Recorder
from neurosim.runs.recording import RunRecorder
from neurosim.training import Trainer

BATCH, TRAINING_IMAGES, EPOCHS_BETWEEN = 128, 60_000, 10
RECORDED, EVERY = "fc1", 10


def alignment_cost(name: str, rounds: int, calls: int, quick: bool) -> dict[str, Any]:
    """Seconds of a measurement and of a step, and the share of the first at the default schedule."""
    simulator = Simulator(circuits.load(name, **quick_options(name) if quick else {}))
    batch, examples = synthetic(simulator.circuit, BATCH), synthetic(simulator.circuit, EXAMPLES)
    contestants = {
        "step": lambda: simulator.learn(*batch),
        "checkpoint": lambda: credit_quality(simulator, *examples, sign_examples=SIGN_EXAMPLES),
    }
    seconds: dict[str, list[float]] = {who: [] for who in contestants}
    for number in range(rounds):
        for who in contestants if number % 2 == 0 else reversed(list(contestants)):
            contestants[who]()
            times = calls if who == "step" else 1  # a step is short and counts once in every ratio
            seconds[who].append(statistics.median(processor_seconds(contestants[who]) for _ in range(times)))
    steps = EPOCHS_BETWEEN * math.ceil(TRAINING_IMAGES / BATCH)
    ratios = [checkpoint / step for checkpoint, step in zip(seconds["checkpoint"], seconds["step"], strict=True)]
    return {
        "circuit": name,
        "examples": EXAMPLES,
        "sign_examples": SIGN_EXAMPLES,
        "steps_between_checkpoints": steps,
        "processor_seconds": {who: spread(values) for who, values in seconds.items()},
        "checkpoint_over_step": spread(ratios),
        "share_of_training_time": spread([ratio / steps for ratio in ratios]),
    }


def processor_seconds(call: Callable[[], object]) -> float:
    """Processor time, which other processes do not lengthen."""
    start = time.process_time()
    call()
    return time.process_time() - start


class Stopwatch(Observer):
    """Processor time after every step; it watches nothing, and costs one call a step in both contestants."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_step(self, trainer: Any, step: Any) -> None:
        self.times.append(time.process_time())

    @property
    def steps(self) -> list[float]:
        """Seconds of the second step, the third, and so on."""
        return [after - before for before, after in pairwise_of(self.times)]


def cost_of_a_row(steps: list[float]) -> float:
    """What recording adds to the time of a run: due steps against the others of the same run, spread over all."""
    due = [seconds for number, seconds in enumerate(steps, 1) if number % EVERY == 0]
    others = [seconds for number, seconds in enumerate(steps, 1) if number % EVERY]
    usual = statistics.median(others)
    return (statistics.median(due) - usual) / (EVERY * usual)


def recording_cost(name: str, rounds: int, steps: int, quick: bool) -> dict[str, Any]:
    """An epoch of so many steps, with and without, in turns and every other round backwards."""
    circuit, batch = circuits.load(name, **quick_options(name) if quick else {}), 8 if quick else BATCH
    images, labels = synthetic(circuit, batch * steps)
    names = tuple(map(str, range(circuit.readout.classes)))
    data = Dataset("synthetic", names, "random numbers", Split(images, labels), Split(images[:8], labels[:8]))
    wall: dict[str, list[float]] = {"without": [], "with": []}
    processor: dict[str, list[float]] = {"without": [], "with": []}
    rows: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for kind in ("without", "with") if number % 2 == 0 else ("with", "without"):
                watch, path = Stopwatch(), Path(folder, f"{kind}{number}.h5")
                observers: Sequence[Observer] = [RunRecorder(path, checkpoints="none"), watch]
                if kind == "with":
                    observers = [*observers, Recorder(RECORDED, "activity", every=EVERY)]
                trainer = Trainer(
                    Simulator(circuit), data, epochs=1, batch_size=batch, observers=observers, early_stop=False
                )
                wall[kind].append(trainer.run().epochs[0].step_seconds)
                processor[kind].append(sum(watch.steps))
                rows += [cost_of_a_row(watch.steps)] if kind == "with" else []
                path.unlink()
    return {
        "circuit": name,
        "population": RECORDED,
        "every": EVERY,
        "steps": steps,
        "wall_seconds": {kind: spread(values) for kind, values in wall.items()},
        "processor_seconds": {kind: spread(values) for kind, values in processor.items()},
        "rows_over_steps": spread(rows),
        "wall_ratio": pairwise(wall["with"], wall["without"]),
        "processor_ratio": pairwise(processor["with"], processor["without"]),
    }


class Sampler(Observer):
    """Resident memory of this process after every so many steps."""

    def __init__(self, every: int) -> None:
        self.every, self.steps = every, 0
        self.samples: list[tuple[int, int]] = []

    def on_step(self, trainer: Any, step: Any) -> None:
        self.steps += 1
        if self.steps % self.every == 0:
            self.samples.append((self.steps, resident()))


def resident() -> int:
    """Bytes of memory that this process occupies now (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def memory_of_a_long_run(steps: int) -> dict[str, Any]:
    """A small circuit, everything of one population and one group recorded at every step."""
    circuit, per_epoch = circuits.load("digits-fc", widths=(32, 16)), 100
    images, labels = synthetic(circuit, 16 * per_epoch)
    names = tuple(map(str, range(circuit.readout.classes)))
    data = Dataset("synthetic", names, "random numbers", Split(images, labels), Split(images[:16], labels[:16]))
    sampler = Sampler(max(1, steps // 50))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.h5")
        observers = [
            RunRecorder(path, checkpoints="last"),
            Recorder("fc1", ["activity", "gates", "credit"], every=1),
            Recorder("fc1->fc2", ["weights", "updates"], every=1, reduce=None),
            sampler,
        ]
        epochs = math.ceil(steps / per_epoch)
        simulator = Simulator(circuit)
        Trainer(
            simulator,
            data,
            epochs=epochs,
            batch_size=16,
            observers=observers,
            checkpoint_every=epochs,
            early_stop=False,
        ).run()
        written = path.stat().st_size
    settled = sampler.samples[len(sampler.samples) // 5 :]
    return {
        "steps": sampler.steps,
        "file_bytes": written,
        "samples": sampler.samples,
        "growth_after_a_fifth": settled[-1][1] - settled[0][1],
        "bytes_per_step": _slope(settled),
    }


def _slope(samples: list[tuple[int, int]]) -> float:
    """Of the line of least squares through the samples."""
    if len(samples) < 2:
        return 0.0
    steps, sizes = zip(*samples, strict=True)
    return statistics.linear_regression(steps, sizes).slope


def summary(report: dict[str, Any]) -> str:
    share, ratio = report["alignment"]["share_of_training_time"], report["activity"]["processor_ratio"]
    rows = report["activity"]["rows_over_steps"]
    wall, memory = report["activity"]["wall_ratio"], report["memory"]
    lines = [
        f"alignment at the default schedule: {share['median']:.2%} of training time "
        f"({share['min']:.2%} to {share['max']:.2%})",
        f"activity every {EVERY} steps: {rows['median']:.2%} of training time "
        f"({rows['min']:.2%} to {rows['max']:.2%}), with over without in processor time "
        f"x {ratio['median']:.4f} ({ratio['min']:.4f} to {ratio['max']:.4f}), wall time x {wall['median']:.4f}",
    ]
    if memory is not None:
        lines.append(
            f"memory: {memory['growth_after_a_fifth'] / 2**10:.0f} KiB more after {memory['steps']} steps than after a "
            f"fifth of them, {memory['file_bytes'] / 2**20:.0f} MiB written"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What recording a circuit costs while it learns.")
    parser.add_argument("--circuit", default="mnist-fc", metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="of an epoch that is timed with and without")
    parser.add_argument("--long", type=int, default=10_000, help="steps of the run whose memory is read")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="JSON file for the numbers, replaced")
    parser.add_argument("--quick", action="store_true", help="tiny circuits: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.quick:
        arguments.rounds, arguments.steps, arguments.long = 1, 11, 200
    report: dict[str, Any] = {
        "command": " ".join(["python benchmarks/recording.py", *sys.argv[1:]]),
        "machine": machine_facts(),
        "load_average_before": load_average(),
        # first, while this process is young: what it grows by is then the run's own
        "memory": memory_of_a_long_run(arguments.long) if Path("/proc/self/statm").exists() else None,
        "activity": recording_cost(arguments.circuit, arguments.rounds, arguments.steps, arguments.quick),
        "alignment": alignment_cost(arguments.circuit, arguments.rounds, 5, arguments.quick),
        "load_average_after": load_average(),
    }
    print(summary(report))
    if arguments.out:
        write_json(arguments.out, report)


if __name__ == "__main__":
    main()
