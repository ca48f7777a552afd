"""The dataset file: round trips, everything that can be wrong with one, writing in one piece, and the real files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.datasets import DATASETS, Dataset, Split, hdf5, load_dataset, read_dataset, save_dataset
from neurosim.errors import DataError

STRING = h5py.string_dtype()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)


def random_split(seed: int, count: int, shape: tuple[int, int, int], classes: int, coarse: int) -> Split:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator, device="cpu")
    labels = torch.randint(0, classes, (count,), generator=generator, device="cpu")
    return Split(images, labels, labels % coarse if coarse else None)


def same(one: Split, other: Split) -> bool:
    pairs = [(one.images, other.images), (one.labels, other.labels)]
    if one.coarse_labels is not None and other.coarse_labels is not None:
        pairs.append((one.coarse_labels, other.coarse_labels))
    return (one.coarse_labels is None) == (other.coarse_labels is None) and all(torch.equal(a, b) for a, b in pairs)


@settings(max_examples=40)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    counts=st.tuples(*[st.integers(1, 12)] * 2),
    name=TEXT,
    source=TEXT | st.just(""),
    names=st.lists(TEXT, min_size=1, max_size=6),
    coarse=st.lists(TEXT, max_size=3),
)
def test_what_is_saved_is_read_back(shape, counts, name, source, names, coarse):
    train, test = (random_split(seed, count, shape, len(names), len(coarse)) for seed, count in enumerate(counts))
    data = Dataset(name, names, source, train, test, coarse)
    with tempfile.TemporaryDirectory() as folder:
        path = save_dataset(data, Path(folder, "data.h5"))
        back = read_dataset(path)
        assert [entry.name for entry in path.parent.iterdir()] == ["data.h5"]
    assert (back.name, back.class_names, back.source) == (data.name, data.class_names, data.source)
    assert back.coarse_class_names == data.coarse_class_names
    assert same(back.train, data.train) and same(back.test, data.test)
    assert back.fingerprint == data.fingerprint


def small() -> Dataset:
    return load_dataset("digits").subset(train=20, test=8)


@pytest.fixture
def path(tmp_path):
    return save_dataset(small(), tmp_path / "toy.h5")


def test_the_file_is_what_the_format_says(path):
    with h5py.File(path) as file:
        assert (file.attrs["format"], file.attrs["version"], file.attrs["name"]) == ("neurosim-dataset", 1, "digits")
        assert file.attrs["class_names"].tolist() == list("0123456789")
        assert (file["train/images"].dtype, file["train/images"].shape) == (np.uint8, (20, 1, 8, 8))
        assert (file["test/labels"].dtype.kind, file["test/labels"].shape) == ("i", (8,))
        assert sorted(file) == ["test", "train"] and sorted(file["train"]) == ["images", "labels"]


def test_files_of_other_writers_are_read(path):
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = np.bytes_("neurosim-dataset")
        file.attrs["source"] = b"caf\xc3\xa9"
        file.attrs["class_names"] = np.array([b"a", b"bc"] + [b"x"] * 8, dtype="S2")
        labels = file["train/labels"][()]
        del file["train/labels"]
        file["train/labels"] = labels.astype(">u2")  # any integers
    data = read_dataset(path)
    assert data.source == "café" and data.class_names[:3] == ("a", "bc", "x")
    assert same(data.train, small().train)


def test_thousands_of_class_names_fit(tmp_path):
    data = small()
    many = Dataset("many", [f"class {index}" for index in range(9000)], "toy", data.train, data.test)
    assert read_dataset(save_dataset(many, tmp_path / "many.h5")).class_names == many.class_names


def replace(key: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[key]
        if value is not None:
            file[key] = value

    return change


def attribute(key: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file.attrs[key]
        if value is not None:
            file.attrs[key] = value

    return change


IMAGES, LABELS = np.zeros((20, 1, 8, 8), np.uint8), np.zeros(20, np.int64)
BAD_FILES = {
    "foreign": (attribute("format", None), "attribute format: expected 'neurosim-dataset', found no such attribute"),
    "other format": (attribute("format", "keras"), "format: expected .* found 'keras'; this file was written by some"),
    "format array": (attribute("format", np.arange(3)), "attribute format: expected 'neurosim-dataset', found array"),
    "newer": (attribute("version", 2), "version: expected at most 1, found 2; a newer neurosim .* update neurosim"),
    "old": (attribute("version", 0), "attribute version: expected the integer 1, found .*0"),
    "no version": (attribute("version", None), "attribute version: expected the integer 1, found None"),
    "text version": (attribute("version", "1"), "attribute version: expected the integer 1, found '1'"),
    "no name": (attribute("name", None), "attribute name: expected a text, found None; add it"),
    "empty name": (attribute("name", ""), "expected a name and class names, found ''"),
    "no source": (attribute("source", 3), "attribute source: expected a text, found .*3"),
    "no class names": (attribute("class_names", None), "attribute class_names: expected a list of texts, .* None"),
    "one text": (attribute("class_names", "0123456789"), "class_names: expected a list of texts, .* '0123456789'"),
    "number names": (attribute("class_names", np.arange(10)), "attribute class_names: expected a list of texts"),
    "blank names": (attribute("class_names", np.array(["", *"123456789"], dtype=STRING)), "class names: .* non-empty"),
    "few names": (attribute("class_names", np.array(["a", "b"], dtype=STRING)), r"labels: expected 0 to 1 \(2 cl"),
    "no images": (replace("train/images", None), r"dataset train/images: expected uint8 \(N, .* found nothing; add it"),
    "no split": (replace("test", None), "dataset test/images: expected uint8 .* found nothing"),
    "split is an array": (replace("test", LABELS), "dataset test/images: expected uint8 .* found nothing"),
    "no labels": (replace("test/labels", None), r"dataset test/labels: expected integers \(N,\), found nothing"),
    "group": (lambda file: (replace("test/labels", None)(file), file.create_group("test/labels")), "found a group"),
    "float images": (replace("train/images", IMAGES / 255), r"train/images: .* found float64 \(20, 1, 8, 8\); conv"),
    "flat images": (replace("train/images", IMAGES[:, 0]), r"train/images: .* found uint8 \(20, 8, 8\)"),
    "empty images": (replace("train/images", IMAGES[:0]), r"train/images: .* found uint8 \(0, 1, 8, 8\)"),
    "null images": (replace("train/images", h5py.Empty("u1")), "dataset train/images: expected uint8 .* None"),
    "float labels": (replace("train/labels", LABELS / 1), r"train/labels: expected integers .* found float64 \(20,\)"),
    "truth labels": (replace("train/labels", LABELS == 0), "dataset train/labels: expected integers .* found bool"),
    "column labels": (replace("train/labels", LABELS[:, None]), r"train/labels: .* found int64 \(20, 1\)"),
    "count": (replace("train/labels", LABELS[:19]), "train/labels: expected 20, one for each image, found 19"),
    "high label": (replace("train/labels", LABELS + 10), "train labels: expected 0 to 9 .* found 10 to 10; name every"),
    "low label": (replace("train/labels", LABELS - 1), "train labels: expected 0 to 9 .* found -1 to -1"),
    "huge label": (replace("train/labels", np.full(20, 2**64 - 1, np.uint64)), "train labels: expected 0 to 9"),
    "shapes": (replace("train/images", IMAGES[..., :7]), r"one shape on one device, found \(1, 8, 7\) .* \(1, 8, 8\)"),
    "half coarse": (lambda file: file.create_dataset("train/coarse_labels", data=LABELS), "train coarse labels: expec"),
    "float coarse": (lambda file: file.create_dataset("train/coarse_labels", data=LABELS / 1), "coarse_.*float"),
    "coarse names": (lambda file: file.attrs.update(coarse_class_names=3), "coarse_class_names: expected a list of te"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_with_their_name(path, case):
    change, message = BAD_FILES[case]
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "damaged" not in str(caught.value)  # the particular reason, not the catch-all


def test_files_that_are_not_hdf5_are_refused(tmp_path):
    text, empty = tmp_path / "notes.h5", tmp_path / "empty.h5"
    text.write_text("PNG or something")
    empty.touch()
    for file, found in ((text, "PNG or s"), (empty, "")):
        with pytest.raises(DataError, match=rf"{file.name}: expected an HDF5 file, but it starts with b'{found}'"):
            load_dataset(file)
    with pytest.raises(DataError, match=r"gone\.h5: .* cannot be opened \(No such file or directory\); check the path"):
        load_dataset("folder/gone.h5")
    with pytest.raises(DataError, match=r"cannot be opened \(Is a directory\)"):
        load_dataset(tmp_path)


@settings(max_examples=40)
@given(share=st.floats(0, 0.999))
def test_truncated_files_are_refused(share):
    with tempfile.TemporaryDirectory() as folder:
        path = save_dataset(small(), Path(folder, "cut.h5"))
        os.truncate(path, int(share * path.stat().st_size))
        with pytest.raises(DataError, match=r"cut\.h5: expected (an HDF5 file|a complete HDF5 file, .* copy it again)"):
            read_dataset(path)


def test_damaged_compressed_data_is_refused(path):
    with h5py.File(path, "r+") as file:
        images = np.random.RandomState(0).randint(0, 256, (20, 1, 8, 8)).astype(np.uint8)
        del file["train/images"]
        node = file.create_dataset("train/images", data=images, chunks=(20, 1, 8, 8), compression="gzip")
        start, length = node.id.get_chunk_info(0).byte_offset, node.id.get_chunk_info(0).size
    with path.open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xff" * length)
    with pytest.raises(DataError, match=r"toy\.h5: expected a complete HDF5 file, but it is truncated or damaged"):
        read_dataset(path)


# --- writing in one piece


def test_an_existing_file_is_kept_unless_overwriting(path):
    before = path.read_bytes()
    other = small().subset(train=5)
    with pytest.raises(DataError, match=r"toy\.h5: expected no such file, but there is one; pass overwrite=True"):
        save_dataset(other, path)
    assert path.read_bytes() == before
    assert read_dataset(save_dataset(other, path, overwrite=True)).fingerprint == other.fingerprint


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("unable to flush"), KeyboardInterrupt()])
@pytest.mark.parametrize("existed", [True, False])
def test_a_write_that_fails_leaves_nothing_new_behind(path, monkeypatch, error, existed):
    if not existed:
        path.unlink()
    before = {entry.name: entry.read_bytes() for entry in path.parent.iterdir()}

    def fail(descriptor: int) -> None:
        assert len(list(path.parent.iterdir())) == len(before) + 1  # the temporary file is there, in the same folder
        raise error

    monkeypatch.setattr(hdf5.os, "fsync", fail)
    expected = type(error) if isinstance(error, KeyboardInterrupt) else DataError
    with pytest.raises(expected) as caught:
        save_dataset(small().subset(train=5), path, overwrite=True)
    if expected is DataError:
        assert f"{path}: expected to write a dataset file here, but it failed ({error})" in str(caught.value)
    assert {entry.name: entry.read_bytes() for entry in path.parent.iterdir()} == before


def test_a_write_that_fails_between_two_arrays_leaves_nothing_behind(path, monkeypatch):
    before = path.read_bytes()
    original = h5py.File.__setitem__

    def fail(file: h5py.File, key: str, value: object) -> None:
        if key == "test/images":
            raise OSError("disk full")
        original(file, key, value)

    monkeypatch.setattr(h5py.File, "__setitem__", fail)
    with pytest.raises(DataError, match="disk full"):
        save_dataset(small().subset(train=5), path, overwrite=True)
    assert [entry.name for entry in path.parent.iterdir()] == ["toy.h5"] and path.read_bytes() == before


def test_places_that_cannot_be_written_are_refused(tmp_path):
    data = small()
    with pytest.raises(DataError, match=r"toy\.npz: expected a file name that ends in \.h5, found '\.npz'"):
        save_dataset(data, tmp_path / "toy.npz")
    with pytest.raises(DataError, match=r"toy\.h5: expected to write .* check that the folder exists"):
        save_dataset(data, tmp_path / "missing" / "toy.h5")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(DataError, match=r"folder\.h5: expected to write"):
        save_dataset(data, tmp_path / "folder.h5", overwrite=True)
    nul = Dataset("toy", ["a\0b", *"123456789"], "toy", data.train, data.test)
    with pytest.raises(DataError, match="NULL"):
        save_dataset(nul, tmp_path / "nul.h5")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.h5"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX")
def test_files_are_as_readable_as_the_user_wants(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    assert save_dataset(small(), tmp_path / "data.h5").stat().st_mode == plain.stat().st_mode


# --- the real files


@pytest.mark.parametrize(("name", "train"), [("mnist", 60_000), ("cifar10", 50_000)])
def test_the_real_files_load(name, train):
    folder = os.environ.get("NEUROSIM_DATA")
    if not folder or not Path(folder, f"{name}.h5").is_file():
        pytest.skip(f"NEUROSIM_DATA names no folder that holds {name}.h5")
    data = load_dataset(name)
    assert (len(data.train), len(data.test), data.image_shape) == (train, 10_000, DATASETS[name].image_shape)
    assert data.train.labels.unique().tolist() == list(range(10))
    assert data.train.images.dtype == torch.uint8 and int(data.train.images.max()) == 255
    with h5py.File(Path(folder, f"{name}.h5")) as file:
        assert np.array_equal(file["train/images"][-7:], data.train.images[-7:].numpy())
        assert np.array_equal(file["test/labels"][()], data.test.labels.numpy())
