"""Labelled images for circuits: digits, MNIST, Fashion-MNIST, CIFAR-10/100 and the user's own HDF5 files.

    >>> data = load_dataset("digits")
    >>> data
    Dataset('digits', 1437 train + 360 test images of (1, 8, 8), 10 classes, cpu)
    >>> images, labels = next(batches(data.train, 32))
    >>> images.shape, images.dtype
    (torch.Size([32, 1, 8, 8]), torch.uint8)

`dataset` holds the classes, `hdf5` the file format, `registry` the names, `torchvision_source` the downloads,
`hierarchy` coarse classes.
"""

from __future__ import annotations

from neurosim.datasets.dataset import Dataset, Split, batches
from neurosim.datasets.hdf5 import read_dataset, save_dataset
from neurosim.datasets.hierarchy import HIERARCHIES, coarse_classes
from neurosim.datasets.registry import DATASETS, DatasetEntry, available_datasets, cached, load_dataset

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetEntry",
    "HIERARCHIES",
    "Split",
    "available_datasets",
    "batches",
    "cached",
    "coarse_classes",
    "load_dataset",
    "read_dataset",
    "save_dataset",
]
