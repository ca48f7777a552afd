"""Rules and circuits of other packages: found, named when broken, never hiding one another."""

from __future__ import annotations

from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen

from neurosim import BP, GEVB, Circuit, Dense, OneHot, circuits
from neurosim.errors import UnknownNameError
from neurosim.plasticity import CreditForm, PlasticityRule, available_rules, rule_named
from neurosim.plugins import PluginWarning, load_entry_points


@frozen
class Borrowed(PlasticityRule):
    """A stranger's rule."""

    strength: float = 1.0

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.BROADCAST

    def credit(self, context: Any) -> None:
        return None


def tiny() -> Circuit:
    """A stranger's circuit."""
    c = Circuit(4, OneHot(3))
    c.connect("input", "output", Dense(), rule=GEVB())
    return c


def refuses() -> Any:
    raise RuntimeError("needs a newer compiler")


def entry(name: str, load: Any, package: str | None = "other-package") -> SimpleNamespace:
    return SimpleNamespace(
        name=name, load=load, value=f"other.{name}:it", dist=SimpleNamespace(name=package) if package else None
    )


def install(monkeypatch: pytest.MonkeyPatch, *added: SimpleNamespace) -> None:
    """Let other packages announce ``added`` beside what is installed."""
    installed = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [added[0], *installed(group=group), *added[1:]])


def missing_module() -> Any:
    raise ModuleNotFoundError("No module named 'other'")


def leaves() -> Any:
    raise SyntaxError("invalid syntax")


BROKEN = {
    "of a module": (missing_module, "ModuleNotFoundError: No module named 'other'"),
    "of any kind": (refuses, "RuntimeError: needs a newer compiler"),
    "of syntax": (leaves, "SyntaxError: invalid syntax"),
}


@pytest.mark.parametrize("error", BROKEN)
def test_a_broken_plugin_is_named_and_hides_no_other(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, reason = BROKEN[error]
    installed = available_rules()
    install(monkeypatch, entry("broken", load), entry("borrowed", lambda: Borrowed))
    text = f"neurosim.rules: plug-in 'broken' of other-package .other.broken:it. could not be loaded: {reason}"
    with pytest.warns(PluginWarning, match=text) as warned:
        rules = available_rules()
    assert len(warned) == 1
    assert rules == installed | {"borrowed": Borrowed}
    assert installed["bp"] is BP
    with pytest.warns(PluginWarning):
        assert rule_named("gevb") == GEVB()


def test_a_plugin_of_unknown_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("broken", refuses, package=None))
    with pytest.warns(PluginWarning, match="plug-in 'broken' of an unknown package"):
        load_entry_points("neurosim.rules")


def test_an_interrupt_is_no_broken_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> Any:
        raise KeyboardInterrupt

    install(monkeypatch, entry("slow", interrupted))
    with pytest.raises(KeyboardInterrupt):
        load_entry_points("neurosim.rules")


def test_a_strangers_rule_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("borrowed", lambda: Borrowed))
    assert rule_named("borrowed") == Borrowed(strength=1.0)


def test_a_strangers_circuit_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("tiny", lambda: tiny), entry("broken", refuses))
    with pytest.warns(PluginWarning, match="neurosim.circuits: plug-in 'broken'"):
        assert circuits.load("tiny") == tiny()
    with pytest.warns(PluginWarning):
        assert {"tiny", "mnist-fc", "digits-fc"} <= set(circuits.available_circuits())


def test_a_rule_that_is_not_imported_yet_is_found_when_a_circuit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> type[PlasticityRule]:
        @frozen
        class ReadLate(Borrowed):
            pass

        return ReadLate

    data = {"type": "ReadLate", "strength": 2.0}
    with pytest.raises(UnknownNameError, match="unknown rule.* 'ReadLate'"):
        PlasticityRule.from_dict(data)
    install(monkeypatch, entry("late", load))
    found = PlasticityRule.from_dict(data)
    assert (type(found).__name__, found.to_dict()) == ("ReadLate", data)


def test_unknown_names_list_the_installed_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown rule 'gevbb'; did you mean 'gevb'. Known: .*bp, .*gevb"):
        rule_named("gevbb")
    with pytest.raises(UnknownNameError, match="unknown circuit 'mnist'; .*cifar10-conv, .*mnist-fc"):
        circuits.load("mnist")


def test_a_group_without_plugins_is_empty() -> None:
    assert load_entry_points("neurosim.nothing") == {}
