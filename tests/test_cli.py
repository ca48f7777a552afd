"""The `neurosim` command, run for real in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

from neurosim.analysis import representation_file
from neurosim.circuit_library import available_circuits
from neurosim.cli import main
from neurosim.datasets import available_datasets
from neurosim.errors import DataError, UnknownNameError
from neurosim.experiment import ConfigError, Experiment, read_settings
from neurosim.plasticity import available_rules
from neurosim.runs.run import Run

COMMAND = [sys.executable, "-W", "error", "-m", "neurosim.cli"]
SMALL = ("--epochs", "2", "--train-examples", "256", "--test-examples", "100", "--no-picture")


def neurosim(folder: Path, *options: str, fails: bool = False) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "NEUROSIM_DATA"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*COMMAND, *options], cwd=folder, capture_output=True, text=True, env=environment)
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr if fails else done.stdout


def test_no_arguments_is_the_demo(tmp_path):
    printed = neurosim(tmp_path, "train")
    run = Run(tmp_path / "runs" / "digits-fc-gevb-seed0.h5")
    assert run.finished and run.epochs["test_error"].iloc[-1] < 0.08
    assert (tmp_path / "runs" / "digits-fc-gevb-seed0.png").stat().st_size > 10_000
    assert "Circuit: K = 10" in printed and "test error" in printed and "runs/digits-fc-gevb-seed0.png" in printed


def test_options_toml_and_their_precedence(tmp_path):
    (tmp_path / "my.toml").write_text('rule = "bp"\nseed = 4\nbatch-size = 32\nsign = "mixed"\n')
    neurosim(tmp_path, "train", "--config", "my.toml", "--seed", "5", "--out", "run.h5", *SMALL)
    run = Run(tmp_path / "run.h5")
    assert run.attributes["seed"] == 5
    assert len(run.epochs) == 2
    assert '"BP"' in run.circuit_json and '"GEVB"' not in run.circuit_json and '"nonnegative"' not in run.circuit_json
    assert "batch size 32" in neurosim(tmp_path, "show", "run.h5")
    shown = json.loads(neurosim(tmp_path, "show", "run.h5", "--json"))
    assert shown["seed"] == 5 and shown["status"] == "finished" and shown["config"]["batch_size"] == 32
    assert [row["test_error"] for row in shown["epochs"]] == list(run.epochs["test_error"])


def test_rule_of_a_single_group(tmp_path):
    neurosim(tmp_path, "train", "--rule", "bp", "--rule", "input->fc1=frozen", "--out", "run.h5", *SMALL)
    run = Run(tmp_path / "run.h5")
    assert (run.weights("input->fc1", epoch=0) == run.weights("input->fc1")).all()
    assert (run.weights("fc1->fc2", epoch=0) != run.weights("fc1->fc2")).any()


def test_existing_file_is_refused_resumed_or_overwritten(tmp_path):
    neurosim(tmp_path, "train", "--out", "run.h5", *SMALL)
    before = (tmp_path / "run.h5").read_bytes()
    error = neurosim(tmp_path, "train", "--out", "run.h5", *SMALL, fails=True)
    assert "exists already" in error and "--resume" in error and "--overwrite" in error
    (tmp_path / "run.png").touch()  # the picture beside it is not what stands in the way
    error = neurosim(tmp_path, "train", "--out", "run.h5", *SMALL[:-1], fails=True)
    assert "run.h5: this file exists already; continue it with --resume" in error and "run.png" not in error
    assert (tmp_path / "run.h5").read_bytes() == before
    longer = tuple("3" if option == "2" else option for option in SMALL)
    neurosim(tmp_path, "train", "--out", "run.h5", "--resume", *longer)
    neurosim(tmp_path, "train", "--out", "whole.h5", *longer)
    resumed, whole = Run(tmp_path / "run.h5"), Run(tmp_path / "whole.h5")
    columns = ["train_loss", "train_error", "test_loss", "test_error"]
    assert (resumed.epochs[columns] == whole.epochs[columns]).all(axis=None)
    assert (resumed.weights("fc1->fc2") == whole.weights("fc1->fc2")).all()
    neurosim(tmp_path, "train", "--out", "run.h5", "--overwrite", *SMALL)
    assert len(Run(tmp_path / "run.h5").epochs) == 2


def test_a_run_is_continued_without_repeating_its_settings(tmp_path, monkeypatch, capsys):
    def train(*options: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["neurosim", "train", "--no-picture", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        return capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    settings = ["--seed", "3", "--rule", "bp", "--rule", "input->fc1=frozen", "--batch-size", "32", "--sign", "mixed"]
    settings += ["--learning-rate", "0.001", "--train-examples", "64", "--test-examples", "32"]
    train("--out", "run.h5", *settings, "--epochs", "1")
    train("--resume", "--out", "run.h5", "--epochs", "2")
    train("--resume", "--out", "run.h5")
    train("--out", "whole.h5", *settings, "--epochs", "2")
    resumed, whole = Run("run.h5"), Run("whole.h5")
    assert resumed.finished and len(resumed.epochs) == 2
    assert (resumed.epochs["train_loss"] == whole.epochs["train_loss"]).all()
    assert resumed.config["notes"] == whole.config["notes"]
    assert "seed was 3, is 4" in train("--resume", "--out", "run.h5", "--seed", "4", code=1)


def test_list_has_a_line_for_everything(tmp_path):
    printed = neurosim(tmp_path, "list")
    for name in [*available_circuits(), *available_rules(), *available_datasets()]:
        lines = [line for line in printed.splitlines() if line.split()[:1] == [name]]
        assert len(lines) == 1 and len(lines[0].split()) > 3, name
    assert "mnist-fc" not in neurosim(tmp_path, "list", "rules")


def test_help_reads_well(tmp_path):
    assert "learn by plug-in plasticity rules" in " ".join(neurosim(tmp_path, "--help").split())
    text = neurosim(tmp_path, "train", "--help")
    for option in ("--circuit", "--rule", "--dataset", "--epochs", "--seed", "--device", "--precision", "--out"):
        assert option in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rule", "gevbb"], "unknown rule 'gevbb'; did you mean 'gevb'?"),
        (["--circuit", "mnist"], "unknown circuit 'mnist'"),
        (["--dataset", "digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["--rule", "a->b=bp"], "unknown group 'a->b'; "),
        (
            ["--rule", "fc2->output=bp"],
            "onto the output learn by the exact gradient whatever their rule, so BP() would",
        ),
        (["--precision", "float8"], "unknown precision 'float8'"),
        (["--sign", "positive"], "unknown sign 'positive'"),
        (["--circuit", "mnist-fc"], "NEUROSIM_DATA"),
        (["--circuit", "mnist-fc", "--dataset", "digits"], "expected images of (1, 28, 28)"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--device", "cuda:7"], "device 'cuda:7'"),
        (["--epochs", "-1"], "epochs"),
        (["--record-every", "5"], "nothing is recorded while training, so --record-every would have no effect; leave"),
        (["--record-reduce", "median"], "unknown reduction 'median'; did you mean 'mean'? Known: mean, none, norm"),
        (["--record", "fc1:gates", "--record-every", "0"], "--record-every: expected a number of steps, 1 or more"),
        (["--record", "fc1:gates", "--record", "fc1:credit,gates"], "--record: fc1:gates is given twice; leave one"),
        (["--config", "missing.toml"], "missing.toml: expected a readable text file, but there is no such file; check"),
        (
            ["--circuit", "missing.json", "--dataset", "digits"],
            "missing.json: expected a readable text file, but there is no such file; check",
        ),
        (["--rule", "BP"], "unknown rule 'BP'; did you mean 'bp'?"),
        (["--overwrite", "--resume"], "--overwrite or --resume"),
    ],
)
@pytest.mark.usefixtures("wrong_types_allowed")
def test_mistakes_are_one_clear_line_and_leave_nothing(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["neurosim", "train", *options])
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert message in error and len(error.strip().splitlines()) == 1
    assert list(tmp_path.rglob("*.h5")) == []


@pytest.mark.parametrize(
    "options",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["plot", "--help"],
        [],
        ["train", "--config", "missing.toml"],
        ["train", "--out", "run.txt"],
        ["train", "--overwrite", "--resume"],
        ["train", "--record-every", "5", "--out", "run.h5"],
    ],
)
def test_what_only_tells_loads_no_torch(options):
    """It takes seconds to import, and --help and mistakes that show in the words alone are answered at once."""
    code = f"""
import sys
sys.argv = ["neurosim", *{options!r}]
from neurosim.cli import main
try:
    main()
except SystemExit:
    print("\\nLOADED", sorted({{"torch", "h5py", "matplotlib", "pandas", "scipy"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("LOADED []\n"), done.stdout + done.stderr


def test_an_unknown_dataset_is_told_without_its_libraries(tmp_path):
    code = """
import sys
sys.argv = ["neurosim", "train", "--dataset", "mnst"]
from neurosim.cli import main
try:
    main()
except SystemExit:
    print("LOADED", sorted({"sklearn", "torchvision", "matplotlib", "pandas", "scipy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "unknown dataset 'mnst'" in done.stderr
    assert done.stdout == "LOADED []\n"


def test_an_interruption_is_one_line(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("neurosim.cli.listing.LISTS", {"rules": interrupted})
    monkeypatch.setattr(sys, "argv", ["neurosim", "list", "rules"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == "neurosim: interrupted\n"


@pytest.mark.parametrize("jobs", [(), ("compare", "--vary", "rule=bp", "--jobs", "2")])
def test_ctrl_c_while_training(tmp_path, jobs):
    command = jobs or ("train", "--out", "run.h5")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    options = ["--dataset", "digits", "--epochs", "100000", "--train-examples", "64", "--test-examples", "32"]
    with subprocess.Popen(
        [*COMMAND, *command, *options],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        pattern = "comparison/runs/*/seed0.h5" if jobs else "run.h5"
        wanted = 2 if jobs else 1
        while len(list(tmp_path.glob(pattern))) < wanted and process.poll() is None:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
        _, told = process.communicate()
    assert process.returncode == 130
    if jobs:
        assert told == "neurosim: interrupted; the same command with --resume continues the folder comparison\n"
    else:
        recorded = f"recorded up to epoch {Run(tmp_path / 'run.h5').epoch}"
        command = "`neurosim train --resume --out run.h5` continues"
        assert told == f"neurosim: interrupted; {recorded}, {command}\n"
    assert all(Run(path).status == "unfinished" for path in tmp_path.glob(pattern))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "nothing of this run was recorded yet"),
        (["--overwrite"], "nothing of this run was recorded yet; run.h5 is as it was"),
        (["--resume"], "recorded up to epoch 1, `neurosim train --resume --out run.h5` continues"),
    ],
)
def test_ctrl_c_before_anything_is_recorded(tmp_path, monkeypatch, capsys, options, told):
    """While the data are read, say; a file that was there before is none of this run unless it is continued."""
    monkeypatch.chdir(tmp_path)
    command = ["neurosim", "train", "--out", "run.h5", *SMALL]
    if options:
        monkeypatch.setattr(sys, "argv", [*command, "--epochs", "1"])
        with pytest.raises(SystemExit):
            main()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "load_data", interrupted)
    monkeypatch.setattr(sys, "argv", [*command, *options])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == f"neurosim: interrupted; {told}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "mnst"], "unknown dataset 'mnst'; did you mean 'mnist'?"),
        (["--dataset", "mine.h5"], "mine.h5"),
        (["--device", "cuda:7"], "device 'cuda:7'"),
        (["--precision", "float8"], "unknown precision 'float8'"),
        (["--optimizer", "adan"], "unknown optimizer 'adan'; did you mean 'adam'? Known: adam, sgd"),
        (["--batch-size", "0"], "--batch-size: expected a number of at least 1, got 0"),
        (["--record", "fc3:gates"], "fc3"),
        (["--resume", "--seed", "1"], "run.h5: expected the run that is in this file, found other settings: seed was"),
        (["--resume", "--optimizer", "sgd"], "config.optimizer.type was 'Adam', is 'SGD'"),
    ],
)
@pytest.mark.usefixtures("wrong_types_allowed")
def test_mistakes_are_told_before_the_file_that_exists_and_before_data_are_read(
    tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neurosim", "train", "--out", "run.h5", *SMALL, "--epochs", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    monkeypatch.setattr(Experiment, "load_data", lambda *_: pytest.fail("data were read"))
    monkeypatch.setattr(sys, "argv", [*sys.argv, *options])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    error = capsys.readouterr().err
    assert ended.value.code == 1 and "exists already" not in error
    assert message in error and len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "label"),
    [
        ({}, "digits-fc-gevb-seed0"),
        ({"dataset": "digits", "sign": "nonnegative", "rule": "gevb"}, "digits-fc-gevb-seed0"),
        ({"sign": "mixed", "seed": 2}, "digits-fc-mixed-gevb-seed2"),
        ({"circuit": "mnist-fc", "dataset": "fashion-mnist"}, "mnist-fc-fashion-mnist-gevb-seed0"),
        ({"dataset": "data/mine.h5", "rule": "bp"}, "digits-fc-mine-bp-seed0"),
        ({"rule": "fc1->fc2=bp"}, "digits-fc-gevb-fc1-fc2-bp-seed0"),
        ({"vectorization": "temporal:causal"}, "digits-fc-gevb-temporal-causal-seed0"),
        ({"rule": "frozen"}, "digits-fc-frozen-seed0"),
    ],
)
def test_a_run_is_named_after_what_it_does(settings, label):
    assert Experiment.from_settings(settings).label == label


def test_the_optimizer_of_a_run(tmp_path):
    """Untied groups learn at K times the rate, as in `neurosim compare`."""
    untied = Experiment().build_circuit().with_sharing("untied")
    experiment = Experiment(optimizer="sgd", learning_rate=0.5)
    assert experiment.build_optimizer(Experiment().build_circuit()).to_dict() == {"type": "SGD", "lr": 0.5}
    assert experiment.build_optimizer(untied).groups == {"fc1->fc2": {"lr": 5.0}, "fc2->output": {"lr": 5.0}}
    neurosim(tmp_path, "train", "--optimizer", "sgd", "--learning-rate", "0.5", "--out", "run.h5", *SMALL)
    assert Run(tmp_path / "run.h5").config["optimizer"] == {"type": "SGD", "lr": 0.5}


@pytest.mark.usefixtures("wrong_types_allowed")
def test_a_sign_that_ready_made_circuits_do_not_have():
    with pytest.raises(UnknownNameError, match="unknown sign 'nonpositive'; did you mean .*Known: mixed, nonnegative$"):
        Experiment(sign="nonpositive").build_circuit()


def test_show_refuses_foreign_files(tmp_path):
    (tmp_path / "notes.h5").write_text("not HDF5")
    assert "notes.h5" in neurosim(tmp_path, "show", "notes.h5", fails=True)
    assert "missing.h5" in neurosim(tmp_path, "show", "missing.h5", fails=True)
    for command in ("show", "align"):
        error = neurosim(tmp_path, command, ".", fails=True)
        assert ".: expected a run file, found a folder" in error and "neurosim reproduce --report --out ." in error
    with h5py.File(tmp_path / "rep.h5", "w") as file:
        file.attrs["format"] = representation_file.FORMAT
    error = neurosim(tmp_path, "show", "rep.h5", fails=True)
    assert "found what `neurosim represent` recorded; draw it with `neurosim plot figure-3a rep.h5`" in error


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"epoch": 3}, UnknownNameError, "unknown setting 'epoch'; did you mean 'epochs'"),
        ({"epochs": "3"}, ConfigError, "setting 'epochs': expected int, got '3'"),
        ({"seed": True}, ConfigError, "setting 'seed': expected int, got True"),
    ],
)
def test_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        Experiment.from_settings(settings)


def test_settings_must_be_toml(tmp_path):
    (tmp_path / "x.toml").write_text("epochs: 3")
    with pytest.raises(DataError, match="expected a TOML file"):
        read_settings(tmp_path / "x.toml")


def test_a_rule_for_the_output_thaws_a_frozen_group():
    groups = Experiment(rule=("frozen", "fc2->output=gevb")).build_circuit().groups
    assert [name for name, group in groups.items() if group.rule is not None] == ["fc2->output"]
    groups = Experiment(rule=("bp", "fc2->output=frozen")).build_circuit().groups
    assert groups["fc2->output"].rule is None and groups["fc1->fc2"].rule is not None


def test_circuit_from_json(tmp_path):
    circuit = Experiment().build_circuit()
    (tmp_path / "mine.json").write_text(circuit.to_json())
    experiment = Experiment(circuit=str(tmp_path / "mine.json"), dataset="digits", rule=("bp",))
    assert experiment.build_circuit() == Experiment(rule=("bp",)).build_circuit()
    with pytest.raises(ConfigError, match="--sign is for ready-made circuits"):
        Experiment(circuit=str(tmp_path / "mine.json"), sign="mixed").build_circuit()
    with pytest.raises(ConfigError, match="say which one with --dataset"):
        Experiment(circuit="mine.json").load_data()
