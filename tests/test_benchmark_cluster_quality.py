"""The benchmark of cluster quality trains what is missing, measures, and writes JSON and embeddings."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import torch

from neurosim.analysis.representation_file import read_representations
from neurosim.datasets import Dataset, Split, save_dataset


def blank(count: int, generator: torch.Generator) -> Split:
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator, device="cpu")
    return Split(images, torch.arange(count, device="cpu") % 10)


def test_it_measures_every_network_before_and_after(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    benchmark = importlib.import_module("cluster_quality")
    generator = torch.Generator(device="cpu").manual_seed(0)
    names = tuple(f"class {c}" for c in range(10))
    data = Dataset("cifar10", names, "noise", blank(20, generator), blank(70, generator))
    save_dataset(data, tmp_path / "cifar10.h5")
    asked = [
        "--folder", tmp_path / "runs", "--out", tmp_path / "out.json", "--data-dir", tmp_path, "--channels", 4, 2, 2,
        "--fc1", 8, "--train", 20, "--test", 70, "--epochs", 1, "--iterations", 20, "--populations", "conv3", "fc1",
    ]  # fmt: skip
    benchmark.main([str(each) for each in asked])
    report = json.loads((tmp_path / "out.json").read_text())
    assert [(row["network"], row["population"], row["epochs"]) for row in report["measured"]] == [
        ("gevb-vectorized", "conv3", [0, 1]), ("gevb-vectorized", "fc1", [0, 1]),
        ("dfa-conventional", "conv3", [0, 1]), ("dfa-conventional", "fc1", [0, 1]),
    ]  # fmt: skip
    found = read_representations(tmp_path / "out.h5")
    written = {(each.run, each.population, each.epoch): each.quality for each in found}
    row = report["measured"][0]
    run = (tmp_path / "runs" / "gevb-vectorized-seed0.h5").as_posix()
    assert row["cluster_quality"] == [written[run, "conv3", epoch] for epoch in (0, 1)]
