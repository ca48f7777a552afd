"""Activity streamed to HDF5, and `neurosim represent` from run files to one file."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurosim import BP, Circuit, Dense, OneHot, Simulator, circuits
from neurosim.analysis.cluster_quality import cluster_quality
from neurosim.analysis.embedding import EmbeddingSettings, embed
from neurosim.analysis.representation_file import read_representations
from neurosim.analysis.representations import populations_of, save_activity
from neurosim.analysis.run_representations import represent
from neurosim.cli import app
from neurosim.datasets import load_dataset
from neurosim.errors import DataError, UnknownNameError
from neurosim.images import to_unit_range
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer

DIGITS = load_dataset("digits").subset(train=200, test=80)
QUICK = EmbeddingSettings(perplexity=5, iterations=40)
ASKED_QUICKLY = ("--perplexity", "5", "--iterations", "40")


def train(path: Path, rule=None, seed: int = 0, epochs: int = 2, **options) -> Path:
    simulator = Simulator(circuits.load("digits-fc", widths=(12, 8), rule=rule), seed=seed)
    recorder = RunRecorder(path, **options)
    Trainer(simulator, DIGITS, epochs=epochs, batch_size=50, observers=[recorder]).run()
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return train(tmp_path_factory.mktemp("runs") / "gevb.h5")


@pytest.fixture(autouse=True)
def digits_as_recorded(monkeypatch):
    monkeypatch.setattr("neurosim.runs.rebuilt.load_dataset", lambda name, folder: DIGITS)


def command(*arguments: object) -> None:
    app(["represent", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_streaming_equals_all_at_once(tmp_path, vectorization, precision):
    circuit = circuits.load("mnist-conv", channels=(4, 2), fc1=6)
    simulator = Simulator(circuit, vectorization=vectorization, precision=precision)
    images = load_dataset("digits").train.first(7)
    images = type(images)(images.images.repeat(1, 1, 4, 4)[:, :, :28, :28].contiguous(), images.labels)
    names = list(circuit.populations)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        save_activity(simulator, images, file.create_group("one"), names, batch_size=7)
        save_activity(simulator, images, file.create_group("many"), names, batch_size=3)
        whole = simulator.forward(images.images, keep=names)
        for name in names:
            streamed = file[f"many/{name}/activity"]
            assert streamed.dtype == precision
            assert np.array_equal(file[f"one/{name}/activity"], whole.activations[name].numpy())
            assert np.abs(streamed[:] - whole.activations[name].numpy()).max() < 1e-5
        assert np.array_equal(file["many/input/activity"], to_unit_range(images.images, whole.output.dtype).numpy())
        assert file["many/conv2/activity"].shape == (7, 10, 2, 14, 14)
        assert file["many/labels"][:].tolist() == images.labels.tolist()
        assert Circuit.from_json(file["many"].attrs["circuit"]) == circuit
        assert {key: file["many"].attrs[key] for key in ("K", "precision", "vectorization", "seed")} == {
            "K": 10, "precision": precision, "vectorization": vectorization, "seed": 0,
        }  # fmt: skip
        with pytest.raises(DataError, match=r"it holds the activity of conv1 already"):
            save_activity(simulator, images, file["one"], ["conv1"])


def test_a_batch_is_as_large_as_its_activity_allows(tmp_path, monkeypatch):
    simulator, shown = Simulator(circuits.load("digits-fc", widths=(12, 8))), []
    forward = simulator.forward
    monkeypatch.setattr(simulator, "forward", lambda images, keep: shown.append(len(images)) or forward(images, keep))
    monkeypatch.setattr("neurosim.analysis.representations._BATCH_BYTES", 30 * 4 * 10 * 20)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        save_activity(simulator, DIGITS.test, file, ["fc1", "fc2"])
    assert shown == [30, 30, 20]


def test_populations(tmp_path):
    circuit = circuits.load("mnist-conv")
    assert populations_of(circuit) == ("pool2",), "the last one with space"
    assert populations_of(circuit, ["fc1", "input"]) == ("fc1", "input")
    with pytest.raises(
        UnknownNameError, match=r"unknown population 'conv3'; did you mean 'conv2'\? Known: conv1, conv2, "
    ):
        populations_of(circuit, ["conv3"])
    with pytest.raises(DataError, match="each once, got fc1, fc1"):
        populations_of(circuit, ["fc1", "fc1"])
    bare = Circuit((1, 8, 8), OneHot(10))
    bare.connect("input", "output", Dense(), rule=BP())
    with pytest.raises(DataError, match="has no hidden population; name 'input' or 'output'"):
        populations_of(bare)


def test_the_file_explains_itself_and_equals_what_is_computed_by_hand(run, tmp_path):
    path = tmp_path / "new" / "seen.h5"
    made = represent([Run(run)], path, populations=["fc1", "fc2"], examples=60, settings=QUICK)
    assert [(each.epoch, each.population) for each in made] == [(0, "fc1"), (0, "fc2"), (2, "fc1"), (2, "fc2")]
    simulator = Simulator(circuits.load("digits-fc", widths=(12, 8)))
    with h5py.File(path) as file:
        assert (file.attrs["format"], file.attrs["version"]) == ("neurosim-representations", 1)
        for each in made:
            group = file[each.group]
            simulator.load_state_dict(simulator.state_dict() | Run(run).state(each.epoch))
            images = DIGITS.test.first(60)
            activity = simulator.forward(images.images, keep=["fc1", "fc2"]).activations[each.population].numpy()
            assert np.abs(group[each.population]["activity"][:] - activity).max() < 1e-6
            about = dict(group.attrs)
            assert (about["run"], about["epoch"], about["seed"]) == (run.as_posix(), each.epoch, 0)
            assert (about["dataset"], about["split"], about["examples"]) == ("digits", "test", 60)
            assert json.loads(about["config"]) == Run(run).config
            assert group[each.population].attrs["population"] == each.population
            assert about["label"] == "GEVB+, vectorized"
            points = embed(group[each.population]["activity"], QUICK)
            assert np.array_equal(each.embedding, points.astype("f4"))
            assert each.quality == cluster_quality(points, images.labels.numpy())
            assert each.quality_rms == cluster_quality(points, images.labels.numpy(), squared=False)
            assert each.settings == QUICK
            assert each.labels.tolist() == images.labels.tolist()
    again = read_representations(path)
    assert [each.quality for each in again] == [each.quality for each in made]
    assert [path.name for path in path.parent.iterdir()] == ["seen.h5"]


def test_the_command_prints_a_table(run, tmp_path, capsys):
    out = tmp_path / "seen.h5"
    command(run, "--population", "fc1,fc2", "--epochs", "0,last", "--out", out, "--no-activity", *ASKED_QUICKLY)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "population", "epoch", "quality", "rms"]
    found = read_representations(out)
    for line, each in zip(lines[1:5], found, strict=True):
        _, population, epoch, quality, rms = line.rsplit(maxsplit=4)
        assert (population, int(epoch)) == (each.population, each.epoch)
        assert abs(float(quality) - each.quality) < 6e-4 and abs(float(rms) - each.quality_rms) < 6e-4
    assert "cluster quality of the first 80 test images" in lines[5]
    with h5py.File(out) as file:
        assert set(file["run0/epoch0/fc1"]) == {"embedding"}
    assert [path.name for path in tmp_path.iterdir()] == ["seen.h5"], "the activity was scratch"
    command(run, "--epochs", "last", "--out", tmp_path / "b.h5", "--json", *ASKED_QUICKLY)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["population"], row["epoch"], row["examples"]) == ("fc2", 2, 80)
    assert row["cluster_quality"] == found[3].quality


def test_nothing_is_replaced_unasked(run, tmp_path):
    out = tmp_path / "seen.h5"
    out.write_text("mine")
    with pytest.raises(DataError, match=r"seen.h5: this file exists already; replace it with --overwrite, or name"):
        command(run, "--out", out, *ASKED_QUICKLY)
    for other in (out, run):
        before = other.read_bytes()
        with pytest.raises(DataError, match="holds something else than representations; name another with --out"):
            command(run, "--out", other, "--overwrite", *ASKED_QUICKLY)
        assert other.read_bytes() == before
    with pytest.raises(DataError, match="expected a file name, found a folder"):
        command(run, "--out", tmp_path, *ASKED_QUICKLY)
    out.unlink()
    command(run, "--epochs", "0", "--out", out, *ASKED_QUICKLY)
    command(run, "--epochs", "last", "--out", out, "--overwrite", *ASKED_QUICKLY)
    assert [each.epoch for each in read_representations(out)] == [2]


def test_a_file_of_representations_ends_in_h5(run, tmp_path):
    with pytest.raises(DataError, match=r"seen.png: expected a file name that ends in .h5 or .hdf5, found '.png'"):
        represent([Run(run)], tmp_path / "seen.png")


def test_what_fails_late_leaves_the_old_file(run, tmp_path, monkeypatch):
    out = tmp_path / "seen.h5"
    command(run, "--epochs", "0", "--out", out, *ASKED_QUICKLY)
    before = out.read_bytes()

    def fail(activity, settings):
        raise DataError("embedding: no")

    monkeypatch.setattr("neurosim.analysis.run_representations.embed", fail)
    with pytest.raises(DataError, match="embedding: no"):
        command(run, "--no-activity", "--out", out, "--overwrite", *ASKED_QUICKLY)
    assert out.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["seen.h5"]


def test_runs_without_the_weights(run, tmp_path):
    last = train(tmp_path / "last.h5", checkpoints="last")
    with pytest.raises(
        DataError, match=r"last.h5: expected the weights of epoch 0, found those of epochs: 2; record"
    ) as it:
        command(last, "--out", tmp_path / "seen.h5", *ASKED_QUICKLY)
    assert "checkpoints='all'" in str(it.value) and "--checkpoints all" in str(it.value)
    command(last, "--epochs", "last", "--out", tmp_path / "seen.h5", *ASKED_QUICKLY)
    none = train(tmp_path / "none.h5", checkpoints="none")
    for epochs in ("last", "all", "0"):
        with pytest.raises(DataError, match=r"none.h5: expected the weights of epoch 0.*, found those of epochs: none"):
            command(none, "--epochs", epochs, "--out", tmp_path / "other.h5", *ASKED_QUICKLY)
    with pytest.raises(DataError, match="weights of epoch 1, 7, found those of epochs: 0, 2; record"):
        command(run, "--epochs", "7,0,1", "--out", tmp_path / "other.h5", *ASKED_QUICKLY)
    with pytest.raises(DataError, match="expected numbers, 'first', 'last' or 'all', got 'frist'"):
        command(run, "--epochs", "frist", "--out", tmp_path / "other.h5", *ASKED_QUICKLY)
    assert not (tmp_path / "other.h5").exists()


def test_slips_are_told_before_anything_is_computed(run, tmp_path):
    out = tmp_path / "seen.h5"
    slips = [
        (
            ("--population", "conv1"),
            UnknownNameError,
            r"unknown population .conv1.; known: fc1, fc2, input, output; in .*gevb.h5",
        ),
        (("--split", "tets"), UnknownNameError, "unknown split 'tets'; did you mean 'test'"),
        (("--examples", "81"), DataError, r"gevb.h5: expected a number of examples from 1 to 80, the test images"),
        (("--examples", "15"), DataError, "perplexity 5 needs at least 16 examples, found 15"),
        (("--perplexity", "0"), DataError, "perplexity must be at least 1"),
    ]
    for arguments, kind, message in slips:
        with pytest.raises(kind, match=message):
            command(run, "--out", out, *ASKED_QUICKLY, *arguments)
    assert not list(tmp_path.iterdir())


def test_files_of_another_kind(run, tmp_path):
    with pytest.raises(
        DataError, match=r"expected a file of `neurosim represent`, found another HDF5 file; of a run file"
    ):
        read_representations(run)
    with pytest.raises(DataError, match="but there is no such file"):
        read_representations(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(DataError, match="expected a complete file of `neurosim represent`, but"):
        read_representations(tmp_path / "text.h5")
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.attrs.update({"format": "neurosim-representations", "version": 2})
    with pytest.raises(DataError, match="expected version 1 or older, found 2; update neurosim"):
        read_representations(tmp_path / "new.h5")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (["--population", "fc7"], UnknownNameError, "unknown population 'fc7'; did you mean 'fc"),
        (["--epochs", "7"], DataError, "expected the weights of epoch 7, found those of epochs: 0, 2"),
        (["--device", "abacus"], UnknownNameError, "unknown device 'abacus'"),
        ([], DataError, "seen.h5: this file exists already"),
    ],
)
def test_a_wrong_name_is_told_before_the_file_that_exists(run, tmp_path, options, error, message):
    (tmp_path / "seen.h5").touch()
    with pytest.raises(error, match=message):
        command(run, "--out", tmp_path / "seen.h5", *options, *ASKED_QUICKLY)
