"""Feedback pathways: by which weights signals travel back from the output."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from attrs import field, frozen, validators
from torch import Tensor

from neurosim.description import Description, plain_name, positive, slip
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.initializers import Initializer, Site


class Feedback(Description):
    """A map from group to the effective weight that carries signals back through it.

    Constants that a pathway needs are drawn once per group by the simulator, from streams of the pathway's own name,
    and are saved, readable and settable as ``sim.feedback["NAME/GROUP"]``.
    """

    kind: ClassVar[str] = "feedback"
    #: needs constants of its own
    constant: ClassVar[bool] = True

    @property
    def redrawn(self) -> bool:
        """Whether its constants are drawn anew at every step."""
        return False

    @property
    def label(self) -> str:
        """Under which name the simulator keeps the constants."""
        return type(self).__name__

    def draw(self, init: Initializer, site: Site, generator: torch.Generator) -> Tensor | None:
        """The constants for one group, of ``site.shape``, float64 on the cpu; None where none are needed.

        Of an untied group all K components start with the same; they are copied after the draw.
        """
        return None

    def effective(self, weight: Tensor, constants: Tensor | None) -> Tensor:
        """The weight that the backward signal crosses instead of the forward ``weight``."""
        raise NotImplementedError(f"{type(self).__name__} must define effective(weight, constants)")


def _initializer_or_none(instance: Any, attribute: object, value: Any) -> None:
    if value is not None and not isinstance(value, Initializer):
        raise CircuitError(f"FixedRandom.init must be an initializer such as He(), or None, got {value!r}{slip(value)}")


@frozen
class ForwardWeights(Feedback):
    """Weight transport: signals return through the forward weights themselves, as in backpropagation."""

    constant: ClassVar[bool] = False

    def effective(self, weight: Tensor, constants: Tensor | None) -> Tensor:
        return weight


@frozen
class FixedRandom(Feedback):
    """Fixed random weights ``f`` in the place of the forward ones (Eq. 4), drawn as the group's own weights were.

    So they have the scale, the ON/OFF structure and the sign of the initial forward weights and nothing else in
    common with them.

    Args:
        name: of the pathway; pathways of different names have weights of their own.
        init: draws the weights instead of the groups' own initializers, which groups that start at 0 need.

    Raises:
        CircuitError: at the draw, weights that are all 0, through which no signal would ever return.
    """

    name: str = field(default="fa", validator=plain_name)
    init: Initializer | None = field(default=None, validator=_initializer_or_none)

    @property
    def label(self) -> str:
        return self.name

    def draw(self, init: Initializer, site: Site, generator: torch.Generator) -> Tensor | None:
        chosen = self.init or init
        chosen.check(site)
        drawn = chosen.draw(site, generator)
        if type(drawn) is Tensor and not bool(drawn.any()):  # a fake tensor has no values to look at
            raise CircuitError(
                f"the feedback '{self.name}' would be drawn by {chosen} and be 0 for ever, so that nothing before this "
                f"group learns by it; give it a distribution of its own, {type(self).__name__}(init=He()), or the "
                f"group another init="
            )
        return drawn

    def effective(self, weight: Tensor, constants: Tensor | None) -> Tensor:
        assert constants is not None
        return constants


MAGNITUDES = ("unit", "fixed", "redrawn")


def _known_magnitude(instance: object, attribute: object, value: str) -> None:
    if value not in MAGNITUDES:
        raise UnknownNameError("magnitude", value, MAGNITUDES)


@frozen
class ForwardSigns(Feedback):
    """The signs of the forward weights, with magnitudes of their own: ``f = m sign(w)``.

    Args:
        magnitude: ``"unit"``, m = scale; ``"fixed"``, m drawn once as scale times the absolute value of a normal
            variable; ``"redrawn"``, the same drawn anew at every step.
        scale: of m; by default 1 for unit magnitude and He's ``sqrt(2 / n_in)`` for random ones.
    """

    magnitude: str = field(default="unit", validator=_known_magnitude)
    scale: float | None = field(default=None, validator=validators.optional(positive))
    name: str = field(default="sign-symmetric", validator=plain_name)

    @property
    def redrawn(self) -> bool:
        return self.magnitude == "redrawn"

    @property
    def label(self) -> str:
        return self.name

    def draw(self, init: Initializer, site: Site, generator: torch.Generator) -> Tensor | None:
        if self.magnitude == "unit":
            return torch.full(site.shape, self.scale or 1.0, dtype=torch.float64, device="cpu")
        scale = self.scale or math.sqrt(2.0 / site.fan_in)
        return torch.randn(site.shape, generator=generator, dtype=torch.float64, device="cpu").abs_().mul_(scale)

    def effective(self, weight: Tensor, constants: Tensor | None) -> Tensor:
        assert constants is not None
        return constants * torch.sign(weight)
