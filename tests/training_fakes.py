"""A tiny simulator and dataset for tests of training and recording; as a program, a server of processes to kill.

The server imports everything once and forks a training process for each line of JSON that it reads, so that a test
can afford to kill many. It answers with the exit code. `lifetime`: seconds until it kills the process from outside;
`fatal`: the process kills itself at that change of the disk.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from neurosim.datasets import Dataset, Split
from neurosim.runs import places, writer
from neurosim.runs.recording import RunRecorder
from neurosim.streams import stream
from neurosim.training import Trainer, TrainingResult

SHAPE = (1, 3, 3)
CLASSES = 3


def scaled(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


class FakeCircuit:
    def __init__(self, note: str = "", inputs: tuple[int, ...] = SHAPE, classes: int = CLASSES) -> None:
        self.inputs, self.readout, self.note = inputs, SimpleNamespace(classes=classes), note

    def to_json(self) -> str:
        return json.dumps({"populations": [{"name": "output", "note": self.note}]})


class FakeOptimizer:
    def to_dict(self) -> dict[str, Any]:
        return {"type": "momentum", "lr": 0.05, "betas": (0.9, 0.999)}


class FakeSimulator:
    """Softmax regression with momentum (made by the first step) and noisy updates; its tensors have five types."""

    def __init__(self, seed: int = 0, circuit: FakeCircuit | None = None, explode_at: int | None = None) -> None:
        self.circuit, self.seed, self.device = circuit or FakeCircuit(), seed, torch.device("cpu")
        self.precision, self.vectorization, self.optimizer = "float32", "group", FakeOptimizer()
        pixels = torch.Size(self.circuit.inputs).numel()
        self.weight = 0.1 * torch.randn(self.circuit.readout.classes, pixels, generator=stream(seed, "weights"))
        self.bias = torch.zeros(self.circuit.readout.classes)
        self.gate = torch.tensor([True, False, True])
        self.feedback = torch.randn(2, 2, generator=stream(seed, "feedback")).to(torch.bfloat16)
        self.steps = torch.tensor(0)
        self.momentum: Tensor | None = None
        self.explode_at = explode_at

    def _forward(self, images: Tensor) -> Tensor:
        return scaled(images).flatten(1) @ self.weight.t() + self.bias

    def learn(self, images: Tensor, labels: Tensor) -> SimpleNamespace:
        output = self._forward(images)
        loss = torch.nn.functional.cross_entropy(output, labels)
        error = (output.softmax(1) - torch.nn.functional.one_hot(labels, output.shape[1])) / len(labels)
        noise = torch.randn(self.weight.shape, generator=stream(self.seed, "noise", int(self.steps)))
        update = error.t() @ scaled(images).flatten(1) + 0.01 * noise
        self.momentum = update if self.momentum is None else 0.9 * self.momentum + update
        self.weight -= 0.05 * self.momentum
        self.bias -= 0.05 * error.sum(0)
        self.steps += 1
        if int(self.steps) == self.explode_at:
            self.weight.fill_(float("inf"))
        return SimpleNamespace(loss=loss, mistakes=(output.argmax(1) != labels).sum())

    def score(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        output = self._forward(images)
        loss = torch.nn.functional.cross_entropy(output, labels, reduction="sum")
        return loss, (output.argmax(1) != labels).sum()

    def state_dict(self) -> dict[str, Tensor]:
        state = {
            "weights/input->output": self.weight,
            "biases/output": self.bias,
            "gates/output/t": self.gate,
            "feedback/output": self.feedback,
            "optimizer/step/input->output": self.steps,
        }
        return state if self.momentum is None else state | {"optimizer/momentum/input->output": self.momentum}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if "optimizer/momentum/input->output" in state:
            self.momentum = torch.zeros_like(self.weight)
        own = self.state_dict()
        assert own.keys() == state.keys()
        for key, tensor in state.items():
            assert tensor.dtype == own[key].dtype
            own[key].copy_(tensor)


def fake_dataset(train: int = 50, test: int = 20, learnable: bool = False, seed: int = 0) -> Dataset:
    """Random images; their labels are random too, or written into the image."""

    def split(name: str, count: int) -> Split:
        generator = stream(seed, name)
        images = torch.randint(0, 256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
        labels = torch.randint(0, CLASSES, (count,), generator=generator)
        if learnable:
            images.zero_().flatten(1)[torch.arange(count), labels] = 255
        return Split(images, labels)

    return Dataset("fake", ("a", "b", "c"), "random numbers", split("train", train), split("test", test))


def fake_training(path: Path | None, epochs: int, simulator: FakeSimulator | None = None, **options: Any) -> Trainer:
    """A small run; `options` go to the trainer where it knows them, otherwise to the recorder."""
    recorders = [] if path is None else [RunRecorder(path, overwrite=options.pop("overwrite", False), **options)]
    return Trainer(
        simulator or FakeSimulator(),
        fake_dataset(),
        epochs=epochs,
        batch_size=16,
        checkpoint_every=2,
        observers=recorders,
    )


def numbers(result: TrainingResult) -> list[tuple[float, ...]]:
    """The rows of a run without the seconds, which no two runs share."""
    epochs = [(r.epoch, r.train_loss, r.train_error, r.test_loss, r.test_error) for r in result.epochs]
    return epochs + [(r.epoch, r.train_loss, r.train_error, r.test_loss, r.test_error) for r in result.checkpoints]


class KillSwitch:
    """Kills this very process, without any farewell, at the n-th change of the disk; a write is cut in the middle."""

    def __init__(self, fatal: int) -> None:
        self.left = fatal
        self.replace, self.write, self.create = os.replace, places.write_all, writer.create

    def install(self) -> None:
        os.replace = self.on_replace  # type: ignore[assignment]
        places.write_all = self.on_write
        writer.create = self.on_create

    def is_fatal(self) -> bool:
        self.left -= 1
        return self.left == 0

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def on_replace(self, source: Path, target: Path) -> None:
        if self.is_fatal():
            self.die()
        self.replace(source, target)
        if self.is_fatal():
            self.die()

    def on_write(self, raw: Any, offset: int, data: memoryview) -> None:
        if self.is_fatal():
            self.write(raw, offset, data[: len(data) // 2])
            self.die()
        self.write(raw, offset, data)

    def on_create(self, path: Path, *arguments: Any) -> None:
        self.create(path, *arguments)
        if self.is_fatal():
            os.truncate(path, path.stat().st_size // 2)
            self.die()


def main() -> None:
    os.fsync = lambda file: None  # type: ignore[assignment]  # a kill does not need it, and it is slow
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            if order["fatal"]:
                KillSwitch(order["fatal"]).install()
            fake_training(Path(order["path"]), order["epochs"], **order["options"]).run()
            os._exit(0)
        if order["lifetime"] is not None:
            time.sleep(order["lifetime"])
            os.kill(pid, signal.SIGKILL)  # nothing, where it is over already
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
