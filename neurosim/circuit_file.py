"""A circuit as plain data, as JSON and as text."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from neurosim.connectivity import Connectivity
from neurosim.errors import CircuitError, NeurosimError
from neurosim.gates import Gate
from neurosim.initializers import Initializer
from neurosim.plasticity import PlasticityRule
from neurosim.populations import Population, SynapseGroup
from neurosim.readout import Readout
from neurosim.relaxation import WeightRelaxation

if TYPE_CHECKING:
    from neurosim.circuit import Circuit

FORMAT, VERSION = "neurosim-circuit", 1


def to_data(circuit: Circuit) -> dict[str, Any]:
    """Everything that :func:`from_data` needs, in the order in which it was built."""
    hidden = [p for p in circuit.populations.values() if p.name not in ("input", "output")]
    return {
        "format": FORMAT,
        "version": VERSION,
        "inputs": list(circuit.inputs),
        "readout": circuit.readout.to_dict(),
        "K": circuit.K,
        "output_bias": circuit.populations["output"].bias,
        "populations": [_population_data(circuit, p) for p in hidden],
        "groups": [_group_data(group) for group in circuit.groups.values()],
    }


def _population_data(circuit: Circuit, population: Population) -> dict[str, Any]:
    if population.relay_of is not None:
        (pooling,) = circuit.into(population.name)
        return {"relay": population.name, "pre": pooling.pre, "connectivity": pooling.connectivity.to_dict()}
    rule = population.bias_rule
    return {
        "population": population.name,
        "shape": [*population.shape, *(["..."] if population.shape_open else [])],
        "gate": population.gate.to_dict() if population.gate is not None else None,
        "bias": population.bias,
        "bias_rule": rule.to_dict() if isinstance(rule, PlasticityRule) else rule,
    }


def _group_data(group: SynapseGroup) -> dict[str, Any]:
    relaxation = group.relaxation.to_dict() if group.relaxation is not None else None
    sharing = {"sharing": group.sharing, "relaxation": relaxation} if group.untied else {}  # tied is the default
    return {
        "name": group.name,
        "pre": group.pre,
        "post": group.post,
        "connectivity": group.connectivity.to_dict(),
        "rule": group.rule.to_dict() if group.rule is not None else None,
        "sign": group.sign,
        "init": group.init.to_dict(),
    } | sharing


def from_data(kind: type[Circuit], data: Any) -> Circuit:
    """Rebuild a circuit through the builder, so that every check runs again.

    Raises:
        CircuitError: the data are not a circuit, or are one of a newer version.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CircuitError(f"these data are no circuit: expected format '{FORMAT}'")
    if data.get("version") != VERSION:
        raise CircuitError(f"circuit data of version {data.get('version')}; this neurosim reads version {VERSION}")
    try:
        return _build(kind, data)
    except NeurosimError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CircuitError(f"circuit data are incomplete or malformed: {error!r}") from error


def _build(kind: type[Circuit], data: dict[str, Any]) -> Circuit:
    circuit = kind(
        inputs=tuple(data["inputs"]),
        readout=Readout.from_dict(data["readout"]),
        K=data["K"],
        output_bias=data["output_bias"],
    )
    populations, groups = list(data["populations"]), list(data["groups"])
    for entry in populations:
        if "relay" in entry:
            circuit.relay(entry["relay"], entry["pre"], Connectivity.from_dict(entry["connectivity"]))
            continue
        rule = entry["bias_rule"]
        circuit.population(
            entry["population"],
            tuple(Ellipsis if extent == "..." else extent for extent in entry["shape"]),
            gate=Gate.from_dict(entry["gate"]) if entry["gate"] is not None else None,
            bias=entry["bias"],
            bias_rule=PlasticityRule.from_dict(rule) if isinstance(rule, dict) else rule,
        )
    for entry in groups:
        circuit.connect(
            entry["pre"],
            entry["post"],
            Connectivity.from_dict(entry["connectivity"]),
            rule=PlasticityRule.from_dict(entry["rule"]) if entry["rule"] is not None else None,
            sign=entry["sign"],
            init=Initializer.from_dict(entry["init"]),
            name=entry["name"],
            sharing=entry.get("sharing", "tied"),
            relaxation=_relaxation(entry.get("relaxation")),
        )
    return circuit


def _relaxation(data: dict[str, Any] | None) -> WeightRelaxation | None:
    return WeightRelaxation.from_dict(data) if data is not None else None


def to_json(circuit: Circuit) -> str:
    """Readable JSON text."""
    return json.dumps(to_data(circuit), indent=1)


def from_json(kind: type[Circuit], text: str) -> Circuit:
    """Rebuild a circuit from :func:`to_json`'s text.

    Raises:
        CircuitError: text that is not JSON, or JSON that is no circuit.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise CircuitError(f"the circuit's text is not JSON: {error}") from error
    return from_data(kind, data)


def as_text(circuit: Circuit) -> str:
    """Two aligned tables: the populations and the groups."""
    weights = {name: circuit.weight_shape(group) for name, group in circuit.groups.items()}
    shows_sharing = any(group.untied for group in circuit.groups.values())
    total = sum(math.prod(shape) for shape in weights.values())
    units = f"{circuit.K} (vector units)" if circuit.K > 1 else f"{circuit.K} (scalar units)"
    populations = [["population", "shape", "gate", "bias"]]
    for p in (circuit.populations[name] for name in circuit.order):
        gate = "scalar" if p.scalar else "relay" if p.relay_of else str(p.gate or "linear")
        populations.append([p.name, str(p.shape), gate, p.bias or "-"])
    groups = [["group", "connectivity", "rule", "sign", "init", "weights", *(["sharing"] if shows_sharing else [])]]
    for name, group in circuit.groups.items():
        rule = str(group.rule) if group.rule is not None else "frozen"
        sharing = [_sharing(circuit, group)] if shows_sharing else []
        groups.append([name, str(group.connectivity), rule, group.sign, str(group.init), str(weights[name]), *sharing])
    title = f"Circuit: K = {units}, readout {circuit.readout}, {total} weights"
    return "\n".join([title, *_aligned(populations), *_aligned(groups)])


def _sharing(circuit: Circuit, group: SynapseGroup) -> str:
    if circuit.populations[group.pre].scalar:
        return "-"
    return f"{group.sharing}, {group.relaxation}" if group.relaxation is not None else group.sharing


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
