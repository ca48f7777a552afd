"""A synapse group on a device: its connectivity's maps, lifted to vector units."""

from __future__ import annotations

import torch
from attrs import define
from jaxtyping import Float
from torch import Tensor

from neurosim.populations import Population, SynapseGroup


@define
class Synapses:
    """One group (or a relay's pooling) with its weight.

    From scalar units ``x`` ``(batch, *pre)`` the weight is ``(K, *weight)`` and the component folds into the
    postsynaptic channels; between vector units ``a`` ``(batch, K, *pre)`` one weight serves all K components
    (vectorized weight sharing), which are further examples to the connectivity. An untied group has ``(K, *weight)``
    between vector units and runs the maps once per component.

    Attributes:
        matmul_dtype: dtype of the operands of the three maps, None for that of the activity.
    """

    group: SynapseGroup
    pre: Population
    post: Population
    components: int
    weight: Tensor | None
    matmul_dtype: torch.dtype | None = None

    @property
    def unshared(self) -> bool:
        """From scalar onto vector units: every component has weights of its own."""
        return self.pre.scalar and self.weight is not None

    @property
    def untied(self) -> bool:
        """Between vector units, with weights of its own for every component."""
        return self.group.untied

    def drive(self, a: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
        """What the group adds to the postsynaptic pre-activation (Eq. 6): ``(batch, K, *post)``."""
        maps, operand = self.group.connectivity, self._operand(a)
        if not (self.unshared or self.untied):
            return maps.forward(self._weight_operand(self.weight), operand, self.pre.shape).to(a.dtype)
        assert self.weight is not None
        if self.untied:
            weights = self._operand(self.weight)
            parts = [maps.forward(w, operand[:, mu], self.pre.shape) for mu, w in enumerate(weights)]
            return torch.stack(parts, dim=1).to(a.dtype)
        folded = self._weight_operand(self.weight.flatten(0, 1))
        drive = maps.forward(folded, operand, self.pre.shape).to(a.dtype)
        unfolded: Tensor = drive.unflatten(1, (self.components, -1))
        return unfolded

    def drive_in_bin(self, a: Float[Tensor, "batch ..."], component: int) -> Float[Tensor, "batch ..."]:
        """What the group adds to one component of the pre-activation, ``(batch, *post)`` from ``(batch, *pre)``.

        From scalar units the component has synapses of its own, else it uses the shared ones. Not of an untied group.
        """
        weight = self.weight
        if weight is not None and self.unshared:
            weight = weight[component]
        operand = self._operand(a)
        return self.group.connectivity.forward(self._weight_operand(weight), operand, self.pre.shape).to(a.dtype)

    def transpose(self, weight: Tensor | None, signal: Tensor) -> Tensor:
        """Carry a postsynaptic signal, per unit or per component, back through ``weight`` (Eqs. 3, 13).

        Through an untied group only a signal per component, ``(batch, K, *post)``, can travel.
        """
        maps, operand, shape = self.group.connectivity, self._operand(signal), self.pre.shape
        if not self.untied:
            return maps.transpose(self._weight_operand(weight), operand, shape).to(signal.dtype)
        assert weight is not None
        parts = [maps.transpose(w, operand[:, mu], shape) for mu, w in enumerate(self._operand(weight))]
        return torch.stack(parts, dim=1).to(signal.dtype)

    def update_per_unit(
        self,
        post: Float[Tensor, " batch *post"],
        pre: Float[Tensor, "batch ..."],
        error: Float[Tensor, "batch K"],
        out: Tensor,
    ) -> None:
        """Write ``sum_b c G a.e`` (Eqs. 9, 14), of an untied group ``sum_b c G a_mu e_mu`` for every mu.

        Args:
            post: ``c G``, ``(batch, *post)``.
            pre: ``a.e`` ``(batch, *pre)``; from scalar units ``x`` itself, of an untied group ``a`` itself.
            error: ``(batch, K)``.
            out: the tensor of the weight's shape to write.
        """
        maps, shape = self.group.connectivity, self.pre.shape
        if self.untied:  # the modulator on the postsynaptic factor
            factor = error.reshape(*error.shape, *[1] * (post.ndim - 1))
            self._update_untied(factor * post.unsqueeze(1), pre, out)
            return
        left, right = self._operand(post), self._operand(pre)
        target = out if left.dtype == out.dtype else None
        if self.unshared:
            _store(maps.correlate_modulated(left, right, self._operand(error), shape, out=target), out)
        else:
            _store(maps.correlate(left, right, shape, out=target), out)

    def update_per_component(
        self, post: Float[Tensor, "batch K *post"], pre: Float[Tensor, "batch ..."], out: Tensor
    ) -> None:
        """Write ``sum_b sum_mu d_mu G a_mu`` (Eq. 2); from scalar units ``sum_b d_mu G x`` for every mu.

        Of an untied group ``sum_b d_mu G a_mu`` for every mu: no sum over the components.

        Args:
            post: ``d G``, ``(batch, K, *post)``.
            pre: ``(batch, K, *pre)``, or from scalar units ``(batch, *pre)``.
            out: the tensor of the weight's shape to write.
        """
        maps, shape = self.group.connectivity, self.pre.shape
        if self.untied:
            self._update_untied(post, pre, out)
            return
        left, right = self._operand(post), self._operand(pre)
        if self.unshared:
            left, out = left.flatten(1, 2), out.view(-1, *out.shape[2:])  # a view: writing into a copy would be lost
        target = out if left.dtype == out.dtype else None
        _store(maps.correlate(left, right, shape, out=target), out)

    def _update_untied(self, post: Tensor, pre: Tensor, out: Tensor) -> None:
        left, right = self._operand(post), self._operand(pre)
        for mu, part in enumerate(out):  # parts are views
            target = part if left.dtype == out.dtype else None
            update = self.group.connectivity.correlate(left[:, mu], right[:, mu], self.pre.shape, out=target)
            _store(update, part)

    def accumulate_per_unit(
        self,
        post: Float[Tensor, " batch *post"],
        pre: Float[Tensor, "batch ..."],
        error: Float[Tensor, "batch K"],
        out: Tensor,
        fresh: bool,
    ) -> None:
        """Add to ``out`` what :meth:`update_per_unit` would write; where ``fresh``, overwrite it. Of tied groups."""
        maps, shape = self.group.connectivity, self.pre.shape
        left, right = self._operand(post), self._operand(pre)
        if self.unshared:
            maps.accumulate_modulated(left, right, self._operand(error), shape, out, fresh)
        else:
            maps.accumulate(left, right, shape, out, fresh)

    def accumulate_in_bin(
        self,
        post: Float[Tensor, " batch *post"],
        pre: Float[Tensor, "batch ..."],
        component: int,
        out: Tensor,
        fresh: bool,
    ) -> None:
        """Add ``sum_b d_mu G a_mu`` of one component to ``out``; where ``fresh``, its first component replaces it.

        From scalar units, to the component's own synapses. Not of an untied group.

        Args:
            post: ``d_mu G``, ``(batch, *post)``.
            pre: ``a_mu`` ``(batch, *pre)``, from scalar units ``x``.
        """
        maps, left, right = self.group.connectivity, self._operand(post), self._operand(pre)
        if self.unshared:
            maps.accumulate(left, right, self.pre.shape, out[component], fresh)
        else:
            maps.accumulate(left, right, self.pre.shape, out, fresh and component == 0)

    def _operand(self, tensor: Tensor) -> Tensor:
        return tensor if self.matmul_dtype is None else tensor.to(self.matmul_dtype)

    def _weight_operand(self, weight: Tensor | None) -> Tensor | None:
        return None if weight is None else self._operand(weight)


def _store(update: Tensor, out: Tensor) -> None:
    if update is not out:
        out.copy_(update)


def project_on_components(
    a: Float[Tensor, "batch K *units"], error: Float[Tensor, "batch K"]
) -> Float[Tensor, " batch *units"]:
    """``a.e``: ``sum_mu a[b, mu] e[b, mu]`` for ``a`` ``(batch, K, *units)``, computed once per population."""
    if a.is_contiguous():
        return torch.bmm(error.unsqueeze(1), a.flatten(2)).view(a.shape[0], *a.shape[2:])
    weight = error.view(*error.shape, *[1] * (a.ndim - 2))
    total = a[:, 0] * weight[:, 0]
    for mu in range(1, a.shape[1]):
        total.addcmul_(a[:, mu], weight[:, mu])
    return total
