"""The networks of Tables 1 and 2 at their full width; minutes on a cpu, so not part of `make test`."""

from __future__ import annotations

import math

import pytest
import torch

from neurosim import Adam, Simulator
from neurosim.published import published_experiments

STEPS = 20


@pytest.mark.slow
@pytest.mark.parametrize("name", published_experiments())
def test_twenty_steps_without_a_warning(name: str) -> None:
    """Warnings are errors here. The images are noise and the first steps large, so the loss need not fall."""
    experiment = published_experiments()[name]
    simulator = Simulator(experiment.build(), seed=0, optimizer=Adam(experiment.protocol.learning_rate))
    generator = torch.Generator(device="cpu").manual_seed(0)
    shape = (experiment.protocol.batch_size, *simulator.circuit.inputs)
    images = torch.randint(256, shape, generator=generator, dtype=torch.uint8, device="cpu")
    labels = torch.randint(10, shape[:1], generator=generator, device="cpu")
    before = {group: weight.clone() for group, weight in simulator.weights.items()}
    losses = [float(simulator.learn(images, labels).loss) for _ in range(STEPS)]
    assert all(math.isfinite(loss) for loss in losses)
    for group, weight in simulator.weights.items():
        assert bool(weight.isfinite().all()) and not torch.equal(weight, before[group]), group
        if simulator.circuit.groups[group].sign == "nonnegative":
            assert bool((weight >= 0).all())
