"""Cluster quality of a convolutional population on CIFAR-10, before and after training, by rule (Section 6, Figure 3).

    python benchmarks/cluster_quality.py --folder FOLDER --out results/cluster-quality.json

trains what the folder does not hold yet, continues what was interrupted, and measures the rest. The defaults are a
small circuit on a part of the images, for a machine without a gpu; the paper's own experiment is
``--channels 128 64 64 --fc1 1024 --train 50000 --test 10000 --epochs 190 --batch-size 128 --seeds 0 1 2 3 4``.
Beside the JSON a file of the same name ending in .h5 holds the embeddings, for `neurosim plot figure-3a`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts, write_json

from neurosim import Simulator, circuits
from neurosim.analysis.embedding import EmbeddingSettings
from neurosim.analysis.representation_file import Representation
from neurosim.analysis.run_representations import represent
from neurosim.datasets import load_dataset
from neurosim.plasticity import PlasticityRule
from neurosim.rules import BP, DFA, GEVB
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer

#: name -> rule and whether the network is conventional; all weights past the first layer are nonnegative
NETWORKS: dict[str, tuple[PlasticityRule, bool]] = {
    "gevb-vectorized": (GEVB(), False),
    "bp-vectorized": (BP(), False),
    "dfa-conventional": (DFA(limits=(0.0, 1.0)), True),
    "bp-conventional": (BP(), True),
}


def train(name: str, seed: int, asked: argparse.Namespace) -> Run:
    """A run in the folder, trained to the epoch that is asked for."""
    path = asked.folder / f"{name}-seed{seed}.h5"
    if path.exists() and Run(path).finished and Run(path).epoch == asked.epochs:
        return Run(path)
    rule, conventional = NETWORKS[name]
    circuit = circuits.load(
        "cifar10-conv", rule=rule, conventional=conventional, channels=tuple(asked.channels), fc1=asked.fc1
    )
    Trainer(
        Simulator(circuit, seed=seed),
        load_dataset("cifar10", asked.data_dir).subset(train=asked.train, test=asked.test),
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        checkpoint_every=asked.epochs,
        early_stop=False,
        observers=[
            RunRecorder(
                path,
                notes={"dataset": "cifar10", "train_examples": asked.train, "test_examples": asked.test},
                resume=path.exists(),
            )
        ],
    ).run()
    return Run(path)


def rows(run: Run, name: str, found: list[Representation]) -> list[dict[str, Any]]:
    """Plain data of one run: a row a population, before and after."""
    errors = {int(row.epoch): row.test_error for row in run.checkpoints.itertuples()}
    made = []
    for population in dict.fromkeys(each.population for each in found):
        first, last = (each for each in found if each.population == population)
        made.append(
            {
                "network": name,
                "seed": first.seed,
                "population": population,
                "epochs": [first.epoch, last.epoch],
                "cluster_quality": [first.quality, last.quality],
                "cluster_quality_rms": [first.quality_rms, last.quality_rms],
                "test_error": [errors[first.epoch], errors[last.epoch]],
            }
        )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="of the run files")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; existing ones are replaced")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["gevb-vectorized", "dfa-conventional"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--channels", nargs=3, type=int, default=[16, 16, 16])
    parser.add_argument("--fc1", type=int, default=128)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=500, help="test images, all of which are embedded")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--populations", nargs="+", default=["conv3"])
    parser.add_argument("--iterations", type=int, default=5000, help="of t-SNE")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--train-only", action="store_true")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    runs = {(name, seed): train(name, seed, asked) for name in asked.networks for seed in asked.seeds}
    if asked.train_only:
        return
    found = represent(
        list(runs.values()),
        asked.out.with_suffix(".h5"),
        populations=asked.populations,
        examples=asked.test,
        settings=EmbeddingSettings(iterations=asked.iterations),
        keep_activity=False,
        overwrite=True,
        data_dir=asked.data_dir,
        tell=lambda each: print(each.run, each.population, each.epoch, each.quality, each.quality_rms, flush=True),
    )
    what = ("channels", "fc1", "train", "test", "epochs", "batch_size", "seeds", "iterations")
    report: dict[str, Any] = {"machine": machine_facts(), "command": "python benchmarks/cluster_quality.py"}
    report |= {key: getattr(asked, key) for key in what}
    report["measured"] = [
        row
        for (name, _), run in runs.items()
        for row in rows(run, name, [each for each in found if each.run == run.path.as_posix()])
    ]
    write_json(asked.out, report)


if __name__ == "__main__":
    main()
