"""Alignment angles after the fact, from the checkpoints of a run file."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen
from torch import Tensor

from neurosim.analysis.alignment import gradient_alignment
from neurosim.circuit import Circuit
from neurosim.datasets import load_dataset
from neurosim.errors import DataError
from neurosim.plasticity import PlasticityRule
from neurosim.run_file import Run
from neurosim.simulator import Simulator

#: examples that Figures 2 and 6 of the paper are measured on: the first so many of the training set
EXAMPLES = 128


@frozen
class CheckpointAlignment:
    """Angles in degrees at one checkpoint, by hidden population from first to last."""

    epoch: int
    degrees: dict[str, float]


def run_alignment(
    run: Run,
    *,
    rule: PlasticityRule | None = None,
    examples: int = EXAMPLES,
    data_dir: str | Path | None = None,
    dataset: str | None = None,
    device: str = "cpu",
) -> list[CheckpointAlignment]:
    """Angle between a rule's credit and backpropagation's at every checkpoint whose weights were kept (Appendix D).

    Args:
        run: recorded with ``checkpoints="all"`` for more than the last epoch.
        rule: whose credit; by default the rule that each population learned by.
        examples: the first so many training images.
        data_dir: folder of datasets.
        dataset: name or file, where it is not the name in the run.

    Raises:
        DataError: the dataset is not the one that the run was trained on, or no weights were kept.
        SimulationError: a rule that cannot apply, or a population whose groups are frozen (name a rule).

    Example:
        >>> import tempfile
        >>> from neurosim import circuits
        >>> from neurosim.recording import RunRecorder
        >>> from neurosim.training import Trainer
        >>> data = load_dataset("digits").subset(train=64, test=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     _ = Trainer(Simulator(circuits.load("digits-fc")), data, epochs=1, observers=[RunRecorder(path)]).run()
        ...     [(each.epoch, sorted(each.degrees)) for each in run_alignment(Run(path))]
        [(0, ['fc1', 'fc2']), (1, ['fc1', 'fc2'])]
    """
    if not run.kept_epochs:
        raise DataError(f"{run.path}: no weights were kept; record with checkpoints='all' to measure alignment later")
    simulator, (images, labels) = simulator_of(run, device), first_examples(run, examples, data_dir, dataset, device)
    found = []
    for epoch in run.kept_epochs:
        put_back(simulator, run, epoch)
        found.append(CheckpointAlignment(epoch, gradient_alignment(simulator, images, labels, rule)))
    return found


def first_examples(
    run: Run,
    examples: int = EXAMPLES,
    data_dir: str | Path | None = None,
    dataset: str | None = None,
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """The first so many training images of a run, and their labels; arguments as in :func:`run_alignment`.

    Raises:
        DataError: the dataset is not the one that the run was trained on.
    """
    attributes = run.attributes
    data = load_dataset(dataset or str(attributes["dataset"]), data_dir)
    data = data.subset(
        train=min(int(attributes["dataset_train_size"]), len(data.train)),
        test=min(int(attributes["dataset_test_size"]), len(data.test)),
    )
    if data.fingerprint != attributes["dataset_fingerprint"]:
        raise DataError(
            f"{run.path}: it was trained on other images than those of dataset '{data.name}'; name the right dataset "
            "with --dataset (dataset=) or its folder with --data-dir (data_dir=)"
        )
    first = data.train.first(min(examples, len(data.train)))
    return first.images.to(device), first.labels.to(device)


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


def as_text(aligned: list[CheckpointAlignment]) -> str:
    """A line per checkpoint."""
    names = list(aligned[0].degrees)
    head = "epoch  " + "  ".join(name.rjust(7) for name in names)
    rows = (
        f"{each.epoch:5d}  " + "  ".join(f"{each.degrees[name]:{max(7, len(name))}.2f}" for name in names)
        for each in aligned
    )
    return "\n".join([head, *rows])


def to_plain(aligned: list[CheckpointAlignment]) -> list[dict[str, object]]:
    """For JSON."""
    return [{"epoch": each.epoch, "degrees": each.degrees} for each in aligned]
