"""Rules in words, for the command line and TOML files: ``gevb``, ``dfa(limits=(0, 1))``.

The words are a rule's registered name, or ``MODULE:CLASS`` for a rule of one's own that no package registers
(``my_rules:Eager`` is the class ``Eager`` of ``my_rules.py`` in the current folder, or of any module that can be
imported), and, in brackets as in Python, the hyperparameters that differ from the defaults.
Values are plain data (numbers, texts in quotes, True, False, None, tuples of these), or a feedback or an initializer
with its own: ``sign-symmetric(feedback=ForwardSigns(magnitude='redrawn'))``, ``fa(feedback=FixedRandom(init=He()))``.
Nothing is evaluated, but a module is imported, which runs it.
"""

from __future__ import annotations

import ast
import inspect
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from neurosim.errors import CircuitError, UnknownNameError
from neurosim.feedback import Feedback
from neurosim.initializers import Initializer
from neurosim.plasticity import PlasticityRule, available_rules, no_rule, rule_named


def rule_from_words(words: str) -> PlasticityRule:
    """The rule that ``NAME`` or ``NAME(KEY=VALUE, ...)`` describes; ``MODULE:CLASS`` is a name too.

    Raises:
        UnknownNameError: no such rule, or no such hyperparameter of it; the message lists those that exist.
        CircuitError: words that are no name with hyperparameters in brackets, values that the rule refuses, or a module
            that cannot be imported.

    Example:
        >>> rule_from_words("dfa(limits=(0, 1))")
        DFA(limits=(0.0, 1.0), name='dfa')
        >>> rule_from_words("neurosim.rules.gevb:GEVB")
        GEVB()
    """
    name, bracket, rest = words.strip().partition("(")
    name, imported = name.strip(), ":" in name
    if not bracket and not imported:
        return rule_named(name)
    options = _hyperparameters(words, f"({rest}") if bracket else {}
    kind = _imported_rule(name) if imported else available_rules().get(name)
    if kind is None:
        return rule_named(name)  # says which exist
    known = list(inspect.signature(kind).parameters)
    for key in options:
        if key not in known:
            raise UnknownNameError(f"hyperparameter of rule '{name}'", key, known)
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, CircuitError) else CircuitError(f"rule '{words}': {error}") from error


def import_own(name: str) -> ModuleType:
    """A module of one's own, as ``my_rules`` for ``my_rules.py`` in the current folder; what it defines is known then.

    Raises:
        CircuitError: there is none, or it fails.

    Example:
        >>> import_own("neurosim.rules.gevb").GEVB()
        GEVB()
    """
    if name.endswith(".py"):
        raise CircuitError(f"no module '{name}': expected the name alone, {name.removesuffix('.py')}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise CircuitError(f"'{name}': expected the name of a module, as my_rules for my_rules.py in this folder")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # at the end: no file here may stand in for a module of somebody else's
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CircuitError(f"module '{name}': it needs a module that is not there: {error}") from error
        raise CircuitError(
            f"no module '{name}': expected {name.replace('.', '/')}.py in the current folder, or a module that is "
            "installed; go to the folder of the file, or correct the name"
        ) from error
    except (Exception, SystemExit) as error:  # a module of one's own may fail in any way, or be a script that exits
        raise CircuitError(f"module '{name}': it cannot be imported: {type(error).__name__}: {error}") from error


def _imported_rule(name: str) -> type[PlasticityRule]:
    """The class that ``MODULE:CLASS`` names."""
    place, _, attribute = name.partition(":")
    if not place or not attribute.isidentifier():
        raise CircuitError(f"rule '{name}': expected MODULE:CLASS, as my_rules:MyRule for MyRule in my_rules.py")
    found = vars(import_own(place))
    if attribute not in found:
        known = [each for each, kind in found.items() if no_rule(kind) is None]
        raise UnknownNameError(f"rule of module '{place}'", attribute, known, _whence(place, found.get("__file__")))
    kind = found[attribute]
    if (reason := no_rule(kind)) is not None:
        raise CircuitError(f"rule '{name}': {reason}")
    made: type[PlasticityRule] = kind
    return made


def _whence(place: str, file: str | None) -> str:
    """Where a module was read from, as a file of the current folder gives way to others of its name."""
    here = os.path.abspath(f"{place.replace('.', '/')}.py")
    if not os.path.exists(here) or (file is not None and os.path.samefile(file, here)):
        return f"; the module is {file or 'built in'}"
    return f"; the module is {file or 'built in'}, not {os.path.basename(here)} in this folder: give that another name"


def _hyperparameters(words: str, call: str) -> dict[str, Any]:
    try:
        parsed = ast.parse(f"rule{call}", mode="eval").body
        if isinstance(parsed, ast.Call):
            return _keywords(parsed)
    except (SyntaxError, ValueError):
        pass
    raise CircuitError(
        f"rule '{words}': expected a name and hyperparameters as in dfa(limits=(0, 1)), each KEY=VALUE with a number, "
        f"a text in quotes, True, False, None, a tuple of these, or a feedback as ForwardSigns(magnitude='redrawn')"
    )


def _keywords(call: ast.Call) -> dict[str, Any]:
    if call.args or not all(pair.arg for pair in call.keywords):
        raise ValueError("only KEY=VALUE")
    return {str(pair.arg): _value(pair.value) for pair in call.keywords}


def _value(tree: ast.expr) -> Any:
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        kind = Initializer if tree.func.id in Initializer.known() else Feedback
        return kind.from_dict({"type": tree.func.id} | _keywords(tree))
    if any(isinstance(part, ast.List | ast.Set | ast.Dict) for part in ast.walk(tree)):
        raise ValueError("a rule is compared and hashed by its hyperparameters, so several numbers are a tuple")
    return ast.literal_eval(tree)


def split_words(text: str) -> list[str]:
    """The words between commas, those in brackets left whole.

    Example:
        >>> split_words("gevb, dfa(limits=(0, 1), hold=2),bp")
        ['gevb', 'dfa(limits=(0, 1), hold=2)', 'bp']
    """
    words, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words]
