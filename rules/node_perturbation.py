"""Node perturbation: what happens to the loss when the units are jittered?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from attrs import Attribute, field, frozen
from torch import Tensor

from neurosim.description import positive
from neurosim.errors import CircuitError
from neurosim.plasticity import CreditForm, PlasticityRule, Signal

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.credit import CreditContext


def _resolved(instance: Any, attribute: Attribute[Any], value: float) -> None:
    if not 1e-6 <= value <= 1e6:
        raise CircuitError(
            f"NodePerturbation.sigma must be between 1e-6 and 1e6, got {value!r}: float32 resolves a pre-activation or "
            f"loss of about 1 to 1e-7, in which smaller noise is lost, and overflows under larger; try 0.01"
        )


@frozen
class NodePerturbation(PlasticityRule):
    """Node perturbation: correlate noise on the pre-activations with the change of the loss.

        d_imu = (L(h + xi) - L(h)) xi_imu / sigma^2,    xi ~ N(0, sigma^2),

    drawn per example, unit and component, on all populations of this rule at once, in a second pass that holds the
    gates of the first (``a = G(h) h`` jumps where a gate flips). Its mean is the gradient ``dL/dh``, exactly where the
    loss is at most quadratic in the perturbed pre-activations and up to order sigma^2 otherwise. The credit is
    ``d / G``, because the engine multiplies by G. With d, h and xi ``(batch, K, *units)``, L ``(batch,)`` and G
    ``(batch, *units)``.

    Args:
        sigma: standard deviation of the noise, in units of the pre-activations.

    Raises:
        CircuitError: a sigma outside 1e-6 to 1e6, which float32 does not resolve; the causal order of vectorization in
            time, which has no second pass.

    Source: Williams, Machine Learning 8:229-256, 1992; Werfel, Xie & Seung, Neural Computation 17:2699-2718, 2005.

    Example:
        >>> NodePerturbation(sigma=0.01).stochastic
        True
    """

    stochastic: ClassVar[bool] = True
    error_driven: ClassVar[bool] = False
    uses: ClassVar[frozenset[Signal]] = frozenset({Signal.PRESYNAPTIC, Signal.GATE, Signal.SCALAR, Signal.NOISE})
    sigma: float = field(default=0.01, validator=[positive, _resolved])

    def form(self, circuit: Circuit) -> CreditForm:
        return CreditForm.PER_COMPONENT

    def credit(self, context: CreditContext) -> Tensor | None:
        noise, change = context.once(self._perturb)
        xi = noise[context.population]
        scale = context.batch_scale / self.sigma**2
        return context.ungated(xi * (change * scale).view(-1, *[1] * (xi.ndim - 1)))

    def _perturb(self, context: CreditContext) -> tuple[dict[str, Tensor], Tensor]:
        noise = {name: self.sigma * context.noise(name) for name in context.together}
        return noise, context.rerun(noise) - context.losses
