"""How good a rule's credit was, after the fact: measured at the checkpoints of a run file."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import attrs
from attrs import field, frozen
from torch import Tensor

from neurosim.analysis.alignment import refuse_misuse
from neurosim.analysis.alignment_recorder import EXAMPLES as EXAMPLES
from neurosim.analysis.credit_quality import SIGN_EXAMPLES, CreditQuality, credit_quality, measures_named
from neurosim.description import is_count
from neurosim.errors import DataError, SimulationError
from neurosim.plasticity import PlasticityRule, Signal, rules_by_population
from neurosim.runs.rebuilt import dataset_of, put_back, simulator_of
from neurosim.runs.run import Run
from neurosim.simulator import Simulator


@frozen
class CheckpointAlignment(CreditQuality):
    """What was measured at one checkpoint, on so many examples, by hidden population or by synapse group.

    Attributes:
        epoch: of the checkpoint.
        examples: the first so many training images.
        sign_examples: the first so many of them, whose updates were compared one by one; 0 where none were.
    """

    epoch: int = field(default=0, kw_only=True)
    examples: int = field(default=0, kw_only=True)
    sign_examples: int = field(default=0, kw_only=True)


def run_alignment(
    run: Run,
    *,
    rule: PlasticityRule | None = None,
    examples: int | None = None,
    data_dir: str | Path | None = None,
    dataset: str | None = None,
    device: str = "cpu",
    measures: str | Collection[str] = ("angle",),
    sign_examples: int = SIGN_EXAMPLES,
) -> list[CheckpointAlignment]:
    """Angle between a rule's credit and backpropagation's at every checkpoint whose weights were kept (Appendix D).

    An AlignmentRecorder measures the same while training; rules that draw noise draw another here.

    Args:
        run: recorded with ``checkpoints="all"`` for more than the last epoch.
        rule: whose credit; by default the rule that each population learned by.
        examples: the first so many training images; None for 128, or all where there are fewer.
        data_dir: folder of datasets.
        dataset: name or file, where it is not the name in the run.
        measures: ``"angle"``, ``"r"``, ``"signs"``, or the tables that they fill, ``"degrees"`` and so on, see
            :class:`~neurosim.analysis.credit_quality.CreditQuality`.
        sign_examples: the first so many examples whose updates are compared one by one; each costs a few steps.

    Returns:
        One of each checkpoint; NaN where a population learns by no rule or several (name a rule).

    Raises:
        DataError: no run; the dataset is not the one that the run was trained on, it has fewer examples; no weights
            were kept, or nothing of what ``rule`` draws.
        SimulationError: no rule, or one that cannot apply; a number of ``sign_examples`` below 1.
        UnknownNameError: another measure.

    Example:
        >>> import tempfile
        >>> from neurosim import circuits
        >>> from neurosim.datasets import load_dataset
        >>> from neurosim.runs.recording import RunRecorder
        >>> from neurosim.training import Trainer
        >>> data = load_dataset("digits").subset(train=64, test=32)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "run.h5")
        ...     _ = Trainer(Simulator(circuits.load("digits-fc")), data, epochs=1, observers=[RunRecorder(path)]).run()
        ...     [(each.epoch, sorted(each.degrees)) for each in run_alignment(Run(path))]
        [(0, ['fc1', 'fc2']), (1, ['fc1', 'fc2'])]
    """
    if not isinstance(run, Run):
        raise DataError(f"run_alignment: expected a Run, such as Run('runs/gevb.h5'), got {run!r}")
    if not run.kept_epochs:
        raise DataError(f"{run.path}: no weights were kept; record with checkpoints='all' to measure alignment later")
    wanted, simulator = measures_named(measures), simulator_of(run, device)
    refuse_misuse("run_alignment", simulator, rule)
    images, labels = first_examples(run, examples, data_dir, dataset, device)
    found = []
    for epoch in run.kept_epochs:
        put_back(simulator, run, epoch)
        try:
            quality = credit_quality(simulator, images, labels, rule, wanted, sign_examples)
        except SimulationError as error:
            _refuse_rule_without_constants(simulator, run, rule, error)
            raise
        one_by_one = min(int(sign_examples), len(labels)) if "signs" in wanted else 0
        found.append(
            CheckpointAlignment(**attrs.asdict(quality), epoch=epoch, examples=len(labels), sign_examples=one_by_one)
        )
    return found


def _refuse_rule_without_constants(
    simulator: Simulator, run: Run, rule: PlasticityRule | None, error: SimulationError
) -> None:
    """What a rule draws is kept of the rules that learned; the simulator's own words for it are for who writes one."""
    if rule is None:
        return
    learned = [each for _, each in rules_by_population(simulator.circuit)]
    heard = {pathway for each in learned for pathway in each.pathways}
    draws = type(rule).draw is not PlasticityRule.draw and rule not in learned
    if draws or any(pathway.constant and not pathway.redrawn and pathway not in heard for pathway in rule.pathways):
        what = "feedback matrices" if Signal.FEEDBACK in rule.uses else "constants or running means"
        raise DataError(
            f"{run.path}: this run holds no {what} of the rule {rule}, because nothing learned by it, so its credit "
            "cannot be measured here; name a rule that draws nothing of its own (--rule gevb, bp, ...), or the one "
            "that the run learned by"
        ) from error


def first_examples(
    run: Run,
    examples: int | None = None,
    data_dir: str | Path | None = None,
    dataset: str | None = None,
    device: str = "cpu",
) -> tuple[Tensor, Tensor]:
    """The first so many training images of a run, and their labels; arguments as in :func:`run_alignment`.

    Raises:
        DataError: the dataset is not the one that the run was trained on, or it has fewer examples.
    """
    number = examples_of(run, examples)
    data = dataset_of(run, data_dir, dataset)
    first = data.train.first(number)
    return first.images.to(device), first.labels.to(device)


def examples_of(run: Run, examples: int | None = None) -> int:
    """How many training images are measured where ``examples`` are asked for, or None for the usual number.

    Raises:
        DataError: more than the run was trained on, or none.
    """
    there = int(run.attributes["dataset_train_size"])
    if examples is not None and not (is_count(examples) and examples <= there):
        raise DataError(
            f"{run.path}: expected a number of examples from 1 to {there}, the training images of the run, "
            f"found {examples!r}"
        )
    return min(EXAMPLES, there) if examples is None else examples


#: measure -> what a table of it says above its columns, and digits after the point
_TITLES = {
    "degrees": ("degrees between the credit and the exact one", 2),
    "relative_std": ("r of the exact credit", 3),
    "signs_per_example": ("share of weights whose update has the gradient's sign, each of {} by itself", 4),
    "signs_per_batch": ("share of weights whose update has the gradient's sign, of the whole batch", 4),
}


def as_text(aligned: list[CheckpointAlignment]) -> str:
    """A line per checkpoint; a title above each table where there are several."""
    tables = {measure: digits for measure, digits in _TITLES.items() if getattr(aligned[0], measure)}
    parts = []
    for measure, (title, digits) in tables.items():
        rows = [(each.epoch, getattr(each, measure)) for each in aligned]
        one_by_one = f"the first {aligned[0].sign_examples} examples"
        parts += [title.format(one_by_one)] if len(tables) > 1 else []
        parts.append(_table(rows, digits))
    return "\n".join([*parts, *_kept_lines(aligned)])


def _kept_lines(aligned: list[CheckpointAlignment]) -> list[str]:
    """Of how many examples the angles are means, by population; one number where it is the same at all checkpoints."""
    if not aligned[0].kept:
        return []
    counts = {name: sorted({each.kept[name] for each in aligned}) for name in aligned[0].kept}
    spans = [f"{name} {c[0]}" if len(c) == 1 else f"{name} {c[0]} to {c[-1]}" for name, c in counts.items()]
    fewest = min(count for each in aligned for count in each.kept.values())
    why = "; the others have almost no credit" if fewest < aligned[0].examples else ""
    why += ", or no single rule: name one" if not fewest else ""
    return [f"examples that angles are means of, of {aligned[0].examples}: {', '.join(spans)}{why}"]


def _table(rows: list[tuple[int, dict[str, float]]], digits: int) -> str:
    widths = {name: max(7, len(name)) for name in rows[0][1]}
    head = "epoch  " + "  ".join(name.rjust(width) for name, width in widths.items())
    lines = (
        f"{epoch:5d}  " + "  ".join(f"{values[name]:{width}.{digits}f}" for name, width in widths.items())
        for epoch, values in rows
    )
    return "\n".join([head, *lines])


def to_plain(aligned: list[CheckpointAlignment]) -> list[dict[str, object]]:
    """For JSON: of every checkpoint its epoch, how many examples, how many of them whose signs were compared one by
    one, what was measured (None where it is undefined), and of how many of the examples each angle is the mean.
    """
    return [
        {"epoch": each.epoch, "examples": each.examples}
        | ({"sign_examples": each.sign_examples} if each.sign_examples else {})
        | {
            measure: {name: None if math.isnan(value) else value for name, value in values.items()}
            for measure in _TITLES
            if (values := getattr(each, measure))
        }
        | ({"kept": each.kept} if each.kept else {})
        for each in aligned
    ]
