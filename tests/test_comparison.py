"""One circuit under several settings: what is changed, what is measured, what is refused."""

from __future__ import annotations

import json
import math
import re
from functools import partial
from pathlib import Path

import attrs
import h5py
import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from neurosim import (
    BP,
    Binary,
    Circuit,
    Dense,
    ErrorCorrecting,
    ExternalGate,
    FirstBinGate,
    Gray,
    NoiseRelaxation,
    OneHot,
    Relaxation,
    SignGate,
    Temporal,
    circuits,
)
from neurosim.analysis.code_errors import CodeErrors
from neurosim.comparison.checks import folder_name
from neurosim.comparison.comparison import Comparison
from neurosim.comparison.costs import averaged, kinds_of_step, remainders
from neurosim.comparison.rows import largest_difference
from neurosim.comparison.setting import Setting, applied
from neurosim.comparison.setting_words import AS_IT_IS, one_at_a_time, read_factor, settings_from
from neurosim.comparison.table import Row, as_markdown, difference_text
from neurosim.datasets import load_dataset
from neurosim.errors import CircuitError, DataError, SimulationError, UnknownNameError
from neurosim.experiment import ConfigError
from neurosim.figures.comparison import draw_comparison
from neurosim.step_costs import WARM_UP, StepCost, step_costs

COST = StepCost(wall_seconds=0.01, cpu_seconds=0.02, peak_bytes=2**20)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits").subset(train=96, test=40)


def small(**options) -> Circuit:
    return circuits.load("digits-fc", widths=(8, 6), **options)


def compared(digits, folder: Path, settings, **options) -> dict[str, Row]:
    options = {"epochs": 1, "batch_size": 32} | options
    return {row.name: row for row in Comparison(small(), digits, settings, folder, **options).run(lambda line: None)}


# -- settings ----------------------------------------------------------------------------------------------------------


def test_parts_go_where_they_belong():
    relaxation = Relaxation(every=3)
    setting = Setting("all but time", None, FirstBinGate(), Binary(10), "untied", relaxation, BP())
    circuit = applied(small(), setting)
    assert circuit.K == 4 and circuit.readout == Binary(10)
    assert {p.gate for p in circuit.populations.values()} == {None, FirstBinGate()}
    assert {g.rule for g in circuit.groups.values()} == {BP()}
    assert {name: g.relaxation for name, g in circuit.groups.items()} == {
        "input->fc1": None, "fc1->fc2": relaxation, "fc2->output": relaxation,
    }  # fmt: skip
    assert Setting("in time", "temporal").runs_as == Temporal()


def test_what_is_not_given_stays():
    circuit = small().with_rules({"input->fc1": None})
    assert applied(circuit, Setting("none")) == circuit
    assert applied(circuit, Setting("rule", rule=BP())).groups["input->fc1"].rule is None
    conventional = Circuit(4, OneHot(3), K=1)
    conventional.connect("input", "output", Dense(), rule=BP())
    changed = applied(conventional, Setting("code", readout=Binary(3)))
    assert changed.K == 1 and changed.output_units == 2


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (
            Setting("s", readout=Binary(3)),
            "setting 's': Binary(classes=3, loss='logistic') is for 3 classes, the circuit",
        ),
        (Setting("s", relaxation=Relaxation()), "add sharing='untied'"),
        (Setting("s", sharing="tied", relaxation=Relaxation()), "use sharing='untied', or leave out relaxation="),
        (Setting("s", vectorization=Temporal("causal")), "setting 's': "),
        (Setting("s", "temporal", sharing="untied"), "setting 's': vectorization in time: untied: 'fc1->fc2'"),
        (Setting("s", gate=ExternalGate(context=[[1.0, 2.0]])), "setting 's': population 'fc1': ExternalGate(context"),
    ],
)
def test_what_a_circuit_cannot_take(setting, text):
    with pytest.raises(CircuitError) as error:
        applied(small(), setting)
    assert text in str(error.value)


def test_what_would_change_nothing_is_refused():
    linear = Circuit(4, OneHot(3))
    linear.connect("input", "output", Dense(), rule=BP())
    with pytest.raises(CircuitError, match=r"setting 'g': no population of the circuit has a gate"):
        applied(linear, Setting("g", gate=SignGate()))
    with pytest.raises(CircuitError, match=r"setting 't': no group of the circuit is between vector units"):
        applied(linear, Setting("t", sharing="tied"))
    with pytest.raises(CircuitError, match=r"setting 'f': nothing learns, because every group is frozen"):
        applied(linear.with_rules(None), Setting("f"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": " "}, "Setting.name must be a text"),
        ({"name": "s", "gate": "SignGate"}, "setting 's': gate must be a Gate, got 'SignGate'"),
        ({"name": "s", "rule": BP}, "setting 's': rule must be a PlasticityRule"),
    ],
)
def test_settings_of_the_wrong_kind(options, text):
    with pytest.raises(CircuitError) as error:
        Setting(**options)
    assert text in str(error.value)


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "value", "parts"),
    [
        ("vectorization", "temporal", {"vectorization": Temporal()}),
        ("vectorization", "temporal:causal", {"vectorization": Temporal("causal")}),
        ("vectorization", {"type": "Temporal", "order": "causal"}, {"vectorization": Temporal("causal")}),
        ("gate", "FirstBinGate", {"gate": FirstBinGate()}),
        ("gate", {"type": "ExternalGate", "spread": 1.0}, {"gate": ExternalGate(spread=1.0)}),
        ("code", "onehot", {"readout": OneHot(10)}),
        ("code", "onehot:squared", {"readout": OneHot(10, "squared")}),
        ("code", "gray", {"readout": Gray(10)}),
        ("code", "error-correcting:15", {"readout": ErrorCorrecting(10, 15)}),
        ("code", "error-correcting:7:squared", {"readout": ErrorCorrecting(10, 7, "squared")}),
        ("code", {"type": "ErrorCorrecting", "length": 9}, {"readout": ErrorCorrecting(10, 9)}),
        ("relaxation", "tied", {"sharing": "tied"}),
        ("relaxation", "never", {"sharing": "untied"}),
        ("relaxation", "every 5", {"sharing": "untied", "relaxation": Relaxation(every=5)}),
        ("relaxation", "noise every 5", {"sharing": "untied", "relaxation": NoiseRelaxation(every=5)}),
        ("relaxation", {"type": "Relaxation", "rate": 0.5}, {"sharing": "untied", "relaxation": Relaxation(0.5)}),
        (
            "relaxation",
            "noise every 5 x 2000",
            {"sharing": "untied", "relaxation": NoiseRelaxation(presentations=2000, every=5)},
        ),
        ("rule", "bp", {"rule": BP()}),
        ("rule", {"type": "BP"}, {"rule": BP()}),
    ],
)
def test_words_and_tables(factor, value, parts):
    assert read_factor(factor, value, small()) == parts


@pytest.mark.parametrize(
    ("factor", "value", "text"),
    [
        (
            "gates",
            "SignGate",
            "unknown factor 'gates'; did you mean 'gate'? Known: code, gate, relaxation, rule, vector",
        ),
        ("gate", "SignGat", "unknown gate 'SignGat'; did you mean 'SignGate'? Known: "),
        ("vectorization", "time", "unknown vectorization 'time'; known: group, temporal"),
        ("vectorization", "temporal:back", "unknown order of time bins 'back'; known: causal, replay"),
        ("vectorization", "group:causal", "an order of time bins is for 'temporal', as in temporal:causal"),
        ("code", "grey", "did you mean 'gray'?"),
        ("code", "error-correcting", "expected its length in bits, as in error-correcting:15"),
        ("code", "binary:cross_entropy", "unknown loss for Binary 'cross_entropy'; known: logistic, squared"),
        ("code", "binary:squared:logistic", "expected at most one loss after the code, got squared, logistic"),
        (
            "relaxation",
            "each 5",
            "unknown relaxation 'each 5'; known: every N, never, noise every N, noise every N x M, tied; N is a number "
            "of steps, M one of presentations of noise",
        ),
        ("relaxation", "every 5 x 20", "unknown relaxation 'every 5 x 20'"),
        ("relaxation", "noise every 5 x 0", "NoiseRelaxation.presentations must be a whole number of at least 1, got"),
        ("relaxation", "every 0", "Relaxation.every must be a whole number of at least 1, got 0"),
        ("rule", "gevbb", "unknown rule 'gevbb'; did you mean 'gevb'?"),
        ("rule", 3, "rule: expected a word or a table with its type, got 3"),
        ("gate", {"type": "ExternalGate", "width": 1}, "its fields are: source, spread, context"),
    ],
)
def test_words_that_mean_nothing(factor, value, text):
    with pytest.raises((ConfigError, UnknownNameError, CircuitError)) as error:
        read_factor(factor, value, small())
    assert text in str(error.value)


def test_one_factor_at_a_time():
    settings, same = one_at_a_time(small(), ["gate=SignGate, FirstBinGate", "vectorization=group,temporal"])
    assert settings == [
        Setting(AS_IT_IS),
        Setting("gate=FirstBinGate", gate=FirstBinGate()),
        Setting("vectorization=temporal", vectorization=Temporal()),
    ]
    assert same == ["gate=SignGate", "vectorization=group"]
    for wrong in ("gate", "gate=", "gate=SignGate,"):
        with pytest.raises(ConfigError, match=r"--vary: expected FACTOR=VALUE,VALUE,... as in gate=SignGate,First"):
            one_at_a_time(small(), [wrong])
    with pytest.raises(ConfigError, match=r"--vary: rule=bp is given twice"):
        one_at_a_time(small(), ["rule=bp,bp"])


def test_tables_of_settings():
    tables = [{"name": "a"}, {"name": "b", "gate": {"type": "ExternalGate", "spread": 1.0}, "relaxation": "every 2"}]
    assert settings_from(tables, small()) == [
        Setting("a"),
        Setting("b", gate=ExternalGate(spread=1.0), sharing="untied", relaxation=Relaxation(every=2)),
    ]
    for wrong, text in [
        ({"name": "a"}, "expected tables [[setting]], each with a name"),
        ([{"gate": "SignGate"}], "[[setting]] number 1: expected a name in quotes, got None"),
        ([{"name": "a", "gat": "SignGate"}], "unknown factor of the setting 'a' 'gat'; did you mean 'gate'?"),
    ]:
        with pytest.raises((ConfigError, UnknownNameError)) as error:
            settings_from(wrong, small())
        assert text in str(error.value)


# -- comparing ---------------------------------------------------------------------------------------------------------


def test_same_start_and_order(digits, tmp_path):
    """Equal settings end at equal weights, whatever they are called; in time they do but for rounding."""
    settings = [
        Setting("first"),
        Setting("again", gate=SignGate()),
        Setting("in time", "temporal"),
        Setting("BP", rule=BP()),
        Setting("4 bits", readout=Binary(10)),
    ]
    rows = compared(digits, tmp_path / "out", settings, seeds=(3, 5), precision="float64")
    assert list(rows) == [setting.name for setting in settings]
    assert rows["first"].differences == rows["again"].differences == (0.0, 0.0)
    assert rows["first"].curves == rows["again"].curves and rows["again"].differs_at == ""
    assert 0 <= rows["in time"].difference < 1e-9 and rows["in time"].presentations == 4
    assert rows["BP"].difference > 1e-5 and rows["BP"].differs_at in small().groups
    assert rows["4 bits"].difference is None and rows["4 bits"].incomparable == "K = 4"
    assert [row.bits for row in rows.values()] == [False] * 4 + [True] and rows["4 bits"].components == 4
    for row in rows.values():
        assert [round(100 * one.classes, 6) for one in row.code_errors] == list(row.test_errors)
        assert all(len(one.bits) == row.components and one.coarse is None for one in row.code_errors)
        assert row.seeds == (3, 5) and len(row.test_errors) == 2 and not row.failures
        assert row.cost.wall_seconds > 0 and row.cost.cpu_seconds > 0 and row.cost.peak_bytes > 0
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert [row["name"] for row in written["rows"]] == list(rows)
    assert written["settings"][3] == {"name": "BP", "rule": {"type": "BP"}} and written["seeds"] == [3, 5]
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 10_000
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "0 (reference)" in table and "- (K = 4)" in table and "seeds 3, 5" in table


def test_relaxed_every_step_is_tied_with_plain_descent(digits, tmp_path):
    settings = [
        Setting("tied"),
        Setting("every step", sharing="untied", relaxation=Relaxation()),
        Setting("never", sharing="untied"),
    ]
    options = {"optimizer": "sgd", "learning_rate": 0.02, "precision": "float64"}
    rows = compared(digits, tmp_path / "out", settings, epochs=2, **options)
    assert rows["every step"].difference < 1e-9 < 1e-4 < rows["never"].difference
    ((start, first, second),) = rows["never"].spreads["fc1->fc2"]
    assert 0 <= start < first < second, "what is never relaxed moves apart"
    assert rows["tied"].spreads == {} and max(rows["every step"].spreads["fc1->fc2"][0]) < 1e-9
    report = (tmp_path / "out" / "comparison.md").read_text()
    assert re.search(rf"\| never +\| fc1->fc2 .* \| {first:.3g} +\| {second:.3g} ", report)
    data = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert data["rows"][2]["spreads"]["fc1->fc2"] == [[start, first, second]]
    compared(digits, tmp_path / "parts", settings, epochs=1, **options)
    parts = compared(digits, tmp_path / "parts", settings, epochs=2, resume=True, **options)
    assert {name: row.spreads for name, row in parts.items()} == {name: row.spreads for name, row in rows.items()}


def test_a_relaxation_that_is_never_due_is_refused(digits, tmp_path):
    settings = [Setting("tied"), Setting("late", sharing="untied", relaxation=Relaxation(every=7))]
    Comparison(small(), digits, settings, tmp_path / "out", epochs=3, batch_size=32)  # 96 images: 9 steps
    with pytest.raises(CircuitError, match="'late': .* is due every 7 steps, but 2 epochs of 3 steps are 6, so"):
        Comparison(small(), digits, settings, tmp_path / "out", epochs=2, batch_size=32)


def test_what_waits_is_measured_in_a_step_of_its_own(digits, tmp_path):
    """At its peak a relaxation allocates as much every 10 steps as in every step, and more than a step without it."""
    kinds = {"average": Relaxation, "noise": partial(NoiseRelaxation, presentations=3)}
    settings = [Setting("never", sharing="untied")] + [
        Setting(f"{name}, {every}", sharing="untied", relaxation=kind(every=every))
        for name, kind in kinds.items()
        for every in (1, 10)
    ]
    circuit = circuits.load("digits-fc", widths=(64, 32))
    costs = Comparison(circuit, digits, settings, tmp_path / "out", epochs=1, batch_size=4).costs()
    for name in kinds:
        assert costs[f"{name}, 10"].peak_bytes == costs[f"{name}, 1"].peak_bytes > 2 * costs["never"].peak_bytes


def test_costs_of_several_waits():
    """Two groups that are relaxed every 2 and every 5 steps, and a frozen one that never is."""
    vectors = small().to_dict()
    for entry, every in zip(vectors["groups"][1:], (2, 5), strict=True):
        entry.update(sharing="untied", relaxation=Relaxation(every=every).to_dict())
    circuit = Circuit.from_dict(vectors)
    kinds = kinds_of_step(circuit)
    found = {
        wait: [group.relaxation and group.relaxation.every for group in kind.groups.values()]
        for wait, kind in kinds.items()
    }
    assert found == {1: [None, None, None], 2: [None, 1, None], 5: [None, None, 1]}
    assert list(kinds_of_step(circuit.with_rules({"fc1->fc2": None}))) == [1, 5]
    costs = {1: StepCost(1.0, 2.0, 700), 2: StepCost(3.0, 6.0, 300), 5: StepCost(2.0, 1.0, 900)}
    cost = averaged(costs)
    assert cost.wall_seconds == pytest.approx(1 + 2 / 2 + 1 / 5, abs=1e-12)
    assert cost.cpu_seconds == pytest.approx(2 + 4 / 2, abs=1e-12), "no relaxation saves time"
    assert cost.peak_bytes == 900
    assert averaged({1: StepCost(1.0, 1.0, None)}).peak_bytes is None


def test_what_noise_leaves_is_in_the_report():
    """On mnist-fc 100 presentations leave sqrt((1 - 1/1024)^100) = 95.2 % of the spread, 3000 leave 23.1 %."""
    circuit = circuits.load("mnist-fc")
    groups = {"fc1->fc2": 1024, "fc2->output": 512}
    rows = [ROWS[0]]
    for word in ("noise every 100", "noise every 100 x 3000", "every 100"):
        relaxed = applied(circuit, Setting(word, **read_factor("relaxation", word, circuit)))
        rows.append(attrs.evolve(ROWS[1], name=word, remainders=remainders(relaxed)))
    for row, presentations in zip(rows[1:3], (100, 3000), strict=True):
        exact = {name: (1 - 1 / n) ** (presentations / 2) for name, n in groups.items()}
        assert row.remainders == pytest.approx(exact, abs=5e-4)
    report = as_markdown(rows, "")
    assert "- noise every 100: 95.2 % (fc1->fc2), 90.7 % (fc2->output)\n" in report
    assert "- noise every 100 x 3000: 23.1 % (fc1->fc2), 5.3 % (fc2->output)\n" in report
    assert report.count("% (fc1->fc2)") == 2 and "by noise" not in as_markdown(ROWS, "")


def test_spreads_in_table_and_figure():
    row = attrs.evolve(ROWS[0], spreads={"a->b": ((0.0, 0.1, 0.3), (0.0, 0.3, 0.5)), "b->c": ((0.0, None, 0.2),)})
    lines = as_markdown([row, ROWS[1]], "").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "->" in line]
    assert cells == [["as it is", "a->b", "0", "0.2", "0.4"], ["as it is", "b->c", "0", "-", "0.2"]]
    ax = draw_comparison([row, ROWS[1]], Figure().subplots())
    panel = ax.child_axes[4]
    assert panel.get_title() == "spread of K weights" and [text.get_text() for text in panel.texts] == ["0.4"]
    assert [line.get_ydata()[0] for line in panel.lines] == [0.32, 0.32]
    assert panel.get_xlabel() == "epoch" and max(panel.get_xticks()) == max(
        max(line.get_xdata()) for line in panel.lines
    )


def test_resumed_run_is_the_run_at_once(digits, tmp_path):
    settings = [Setting("GEVB"), Setting("BP", rule=BP())]
    compared(digits, tmp_path / "parts", settings)
    parts = compared(digits, tmp_path / "parts", settings, epochs=2, seeds=(0, 1), resume=True)
    whole = compared(digits, tmp_path / "whole", settings, epochs=2, seeds=(0, 1))
    for name in whole:
        assert attrs.evolve(parts[name], cost=COST) == attrs.evolve(whole[name], cost=COST)
    two_at_a_time = compared(digits, tmp_path / "jobs", settings, epochs=2, seeds=(0, 1), jobs=2)
    assert {name: row.curves for name, row in two_at_a_time.items()} == {name: whole[name].curves for name in whole}
    with pytest.raises(DataError, match=r"has trained 2 epochs already, 1 are asked for; raise --epochs"):
        compared(digits, tmp_path / "parts", settings, resume=True)
    others = [Setting("GEVB"), Setting("BP", gate=FirstBinGate())]
    for jobs in (1, 2):
        with pytest.raises(DataError, match=r"found other settings: circuit\.populations"):
            compared(digits, tmp_path / "parts", others, jobs=jobs, epochs=2, resume=True)
    with h5py.File(tmp_path / "parts" / "runs" / "BP" / "seed1.h5", "r+") as file:
        file.attrs["neurosim"] = "0.0.9"
    with pytest.raises(DataError, match=r"BP/seed1\.h5: this run was made by neurosim 0\.0\.9, this is neurosim "):
        compared(digits, tmp_path / "parts", settings, epochs=2, seeds=(0, 1), resume=True)


def test_a_run_that_fails_does_not_stop_the_others(digits, tmp_path):
    settings = [Setting("GEVB"), Setting("squared", readout=OneHot(10, "squared"))]
    rows = compared(digits, tmp_path / "out", settings, optimizer="sgd", learning_rate=1e30)
    assert "expected a finite train loss" in " ".join(rows["squared"].failures)
    assert rows["squared"].mean is None and rows["squared"].difference is None
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "FAILED squared: seed 0: " in table and "failed" in table


@pytest.mark.parametrize(
    ("settings", "options", "text"),
    [
        ([Setting("a")], {}, "expected two or more Settings, the first the reference"),
        (5, {}, "expected two or more Settings, the first the reference, got 5"),
        (Setting("a"), {}, "expected two or more Settings, the first the reference, got Setting("),
        ("gevb", {}, "expected two or more Settings, the first the reference, got 'gevb'"),
        ([Setting("a b"), Setting("a/b")], {}, "in the folder 'a-b', which setting 'a b' has too; rename it"),
        ([Setting("a"), Setting("??")], {}, "in the folder ''; rename it"),
        ([Setting("a"), Setting("b")], {"seeds": ()}, "seeds: expected at least one, each once, got []"),
        ([Setting("a"), Setting("b")], {"seeds": 5}, "seeds: expected integers, such as (0, 1, 2), got 5"),
        ([Setting("a"), Setting("b")], {"seeds": ("a",)}, "seeds: expected integers, such as (0, 1, 2), got ['a']"),
        ([Setting("a"), Setting("b")], {"seeds": (0, True)}, "such as (0, 1, 2), got [0, True]"),
        ([Setting("a"), Setting("b")], {"seeds": (1, 1)}, "seeds: expected at least one, each once, got [1, 1]"),
        ([Setting("a"), Setting("b")], {"epochs": 0}, "epochs: expected an integer of at least 1, got 0"),
        ([Setting("a"), Setting("b")], {"optimizer": "adamw"}, "unknown optimizer 'adamw'; did you mean 'adam'?"),
        ([Setting("a"), Setting("b")], {"optimizer": ["adam"]}, "unknown optimizer '['adam']'; did you mean"),
        ([Setting("a"), Setting("b")], {"precision": "float23"}, "unknown precision 'float23'; did you mean"),
        ([Setting("a"), Setting("b")], {"device": "tpu"}, "unknown device 'tpu'; "),
        ([Setting("a"), Setting("b")], {"learning_rate": -1.0}, "learning_rate: expected a finite number above 0, "),
        ([Setting("a"), Setting("b")], {"learning_rate": math.nan}, "such as 0.0003, got nan"),
        ([Setting("a"), Setting("b")], {"resume": True}, "expected a comparison to resume, but there is no folder"),
    ],
)
def test_comparisons_that_cannot_be(digits, tmp_path, settings, options, text):
    with pytest.raises((CircuitError, SimulationError, UnknownNameError, DataError)) as error:
        Comparison(small(), digits, settings, tmp_path / "out", **options)
    assert text in str(error.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["digits", None])
def test_names_are_no_datasets_and_no_circuits(digits, tmp_path, name):
    settings = [Setting("a"), Setting("b")]
    with pytest.raises(DataError, match=r"dataset: expected a Dataset, such as load_dataset\('digits'\), got"):
        Comparison(small(), name, settings, tmp_path / "out")
    with pytest.raises(CircuitError, match=r"circuit: expected a Circuit, such as circuits.load\('digits-fc'\), got"):
        Comparison(name, digits, settings, tmp_path / "out")


def test_seeds_may_be_numpys(digits, tmp_path):
    found = Comparison(small(), digits, [Setting("a"), Setting("b")], tmp_path / "out", seeds=np.arange(3)).seeds
    assert found == (0, 1, 2) and {type(seed) for seed in found} == {int}, "json knows no other"


def test_images_that_do_not_fit_leave_no_folder(digits, tmp_path):
    settings = [Setting("a"), Setting("b")]
    with pytest.raises(DataError, match=r"dataset 'digits': expected images of \(1, 28, 28\), the circuit's inputs"):
        Comparison(circuits.load("mnist-fc"), digits, settings, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_something_else(digits, tmp_path):
    (tmp_path / "file").write_text("mine")
    settings = [Setting("a"), Setting("b")]
    with pytest.raises(DataError, match=r"expected a new or empty folder, found files; continue .* with --resume"):
        Comparison(small(), digits, settings, tmp_path)
    with pytest.raises(DataError, match=r"expected a folder, found a file; name another with --out"):
        Comparison(small(), digits, settings, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


# -- parts -------------------------------------------------------------------------------------------------------------


def test_largest_difference():
    one = {"weights/a->b": torch.zeros(2, 3), "biases/b": torch.ones(4)}
    other = {"weights/a->b": torch.zeros(5, 2, 3), "biases/b": torch.ones(4)}
    assert largest_difference(one, other) == largest_difference(other, one) == (0.0, "")
    other["weights/a->b"][4, 0, 1] = -2.0
    assert largest_difference(one, other) == largest_difference(other, one) == (2.0, "a->b")
    assert largest_difference(one, one | {"biases/b": torch.ones(5)}) is None
    assert largest_difference(one, {"biases/b": torch.ones(4)}) is None


def test_step_costs_sees_what_a_step_allocates():
    def step() -> None:
        first = torch.zeros(1000, dtype=torch.float64)
        first.add_(torch.ones(500, dtype=torch.float64).repeat(2))

    cost = step_costs({"step": step}, rounds=2)["step"]
    assert 16_000 <= cost.peak_bytes <= 21_000


def test_a_long_step_is_timed_once(monkeypatch):
    made = []
    monkeypatch.setattr("neurosim.step_costs._LONG_SECONDS", 0.0)
    cost = step_costs({"step": lambda: made.append(torch.ones(8, device="cpu"))}, rounds=7)["step"]
    assert len(made) == WARM_UP + 2 and cost.wall_seconds > 0  # one more shows its memory


def test_names_of_folders():
    assert folder_name("noise every 100") == "noise-every-100" and folder_name("../x") == "x"


ROWS = [
    Row("as it is", 10, 1, (0, 1), ((9.0, 5.0), (9.0, 7.0)), COST, (0.0, 0.0)),
    Row("in time", 10, 4, (0, 1), ((9.0, 5.0), (9.0, 7.0)), attrs.evolve(COST, peak_bytes=None), (0.0, 1e-7), "fc1"),
    Row("4 bits", 4, 1, (0,), ((30.0, 20.0),), COST, incomparable="K = 4"),
    Row("wild", 10, 1, (), (), COST, failures=("seed 0: not finite",)),
]


def test_table_by_hand():
    lines = as_markdown(ROWS, "digits").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert cells == [
        ["as it is", "10", "6.00 ± 1.41", "10.00", "20.00", "1.00", "1", "0 (reference)"],
        ["in time", "10", "6.00 ± 1.41", "10.00", "20.00", "-", "4", "1.0e-07 (fc1)"],
        ["4 bits", "4", "20.00", "10.00", "20.00", "1.00", "1", "- (K = 4)"],
        ["wild", "10", "failed", "10.00", "20.00", "1.00", "1", "-"],
    ]
    assert lines[-1] == "- FAILED wild: seed 0: not finite" and "digits" in lines
    errors = (CodeErrors((0.1, 0.2), 0.25, 0.1), CodeErrors((0.1, 0.4), 0.35, 0.3))
    coded = attrs.evolve(ROWS[2], code_errors=errors, bits=True)
    assert "- 4 bits: 10.00 ± 0.00, 30.00 ± 14.14; coarse class 20.00 ± 14.14" in as_markdown([coded], "").splitlines()
    assert "every bit" not in as_markdown([attrs.evolve(coded, bits=False)], "")
    assert difference_text(attrs.evolve(ROWS[1], differences=(0.0,))) == "0"


def test_figure():
    before, given = dict(matplotlib.rcParams), Figure().add_subplot()
    assert draw_comparison(ROWS, ax=given) is given
    assert [label.get_text() for label in given.get_yticklabels()] == [row.name for row in ROWS]
    errors, times, memory, differences = given.child_axes
    assert [bar.get_width() for bar in errors.patches] == [6.0, 6.0, 20.0, 0.0]
    assert [text.get_text() for text in errors.texts] == ["6.00 ± 1.41", "6.00 ± 1.41", "20.00", "failed"]
    assert [bar.get_width() for bar in times.patches] == [10.0] * 4
    assert [text.get_text() for text in memory.texts] == ["1", "not known", "1", "1"]
    assert [text.get_text() for text in differences.texts] == ["reference", "1e-07", "K = 4", "not known"]
    assert not differences.patches and differences.lines[0].get_xydata().tolist() == [[1e-7, 1]]
    given.figure.canvas.draw()
    nothing = draw_comparison(ROWS[:1])
    nothing.figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before


def test_the_package_names_what_its_users_make() -> None:
    import neurosim.comparison as package

    assert [getattr(package, name) for name in package.__all__] == [Comparison, Setting]
    with pytest.raises(AttributeError, match=r"module 'neurosim\.comparison' has no attribute 'Comparsion'"):
        package.Comparsion  # noqa: B018
