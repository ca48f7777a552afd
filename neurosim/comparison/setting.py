"""A setting: what a comparison changes in a circuit, and in the way it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Attribute, field, frozen

from neurosim.circuit import Circuit
from neurosim.circuit_checks import at
from neurosim.description import Description
from neurosim.errors import CircuitError
from neurosim.gates import Gate
from neurosim.plasticity import PlasticityRule
from neurosim.readout import Readout
from neurosim.relaxation import WeightRelaxation
from neurosim.vectorization import Vectorization, vectorization_named


def _named(instance: Setting, attribute: Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise CircuitError(f"Setting.name must be a text that tells it from others, got {value!r}")


def _part(kind: type[Description]) -> Any:
    def check(instance: Setting, attribute: Attribute[Any], value: Any) -> None:
        if value is not None and not isinstance(value, kind):
            raise CircuitError(f"setting '{instance.name}': {attribute.name} must be a {kind.__name__}, got {value!r}")

    return check


def _vectorization(value: Any) -> Vectorization | None:
    return None if value is None else vectorization_named(value)


@frozen
class Setting:
    """What is changed; None leaves the circuit's own.

    Args:
        name: tells it from the other settings of a comparison.
        vectorization: how the K components exist, an object or its name; None: side by side.
        gate: of every population that has one.
        readout: code and loss. K follows its length, unless the circuit is conventional (K = 1).
        sharing: ``"tied"`` or ``"untied"``, of every group between vector units.
        relaxation: what draws untied weights together; only with ``sharing="untied"``.
        rule: of every group that learns; frozen ones stay frozen.

    Raises:
        CircuitError: a part of the wrong kind.
        UnknownNameError: no such vectorization.
    """

    name: str = field(validator=_named)
    vectorization: Vectorization | None = field(default=None, converter=_vectorization)
    gate: Gate | None = field(default=None, validator=_part(Gate))
    readout: Readout | None = field(default=None, validator=_part(Readout))
    sharing: str | None = None
    relaxation: WeightRelaxation | None = field(default=None, validator=_part(WeightRelaxation))
    rule: PlasticityRule | None = field(default=None, validator=_part(PlasticityRule))

    def to_dict(self) -> dict[str, Any]:
        """What is changed, as plain data."""
        parts = {
            "vectorization": self.vectorization,
            "gate": self.gate,
            "readout": self.readout,
            "relaxation": self.relaxation,
            "rule": self.rule,
        }
        plain = {key: part.to_dict() for key, part in parts.items() if part is not None}
        return {"name": self.name} | plain | ({} if self.sharing is None else {"sharing": self.sharing})

    @property
    def runs_as(self) -> Vectorization:
        """How the K components exist."""
        return vectorization_named("group") if self.vectorization is None else self.vectorization


def applied(circuit: Circuit, setting: Setting) -> Circuit:
    """A copy of ``circuit`` with the setting's parts; populations and groups keep their names, and so their draws.

    Raises:
        CircuitError: a part that the circuit cannot take, or that would change nothing in it because it has no place
            for it; the message names the setting.
        UnknownNameError: a sharing that does not exist.

    Example:
        >>> from neurosim import BP, Binary, circuits
        >>> changed = applied(circuits.load("digits-fc"), Setting("4 bits", readout=Binary(10), rule=BP()))
        >>> changed.K, changed.groups["fc1->fc2"].rule
        (4, BP())
    """
    with at(f"setting '{setting.name}'"):
        changed = circuit.copy()
        if setting.readout is not None:
            changed = _with_readout(changed, setting.readout)
        if setting.gate is not None:
            changed = _with_gate(changed, setting.gate)
        if setting.sharing is not None:
            _refuse_nothing_to_share(changed)
            changed = changed.with_sharing(setting.sharing, setting.relaxation)
        elif setting.relaxation is not None:
            raise CircuitError(f"{setting.relaxation} draws untied weights together; add sharing='untied'")
        if setting.rule is not None:
            changed = changed.with_rules(setting.rule)
        if all(group.rule is None for group in changed.groups.values()):
            raise CircuitError("nothing learns, because every group is frozen; give the circuit a rule first")
        return changed.check(setting.runs_as)


def _with_readout(circuit: Circuit, readout: Readout) -> Circuit:
    if readout.classes != circuit.readout.classes:
        raise CircuitError(f"{readout} is for {readout.classes} classes, the circuit tells {circuit.readout.classes}")
    vector_units = circuit.K == circuit.readout.length
    return _rebuilt(circuit, {"readout": readout.to_dict(), "K": readout.length if vector_units else 1})


def _with_gate(circuit: Circuit, gate: Gate) -> Circuit:
    populations: list[dict[str, Any]] = circuit.to_dict()["populations"]
    gated = [entry for entry in populations if entry.get("gate") is not None]
    if not gated:
        raise CircuitError(f"no population of the circuit has a gate, so {gate} would change nothing")
    for entry in gated:
        entry["gate"] = gate.to_dict()
    return _rebuilt(circuit, {"populations": populations})


def _rebuilt(circuit: Circuit, changes: Mapping[str, Any]) -> Circuit:
    """Through the builder, so that every check runs again."""
    return type(circuit).from_dict(circuit.to_dict() | dict(changes))


def _refuse_nothing_to_share(circuit: Circuit) -> None:
    if circuit.K == 1 or all(circuit.populations[group.pre].scalar for group in circuit.groups.values()):
        raise CircuitError("no group of the circuit is between vector units, so there are no weights to tie or untie")
