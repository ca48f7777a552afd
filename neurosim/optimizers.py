"""Optimizers: which torch optimizer turns updates into changes of the weights, described without tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from attrs import Attribute, field, frozen
from torch import Tensor

from neurosim.description import is_number
from neurosim.errors import SimulationError, UnknownNameError


def _copied(table: Any) -> Any:
    return dict(table) if isinstance(table, Mapping) else table


def _options(instance: object, attribute: Attribute[Any], value: Any) -> None:
    if not isinstance(value, Mapping):
        raise SimulationError(f"optimizer: {attribute.name} must be options by name, {{NAME: VALUE}}, got {value!r}")
    _refuse_rate(value)


def _groups(instance: object, attribute: Attribute[Any], value: Any) -> None:
    tables = value.values() if isinstance(value, Mapping) else (value,)
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in tables):
        raise SimulationError(
            f"optimizer: groups must be options by group, as {{'f1->output': {{'lr': 0.01}}}}, got {value!r}"
        )
    for name, table in value.items():
        _refuse_rate(table, f" for '{name}'")


def _refuse_rate(options: Mapping[str, Any], where: str = "") -> None:
    """What is no number at all; which numbers an optimizer takes, it says itself when it is built."""
    rate = options.get("lr", 0.0)
    if not is_number(rate):
        raise SimulationError(f"optimizer{where}: lr must be a finite number, got {rate!r}")


def _torch_class(instance: object, attribute: object, value: type[torch.optim.Optimizer]) -> None:
    if not (isinstance(value, type) and issubclass(value, torch.optim.Optimizer)):
        raise SimulationError(f"Optimizer.kind must be a class of torch.optim, such as torch.optim.SGD, got {value!r}")


@frozen
class Optimizer:
    """Any optimizer class of ``torch.optim``, with its options.

    Args:
        kind: the class, for example ``torch.optim.SGD``.
        options: its keyword arguments.
        groups: options that differ for single groups or biases: ``{"f1->output": {"lr": 0.01}}``; a bias is named
            ``"bias of f1"``.

    Example:
        >>> Optimizer(torch.optim.SGD, {"lr": 0.1}, groups={"f1->output": {"lr": 0.01}}).to_dict()
        {'type': 'SGD', 'lr': 0.1, 'groups': {'f1->output': {'lr': 0.01}}}
    """

    kind: type[torch.optim.Optimizer] = field(validator=_torch_class)
    options: Mapping[str, Any] = field(factory=dict, converter=_copied, validator=_options)
    groups: Mapping[str, Mapping[str, Any]] = field(factory=dict, converter=_copied, validator=_groups, kw_only=True)

    def build(self, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer:
        """The torch optimizer of ``parameters``.

        Raises:
            UnknownNameError: ``groups`` names something that is not among them.
            SimulationError: the options do not fit the optimizer.
        """
        self._refuse_unusable(next(iter(parameters.values())).device)
        for name in self.groups:
            if name not in parameters:
                raise UnknownNameError("group with an optimizer of its own", name, parameters)
            # torch takes any option of a group, misspelt or out of range; as options of the optimizer it checks them
            self._checked([{"params": [parameters[name]]}], {**self.options, **self.groups[name]}, f" for '{name}'")
        own = [{"params": [parameters[name]], **options} for name, options in self.groups.items()]
        rest = [tensor for name, tensor in parameters.items() if name not in self.groups]
        return self._checked([*([{"params": rest}] if rest else []), *own], self.options)

    def _checked(
        self, groups: list[dict[str, Any]], options: Mapping[str, Any], where: str = ""
    ) -> torch.optim.Optimizer:
        try:
            return self.kind(groups, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise SimulationError(f"optimizer {self.kind.__name__}{where}: {error}") from error

    def _refuse_unusable(self, device: torch.device) -> None:
        """One step of a tiny parameter shows what would fail in the first step of learning."""
        tiny = torch.zeros(1, device=device)
        tiny.grad = torch.zeros_like(tiny)
        try:
            self.kind([tiny], **self.options).step()
        except (TypeError, RuntimeError, ValueError, AssertionError) as error:
            raise SimulationError(f"optimizer {self.kind.__name__} cannot be used here: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a run's record."""
        groups = {name: dict(options) for name, options in self.groups.items()}
        return {"type": self.kind.__name__, **self.options} | ({"groups": groups} if groups else {})


def Adam(lr: float = 3e-4, groups: Mapping[str, Mapping[str, Any]] | None = None, **options: Any) -> Optimizer:
    """Fused Adam with the paper's hyperparameters (Appendix H): lr 3e-4, betas (0.9, 0.999), eps 1e-8.

    Example:
        >>> Adam().options["lr"]
        0.0003
    """
    settings = {"lr": lr, "betas": (0.9, 0.999), "eps": 1e-8, "fused": True} | options
    return Optimizer(torch.optim.Adam, settings, groups={} if groups is None else groups)


def SGD(lr: float, groups: Mapping[str, Mapping[str, Any]] | None = None, **options: Any) -> Optimizer:
    """Stochastic gradient descent, for studies where a weight should change by exactly the update.

    Example:
        >>> SGD(0.1, momentum=0.9).to_dict()
        {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}
    """
    return Optimizer(torch.optim.SGD, {"lr": lr} | options, groups={} if groups is None else groups)


#: what :func:`optimizer_named` knows
OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {"adam": Adam, "sgd": SGD}


def optimizer_named(name: str, lr: float, untied: Mapping[str, int] = MappingProxyType({})) -> Optimizer:
    """An optimizer by its name, ``adam`` or ``sgd``, as options and files name it.

    Args:
        name: which.
        lr: the learning rate.
        untied: untied group that learns -> K. With ``sgd`` it learns at K times the rate, because each of its K
            weights gets one K-th of a shared weight's update; Adam does not see the scale of updates.

    Raises:
        UnknownNameError: neither.

    Example:
        >>> optimizer_named("sgd", 0.1, {"f1->f2": 10}).to_dict()
        {'type': 'SGD', 'lr': 0.1, 'groups': {'f1->f2': {'lr': 1.0}}}
    """
    if name not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    return Adam(lr) if name == "adam" else SGD(lr, groups={group: {"lr": lr * K} for group, K in untied.items()})
