"""`neurosim train`: one run, from its settings to its file."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli.interrupted import telling
from neurosim.errors import ConfigError, DataError

if TYPE_CHECKING:  # torch and the rest are loaded once the settings are known to be right
    from neurosim.circuit import Circuit
    from neurosim.experiment import Experiment

_VECTORIZATION = "How the K components run: 'group', 'temporal', 'temporal:causal'. [default: group]"
_RECORD = "TARGET:VARIABLE,VARIABLE to record while training, as in fc1:activity,credit. May be repeated."
_ALIGNMENT = "Measure the rule beside the gradient at every checkpoint. [default: no-alignment]"
_RESUME = "Continue the run in an existing file, which remembers all settings; --epochs may be raised."
_RULE = (
    "Rule for all groups, or GROUP=RULE for one, as in 'gevb' or 'dfa(limits=(0, 1))'; 'my_rules:Eager' is the class "
    "Eager of my_rules.py in the current folder; 'frozen' freezes. May be repeated."
)
_OUT = (
    "Run file. [default: runs/CIRCUIT-RULE-seedN.h5; runs/CIRCUIT-DATASET-SIGN-RULE-VECTORIZATION-seedN.h5 with those "
    "of them that are not the default; RULE is the circuit's own where none is given]"
)
_EARLY = "Stop where a checkpoint finds no mistake on the training set. [default: early-stop]"


def train(
    circuit: Annotated[str | None, typer.Option(help="Name of a circuit, or .json file. [default: digits-fc]")] = None,
    rule: Annotated[list[str] | None, typer.Option(help=_RULE)] = None,
    sign: Annotated[str | None, typer.Option(help="'nonnegative' or 'mixed' weights past the first layer.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the circuit's]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs in all. [default: 20]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per update. [default: 128]")] = None,
    optimizer: Annotated[str | None, typer.Option(help="'adam' or 'sgd'. [default: adam]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the optimizer. [default: 0.0003]")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Epochs between checkpoints. [default: 10]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, gates and data order. [default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="'cpu', 'cuda', 'cuda:1', ... [default: cpu]")] = None,
    precision: Annotated[str | None, typer.Option(help="'float32', 'float64', 'bfloat16'. [default: float32]")] = None,
    train_examples: Annotated[int | None, typer.Option(help="Train on the first so many only.")] = None,
    test_examples: Annotated[int | None, typer.Option(help="Test on the first so many only.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of these settings; options given here win.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets; downloads go there.")
    ] = None,
    early_stop: Annotated[bool | None, typer.Option("--early-stop/--no-early-stop", help=_EARLY)] = None,
    vectorization: Annotated[str | None, typer.Option(help=_VECTORIZATION)] = None,
    record: Annotated[list[str] | None, typer.Option(help=_RECORD)] = None,
    record_every: Annotated[int | None, typer.Option(help="Steps between recorded rows. [default: 10]")] = None,
    record_reduce: Annotated[
        str | None, typer.Option(help="'mean', 'std' over the batch, 'norm', or 'none'. [default: mean]")
    ] = None,
    alignment: Annotated[bool | None, typer.Option("--alignment/--no-alignment", help=_ALIGNMENT)] = None,
    out: Annotated[Path | None, typer.Option(help=_OUT)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run file.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help=_RESUME)] = False,
    picture: Annotated[bool, typer.Option(help="Draw circuit and learning curve beside the run file.")] = True,
) -> None:
    """Train a circuit and record the run; without options, a demo on the embedded digits."""
    from neurosim.experiment import Experiment, settings_of_run

    given: dict[str, Any] = {
        "circuit": circuit, "rule": rule or None, "sign": sign, "dataset": dataset, "epochs": epochs,
        "batch_size": batch_size, "optimizer": optimizer, "learning_rate": learning_rate,
        "checkpoint_every": checkpoint_every, "seed": seed, "device": device, "precision": precision,
        "early_stop": early_stop,
        "train_examples": train_examples, "test_examples": test_examples, "vectorization": vectorization,
        "record": record or None, "record_every": record_every, "record_reduce": record_reduce, "alignment": alignment,
    }  # fmt: skip
    if overwrite and resume:
        raise ConfigError("expected --overwrite or --resume, found both")
    settings, places = read_config(config) if config else ({}, {})
    settings |= {key: value for key, value in given.items() if value is not None}
    named = {key: value for key, value in settings.items() if not key.startswith("record")}  # a file's name tells none
    out = out or places.get("out")
    if out is not None and out.suffix not in (".h5", ".hdf5"):
        raise ConfigError(f"--out {out}: a run file ends in .h5 or .hdf5")
    out = out or Path("runs") / f"{Experiment.from_settings(named).label}.h5"
    if resume:
        settings = (settings_of_run(out) or {}) | settings
    run_experiment(
        Experiment.from_settings(settings),
        out,
        data_dir=data_dir or places.get("data_dir"),
        overwrite=overwrite,
        resume=resume,
        picture=picture,
    )


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The settings of an experiment in a TOML file, and the places ``out`` and ``data-dir``."""
    from neurosim.experiment import read_settings

    table = {key.replace("-", "_"): value for key, value in read_settings(path).items()}
    places: dict[str, Path] = {}
    for key in ("out", "data_dir"):
        if key in table:
            value = table.pop(key)
            if not isinstance(value, str):
                raise ConfigError(f"setting '{key}': expected a path in quotes, got {value!r}")
            places[key] = Path(value)
    return table, places


def run_experiment(
    experiment: Experiment, path: Path, *, data_dir: Path | None, overwrite: bool, resume: bool, picture: bool
) -> None:
    """Train, record and report one experiment.

    What is wrong with the settings is told before what is wrong with the place, both before any data are read.
    """
    from neurosim.observers import EpochLines, ProgressBar
    from neurosim.runs.places import refuse_target
    from neurosim.runs.recording import RunRecorder
    from neurosim.runs.run import Run

    circuit = experiment.check(data_dir)
    image = path.with_suffix(".png")
    if path.exists() and not resume:
        refuse_target(path, overwrite=overwrite)  # before the picture, which is only what comes beside it
    if picture and image.exists() and not (overwrite or resume):
        raise DataError(f"{image}: this file exists already; replace it with --overwrite, or use --no-picture")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: its folder cannot be made: {error}") from error
    before = _stamp(path)
    recorder = RunRecorder(path, notes=experiment.to_dict(), overwrite=overwrite, resume=resume)
    if resume:
        _refuse_other_settings(experiment, circuit, path)
    with telling(lambda: _what_is_there(path, new=_stamp(path) != before, resume=resume)):
        progress = ProgressBar() if sys.stderr.isatty() else EpochLines()
        trainer = experiment.build(data_dir, observers=[recorder, progress])
        print(trainer.simulator.circuit)
        print(trainer.dataset)
        result = trainer.run()
    last = result.checkpoints[-1]
    print(
        f"\n{result.reason}\n"
        f"test error {last.test_error:.2%}, train error {last.train_error:.2%} after epoch {last.epoch} "
        f"(chance: {1 - 1 / trainer.dataset.classes:.0%})\nrecorded in {path}"
    )
    for recording in Run(path).recordings.values():
        if recording.gaps:
            print(f"recorded with gaps: {recording}")
    if picture:
        from neurosim.figures.run_overview import draw_run

        draw_run(path).savefig(image, dpi=150)
        print(f"picture in {image}")


def _refuse_other_settings(experiment: Experiment, circuit: Circuit, path: Path) -> None:
    """Where a run cannot be continued for its settings alone, say so before data are read and weights drawn."""
    from neurosim.runs.recording import refuse_other_run
    from neurosim.runs.run import Run
    from neurosim.vectorization import vectorization_named

    before = Run(path).attributes
    given = {"batch_size": experiment.batch_size, "checkpoint_every": experiment.checkpoint_every}
    config = json.loads(before["config"]) | given | {"optimizer": experiment.build_optimizer(circuit).to_dict()}
    now = {
        "circuit": circuit.to_json(),
        "seed": experiment.seed,
        "precision": experiment.precision,
        "vectorization": vectorization_named(experiment.vectorization).name,
        "config": json.dumps(config),
    }
    refuse_other_run(path, before, before | now)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What tells a file from one that takes its place, or from itself before something was written."""
    if not path.exists():
        return None
    about = path.stat()
    return about.st_ino, about.st_mtime_ns


def _what_is_there(path: Path, *, new: bool, resume: bool) -> str:
    """What an interrupted run leaves, and how to go on."""
    if not (new or resume):
        kept = f"; {path} is as it was" if path.exists() else ""
        return f"nothing of this run was recorded yet{kept}"
    from neurosim.runs.run import Run

    command = shlex.join(["neurosim", "train", "--resume", "--out", str(path)])
    return f"recorded up to epoch {Run(path).epoch}, `{command}` continues"
