"""What a recorded run was made of, put together again: its images, its network at a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from neurosim.circuit import Circuit
from neurosim.datasets import Dataset, load_dataset
from neurosim.errors import DataError
from neurosim.simulator import Simulator

if TYPE_CHECKING:
    from neurosim.runs.run import Run


def dataset_of(run: Run, data_dir: str | Path | None = None, dataset: str | None = None) -> Dataset:
    """The images that a run was trained and tested on; arguments as in
    :func:`~neurosim.analysis.run_alignment.run_alignment`.

    Raises:
        DataError: the dataset is not the one that the run was trained on.
    """
    attributes = run.attributes
    data = load_dataset(dataset or str(attributes["dataset"]), data_dir)
    if len(json.loads(run.circuit_json)["inputs"]) == 1 and len(data.image_shape) == 3:
        data = data.flattened()  # as it was, of the same name, when a circuit whose input has no space learned it
    data = data.subset(
        train=min(int(attributes["dataset_train_size"]), len(data.train)),
        test=min(int(attributes["dataset_test_size"]), len(data.test)),
    )
    if data.fingerprint != attributes["dataset_fingerprint"]:
        raise DataError(
            f"{run.path}: it was trained on other images than those of dataset '{data.name}'; name the right dataset "
            "with --dataset (dataset=) or its folder with --data-dir (data_dir=)"
        )
    return data


def simulator_of(run: Run, device: str = "cpu") -> Simulator:
    """A simulator of a run's circuit, for :func:`put_back` to fill."""
    return Simulator(
        Circuit.from_json(run.circuit_json), device=device, precision=str(run.attributes["precision"]), seed=0
    )


def put_back(simulator: Simulator, run: Run, epoch: int = -1) -> None:
    """The tensors of a checkpoint; its optimizer, if it is there, is not needed to measure."""
    for key, tensor in run.state(epoch).items():
        kind, _, name = key.partition("/")
        if kind in ("weights", "biases", "gates", "feedback"):
            getattr(simulator, kind)[name] = tensor.to(simulator.device)
