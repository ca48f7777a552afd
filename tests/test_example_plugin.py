"""The package in examples/plugin, installed as its user would: found, trained, read back, under its own test."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from strangers import install, python

from neurosim import Circuit
from neurosim.errors import UnknownNameError
from neurosim.runs.run import Run

PACKAGE = Path(__file__).resolve().parents[1] / "examples" / "plugin"
COMMAND = ("-m", "neurosim.cli")
TRAIN = ("train", "--circuit", "gratings-v1", "--rule", "metaplastic", "--dataset", "gratings", "--epochs", "1")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return install(PACKAGE, tmp_path_factory.mktemp("plugin"))


@pytest.fixture(scope="module")
def run_file(installed, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.h5"
    python(path.parent, *COMMAND, *TRAIN, "--out", str(path), "--no-picture", packages=[installed])
    return path


def listed(text: str) -> dict[str, dict[str, str]]:
    """What `neurosim list` printed: kind -> name -> line, with what is indented below it."""
    tables: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if not line.startswith(" "):
            tables[line] = table = {}
            name = ""
        elif line.startswith("   ") and name:
            table[name] += f" {line.strip()}"
        else:
            name, _, about = line.strip().partition(" ")
            table[name] = about.strip()
    return tables


def test_all_three_are_listed(installed, tmp_path):
    tables = listed(python(tmp_path, *COMMAND, "list", packages=[installed]).stdout)
    assert "GEVB with metaplasticity" in tables["rules"]["metaplastic"]
    assert tables["circuits"]["gratings-v1"].startswith("Gratings (12x12)")
    assert tables["datasets"]["gratings"].endswith("(1, 12, 12), 8 classes")
    assert {"gevb", "bp"} <= tables["rules"].keys() and "mnist-fc" in tables["circuits"]


def test_a_broken_neighbour_is_named_and_hides_nothing(installed, tmp_path):
    about = tmp_path / "broken" / "broken-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    groups = ("rules", "circuits", "datasets")
    points = [f"[neurosim.{group}]\naaa = no_such_module:It\ngevb = json:dumps\n" for group in groups]
    (about / "entry_points.txt").write_text("\n".join(points) + "gratings = json:loads\n")

    done = python(tmp_path, *COMMAND, "list", packages=[about.parent, installed], warnings="always")
    tables = listed(done.stdout)
    assert "metaplastic" in tables["rules"] and "gratings-v1" in tables["circuits"] and "mnist" in tables["datasets"]
    assert "Global error-vector broadcasting" in tables["rules"]["gevb"]
    assert "gratings" not in tables["datasets"]  # it could mean either
    for group in groups:
        assert f"neurosim.{group}: plug-in 'aaa' of broken (no_such_module:It) could not be loaded: Mod" in done.stderr
        assert "aaa" not in tables[group]
    assert "neurosim.rules: plug-in 'gevb' of broken (json:dumps) is left out, because neurosim itself" in done.stderr
    both = (
        "'gratings' of broken (json:loads) and 'gratings' of neurosim-example-plugin (neurosim_example.gratings:load)"
    )
    assert f"neurosim.datasets: 2 plug-ins claim one name: {both}; none of them is used" in done.stderr


def test_a_run_with_all_three_is_read_back(run_file):
    run = Run(run_file)
    assert run.finished and list(run.epochs["epoch"]) == [1]
    assert float(run.epochs["test_error"].iloc[-1]) < 0.8  # chance is 0.875
    assert run.weights("input->v1").shape == (8, 16, 1, 5, 5)
    groups = json.loads(run.circuit_json)["groups"]
    assert {group["rule"]["type"] for group in groups} == {"Metaplastic"}
    assert (run.state()["feedback/Metaplastic/v1/theta"] > 0).all()


def test_where_the_package_is_missing_its_circuit_says_so(run_file):
    with pytest.raises(UnknownNameError, match="unknown rule 'Metaplastic'.* import the module that defines it"):
        Circuit.from_json(Run(run_file).circuit_json)


def test_a_run_is_restored_where_the_package_is_installed(installed, run_file, tmp_path):
    code = f"""
from neurosim import Circuit, Simulator
from neurosim.datasets import load_dataset
from neurosim.experiment import Experiment
from neurosim.runs.run import Run
run = Run({str(run_file)!r})
simulator = Simulator(Circuit.from_json(run.circuit_json), seed=9)
simulator.load_state_dict(run.state())
test = load_dataset("gratings").test
print(float(simulator.score(test.images, test.labels)[1]) / len(test), run.epochs["test_error"].iloc[-1])
print(Experiment(circuit="gratings-v1").dataset_name)
"""
    again, dataset = python(tmp_path, "-c", code, packages=[installed]).stdout.splitlines()
    restored, recorded = map(float, again.split())
    assert abs(restored - recorded) < 1e-12
    assert dataset == "gratings"


def test_its_own_test_passes(installed, tmp_path):
    shutil.copy(PACKAGE / "test_metaplastic.py", tmp_path)
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    printed = python(tmp_path, "-m", "pytest", *options, "test_metaplastic.py", packages=[installed]).stdout
    assert int(re.search(r"^(\d+) passed in", printed, re.M).group(1)) >= 90


def test_its_test_is_one_line():
    code = (PACKAGE / "test_metaplastic.py").read_text(encoding="utf-8")
    assert [line for line in code.splitlines() if line and "import" not in line] == [
        "test_metaplastic = rule_laws(Metaplastic())"
    ]
