"""An independent truth: circuits as plain differentiable torch, one obvious expression per connectivity.

Nothing here uses the engine's maps. Weights from scalar units are ``(K, *weight)``; the forward pass is written with
explicit components, and gradients come from autograd. Gates are constants, as in the engine (G is piecewise constant).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from neurosim import AvgPool, Conv2d, Dense, Local2d, ReLU, Simulator
from neurosim.images import to_unit_range


def _local(weight: Tensor, a: Tensor, connectivity: Local2d) -> Tensor:
    channels, height, width = weight.shape[:3]
    patches = F.unfold(a, connectivity.kernel, stride=connectivity.stride, padding=connectivity.padding)
    patches = patches.view(a.shape[0], -1, height, width)
    return torch.einsum("chwf,bfhw->bchw", weight.reshape(channels, height, width, -1), patches)


def drive(connectivity, weight: Tensor | None, a: Tensor) -> Tensor:
    """Drive of one component: ``a`` ``(batch, *pre)``."""
    if isinstance(connectivity, Dense):
        return a.flatten(1) @ weight.flatten(1).t()
    if isinstance(connectivity, Conv2d):
        return F.conv2d(a, weight, stride=connectivity.stride, padding=connectivity.padding)
    if isinstance(connectivity, Local2d):
        return _local(weight, a, connectivity)
    assert isinstance(connectivity, AvgPool)
    return F.avg_pool2d(a, connectivity.kernel, connectivity.stride)


class Reference:
    """Leaf copies of a simulator's weights and biases, and the loss as a function of them.

    Args:
        simulator: whose weights, biases and gate constants to copy.
        held: population -> G ``(batch, *units)`` to use instead of the gate's own verdict.
    """

    def __init__(self, simulator: Simulator, held: Mapping[str, Tensor] | None = None) -> None:
        self.held = held or {}
        self.circuit = simulator.circuit
        self.weights = {n: t.detach().clone().requires_grad_() for n, t in simulator.weights.items()}
        self.biases = {n: t.detach().clone().requires_grad_() for n, t in simulator.biases.items()}
        self.gates = {n: t.detach().clone() for n, t in simulator.gates.items()}
        self.pre_activations: dict[str, Tensor] = {}

    def output(self, images: Tensor) -> Tensor:
        """``(batch, K, *output units)``."""
        K, dtype = self.circuit.K, next(iter(self.weights.values())).dtype
        a = {"input": to_unit_range(images, dtype) if images.dtype == torch.uint8 else images.to(dtype)}
        for name in self.circuit.order:
            if name == "input":
                continue
            population = self.circuit.populations[name]
            total = 0
            for group in self.circuit.into(name):
                pre, weight = a[group.pre], self.weights.get(group.name)
                if population.scalar:
                    total = drive(group.connectivity, None, pre)
                elif self.circuit.populations[group.pre].scalar:
                    parts = [drive(group.connectivity, weight[mu], pre) for mu in range(K)]
                    total = total + torch.stack(parts, dim=1)
                else:
                    each = weight if group.untied else [weight] * K
                    parts = [drive(group.connectivity, each[mu], pre[:, mu]) for mu in range(K)]
                    total = total + torch.stack(parts, dim=1)
            if name in self.biases:
                bias = self.biases[name]
                total = total + bias.view(*bias.shape, *[1] * (total.ndim - 1 - bias.ndim))
            self.pre_activations[name] = total
            if name in self.held:
                a[name] = total * self.held[name].unsqueeze(1)
            elif population.gate is not None:
                a[name] = total * self.mask(name, total, a).to(total.dtype).detach().unsqueeze(1)
            else:
                a[name] = total
        return a["output"]

    def mask(self, name: str, h: Tensor, a: Mapping[str, Tensor]) -> Tensor:
        """Which units of a population are open, ``(batch, *units)`` or, with positions alike, ``(batch, n, 1, 1)``."""
        constants = {key.split("/")[1]: t for key, t in self.gates.items() if key.startswith(f"{name}/")}
        space = [1] * (h.ndim - 3)
        if isinstance(self.circuit.populations[name].gate, ReLU):
            return h[:, 0] >= 0
        if "t" in constants:  # SignGate
            return (constants["t"].view(*constants["t"].shape, *space) * h).sum(1) >= 0
        if "t1" in constants:  # FirstBinGate
            return constants["t1"].view(-1, *space) * h[:, 0] >= 0
        context, threshold = constants["context"], constants["threshold"]  # ExternalGate: one per pair
        signal = a[self.circuit.populations[name].gate.source].flatten(1)
        pairs = [[float(v.flatten() @ x) >= float(b) for v, b in zip(context, threshold, strict=True)] for x in signal]
        both = torch.tensor([[value for value in row for _ in range(2)] for row in pairs], device="cpu")
        return both.view(*both.shape, *space)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the batch, from the definitions."""
        readout = self.circuit.readout
        output = self.output(images).flatten(1)
        if readout.loss == "cross_entropy":
            return F.cross_entropy(output, labels)
        target = readout.codewords().to(output.dtype)[labels]
        if readout.loss == "squared":
            return 0.5 * ((output - target) ** 2).sum() / len(labels)
        return F.binary_cross_entropy_with_logits(output, target, reduction="sum") / len(labels)

    def gradients(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Gradient of every weight and bias, named as ``Step.updates`` names them."""
        leaves = {**self.weights, **{f"bias of {n}": t for n, t in self.biases.items()}}
        found = torch.autograd.grad(self.loss(images, labels), list(leaves.values()))
        return dict(zip(leaves, found, strict=True))
