"""Registered circuits at small widths, with other readouts, and random numbers to run them on."""

from __future__ import annotations

import inspect

import attrs
import torch
from torch import Tensor

from neurosim import BP, Binary, Circuit, Gate, OneHot, PlasticityRule, Simulator
from neurosim.circuits import available_circuits, load
from neurosim.plasticity import available_rules
from neurosim.readout import Readout

#: option of a circuit -> the small value for every one of its entries
_SMALL = {"widths": 6, "channels": 4, "fc1": 6}


def small(
    name: str,
    sign: str = "nonnegative",
    rule: PlasticityRule | None = None,
    readout: Readout | None = None,
    K: int | None = None,
    gate: Gate | None = None,
) -> Circuit:
    """A registered circuit, as narrow as its options allow, perhaps with another readout and K, or another gate."""
    known = inspect.signature(available_circuits()[name]).parameters
    options = {"sign": sign, "rule": rule}
    for option, size in _SMALL.items():
        if option in known:
            default = known[option].default
            options[option] = tuple(size for _ in default) if isinstance(default, tuple) else size
    data = load(name, **{key: value for key, value in options.items() if key in known}).to_dict()
    if readout is not None:
        data |= {"readout": readout.to_dict(), "K": readout.length if K is None else K}
    if gate is not None:
        data["populations"] = [p | {"gate": gate.to_dict()} if p.get("gate") else p for p in data["populations"]]
    return Circuit.from_dict(data)


def with_rule(circuit: Circuit, rule: str) -> Circuit:
    """``circuit`` in which every group learns by the registered rule of that name."""
    return circuit.with_rules(available_rules()[rule]())


def readouts_for(rule: str, loss: str | None = None) -> list[tuple[Readout, int]]:
    """Outputs for which a registered rule is not refused, with K: one vector, ten scalars, one scalar; one at least."""
    instance = available_rules()[rule]()
    outputs: list[tuple[Readout, int]] = [(OneHot(10), 10), (OneHot(10), 1), (Binary(2), 1)]
    circuits = [(small("digits-fc", rule=BP(), readout=readout, K=K), readout, K) for readout, K in outputs]
    accepted = [
        (readout if loss is None else attrs.evolve(readout, loss=loss), K)
        for c, readout, K in circuits
        if not any(instance.refusal(c, group) for group in c.groups.values())
    ]
    assert accepted, f"the rule '{rule}' applies nowhere"
    return accepted


def batch_for(circuit: Circuit, size: int, seed: int = 0, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor]:
    """Random images, ``uint8`` or floating point, and labels."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    shape = (size, *circuit.inputs)
    if dtype == torch.uint8:
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8, device="cpu")
    else:
        images = torch.randn(shape, generator=generator, dtype=dtype, device="cpu")
    return images, torch.randint(circuit.readout.classes, (size,), generator=generator, device="cpu")


def scatter_biases(simulator: Simulator, scale: float = 0.3, seed: int = 0) -> None:
    """Biases start at 0; give them values, so that they take part."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for name, bias in simulator.biases.items():
        simulator.biases[name] = scale * torch.randn(bias.shape, generator=generator, device="cpu")
