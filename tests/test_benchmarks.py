"""The benchmarks run, measure what they say, and compare equal networks. How fast anything is, no test asks."""

from __future__ import annotations

import importlib
import json
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurosim import BP, GEVB, Circuit, Conv2d, Dense, OneHot, SignGate, Simulator, circuits
from neurosim.plotting.costs import plot_scaling

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["mnist-fc", "mnist-conv", "mnist-lc"]


@pytest.fixture
def benchmark(monkeypatch):
    """Loads a module of the benchmarks, which import each other as scripts of one folder do."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


def run_script(name: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-W", "error", str(ROOT / "benchmarks" / name), "--quick", "--threads", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


def refuse_places(text: str) -> None:
    """Reported numbers name no host, user or folder."""
    for place in (str(ROOT), str(Path.home()), platform.node()):
        assert len(place) < 2 or place not in text


def test_speed_runs(tmp_path):
    out = tmp_path / "new" / "speed.json"
    shown = run_script("speed.py", "--circuits", *NAMES, "--out", out)
    refuse_places(out.read_text())
    report = json.loads(out.read_text())
    assert report["machine"]["torch"] == torch.__version__ and report["machine"]["threads"] == 1
    assert list(report["circuits"]) == NAMES
    for name, found in report["circuits"].items():
        assert name in shown
        assert found["baseline"] in found["formulations"]
        for formulation in found["formulations"].values():
            assert 0 < formulation["largest_relative_difference_of_gradients"] <= 1e-10
        seconds, ratio = found["seconds"], found["baseline_over_GEVB"]
        assert all(len(seconds[who]) == 1 for who in ("GEVB", "BP", "baseline", "product"))
        assert ratio["median"] == ratio["min"] == ratio["max"] == seconds["baseline"][0] / seconds["GEVB"][0]
        assert found["required_baseline_over_GEVB"] in (1.2, 2.0, 3.0)
        assert found["epoch"]["steps"] == 3  # 20 images in batches of 8
        assert found["epoch"]["epoch_over_steps"]["min"] > 0
        work = found["multiply_adds"]["total"] / seconds["GEVB"][0]
        peak = found["peak_multiply_adds_per_second"]["median"]
        assert found["share_of_peak"]["median"] == pytest.approx(work / peak)


def test_memory_runs(tmp_path):
    out = tmp_path / "memory.json"
    shown = run_script("memory.py", "--circuits", "mnist-fc", "--out", out)
    refuse_places(out.read_text())
    found = json.loads(out.read_text())["circuits"]["mnist-fc"]
    assert set(found) == {"GEVB", "BP", "linear"}
    assert len({sizes["parameters"] for sizes in found.values()}) == 1
    for contestant, sizes in found.items():
        assert contestant in shown
        assert sizes["allocated"] > 0
        assert sizes["resident"] is None or sizes["resident"] >= 0


def test_recording_runs(tmp_path):
    out = tmp_path / "recording.json"
    shown = run_script("recording.py", "--out", out)
    refuse_places(out.read_text().replace(str(out), ""))
    report = json.loads(out.read_text())
    assert "of training time" in shown and report["command"].startswith("python benchmarks/recording.py")
    alignment, activity, memory = report["alignment"], report["activity"], report["memory"]
    assert alignment["steps_between_checkpoints"] == 4690
    ratio, share = alignment["checkpoint_over_step"]["median"], alignment["share_of_training_time"]["median"]
    assert share == pytest.approx(ratio / 4690)
    assert activity["steps"] == 11 and activity["wall_ratio"]["min"] > 0 and activity["processor_ratio"]["min"] > 0
    assert memory is None or (memory["steps"] == 200 and len(memory["samples"]) == 50)


def test_temporal_runs(tmp_path):
    out = tmp_path / "temporal.json"
    common = ("--circuits", "mnist-fc", "--rounds", "1", "--out", out)
    shown = run_script("temporal.py", *common, "--rules", "GEVB", "--components", "4")
    run_script("temporal.py", *common, "--rules", "BP", "--components", "1", "--variants", "replay", "--add")
    refuse_places(out.read_text())
    found = json.loads(out.read_text())["measured"]
    assert {title: each["presentations"] for title, each in found.items()} == {
        "mnist-fc, GEVB, K = 4, causal": 1,
        "mnist-fc, GEVB, K = 4, replay": 4,
        "mnist-fc, BP, K = 1, replay": 1,
    }
    for each in found.values():
        assert set(each["memory"]) == set(each["resident"]) == {"group", "temporal"}
        assert min(each["memory"].values()) > 0
        assert all(size is None or size >= 0 for size in each["resident"].values())
        assert each["time_ratio"]["min"] > 0
    resident = found["mnist-fc, GEVB, K = 4, causal"]["resident"]
    sizes = ["-" if resident[kind] is None else f"{resident[kind] / 2**20:.1f}" for kind in ("temporal", "group")]
    assert "resident {} of {} MiB".format(*sizes) in shown.splitlines()[0]


def test_agreement_runs(tmp_path):
    out = tmp_path / "agreement.json"
    shown = run_script("temporal_agreement.py", "--out", out)
    refuse_places(out.read_text())
    report = json.loads(out.read_text())
    assert "a gate flips in" in shown
    assert {title.split(", ")[-1] for title in report["refused"]} == {"kickback"}
    for title, case in report["cases"].items():
        assert ("replay_causal" in case) <= ("SignGate" not in title)
        compared = case["group_temporal"]
        assert compared["largest_weight_change"] > 1e-4 > compared["largest_weight_difference"]
        assert "replay_causal" not in case or case["replay_causal"]["largest_weight_difference"] == 0.0


def test_scaling_runs(tmp_path):
    out = tmp_path / "scaling.json"
    run_script("scaling.py", "--sweeps", "classes", "--rounds", "2", "--out", out)
    run_script("scaling.py", "--sweeps", "components", "--rounds", "2", "--out", out, "--add")
    refuse_places(out.read_text())
    sweeps = json.loads(out.read_text())["sweeps"]
    assert {sweep: list(sizes) for sweep, sizes in sweeps.items()} == {"components": ["1", "3"], "classes": ["3", "5"]}
    components = {name: found["K"] for name, found in sweeps["classes"]["5"].items()}
    assert components == {
        "one-hot, side by side": 5, "one-hot, in time": 5, "binary, side by side": 3, "binary, in time": 3,
    }  # fmt: skip
    costs = sweeps["components"]["3"]
    assert [cost["presentations"] for cost in costs.values()] == [1, 1, 4]
    for cost in costs.values():
        assert len(cost["seconds"]) == 2 and min(cost["seconds"]) > 0 and cost["memory"] > 0
        assert cost["parameters"] == 4 * (3 * 784 * 8 + 8 * 6 + 6 + 3 * (8 + 6 + 1))
    assert len(plot_scaling([out]).axes) == 4


@pytest.mark.parametrize("name", ["digits-fc", *NAMES, "cifar10-fc", "cifar10-conv", "cifar10-lc"])
@pytest.mark.parametrize("sign", ["nonnegative", "mixed"])
def test_baseline_learns_as_the_simulator_does(benchmark, name, sign):
    """Not one gradient alone: several steps of both in float64 end at the same weights."""
    baseline, options = benchmark("baseline"), benchmark("machine").quick_options(name)
    circuit = circuits.load(name, sign=sign, rule=BP(), **options)
    images, labels = baseline.synthetic(circuit, 6)
    for formulation in baseline.formulations(circuit):
        baseline.check_against_simulator(circuit, formulation)
        simulator = Simulator(circuit, precision="float64")
        plain = baseline.Baseline(simulator, formulation)
        start = {group: weight.clone() for group, weight in simulator.weights.items()}
        for _ in range(3):
            step = simulator.learn(images, labels)
            loss, mistakes = plain.learn(images, labels)
            assert abs(loss - step.loss) < 1e-9 and mistakes == step.mistakes
        for group, layer in plain.layers.items():
            assert not torch.equal(simulator.weights[group], start[group])
            assert (layer.unpack(layer.weight.detach()) - simulator.weights[group]).abs().max() < 1e-6


def test_check_notices_another_network(benchmark, monkeypatch):
    baseline = benchmark("baseline")
    circuit = circuits.load("mnist-fc", widths=(8, 6))
    monkeypatch.setattr(baseline.DenseLayer, "gated", lambda layer, h, component_axis=1: h)
    with pytest.raises(AssertionError, match=r"^linear: "):
        baseline.check_against_simulator(circuit, "linear")


def test_baseline_refuses_what_it_would_not_reproduce(benchmark):
    baseline = benchmark("baseline")
    logistic = Circuit(4, OneHot(2, loss="logistic"))
    logistic.connect("input", "output", Dense(), rule=GEVB())
    with pytest.raises(ValueError, match="expected a one-hot readout of vector units with cross-entropy"):
        baseline.Baseline(Simulator(logistic), "linear")
    skip = Circuit(4, OneHot(2))
    skip.population("f1", (4,), gate=SignGate())
    skip.connect("input", "f1", Dense(), rule=GEVB())
    skip.connect("f1", "output", Dense(), rule=GEVB())
    skip.connect("input", "output", Dense(), rule=GEVB())
    with pytest.raises(ValueError, match="expected a chain, but 'input' has 2 groups out of it"):
        baseline.Baseline(Simulator(skip), "linear")


def test_multiply_adds_by_hand(benchmark):
    circuit = Circuit((1, 4, 4), OneHot(3))
    circuit.population("c1", (2, ...), gate=SignGate(), bias="channel")
    circuit.connect("input", "c1", Conv2d(3), rule=GEVB())  # 2 x 2 positions
    circuit.connect("c1", "output", Dense(), rule=GEVB())
    counted = benchmark("multiply_adds").multiply_adds(circuit, batch=5)
    assert counted == {
        "input->c1": {"forward": 5 * 3 * 8 * 9, "update": 5 * 8 * 9 + 5 * 3 * 2 * 9, "projection": 0},
        "c1->output": {"forward": 5 * 3 * 8, "update": 5 * 8, "projection": 5 * 3 * 8},
    }


def test_rounds_take_turns(benchmark):
    calls: list[str] = []
    rounds = benchmark("rounds")
    seconds = rounds.interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, calls=1)
    assert "".join(calls) == "aabbbbaa"  # one call to warm up, one timed; the second round backwards
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2}
    assert rounds.pairwise([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_loss_spikes_runs(tmp_path):
    out = tmp_path / "spikes.json"
    shown = run_script("loss_spikes.py", "--epochs", "2", "--seeds", "3", "--out", out)
    refuse_places(out.read_text())
    (found,) = json.loads(out.read_text())["measured"]
    assert "digits-fc, seed 3" in shown and found["seed"] == 3
    assert [row["epoch"] for row in found["angles"]] == [0, 1, 2]
    first, last = found["angles"][0], found["angles"][-1]
    assert set(first["degrees"]) == {"fc1", "fc2"} and first["degrees"] != last["degrees"]
    simulator = Simulator(circuits.load("digits-fc", widths=(8, 6)), seed=3)
    weights = simulator.weights["fc2->output"]
    assert first["output_weights"]["zero"] == round(float((weights == 0).double().mean()), 3)
    spread = float(weights.std(correction=0) / weights.mean())
    assert first["degrees"]["fc2"] == pytest.approx(math.degrees(math.atan(spread)), abs=0.01), "Eqs. 13 and 22"


def test_spikes_are_far_above_what_was_usual(benchmark):
    spikes_of = benchmark("loss_spikes").spikes_of
    trace = [(1.0, 0.1)] * 200
    assert spikes_of(trace) == []
    trace[120] = (2.5, 0.1)
    trace[125] = (2.6, 0.1)  # of the same spike
    trace[121:] = [(loss, 0.3) for loss, _ in trace[121:]]
    (only,) = spikes_of(trace)
    assert only == {"step": 121, "loss": 2.5, "median_before": 1.0, "zero_before": 0.1, "zero_after": 0.3}
