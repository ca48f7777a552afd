"""How fast a step of learning is, against plain torch trained by autograd, all in one run.

    python benchmarks/speed.py --circuits mnist-fc mnist-conv mnist-lc --out results/speed.json

Contestants take turns (`rounds.py`), so ratios hold on a machine that does other things besides; absolute times do not.
Before anything is timed, the baseline's loss and gradients are compared with the simulator's BP from the same weights.
"""

from __future__ import annotations

import argparse
import functools
import time
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, define, evolve, field, frozen
from baseline import Baseline, check_against_simulator, formulations, synthetic
from machine import load_average, machine_facts, quick_options, write_json
from multiply_adds import multiply_adds
from rounds import interleaved, pairwise, spread, timed

from neurosim import BP, Circuit, Simulator, circuits
from neurosim.datasets import Dataset, Split, batches
from neurosim.observers import EpochRow, Observer, Training
from neurosim.streams import stream
from neurosim.training import Trainer

#: circuit -> the least ratio of the baseline's step to GEVB's
LEAST_RATIO = {"mnist-fc": 1.2, "mnist-conv": 2.0, "mnist-lc": 3.0}
MOST_EPOCH_OVER_STEPS = 1.15


@frozen
class Settings:
    """How much is measured.

    Attributes:
        batch: examples in a step.
        rounds: comparisons.
        calls: timed steps of each contestant in a round.
        product: side of the square matrices whose product is the machine's peak.
        images: training images of the measured epoch; a test split of a sixth of them follows, as in MNIST.
        epochs: measured epochs, after one to warm up.
    """

    batch: int = 128
    rounds: int = 7
    calls: int = 3
    product: int = 3072
    images: int = 1000
    epochs: int = 3


@define
class StepsAlone(Observer):
    """After each epoch, times the same number of steps on batches that lie ready."""

    simulator: Simulator
    ready: list[tuple[torch.Tensor, torch.Tensor]]
    rows: list[EpochRow] = field(factory=list)
    seconds: list[float] = field(factory=list)

    def on_epoch(self, trainer: Training, row: EpochRow) -> None:
        start = time.perf_counter()
        for images, labels in self.ready:
            self.simulator.learn(images, labels)
        self.seconds.append(time.perf_counter() - start)
        self.rows.append(row)


def measure_epochs(simulator: Simulator, settings: Settings) -> dict[str, Any]:
    """What a whole epoch costs over its steps: shuffling, indexing uint8 images, metrics, reading them.

    The Trainer itself runs, and the steps alone are timed between its epochs.
    """
    classes = simulator.circuit.readout.classes
    train = Split(*synthetic(simulator.circuit, settings.images))
    test = Split(*synthetic(simulator.circuit, max(1, settings.images // 6), seed=1))
    names = tuple(str(number) for number in range(classes))
    dataset = Dataset(name="synthetic", class_names=names, source="uniform noise", train=train, test=test)
    alone = StepsAlone(simulator, list(batches(train, settings.batch, stream(0, "ready batches"))))
    epochs = 1 + settings.epochs
    trainer = Trainer(
        simulator,
        dataset,
        epochs=epochs,
        batch_size=settings.batch,
        checkpoint_every=epochs,
        observers=[alone],
        early_stop=False,
    )
    trainer.run()
    whole = [row.step_seconds for row in alone.rows[1:]]
    with_test = [row.step_seconds + row.evaluation_seconds for row in alone.rows[1:]]
    return {
        "images": settings.images,
        "steps": trainer.steps_per_epoch,
        "epoch_seconds": whole,
        "test_pass_seconds": [row.evaluation_seconds for row in alone.rows[1:]],
        "steps_alone_seconds": alone.seconds[1:],
        "epoch_over_steps": pairwise(whole, alone.seconds[1:]),
        "epoch_and_test_pass_over_steps": pairwise(with_test, alone.seconds[1:]),
        "required": MOST_EPOCH_OVER_STEPS,
    }


def fastest_baseline(simulator: Simulator, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Check every formulation of the baseline and time them; the fastest one's name, and all numbers."""
    images, labels = synthetic(simulator.circuit, settings.batch)
    report: dict[str, Any] = {}
    contestants = {}
    for name in formulations(simulator.circuit):
        difference = check_against_simulator(simulator.circuit, name)
        report[name] = {"largest_relative_difference_of_gradients": difference}
        contestants[name] = functools.partial(Baseline(simulator, name).learn, images, labels)
    if len(contestants) > 1:
        for name, seconds in interleaved(contestants, rounds=3, calls=1).items():
            report[name]["step_seconds"] = seconds
    return min(report, key=lambda name: min(report[name].get("step_seconds", [0.0]))), report


def measure_steps(circuit: Circuit, settings: Settings) -> dict[str, Any]:
    """Steps of GEVB, BP and the baseline, and a matrix product, in turns."""
    simulator, exact = Simulator(circuit), Simulator(circuit.with_rules(BP()))
    chosen, formulated = fastest_baseline(simulator, settings)
    baseline = Baseline(simulator, chosen)
    images, labels = synthetic(circuit, settings.batch)
    left, right = torch.rand(2, settings.product, settings.product, generator=stream(0, "product")).unbind(0)
    seconds = interleaved(
        {
            "GEVB": lambda: simulator.learn(images, labels),
            "BP": lambda: exact.learn(images, labels),
            "baseline": lambda: baseline.learn(images, labels),
            "product": lambda: left @ right,
        },
        settings.rounds,
        settings.calls,
    )
    counted = multiply_adds(circuit, settings.batch)
    total = sum(sum(work.values()) for work in counted.values())
    speed = [settings.product**3 / s for s in seconds["product"]]
    return {
        "baseline": chosen,
        "formulations": formulated,
        "seconds": seconds,
        "step_seconds": {name: spread(seconds[name]) for name in ("GEVB", "BP", "baseline")},
        "baseline_over_GEVB": pairwise(seconds["baseline"], seconds["GEVB"]),
        "baseline_over_BP": pairwise(seconds["baseline"], seconds["BP"]),
        "BP_over_GEVB": pairwise(seconds["BP"], seconds["GEVB"]),
        "multiply_adds": {"what": " ".join((multiply_adds.__doc__ or "").split()), "groups": counted, "total": total},
        "peak_multiply_adds_per_second": spread(speed),
        "share_of_peak": pairwise([total / s for s in seconds["GEVB"]], speed),
    }


def measure(name: str, settings: Settings, options: dict[str, Any]) -> dict[str, Any]:
    """Everything about one circuit."""
    circuit = circuits.load(name, **options)
    build = [timed(lambda: Simulator(circuits.load(name, **options))) for _ in range(3)]
    report = {"build_seconds": build, **measure_steps(circuit, settings)}
    report["required_baseline_over_GEVB"] = LEAST_RATIO.get(name)
    report["epoch"] = measure_epochs(Simulator(circuit), settings)
    return report


def summary(name: str, report: dict[str, Any]) -> str:
    """A few lines for the terminal."""

    def line(what: str, numbers: dict[str, float], scale: float = 1.0, unit: str = "") -> str:
        low, middle, high = (scale * numbers[key] for key in ("min", "median", "max"))
        return f"  {what:34} {middle:8.2f}{unit}   [{low:.2f}, {high:.2f}]"

    required = report["required_baseline_over_GEVB"]
    steps, epoch = report["step_seconds"], report["epoch"]
    return "\n".join(
        [
            f"{name}: median [min, max] of {len(report['seconds']['GEVB'])} rounds; baseline: {report['baseline']}",
            *[line(f"step, {who}", steps[who], 1e3, " ms") for who in steps],
            line("baseline / GEVB", report["baseline_over_GEVB"]) + (f"   required {required}" if required else ""),
            line("baseline / BP", report["baseline_over_BP"]),
            line("share of matrix-product peak", report["share_of_peak"], 100, " %"),
            line("epoch / its steps", epoch["epoch_over_steps"]) + f"   at most {MOST_EPOCH_OVER_STEPS}",
            line("epoch and test pass / its steps", epoch["epoch_and_test_pass_over_steps"]),
            line("build", spread(report["build_seconds"]), 1, " s"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of a step of learning against plain torch and autograd.")
    parser.add_argument("--circuits", nargs="+", default=list(LEAST_RATIO), metavar="NAME", help="ready-made circuits")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers, replaced")
    parser.add_argument("--rounds", type=int, help=f"comparisons, default {Settings().rounds}")
    parser.add_argument("--threads", type=int, help="threads of torch, default its own choice")
    parser.add_argument("--quick", action="store_true", help="tiny circuits and one round: does it run?")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    settings = Settings(batch=8, rounds=1, calls=1, product=64, images=20, epochs=1) if arguments.quick else Settings()
    if arguments.rounds:
        settings = evolve(settings, rounds=arguments.rounds)
    report: dict[str, Any] = {"machine": machine_facts(), "settings": asdict(settings)}
    report |= {"load_average_before": load_average(), "circuits": {}}
    for name in arguments.circuits:
        found = measure(name, settings, quick_options(name) if arguments.quick else {})
        print(summary(name, found), flush=True)
        report["circuits"][name] = found
        report["load_average_after"] = load_average()
        if arguments.out:
            write_json(arguments.out, report)


if __name__ == "__main__":
    main()
