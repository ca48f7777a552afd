"""Slips that annotations catch in a test run: what a user without a type checker reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: what is written -> a part of what is said
SLIPS = {
    "c.with_rules('bp')": "with_rules: expected a rule such as GEVB(), None, or GROUP -> rule, got 'bp'",
    "c.with_rules(BP)": "with_rules: expected a rule such as GEVB(), None, or GROUP -> rule, got <class",
    "c.population('f1', True)": "'f1': a shape is (n,), (channels, height, width) or (channels, ...), got True",
    "Circuit(4, 10)": "readout must be a Readout such as OneHot(10), got 10",
    "Circuit((1, ...), OneHot(3))": "the shape of the input must be complete, got (1, Ellipsis)",
    "Circuit(4, OneHot(3), output_bias='channel')": "unknown output bias 'channel'; known: None, unit",
    "Circuit(4, OneHot(3.0))": "OneHot.classes must be an integer of at least 2, got 3.0",
    "c.population('f1', 2.5)": "'f1': a shape is (n,), (channels, height, width) or (channels, ...), got 2.5",
    "c.population('f1', 'abc')": "'f1': a shape is (n,), (channels, height, width) or (channels, ...), got 'abc'",
    "c.population(3, 4)": "a name must be a printable, non-empty text without '/', got 3",
    "c.population('f1', 4, gate=SignGate)": "'f1': gate must be a gate such as SignGate(), or None, got <class 'neuros",
    "c.population('f1', 4, bias_rule='gevb')": "'f1': bias_rule must be a rule, None or 'shared', got 'gevb'",
    "c.connect('input', 'output', Dense)": "'input->output': connectivity must be a connectivity such as Dense(), got",
    "c.connect('input', 'output', Dense(), rule=GEVB)": "; write GEVB(...), an object of that class",
    "c.connect('input', 'output', Dense(), rule='gevb')": "rule must be a rule such as GEVB(), or None, got 'gevb'",
    "c.connect('input', 'output', Dense(), init=He)": "init must be an initializer such as He(), got <class",
    "c.relay('p0', 'input', AvgPool)": "'input->p0': connectivity must be a connectivity such as Dense(), got <class",
    "Conv2d(2.5)": "kernel must be an integer >= 1, or (height, width) of such; got 2.5",
    "Conv2d((3, 3, 3))": "kernel must be an integer >= 1, or (height, width) of such; got (3, 3, 3)",
    "Circuit.from_dict(c.to_dict() | {'readout': None})": "expected the data of a readout, with its type, got None",
    "Circuit.from_dict(c.to_dict() | {'K': '3'})": "K must be a whole number of at least 1, got '3'",
    "Circuit.from_dict(c.to_dict() | {'groups': 3})": "circuit data are incomplete or malformed: TypeError",
}


#: other ways to write a shape, numpy's numbers among them -> what becomes of it
ACCEPTED = {
    "c.population('f1', [5]).shape": "(5,)",
    "c.population('f1', np.int64(5)).shape": "(5,)",
    "c.population('f1', (np.int64(4), 6, 6)).shape": "(4, 6, 6)",
    "c.population('f1', [4, ...]).shape_open": "True",
    "Circuit([1, 4, 4], OneHot(3)).inputs": "(1, 4, 4)",
    "Circuit(np.int64(7), OneHot(3)).inputs": "(7,)",
}


def run(expressions: list[str], folder: Path) -> dict[str, str]:
    """What each expression gives or raises, evaluated beside a fresh circuit ``c`` by an interpreter without hooks."""
    code = f"""
import json
import numpy as np
from neurosim import *
said = {{}}
for expression in {expressions}:
    c = Circuit((1, 4, 4), OneHot(3))
    before = c.to_json()
    try:
        said[expression] = repr(eval(expression))
    except Exception as error:
        said[expression] = f"{{[kind.__name__ for kind in type(error).__mro__]}} {{error}}"
        assert c.to_json() == before, expression
print(json.dumps(said))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said: dict[str, str] = json.loads(result.stdout)
    return said


def test_slips_of_a_user(tmp_path: Path) -> None:
    said = run([*SLIPS, *ACCEPTED], tmp_path)
    for slip, text in SLIPS.items():
        assert text in said[slip], slip
        assert "NeurosimError" in said[slip], slip
    assert {expression: said[expression] for expression in ACCEPTED} == ACCEPTED
