"""The same vectorized networks as plain torch modules, trained by autograd: what the engine is measured against.

Where torch offers several sensible ways to write a network, all are here (`FORMULATIONS`), and a benchmark takes the
fastest.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from baseline_layers import (
    BmmLocalLayer,
    ChannelsLastConvLayer,
    ConvLayer,
    DenseAfterPositions,
    DenseLayer,
    Described,
    Layer,
    LocalLayer,
    PositionsFirstLocalLayer,
)
from torch import Tensor, nn

from neurosim import BP, AvgPool, Circuit, Connectivity, Conv2d, Dense, Local2d, OneHot, Simulator
from neurosim.circuit import INPUT, OUTPUT
from neurosim.populations import SynapseGroup
from neurosim.streams import stream

#: the connectivity that a network is named for -> sensible formulations -> the layer of each connectivity
FORMULATIONS: Mapping[type[Connectivity], Mapping[str, Mapping[type[Connectivity], type[Layer]]]] = {
    Dense: {"linear": {Dense: DenseLayer}},
    Conv2d: {
        "conv2d": {Conv2d: ConvLayer, Dense: DenseLayer},
        "conv2d, channels last": {Conv2d: ChannelsLastConvLayer, Dense: DenseLayer},
    },
    Local2d: {
        "F.unfold, einsum": {Local2d: LocalLayer, Dense: DenseLayer},
        "F.unfold, bmm": {Local2d: BmmLocalLayer, Dense: DenseLayer},
        "positions first, bmm": {Local2d: PositionsFirstLocalLayer, Dense: DenseAfterPositions},
    },
}


def formulations(circuit: Circuit) -> Mapping[str, Mapping[type[Connectivity], type[Layer]]]:
    """The ways to write a circuit, by name; its first layer decides which there are."""
    return FORMULATIONS[type(circuit.out_of(INPUT)[0].connectivity)]


class Baseline:
    """A simulator's circuit, weights and hyperparameters in plain torch.

    Args:
        simulator: whose weights are copied.
        formulation: one of `formulations(simulator.circuit)`.

    Raises:
        ValueError: a circuit that is not one chain with pools of 2 x 2, or another readout than one-hot cross-entropy.
    """

    def __init__(self, simulator: Simulator, formulation: str) -> None:
        circuit, kinds = simulator.circuit, formulations(simulator.circuit)[formulation]
        if circuit.readout != OneHot(circuit.readout.classes) or circuit.output_units != 1:
            raise ValueError(f"expected a one-hot readout of vector units with cross-entropy, got {circuit.readout}")
        self.layers: dict[str, Layer] = {}  # by the name of the group
        self.posts: dict[str, str] = {}
        for post, described in _chain(circuit, simulator).items():
            group = circuit.into(post)[0]
            t = None if circuit.populations[post].gate is None else simulator.gates[f"{post}/t"]
            layer = kinds[type(group.connectivity)]
            self.layers[group.name] = layer(described, simulator.weights[group.name], simulator.biases[post], t)
            self.posts[group.name] = post
        self.network = nn.Sequential(*self.layers.values())
        self.optimizer = torch.optim.Adam(self.network.parameters(), **simulator.optimizer.options)
        self.nonnegative = [
            layer.weight for name, layer in self.layers.items() if circuit.group(name).sign == "nonnegative"
        ]

    def loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and number of mistakes of uint8 images."""
        scaled = images.to(next(self.network.parameters()).dtype).sub_(127.5).div_(127.5)
        output = self.network(scaled).flatten(1)
        return F.cross_entropy(output, labels), (output.argmax(1) != labels).sum()

    def learn(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One step of training by autograd: loss and number of mistakes, as `Simulator.learn` gives them."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, mistakes = self.loss(images, labels)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for weight in self.nonnegative:
                weight.clamp_(min=0)
        return loss.detach(), mistakes

    def gradients(self) -> dict[str, Tensor]:
        """The parameters' gradients under the names and in the shapes of `Step.updates`."""
        found = {}
        for name, layer in self.layers.items():
            assert layer.weight.grad is not None and layer.bias.grad is not None
            found[name] = layer.unpack(layer.weight.grad)
            found[f"bias of {self.posts[name]}"] = layer.unpack_bias(layer.bias.grad)
        return found


def _chain(circuit: Circuit, simulator: Simulator) -> dict[str, Described]:
    """The populations that have weights, in order."""
    layers: dict[str, Described] = {}
    name, first, space = INPUT, True, False
    while name != OUTPUT:
        group = _only(circuit.out_of(name), name)
        name = group.post
        relay = None if name == OUTPUT else _only(circuit.out_of(name), name)
        pooled = relay is not None and not relay.connectivity.has_weights
        layers[name] = Described(
            connectivity=group.connectivity,
            weight_shape=tuple(simulator.weights[group.name].shape),
            bias_shape=tuple(simulator.biases[name].shape),
            first=first,
            pooled=pooled,
            after_space=space and isinstance(group.connectivity, Dense),
        )
        first, space = False, not isinstance(group.connectivity, Dense)
        if relay is not None and pooled:
            if relay.connectivity != AvgPool(2):
                raise ValueError(f"'{name}': expected average pooling by 2, got {relay.connectivity}")
            name = relay.post
    return layers


def _only(groups: list[SynapseGroup], name: str) -> SynapseGroup:
    if len(groups) != 1:
        raise ValueError(f"expected a chain, but '{name}' has {len(groups)} groups out of it")
    return groups[0]


def check_against_simulator(circuit: Circuit, formulation: str, examples: int = 8, seed: int = 0) -> float:
    """Compare loss and gradients with the simulator's BP from the same weights, at full width, in float64.

    Returns:
        The largest difference of a gradient's entry, relative to the largest entry of that gradient.

    Raises:
        AssertionError: a relative difference above 1e-10, or a gradient that is zero everywhere.
    """
    simulator = Simulator(circuit.with_rules(BP()), seed=seed, precision="float64")
    baseline = Baseline(simulator, formulation)
    images, labels = synthetic(circuit, examples, seed)
    step = simulator.probe(images, labels)
    loss, mistakes = baseline.loss(images, labels)
    loss.backward()
    got, wanted = (loss.item(), mistakes.item()), (step.loss.item(), step.mistakes.item())
    if abs(got[0] - wanted[0]) > 1e-10 or got[1] != wanted[1]:
        raise AssertionError(f"{formulation}: expected loss and mistakes {wanted}, got {got}")
    found, worst = baseline.gradients(), 0.0
    if found.keys() != step.updates.keys():
        raise AssertionError(f"{formulation}: gradients of {sorted(found)}, expected {sorted(step.updates)}")
    for name, expected in step.updates.items():
        largest = expected.abs().max().item()
        difference = (found[name] - expected).abs().max().item()
        if not difference <= 1e-10 * largest or largest == 0:
            raise AssertionError(
                f"{formulation}: gradient of '{name}' differs by {difference}, its largest is {largest}"
            )
        worst = max(worst, difference / largest)
    return worst


def synthetic(circuit: Circuit, examples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Uniform random pixels and classes of a circuit's shapes; what a step costs does not depend on their values."""
    draw = stream(seed, "benchmark images")
    images = torch.randint(256, (examples, *circuit.inputs), dtype=torch.uint8, generator=draw, device="cpu")
    labels = torch.randint(circuit.readout.classes, (examples,), generator=draw, device="cpu")
    return images, labels
