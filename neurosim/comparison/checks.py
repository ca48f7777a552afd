"""What a comparison refuses before it writes anything: a corrected one would find the folder in its way."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from attrs import Attribute

from neurosim.circuit import Circuit
from neurosim.comparison.costs import waits
from neurosim.comparison.setting import Setting
from neurosim.datasets import Dataset
from neurosim.description import is_number
from neurosim.errors import CircuitError, DataError, SimulationError, UnknownNameError
from neurosim.optimizers import OPTIMIZERS
from neurosim.presented import usable_device
from neurosim.runs.recording import refuse_other_version
from neurosim.runs.run import Run
from neurosim.simulator import PRECISIONS

if TYPE_CHECKING:
    from neurosim.comparison.comparison import Comparison


def folder_name(setting: str) -> str:
    """A setting's name as that of a folder.

    Example:
        >>> folder_name("relaxation=every 100")
        'relaxation=every-100'
    """
    return re.sub(r"[^\w.=+-]+", "-", setting).strip(".-")


def a_circuit(instance: Comparison, attribute: Attribute[Any], value: Any) -> None:
    """A circuit, not its name."""
    if not isinstance(value, Circuit):
        raise CircuitError(f"circuit: expected a Circuit, such as circuits.load('digits-fc'), got {value!r}")


def a_dataset(instance: Comparison, attribute: Attribute[Any], value: Any) -> None:
    """A dataset, not its name."""
    if not isinstance(value, Dataset):
        raise DataError(f"dataset: expected a Dataset, such as load_dataset('digits'), got {value!r}")


def settings_apart(instance: Comparison, attribute: Attribute[Any], value: Any) -> None:
    """Two or more, whose runs are in different folders."""
    if not isinstance(value, tuple) or len(value) < 2 or not all(isinstance(each, Setting) for each in value):
        found = list(value) if isinstance(value, tuple) else value
        raise CircuitError(f"settings: expected two or more Settings, the first the reference, got {found!r}")
    names: dict[str, str] = {}
    for setting in value:
        name = folder_name(setting.name)
        if not name or name in names:
            other = f", which setting '{names[name]}' has too" if name else ""
            raise CircuitError(f"setting '{setting.name}': its runs would be in the folder '{name}'{other}; rename it")
        names[name] = setting.name


def seeds_once(instance: Comparison, attribute: Attribute[Any], value: Any) -> None:
    """One or more integers, each once."""
    if not isinstance(value, tuple) or not all(type(seed) is int for seed in value):
        found = list(value) if isinstance(value, tuple) else value
        raise SimulationError(f"seeds: expected integers, such as (0, 1, 2), got {found!r}")
    if not value or len(set(value)) < len(value):
        raise SimulationError(f"seeds: expected at least one, each once, got {list(value)!r}")


def one_or_more(instance: Comparison, attribute: Attribute[Any], value: int) -> None:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SimulationError(f"{attribute.name}: expected an integer of at least 1, got {value!r}")


def known_optimizer(instance: Comparison, attribute: Attribute[Any], value: Any) -> None:
    """One of :data:`~neurosim.optimizers.OPTIMIZERS`."""
    if not isinstance(value, str) or value not in OPTIMIZERS:
        raise UnknownNameError("optimizer", str(value), OPTIMIZERS)


def usable_rate(instance: Comparison, attribute: Attribute[Any], value: float) -> None:
    """A finite number above 0."""
    if not is_number(value) or value <= 0:
        raise SimulationError(f"{attribute.name}: expected a finite number above 0, such as 0.0003, got {value!r}")


def known_precision(instance: Comparison, attribute: Attribute[Any], value: str) -> None:
    """One of the simulator's."""
    if value not in PRECISIONS:
        raise UnknownNameError("precision", str(value), PRECISIONS)


def device_there(instance: Comparison, attribute: Attribute[Any], value: str) -> None:
    """One that tensors can live on."""
    usable_device(value)


def refuse_idle_relaxation(setting: Setting, circuit: Circuit, examples: int, batch_size: int, epochs: int) -> None:
    """One that is due after more steps than there are would change nothing."""
    per_epoch = math.ceil(examples / batch_size)
    for group, every in waits(circuit).items():
        if every > per_epoch * epochs:
            raise CircuitError(
                f"setting '{setting.name}': the relaxation of group '{group}' is due every {every} steps, but {epochs} "
                f"epochs of {per_epoch} steps are {per_epoch * epochs}, so it would never run; relax more often, train "
                "longer, or compare with 'never' (no relaxation)"
            )


def refuse_unfit(comparison: Comparison) -> None:
    """A folder or runs in it that cannot be begun or continued here."""
    folder = comparison.folder
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: expected a folder, found a file; name another with --out")
    if comparison.resume and not (folder / "runs").is_dir():
        raise DataError(f"{folder}: expected a comparison to resume, but there is no folder of runs in it")
    if not comparison.resume and folder.exists() and any(folder.iterdir()):
        raise DataError(
            f"{folder}: expected a new or empty folder, found files; continue a comparison with --resume, or "
            "name another folder with --out"
        )
    paths = [comparison.path(setting, seed) for setting in comparison.settings for seed in comparison.seeds]
    for run in [Run(path) for path in paths if path.exists()]:
        refuse_other_version(run)
        if (trained := run.epoch) > comparison.epochs:
            raise DataError(
                f"{run.path}: this run has trained {trained} epochs already, {comparison.epochs} are asked for; raise "
                "--epochs, or name another folder with --out"
            )
