"""Rules in words, for the command line and TOML files: ``gevb``, ``dfa(limits=(0, 1))``.

The words are a rule's registered name and, in brackets as in Python, the hyperparameters that differ from the defaults.
Values are plain data (numbers, texts in quotes, True, False, None, tuples of these), or a feedback or an initializer
with its own: ``sign-symmetric(feedback=ForwardSigns(magnitude='redrawn'))``, ``fa(feedback=FixedRandom(init=He()))``.
Nothing is evaluated.
"""

from __future__ import annotations

import ast
import inspect
from typing import Any

from neurosim.errors import CircuitError, UnknownNameError
from neurosim.feedback import Feedback
from neurosim.initializers import Initializer
from neurosim.plasticity import PlasticityRule, available_rules, rule_named


def rule_from_words(words: str) -> PlasticityRule:
    """The rule that ``NAME`` or ``NAME(KEY=VALUE, ...)`` describes.

    Raises:
        UnknownNameError: no such rule, or no such hyperparameter of it; the message lists those that exist.
        CircuitError: words that are no name with hyperparameters in brackets, or values that the rule refuses.

    Example:
        >>> rule_from_words("dfa(limits=(0, 1))")
        DFA(limits=(0.0, 1.0), name='dfa')
    """
    name, bracket, rest = words.strip().partition("(")
    if not bracket:
        return rule_named(name)
    kind, options = available_rules().get(name.strip()), _hyperparameters(words, f"({rest}")
    if kind is None:
        return rule_named(name.strip())  # says which exist
    known = list(inspect.signature(kind).parameters)
    for key in options:
        if key not in known:
            raise UnknownNameError(f"hyperparameter of rule '{name.strip()}'", key, known)
    try:
        return kind(**options)
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, CircuitError) else CircuitError(f"rule '{words}': {error}") from error


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
