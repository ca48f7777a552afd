"""`neurosim reproduce`, on published numbers of another package that takes seconds to measure."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from training_fakes import FakeSimulator, fake_dataset

from neurosim.cli import app
from neurosim.cli.reproduce import _tables, read_seeds
from neurosim.datasets import Dataset, Split, load_dataset, save_dataset
from neurosim.errors import DataError, UnknownNameError
from neurosim.experiment import ConfigError
from neurosim.optimizers import Optimizer
from neurosim.published import Protocol, PublishedExperiment, published_experiments
from neurosim.reproduction.reproduction import Reproduction, Settings, Task, is_complete, stopped_early, trainer_for
from neurosim.reproduction.table import Cell, MeasuredRun, as_json, as_markdown
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.simulator import Simulator
from neurosim.training import Trainer

COMMAND = [sys.executable, "-W", "error", "-m", "neurosim.cli", "reproduce"]
PLUGIN = """
from neurosim import circuits
from neurosim.published import Protocol, PublishedExperiment

def experiment(name, dataset, circuit, **options):
    build = lambda: circuits.load(circuit, **options)
    return PublishedExperiment(name, dataset, build, 5.0, None, Protocol(epochs=3, checkpoint_every=2, runs=2))

def tables():
    for sign in ("mixed", "nonnegative"):
        yield experiment(f"digits/{sign}/gevb", "digits", "digits-fc", sign=sign, widths=(8, 6))
    yield experiment("misfit/gevb", "digits", "mnist-fc", widths=(4, 4))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder on the path of Python, with a package that announces published experiments."""
    folder = tmp_path / "site"
    info = folder / "digits_tables-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "digits_tables.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: digits-tables\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[neurosim.experiments]\ndigits = digits_tables:tables\n")
    return folder


def environment(package: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("NEUROSIM_DATA", "PYTHONPATH")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(package)}


def reproduce(package: Path, *options: str, code: int = 0) -> str:
    """Run the command beside the package; what it printed, on stderr where it failed to start."""
    done = subprocess.run(
        [*COMMAND, *options], cwd=package.parent, capture_output=True, text=True, env=environment(package)
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def table(package: Path, folder: str) -> dict[str, Any]:
    data = json.loads((package.parent / folder / "table.json").read_text())
    return {cell["experiment"]: cell for cell in data["cells"]}


def errors(package: Path, folder: str) -> dict[str, list[list[float]]]:
    return {name: [run["test_errors"] for run in cell["runs"]] for name, cell in table(package, folder).items()}


def test_in_one_go_or_in_several(package: Path) -> None:
    """Two epochs, then a third and another seed, come to the numbers of three epochs at once; nothing is repeated."""
    reproduce(package, "digits/mixed", "--epochs", "2", "--seeds", "1", "--out", "parts")
    first = errors(package, "parts")
    assert [len(run) for runs in first.values() for run in runs] == [2]
    printed = reproduce(package, "digits", "--seeds", "2", "--jobs", "2", "--out", "parts", "--resume")
    assert "2 experiments, 2 seeds: 4 runs to make or continue" in printed
    assert "digits/mixed/gevb seed 0: epoch 3/3" in printed and "mixed/gevb seed 0: epoch 2/3" not in printed
    assert errors(package, "parts")["digits/mixed/gevb"][0][:2] == first["digits/mixed/gevb"][0]
    refused = reproduce(package, "digits", "--seeds", "2", "--out", "parts", "--resume", "--epochs", "2", code=1)
    assert "has trained 3 epochs already, 2 are asked for (4 of 4 runs have more); raise --epochs, or name" in refused
    reproduce(package, "digits", "--seeds", "2", "--out", "whole")
    assert errors(package, "parts") == errors(package, "whole")
    assert [cell["full_protocol"] for cell in table(package, "parts").values()] == [True, True]
    text = (package.parent / "parts" / "table.md").read_text()
    assert text.count("| FULL") == 2 and text in printed

    runs = sorted((package.parent / "parts").rglob("*.h5"))
    before = [path.read_bytes() for path in runs]
    printed = reproduce(package, "digits", "--seeds", "2", "--out", "parts", "--resume")
    assert "0 runs to make or continue" in printed and "epoch 3/3" not in printed
    assert [path.read_bytes() for path in runs] == before


def test_killed_and_continued(package: Path) -> None:
    options = ["digits/mixed", "--epochs", "3", "--seeds", "1", "--out"]
    process = subprocess.Popen(
        [*COMMAND, *options, "killed"], cwd=package.parent, env=environment(package), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    next(line for line in process.stdout if "epoch 1/3" in line)
    process.kill()
    process.wait()
    process.stdout.close()
    assert "epoch 1/3" not in reproduce(package, *options, "killed", "--resume"), "what was printed is on disk"
    reproduce(package, *options, "whole")
    assert errors(package, "killed") == errors(package, "whole")


@pytest.mark.skipif(os.name != "posix", reason="kills a group of processes")
def test_workers_end_with_the_parent_that_is_killed(package: Path) -> None:
    """They hold its standard output, which comes to its end with the last of them; then the folder is free."""
    options = ["digits", "--epochs", "3", "--seeds", "2", "--jobs", "2", "--out"]
    process = subprocess.Popen(
        [*COMMAND, *options, "killed"],
        cwd=package.parent,
        env=environment(package),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        next(line for line in process.stdout if "epoch 1/3" in line)
        process.kill()
        process.communicate(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    reproduce(package, *options, "killed", "--resume")
    assert [len(run) for runs in errors(package, "killed").values() for run in runs] == [3, 3, 3, 3]


def test_one_that_fails_does_not_stop_the_others(package: Path) -> None:
    printed = reproduce(package, "misfit", "digits/mixed", "--epochs", "1", "--seeds", "1", "--out", "x", code=1)
    assert "FAILED misfit/gevb seed 0: dataset 'digits': expected images of (1, 28, 28)" in printed
    assert list(errors(package, "x")) == ["digits/mixed/gevb"]


def test_shortened_data_is_said_and_not_mixed(package: Path) -> None:
    short = ["digits/mixed", "--seeds", "2", "--out", "short", "--train-examples", "64", "--test-examples", "32"]
    reproduce(package, *short)
    assert table(package, "short")["digits/mixed/gevb"]["full_protocol"] is False
    before = {path: path.read_bytes() for path in (package.parent / "short").rglob("*") if path.is_file()}
    refused = reproduce(package, "digits/mixed", "--out", "short", "--resume", code=1)
    assert "its runs were made with other settings" in refused and "train_examples was 64, is None" in refused
    assert {path: path.read_bytes() for path in before} == before
    many = ["digits/mixed", "--seeds", "1", "--out", "many", "--train-examples", "99999"]
    assert "99999" in reproduce(package, *many, code=1) and not (package.parent / "many").exists()
    shown = reproduce(package, "--report", "--out", "short")
    text = (package.parent / "short" / "table.md").read_text()
    assert text in shown
    assert "NOT AS PUBLISHED, so never FULL: all runs trained on the first 64 images only, tested on the first" in text


def test_report_reads_the_folder_and_its_filters(package: Path) -> None:
    short = ["--epochs", "1", "--train-examples", "64", "--test-examples", "32", "--checkpoints", "all"]
    reproduce(package, "digits", "--seeds", "2", "--out", "runs", *short)
    whole = (package.parent / "runs" / "table.md").read_text()
    assert "(of 1)" in whole and table(package, "runs")["digits/mixed/gevb"]["last_epochs_averaged"] == 1
    shown = reproduce(package, "--report", "--out", "runs", "--rule", "gevb", "--sign", "mixed", "--seeds", "1,")
    assert "| digits/mixed/gevb" in shown and "nonnegative" not in shown and "| 1    | 1      | short" in shown
    assert (package.parent / "runs" / "table.md").read_text() == whole, "the files are the whole folder's"
    for options, message in [
        (["--out", "nothere"], "nothere: expected a folder of `neurosim reproduce` to report on, but there is no "),
        (["--out", "runs", "--seeds", "7,"], "holds no trained epoch of what is asked for, seeds 7; widen the filters"),
        (["--out", "runs", "--epochs", "3"], "--report trains nothing, so --epochs would have no effect"),
        (["--out", "runs", "--precision", "float64"], "--precision: the runs in runs were made with 'float32', got "),
    ]:
        assert message in reproduce(package, "--report", *options, code=1)


# -- folders that are refused --------------------------------------------------------------------------------------


def folder_with(tmp_path: Path, record: str) -> Path:
    (tmp_path / "reproduction.json").write_text(record)
    return tmp_path


RECORD = {"format": "neurosim-reproduction", "version": 1, "settings": {"neurosim": "0.0.1", "precision": "float32"}}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (json.dumps(RECORD), r"by neurosim 0.0.1, this is neurosim [\d.]+, .* finish it with version 0.0.1, or name"),
        (json.dumps(RECORD | {"version": 7}), "version 1, found 'neurosim-reproduction' 7"),
        (json.dumps(RECORD | {"format": "cake"}), "found 'cake' 1"),
        ("{", "expected the record of a reproduction, but it cannot be read"),
        ("[]", "expected the record of a reproduction, but it cannot be read"),
    ],
)
def test_another_version_or_no_record(tmp_path: Path, record: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Reproduction(folder_with(tmp_path, record), resume=True)
    assert (tmp_path / "reproduction.json").read_text() == record


def test_an_existing_folder_needs_resume(tmp_path: Path) -> None:
    Reproduction(tmp_path / "new").run([])
    with pytest.raises(DataError, match="holds a reproduction already; continue it with --resume"):
        Reproduction(tmp_path / "new")
    with pytest.raises(DataError, match="precision was 'float32', is 'float64'"):
        Reproduction(tmp_path / "new", Settings(precision="float64"), resume=True)
    assert Reproduction(tmp_path / "new", resume=True).folder == tmp_path / "new"


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--precision", "float16"], "unknown precision 'float16'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--data-dir", "no/such"], "dataset 'mnist': expected torchvision to download "),
    ],
)
def test_what_no_run_can_use_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UnknownNameError, DataError), match=message):
        app(["reproduce", "table1/fc", "--seeds", "1", *option], standalone_mode=False)
    assert not list(tmp_path.iterdir())


def test_one_dataset_that_is_missing_does_not_stop_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two; where all are missing nothing is made."""
    small_paper_data(tmp_path, "cifar10")
    started: list[str] = []
    monkeypatch.setattr(
        "neurosim.reproduction.reproduction.run_task", lambda argument: started.append(argument[0].experiment) or ""
    )
    folder, known = Reproduction(tmp_path / "out"), published_experiments()
    monkeypatch.setattr("neurosim.reproduction.reproduction.load_dataset", partial(without, "mnist"))
    both = [known["table1/fc/conventional/mixed/bp"], known["table2/fc/conventional/mixed/bp"]]
    with pytest.raises(DataError, match="^no mnist$"):
        folder.run(folder.tasks(both[:1], [0], None), data_dir=tmp_path)
    assert not folder.folder.exists()
    folder.run(folder.tasks(both, [0], None), data_dir=tmp_path)
    assert started == [experiment.name for experiment in both]


def test_nothing_to_resume_and_a_strangers_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a reproduction to resume, but "):
        Reproduction(tmp_path / "absent", resume=True)
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="expected a new or empty folder"):
        Reproduction(tmp_path)


# -- arithmetic ----------------------------------------------------------------------------------------------------


def experiment(**protocol: int) -> PublishedExperiment:
    def never() -> Any:
        raise AssertionError("a table needs no circuit")

    return PublishedExperiment("t/x", "digits", never, 2.0, None, Protocol(**{"epochs": 5, "runs": 2} | protocol))


def measured(seed: int, *test_errors: float, stopped: bool = False) -> MeasuredRun:
    return MeasuredRun(seed, test_errors, stopped, 1.0)


def test_a_cell_by_hand() -> None:
    cell = Cell(experiment(), (measured(0, 9, 4, 3, 2, 2.5), measured(1, 9, 5, 4, 3)))
    assert cell.epochs == 4 and cell.last == (2, 3)
    assert cell.mean == 2.5 and cell.difference == 0.5
    assert cell.std == pytest.approx(0.5**0.5, abs=1e-12)
    assert cell.last_three == pytest.approx((3 + 4) / 2, abs=1e-12)
    assert cell.standard_error == pytest.approx(0.5**0.5, abs=1e-12)  # s sqrt(1/2 + 1/2)
    assert cell.exceeds_spread is False and not cell.full_protocol
    far = Cell(experiment(), (measured(0, 3.5), measured(1, 3.6)))
    assert far.exceeds_spread is True
    near = Cell(experiment(), (measured(0, 2.3), measured(1, 2.5)))  # 2.8 standard errors: nothing, for two runs
    assert near.exceeds_spread is False


def test_a_single_run_has_no_spread() -> None:
    cell = Cell(experiment(runs=1), (measured(0, 9, 4, 3, 2, 2.5),))
    assert (cell.std, cell.standard_error, cell.exceeds_spread) == (None, None, None)
    assert cell.full_protocol
    assert "A single run, whose spread is not known:\n- t/x: +0.50" in as_markdown([cell])


def test_full_protocol() -> None:
    whole, stopped, short = measured(0, 5, 4, 3, 2, 1), measured(1, 5, 4, stopped=True), measured(2, 5, 4)
    assert Cell(experiment(), (whole, stopped)).full_protocol
    assert Cell(experiment(), (whole, stopped)).epochs == 5
    assert Cell(experiment(), (whole, stopped)).last == (1, 4), "a run with nothing left to learn keeps its last"
    assert not Cell(experiment(), (whole, short)).full_protocol
    assert not Cell(experiment(), (whole,)).full_protocol
    assert not Cell(experiment(), (whole, stopped), shortened=True).full_protocol
    assert Cell(experiment(), (stopped, measured(3, 7, 6, 5, stopped=True))).epochs == 3


def test_a_run_beyond_the_protocol_is_measured_at_its_last_epoch() -> None:
    cell = Cell(experiment(), (measured(0, 9, 8, 7, 6, 5, 4, 3), measured(1, 9, 8, 7, 6, 4, 4, 4, 4)))
    assert cell.epochs == 5 and cell.last == (5, 4) and cell.full_protocol
    with pytest.raises(ConfigError, match="t/x was published after 5, expected at most as many, got 6; lower --epochs"):
        Reproduction(Path("never made")).tasks([experiment()], [0], 6)


@pytest.mark.parametrize(
    ("settings", "full"),
    [
        (Settings(), True),
        (Settings(precision="float64"), True),
        (Settings(precision="bfloat16"), False),
        (Settings(test_examples=5), False),
    ],
)
def test_what_may_count_as_the_full_protocol(settings: Settings, full: bool) -> None:
    assert (not settings.departures) is full
    text = as_markdown([Cell(experiment(), (measured(0, 3, 2),), shortened=not full)], settings)
    assert ("NOT AS PUBLISHED" in text) is not full
    assert all(words in text for words in settings.departures) and "| 2.50 (of 2)" in text


def test_no_training_error_counts_at_a_checkpoint_of_the_protocol_only(tmp_path: Path) -> None:
    """A run asked for fewer epochs is measured after its last one too, which is no early stop."""

    def train(name: str, epochs: int, every: int) -> Run:
        path = tmp_path / name
        data, watching = fake_dataset(learnable=True), [RunRecorder(path, resume=path.exists())]
        Trainer(FakeSimulator(), data, epochs=epochs, checkpoint_every=every, observers=watching).run()
        return Run(path)

    stopped = train("stopped.h5", epochs=1000, every=5)
    assert stopped.epoch < 1000 and stopped_early(stopped, Protocol(checkpoint_every=5))
    asked = train("asked.h5", epochs=stopped.epoch, every=1000)
    assert asked.checkpoints["train_error"].iloc[-1] == 0.0
    protocol = Protocol(epochs=1000, checkpoint_every=1000)
    assert not stopped_early(asked, protocol)
    assert not is_complete(Task("t/x", 0, stopped.epoch + 1, asked.path), protocol)
    assert train("asked.h5", epochs=stopped.epoch + 1, every=1000).epoch == stopped.epoch + 1, "the run goes on"


def test_a_table_of_nothing() -> None:
    assert "none here" in as_markdown([]) and json.loads(as_json([], Settings()))["cells"] == []


def test_tables_that_there_are() -> None:
    names = ["table1/fc/x", "table2/fc/x", "digits/x"]
    assert _tables("2, 1", names) == "table2,table1"
    with pytest.raises(UnknownNameError, match="unknown table '3'; known: 1, 2$"):
        _tables("1,3", names)


@pytest.mark.parametrize(
    ("option", "value", "known"),
    [
        ("--rule", "fa", "bp, dfa, gevb"),
        ("--sign", "nonnegative,vectorized", "mixed, nonnegative"),
        ("--network", "fc", "conventional, vectorized"),
        ("--architecture", "table1", "conv, fc, lc"),
    ],
)
def test_an_option_names_itself_and_what_it_takes(option: str, value: str, known: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"unknown value of {option} '\w+'; (did you.*K|k)nown: {known}$"):
        app(["reproduce", option, value, "--out", "never made"], standalone_mode=False)


@pytest.mark.parametrize("text", ["", "0", "a", "1,1", "-1", "1;2", ","])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="--seeds: expected"):
        read_seeds(text)


# -- the protocol ------------------------------------------------------------------------------------------------------

SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


def small_paper_data(folder: Path, name: str) -> Dataset:
    """A file of 20 + 10 images that passes for a dataset of the paper."""
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        images = torch.randint(256, (count, *SHAPES[name]), dtype=torch.uint8, generator=generator)
        return Split(images, torch.arange(count) % 10)

    data = Dataset(name, tuple("0123456789"), "noise", split(20), split(10))
    save_dataset(data, folder / f"{name}.h5")
    return data


def without(missing: str, name: str, data_dir: Path | None) -> Dataset:
    if name == missing:
        raise DataError(f"no {missing}")
    return load_dataset(name, data_dir)


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("table1/fc/vectorized/nonnegative/gevb", 0),
        ("table1/conv/conventional/nonnegative/dfa", 3),
        ("table2/fc/conventional/mixed/bp", 4),
    ],
)
def test_a_run_is_trained_as_appendix_h_says(tmp_path: Path, name: str, seed: int) -> None:
    """Adam with beta 0.9 and 0.999, epsilon 1e-8, rate 3e-4; 190 epochs, checkpoints every 10, batches of 128."""
    experiment = published_experiments()[name]
    data = small_paper_data(tmp_path, experiment.dataset)
    (task,) = Reproduction(tmp_path / "out").tasks([experiment], [seed], None)
    trainer = trainer_for(task, Settings(), tmp_path)
    simulator = trainer.simulator
    assert isinstance(simulator, Simulator)
    assert simulator.optimizer == Optimizer(
        torch.optim.Adam, {"lr": 3e-4, "betas": (0.9, 0.999), "eps": 1e-8, "fused": True}
    )
    assert (trainer.batch_size, trainer.checkpoint_every, trainer.epochs) == (128, 10, 190)
    assert trainer.early_stop is True
    assert (simulator.seed, simulator.precision, simulator.vectorization) == (seed, "float32", "group")
    assert simulator.circuit == experiment.build()
    assert trainer.dataset.fingerprint == data.fingerprint
    recorder, _ = trainer.observers
    assert isinstance(recorder, RunRecorder) and recorder.path == tmp_path / "out" / "runs" / name / f"seed{seed}.h5"


def test_a_run_is_given_what_its_folder_and_task_say(tmp_path: Path) -> None:
    small_paper_data(tmp_path, "mnist")
    experiment = published_experiments()["table1/fc/conventional/mixed/bp"]
    settings = Settings(precision="float64", train_examples=12, test_examples=7)
    tasks = Reproduction(tmp_path / "out", settings).tasks([experiment], [0, 1], 6)
    trainers = [trainer_for(task, settings, tmp_path) for task in tasks]
    for trainer in trainers:
        assert (trainer.epochs, trainer.checkpoint_every, trainer.simulator.precision) == (6, 10, "float64")
        assert (len(trainer.dataset.train), len(trainer.dataset.test)) == (12, 7)
    one, other = (trainer.simulator.state_dict()["weights/fc1->fc2"] for trainer in trainers)
    assert not torch.equal(one, other), "seeds draw weights of their own"


# -- the paper's own -----------------------------------------------------------------------------------------------


@pytest.mark.skipif("NEUROSIM_DATA" not in os.environ, reason="needs the real MNIST: NEUROSIM_DATA is not set")
def test_a_corner_of_table_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--table", "1", "--architecture", "fc", "--network", "conventional", "--sign", "mixed", "--epochs"]
        + ["1", "--seeds", "1", "--train-examples", "2000", "--test-examples", "500", "--out", "corner"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run(tmp_path / "corner" / "runs" / "table1/fc/conventional/mixed/bp" / "seed0.h5")
    assert run.config["notes"] == {"experiment": "table1/fc/conventional/mixed/bp"}
    assert float(run.epochs["test_error"].iloc[-1]) < 0.5
    assert "| table1/fc/conventional/mixed/dfa | 2.09 " in (tmp_path / "corner" / "table.md").read_text()
