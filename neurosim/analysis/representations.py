"""Activity of populations over many images, streamed to HDF5 with the labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import h5py
import numpy as np

from neurosim.circuit import OUTPUT, Circuit
from neurosim.datasets import Split, batches
from neurosim.errors import DataError, UnknownNameError
from neurosim.simulator import Simulator

#: a batch presents as many images as keep the activity recorded of it below this, in bytes
_BATCH_BYTES = 64 * 2**20
_MOST_IMAGES = 500


def populations_of(circuit: Circuit, names: Sequence[str] = (), where: str = "") -> tuple[str, ...]:
    """The populations named, or the one of Figure 3: the last with space, or without any the last before the output.

    ``where`` tells in an error which circuit it is.

    Raises:
        UnknownNameError: a population that does not exist.
        DataError: one is named twice, or the circuit has no hidden population.

    Example:
        >>> from neurosim import circuits
        >>> populations_of(circuits.load("cifar10-conv")), populations_of(circuits.load("digits-fc"))
        (('conv3',), ('fc2',))
    """
    for name in names:
        if name not in circuit.populations:
            raise UnknownNameError("population", name, circuit.populations, f"; in {where}" if where else "")
    if len(set(names)) < len(names):
        raise DataError(f"populations: each once, got {', '.join(names)}")
    if names:
        return tuple(names)
    hidden = [name for name in circuit.order if name != OUTPUT and not circuit.populations[name].scalar]
    if not hidden:
        raise DataError("populations: the circuit has no hidden population; name 'input' or 'output'")
    spatial = [name for name in hidden if len(circuit.populations[name].shape) > 1]
    return ((spatial or hidden)[-1],)


def save_activity(
    simulator: Simulator,
    images: Split,
    group: h5py.Group,
    populations: Sequence[str] = (),
    *,
    batch_size: int | None = None,
) -> None:
    """Write what populations do when images are presented, batch by batch; no more than one batch is in memory.

    Each population becomes a group of its name in ``group``, with a dataset ``activity``: ``(examples, K, *units)``
    or, scalar populations, ``(examples, *units)``; pixels as the circuit sees them, in [-1, 1]. The group gets a
    dataset ``labels``, unless it has one, and the attributes of the simulator.

    Args:
        simulator: stays as it is.
        images: which examples, with their labels; any device.
        group: of an HDF5 file open for writing.
        populations: as in :func:`populations_of`.
        batch_size: images at a time; by default as many as keep their activity below 64 MiB, at most 500.

    Raises:
        UnknownNameError: a population that does not exist; nothing was written.
        DataError: the group has one of these populations already; nothing was written.

    Example:
        >>> import tempfile
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> digits, simulator = load_dataset("digits"), Simulator(circuits.load("digits-fc"))
        >>> with tempfile.TemporaryFile() as space, h5py.File(space, "w") as file:
        ...     save_activity(simulator, digits.test.first(50), file, ["fc1"])
        ...     file["fc1/activity"].shape, file["labels"].shape
        ((50, 10, 256), (50,))
    """
    names = populations_of(simulator.circuit, populations)
    if there := [name for name in names if name in group]:
        raise DataError(
            f"{group.file.filename}: it holds the activity of {', '.join(there)} already; name another group"
        )
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size: expected at least 1, got {batch_size}")
    shapes = {name: _shape(simulator.circuit, name) for name in names}
    batch = batch_size or max(1, min(_MOST_IMAGES, _BATCH_BYTES // (4 * sum(map(math.prod, shapes.values())))))
    if "labels" not in group:
        group.create_dataset("labels", data=images.labels.cpu().numpy())
    _describe(group, simulator)
    dtype = np.float64 if simulator.precision == "float64" else np.float32
    made = {name: _dataset(group, name, (len(images), *shape), dtype, batch) for name, shape in shapes.items()}
    start = 0
    for shown, _ in batches(images, batch):
        activity = simulator.forward(shown.to(simulator.device), keep=names)
        stop = start + len(shown)
        for name, dataset in made.items():
            dataset[start:stop] = activity.activations[name].cpu().numpy()
        start = stop


def _shape(circuit: Circuit, name: str) -> tuple[int, ...]:
    population = circuit.populations[name]
    return population.shape if population.scalar else (circuit.K, *population.shape)


def _dataset(group: h5py.Group, name: str, shape: tuple[int, ...], dtype: type, batch: int) -> h5py.Dataset:
    chunk = max(1, min(shape[0], batch, 2**20 // max(1, 4 * math.prod(shape[1:]))))
    population = group.create_group(name)
    population.attrs["population"] = name
    return population.create_dataset("activity", shape, dtype, chunks=(chunk, *shape[1:]))


def _describe(group: h5py.Group, simulator: Simulator) -> None:
    circuit = simulator.circuit
    about = {
        "circuit": circuit.to_json(),
        "K": circuit.K,
        "precision": simulator.precision,
        "vectorization": simulator.vectorization,
        "seed": simulator.seed,
    }
    for key, value in about.items():
        if key not in group.attrs:
            group.attrs[key] = value
