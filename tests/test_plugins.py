"""Rules and circuits of other packages: found, named when broken, never hiding one another."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import field, frozen

from neurosim import BP, GEVB, Circuit, Dense, OneHot, circuits
from neurosim.cli.listing import rule_lines
from neurosim.datasets import available_datasets, load_dataset
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plasticity import CreditForm, PlasticityRule, available_rules, rule_named
from neurosim.plugins import PluginWarning, load_entry_points
from neurosim.rule_words import rule_from_words


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


def entry(name: str, load: Any, package: str | None = "other-package", value: str = "other:it") -> EntryPoint:
    point = EntryPoint(name, value, "any group")
    vars(point).update(load=load, dist=SimpleNamespace(name=package) if package else None)
    return point


def install(monkeypatch: pytest.MonkeyPatch, *added: EntryPoint) -> None:
    """Let other packages announce ``added`` beside what is installed."""
    installed = metadata.entry_points
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [added[0], *installed(group=group), *added[1:]])


def count() -> int:
    """A stranger's circuit that is none."""
    return 3


@frozen
class Demanding(Borrowed):
    """A rule that its name alone does not make."""

    need: float = field(kw_only=True)


def missing_module() -> Any:
    raise ModuleNotFoundError("No module named 'other'")


def misspelt() -> Any:
    raise SyntaxError("invalid syntax")


def leaves() -> Any:
    raise SystemExit("usage: other FILE")


BROKEN = {
    "of a module": (missing_module, "ModuleNotFoundError: No module named 'other'"),
    "of any kind": (refuses, "RuntimeError: needs a newer compiler"),
    "of syntax": (misspelt, "SyntaxError: invalid syntax"),
    "of a script": (leaves, "SystemExit: usage: other FILE"),
}


@pytest.mark.parametrize("error", BROKEN)
def test_a_broken_plugin_is_named_and_hides_no_other(error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load, reason = BROKEN[error]
    installed = available_rules()
    install(monkeypatch, entry("broken", load), entry("borrowed", lambda: Borrowed))
    text = f"neurosim.rules: plug-in 'broken' of other-package .other:it. could not be loaded: {reason}"
    with pytest.warns(PluginWarning, match=text) as warned:
        rules = available_rules()
    assert len(warned) == 1
    assert rules == installed | {"borrowed": Borrowed}
    assert installed["bp"] is BP
    with pytest.warns(PluginWarning):
        assert rule_named("gevb") == GEVB()


WORDS = "plug-in 'broken' of other-package (other:it) could not be loaded: RuntimeError: needs a newer compiler"


@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        ("rule", lambda: rule_named("broken")),
        ("rule", lambda: rule_from_words("broken(gain=2)")),
        ("rule", lambda: PlasticityRule.from_dict({"type": "Broken"})),
        ("circuit", lambda: circuits.load("broken")),
        ("dataset", lambda: load_dataset("broken")),
    ],
    ids=["rule", "rule in words", "rule in a file", "circuit", "dataset"],
)
def test_an_unknown_name_may_be_that_of_a_broken_plugin(
    kind: str, ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a warning alone, which may have been shown long before, or not at all."""
    install(monkeypatch, entry("broken", refuses), entry("borrowed", lambda: Borrowed))
    text = rf"unknown {kind} '[bB]roken'.*; of the plug-ins of other packages, .*{re.escape(WORDS)}"
    with pytest.warns(PluginWarning), pytest.raises(UnknownNameError, match=text):
        ask()


def test_where_no_plugin_is_left_out_nothing_is_said_of_them() -> None:
    for ask in (lambda: rule_named("gevbb"), lambda: circuits.load("fc"), lambda: load_dataset("digit")):
        with pytest.raises(UnknownNameError) as caught:
            ask()
        assert "plug-in" not in str(caught.value)


NO_RULES = {"a function": tiny, "an instance": Borrowed(), "another class": Circuit, "nothing": None}


@pytest.mark.parametrize("found", NO_RULES)
def test_what_is_no_rule_is_named_and_left_out(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = available_rules()
    install(monkeypatch, entry("odd", lambda: NO_RULES[found]), entry("borrowed", lambda: Borrowed))
    text = "neurosim.rules: plug-in 'odd' of other-package .other:it. is left out: expected a subclass of .*, got "
    with pytest.warns(PluginWarning, match=text + re.escape(repr(NO_RULES[found]))):
        assert available_rules() == installed | {"borrowed": Borrowed}


class _NoCredit(PlasticityRule):
    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.BROADCAST


class _NoUses(Borrowed):
    uses = None  # type: ignore[assignment]


class _UsesText(Borrowed):
    uses = frozenset({"error"})  # type: ignore[arg-type]


class _UsesBySetting(Borrowed):
    @property
    def uses(self) -> Any:
        return PlasticityRule.uses


HALF_RULES = {
    "the base class": (PlasticityRule, "PlasticityRule must define form and credit, see docs/write_a_rule.md"),
    "without credit": (_NoCredit, "_NoCredit must define credit, see"),
    "uses None": (
        _NoUses,
        "_NoUses.uses must be a frozenset of Signal, such as PlasticityRule.uses | {Signal.WEIGHTS}",
    ),
    "uses text": (_UsesText, "_UsesText.uses must be a frozenset of Signal, .*, got frozenset({'error'})"),
    "uses as a property": (_UsesBySetting, "_UsesBySetting.uses must be a frozenset of Signal, .*, got <property"),
}


@pytest.mark.parametrize("found", HALF_RULES)
def test_half_a_rule_is_named_left_out_and_hides_no_other(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    installed, (rule, reason) = available_rules(), HALF_RULES[found]
    install(monkeypatch, entry("half", lambda: rule), entry("borrowed", lambda: Borrowed))
    text = "neurosim.rules: plug-in 'half' of other-package .other:it. is left out: "
    with pytest.warns(PluginWarning, match=text + re.escape(reason).replace(r"\.\*", ".*")) as warned:
        assert available_rules() == installed | {"borrowed": Borrowed}
    assert len(warned) == 1
    with pytest.warns(PluginWarning):
        assert any(line.startswith("borrowed ") for line in rule_lines())
    with pytest.warns(PluginWarning), pytest.raises(UnknownNameError, match="unknown rule 'half'.* is left out: "):
        rule_named("half")


@pytest.mark.parametrize(
    ("group", "available"),
    [("neurosim.circuits", circuits.available_circuits), ("neurosim.datasets", available_datasets)],
)
def test_what_cannot_be_called_is_named_and_left_out(
    group: str, available: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = available()
    install(monkeypatch, entry("odd", lambda: 3), entry("fine", lambda: tiny))
    text = f"{group}: plug-in 'odd' of other-package .other:it. is left out: expected something to call, got 3"
    with pytest.warns(PluginWarning, match=text) as warned:
        assert set(available()) == {*installed, "fine"}
    assert len(warned) == 1


def test_a_circuit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("count", lambda: count))
    with pytest.raises(CircuitError, match="plug-in 'count': expected it to return a neurosim.Circuit, got int"):
        circuits.load("count")


def test_a_rule_without_defaults_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("demanding", lambda: Demanding))
    with pytest.raises(CircuitError, match="rule 'demanding' cannot be made by its name alone: .*'need'.* a default"):
        rule_named("demanding")


@pytest.mark.parametrize("late", [False, True], ids=["found before ours", "found after ours"])
def test_no_stranger_takes_a_name_of_ours(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = available_rules()
    first = entry("first", lambda: Borrowed)
    thief = entry("gevb", lambda: Borrowed)
    install(monkeypatch, *([first, thief] if late else [thief, first]))
    text = "plug-in 'gevb' of other-package .other:it. is left out, because neurosim itself has 'gevb'; register it und"
    with pytest.warns(PluginWarning, match=text) as warned:
        assert available_rules() == installed | {"first": Borrowed}
    assert len(warned) == 1


def test_ours_are_loaded_before_a_strangers_class_can_take_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []

    def load() -> type[PlasticityRule]:
        order.append("borrowed")
        return Borrowed

    theirs = entry("a", load)
    ours = entry("z", lambda: order.append("ours") or GEVB, package="Neurosim_Plasticity")
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [theirs, ours])
    assert list(load_entry_points("neurosim.rules")) == ["z", "a"]
    assert order == ["ours", "borrowed"]


def test_two_strangers_of_one_name_are_both_named_and_neither_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = available_rules()
    claims = [entry("oja", missing_module, package, f"{package}.oja:Oja") for package in ("zebra", "ant")]
    install(monkeypatch, *claims, entry("borrowed", lambda: Borrowed))
    text = r"2 plug-ins claim one name: 'oja' of ant \(ant.oja:Oja\) and 'oja' of zebra \(zebra.oja:Oja\); none of them"
    with pytest.warns(PluginWarning, match=text) as warned:
        assert available_rules() == installed | {"borrowed": Borrowed}
    assert len(warned) == 1
    with pytest.warns(PluginWarning, match=text), pytest.raises(UnknownNameError, match="unknown rule 'oja'"):
        rule_named("oja")


def test_a_package_that_is_found_twice_claims_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, entry("borrowed", lambda: Borrowed), entry("borrowed", lambda: Borrowed))
    assert available_rules()["borrowed"] is Borrowed


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
