"""docs/extend.md, followed to the letter: every file is written and run, its tests pass, its dataset is found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from strangers import install, python

from neurosim import Connectivity, Gate, Initializer
from neurosim.datasets import load_dataset
from neurosim.readout import Readout

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "extend.md"
TEXT = GUIDE.read_text(encoding="utf-8")
FILES = {name: code for name, code in re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", TEXT, re.S | re.M)}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.S | re.M)
PARTS = {"my_gate.py", "my_connectivity.py", "my_initializer.py", "my_readouts.py", "my_data.py"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("guide")
    for name, code in FILES.items():
        (place / name).write_text(code, encoding="utf-8")
    return place


def test_every_block_is_run_here():
    assert set(FILES) == PARTS | {"write_file.py", "test_my_parts.py", "pyproject.toml"}
    assert sorted(kind for kind, code in BLOCKS if code not in FILES.values()) == ["sh"]


def test_the_parts_pass_their_tests(folder):
    printed = python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", packages=[]).stdout
    assert re.search(r"^5 passed in", printed, re.M)


@pytest.mark.parametrize(
    ("file", "written", "wrong"),
    [
        ("my_readouts.py", "clamp(-1, 1)", "clamp(-2, 2)"),
        ("my_gate.py", "return h.square() - theta.square()", "return h - theta.square()"),
        ("my_readouts.py", ".tril(-1)", ".tril(-2)"),
    ],
)
def test_their_tests_can_fail(folder, tmp_path, file, written, wrong):
    for name, code in FILES.items():
        (tmp_path / name).write_text(code.replace(written, wrong) if name == file else code, encoding="utf-8")
    command = "import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '--rootdir', '.']) != 1)"
    assert written in FILES[file] and " failed" in python(tmp_path, "-c", command, packages=[]).stdout


def test_a_file_of_another_writer_is_a_dataset(folder, tmp_path):
    python(tmp_path, str(folder / "write_file.py"), packages=[])
    data = load_dataset(tmp_path / "mine.h5")
    assert (len(data.train), len(data.test), data.class_names) == (40, 10, ("no", "yes"))


def test_the_dataset_is_found_by_its_name(folder, tmp_path):
    installed = install(folder, tmp_path)
    ((_, commands),) = [block for block in BLOCKS if block[0] == "sh"]
    first, second = (line.split() for line in commands.splitlines())
    assert first == ["pip", "install", "."]
    listed = python(tmp_path, "-m", "neurosim.cli", *second[1:], packages=[installed]).stdout
    assert re.search(r"^  clouds +four clouds of points in a plane; \(2,\), 4 classes", listed, re.M)


@pytest.mark.parametrize("base", [Gate, Connectivity, Initializer, Readout])
def test_everything_that_a_part_may_define_is_told(base):
    told_elsewhere = {
        Gate: {"kind"},
        Connectivity: {"kind", "arrange", "correlate_modulated", "accumulate", "accumulate_modulated"},  # for speed
        Initializer: {"kind"},
        Readout: {"kind", "classes", "loss", "bit_errors"},
    }[base]
    for name in {name for name in vars(base) if not name.startswith("_")} - told_elsewhere:
        assert re.search(rf"\b{name}\b", TEXT), f"the guide does not tell of {base.__name__}.{name}"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links(link):
    assert (GUIDE.parent / link).exists()
