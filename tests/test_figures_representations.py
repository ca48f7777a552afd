"""Figures 3A and 3B: what is drawn are the arrays that were given, and what `neurosim plot` refuses."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from neurosim import circuits
from neurosim.analysis.cluster_quality import cluster_quality
from neurosim.cli import app
from neurosim.errors import DataError
from neurosim.figures.cluster_quality import draw_cluster_quality
from neurosim.figures.embedding import draw_embedding
from neurosim.gates import FirstBinGate
from neurosim.plotting.names import REPRESENTED
from neurosim.plotting.representations import (
    OF_REPRESENTATIONS,
    plot_cluster_quality,
    plot_embedding,
    read_all,
)
from neurosim.rules import DFA

CIRCUIT = circuits.load("cifar10-conv").to_json()
NAMES = '["airplane", "automobile", "bird", "cat", "deer", "dog"]'
LABELS = np.arange(60) % 6


@pytest.fixture(autouse=True)
def nothing_global_changes():
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before


def write(path: Path, label: str = "GEVB+, vectorized", seed: int = 0, epochs=(0, 5), **changes: object) -> Path:
    """A file as `neurosim represent` writes it, of two populations; classes move apart with the epochs."""
    rng = np.random.default_rng(seed)
    about = {
        "run": f"{path.stem}-run.h5", "label": label, "title": "CIFAR-10, convolutional", "circuit": CIRCUIT,
        "seed": seed, "dataset": "cifar10", "split": "test", "class_names": NAMES,
    } | changes  # fmt: skip
    settings = {"components": 600, "perplexity": 20.0, "learning_rate": 100.0, "iterations": 5000}
    labels = about.pop("labels", LABELS)
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "neurosim-representations", "version": 1})
        for epoch in epochs:
            group = file.create_group(f"run0/epoch{epoch}")
            group.attrs.update(about | {"epoch": epoch})
            group["labels"] = labels
            for population in ("fc1", "conv3"):
                points = rng.normal(size=(60, 2)) + 0.3 * epoch * LABELS[:, None]
                made = group.create_group(population).create_dataset("embedding", data=points)
                made.attrs.update(settings | {"seed": 0, "cluster_quality": cluster_quality(points, LABELS)})
                made.attrs["cluster_quality_rms"] = cluster_quality(points, LABELS, squared=False)
    return path


def test_given_axes_or_new_ones():
    for draw in (
        lambda ax: draw_embedding([[0.0, 1.0], [1.0, 0.0]], [0, 1], ax),
        lambda ax: draw_cluster_quality(["conv3"], {"GEVB": [0.0]}, {"GEVB": [0.2]}, ax),
    ):
        given = Figure().add_subplot()
        assert draw(given) is given
        new = draw(None)
        new.figure.canvas.draw()
        assert new is not given


def test_every_point_has_the_colour_of_its_class():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(200, 2)), rng.integers(0, 10, 200)
    ax = draw_embedding(points, labels, classes=[f"class {c}" for c in range(10)])
    handles = ax.get_legend().legend_handles
    looks = {(to_rgba(line.get_color()), line.get_marker()) for line in handles}
    assert len(looks) == 10, "all classes look different"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"class {c}" for c in range(10)]
    drawn = {}
    for collection, form in zip(ax.collections, ("o", "^"), strict=True):
        for place, colour in zip(collection.get_offsets(), collection.get_facecolors(), strict=True):
            drawn[tuple(np.asarray(place).tolist())] = (*colour[:3], 1.0), form
    expected = [(to_rgba(line.get_color()), line.get_marker()) for line in handles]
    assert drawn == {tuple(point): expected[c] for point, c in zip(points.tolist(), labels, strict=True)}
    fewer = draw_embedding(points[labels == 7], labels[labels == 7])
    assert to_rgba(fewer.get_legend().legend_handles[0].get_color()) == expected[7][0], "a class keeps its colour"


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        (np.zeros((3, 3)), [0, 1, 2], r"expected points \(examples, 2\)"),
        (np.zeros((3, 2)), [0, 1], r"got \(3, 2\)"),
        (np.zeros((2, 2)), [0, 16], "expected classes from 0 to 15, got 0 to 16"),
    ],
)
def test_what_is_no_embedding(points, labels, message):
    with pytest.raises(DataError, match=message):
        draw_embedding(points, labels)


def test_quality_before_is_open_and_after_filled():
    before = {"GEVB": [0.02, 0.05], "DFA": [0.03, np.nan]}
    after = {"GEVB": [0.2, 0.4], "DFA": [0.01, np.nan]}
    std = {"GEVB": ([0.01, 0.01], [0.02, 0.03]), "DFA": ([0.0, 0.0], [0.01, 0.01])}
    ax = draw_cluster_quality(["conv3", "fc1"], before, after, std=std)
    marks = [line for line in ax.lines if line.get_marker() in "os" and len(line.get_xdata()) == 1]
    open_ = [line.get_ydata()[0] for line in marks if line.get_markerfacecolor() == "white"]
    filled = [line.get_ydata()[0] for line in marks if line.get_markerfacecolor() != "white"]
    assert np.array_equal(open_, [0.02, 0.05, 0.03, np.nan], equal_nan=True)
    assert np.array_equal(filled, [0.2, 0.4, 0.01, np.nan], equal_nan=True)
    x = [line.get_xdata()[0] for line in marks]
    assert len(set(x)) == len(x), "no mark lies on another"
    assert len(ax.containers) == 4
    shown = [text.get_text() for text in ax.get_legend().get_texts()]
    assert shown == ["GEVB", "DFA", "before training", "after"]
    for slip in ({"GEVB": [0.2]}, {"GEVB": [0.2, 0.4], "BP": [0.1, 0.1]}):
        with pytest.raises(DataError, match="expected 2 values of each rule, before and after"):
            draw_cluster_quality(["conv3", "fc1"], {"GEVB": [0.1, 0.2]}, slip)


def test_the_names_are_those_of_the_figures():
    assert tuple(OF_REPRESENTATIONS) == REPRESENTED


@pytest.mark.parametrize("figure", REPRESENTED)
def test_the_command(tmp_path, capsys, figure):
    path, picture = write(tmp_path / "a.h5"), tmp_path / "picture.png"
    app(["plot", figure, str(path), "--out", str(picture)], standalone_mode=False)
    assert picture.read_bytes().startswith(b"\x89PNG") and str(picture) in capsys.readouterr().out
    with pytest.raises(DataError, match="exists already; replace it with --overwrite"):
        app(["plot", figure, str(path), "--out", str(picture)], standalone_mode=False)


def test_embedding_has_a_row_a_rule_and_population(tmp_path):
    found = read_all([write(tmp_path / "a.h5"), write(tmp_path / "b.h5", "DFA+, conventional", epochs=(5,))])
    figure = plot_embedding(found)
    assert [ax.get_title().split(", quality")[0] for ax in figure.axes] == [
        "GEVB+, vectorized\nconv3 before training", "GEVB+, vectorized\nconv3 after epoch 5",
        "GEVB+, vectorized\nfc1 before training", "GEVB+, vectorized\nfc1 after epoch 5",
        "DFA+, conventional\nconv3 after epoch 5", "DFA+, conventional\nfc1 after epoch 5",
    ]  # fmt: skip
    one = next(each for each in found if (each.population, each.epoch) == ("conv3", 0))
    points = {tuple(point) for point in one.embedding[one.labels < 5].tolist()}
    assert {tuple(np.asarray(place).tolist()) for place in figure.axes[0].collections[0].get_offsets()} == points
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["airplane", "automobile", "bird", "cat", "deer"]
    assert legend.get_title().get_text() == "first 5 of 6 classes"


def test_quality_is_the_mean_over_seeds(tmp_path):
    paths = [write(tmp_path / "a.h5"), write(tmp_path / "b.h5", seed=1), write(tmp_path / "c.h5", "DFA+, conventional")]
    figure = plot_cluster_quality(read_all(paths))
    assert figure.get_suptitle() == "CIFAR-10, convolutional, 60 test images, 1 to 2 seeds"
    for ax, field in zip(figure.axes, ("quality", "quality_rms"), strict=True):
        assert [text.get_text() for text in ax.get_xticklabels()] == ["conv3", "fc1"], "in the circuit's order"
        lines = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 2 and line.get_linestyle() == "-"]
        expected = [
            np.mean([[getattr(e, field) for e in read_all([p]) if e.population == name] for p in group], axis=0)
            for group in (paths[:2], paths[2:]) for name in ("conv3", "fc1")
        ]  # fmt: skip
        assert np.allclose(lines[1:], expected, rtol=0, atol=1e-12), "the first line is 0"


def test_what_does_not_compare(tmp_path):
    first = write(tmp_path / "a.h5")
    with pytest.raises(
        DataError, match=r"a.h5 and .*a.h5: both hold conv3 of GEVB\+, vectorized, seed 0, epoch 0, which"
    ):
        read_all([first, first])
    only = write(tmp_path / "b.h5", "DFA+", epochs=(5,))
    with pytest.raises(
        DataError, match=r"b.h5: expected conv3 of b-run.h5 before and after training, found epochs 5; `neu"
    ):
        plot_cluster_quality(read_all([first, only]))
    other = write(tmp_path / "c.h5", "DFA+", split="train")
    with pytest.raises(DataError, match="do not compare in one figure, because they differ in split: test and train"):
        plot_cluster_quality(read_all([first, other]))
    images = write(tmp_path / "d.h5", "DFA+", labels=LABELS[::-1])
    with pytest.raises(DataError, match="cluster quality of different images does not compare; "):
        plot_cluster_quality(read_all([first, images]))
    letters = write(tmp_path / "e.h5", "DFA+", dataset="letters")
    with pytest.raises(DataError, match="differ in dataset: cifar10 and letters"):
        plot_embedding(read_all([first, letters]))
    empty = write(tmp_path / "f.h5", epochs=())
    with pytest.raises(DataError, match="f.h5: no representation in it"):
        read_all([empty])


def test_circuits_of_one_label_are_told_apart(tmp_path):
    other = circuits.load("cifar10-conv", fc1=8, rule=DFA()).to_json()
    found = read_all([write(tmp_path / "a.h5"), write(tmp_path / "b.h5", circuit=other)])
    sizes = [f"GEVB+, vectorized, 128x32x32-64x16x16-64x4x4-{fc1}" for fc1 in (1024, 8)]
    assert list(dict.fromkeys(each.label for each in found)) == sizes


@pytest.mark.parametrize("paths", [("a.h5", "b.h5"), ("x/same.h5", "y/same.h5")])
def test_runs_of_one_name_are_told_apart(tmp_path, paths):
    """The circuits differ in their gates; then in what no word tells, so that files do: two bars, not one."""
    gated = circuits.load("cifar10-conv", gate=FirstBinGate()).to_json()
    unbiased = json.dumps(json.loads(CIRCUIT) | {"output_bias": None})
    for circuit, words in ((gated, ["SignGate", "FirstBinGate"]), (unbiased, [p.split("/")[0][0] for p in paths])):
        files = []
        for path, each in zip(paths, (CIRCUIT, circuit), strict=True):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            files.append(write(tmp_path / path, circuit=each, run="run.h5"))
        figure = plot_cluster_quality(read_all(files))
        shown = [text.get_text() for text in figure.legends[0].get_texts()]
        assert shown[:2] == [f"GEVB+, vectorized, {word}" for word in words]
