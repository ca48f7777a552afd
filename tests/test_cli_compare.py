"""`neurosim compare`, run for real in a process of its own; its refusals in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neurosim import circuits, cli
from neurosim.runs.run import Run

COMMAND = [sys.executable, "-W", "error", "-m", "neurosim.cli", "compare"]
CONFIG = """
circuit = "small.json"
dataset = "digits"
epochs = 1
seeds = [4]
train-examples = 96
test-examples = 40
out = "compared"

[[setting]]
name = "paper"

[[setting]]
name = "BP in time"
rule = "bp"
vectorization = "temporal"

[[setting]]
name = "external"
gate = {type = "ExternalGate", spread = 1.0}
code = "gray"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.json").write_text(circuits.load("digits-fc", widths=(8, 6)).to_json())
    (tmp_path / "my.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_of_settings(folder):
    environment = {key: value for key, value in os.environ.items() if key != "NEUROSIM_DATA"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*COMMAND, "--config", "my.toml", "--epochs", "2"], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "BP in time, seed 4: test error" in done.stdout and "written to compared/comparison.md" in done.stdout
    report = (folder / "compared" / "comparison.md").read_text()
    assert report in done.stdout and "96 + 40 images" in report and "2 epochs, seeds 4" in report
    data = json.loads((folder / "compared" / "comparison.json").read_text())
    assert [(row["name"], row["components"]) for row in data["rows"]] == [
        ("paper", 10),
        ("BP in time", 10),
        ("external", 4),
    ]
    assert [len(row["curves"][0]) for row in data["rows"]] == [2, 2, 2]
    assert (folder / "compared" / "comparison.png").stat().st_size > 10_000
    run = Run(folder / "compared" / "runs" / "BP-in-time" / "seed4.h5")
    assert run.attributes["vectorization"] == "temporal" and '"BP"' in run.circuit_json


def test_a_folder_is_continued_without_repeating_its_options(folder, monkeypatch, capsys):
    """One epoch, then others from the folder's name alone, come to the numbers of all at once."""

    def compare(*options: str) -> None:
        monkeypatch.setattr(sys, "argv", ["neurosim", "compare", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0, capsys.readouterr().err

    def curves(out: str) -> list[list[list[float]]]:
        rows = json.loads((folder / out / "comparison.json").read_text())["rows"]
        return [row["curves"] for row in rows]

    options = ["--circuit", "small.json", "--dataset", "digits", "--vary", "rule=bp", "--train-examples", "96"]
    compare(*options, "--test-examples", "40", "--epochs", "1", "--batch-size", "32", "--out", "parts")
    record = folder / "parts" / "comparison-settings.json"
    about = json.loads(record.read_text())
    assert about["options"]["batch_size"] == 32 and about["options"]["vary"] == ["rule=bp"]
    compare("--resume", "--out", "parts", "--epochs", "12", "--seeds", "2", "--batch-size", "32")
    compare("--resume", "--out", "parts")
    compare(*options, "--test-examples", "40", "--epochs", "12", "--batch-size", "32", "--seeds", "2", "--out", "whole")
    assert curves("parts") == curves("whole") and len(curves("parts")[0][1]) == 12
    message = refused(monkeypatch, capsys, "--resume", "--out", "parts", "--batch-size", "64", "--vary", "rule=dfa")
    assert "--batch-size was 32, is 64" in message and "--vary was ['rule=bp'], is ['rule=dfa']" in message
    record.write_text(json.dumps(about | {"neurosim": "0.0.9"}))
    message = refused(monkeypatch, capsys, "--resume", "--out", "parts")
    assert "made by neurosim 0.0.9, this is neurosim " in message and "finish it with version 0.0.9" in message
    record.write_text("{")
    assert "settings of a comparison, but they cannot be" in refused(monkeypatch, capsys, "--resume", "--out", "parts")
    record.unlink()
    message = refused(monkeypatch, capsys, "--resume", "--out", "parts")
    assert "expected a comparison to resume, but there is no comparison-settings.json in it; name its" in message


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    monkeypatch.setattr(sys, "argv", ["neurosim", "compare", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "expected --vary FACTOR=VALUE,... or [[setting]] tables in a --config file, found neither"),
        (["--config", "my.toml", "--vary", "rule=bp"], "tables in a --config file, found both"),
        (["--vary", "gate=SignGate"], "nothing to compare: gate=SignGate is the circuit as it is"),
        (["--vary", "rule=gevv"], "unknown rule 'gevv'; did you mean 'gevb'? Known: "),
        (["--vary", "speed=high"], "unknown factor 'speed'; known: code, gate, relaxation, rule, vectorization"),
        (["--vary", "rule=bp", "--seeds", "0"], "--seeds: expected at least one seed; '0' is how many, and N means"),
        (["--vary", "rule=bp", "--rule", "frozen"], "give one a rule, or record an untrained network with `neurosim"),
        (["--vary", "rule=bp", "--optimizer", "adm"], "unknown optimizer 'adm'; did you mean 'adam'?"),
        (["--vary", "rule=bp", "--precision", "float23"], "unknown precision 'float23'; did you mean 'float32'?"),
        (["--vary", "rule=bp", "--device", "tpu"], "unknown device 'tpu'; "),
        (["--vary", "rule=bp", "--learning-rate", "nan"], "learning_rate: expected a finite number above 0, such as "),
        (["--vary", "rule=bp", "--circuit", "mnist-fc", "--dataset", "digits"], "expected images of (1, 28, 28), the"),
        (["--vary", "rule=bp", "--out", "."], "expected a new or empty folder, found files"),
        (["--vary", "rule=bp", "--circuit", "digits"], "unknown circuit 'digits'"),
    ],
)
def test_refusals(folder, monkeypatch, capsys, options, text):
    before = sorted(folder.iterdir())
    assert text in refused(monkeypatch, capsys, *options)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("epoch = 3", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("seeds = 1.5", "setting 'seeds': expected a number of seeds, or seeds such as [0, 2, 5]; got 1.5"),
        ("seeds = true", "setting 'seeds': expected a number of seeds"),
        ("vary = 3", "setting 'vary': expected texts in quotes, got 3"),
        ("optimizer = 3", "setting 'optimizer': expected a text in quotes, got 3"),
        ("setting = 3", "setting: expected tables [[setting]], each with a name, got 3"),
        ('vary = "rule=bp"\nepochs = "3"', "setting 'epochs': expected int, got '3'"),
    ],
)
def test_files_that_make_no_comparison(folder, monkeypatch, capsys, line, text):
    (folder / "wrong.toml").write_text(line)
    assert text in refused(monkeypatch, capsys, "--config", "wrong.toml")


def test_help_says_what_can_be_varied(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["neurosim", "compare", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    for line in (
        "vectorization=group,temporal",
        "relaxation=tied,never,every 1",
        "noise every 100 x 2000",
        "[[setting]]",
        'rule = "bp"',
    ):
        assert line in shown
