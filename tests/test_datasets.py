"""Datasets in memory: splits, subsets, fingerprints, batches and the scaling of pixels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.datasets import Dataset, Split, batches
from neurosim.errors import DataError
from neurosim.images import to_unit_range


def make_split(count: int, shape: tuple[int, int, int] = (1, 3, 2), classes: int = 4, **extra: Any) -> Split:
    generator = torch.Generator(device="cpu").manual_seed(count)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator, device="cpu")
    return Split(images, torch.arange(count, device="cpu") % classes, **extra)


def make_dataset(name: str = "toy", **changes: Any) -> Dataset:
    parts = {"class_names": ("a", "b", "c", "d"), "source": "random", "train": make_split(9), "test": make_split(5)}
    return Dataset(name=name, **(parts | changes))


# --- splits and datasets


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64), r"images: expected uint8 .* found float32 \(2, 1"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), torch.arange(2), r"images: expected uint8 \(N, chan.* \(2, 4, 4\)"),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), torch.arange(0), "with at least one image"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2), r"labels: expected int64 \(N,\), found float32"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, 1).long(), r"labels: .* found int64 \(2, 1\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.arange(3), "labels: expected 2, one for each .* found 3"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2, device="meta").long(), "device cpu, found meta"),
    ],
)
def test_bad_splits_are_refused(images, labels, message):
    with pytest.raises(DataError, match=message):
        Split(images, labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": make_split(5, shape=(1, 2, 2))}, r"one shape .* found \(1, 3, 2\) on cpu and \(1, 2, 2\) on cpu"),
        ({"test": make_split(5, classes=5)}, r"test labels: expected 0 to 3 \(4 class names\), found 0 to 4"),
        ({"train": Split(make_split(2).images, torch.tensor([-1, 2]))}, "train labels: .* found -1 to 2"),
        ({"class_names": "abcd"}, "class names: expected one non-empty text for each class, found"),
        ({"class_names": ("a", "", "c", "d")}, "class names: expected one non-empty text"),
        ({"class_names": ()}, "expected a name and class names"),
        ({"name": ""}, "expected a name and class names"),
        ({"coarse_class_names": ("x",)}, "train coarse labels: .* give all three or none"),
        ({"test": make_split(5, coarse_labels=torch.zeros(5).long())}, "test coarse labels: .* give all three or none"),
    ],
)
def test_inconsistent_datasets_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        make_dataset(**{"name": "toy"} | changes)


def test_coarse_labels_are_checked_and_carried():
    train, test = (make_split(n, coarse_labels=torch.arange(n, device="cpu") % 2) for n in (9, 5))
    data = make_dataset(train=train, test=test, coarse_class_names=("x", "y"))
    assert data.subset(train=3).to("cpu").train.coarse_labels.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="train coarse labels: expected 0 to 0"):
        make_dataset(train=train, test=test, coarse_class_names=("x",))


def test_properties_and_short_repr():
    data = make_dataset()
    assert (data.image_shape, data.classes, data.device) == ((1, 3, 2), 4, torch.device("cpu"))
    assert repr(data) == "Dataset('toy', 9 train + 5 test images of (1, 3, 2), 4 classes, cpu)"
    assert repr(data.train) == "Split(9 images of (1, 3, 2), cpu)"


def test_to_moves_both_splits_and_keeps_uint8():
    moved = make_dataset().train.to("meta")
    assert (moved.images.device.type, moved.labels.device.type, moved.images.dtype) == ("meta", "meta", torch.uint8)


def test_subset_takes_the_first_images_as_views():
    data = make_dataset()
    small = data.subset(train=4)
    assert (len(small.train), len(small.test)) == (4, 5)
    assert torch.equal(small.train.images, data.train.images[:4])
    assert small.train.images.data_ptr() == data.train.images.data_ptr()
    assert small.source == "random; first 4 train images" and data.source == "random"
    assert small.subset(test=1).source == "random; first 4 train images; first 1 test images"
    assert data.subset().fingerprint == data.fingerprint


@pytest.mark.parametrize("count", [0, -1, 10])
def test_subset_refuses_counts_it_cannot_take(count):
    with pytest.raises(DataError, match=f"subset: expected a number of images from 1 to 9, found {count}"):
        make_dataset().subset(train=count)


def test_fingerprint_tells_contents_apart_and_nothing_else():
    data = make_dataset()
    changed = data.train.images.clone()
    changed[3, 0, 1, 1] ^= 1
    others = [
        make_dataset(train=Split(changed, data.train.labels)),
        make_dataset(train=Split(data.train.images, data.train.labels.flip(0))),
        make_dataset(train=data.test, test=data.train),
        make_dataset(class_names=("a", "b", "c", "d", "e")),
        data.subset(train=8),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert make_dataset("other", source="elsewhere", class_names=("w", "x", "y", "z")).fingerprint == data.fingerprint
    assert len(data.fingerprint) == 16


# --- batches and scaling


@settings(max_examples=50)
@given(count=st.integers(1, 40), size=st.integers(1, 45), seed=st.none() | st.integers(0, 9), drop=st.booleans())
def test_batches_cover_every_example_once(count, size, seed, drop):
    if drop and size > count:
        return
    images = torch.arange(count, dtype=torch.uint8, device="cpu")[:, None, None, None]
    split = Split(images, torch.arange(count, device="cpu"))
    generator = None if seed is None else torch.Generator(device="cpu").manual_seed(seed)
    found = list(batches(split, size, generator, drop))
    seen = torch.cat([labels for _, labels in found])
    assert torch.equal(torch.cat([image for image, _ in found]).flatten().long(), seen)  # labels stay with images
    assert all(len(labels) == size for _, labels in found[:-1])
    assert len(seen) == (count - count % size if drop else count)
    assert len(seen.unique()) == len(seen)
    if seed is None:
        assert torch.equal(seen, split.labels[: len(seen)])


def test_batches_are_reproducible_and_use_their_generator_alone():
    split = make_split(30, classes=30)
    state = torch.get_rng_state()

    def order(generator: torch.Generator) -> list[int]:
        return torch.cat([labels for _, labels in batches(split, 7, generator)]).tolist()

    first, again = (torch.Generator(device="cpu").manual_seed(5) for _ in range(2))
    one, two = order(first), order(first)
    assert order(again) == one and order(again) == two
    assert one != two and one != sorted(one)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_order_is_drawn_when_batches_is_called():
    split, generator = make_split(8), torch.Generator(device="cpu").manual_seed(0)
    before = generator.get_state()
    batches(split, 3, generator)
    assert not torch.equal(generator.get_state(), before)


def test_batches_in_order_are_views():
    split = make_split(5)
    starts = [images.data_ptr() - split.images.data_ptr() for images, _ in batches(split, 2)]
    assert starts == [0, 12, 24]


class CudaGenerator(torch.Generator):
    """Says that it lives on a cuda device, on machines without one."""

    device = torch.device("cuda")


@pytest.mark.parametrize("size", [0, -3])
def test_bad_batch_sizes_are_refused_at_the_call(size):
    with pytest.raises(DataError, match="batch_size: expected at least 1, found"):
        batches(make_split(5), size)


def test_batches_refuse_an_empty_epoch_and_a_foreign_generator():
    with pytest.raises(DataError, match="6 with drop_last leaves no batch of 5 examples; use at most 5"):
        batches(make_split(5), 6, drop_last=True)
    with pytest.raises(DataError, match="generator: expected one on the cpu, found cuda"):
        batches(make_split(5), 2, CudaGenerator())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_to_unit_range_rounds_once(dtype):
    images = torch.arange(256, dtype=torch.uint8, device="cpu").reshape(4, 1, 8, 8)
    before = images.clone()
    scaled = to_unit_range(images, dtype)
    exact = (images.double() / 255 - 0.5) / 0.5
    assert (scaled.dtype, scaled.shape) == (dtype, images.shape)
    assert (scaled.double() - exact).abs().max() <= torch.finfo(dtype).eps / 2
    assert scaled.flatten()[[0, 255]].tolist() == [-1, 1]
    assert torch.equal(images, before)


@pytest.mark.parametrize(("image_type", "dtype"), [(torch.float32, torch.float32), (torch.uint8, torch.int64)])
def test_to_unit_range_refuses_other_types(image_type, dtype):
    with pytest.raises(DataError, match="to_unit_range: expected uint8 images and a floating-point dtype"):
        to_unit_range(torch.zeros(1, 1, 2, 2, dtype=image_type), dtype)
