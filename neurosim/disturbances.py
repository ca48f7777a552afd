"""What the laws of ``neurosim.testing`` look at a rule with: one presentation turned into others, and its memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs
from torch import Tensor

from neurosim.credit import Presentation
from neurosim.forward import Activity
from neurosim.plasticity import Signal
from neurosim.simulator import Simulator


def disturbances(seen: Presentation, traces: Collection[str]) -> dict[Signal, Presentation]:
    """The same presentation with one kind of signal changed.

    Args:
        traces: the constants that are a rule's own memory and not feedback.
    """
    activity = seen.activity
    feedback = {name: t if name in traces else t + 1.0 for name, t in seen.constants.items()}
    weights = {
        name: attrs.evolve(synapses, weight=None if synapses.weight is None else synapses.weight * 2.0 + 1.0)
        for name, synapses in seen.synapses.items()
    }
    postsynaptic = attrs.evolve(
        activity, activations=_noisy(activity.activations), pre_activations=_noisy(activity.pre_activations)
    )
    return {
        Signal.ERROR: attrs.evolve(seen, error=seen.error + 1.0),
        Signal.TARGET: attrs.evolve(seen, target=1.0 - seen.target),
        Signal.SCALAR: attrs.evolve(seen, losses=seen.losses + 1.0, rerun=lambda noise: seen.rerun(noise) * 3.0),
        Signal.FEEDBACK: attrs.evolve(seen, constants=feedback),
        Signal.WEIGHTS: attrs.evolve(seen, synapses=weights),
        Signal.POSTSYNAPTIC: attrs.evolve(seen, activity=postsynaptic),
        Signal.NOISE: attrs.evolve(seen, noise=lambda label, population: seen.noise(label, population) + 1.0),
    }


def _noisy(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor + 1.0 for name, tensor in table.items()}


def sliced(simulator: Simulator, seen: Presentation, images: Tensor, examples: slice) -> Presentation:
    """Some examples of a batch as vectorization in time presents them: with their part of its noise, its ``whole``."""

    def part(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor[examples] for name, tensor in table.items()}

    activity = Activity(
        seen.activity.output[examples],
        part(seen.activity.activations),
        part(seen.activity.gates),
        part(seen.activity.pre_activations),
    )
    error, target, losses = (tensor[examples] for tensor in (seen.error, seen.target, seen.losses))
    return simulator._present(images, activity, target, error, losses, examples, seen.whole)


def alone(example: Presentation) -> Presentation:
    """One example of a batch as a batch of its own, with the same noise."""
    return attrs.evolve(example, whole=1, error=example.error * example.whole)


def remembered(simulator: Simulator, seen: Presentation) -> Mapping[str, Tensor]:
    """What the traces, and all other constants, would be after a step of learning from a presentation."""
    own = attrs.evolve(seen, constants={name: constant.clone() for name, constant in seen.constants.items()})
    simulator._updates.advance(simulator._updates.credits(own))
    return own.constants


def is_view(credit: Tensor | None, simulator: Simulator) -> bool:
    """Whether a credit lies in the memory of a constant or trace."""
    if credit is None:
        return False
    places = {constant.untyped_storage().data_ptr() for constant in simulator.feedback.values()}
    return credit.untyped_storage().data_ptr() in places
