"""Settings in words, for the command line and for TOML files.

A factor is one thing that a comparison changes, a value is a word for it:

    vectorization   group, temporal, temporal:causal
    gate            SignGate, FirstBinGate, ExternalGate, ...: any gate by its class
    code            onehot, binary, gray, error-correcting:LENGTH, each also with :LOSS, as in onehot:squared
    relaxation      tied; never (untied and left so); every N (untied, averaged every N steps);
                    noise every N x M (untied, a phase of M presentations of noise every N steps; M = 100 if left out)
    rule            gevb, bp, dfa(limits=(0, 1)), ...: any rule that is installed

In a TOML file a value may also be a table of a class and its hyperparameters: ``gate = {type = "ExternalGate",
spread = 1.0}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from neurosim.circuit import Circuit
from neurosim.comparison.setting import Setting, applied
from neurosim.description import Description
from neurosim.errors import UnknownNameError
from neurosim.experiment import ConfigError
from neurosim.gates import Gate
from neurosim.plasticity import PlasticityRule
from neurosim.readout import Binary, ErrorCorrecting, Gray, OneHot, Readout
from neurosim.relaxation import NoiseRelaxation, Relaxation, WeightRelaxation
from neurosim.rule_words import rule_from_words, split_words
from neurosim.vectorization import Vectorization, vectorization_named

#: the name of the setting that changes nothing
AS_IT_IS = "as it is"

_CODES: dict[str, type[Readout]] = {"onehot": OneHot, "binary": Binary, "gray": Gray}
_CODE_WORDS = ("onehot", "binary", "gray", "error-correcting:LENGTH", "each also with :LOSS")
_RELAXATION_WORDS = ("tied", "never", "every N", "noise every N", "noise every N x M")


def _vectorization_of(word: str, circuit: Circuit) -> dict[str, Any]:
    return {"vectorization": vectorization_named(word)}


def _gate_of(word: str, circuit: Circuit) -> dict[str, Any]:
    return {"gate": Gate.from_dict({"type": word})}


def _code_of(word: str, circuit: Circuit) -> dict[str, Any]:
    name, *details = word.split(":")
    classes = circuit.readout.classes
    if name == "error-correcting":
        if not details or not details[0].isdecimal():
            raise ConfigError(f"code '{word}': expected its length in bits, as in error-correcting:15")
        made: dict[str, Any] = {"classes": classes, "length": int(details.pop(0))}
        kind: type[Readout] = ErrorCorrecting
    elif name in _CODES:
        made, kind = {"classes": classes}, _CODES[name]
    else:
        raise UnknownNameError("code", name, _CODE_WORDS, "; others as tables in a TOML file")
    if len(details) > 1:
        raise ConfigError(f"code '{word}': expected at most one loss after the code, got {', '.join(details)}")
    if details:
        made["loss"] = details[0]
    return {"readout": kind(**made)}


def _relaxation_of(word: str, circuit: Circuit) -> dict[str, Any]:
    if word in ("tied", "never"):
        return {"sharing": "tied" if word == "tied" else "untied"}
    averaged = re.fullmatch(r"every ([0-9]+)", word)
    if averaged is not None:
        return {"sharing": "untied", "relaxation": Relaxation(every=int(averaged[1]))}
    noise = re.fullmatch(r"noise every ([0-9]+)( ?x ?([0-9]+))?", word)
    if noise is None:
        hint = "; N is a number of steps, M one of presentations of noise"
        raise UnknownNameError("relaxation", word, _RELAXATION_WORDS, hint)
    presentations = {} if noise[3] is None else {"presentations": int(noise[3])}
    return {"sharing": "untied", "relaxation": NoiseRelaxation(every=int(noise[1]), **presentations)}


def _rule_of(word: str, circuit: Circuit) -> dict[str, Any]:
    return {"rule": rule_from_words(word)}


#: factor -> reads a word for it: what it sets in a Setting
_READ: dict[str, Callable[[str, Circuit], dict[str, Any]]] = {
    "vectorization": _vectorization_of,
    "gate": _gate_of,
    "code": _code_of,
    "relaxation": _relaxation_of,
    "rule": _rule_of,
}
FACTORS = tuple(_READ)

#: factor -> field of a Setting, and the kind of table that a TOML file may give
_TABLES: dict[str, tuple[str, type[Description]]] = {
    "vectorization": ("vectorization", Vectorization),
    "gate": ("gate", Gate),
    "code": ("readout", Readout),
    "relaxation": ("relaxation", WeightRelaxation),
    "rule": ("rule", PlasticityRule),
}


def read_factor(factor: str, value: Any, circuit: Circuit) -> dict[str, Any]:
    """What ``factor = value`` sets in a :class:`~neurosim.comparison.setting.Setting`.

    Args:
        value: a word, or a table of a class (``type``) and its hyperparameters. A code's ``classes`` are the circuit's
            where they are left out.

    Raises:
        UnknownNameError: a factor or value that does not exist; the message lists the known ones.
        ConfigError: a value that is no word or table, or a word with a detail that it cannot take.
        CircuitError: hyperparameters that the class does not take.

    Example:
        >>> from neurosim import circuits
        >>> read_factor("relaxation", "every 100", circuits.load("digits-fc"))
        {'sharing': 'untied', 'relaxation': Relaxation(rate=1.0, every=100)}
    """
    if factor not in _READ:
        raise UnknownNameError("factor", factor, FACTORS)
    if isinstance(value, str):
        return _READ[factor](value.strip(), circuit)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{factor}: expected a word or a table with its type, got {value!r}")
    attribute, kind = _TABLES[factor]
    defaults = {"classes": circuit.readout.classes} if factor == "code" else {}
    sharing = {"sharing": "untied"} if factor == "relaxation" else {}
    return {attribute: kind.from_dict(defaults | dict(value))} | sharing


def one_at_a_time(circuit: Circuit, vary: Sequence[str]) -> tuple[list[Setting], list[str]]:
    """The circuit as it is, the reference, and for each value of each factor a setting with this one change.

    Args:
        vary: texts ``FACTOR=VALUE,VALUE,...``.

    Returns:
        The settings, and which values change nothing because the circuit has them already; these get no setting.

    Raises:
        ConfigError: a text of another form, or a value twice.
        UnknownNameError, CircuitError: as :func:`read_factor` and :func:`~neurosim.comparison.setting.applied`.

    Example:
        >>> from neurosim import circuits
        >>> settings, same = one_at_a_time(circuits.load("digits-fc"), ["gate=SignGate,FirstBinGate", "rule=bp"])
        >>> [setting.name for setting in settings], same
        (['as it is', 'gate=FirstBinGate', 'rule=bp'], ['gate=SignGate'])
    """
    reference = Setting(AS_IT_IS)
    settings, same = [reference], []
    for text in vary:
        factor, equals, values = text.partition("=")
        words = split_words(values)
        if not equals or not all(words):
            raise ConfigError(f"--vary: expected FACTOR=VALUE,VALUE,... as in gate=SignGate,FirstBinGate; got {text!r}")
        for word in words:
            name = f"{factor.strip()}={word}"
            if name in same or any(setting.name == name for setting in settings):
                raise ConfigError(f"--vary: {name} is given twice")
            setting = Setting(name, **read_factor(factor.strip(), word, circuit))
            unchanged = setting.runs_as == reference.runs_as and applied(circuit, setting) == circuit
            same.append(name) if unchanged else settings.append(setting)
    return settings, same


def settings_from(tables: Any, circuit: Circuit) -> list[Setting]:
    """Settings from the tables ``[[setting]]`` of a TOML file: ``name`` and any factors; the first is the reference.

    Raises:
        ConfigError: not a list of tables with a name each.
        UnknownNameError, CircuitError: as :func:`read_factor`.

    Example:
        >>> from neurosim import circuits
        >>> tables = [{"name": "wide", "gate": {"type": "ExternalGate", "spread": 1.0}, "rule": "bp"}]
        >>> settings_from(tables, circuits.load("digits-fc"))[0].gate
        ExternalGate(source='input', spread=1.0, context=None)
    """
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise ConfigError(f"setting: expected tables [[setting]], each with a name, got {tables!r}")
    settings = []
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("name"), str):
            raise ConfigError(f"[[setting]] number {number}: expected a name in quotes, got {table.get('name')!r}")
        for key in table:
            if key not in ("name", *FACTORS):
                raise UnknownNameError(f"factor of the setting '{table['name']}'", key, ["name", *FACTORS])
        parts: dict[str, Any] = {}
        for factor in FACTORS:
            if factor in table:
                parts |= read_factor(factor, table[factor], circuit)
        settings.append(Setting(table["name"], **parts))
    return settings
