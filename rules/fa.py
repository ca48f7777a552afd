"""Feedback alignment and sign-symmetric feedback: backward passes through weights that are not the forward ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from attrs import Attribute, field, frozen
from torch import Tensor

from neurosim.description import slip
from neurosim.errors import CircuitError
from neurosim.feedback import Feedback, FixedRandom, ForwardSigns, ForwardWeights
from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext


_MEANT = {ForwardWeights: "BP()", FixedRandom: "FA(feedback=...)", ForwardSigns: "SignSymmetric(feedback=...)"}


def _pathway_of(kind: type[Feedback]) -> Callable[[Any, Attribute[Any], Any], None]:
    """A validator of the one kind of pathway by which a rule has its name: through another it would be another rule."""

    def check(instance: Any, attribute: Attribute[Any], value: Any) -> None:
        if not isinstance(value, kind):
            other = f"; a rule that listens to that is {_MEANT[type(value)]}" if type(value) in _MEANT else slip(value)
            raise CircuitError(
                f"{type(instance).__name__}.{attribute.name} must be a {kind.__name__}(...), got {value!r}{other}"
            )

    return check


class _TransportedCredit(PlasticityRule):
    """Credit that arrives through a feedback pathway, layer by layer."""

    feedback: Feedback

    @property
    def pathways(self) -> tuple[Feedback, ...]:
        return (self.feedback,)

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_UNIT if circuit.output_units == 1 else CreditForm.PER_COMPONENT

    def credit(self, context: CreditContext) -> Tensor | None:
        return context.feedback(self.feedback)


@frozen
class FA(_TransportedCredit):
    """Feedback alignment: the backward pass of Eq. 3 through fixed random weights (Eq. 4).

        d_i = sum_k f_ik phi'(h_k) d_k,    d = e at the output;

    with one vector output unit, per unit: ``c_i = sum_k f_ik G(h_k) c_k``, c = 1 at the output, times the error vector.

    With d ``(batch, K, *units)``, c and G ``(batch, *units)``, e ``(batch, K, *output units)``, and f of every group in
    the shape of its forward weight.

    Args:
        feedback: the pathway; two rules with equal pathways share one set of weights. They are drawn as the groups'
            own weights were, or by ``FixedRandom(init=He())``; readable and settable as ``sim.feedback["fa/GROUP"]``.

    Raises:
        CircuitError: a pathway that is no FixedRandom; in a simulator, feedback weights that would all be 0.

    Source: Lillicrap, Cownden, Tweed & Akerman, Nature Communications 7:1-10, 2016.

    Example:
        >>> FA().pathways[0].label
        'fa'
    """

    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.FEEDBACK})
    feedback: FixedRandom = field(factory=FixedRandom, validator=_pathway_of(FixedRandom))


@frozen
class SignSymmetric(_TransportedCredit):
    """Sign-symmetric feedback: the backward pass through weights that share only their signs with the forward ones.

        f_ik = m_ik sign(w_ki)

    in the place of FA's f, with w and m in the shape of the forward weight. ``sign(0) = 0``: a weight that its sign
    constraint has clamped to 0 passes no feedback either, until it grows again.

    Args:
        feedback: ``ForwardSigns(magnitude)``: ``"unit"``, ``"fixed"`` random, or ``"redrawn"`` at every step.

    Raises:
        CircuitError: a pathway that is no ForwardSigns.

    Source: Liao, Leibo & Poggio, AAAI 2016; Xiao, Chen, Liao & Poggio, ICLR 2019; Moskovitz, Litwin-Kumar & Abbott,
    arXiv:1812.06488.

    Example:
        >>> SignSymmetric(ForwardSigns("fixed")).feedback.magnitude
        'fixed'
    """

    uses: ClassVar[frozenset[Signal]] = frozenset(
        {Signal.PRESYNAPTIC, Signal.GATE, Signal.ERROR, Signal.FEEDBACK, Signal.WEIGHTS}
    )
    feedback: ForwardSigns = field(factory=ForwardSigns, validator=_pathway_of(ForwardSigns))

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        return self.feedback.redrawn
