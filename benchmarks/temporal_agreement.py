"""How long vectorization in time stays with all components side by side in single precision.

    python benchmarks/temporal_agreement.py --out results/temporal-float32.json

In exact arithmetic both learn the same; in float32 their sums round differently, and where a pre-activation is that
close to its gate's threshold, the gate opens in one and stays shut in the other, and with it an example's update
changes by a finite amount. For every gate, connectivity and rule that can be computed bin by bin a small circuit learns
for 50 steps in both ways, from the same weights and images, and before every step all gates are compared. `mnist-fc`
does so at full width, by GEVB with Adam at the paper's rate. Where causal order is allowed it is compared with replay
as well.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts, quick_options, write_json
from torch import Tensor

from neurosim import (
    SGD,
    Adam,
    AvgPool,
    Circuit,
    Conv2d,
    Dense,
    ExternalGate,
    FirstBinGate,
    HalfNormal,
    Local2d,
    OneHot,
    SignGate,
    Simulator,
    Temporal,
    circuits,
)
from neurosim.connectivity import Connectivity
from neurosim.errors import CircuitError
from neurosim.gates import Gate
from neurosim.plasticity import PlasticityRule, available_rules
from neurosim.vectorization import Vectorization, vectorization_named

BATCH, FULL_BATCH, CLASSES = 16, 128, 6
RATE, FULL_RATE, PRECISION = 0.01, 3e-4, "float32"
GATES: dict[str, Gate | None] = {
    "SignGate": SignGate(),
    "FirstBinGate": FirstBinGate(),
    "ExternalGate": ExternalGate(),
    "linear": None,
}
CONNECTIVITIES: dict[str, Connectivity] = {
    "dense": Dense(),
    "convolutional": Conv2d(3, padding=1),
    "local": Local2d(3, padding=1),
}


def small(gate: Gate | None, connectivity: Connectivity, rule: PlasticityRule) -> Circuit:
    """Two gated populations, pooling between them where they lie in space, nonnegative weights past the first layer."""
    circuit = Circuit((1, 8, 8), OneHot(CLASSES, "squared"))
    in_space = not isinstance(connectivity, Dense)
    circuit.population("h1", (8, ...) if in_space else 32, gate=gate, bias="channel")
    circuit.connect("input", "h1", connectivity, rule=rule)
    if in_space:
        circuit.relay("pool", "h1", AvgPool(2))
    circuit.population("h2", (8, ...) if in_space else 32, gate=gate)
    pre = "pool" if in_space else "h1"
    circuit.connect(pre, "h2", connectivity, rule=rule, sign="nonnegative", init=HalfNormal())
    circuit.connect("h2", "output", Dense(), rule=rule, sign="nonnegative", init=HalfNormal())
    return circuit


def images_for(circuit: Circuit, batch: int, step: int) -> tuple[Tensor, Tensor]:
    """Random images and labels, other ones in every step."""
    generator = torch.Generator(device="cpu").manual_seed(step)
    images = torch.randint(256, (batch, *circuit.inputs), generator=generator, dtype=torch.uint8, device="cpu")
    return images, torch.randint(circuit.readout.classes, (batch,), generator=generator, device="cpu")


def compare(circuit: Circuit, ways: tuple[Vectorization, Vectorization], steps: int, batch: int) -> dict[str, Any]:
    """Both ways from the same weights and images; gates compared before every step, weights after the last."""
    optimizer = Adam(FULL_RATE) if batch == FULL_BATCH else SGD(RATE)
    one, other = (
        Simulator(circuit, vectorization=way, precision=PRECISION, optimizer=optimizer, seed=0) for way in ways
    )
    gated = [name for name, population in circuit.populations.items() if population.gate is not None]
    start = {name: weight.clone() for name, weight in one.weights.items()}
    flipped, compared, first = 0, 0, None
    for step in range(steps):
        images, labels = images_for(circuit, batch, step)
        open_in_one, open_in_other = (simulator.forward(images, keep=gated).gates for simulator in (one, other))
        flips = sum(int((open_in_one[name] != open_in_other[name]).sum()) for name in gated)
        flipped, compared = flipped + flips, compared + sum(gate.numel() for gate in open_in_one.values())
        first = step if flips and first is None else first
        one.learn(images, labels)
        other.learn(images, labels)
    if not all(bool(weight.isfinite().all()) for weight in one.weights.values()):
        raise ArithmeticError(f"the weights diverged with {optimizer}, so there is nothing to compare: {circuit}")
    return {
        "gates_compared": compared,
        "gates_flipped": flipped,
        "first_step_with_a_flip": first,
        "largest_weight_difference": furthest(one.weights, other.weights),
        "largest_weight_change": furthest(one.weights, start),
    }


def furthest(one: Any, other: Any) -> float:
    """The largest difference of any weight, relative to the largest weight of its group."""
    return max(float((one[n] - other[n]).abs().max() / one[n].abs().max().clamp(min=1e-30)) for n in one)


def cases(quick: bool) -> Iterator[tuple[str, Circuit | str, int]]:
    """Title, circuit (or why it cannot be computed bin by bin) and batch."""
    rules = {name: rule() for name, rule in available_rules().items()}
    for gate, connectivity, rule in itertools.product(GATES, ["dense"] if quick else CONNECTIVITIES, rules):
        title = f"{gate}, {connectivity}, {rule}"
        try:
            yield title, small(GATES[gate], CONNECTIVITIES[connectivity], rules[rule]).check("temporal"), BATCH
        except CircuitError as error:
            yield title, str(error), BATCH
    widths = quick_options("mnist-fc") if quick else {}
    for gate in ("SignGate", "FirstBinGate", "ExternalGate"):
        circuit = circuits.load("mnist-fc", gate=GATES[gate], readout=OneHot(10, "squared"), **widths)
        yield f"mnist-fc, {gate}, gevb", circuit, BATCH if quick else FULL_BATCH


def measured(circuit: Circuit, steps: int, batch: int) -> dict[str, Any]:
    """Side by side against time, and causal against replay order where the former is allowed."""
    found = {"group_temporal": compare(circuit, (vectorization_named("group"), Temporal("replay")), steps, batch)}
    try:
        circuit.check(Temporal("causal"))
    except CircuitError:
        return found
    return found | {"replay_causal": compare(circuit, (Temporal("replay"), Temporal("causal")), steps, batch)}


def summary(report: dict[str, Any]) -> str:
    """How many cases have flips, and how far weights are apart without and with them."""
    lines = []
    for pair in ("group_temporal", "replay_causal"):
        found = [case[pair] for case in report["cases"].values() if pair in case]
        flips = [case for case in found if case["gates_flipped"]]
        quiet = [case["largest_weight_difference"] for case in found if not case["gates_flipped"]]
        loud = [case["largest_weight_difference"] for case in flips]
        lines.append(
            f"{pair}: a gate flips in {len(flips)} of {len(found)} cases; largest weight difference "
            f"{max(quiet, default=0.0):.1e} without, {max(loud, default=0.0):.1e} with flips"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Agreement of vectorization in time with all components side by side.")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose titles begin like this")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the numbers, replaced")
    parser.add_argument("--add", action="store_true", help="keep what --out holds of other cases")
    parser.add_argument("--quick", action="store_true", help="few steps, cases and units: does it run?")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    steps = 2 if arguments.quick else arguments.steps
    report: dict[str, Any] = {"machine": machine_facts(), "precision": PRECISION, "steps": steps, "seed": 0}
    report |= {"optimizer": {"small": f"SGD({RATE})", "mnist-fc": f"Adam({FULL_RATE})"}}
    report |= {"batch": {"small": BATCH, "mnist-fc": FULL_BATCH}}
    report |= {"weights_relative_to": "the largest weight of the group", "cases": {}, "refused": {}}
    if arguments.add and arguments.out.exists():
        before = json.loads(arguments.out.read_text(encoding="utf-8"))
        report |= {kind: before[kind] for kind in ("cases", "refused")}
    for title, circuit, batch in cases(arguments.quick):
        if not title.startswith(tuple(arguments.only)):
            continue
        if isinstance(circuit, str):
            report["refused"][title] = circuit
            continue
        report["cases"][title] = measured(circuit, steps, batch)
        apart = report["cases"][title]["group_temporal"]
        print(f"{title}: {apart['gates_flipped']} flips, {apart['largest_weight_difference']:.1e}", flush=True)
        write_json(arguments.out, report)
    print(summary(report))


if __name__ == "__main__":
    main()
