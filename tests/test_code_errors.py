"""Bit, class and coarse errors of trained circuits, example by example."""

from __future__ import annotations

import pytest
import torch
from small_circuits import batch_for, small

from neurosim import BP, Adam, Binary, CodeTable, ErrorCorrecting, Gray, Hierarchical, OneHot, Simulator, circuits
from neurosim.analysis import code_errors
from neurosim.datasets import batches, load_dataset
from neurosim.readout import Readout
from neurosim.streams import stream

CODES = [
    OneHot(10), Binary(10), Gray(10, "squared"), ErrorCorrecting(10, 7),
    Hierarchical(10, (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)),    CodeTable(10, [format(5 * n + 1, "06b") for n in range(10)]),
]  # fmt: skip


@pytest.mark.parametrize("components", [None, 1], ids=["vector units", "scalar units"])
@pytest.mark.parametrize("code", CODES, ids=str)
def test_errors_counted_by_hand(code: Readout, components: int | None) -> None:
    if components == 1 and code.length % 2:
        components = None  # ON/OFF initialization pairs scalar outputs
    simulator = Simulator(small("digits-fc", rule=BP(), readout=code, K=components), precision="float64", seed=1)
    split = load_dataset("digits").test
    found = code_errors(simulator, split, batch_size=100)
    output = simulator.forward(split.images).output.flatten(1)
    words = [tuple(map(int, word)) for word in code.codewords().tolist()]
    guesses = simulator.predict(split.images).tolist()
    bits, classes, coarse = [0] * code.length, 0, 0
    for o, guess, label in zip(code.estimate(output).tolist(), guesses, split.labels.tolist(), strict=True):
        bits = [n + ((value > 0.5) != (bit == 1)) for n, value, bit in zip(bits, o, words[label], strict=True)]
        classes += guess != label
        coarse += isinstance(code, Hierarchical) and code.coarse[guess] != code.coarse[label]
    assert found.bits == pytest.approx([n / len(split) for n in bits], abs=1e-12)
    assert found.classes == pytest.approx(classes / len(split), abs=1e-12)
    assert found.coarse == (pytest.approx(coarse / len(split), abs=1e-12) if isinstance(code, Hierarchical) else None)
    counted = simulator.bit_errors(split.images, split.labels)
    assert counted.tolist() == bits
    assert int(simulator.score(split.images, split.labels)[1]) == classes


@pytest.mark.parametrize("code", CODES, ids=str)
def test_every_code_learns(code: Readout) -> None:
    """Five epochs of GEVB, far below the chance of 0.9 for classes; bits alike, and coarse classes better still."""
    data = load_dataset("digits").subset(train=700)
    simulator = Simulator(circuits.load("digits-fc", widths=(48,), readout=code), optimizer=Adam(3e-3), seed=0)
    for epoch in range(5):
        for images, labels in batches(data.train, 32, stream(0, "data order", epoch)):
            simulator.learn(images, labels)
    found = code_errors(simulator, data.test)
    assert found.classes < 0.4
    assert max(found.bits) < 0.2
    if found.coarse is not None:
        assert found.coarse < found.classes


def test_measuring_changes_nothing() -> None:
    simulator = Simulator(small("digits-fc", readout=Binary(10)), seed=1)
    before = simulator.state_dict()
    code_errors(simulator, load_dataset("digits").test)
    assert all(torch.equal(tensor, before[name]) for name, tensor in simulator.state_dict().items())


def test_labels_are_checked() -> None:
    simulator = Simulator(small("digits-fc", readout=Binary(10)))
    images, labels = batch_for(simulator.circuit, 4)
    with pytest.raises(ValueError, match=r"labels: expected one integer class per image, shape \(4,\)"):
        simulator.bit_errors(images, labels[:3])
