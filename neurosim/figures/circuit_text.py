"""What a circuit diagram says in words: parts by class name and the settings that are not the default."""

from __future__ import annotations

import textwrap
from typing import Any, cast

import attrs

from neurosim.description import Description


def shortened(part: Description) -> str:
    """Class name of a rule or gate, and only those settings that differ from their defaults.

    Example:
        >>> from neurosim import DFA, FA
        >>> from neurosim.feedback import FixedRandom
        >>> shortened(DFA()), shortened(DFA(limits=(-0.5, 0.5))), shortened(FA(FixedRandom("other")))
        ('DFA', 'DFA(limits=(-0.5, 0.5))', "FA(feedback=FixedRandom(name='other'))")
    """
    kind = cast("type[attrs.AttrsInstance]", type(part))
    fields = [field for field in attrs.fields(kind) if field.repr] if attrs.has(kind) else []
    required = {f.alias or f.name: getattr(part, f.name) for f in fields if f.default is attrs.NOTHING and f.init}
    usual = type(part)(**required)
    shown = []
    for field in fields:
        value = getattr(part, field.name)
        if field.default is attrs.NOTHING or value != getattr(usual, field.name):
            shown.append(f"{field.name}={_setting(field, value)}")
    return type(part).__name__ + (f"({', '.join(shown)})" if shown else "")


def _setting(field: Any, value: object) -> str:
    if isinstance(value, Description):
        return shortened(value)
    return str(field.repr(value)) if callable(field.repr) else repr(value)


def folded(text: str, columns: int) -> list[str]:
    """In lines of at most so many characters, broken within a word only where nothing else fits."""
    return textwrap.wrap(text, columns) or [text]


def inches_wide(text: str, size: float, weight: str = "normal") -> float:
    """Width of the widest line in inches, a little more than it is: rasterizers round letters up to whole pixels."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size, weight=weight)
    points = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in text.split("\n")]
    return float(1.06 * max(points) / 72)
