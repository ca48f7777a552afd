"""Inert parts of a circuit: printable, comparable, saved to plain data and back.

Every connectivity, gate, initializer, readout and rule is a frozen attrs class below one of the bases here. A base
is a *kind*; a class is known under its kind by its own name as soon as it is defined; rules of other packages
are found through their entry points as well. To load a saved circuit with a gate, connectivity, ... of your own, import
the module that defines it first.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, ClassVar, Self, cast

import attrs

from neurosim.errors import CircuitError, UnknownNameError
from neurosim.plugins import left_out, load_entry_points

#: what to do about a class that is not known here
_IMPORT = "; import the module that defines it, if there is one (neurosim --import MODULE on the command line)"
#: kind -> class name -> class
_KNOWN: dict[str, dict[str, type[Description]]] = {}


class Description:
    """Base of everything a circuit is made of.

    A direct subclass that sets ``kind`` opens a new family; its subclasses are members of that family and can be
    rebuilt from :meth:`to_dict` by :meth:`from_dict`.
    """

    kind: ClassVar[str] = ""
    #: entry-point group in which other packages announce members of this kind
    entry_points: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__:
            _KNOWN.setdefault(cls.kind, {})
        elif cls.kind and not cls.__name__.startswith("_"):  # a private class is a base of others, not a member
            namesake = _KNOWN[cls.kind].get(cls.__name__)
            if namesake is not None and namesake.__module__ != cls.__module__:
                raise CircuitError(
                    f"a {cls.kind} named {cls.__name__} exists already, in {namesake.__module__}; a circuit finds its "
                    f"parts by name, so give the one in {cls.__module__} another"
                )
            _KNOWN[cls.kind][cls.__name__] = cls  # attrs makes slotted classes twice; the later one is the real one

    @classmethod
    def known(cls) -> dict[str, type[Description]]:
        """The members of this kind that are defined so far, by class name."""
        return dict(_KNOWN[cls.kind])

    def to_dict(self) -> dict[str, Any]:
        """Plain data (numbers, strings, lists) from which :meth:`from_dict` rebuilds an equal object."""
        fields = attrs.fields(cast("type[attrs.AttrsInstance]", type(self))) if attrs.has(type(self)) else ()
        return {"type": type(self).__name__} | {f.alias or f.name: _plain(getattr(self, f.name)) for f in fields}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild a member of this kind.

        Raises:
            UnknownNameError: no class of that name; the message lists the known ones.
            CircuitError: the data do not fit the class.
        """
        if not isinstance(data, dict) or not isinstance(data.get("type"), str):
            raise CircuitError(f"expected the data of a {cls.kind}, with its type, got {data!r}")
        name = data["type"]
        if name not in _KNOWN[cls.kind] and cls.entry_points:
            load_entry_points(cls.entry_points)
        if name not in _KNOWN[cls.kind]:
            hint = left_out(cls.entry_points) if cls.entry_points else ""
            raise UnknownNameError(cls.kind, name, _KNOWN[cls.kind], _IMPORT + hint)
        member = _KNOWN[cls.kind][name]
        options = {key: _restored(value) for key, value in data.items() if key != "type"}
        try:
            rebuilt = member(**options)
        except TypeError as error:
            fields = ", ".join(f.alias or f.name for f in attrs.fields(member)) if attrs.has(member) else ""
            raise CircuitError(f"{cls.kind} {name}: {error}; its fields are: {fields or 'none'}") from error
        if not isinstance(rebuilt, cls):
            raise CircuitError(f"expected a {cls.kind}, got a {name}")
        return rebuilt


# -- validators of fields --------------------------------------------------------------------------------------------


def plain_name(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A field that names something in ``sim.feedback`` and in run files, where ``/`` divides."""
    if not isinstance(value, str) or not value.isprintable() or "/" in value or value in ("", ".", ".."):
        raise CircuitError(
            f"{_where(instance, attribute)} must be a printable, non-empty text without '/', other than '.' and '..', "
            f"got {value!r}"
        )


def is_number(value: Any) -> bool:
    """A finite real number; True and False are none."""
    try:
        return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        return False


def is_count(value: Any) -> bool:
    """Whether this is a whole number of at least 1, of whatever integer type."""
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) > 0


def positive(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A field that is a finite number above 0."""
    if not is_number(value) or value <= 0:
        raise CircuitError(f"{_where(instance, attribute)} must be a positive number, got {value!r}")


def fraction(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A field that is a number above 0 and at most 1."""
    if not is_number(value) or not 0 < value <= 1:
        raise CircuitError(f"{_where(instance, attribute)} must be a number above 0 and at most 1, got {value!r}")


def slip(value: object) -> str:
    """What to add to an error about ``value`` where the class ``He`` was given and the object ``He()`` is meant."""
    return f"; write {value.__name__}(...), an object of that class" if isinstance(value, type) else ""


def _where(instance: Any, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}.{attribute.name}"


def _plain(value: Any) -> Any:
    if isinstance(value, Description):
        return value.to_dict() | {"kind": value.kind}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and "kind" in value:
        return _base_of(value["kind"]).from_dict({k: v for k, v in value.items() if k != "kind"})
    if isinstance(value, list):
        return tuple(_restored(item) for item in value)
    return value


def _base_of(kind: str) -> type[Description]:
    bases = [base for base in Description.__subclasses__() if base.kind == kind]
    if not bases:
        raise UnknownNameError("kind of description", kind, _KNOWN)
    return bases[-1]  # of a slotted class that attrs made twice the real one
