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
    "c.guarantees('gevb')": "guarantees: expected a rule such as GEVB(), or None, got 'gevb'; neurosim",
    "c.guarantees({'input->output': None})": "guarantees: expected a rule such as GEVB(), or None, got {'input",
    "c.guarantees(BP)": "BP'>; write BP(...), an object of that class",
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
    "c.connect('input', 'output', Dense(), sign=3)": "unknown sign 3, which is no text; known: mixed, nonneg",
    "c.connect(3, 'output', Dense())": "unknown population 3, which is no text; known: input, output",
    "c.connect(['input'], 'output', Dense())": "unknown population ['input'], which is no text; known: input, output",
    "c.with_rules({3: GEVB()})": "unknown group 3, which is no text; known: none",
    "c.group([3])": "unknown group [3], which is no text; known: none",
    "c.with_sharing({'input->output': 'untied'})": "with_sharing: expected 'tied' or 'untied', for all groups betw",
    "c.with_sharing(3)": "with_sharing: expected 'tied' or 'untied', for all groups between vector units, got 3; ",
    "c.check(vectorization='causal')": "unknown vectorization 'causal'; known: group, temporal, temporal:causal, tempo",
    "c.check(vectorization='replay')": "; that order of time bins is temporal:replay",
    "c.check(vectorization='group:causal')": "an order of time bins is for 'temporal', as in temporal:causal",
    "c.check(vectorization='temporal:')": "unknown order of time bins ''; known: causal, replay",
    "OneHot(10, 3)": "unknown loss for OneHot 3, which is no text; known: cross_entropy, logistic, squared",
    "Binary(10, 3)": "unknown loss for Binary 3, which is no text; known: logistic, squared",
    "ExternalGate(source=None)": "ExternalGate.source must be a printable, non-empty text without '/', other than '.'",
    "ExternalGate(source='')": "ExternalGate.source must be a printable, non-empty text without '/', other than '.'",
    "circuits.load(3)": "unknown circuit 3, which is no text; known: cifar10-conv, cifar10-fc",
    "circuits.load('digits-fc', sign=3)": "unknown sign 3, which is no text; known: mixed, nonnegative",
    "circuits.load('digits-fc', wdths=3)": "unknown option of circuit 'digits-fc' 'wdths'; did you mean 'widths'?",
    "circuits.load('digits-fc', widths=3)": "its options and what they are by default: sign='nonnegative', rule=None, ",
    "SGD('x')": "optimizer: lr must be a finite number, got 'x'",
    "Adam(float('nan'))": "optimizer: lr must be a finite number, got nan",
    "SGD(0.1, groups=3)": "optimizer: groups must be options by group, as {'f1->output': {'lr': 0.01}}, got 3",
    "SGD(0.1, groups={'a': 3})": "groups must be options by group, as {'f1->output': {'lr': 0.01}}, got {'a': 3}",
    "SGD(0.1, groups={'a': {'lr': None}})": "optimizer for 'a': lr must be a finite number, got None",
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
    "vectorization_named('temporal:causal')": "Temporal(order='causal')",
    "vectorization_named('temporal:replay') == vectorization_named('temporal')": "True",
    "Simulator(circuits.load('digits-fc', gate=FirstBinGate(), readout=OneHot(10, 'squared')), "
    "vectorization='temporal:causal').presentations": "1",
}


def run(expressions: list[str], folder: Path) -> dict[str, str]:
    """What each expression gives or raises, evaluated beside a fresh circuit ``c`` by an interpreter without hooks."""
    code = f"""
import json
import numpy as np
from neurosim import *
from neurosim.vectorization import vectorization_named
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
