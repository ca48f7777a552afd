"""A folder of a reproduction holds the runs that its places say, all on one dataset, or no table is made of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from training_fakes import FakeSimulator, fake_dataset

from neurosim.errors import DataError
from neurosim.reproduction.reproduction import Reproduction, Settings, Task
from neurosim.reproduction.runs import refuse_foreign, run_files
from neurosim.reproduction.table import cells
from neurosim.runs.recording import RunRecorder
from neurosim.runs.run import Run
from neurosim.training import Trainer


def record(folder: Path, place: str = "t/a", seed: int = 0, experiment: str | None = None, images: int = 0) -> Path:
    """A run of one epoch at the place of an experiment and seed."""
    path = folder / "runs" / place / f"seed{seed}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    watching = [RunRecorder(path, notes={"experiment": experiment or place})]
    Trainer(FakeSimulator(seed=seed), fake_dataset(seed=images), epochs=1, observers=watching).run()
    return path


def test_a_folder_of_its_own_runs(tmp_path: Path) -> None:
    made = [record(tmp_path, "t/a"), record(tmp_path, "t/a", seed=1), record(tmp_path, "t/b/c")]
    refuse_foreign(tmp_path, "float32")
    assert run_files(tmp_path) == made
    refuse_foreign(tmp_path / "nothing", "float32")


@pytest.mark.parametrize("kind", ["experiment", "seed", "precision", "data"])
def test_a_run_in_the_wrong_place(tmp_path: Path, kind: str) -> None:
    tables = {precision: Reproduction(tmp_path, Settings(precision=precision)) for precision in ("float32", "float64")}
    record(tmp_path)
    precision, found = "float32", "of t/a, seed 0, in float32"
    if kind == "experiment":
        record(tmp_path, "t/b", experiment="t/a")
    elif kind == "seed":
        (tmp_path / "runs" / "t" / "a" / "seed2.h5").write_bytes(record(tmp_path, "t/a", seed=1).read_bytes())
        found = "expected the run of t/a, seed 2, in float32, found that of t/a, seed 1"
    elif kind == "precision":
        precision = "float64"
    else:
        record(tmp_path, seed=1, images=1)
        found = "seed1.h5: it was trained on other images named "
    with pytest.raises(DataError, match=re.escape(found)):
        refuse_foreign(tmp_path, precision)
    with pytest.raises(DataError, match=re.escape(found)):  # so no table is made either
        cells(tables[precision], [])


def test_further_runs_on_other_data_are_not_begun(tmp_path: Path) -> None:
    folder = Reproduction(tmp_path, Settings())
    path = record(tmp_path)
    fingerprint = str(Run(path).attributes["dataset_fingerprint"])
    name = str(Run(path).attributes["dataset"])
    refuse_foreign(tmp_path, "float32", {name: fingerprint})
    with pytest.raises(DataError, match=f"on other images named '{name}' than the dataset at hand, .* same --data-dir"):
        refuse_foreign(tmp_path, "float32", {name: "another"})
    before = path.read_bytes()
    record(tmp_path, seed=1, images=1)
    with pytest.raises(DataError, match="it was trained on other images"):
        folder.run([Task("table1/fc/vectorized/mixed/gevb", 0, 1, folder.path("x", 0))])
    assert path.read_bytes() == before and not folder.record.exists()
