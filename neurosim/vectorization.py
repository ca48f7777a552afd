"""Vectorization: how the K components of a vector unit exist."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from neurosim.description import Description
from neurosim.errors import UnknownNameError


class Vectorization(Description):
    """How the K components of a vector unit exist; a member is known by its ``name``."""

    kind: ClassVar[str] = "vectorization"
    name: ClassVar[str]


@frozen
class Group(Vectorization):
    """K neurons side by side: all components of all units are computed at once."""

    name: ClassVar[str] = "group"


_BY_NAME: dict[str, Vectorization] = {Group.name: Group()}


def vectorization_named(name: str) -> Vectorization:
    """The vectorization of that name.

    Raises:
        UnknownNameError: the message lists the known ones.
    """
    if name not in _BY_NAME:
        raise UnknownNameError("vectorization", name, _BY_NAME)
    return _BY_NAME[name]
