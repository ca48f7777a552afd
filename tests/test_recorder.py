"""What a Recorder writes is what the steps were made of, and a run does not know that it is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_circuits import batch_for, readouts_for, small

from neurosim import BP, Simulator
from neurosim.datasets import Dataset, Split, batches
from neurosim.errors import DataError, SimulationError, UnknownNameError
from neurosim.experiment import Experiment
from neurosim.observers import Observer
from neurosim.plasticity import available_rules, rule_named
from neurosim.runs.recordable import recordable
from neurosim.runs.recorded_summary import recorded_as_plain
from neurosim.runs.recorder import Recorder
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.streams import stream
from neurosim.training import Trainer
from neurosim.vectorization import Temporal

RULES = sorted(available_rules())


def simulator_of(rule: str = "gevb", **options: Any) -> Simulator:
    readout, K = readouts_for(rule)[0]
    circuit = small("digits-fc", rule=BP(), readout=readout, K=K).with_rules(rule_named(rule))
    return Simulator(circuit, seed=1, **options)


def data_for(simulator: Simulator) -> Dataset:
    """Random images that the circuit can take, 50 to train and 10 to test."""
    names = tuple(map(str, range(simulator.circuit.readout.classes)))
    train, test = (Split(*batch_for(simulator.circuit, size, seed)) for size, seed in ((50, 1), (10, 2)))
    return Dataset("random", names, "random numbers", train, test)


def train(
    simulator: Simulator, path: Path | None, *recorders: Observer, epochs: int = 2, batch_size: int = 16, **options: Any
) -> dict[str, torch.Tensor]:
    """Train on 50 images, 4 steps an epoch of which the last has 2 examples; the state afterwards."""
    watching = [RunRecorder(path, **options), *recorders] if path else recorders
    data = data_for(simulator)
    Trainer(simulator, data, epochs=epochs, batch_size=batch_size, observers=watching, early_stop=False).run()
    return simulator.state_dict()


def seen_steps(simulator: Simulator, epochs: int = 2, batch_size: int = 16) -> list[dict[str, Any]]:
    """The same run by hand: every step probed with all that can be recorded, then learned."""
    found = []
    for epoch in range(1, epochs + 1):
        for images, labels in batches(
            data_for(simulator).train, batch_size, stream(simulator.seed, "data order", epoch)
        ):
            probed = simulator.probe(images, labels)
            weights = {name: weight.clone() for name, weight in simulator.weights.items()}
            weights |= {f"bias of {name}": bias.clone() for name, bias in simulator.biases.items()}
            learned = simulator.learn(images, labels)
            updates = {name: update.clone() for name, update in learned.updates.items()}
            found.append({"probed": probed, "weights": weights, "updates": updates})
    return found


def expected(seen: dict[str, Any], target: str, variable: str) -> torch.Tensor:
    step = seen["probed"]
    return {
        "activity": lambda: step.activity.activations[target],
        "pre_activations": lambda: step.activity.pre_activations[target],
        "gates": lambda: step.activity.gates[target],
        "credit": lambda: step.credit(target),
        "error": lambda: step.error,
        "weights": lambda: seen["weights"][target],
        "updates": lambda: seen["updates"][target],
    }[variable]()


def everything(simulator: Simulator, **options: Any) -> list[Recorder]:
    return [Recorder(target, names, **options) for target, names in recordable(simulator.circuit).items()]


# -- laws over every rule --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_every_row_is_what_the_step_was_made_of(tmp_path: Path, rule: str) -> None:
    simulator = simulator_of(rule, precision="float64")
    train(simulator, tmp_path / "run.h5", *everything(simulator, every=3, reduce=None))
    run, seen = Run(tmp_path / "run.h5"), seen_steps(simulator_of(rule, precision="float64"))
    assert list(run.recordings) == list(recordable(simulator.circuit))
    for target, recording in run.recordings.items():
        assert recording.steps.tolist() == [0, 3, 6]
        for variable, values in recording.items():
            for row, step in zip(values, recording.steps, strict=True):
                wanted = expected(seen[step], target, variable).numpy()
                if variable not in ("weights", "updates"):
                    row, rest = row[: len(wanted)], row[len(wanted) :]
                    assert np.isnan(rest).all() and len(rest) == (14 if step == 3 else 0)  # the short last batch
                assert row.shape == wanted.shape and np.abs(row - wanted).max() <= 1e-12, (target, variable)


@pytest.mark.parametrize("vectorization", ["group", "temporal"])
@pytest.mark.parametrize("rule", RULES)
def test_recording_everything_changes_nothing(tmp_path: Path, rule: str, vectorization: str) -> None:
    try:
        plain = train(simulator_of(rule, vectorization=vectorization), None)
    except ValueError as refused:
        pytest.skip(str(refused))
    simulator = simulator_of(rule, vectorization=vectorization)
    recorded = train(simulator, tmp_path / "run.h5", *everything(simulator, every=2))
    assert plain.keys() == recorded.keys()
    assert all(torch.equal(plain[name], recorded[name]) for name in plain)


def test_in_time_the_rows_are_those_of_the_group(tmp_path: Path) -> None:
    for name, vectorization in (("group", "group"), ("time", Temporal())):
        simulator = simulator_of("bp", vectorization=vectorization, precision="float64")
        train(simulator, tmp_path / f"{name}.h5", *everything(simulator, every=3))
    group, time = Run(tmp_path / "group.h5").recordings, Run(tmp_path / "time.h5").recordings
    assert all(np.abs(group[t][v] - time[t][v]).max() < 1e-9 for t in group for v in group[t])


@pytest.mark.parametrize("name", ["mnist-conv", "mnist-lc"])
def test_spatial_populations_and_relays(tmp_path: Path, name: str) -> None:
    simulator = Simulator(small(name))
    train(simulator, tmp_path / "run.h5", *everything(simulator, every=4), epochs=1)
    simulator = Simulator(small(name))
    first = next(batches(data_for(simulator).train, 16, stream(0, "data order", 1)))
    step, recordings = simulator.probe(*first), Run(tmp_path / "run.h5").recordings
    weights = {**simulator.weights, **{f"bias of {name}": bias for name, bias in simulator.biases.items()}}
    for target, recording in recordings.items():
        for variable, values in recording.items():
            wanted = expected({"probed": step, "weights": weights, "updates": step.updates}, target, variable)
            wanted = wanted.mean() if variable in ("weights", "updates") else wanted.mean(0)
            assert values.shape[1:] == wanted.shape and np.abs(values[0] - wanted.numpy()).max() < 1e-6


# -- choosing and reducing -------------------------------------------------------------------------------------------


def recorded(path: Path, name: str = "mnist-conv", **recorders: Recorder) -> tuple[Run, Any, Simulator]:
    """A run of one epoch, and its first step probed by hand."""
    train(Simulator(small(name)), path, *recorders.values(), epochs=1)
    simulator = Simulator(small(name))
    return (
        Run(path),
        simulator.probe(*next(batches(data_for(simulator).train, 16, stream(0, "data order", 1)))),
        simulator,
    )


def test_reductions_by_hand(tmp_path: Path) -> None:
    kinds: list[str | None] = [None, "mean", "std", "norm"]
    recorders = {
        f"{target} {reduce}": Recorder(target, names, every=2, reduce=reduce, name=f"{target} {reduce}")
        for target, names in (("fc1", ["activity", "gates"]), ("fc1->output", ["weights"]))
        for reduce in kinds
    }
    run, step, simulator = recorded(tmp_path / "run.h5", **recorders)
    a, w = step.activity.activations["fc1"].numpy(), simulator.weights["fc1->output"].numpy()
    first = {name: {v: rows[0] for v, rows in recording.items()} for name, recording in run.recordings.items()}
    assert first["fc1 None"]["activity"].shape == (16, 10, 6) and first["fc1 None"]["gates"].shape == (16, 6)
    by_hand = {
        "fc1 None": a,
        "fc1 mean": a.sum(0) / 16,
        "fc1 std": np.sqrt(((a - a.mean(0)) ** 2).sum(0) / 16),
        "fc1 norm": np.sqrt((a**2).sum((1, 2))).mean(),
    }
    for name, wanted in by_hand.items():
        assert first[name]["activity"].shape == wanted.shape and np.abs(first[name]["activity"] - wanted).max() < 1e-6
    entries = {"None": w, "mean": w.mean(), "std": w.std(), "norm": np.sqrt((w**2).sum())}
    for name, wanted in entries.items():
        assert np.abs(first[f"fc1->output {name}"]["weights"] - wanted).max() < 1e-6


def test_indices_by_hand(tmp_path: Path) -> None:
    places = [(0, 1, 2), (3, 0, 0), (0, 1, 2)]
    run, step, simulator = recorded(
        tmp_path / "run.h5",
        units=Recorder("conv1", ["activity", "credit"], indices=places),
        numbers=Recorder("fc1", "activity", indices=range(1, 4), reduce=None),
        weights=Recorder("input->conv1", ["weights", "updates"], indices=[(9, 0, 0, 2, 1)], reduce=None),
        norm=Recorder("pool1", "activity", indices=[(1, 1, 1)], reduce="norm"),
    )
    a, credit = step.activity.activations["conv1"], step.credit("conv1")
    wanted = torch.stack([a[:, :, c, y, x].mean(0) for c, y, x in places], dim=1)
    assert np.abs(run.recorded("conv1")["activity"][0] - wanted.numpy()).max() < 1e-6
    assert run.recorded("conv1")["credit"].shape[1:] == (3,) and credit.ndim == 4  # per unit: no component axis
    fc1 = step.activity.activations["fc1"][:, :, 1:4].numpy()
    assert (run.recorded("fc1")["activity"][0] == fc1).all()
    group = run.recorded("input->conv1")
    assert group["weights"][0] == [simulator.weights["input->conv1"][9, 0, 0, 2, 1]]
    assert abs(group["updates"][0, 0] - step.updates["input->conv1"][9, 0, 0, 2, 1]) < 1e-7
    pooled = step.activity.activations["pool1"][:, :, 1, 1, 1].norm(dim=1).mean()
    assert abs(run.recorded("pool1")["activity"][0] - pooled) < 1e-6


def test_indices_are_what_a_mask_gives_and_variables_any_iterable() -> None:
    mask = np.array([[False, True, False], [True, False, True]])
    places = ((0, 1), (1, 0), (1, 2))
    for indices in (np.argwhere(mask), torch.from_numpy(mask).nonzero(), zip(*np.nonzero(mask), strict=True)):
        found = Recorder("input->fc1", "weights", indices=indices).indices
        assert found == places and {type(number) for place in found for number in place} == {int}
    row = mask[1]
    for indices in (np.argwhere(row), np.flatnonzero(row), torch.from_numpy(row).nonzero()):
        assert Recorder("fc1", "gates", indices=indices).indices == ((0,), (2,))
    assert Recorder("fc1", (name for name in ("gates", "activity"))).variables == ("gates", "activity")


@pytest.mark.usefixtures("wrong_types_allowed")
def test_arrays_of_what_is_no_index_are_refused() -> None:
    for indices in (np.ones((2, 1)), torch.ones(2), np.ones((1, 2, 2), dtype=int)):
        with pytest.raises(SimulationError, match="Recorder 'fc1': indices= are numbers or tuples of numbers, got"):
            Recorder("fc1", "gates", indices=indices)


@pytest.mark.usefixtures("wrong_types_allowed")
def test_masks_are_no_indices() -> None:
    """True is 1 to Python: a mask of 256 units would record units 0 and 1 in 256 columns."""
    row = np.array([True, False, True])
    square = np.array([row, ~row])
    for mask in (
        row.tolist(),
        row,
        torch.from_numpy(row),
        square.tolist(),
        square,
        torch.from_numpy(square),
        [2, True],
    ):
        with pytest.raises(SimulationError, match=r"Recorder 'fc1': indices= .* as of a mask; use numpy.flatnonzero"):
            Recorder("fc1", "gates", indices=mask)


def test_a_recording_reads_back_and_is_shown(tmp_path: Path) -> None:
    named = Recorder("fc1", "gates", every=np.int64(3), indices=[0, 2], reduce="std", name="spread of gates")
    simulator = simulator_of()
    train(simulator, tmp_path / "run.h5", Recorder("fc1", ["activity", "credit"], every=1), named)
    run = Run(tmp_path / "run.h5")
    one = run.recorded("spread of gates")
    assert (one.target, one.variables, one.every, one.reduce, one.rows) == ("fc1", ("gates",), 3, "std", 3)
    assert one.indices == ((0,), (2,)) and list(one) == ["gates"] and len(one) == 1
    assert (one.read("gates", 1) == one["gates"][1:]).all() and one.read("step", 1, 2).tolist() == [3]
    shown = run.summary()
    assert "  recorded    fc1: activity, credit, mean, every step, 8 rows" in shown
    assert "              spread of gates: gates of fc1, 2 chosen, std, every 3 steps, 3 rows" in shown
    with pytest.raises(
        UnknownNameError,
        match="unknown recording 'f1'; did you mean 'fc1'? Known: fc1, spread of gates".replace("?", r"\?"),
    ):
        run.recorded("f1")
    with pytest.raises(UnknownNameError, match="unknown variable recorded of 'fc1' 'gates'; known: activity, credit"):
        run.recorded("fc1")["gates"]
    train(simulator_of(), tmp_path / "plain.h5")
    with pytest.raises(UnknownNameError, match="known: none; train with --record"):
        Run(tmp_path / "plain.h5").recorded("fc1")


# -- only where it is due --------------------------------------------------------------------------------------------


def test_the_simulator_is_asked_for_more_only_where_a_row_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator, watched = simulator_of(), []
    learn = simulator.learn

    def count(images: torch.Tensor, labels: torch.Tensor, *watch: Any) -> Any:
        watched.append(len(watch))
        return learn(images, labels, *watch)

    monkeypatch.setattr(simulator, "learn", count)
    recorder = Recorder("fc1", ["activity", "credit"], every=3)
    train(simulator, tmp_path / "run.h5", recorder)
    assert watched == [1, 0, 0, 1, 0, 0, 1, 0]


def test_one_copy_leaves_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from neurosim.runs import recorder

    rows = [torch.arange(6.0, device="meta").view(2, 3), torch.zeros((), device="meta")]
    copies = []
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: copies.append(tensor) or torch.arange(7.0))
    first, second = recorder._to_host(rows)
    assert len(copies) == 1 and first.tolist() == [[0, 1, 2], [3, 4, 5]] and second == 6


# -- interrupted runs ------------------------------------------------------------------------------------------------


class Stop(Observer):
    """Ends the run at its n-th step, by an exception or by killing the process."""

    def __init__(self, at: int, kill: bool = False) -> None:
        self.left, self.kill = at, kill

    def on_step(self, trainer: Any, step: Any) -> None:
        self.left -= 1
        if self.left == 0:
            if self.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt


def watching() -> list[Recorder]:
    return [
        Recorder("fc1", ["activity", "gates", "credit"], every=3),
        Recorder("fc1->fc2", ["weights", "updates"], every=2, indices=[(0, 1)], reduce=None),
    ]


def same_recordings(one: Path, other: Path) -> bool:
    a, b = Run(one).recordings, Run(other).recordings
    same = all((a[n].steps == b[n].steps).all() and all((a[n][v] == b[n][v]).all() for v in a[n]) for n in a)
    return a.keys() == b.keys() and same


@pytest.mark.parametrize("at", [2, 6, 8])
def test_resuming_continues_the_series(tmp_path: Path, at: int) -> None:
    path, whole = tmp_path / "run.h5", tmp_path / "whole.h5"
    with pytest.raises(KeyboardInterrupt):
        train(simulator_of("node-perturbation"), path, *watching(), Stop(at), epochs=3)
    assert Run(path).recorded("fc1").rows == (0 if at == 2 else 2)  # steps 0 and 3 of the epoch that was committed
    resumed = train(simulator_of("node-perturbation"), path, *watching(), epochs=3, resume=True)
    straight = train(simulator_of("node-perturbation"), whole, *watching(), epochs=3)
    assert same_recordings(path, whole) and Run(path).recorded("fc1").steps.tolist() == [0, 3, 6, 9]
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)
    train(simulator_of("node-perturbation"), path, *watching(), epochs=4, resume=True)
    assert Run(path).recorded("fc1->fc2").steps.tolist() == list(range(0, 16, 2))


def joining() -> list[Recorder]:
    return [
        Recorder("fc1", ["activity", "gates", "credit"], every=3, allow_gaps=True),
        Recorder("fc1->fc2", ["weights", "updates"], every=2, indices=[(0, 1)], reduce=None, allow_gaps=True),
    ]


@pytest.mark.parametrize("more", [0, 1])
def test_a_recorder_may_join_a_run_that_is_resumed_if_it_is_asked_to(tmp_path: Path, more: int) -> None:
    path = tmp_path / "run.h5"
    train(simulator_of(), path, epochs=1)
    before = path.read_bytes()
    with pytest.raises(DataError, match="Recorder 'fc1': .* has learned 4 steps, of which none was .* allow_gaps=True"):
        train(simulator_of(), path, *watching(), epochs=1 + more, resume=True)
    assert path.read_bytes() == before
    train(simulator_of(), path, *joining(), epochs=1 + more, resume=True)
    assert Run(path).epoch == 1 + more and Run(path).recorded("fc1").steps.tolist() == [6] * more


def test_what_was_not_recorded_is_named(tmp_path: Path) -> None:
    """Joined at step 4, left out from 8 to 11, there again: of 16 steps."""
    path = tmp_path / "run.h5"
    train(simulator_of(), path, epochs=1)
    train(simulator_of(), path, *joining(), epochs=2, resume=True)
    assert Run(path).recorded("fc1->fc2").gaps == ((0, 2),)
    shown = Run(path).summary().splitlines()
    assert any(line.endswith("chosen, every 2 steps, 2 rows from step 4 on, missing steps: 0 to 2") for line in shown)
    train(simulator_of(), path, epochs=3, resume=True)
    assert Run(path).recorded("fc1->fc2").gaps == ((0, 2), (8, 10))
    with pytest.raises(DataError, match="Recorder 'fc1': .* has learned 12 steps, of which the last row is of step 6"):
        train(simulator_of(), path, *watching(), epochs=4, resume=True)
    train(simulator_of(), path, *joining(), epochs=4, resume=True)
    train(simulator_of(), path, *watching(), epochs=4, resume=True)  # now they connect again
    run = Run(path)
    assert run.recorded("fc1->fc2").steps.tolist() == [4, 6, 12, 14]
    assert run.recorded("fc1").gaps == ((0, 3), (9, 9)) and run.recorded("fc1").steps.tolist() == [6, 12, 15]
    assert "3 rows from step 6 on, missing steps: 0 to 3, 9" in run.summary()
    assert recorded_as_plain(run)["recorded"]["fc1->fc2"]["gaps"] == [[0, 2], [8, 10]]


def test_on_the_command_line_recorders_may_join() -> None:
    """There --record beside --resume says that it is meant."""
    asked = Experiment.from_settings({"record": ["fc1:gates"], "alignment": True})
    assert [each.allow_gaps for each in asked.recorders(small("digits-fc"))] == [True, True]


def test_nothing_is_missing_where_all_was_recorded(tmp_path: Path) -> None:
    train(simulator_of(), tmp_path / "run.h5", *watching(), epochs=2)
    assert [one.gaps for one in Run(tmp_path / "run.h5").recordings.values()] == [(), ()]
    assert "every 3 steps, 3 rows\n" in Run(tmp_path / "run.h5").summary()


def test_a_killed_process_leaves_what_was_committed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import test_recorder as t; "
        "t.train(t.simulator_of(), Path(sys.argv[1]), *t.watching(), t.Stop(7, kill=True), epochs=3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run.h5")], cwd=Path(__file__).parent, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Run(tmp_path / "run.h5").recorded("fc1").steps.tolist() == [0, 3]
    train(simulator_of(), tmp_path / "run.h5", *watching(), epochs=3, resume=True)
    train(simulator_of(), tmp_path / "whole.h5", *watching(), epochs=3)
    assert same_recordings(tmp_path / "run.h5", tmp_path / "whole.h5")


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    train(simulator_of(), path, *watching(), epochs=1)
    before = path.read_bytes()
    for other, text in (
        (Recorder("fc1", ["activity", "gates", "credit"], every=2), "every was 3, is 2"),
        (Recorder("fc1", "gates", every=3), r"variables was \['activity', 'gates', 'credit'\], is \['gates'\]"),
        (Recorder("fc2", "gates", every=3, name="fc1"), "target was 'fc1', is 'fc2'"),
    ):
        with pytest.raises(DataError, match=f"Recorder 'fc1': the run to resume was recorded with other.*{text}"):
            train(simulator_of(), path, other, epochs=2, resume=True)
    assert path.read_bytes() == before
    train(simulator_of(), path, epochs=2, resume=True)  # nobody records any more: what was recorded stays
    assert Run(path).recorded("fc1").steps.tolist() == [0, 3] and Run(path).epoch == 2


# -- refusals --------------------------------------------------------------------------------------------------------

POPULATIONS = (
    "Known: bias of fc1, bias of fc2, bias of output, fc1, fc1->fc2, fc2, fc2->output, input, input->fc1, output"
)


@pytest.mark.parametrize(
    ("recorder", "text"),
    [
        (
            lambda: Recorder("fc3", "activity"),
            f"unknown population or synapse group to record 'fc3'; did.*{POPULATIONS}",
        ),
        (
            lambda: Recorder("fc1", "actvity"),
            "unknown variable of 'fc1' 'actvity'; did you mean 'activity'. Known: activ",
        ),
        (lambda: Recorder("fc1->fc2", "activity"), "variable of 'fc1->fc2' 'activity'; known: updates, weights"),
        (
            lambda: Recorder("output", "gates"),
            "variable of 'output' 'gates'; .*nown: activity, credit, error, pre_activ",
        ),
        (lambda: Recorder("input", "credit"), "variable of 'input' 'credit'; .*nown: activity$"),
        (
            lambda: Recorder("fc1", "gates", indices=[6]),
            r"'fc1' has the shape \(6,\); each of indices= is a number within",
        ),
        (lambda: Recorder("fc1", "gates", indices=[-1]), "counted from 0, got -1"),
        (lambda: Recorder("fc1->fc2", "weights", indices=[1]), r"shape \(6, 6\); each of indices= is a tuple of 2 num"),
        (lambda: Recorder("fc1", "gates", indices=["a"]), "Recorder 'fc1': indices= are numbers or tuples of numbers"),
        (lambda: Recorder("fc1", "gates", indices=[1.5]), "indices= are numbers or tuples of numbers, got 1.5"),
        (lambda: Recorder("fc1", "gates", indices=[(0, "a")]), r"numbers or tuples of numbers, got \(0, 'a'\)"),
        (lambda: Recorder("fc1", "gates", indices=3), r"indices= must be several numbers .* such as \[3\], got 3"),
        (lambda: Recorder("fc1", "gates", indices=np.array(3)), r"indices= must be several numbers .* got array\(3\)"),
        (lambda: Recorder("fc1", "gates", every=True), "every= must be a number of steps, 1 or more, got True"),
        (lambda: Recorder("fc1", "gates", indices="12"), "indices= are numbers or tuples of numbers, got '1'"),
        (lambda: Recorder("fc1", 3), "Recorder 'fc1': variables= must be the name of a variable or several, .* got 3"),
        (lambda: Recorder("fc1", ["gates", 3]), r"variables= must be .* got \['gates', 3\]"),
        (lambda: Recorder(3, "activity"), "Recorder: target= must be the name of a population or a group, got 3"),
        (lambda: Recorder("fc1", "gates", name=3), "name= must be a text without '/', got 3"),
        (lambda: Recorder("fc1", "gates", indices=[]), "at least one variable and one index"),
        (lambda: Recorder("fc1", []), "at least one variable and one index"),
        (lambda: Recorder("fc1", "gates", every=0), "every= must be a number of steps, 1 or more, got 0"),
        (lambda: Recorder("fc1", "gates", reduce="max"), "unknown reduction 'max'; known: None, mean, norm, std"),
        (lambda: Recorder("fc1", "gates", name="a/b"), "name= must be a text without '/', got 'a/b'"),
    ],
)
@pytest.mark.usefixtures("wrong_types_allowed")
def test_what_does_not_exist_is_refused_when_training_starts(tmp_path: Path, recorder: Any, text: str) -> None:
    with pytest.raises((SimulationError, UnknownNameError), match=text):
        train(simulator_of(), tmp_path / "run.h5", recorder())
    assert list(tmp_path.iterdir()) == []


def test_credit_and_updates_of_what_does_not_learn(tmp_path: Path) -> None:
    circuit = small("digits-fc").with_rules({"input->fc1": None})
    with pytest.raises(UnknownNameError, match="'fc1' 'credit'; .*; no rule delivers credit to it"):
        Recorder("fc1", "credit").check(circuit)
    with pytest.raises(UnknownNameError, match="'input->fc1' 'updates'; known: weights; 'input->fc1' does not learn"):
        Recorder("input->fc1", "updates").check(circuit)
    assert recordable(small("mnist-conv"))["pool1"] == ("activity", "pre_activations")
    assert "conv1->pool1" not in recordable(small("mnist-conv"))


def test_nothing_to_write_into_and_two_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match=r"nothing records the run; add RunRecorder\('run.h5'\) to the trainer"):
        train(simulator_of(), None, Recorder("fc1", "gates"))
    with pytest.raises(SimulationError, match="Recorder 'fc1': two recorders of that name; .* another name="):
        train(simulator_of(), tmp_path / "run.h5", Recorder("fc1", "gates"), Recorder("fc1", "activity"))


def test_the_order_of_observers_does_not_matter(tmp_path: Path) -> None:
    simulator, data = simulator_of(), data_for(simulator_of())
    observers = [Recorder("fc1", "gates"), RunRecorder(tmp_path / "run.h5")]
    Trainer(simulator, data, epochs=1, batch_size=16, observers=observers).run()
    assert Run(tmp_path / "run.h5").recorded("fc1").rows == 1
