"""docs/write_a_rule.md, followed to the letter: every file, the laws, the training, the installation, the mistake."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from strangers import install, python

from neurosim.credit import CreditContext
from neurosim.plasticity import NEEDS, CreditForm, PlasticityRule, Signal

GUIDE = Path(__file__).resolve().parents[1] / "docs" / "write_a_rule.md"
TEXT = GUIDE.read_text(encoding="utf-8")
FILES = {name: code for name, code in re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", TEXT, re.S | re.M)}
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.S | re.M)
PYTEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("guide")
    for name, code in FILES.items():
        (place / name).write_text(code, encoding="utf-8")
    return place


def test_every_block_is_run_here():
    assert set(FILES) == {"my_rules.py", "test_my_rules.py", "try_it.py", "pyproject.toml"}
    kinds = [kind for kind, _ in BLOCKS]
    assert sorted(kinds) == ["python"] * 4 + ["sh", "text", "toml"]


def test_it_takes_under_forty_lines_of_code():
    assert 20 < sum(bool(line.strip()) for code in FILES.values() for line in code.splitlines()) < 40


def test_the_rule_keeps_the_laws(folder):
    printed = python(folder, *PYTEST, packages=[]).stdout
    assert int(re.search(r"^(\d+) passed in", printed, re.M).group(1)) >= 90


def test_the_rule_learns(folder):
    assert float(python(folder, "try_it.py", packages=[folder]).stdout) < 0.2  # chance is 0.9


def test_the_rule_is_taken_from_its_file(folder):
    flat = " ".join(TEXT.split())
    for start in ("neurosim train --rule my_rules", "neurosim --import my_rules"):
        (command,) = re.findall(f"`({start}[^`]+)`", flat)
        printed = python(folder, "-m", "neurosim.cli", *command.split()[1:], packages=[]).stdout
    assert "degrees between the credit of each rule" in printed


def test_the_rule_is_found_by_its_name(folder, tmp_path):
    installed = install(folder, tmp_path)
    (commands,) = (code for kind, code in BLOCKS if kind == "sh")
    first, *others = [line.split() for line in commands.splitlines()]
    assert first == ["pip", "install", "."]
    listed, trained = (python(tmp_path, "-m", "neurosim.cli", *line[1:], packages=[installed]) for line in others)
    assert re.search(r"^  eager +[x. ]+\n +GEVB that changes active units faster", listed.stdout, re.M)
    assert "Eager(gain=1.0)" in trained.stdout and (tmp_path / "runs" / "digits-fc-eager-seed0.h5").exists()
    assert tomllib.loads(FILES["pyproject.toml"])["project"]["name"] == "my-rules"


def test_the_rule_that_peeks_is_caught(folder, tmp_path):
    ((_, peeks),) = [(kind, code) for kind, code in BLOCKS if kind == "python" and code not in FILES.values()]
    ((_, message),) = [block for block in BLOCKS if block[0] == "text"]
    honest = FILES["my_rules.py"].splitlines(keepends=True)
    (tmp_path / "my_rules.py").write_text("".join(honest[:-1]) + peeks, encoding="utf-8")
    (tmp_path / "test_my_rules.py").write_text(FILES["test_my_rules.py"], encoding="utf-8")
    done = subprocess.run([sys.executable, *PYTEST, "-k", "dense"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    broken = set(re.findall(r"^FAILED .*\[(\w+)-", done.stdout, re.M))
    # where groups are frozen beside it, learning does not even compute what it peeks at
    assert broken == {"nothing_undeclared_is_used", "learning_beside_others_is_what_the_probe_shows"}
    assert message.strip() in done.stdout


def test_everything_a_rule_may_see_and_say_is_told():
    for word in [*Signal, *CreditForm]:
        assert f"`{word.name}`" in TEXT
    for need in NEEDS:
        assert f'`"{need}"`' in TEXT
    optional = [name for name in vars(PlasticityRule) if not name.startswith("_")]
    untold = {"kind", "entry_points", "label"}
    for name in set(optional) - untold:
        assert re.search(rf"`{name}\b", TEXT), f"the guide does not tell of {name}"


def test_everything_in_the_context_is_told():
    for name in set(vars(CreditContext)) - {"population", "rule", "together"}:
        if not name.startswith("_"):
            assert re.search(rf"`(context\.)?{name}\b", TEXT), f"the guide does not tell of {name}"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links(link):
    assert (GUIDE.parent / link).exists()
