"""The examples and the README's code run as a newcomer would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert (tmp_path / "swap_rules.png").stat().st_size > 10_000


def test_your_own_rule(tmp_path):
    printed = run(tmp_path, str(ROOT / "examples" / "your_own_rule.py"))
    errors = {m[0]: float(m[1]) for m in re.findall(r"^(\w+)\(\) +test error +([0-9.]+)%", printed, re.M)}
    assert set(errors) == {"RandomSigns", "GEVB"} and errors["GEVB"] < 10


def test_readme_example(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.search(r"## Fifteen lines\n\n```python\n(.*?)```", text, re.S).group(1)
    printed = run(tmp_path, "-c", code)
    assert float(re.search(r"test error ([0-9.]+)%", printed).group(1)) < 15


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
def test_readme_links(link):
    assert (ROOT / link).exists()
