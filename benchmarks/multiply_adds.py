"""How many multiply-adds a step of GEVB needs, the measure for the share of the machine's peak."""

from __future__ import annotations

from neurosim import Circuit, Conv2d
from neurosim.populations import SynapseGroup


def multiply_adds(circuit: Circuit, batch: int) -> dict[str, dict[str, int]]:
    """Multiply-adds of the linear maps of one GEVB step, by group.

    - forward: every component of every postsynaptic unit sums over its fan-in, ``batch K units fan_in``; padding
      counts as the zeros that it is.
    - update, between vector units: ``correlate(G, a.e)``, one component instead of K: ``batch units fan_in``.
    - update, from the images: ``sum_b e_mu G x`` for each mu, ``batch K units fan_in``. A convolution sums over
      positions before the components are told apart: ``batch units fan_in + batch K channels fan_in``.
    - projection: ``a.e``, once for each population that vector units listen to: ``batch K units``.

    Left out are terms per unit or per weight: biases, gates, pooling, error, optimizer, clamp.
    """
    counted, projected = {}, set()
    for name, group in circuit.groups.items():
        pre, post = circuit.populations[group.pre], circuit.populations[group.post]
        reached = batch * post.units * group.connectivity.fan_in(pre.shape)
        work = {"forward": circuit.K * reached, "update": reached, "projection": 0}
        if pre.scalar:
            work["update"] = _first_update(circuit, group, batch)
        elif group.pre not in projected:
            projected.add(group.pre)
            work["projection"] = batch * circuit.K * pre.units
        counted[name] = work
    return counted


def _first_update(circuit: Circuit, group: SynapseGroup, batch: int) -> int:
    post = circuit.populations[group.post]
    fan_in = group.connectivity.fan_in(circuit.populations[group.pre].shape)
    if isinstance(group.connectivity, Conv2d):
        return batch * post.units * fan_in + batch * circuit.K * post.shape[0] * fan_in
    return batch * circuit.K * post.units * fan_in
