"""The 48 experiments of Tables 1 and 2 of Clark, Abbott & Chung (NeurIPS 2021), with their reported errors.

The errors stand in ``paper_tables.json``, means of five runs, in percent; the alignment angles of Figures 2 and 6 in
``paper_alignment.json``, for 16 of the experiments. The networks are those of
:mod:`neurosim.circuits.paper`. Direct feedback alignment draws its matrix from (0, 1) in nonnegative networks and from
(-1, 1) in mixed-sign ones (Appendix I).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from neurosim.circuit import Circuit
from neurosim.circuits import paper
from neurosim.plasticity import PlasticityRule
from neurosim.published import PublishedAngles, PublishedExperiment
from neurosim.rules.bp import BP
from neurosim.rules.dfa import DFA
from neurosim.rules.gevb import GEVB

_TABLE_OF = {"mnist": "table1", "cifar10": "table2"}
_NETWORKS: dict[tuple[str, str], Callable[..., Circuit]] = {
    ("mnist", "fc"): paper.mnist_fc,
    ("mnist", "conv"): paper.mnist_conv,
    ("mnist", "lc"): paper.mnist_lc,
    ("cifar10", "fc"): paper.cifar10_fc,
    ("cifar10", "conv"): paper.cifar10_conv,
    ("cifar10", "lc"): paper.cifar10_lc,
}


def tables() -> tuple[PublishedExperiment, ...]:
    """Every cell of both tables, MNIST first.

    Example:
        >>> cells = tables()
        >>> cells[0].name, cells[0].test_error, cells[0].build().K
        ('table1/fc/vectorized/nonnegative/gevb', 1.87, 10)
    """
    data, measured = _read("paper_tables.json"), _read("paper_alignment.json")
    angles = {_name(each): tuple(map(_angles, each["checkpoints"])) for each in measured["experiments"]}
    return tuple(_experiment(cell, data["source"], angles.get(_name(cell), ())) for cell in data["cells"])


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(files("neurosim.circuits").joinpath(name).read_text(encoding="utf-8"))
    return data


def _name(cell: dict[str, Any]) -> str:
    return "/".join((_TABLE_OF[cell["dataset"]], *(cell[part] for part in ("architecture", "network", "sign", "rule"))))


def _angles(checkpoint: dict[str, Any]) -> PublishedAngles:
    return PublishedAngles(checkpoint["epoch"], tuple(checkpoint["mean_degrees"]), tuple(checkpoint["std_degrees"]))


def _experiment(cell: dict[str, Any], source: str, angles: tuple[PublishedAngles, ...]) -> PublishedExperiment:
    return PublishedExperiment(
        name=_name(cell),
        dataset=cell["dataset"],
        build=partial(_circuit, cell),
        test_error=cell["test_error_percent"],
        train_error=cell["train_error_percent"],
        source=source,
        angles=angles,
    )


def _circuit(cell: dict[str, Any]) -> Circuit:
    build = _NETWORKS[cell["dataset"], cell["architecture"]]
    rule = _rule(cell["rule"], cell["sign"])
    return build(sign=cell["sign"], rule=rule, conventional=cell["network"] == "conventional")


def _rule(name: str, sign: str) -> PlasticityRule:
    if name == "dfa":
        return DFA(limits=(0.0, 1.0) if sign == "nonnegative" else (-1.0, 1.0))
    return {"gevb": GEVB(), "bp": BP()}[name]
