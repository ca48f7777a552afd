"""Relaxation: how the K weights of an untied synapse group are drawn together (Section 7.1).

Vectorized weight sharing needs the sum of K local updates at every synapse. With weights of their own,
``w[mu, i, j]``, the K synapses of a pair change each by its own ``G(h_i) a_jmu e_mu``, which is local; relaxing them to
their average then gives ``1 / K`` of Eq. 9. So an untied group at K times the learning rate (plain gradient descent),
relaxed completely after every step, is the tied one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from attrs import Attribute, field, frozen
from torch import Tensor

from neurosim.connectivity import Connectivity, Shape
from neurosim.description import Description, fraction
from neurosim.errors import CircuitError

#: a shape -> the next random signs (+1 or -1) of a relaxation's own stream
Signs = Callable[[Shape], Tensor]


def _rate(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    try:
        fraction(instance, attribute, value)
    except CircuitError as error:
        raise CircuitError(f"{error}; for no relaxation at all use relaxation=None") from None


def _whole(instance: Any, attribute: Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise CircuitError(
            f"{type(instance).__name__}.{attribute.name} must be a whole number of at least 1, got {value!r}"
        )


class WeightRelaxation(Description):
    """Draws the K weights of an untied group together, every so many steps of learning.

    It runs after the optimizer and before the sign constraints are enforced. A subclass is a frozen attrs class with
    a field ``every`` (steps of learning between two runs) that defines :meth:`relax`.
    """

    kind: ClassVar[str] = "relaxation"
    every: int

    def relax(self, weight: Tensor, connectivity: Connectivity, pre: Shape, signs: Signs) -> None:
        """Change ``weight`` in place.

        Args:
            weight: ``(K, *weight)``.
            connectivity: its maps.
            pre: shape of the presynaptic population.
            signs: gives random signs of a shape, anew at every call, from the group's own stream of this step.
        """
        raise NotImplementedError(f"{type(self).__name__} must define relax(weight, connectivity, pre, signs)")


@frozen
class Relaxation(WeightRelaxation):
    """Relaxation to the average of the K synapses, assumed: the outcome that a mechanism should have.

        w_mu <- w_mu + rate (mean_nu w_nu - w_mu)

    Fixed point: all K weights equal their average, which is preserved. Deviations shrink by ``1 - rate`` each time.

    Args:
        rate: 1 replaces the weights by their average.
        every: steps of learning between two relaxations.

    Raises:
        CircuitError: a rate outside (0, 1], or ``every`` below 1.

    Example:
        >>> weight = torch.tensor([[1.0], [3.0]])
        >>> Relaxation(rate=0.5).relax(weight, None, (1,), None)
        >>> weight.flatten().tolist()
        [1.5, 2.5]
    """

    rate: float = field(default=1.0, validator=_rate)
    every: int = field(default=1, validator=_whole)

    def relax(self, weight: Tensor, connectivity: Any, pre: Shape, signs: Any) -> None:
        weight.lerp_((weight[:1] - _deviations(weight)[:1]).expand_as(weight), self.rate)


@frozen
class NoiseRelaxation(WeightRelaxation):
    """An offline phase in which correlated noise and a local rule draw the K synapses together.

    In each presentation every presynaptic unit j emits one random sign ``xi_j``, the same from all its K neurons, while
    all else is silent. Neuron mu of the postsynaptic unit i is driven by ``y_imu = sum_j w[mu, i, j] xi_j``; what its
    group does on average, ``ybar_i``, reaches it through connections within the group. Each synapse then changes by

        dw[mu, i, j] = g (ybar_i - y_imu) xi_j,    g = rate / n    (n: synapses onto a neuron, the fan-in)

    from presynaptic activity, postsynaptic activity and the group's mean. Why it works: with deviations
    ``v_mu = w_mu - mean_nu w_nu``, ``y_imu - ybar_i = v_imu . xi``, so a presentation takes ``v_imu`` to
    ``(I - g xi xi^T) v_imu``, and the K changes sum to 0:

    - The average of the K weights is preserved. (A sign constraint, enforced when the phase is over, may move it.)
    - Fixed point: the K weights are equal. There is no other, since ``xi . v = 0`` for all xi only if ``v = 0``.
    - Rate: ``E[xi xi^T] = I``, so in expectation deviations shrink by ``1 - rate / n`` per presentation; their squares
      by ``1 - (2 rate - rate^2) / n``, because ``|xi|^2 = n``. About n presentations relax by a factor e.
    - No presentation overshoots: ``xi xi^T / n`` is a projection, so ``rate <= 1`` never makes deviations grow.

    Where a weight serves several positions p (convolution), its change is the mean over the ``D`` positions at which
    it is present; elsewhere it would meet padding. With ``X`` the matrix of rows ``xi_p``, a presentation takes ``v``
    to ``(I - g D^-1 X^T X) v``:

    - The expected rate is the same: within a receptive field all xi are independent, so ``E[D^-1 X^T X] = I``. Squares
      shrink in the mean by at least the factor stated.
    - No presentation makes ``D^(1/2) v`` grow, squares weighted by positions, because ``|X v|^2 <= n |D^(1/2) v|^2``.
      Without padding D is the same for all weights of a group, so none overshoots. With padding, ``v`` by itself can
      grow in a presentation: 1.036-fold at most with a 3 x 3 kernel padded by 1 onto 2 x 2 units at rate 1.

    Args:
        presentations: of noise in each phase.
        rate: of the local rule, as a fraction of the gain at which one presentation takes away all of the deviation
            that it can see.
        every: steps of learning between two phases.

    Raises:
        CircuitError: a rate outside (0, 1], ``presentations`` or ``every`` below 1.

    Example:
        >>> phase = NoiseRelaxation(presentations=200)
        >>> phase.remaining_mean(fan_in=100), phase.remaining_rms(fan_in=100)
        (0.134, 0.366)
    """

    presentations: int = field(default=100, validator=_whole)
    rate: float = field(default=1.0, validator=_rate)
    every: int = field(default=100, validator=_whole)

    def remaining_mean(self, fan_in: int) -> float:
        """What one phase leaves of a deviation on average over the noise, sign included; 3 decimals.

            (1 - rate / n)^presentations

        How large deviations still are is :meth:`remaining_rms`, which is larger: random remainders of both signs
        cancel in this mean.
        """
        return round((1.0 - self.rate / fan_in) ** self.presentations, 3)

    def remaining_rms(self, fan_in: int) -> float:
        """The root mean square of deviations after one phase, as a part of that before; 3 decimals.

            (1 - (2 rate - rate^2) / n)^(presentations / 2)

        By so much :func:`spread` falls. Exact where every unit has ``fan_in`` inputs. An upper bound in convolutions,
        padded ones too, and at padded borders of local groups. Weights onto padding alone never relax, and never act
        either.
        """
        return round(math.pow(1.0 - (2.0 * self.rate - self.rate**2) / fan_in, self.presentations / 2.0), 3)

    def relax(self, weight: Tensor, connectivity: Connectivity, pre: Shape, signs: Signs) -> None:
        components, channels = weight.shape[:2]
        folded = weight.flatten(0, 1)  # the same noise drives all K neurons, as scalar inputs would
        gain: Tensor | None = None
        for _ in range(self.presentations):
            xi = signs((1, *pre))
            drive = connectivity.forward(folded, xi, pre).unflatten(1, (components, channels))
            if gain is None:
                gain = self.rate / connectivity.fan_in(pre) / _positions(connectivity, drive[:, 0], xi, pre)
            away = _deviations(drive.transpose(0, 1)).transpose(0, 1)
            change = connectivity.correlate(away.flatten(1, 2), xi, pre).unflatten(0, (components, channels))
            weight.sub_(change.mul_(gain))
            folded = weight.flatten(0, 1)


def _deviations(components: Tensor) -> Tensor:
    """From the average over the first axis; exactly 0 where all are equal, so that a fixed point is left untouched."""
    apart = components - components[:1]
    return apart - apart.mean(0, keepdim=True)


def _positions(connectivity: Connectivity, drive: Tensor, xi: Tensor, pre: Shape) -> Tensor:
    """At how many positions each weight is present; 1 for those that see only padding and get no change."""
    return connectivity.correlate(torch.ones_like(drive), torch.ones_like(xi), pre).clamp(min=1.0)


def spread(weight: Tensor) -> Tensor:
    """How far K weights are from their average: the rms deviation over the rms of the average, 0-d.

        sqrt(mean (w[mu] - wbar)^2) / sqrt(mean wbar^2),    wbar = mean_mu w[mu]

    Args:
        weight: ``(K, *weight)``.

    Example:
        >>> float(spread(torch.tensor([[3.0], [5.0]])))
        0.25
    """
    deviations = _deviations(weight)
    deviation, average = deviations.square().mean().sqrt(), (weight - deviations).square().mean().sqrt()
    return torch.where(deviation > 0, deviation / average, deviation)
