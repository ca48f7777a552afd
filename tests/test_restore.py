"""A recorded run can be taken up again: any kept checkpoint makes the simulator it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from neurosim import BP, GEVB, Circuit, Simulator, circuits
from neurosim.datasets import load_dataset
from neurosim.rules import DFA, FA, ThreeFactorHebbian
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer


@pytest.mark.parametrize("rule", [GEVB(), BP(), FA(), DFA(), ThreeFactorHebbian()], ids=str)
def test_every_checkpoint_can_be_restored(tmp_path: Path, rule) -> None:
    data = load_dataset("digits").subset(train=256, test=100)
    circuit = circuits.load("digits-fc", widths=(16, 8), rule=rule)
    path = tmp_path / "run.h5"
    trained = Simulator(circuit, seed=3)
    result = Trainer(trained, data, epochs=2, checkpoint_every=1, observers=[RunRecorder(path)]).run()
    run = Run(path)
    assert run.kept_epochs == (0, 1, 2)
    for row in result.checkpoints:
        simulator = Simulator(Circuit.from_json(run.circuit_json), seed=99)
        simulator.load_state_dict(run.state(epoch=row.epoch))
        loss, mistakes = simulator.score(data.test.images, data.test.labels)
        assert abs(float(loss) / 100 - row.test_loss) < 1e-6
        assert int(mistakes) == round(row.test_error * 100)
        for name, tensor in simulator.feedback.items():
            if "expected_loss" not in name:
                assert torch.equal(tensor, trained.feedback[name])
