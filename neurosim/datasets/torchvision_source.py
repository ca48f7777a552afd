"""Datasets that torchvision downloads and verifies, as uint8 tensors. torchvision is imported when one is asked for."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neurosim.datasets.dataset import Dataset, Split
from neurosim.errors import DataError


def download(name: str, kind: str, folder: Path, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Let torchvision download a dataset into `folder`, or find it there, and verify it.

    Args:
        name: neurosim's name of the dataset, `cifar10`.
        kind: the class in `torchvision.datasets`, `CIFAR10`.
        folder: torchvision's files stay here too.
        class_names: names to use instead of torchvision's.

    Raises:
        DataError: torchvision is missing, or the download or its verification failed.
    """
    try:
        factory = getattr(importlib.import_module("torchvision.datasets"), kind)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        raise DataError(
            f"dataset '{name}': expected torchvision to download it, but torchvision cannot be imported ({error}); "
            f"install the torchvision that fits this torch, or put a finished {name}.h5 into {folder}"
        ) from error
    try:
        folder.mkdir(exist_ok=True)  # no parents: a mistyped path is not made
        parts = [factory(root=str(folder), train=train, download=True) for train in (True, False)]
        coarse = [_coarse(part) for part in parts]
    except Exception as error:  # a stranger's network and unpickling code raises anything
        raise DataError(
            f"dataset '{name}': expected torchvision to download and verify it in {folder}, but it failed "
            f"({type(error).__name__}: {error}); check the connection and the folder, delete a partial download "
            f"there, or put a finished {name}.h5 into it"
        ) from error
    train, test = (
        Split(_images(part.data), _labels(part.targets), labels)
        for part, (labels, _) in zip(parts, coarse, strict=True)
    )
    return Dataset(
        name=name,
        class_names=class_names or tuple(parts[0].classes),
        source=f"torchvision {kind}, original order",
        train=train,
        test=test,
        coarse_class_names=coarse[0][1],
    )


def _images(data: Any) -> Tensor:
    """`(N, H, W)` or `(N, H, W, C)`, tensor or array, as `(N, C, H, W)`."""
    images = torch.as_tensor(data, device="cpu")
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()


def _labels(targets: Any) -> Tensor:
    return torch.as_tensor(targets, dtype=torch.int64, device="cpu")


def _coarse(part: Any) -> tuple[Tensor | None, tuple[str, ...]]:
    """CIFAR-100's superclass labels and names, which torchvision leaves in the files that it has just verified."""
    meta = getattr(part, "meta", {})
    if meta.get("key") != "fine_label_names":
        return None, ()
    folder = Path(part.root, part.base_folder)
    files = part.train_list if part.train else part.test_list
    labels = [_unpickle(folder / file)["coarse_labels"] for file, _ in files]
    return _labels(np.concatenate(labels)), tuple(_unpickle(folder / meta["filename"])["coarse_label_names"])


def _unpickle(path: Path) -> dict[str, Any]:
    with path.open("rb") as raw:
        content: dict[str, Any] = pickle.load(raw, encoding="latin1")
    return content
