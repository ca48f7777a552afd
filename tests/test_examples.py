"""The examples and the README's code run as a newcomer would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from neurosim import DFA, GEVB, Hierarchical, Simulator, Trainer, cli
from neurosim.circuits import load
from neurosim.cli.compare import read_table
from neurosim.comparison.setting import applied
from neurosim.comparison.setting_words import settings_from
from neurosim.datasets import coarse_classes, load_dataset

ROOT = Path(__file__).resolve().parents[1]


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_build_a_circuit(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "build_a_circuit.py"))
    error = float(re.search(r"test error after 10 epochs: ([0-9.]+)%", printed).group(1))
    assert error < 15  # chance is 90 %
    assert (tmp_path / "build_a_circuit.h5").exists() and (tmp_path / "build_a_circuit.png").stat().st_size > 10_000
    assert "skip" in printed and "inhibition" in printed and "BP()" in printed and "GEVB()" in printed


def test_swap_rules_shows_that_hidden_layers_learn(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "swap_rules.py"))
    errors = {m[0].strip(): float(m[1]) for m in re.findall(r"^(.{22}) test error +([0-9.]+)%", printed, re.M)}
    assert set(errors) == {"GEVB", "BP", "frozen hidden layers"}
    assert errors["GEVB"] < 10 and errors["BP"] < 10
    assert errors["frozen hidden layers"] > errors["GEVB"] + 20
    halfway, end = map(int, re.search(r"control's second half: from (\d+)% to (\d+)%", printed).groups())
    assert end < 70 and abs(halfway - end) <= 5, "the control's readout must have been trained to its end"
    assert (tmp_path / "swap_rules.png").stat().st_size > 10_000


def test_your_own_rule(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "your_own_rule.py"))
    errors = {m[0]: float(m[1]) for m in re.findall(r"^(\w+)\(\) +test error +([0-9.]+)%", printed, re.M)}
    assert set(errors) == {"RandomSigns", "GEVB"} and errors["GEVB"] < 10


def test_record_a_circuit(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "record_a_circuit.py"))
    rows = re.findall(r"^step +(\d+)   ((?:[01]\.\d\d  ){8}) ([0-9.]+)$", printed, re.M)
    assert [int(step) for step, _, _ in rows] == list(range(0, 230, 23))
    assert all(0 <= float(share) <= 1 for _, shares, _ in rows for share in shares.split())
    assert all(float(length) > 0 for _, _, length in rows)
    assert "recorded    fc1: gates, activity, 8 chosen, mean, every 23 steps, 10 rows" in printed
    assert [line.split()[0] for line in printed.splitlines()[-3:]] == ["0", "5", "10"]  # epochs
    assert (tmp_path / "record_a_circuit.h5").exists()


def test_binary_codes(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "binary_codes.py"))
    rows = re.findall(r"^(.{26}) K = +(\d+)   classes +([0-9.]+)%", printed, re.M)
    lengths = {name.strip(): int(length) for name, length, _ in rows}
    assert lengths["4 bits, Gray"] == 4 and lengths["15 bits, error-correcting"] == 15 and len(rows) == 6
    assert all(float(error) < 20 for _, _, error in rows)  # chance is 90 %
    assert "loop or not" in printed


def test_local_synapses(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "local_synapses.py"))
    found = re.findall(r"^(.{18}) test error +([0-9.]+)%   spread of the K weights: (.*)$", printed, re.M)
    errors = {name.strip(): float(error) for name, error, _ in found}
    spread = {name.strip(): [float(value) for value in re.findall(r" ([0-9.]+)", apart)] for name, _, apart in found}
    assert len(errors) == 5 and max(errors.values()) < 10  # chance is 90 %
    assert errors["relaxed every step"] == errors["tied"] and max(spread["relaxed every step"]) == 0
    assert min(spread["never relaxed"]) > 3 * max(*spread["relaxed every 100"], *spread["noise every 100"])


def test_group_vs_temporal(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "group_vs_temporal.py"))
    differences = [
        float(value) for value in re.findall(r"largest difference of a weight .*: ([0-9.e+-]+)$", printed, re.M)
    ]
    assert len(differences) == 2 and max(differences) < 1e-9
    errors = re.findall(r"^  (\w+) +test error +([0-9.]+%)$", printed, re.M)
    assert [kind for kind, _ in errors] == ["group", "temporal"] * 2
    assert errors[0][1] == errors[1][1] and errors[2][1] == errors[3][1]
    assert re.findall(r"^  (\w+) +(\d) presentations", printed, re.M) == [
        ("group", "1"),
        ("temporal", "1"),
        ("group", "1"),
        ("temporal", "4"),
    ]


def test_width_theory(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "width_theory.py"), "--largest", "256", "--json", "numbers.json")
    found = re.findall(r"^(\S+, \w+ gates) +error +([0-9.]+)%   slopes ([-+0-9., ]+)$", printed, re.M)
    errors = {name: float(error) for name, error, _ in found}
    assert len(errors) == 15 and errors["half-normal, random gates"] < 10
    assert all(-0.65 < float(slopes.split(",")[0]) < -0.35 for _, _, slopes in found)
    assert (tmp_path / "width_theory.png").stat().st_size > 10_000 and (tmp_path / "numbers.json").exists()


@pytest.mark.parametrize("options", [["--largest", "128"], ["--seeds", "0"]])
def test_width_theory_refuses_what_would_measure_nothing(tmp_path, options):
    command = [sys.executable, str(ROOT / "examples" / "width_theory.py"), *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "--largest of 256 or more and --seeds of 1 or more" in done.stderr
    assert not list(tmp_path.iterdir())


def test_readme_example(tmp_path):
    """Its blocks one after the other, with what those before them made, but for the one that reads a run of MNIST"""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"## Fifteen lines\n\n```python\n(.*?)```", text, re.S).group(1)
    assert len([line for line in first.splitlines() if line.strip()]) <= 15
    blocks = [code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "runs/mnist-fc" not in code]
    assert blocks[0] == first and len(blocks) == 6
    printed = run(tmp_path, "-c", "\n".join(blocks))
    assert float(re.search(r"test error ([0-9.]+)%, loss 0", printed).group(1)) < 15
    assert "torch.Size([29, 128]) torch.Size([10, 128, 1, 8, 8])" in printed  # of the short last batch
    assert "<Activity: output (360, 10, 1) float32" in printed and "conv        (16, 8, 8)  ReLU()" in printed
    errors = {m[0].strip(): float(m[1]) for m in re.findall(r"^(.{18})  test error ([0-9.]+)%$", printed, re.M)}
    assert len(errors) == 4 and max(error for name, error in errors.items() if "DFA" not in name) < 8
    assert errors["DFA, scalar units"] < 35  # chance is 90 %
    aligned = re.findall(r"^(.+), epoch (\d): ([0-9.]+) degrees, ([0-9]+)%$", printed, re.M)
    assert [(rule, epoch) for rule, epoch, *_ in aligned] == [(r, e) for r in ("None", "BP()") for e in "01"]
    assert all(share == "100" for *_, share in aligned), "the sign-match theorem: digits-fc is nonnegative"
    assert all((float(degrees) < 0.1) == (rule == "BP()") for rule, _, degrees, _ in aligned)
    assert "Dataset('arrays', 400 train + 100 test images of (64,), 10 classes, cpu)" in printed


def test_what_the_readme_says_of_dfa_in_vector_networks():
    """With nonnegative feedback it is GEVB, error for error; with feedback of both signs it learns worse."""
    digits, vector = load_dataset("digits"), load("digits-fc")
    errors = {}
    for name, rule in (("gevb", GEVB()), ("positive", DFA(limits=(0, 1))), ("both signs", DFA())):
        trainer = Trainer(Simulator(vector.with_rules(rule), seed=0), digits, epochs=10, batch_size=64)
        errors[name] = trainer.run().epochs[-1].test_error
    assert abs(errors["positive"] - errors["gevb"]) < 0.01 and errors["both signs"] > errors["gevb"] + 0.05


def test_first_steps(tmp_path):
    """The notebook's cells in their order, without a server; it is kept without outputs."""
    notebook = json.loads((ROOT / "examples" / "first_steps.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    code = "\n".join("".join(cell["source"]) for cell in cells)
    printed = run(tmp_path, "-c", f"import matplotlib\nmatplotlib.use('Agg')\n{code}\nprint(before, result)")
    assert "f1          (128,)     SignGate()" in printed
    assert float(re.search(r"test_error=([0-9.]+)", printed).group(1)) < 0.1  # chance is 0.9
    assert (tmp_path / "first_steps.png").stat().st_size > 10_000


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
def test_readme_links(link):
    assert (ROOT / link).exists()


def test_readme_commands(tmp_path, monkeypatch):
    """Every `neurosim train` line is understood and describes a circuit that exists; nothing is trained."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"## The command\n\n```sh\n(.*?)```", text, re.S).group(1)
    lines = [shlex.split(line, comments=True) for line in block.splitlines() if line.startswith("neurosim train")]
    assert len(lines) >= 5
    (tmp_path / "my.toml").write_text('rule = "bp"\nout = "my.h5"\n')
    (tmp_path / "my_rules.py").write_text("from neurosim import GEVB\n\n\nclass Eager(GEVB):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    seen = []
    monkeypatch.setattr(
        "neurosim.cli.train.run_experiment", lambda experiment, path, **places: seen.append((experiment, path))
    )
    for line in lines:
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
    assert len(seen) == len(lines)
    for experiment, _ in seen:
        assert experiment.build_circuit().groups
    paths = {path for experiment, path in seen if experiment.circuit == "mnist-fc"}
    assert len(paths) == 1, "the line that resumes must name the run of the line that trains"


def test_compare_codes():
    """The file's settings on its own circuit; the coarse classes it spells out are those of the dataset."""
    table = read_table(ROOT / "examples" / "compare_codes.toml")
    circuit = load(table["circuit"])
    one_hot, bits, hierarchy = (applied(circuit, setting) for setting in settings_from(table["setting"], circuit))
    assert one_hot == circuit and (one_hot.K, bits.K, hierarchy.K) == (10, 4, 4)
    assert hierarchy.readout == Hierarchical(10, coarse_classes("cifar10")) and table["epochs"] == 5
