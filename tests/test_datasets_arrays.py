"""Datasets of the user's own arrays: shapes, scaling, splits, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from neurosim import GEVB, Adam, Circuit, Dense, OneHot, OnOff, SignGate, Simulator, Trainer
from neurosim.datasets import Dataset, load_dataset, read_dataset, save_dataset
from neurosim.datasets.arrays import arrays_of
from neurosim.errors import DataError
from neurosim.images import to_unit_range

LABELS = np.arange(6) % 3
PIXELS = np.arange(6 * 4 * 5, dtype=np.uint8).reshape(6, 4, 5)


def made(images: Any = PIXELS, labels: Any = LABELS, test: Any = None, **options: Any) -> Dataset:
    split = {} if test is None else {"test_images": test[0], "test_labels": test[1]}
    options = options if test is not None or "test_fraction" in options else {"test_fraction": 1 / 3, **options}
    return Dataset.from_arrays(images, labels, **split, **options)


@pytest.mark.parametrize(
    "kind", [np.asarray, torch.as_tensor, lambda array: array.tolist()], ids=["numpy", "torch", "list"]
)
@pytest.mark.parametrize(
    ("shape", "found"), [((6, 4, 5), (1, 4, 5)), ((6, 2, 2, 5), (2, 2, 5)), ((6, 20), (20,))], ids=str
)
def test_shapes(shape: tuple[int, ...], found: tuple[int, ...], kind: Any) -> None:
    scale = None if kind is not None and isinstance(kind(PIXELS), np.ndarray | torch.Tensor) else (0, 255)
    images = kind(PIXELS.reshape(shape))
    data = made(images, kind(LABELS), test=(images, kind(LABELS)), scale=scale)
    assert data.image_shape == found and data.train.images.dtype == torch.uint8
    assert data.train.images.flatten().tolist() == PIXELS.flatten().tolist(), "0 to 255 is what it was"
    assert data.class_names == ("0", "1", "2")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_the_ends_of_the_scale_are_minus_one_and_one(dtype: type) -> None:
    """The circuit sees every number within half of one of 255 steps."""
    low, high = -3, 13
    numbers = np.linspace(low, high, 6 * 17).astype(dtype).reshape(6, 17)
    data = made(numbers, test=(numbers, LABELS), scale=(low, high))
    seen = to_unit_range(data.train.images, torch.float64)
    exact = 2 * (torch.from_numpy(numbers.astype(np.float64)) - low) / (high - low) - 1
    assert float(seen.min()) == -1 and float(seen.max()) == 1
    assert float((seen - exact).abs().max()) <= 1 / 255 + 1e-6


def test_a_fraction_splits_at_random_and_loses_nothing() -> None:
    images, labels = np.arange(100, dtype=np.uint8).reshape(100, 1), np.arange(100) % 7
    one, again, other = (made(images, labels, test_fraction=0.25, seed=seed) for seed in (0, 0, 1))
    assert (len(one.train), len(one.test)) == (75, 25)
    both = torch.cat([one.train.images, one.test.images]).flatten()
    assert sorted(both.tolist()) == list(range(100)), "every example is in one split"
    assert torch.equal(both % 7, torch.cat([one.train.labels, one.test.labels])), "labels go with their images"
    assert one.fingerprint == again.fingerprint != other.fingerprint


def test_what_the_caller_writes_later_changes_nothing() -> None:
    images, labels = torch.from_numpy(PIXELS.copy()), torch.from_numpy(LABELS.copy())
    data = made(images, labels, test=(images, labels))
    images.zero_(), labels.zero_()
    assert data.train.images.flatten().tolist() == PIXELS.flatten().tolist()
    assert data.train.labels.tolist() == data.test.labels.tolist() == LABELS.tolist()


def test_numbers_of_eight_bits() -> None:
    """0 to 1 by quarters, which float8 holds exactly."""
    quarters = torch.tensor([[0.0, 0.25, 0.5, 0.75, 1.0]]).to(torch.float8_e4m3fn).expand(6, 5)
    data = made(quarters, test=(quarters, LABELS), scale=(0, 1))
    assert data.train.images[0].tolist() == [0, 64, 128, 191, 255]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"images": PIXELS[0]}, "labels: expected 4, one for each image, found 6"),
        ({"images": np.zeros(6)}, r"images: expected \(N, height, width\), .* found \(6,\)"),
        ({"images": np.zeros((6, 0))}, r"no axis empty, found \(6, 0\)"),
        ({"images": PIXELS / 255}, r"images: float64 needs scale=\(low, high\), the numbers that"),
        ({"images": PIXELS.astype(int)}, r"images: int64 needs scale=\(low, high\)"),
        ({"scale": (0, 255)}, r"images: uint8 is 0 to 255 by itself, found scale=\(0, 255\) too; leave it out"),
        ({"images": PIXELS / 1.0, "scale": (0, 1)}, r"expected numbers within scale=\(0.0, 1.0\), found 0 to 119"),
        ({"images": np.where(PIXELS == 3, np.nan, 0.5), "scale": (0, 1)}, "found 1 that are NaN"),
        ({"images": PIXELS / 255, "scale": (1, 0)}, r"scale: expected two finite numbers .* found \(1, 0\)"),
        ({"images": PIXELS / 255, "scale": (0, math.nan)}, "scale: expected two finite numbers"),
        ({"images": PIXELS + 1j}, "images: expected real numbers, found torch.complex"),
        ({"images": ["a"] * 6}, "images: expected an array of numbers, found list"),
        ({"labels": LABELS[:5]}, "labels: expected 6, one for each image, found 5"),
        ({"labels": LABELS / 1}, r"labels: expected integers \(N,\), .* found float64 \(6,\)"),
        ({"labels": np.eye(3)[LABELS]}, r"found float64 \(6, 3\); of one-hot rows take .argmax\(1\)"),
        ({"images": torch.ones(6, 4).to_sparse()}, "images: expected a dense tensor .* found a sparse_coo one"),
        ({"images": torch.ones(6, 4, device="meta")}, "images: expected an array of numbers, found Tensor"),
        ({"images": PIXELS / 255, "scale": (0, 1e-320)}, r"scale: expected .* 255 / \(high - low\) are finite, found"),
        ({"images": PIXELS / 255, "scale": (-1.7e308, 1.7e308)}, "scale: expected .* are finite, found"),
        ({"images": PIXELS / 255, "scale": (2**60, 2**60 + 1)}, "scale: expected two finite numbers .* low below high"),
        ({"labels": LABELS - 1}, "labels: expected classes from 0, found -1 to 1; count them from 0"),
        ({"labels": LABELS - 3}, "labels: expected classes from 0, found -3 to -1; count them from 0"),
        ({"labels": torch.ones(6, dtype=torch.int64).to_sparse()}, "labels: expected a dense tensor"),
        ({"class_names": ("a", "b")}, r"labels: expected 0 to 1 \(2 class names\), found 0 to 2"),
        ({"test_fraction": 0.0}, "test_fraction: expected a number .* both splits at least one of 6 images"),
        ({"test_fraction": 1.0}, "test_fraction: expected a number from 0 to 1 that leaves both"),
        ({"test_fraction": 1e308}, "test_fraction: expected a number from 0 to 1 that leaves both"),
        ({"test": (PIXELS, LABELS), "test_fraction": 0.5}, "found test_images and test_labels and test_fraction"),
        ({"test": (PIXELS, None)}, "test split: expected test_images= and test_labels=, or .* found test_images$"),
        ({"test_fraction": None}, "found none of them"),
        ({"test": (PIXELS, LABELS[1:])}, "test_labels: expected 6, one for each image, found 5"),
        ({"test": (PIXELS[:, 1:], LABELS)}, "expected images of one shape on one device"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        made(**options)


@pytest.mark.parametrize("seed", ["a", 1.5, True], ids=repr)
def test_a_seed_is_an_integer(seed: Any) -> None:
    with pytest.raises(DataError, match=f"seed: expected an integer, found {seed!r}"):
        arrays_of(PIXELS, LABELS, None, None, None, 0.5, seed)


def test_a_flat_circuit_learns_flat_data(tmp_path) -> None:
    """From numbers without space to a file and a trained circuit; pixels in one axis are the same network."""
    digits = load_dataset("digits")
    numbers = (digits.train.images.flatten(1).double() / 255).numpy(), (digits.test.images.flatten(1) / 255).numpy()
    flat = Dataset.from_arrays(
        numbers[0], digits.train.labels, numbers[1], digits.test.labels, scale=(0, 1), name="flat"
    )
    assert flat.fingerprint == digits.flattened().fingerprint
    reread = read_dataset(save_dataset(flat, tmp_path / "flat.h5"))
    assert (reread.fingerprint, reread.image_shape) == (flat.fingerprint, (64,))
    ends = []
    for inputs, data in ((64, reread), ((1, 8, 8), digits)):
        c = Circuit(inputs=inputs, readout=OneHot(10))
        c.population("f1", 32, gate=SignGate())
        c.connect("input", "f1", Dense(), rule=GEVB(), init=OnOff())
        c.connect("f1", "output", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
        simulator = Simulator(c, seed=0, precision="float64", optimizer=Adam(3e-3))
        ends.append(Trainer(simulator, data, epochs=3).run().epochs[-1])
    assert ends[0].test_error == ends[1].test_error < 0.2
    assert abs(ends[0].train_loss - ends[1].train_loss) < 1e-9


def test_a_circuit_without_space_says_how_to_flatten() -> None:
    c = Circuit(inputs=64, readout=OneHot(10))
    c.connect("input", "output", Dense(), rule=GEVB())
    text = r"expected images of \(64,\), the circuit's inputs, found \(1, 8, 8\); give it dataset.flattened\(\) or"
    with pytest.raises(DataError, match=text):
        Trainer(Simulator(c), load_dataset("digits"), epochs=1)
