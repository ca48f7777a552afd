"""The `neurosim` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import neurosim
from neurosim.cli.compare import compare
from neurosim.cli.plot import plot
from neurosim.cli.represent import represent
from neurosim.cli.reproduce import reproduce
from neurosim.errors import ConfigError, DataError, NeurosimError, UnknownNameError

if TYPE_CHECKING:  # torch and the rest are loaded where a command needs them: --help answers at once
    from neurosim.experiment import Experiment

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Simulate circuits of neural populations that learn by plug-in plasticity rules.",
)


_VECTORIZATION = "How the K components run: 'group', 'temporal', 'temporal:causal'. [default: group]"
_RECORD = "TARGET:VARIABLE,VARIABLE to record while training, as in fc1:activity,credit. May be repeated."
_ALIGNMENT = "Measure the rule beside the gradient at every checkpoint. [default: no-alignment]"
_RESUME = "Continue the run in an existing file, which remembers all settings; --epochs may be raised."
_EXAMPLES = "The first so many training images. [default: 128, or all where there are fewer]"
_EARLY = "Stop where a checkpoint finds no mistake on the training set. [default: early-stop]"


@app.command()
def train(
    circuit: Annotated[str | None, typer.Option(help="Name of a circuit, or .json file. [default: digits-fc]")] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            help="Rule for all groups, or GROUP=RULE for one, as in 'gevb' or 'dfa(limits=(0, 1))'; 'frozen' freezes. "
            "May be repeated."
        ),
    ] = None,
    sign: Annotated[str | None, typer.Option(help="'nonnegative' or 'mixed' weights past the first layer.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the circuit's]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs in all. [default: 20]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per update. [default: 128]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of Adam. [default: 0.0003]")] = None,
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
    out: Annotated[Path | None, typer.Option(help="Run file. [default: runs/CIRCUIT-RULE-seedN.h5]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing run file.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help=_RESUME)] = False,
    picture: Annotated[bool, typer.Option(help="Draw circuit and learning curve beside the run file.")] = True,
) -> None:
    """Train a circuit and record the run; without options, a demo on the embedded digits."""
    from neurosim.experiment import Experiment, settings_of_run

    given: dict[str, Any] = {
        "circuit": circuit, "rule": rule or None, "sign": sign, "dataset": dataset, "epochs": epochs,
        "batch_size": batch_size, "learning_rate": learning_rate, "checkpoint_every": checkpoint_every, "seed": seed,
        "device": device, "precision": precision, "early_stop": early_stop,
        "train_examples": train_examples, "test_examples": test_examples, "vectorization": vectorization,
        "record": record or None, "record_every": record_every, "record_reduce": record_reduce, "alignment": alignment,
    }  # fmt: skip
    settings, places = read_config(config) if config else ({}, {})
    settings |= {key: value for key, value in given.items() if value is not None}
    named = {key: value for key, value in settings.items() if not key.startswith("record")}  # a file's name tells none
    out = out or places.get("out") or Path("runs") / f"{Experiment.from_settings(named).label}.h5"
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
    """Train, record and report one experiment."""
    from neurosim.observers import EpochLines, ProgressBar
    from neurosim.runs.places import refuse_target
    from neurosim.runs.recording import RunRecorder
    from neurosim.runs.run import Run

    image = path.with_suffix(".png")
    if path.suffix not in (".h5", ".hdf5"):
        raise ConfigError(f"--out {path}: a run file ends in .h5 or .hdf5")
    if path.exists() and not resume:
        refuse_target(path, overwrite=overwrite)  # before the picture, which is only what comes beside it
    if picture and image.exists() and not (overwrite or resume):
        raise DataError(f"{image}: this file exists already; replace it with --overwrite, or use --no-picture")
    progress = ProgressBar() if sys.stderr.isatty() else EpochLines()
    experiment.recorders(experiment.build_circuit())  # most mistakes show here, before anything is made on disk
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path}: its folder cannot be made: {error}") from error
    recorder = RunRecorder(path, notes=experiment.to_dict(), overwrite=overwrite, resume=resume)
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


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Simulate circuits of neural populations that learn by plug-in plasticity rules."""
    if version:
        print(f"neurosim {neurosim.__version__}")
        raise typer.Exit


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run file, finished, interrupted or still being written.")],
    as_json: Annotated[bool, typer.Option("--json", help="Settings and tables as JSON, for programs.")] = False,
) -> None:
    """Tell what a run file holds."""
    from neurosim.runs.recorded_summary import recorded_as_plain
    from neurosim.runs.run import Run

    opened = Run(run)
    if not as_json:
        print(opened.summary())
        return
    tables = {name: getattr(opened, name).to_dict(orient="records") for name in ("epochs", "checkpoints")}
    about = {key: value for key, value in opened.attributes.items() if key not in ("circuit", "config", "recorders")}
    found = {"config": opened.config, "status": opened.status} | tables | recorded_as_plain(opened)
    print(json.dumps(about | found, indent=1, default=str))


app.command()(reproduce)
app.command()(compare)
app.command()(plot)
app.command()(represent)


@app.command()
def align(
    runs: Annotated[list[Path], typer.Argument(help="Run files, recorded with the weights of every checkpoint.")],
    rule: Annotated[
        str | None, typer.Option(help="Whose credit. [default: the rule that each layer learned by]")
    ] = None,
    examples: Annotated[int | None, typer.Option(min=1, help=_EXAMPLES)] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="'angle', 'r' or 'signs'. May be repeated. [default: angle]")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the run's]")] = None,
    data_dir: Annotated[Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure a rule beside the gradient at every checkpoint of a run.

    angle: between the credits, in degrees; r: relative standard deviation of the exact credit over the units; signs:
    share of the weights whose update has the gradient's sign, per example and per batch.
    """
    from neurosim.analysis.run_alignment import as_text, run_alignment, to_plain
    from neurosim.rule_words import rule_from_words
    from neurosim.runs.run import Run

    named = None if rule is None else rule_from_words(rule)
    measured = {}
    for path in runs:
        found = run_alignment(
            Run(path),
            rule=named,
            examples=examples,
            data_dir=data_dir,
            dataset=dataset,
            measures=measure or ("angle",),
        )
        measured[str(path)] = to_plain(found)
        if not as_json:
            what = "" if measure else "degrees between "
            print(f"{path}: {what}the credit of {named or 'each rule'} and of BP, {found[0].examples} examples")
            print(as_text(found))
    if as_json:
        print(json.dumps(measured, indent=1))


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="'circuits', 'rules', 'gates', 'codes', 'relaxations', 'datasets', 'experiments', 'figures'."
        ),
    ] = None,
) -> None:
    """List what is installed: circuits, their parts, datasets, published experiments, figures.

    Rules are listed with what their synapses must have access to.
    """
    from neurosim.cli.listing import LISTS

    if what is not None and what not in LISTS:
        raise UnknownNameError("list", what, LISTS)
    for kind in [what] if what is not None else LISTS:
        print("\n".join([kind, *(f"  {line}" for line in LISTS[kind]())]))


def main() -> NoReturn:
    """Run the command; an interruption, or an error that neurosim raises on purpose, is one line and no traceback."""
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as ended:
        if not _was_interrupted(ended):
            raise
        print("neurosim: interrupted; the same command with --resume continues a recorded run", file=sys.stderr)
        raise SystemExit(130) from None
    except NeurosimError as error:
        print(f"neurosim: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(0)


def _was_interrupted(ended: BaseException | None) -> bool:
    """Whether an interruption led here: typer makes an exit of it, and says nothing."""
    while ended is not None and not isinstance(ended, KeyboardInterrupt):
        ended = ended.__cause__ or ended.__context__
    return ended is not None
