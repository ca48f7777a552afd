"""Datasets by name: the registry, the data folder, plug-ins, and torchvision without any download."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neurosim import plugins
from neurosim.datasets import (
    DATASETS,
    Dataset,
    Split,
    available_datasets,
    cached,
    load_dataset,
    registry,
    save_dataset,
)
from neurosim.errors import DataError, UnknownNameError


def announce(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """Makes `name="module:attribute"` the only entry points that neurosim finds."""
    found = [EntryPoint(name=name, value=value, group="neurosim.datasets") for name, value in points.items()]
    metadata = SimpleNamespace(entry_points=lambda group: [point for point in found if point.group == group])
    monkeypatch.setattr(plugins, "metadata", metadata)


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    """Tests see no data folder but their own, and no plug-ins of this machine."""
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    announce(monkeypatch)


def make_dataset(name: str, shape: tuple[int, int, int] = (1, 3, 2), classes: int = 4) -> Dataset:
    images = torch.arange(9, dtype=torch.uint8, device="cpu")[:, None, None, None].expand(9, *shape).contiguous()
    split = Split(images, torch.arange(9, device="cpu") % classes)
    return Dataset(name, [f"class {index}" for index in range(classes)], "invented", split, split.first(4))


# --- names


def test_digits_are_the_default_deterministic_and_stratified():
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    data = load_dataset()
    assert np.array_equal(np.random.get_state()[1], before[0]) and torch.equal(torch.get_rng_state(), before[1])
    assert load_dataset("digits").fingerprint == data.fingerprint == "349017374fb9ed16"  # the same split for ever
    assert (data.image_shape, len(data.train), len(data.test)) == ((1, 8, 8), 1437, 360)
    assert torch.bincount(data.test.labels).tolist() == [36] * 10
    assert data.class_names == tuple("0123456789")
    assert data.train.images.unique().tolist() == [round(255 * value / 16) for value in range(17)]
    assert len(data.train.labels[:50].unique()) == 10  # the order is mixed, so that a subset has every class


def test_digits_hold_every_image_of_scikit_learn_once():
    from sklearn.datasets import load_digits

    data = load_dataset("digits")
    images = torch.cat([data.train.images, data.test.images]).flatten(1).numpy()
    labels = torch.cat([data.train.labels, data.test.labels]).numpy()
    bunch = load_digits()

    def rows(pixels: np.ndarray, classes: np.ndarray) -> list[bytes]:
        return sorted(row.tobytes() for row in np.column_stack([pixels, classes]).astype(np.uint8))

    assert rows(np.rint(images / (255 / 16)), labels) == rows(bunch.data, bunch.target)


@pytest.mark.parametrize("name", DATASETS)
def test_every_entry_is_described(name):
    entry = DATASETS[name]
    assert available_datasets()[name].startswith(entry.description)
    assert "\n" not in entry.description and entry.classes > 1 and len(entry.image_shape) == 3


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits"}))
def test_datasets_with_files_ask_for_a_folder(name):
    with pytest.raises(DataError, match=rf"dataset '{name}': expected a folder .* NEUROSIM_DATA or pass --data-dir"):
        load_dataset(name)


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown dataset 'mnits'; did you mean 'mnist'.*cifar10, cifar100, dig"):
        load_dataset("mnits", data_dir=tmp_path)
    with pytest.raises(DataError, match="expected the name of a dataset or the path .* found ''"):
        load_dataset("")


def test_a_name_is_read_from_the_data_folder(tmp_path, monkeypatch):
    data = make_dataset("mnist", DATASETS["mnist"].image_shape, DATASETS["mnist"].classes)
    save_dataset(data, tmp_path / "mnist.h5")
    save_dataset(make_dataset("mine"), tmp_path / "mine.h5")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path))
    assert load_dataset("mnist").fingerprint == data.fingerprint
    assert load_dataset("mine").name == "mine"
    assert load_dataset(str(tmp_path / "mine.h5")).name == load_dataset(tmp_path / "mine.h5").name == "mine"
    with pytest.raises(DataError, match="expected a folder for its files"):
        monkeypatch.setenv("NEUROSIM_DATA", "")
        load_dataset("mnist")
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "elsewhere"))
    assert load_dataset("mnist", data_dir=tmp_path).name == "mnist"  # the argument wins


def test_a_file_under_a_wrong_name_is_refused(tmp_path):
    save_dataset(make_dataset("cifar10"), tmp_path / "mnist.h5")
    with pytest.raises(DataError, match=r"mnist\.h5: expected the dataset 'mnist', found one named 'cifar10'"):
        load_dataset("mnist", data_dir=tmp_path)
    save_dataset(make_dataset("cifar10"), tmp_path / "cifar10.h5")
    with pytest.raises(DataError, match=r"'cifar10': expected images of \(3, 32, 32\) in 10 .* found \(1, 3, 2\) in 4"):
        load_dataset("cifar10", data_dir=tmp_path)


# --- plug-ins


PLUGIN = '''
import torch
from neurosim.datasets import Dataset, Split

def load(data_dir):
    """Stripes at two angles.

    Only the first line is shown.
    """
    split = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8, device="cpu"), torch.tensor([0, 1, 0, 1], device="cpu"))
    return Dataset("stripes", ["left", "right"], str(data_dir), split, split)

def wrong(data_dir):
    return [1, 2]
'''


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """An installed package that registers a dataset, one that is not a dataset, and one that cannot be imported."""
    (tmp_path / "stripes_package.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "stripes_package", raising=False)
    return {"broken": "no_such_gabor:load", "stripes": "stripes_package:load", "wrong": "stripes_package:wrong"}


@pytest.mark.filterwarnings("ignore::neurosim.plugins.PluginWarning")
def test_plugins_load_by_name_with_the_data_folder(stranger, monkeypatch, tmp_path):
    announce(monkeypatch, **stranger)
    assert load_dataset("stripes", data_dir=tmp_path).source == str(tmp_path)
    assert load_dataset("stripes").source == "None"
    with pytest.raises(DataError, match="plug-in 'wrong': expected it to return a neurosim.datasets.Dataset, found li"):
        load_dataset("wrong")
    with pytest.raises(UnknownNameError, match="known: cifar10, .*stripes, wrong"):
        load_dataset("zzz")


def test_a_broken_plugin_is_named_and_hides_no_other(stranger, monkeypatch):
    announce(monkeypatch, **stranger)
    with pytest.warns(plugins.PluginWarning, match="plug-in 'broken' .* could not be loaded: .*no_such_gabor"):
        lines = available_datasets()
    assert lines["stripes"] == "Stripes at two angles."
    assert lines["wrong"] == "from a plug-in without a description"
    assert set(lines) == {*DATASETS, "stripes", "wrong"}
    with pytest.warns(plugins.PluginWarning, match="plug-in 'broken'"):
        assert load_dataset("stripes").classes == 2


def test_a_plugin_replaces_no_dataset_of_ours(stranger, monkeypatch):
    announce(monkeypatch, digits=stranger["stripes"])
    with pytest.warns(plugins.PluginWarning, match="plug-in 'digits' is left out, because neurosim itself has"):
        assert available_datasets()["digits"].startswith("handwritten")
    assert load_dataset("digits").image_shape == (1, 8, 8)


def test_a_file_of_the_data_folder_comes_before_a_plugin(stranger, monkeypatch, tmp_path):
    announce(monkeypatch, **stranger)
    save_dataset(make_dataset("stripes"), tmp_path / "stripes.h5")
    assert load_dataset("stripes", data_dir=tmp_path).classes == 4


def test_cached_keeps_what_a_plugin_fetches(tmp_path):
    calls: list[Path] = []

    def fetch(folder: Path) -> Dataset:
        calls.append(folder)
        return make_dataset("stripes")

    first, again = (cached("stripes", tmp_path, fetch) for _ in range(2))
    assert calls == [tmp_path] and first.fingerprint == again.fingerprint
    with pytest.raises(DataError, match="expected the dataset 'spots', found one named 'stripes'"):
        cached("spots", tmp_path, fetch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stripes.h5"]


# --- torchvision


def fake_torchvision(monkeypatch, **classes: Any) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", SimpleNamespace(**classes))


class FakeCIFAR10:
    """What neurosim uses of torchvision's CIFAR10."""

    calls: list[tuple[str, bool, bool]] = []
    classes = [f"class {index}" for index in range(10)]

    def __init__(self, root: str, train: bool, download: bool) -> None:
        self.calls.append((root, train, download))
        count = 12 if train else 7
        self.data = np.random.RandomState(count).randint(0, 256, (count, 32, 32, 3)).astype(np.uint8)
        self.targets = [index % 10 for index in range(count)]


def test_a_download_becomes_a_file_that_is_read_next_time(tmp_path, monkeypatch):
    fake_torchvision(monkeypatch, CIFAR10=FakeCIFAR10)
    monkeypatch.setattr(FakeCIFAR10, "calls", [])
    folder = tmp_path / "new"
    first = load_dataset("cifar10", data_dir=folder)
    again = load_dataset("cifar10", data_dir=folder)
    assert FakeCIFAR10.calls == [(str(folder), True, True), (str(folder), False, True)]
    assert [path.name for path in folder.iterdir()] == ["cifar10.h5"]
    assert first.fingerprint == again.fingerprint
    assert first.class_names == again.class_names == tuple(FakeCIFAR10.classes)
    assert first.source == again.source == "torchvision CIFAR10, original order"
    pixels = FakeCIFAR10(str(folder), True, True).data
    assert np.array_equal(first.train.images.numpy(), pixels.transpose(0, 3, 1, 2))
    assert first.train.images.is_contiguous()
    assert first.test.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_failed_download_is_explained_and_leaves_no_file(tmp_path, monkeypatch):
    def refuse(**options: Any) -> None:
        raise OSError("network is unreachable")

    fake_torchvision(monkeypatch, MNIST=refuse)
    with pytest.raises(DataError, match=r"'mnist': expected torchvision .* network is unreachable.* finished mnist"):
        load_dataset("mnist", data_dir=tmp_path)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(DataError, match="'mnist': .* torchvision cannot be imported .* put a finished mnist.h5 into"):
        load_dataset("mnist", data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []
    fake_torchvision(monkeypatch, MNIST=refuse)
    with pytest.raises(DataError, match="but it failed \\(FileNotFoundError"):
        load_dataset("mnist", data_dir=tmp_path / "no" / "such")  # a mistyped folder is not made


@pytest.mark.parametrize(("name", "kind"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_the_real_torchvision_reads_idx_files(tmp_path, name, kind):
    raw = tmp_path / kind / "raw"
    raw.mkdir(parents=True)
    pixels = {part: np.random.RandomState(0).randint(0, 256, (n, 28, 28)) for part, n in (("train", 11), ("t10k", 6))}
    for part, images in pixels.items():
        header = np.array([0x803, len(images), 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.astype(np.uint8).tobytes())
        labels = np.arange(len(images), dtype=np.uint8) % 10
        header = np.array([0x801, len(images)], ">i4").tobytes()
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    data = load_dataset(name, data_dir=tmp_path)
    assert np.array_equal(data.test.images[:, 0].numpy(), pixels["t10k"])
    assert data.train.labels.tolist() == [*range(10), 0]
    assert data.class_names[0] == {"mnist": "0", "fashion-mnist": "T-shirt/top"}[name]
    assert load_dataset(tmp_path / f"{name}.h5").fingerprint == data.fingerprint


def test_the_real_torchvision_reads_cifar100_with_superclasses(tmp_path, monkeypatch):
    cifar100 = pytest.importorskip("torchvision.datasets").CIFAR100
    folder = tmp_path / cifar100.base_folder
    folder.mkdir()

    def store(name: str, content: dict[str, Any]) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    names = {"fine_label_names": [f"f{i}" for i in range(100)], "coarse_label_names": [f"c{i}" for i in range(20)]}
    monkeypatch.setattr(cifar100, "meta", cifar100.meta | {"md5": store("meta", names)})
    for part, count in (("train", 8), ("test", 4)):
        rows = np.random.RandomState(count).randint(0, 256, (count, 3072)).astype(np.uint8)
        labels = {"fine_labels": list(range(90, 90 + count)), "coarse_labels": list(range(count))}
        monkeypatch.setattr(cifar100, f"{part}_list", [[part, store(part, {"data": rows, **labels})]])
    load_dataset("cifar100", data_dir=tmp_path)
    data = load_dataset("cifar100", data_dir=tmp_path)
    assert torch.equal(data.test.images, torch.from_numpy(rows).reshape(-1, 3, 32, 32))
    assert data.test.labels.tolist() == [90, 91, 92, 93]
    assert data.train.coarse_labels.tolist() == list(range(8))
    assert (len(data.class_names), data.coarse_class_names[19]) == (100, "c19")


def test_importing_and_digits_need_no_torchvision():
    code = (
        "import sys, neurosim.datasets as d; assert 'sklearn' not in sys.modules; d.load_dataset('digits'); "
        "assert not any(name.split('.')[0] == 'torchvision' for name in sys.modules)"
    )
    root = str(Path(registry.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": root})
