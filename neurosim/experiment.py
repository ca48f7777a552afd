"""An experiment: the plain settings behind one training run, from the command line, a TOML file or Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from attrs import evolve, field, frozen

from neurosim.errors import ConfigError as ConfigError
from neurosim.errors import DataError, UnknownNameError

if TYPE_CHECKING:  # torch is loaded where a circuit is built, so that wrong settings are refused at once
    from neurosim.circuit import Circuit
    from neurosim.datasets import Dataset
    from neurosim.observers import Observer
    from neurosim.optimizers import Optimizer
    from neurosim.plasticity import PlasticityRule
    from neurosim.simulator import Simulator
    from neurosim.training import Trainer

#: settings that mean something beside ``record`` only
_HOW_TO_RECORD = ("record_every", "record_reduce")
#: what `--rule GROUP=frozen` says instead of a rule
FROZEN = "frozen"
#: what must be at least so much
_LEAST = {"epochs": 0, "batch_size": 1, "checkpoint_every": 1}


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


@frozen
class Experiment:
    """Settings of one run; every default is the paper's where it names one (Appendix H).

    Attributes:
        circuit: name of a ready-made circuit, or a ``.json`` file made by ``Circuit.to_json``.
        sign: ``"nonnegative"`` or ``"mixed"`` past the first layer; None for the circuit's own.
        rule: rules in words, ``"gevb"``, ``"dfa(limits=(0, 1))"`` or ``"my_module:MyRule"``: one for all groups, or
            ``"GROUP=RULE"`` for single ones; ``frozen`` freezes.
        dataset: a dataset's name or file; None for the one that the circuit is named after.
        epochs, batch_size, learning_rate, checkpoint_every: of training.
        optimizer: ``"adam"``, or ``"sgd"`` for plain gradient descent, see
            :func:`~neurosim.optimizers.optimizer_named`.
        seed: from which every random stream derives.
        device, precision: as in :class:`~neurosim.simulator.Simulator`.
        early_stop: stop at a checkpoint (every ``checkpoint_every`` epochs) without a mistake on the training set.
        train_examples, test_examples: use only so many; None for all.
        vectorization: ``"group"``, ``"temporal"`` or ``"temporal:causal"``.
        record: what to record of the circuit while it learns, ``"TARGET:VARIABLE,VARIABLE"`` each.
        record_every, record_reduce: as in :class:`~neurosim.runs.recorder.Recorder`; ``"none"`` records all examples.
        alignment: measure the rules beside the gradient at every checkpoint.

    Example:
        >>> experiment = Experiment(circuit="digits-fc", epochs=1)
        >>> experiment.build().simulator.circuit.K
        10
    """

    circuit: str = "digits-fc"
    sign: str | None = None
    rule: tuple[str, ...] = field(default=(), converter=_texts)
    dataset: str | None = None
    epochs: int = 20
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 3e-4
    checkpoint_every: int = 10
    seed: int = 0
    device: str = "cpu"
    precision: str = "float32"
    early_stop: bool = True
    train_examples: int | None = None
    test_examples: int | None = None
    vectorization: str = "group"
    record: tuple[str, ...] = field(default=(), converter=_texts)
    record_every: int = 10
    record_reduce: str = "mean"
    alignment: bool = False

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Experiment:
        """From a table of settings, for example of a TOML file; ``-`` and ``_`` are the same in names.

        Raises:
            UnknownNameError: a setting, or a reduction of what is recorded, that does not exist.
            ConfigError: a value of the wrong type, or how to record where nothing is recorded.
        """
        kinds: dict[str, tuple[type, ...]] = {
            "epochs": (int,), "batch_size": (int,), "learning_rate": (int, float), "checkpoint_every": (int,),
            "seed": (int,), "early_stop": (bool,), "train_examples": (int,), "test_examples": (int,),
            "rule": (str, list, tuple), "record": (str, list, tuple), "record_every": (int,), "alignment": (bool,),
        }  # fmt: skip
        known = [a.name for a in attrs.fields(cls)]
        given: dict[str, Any] = {}
        for key, value in settings.items():
            name = key.replace("-", "_")
            if name not in known:
                raise UnknownNameError("setting", key, known)
            expected = kinds.get(name, (str,))
            if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
                wanted = " or ".join(kind.__name__ for kind in expected)
                raise ConfigError(f"setting '{key}': expected {wanted}, got {value!r}")
            given[name] = value
        _refuse_idle_recording(given)
        return cls(**given)

    @property
    def dataset_name(self) -> str:
        """The dataset, where none is given the one that the circuit is named after.

        Raises:
            ConfigError: none is given and the circuit's name does not tell.
        """
        if self.dataset is not None:
            return self.dataset
        from neurosim.datasets import available_datasets

        prefix = self.circuit.split("-")[0]
        if prefix not in available_datasets():
            raise ConfigError(f"circuit '{self.circuit}' is not named after a dataset; say which one with --dataset")
        return prefix

    @property
    def label(self) -> str:
        """A short name for files: circuit, rules and seed; between them what is not the default.

        In this order: circuit, a dataset and a sign that are not the circuit's own, the rules (the circuit's own where
        none is given for all groups), a vectorization other than ``group``, the seed.

        Raises:
            UnknownNameError: a circuit that does not exist.

        Example:
            >>> Experiment().label, Experiment(circuit="mnist-fc", dataset="fashion-mnist", rule="bp", seed=3).label
            ('digits-fc-gevb-seed0', 'mnist-fc-fashion-mnist-bp-seed3')
        """
        usual = evolve(self, sign=None)._circuit_without_rules()
        data = [] if self.dataset in (None, self.circuit.split("-")[0]) else [Path(str(self.dataset)).stem]
        signs = [self.sign] if self.sign and self._circuit_without_rules() != usual else []
        own = [] if any(_group_and_rule(words)[0] is None for words in self.rule) else _rules_of(usual)
        rules = [re.sub(r"[^\w.+-]+", "-", rule.replace("->", "-")).strip("-") for rule in (*own, *self.rule)]
        in_time = [] if self.vectorization == "group" else [self.vectorization.replace(":", "-")]
        return "-".join([Path(self.circuit).stem, *data, *signs, *rules, *in_time, f"seed{self.seed}"])

    def check(self, data_dir: str | Path | None = None) -> Circuit:
        """Refuse whatever is wrong without reading data or drawing weights; the circuit, as :meth:`build_circuit`.

        Raises:
            UnknownNameError: a name that does not exist, of a dataset, optimizer, precision or kind of device too.
            SimulationError: a device that is not there.
            ConfigError, CircuitError, DataError: as :meth:`build_circuit` and :meth:`recorders`, or a number out of
                range.
        """
        from neurosim.datasets.registry import refuse_unknown
        from neurosim.presented import usable_device
        from neurosim.simulator import PRECISIONS

        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option}: expected a number of at least {least}, got {getattr(self, name)}")
        circuit = self.build_circuit()
        if self.record or self.alignment:
            self.recorders(circuit)
        refuse_unknown(self.dataset_name, data_dir)
        self.build_optimizer(circuit)
        if self.precision not in PRECISIONS:
            raise UnknownNameError("precision", self.precision, PRECISIONS)
        usable_device(self.device)
        return circuit

    def build_circuit(self) -> Circuit:
        """The circuit with its rules.

        Raises:
            UnknownNameError: a circuit, rule, group or vectorization that does not exist.
            CircuitError: a rule, sign or vectorization that does not fit.
            ConfigError: a sign for a circuit that fixes it, several rules for all groups, none that learns, or a rule
                for a group onto the output, which learns by the exact gradient anyway.
        """
        circuit = self._circuit_without_rules()
        asked = [_group_and_rule(words) for words in self.rule]
        everywhere = [rule for group, rule in asked if group is None]
        if len(everywhere) > 1:
            raise ConfigError(f"one rule for all groups, or GROUP=RULE for single ones; got {', '.join(everywhere)}")
        for name in everywhere:
            circuit = circuit.with_rules(_rule(name), frozen_too=name != FROZEN)
        named = {group: _rule(rule) for group, rule in asked if group is not None}
        _refuse_idle_rules(circuit, named)
        circuit = circuit.with_rules(named)
        if self.epochs > 0 and all(group.rule is None for group in circuit.groups.values()):
            raise ConfigError(
                "nothing would learn, because every group is frozen; give one a rule, or record an untrained network "
                "with `neurosim train --epochs 0`"
            )
        return circuit.check(self.vectorization)

    def _circuit_without_rules(self) -> Circuit:
        """The circuit before ``rule`` changes the rules that it came with."""
        from neurosim.circuit import Circuit
        from neurosim.circuit_library import load

        options = {} if self.sign is None else {"sign": self.sign}
        if not self.circuit.endswith(".json"):
            return load(self.circuit, **options)
        if options:
            raise ConfigError(f"{self.circuit} fixes the sign of every group; --sign is for ready-made circuits")
        return Circuit.from_json(_text_of(Path(self.circuit)))

    def recorders(self, circuit: Circuit) -> list[Observer]:
        """The observers that ``record`` and ``alignment`` ask for; one recorder a target.

        Raises:
            ConfigError: a text that is not TARGET:VARIABLE,VARIABLE, or one variable of a target twice.
            UnknownNameError: a target or variable that ``circuit`` does not have; the message lists those it has.
        """
        from neurosim.analysis.alignment_recorder import AlignmentRecorder  # with h5py, where something is recorded
        from neurosim.runs.recorder import Recorder

        wanted: dict[str, list[str]] = {}
        for text in self.record:
            target, colon, variables = text.rpartition(":")
            names = [name.strip() for name in variables.split(",")]
            if not colon or not target or not all(names):
                raise ConfigError(
                    f"--record: expected TARGET:VARIABLE,VARIABLE as in fc1:activity,credit; got '{text}'"
                )
            known = wanted.setdefault(target.strip(), [])
            for name in names:
                if name in known:
                    raise ConfigError(f"--record: {target.strip()}:{name} is given twice; leave one of them out")
                known.append(name)
        reduce = None if self.record_reduce == "none" else self.record_reduce
        found: list[Recorder | AlignmentRecorder] = [  # asked for beside --resume, they may join: `show` names the gap
            Recorder(target, names, every=self.record_every, reduce=reduce, allow_gaps=True)
            for target, names in wanted.items()
        ]
        found += [AlignmentRecorder(allow_gaps=True)] if self.alignment else []
        for recorder in found:
            recorder.check(circuit)
        return [*found]

    def build_optimizer(self, circuit: Circuit) -> Optimizer:
        """The optimizer of ``circuit``'s weights.

        Raises:
            UnknownNameError: no such optimizer.
        """
        from neurosim.optimizers import optimizer_named

        untied = {name: circuit.K for name, group in circuit.groups.items() if group.untied and group.rule is not None}
        return optimizer_named(self.optimizer, self.learning_rate, untied)

    def build_simulator(self, circuit: Circuit | None = None) -> Simulator:
        """The simulator, with its weights drawn; ``circuit`` is :meth:`build_circuit`'s where that was called."""
        from neurosim.simulator import Simulator

        circuit = circuit or self.build_circuit()
        return Simulator(
            circuit,
            device=self.device,
            precision=self.precision,
            vectorization=self.vectorization,
            seed=self.seed,
            optimizer=self.build_optimizer(circuit),
        )

    def load_data(self, data_dir: str | Path | None = None) -> Dataset:
        """The dataset, shortened where the settings say so."""
        from neurosim.datasets import load_dataset

        dataset = load_dataset(self.dataset_name, data_dir)
        if self.train_examples is not None or self.test_examples is not None:
            dataset = dataset.subset(train=self.train_examples, test=self.test_examples)
        return dataset

    def build(self, data_dir: str | Path | None = None, observers: Sequence[Observer] = ()) -> Trainer:
        """Everything that :meth:`Trainer.run` needs; what is to be recorded needs a RunRecorder among ``observers``."""
        from neurosim.training import Trainer

        circuit = self.build_circuit()  # first, because it is cheap and most mistakes show here
        observers = [*observers, *(self.recorders(circuit) if self.record or self.alignment else ())]
        dataset = self.load_data(data_dir)
        return Trainer(
            self.build_simulator(circuit),
            dataset,
            epochs=self.epochs,
            batch_size=self.batch_size,
            checkpoint_every=self.checkpoint_every,
            early_stop=self.early_stop,
            observers=observers,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the run's record."""
        return attrs.asdict(self) | {"rule": list(self.rule), "record": list(self.record)}


def settings_of_run(path: Path) -> dict[str, Any] | None:
    """The settings that `neurosim train` recorded in a run file; None where something else made the run, or is none.

    Raises:
        DataError: a file that is no run.
    """
    from neurosim.runs.run import Run  # h5py is loaded only where a run is read

    if not path.exists():
        return None
    notes = Run(path).config.get("notes", {})
    known = {setting.name for setting in attrs.fields(Experiment)}
    if "circuit" not in notes:
        return None
    idle = () if notes.get("record") else _HOW_TO_RECORD
    return {key: notes[key] for key in known & notes.keys() if notes[key] is not None and key not in idle}


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML file.

    Raises:
        DataError: a file that does not exist or is no TOML.
    """
    try:
        return tomllib.loads(_text_of(Path(path)))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{path}: expected a TOML file, but {error}") from error


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: expected a readable text file, but there is no such file; check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a readable text file, but {error}") from error


def _group_and_rule(words: str) -> tuple[str | None, str]:
    """``GROUP=RULE``, or a rule for all; a sign of equality in the brackets of hyperparameters is none."""
    place = words.partition("(")[0].rfind("=")
    return (None, words) if place < 0 else (words[:place], words[place + 1 :])


def _refuse_idle_recording(given: Mapping[str, Any]) -> None:
    """How to record is checked where it is given, and has no effect where nothing is recorded."""
    if given.get("record_every", 1) < 1:
        raise ConfigError(f"--record-every: expected a number of steps, 1 or more, got {given['record_every']}")
    if "record_reduce" in given:
        from neurosim.runs.recorder import REDUCTIONS  # with h5py

        if given["record_reduce"] not in (*REDUCTIONS, "none"):
            raise UnknownNameError("reduction", given["record_reduce"], [*REDUCTIONS, "none"])
    idle = [f"--{name.replace('_', '-')}" for name in _HOW_TO_RECORD if name in given]
    if idle and not given.get("record"):
        raise ConfigError(
            f"nothing is recorded while training, so {' and '.join(idle)} would have no effect; leave it out, or say "
            "what to record with --record TARGET:VARIABLE, as in fc1:activity"
        )


def _refuse_idle_rules(circuit: Circuit, named: Mapping[str, PlasticityRule | None]) -> None:
    """A rule that is named for a group onto the output can only thaw it."""
    from neurosim.circuit import OUTPUT

    for name, rule in named.items():
        group = circuit.group(name)
        if rule is not None and group.rule is not None and group.post == OUTPUT:
            raise ConfigError(
                f"--rule '{name}=...': groups onto the output learn by the exact gradient whatever their rule, so "
                f"{rule} would change nothing there; leave it out, or freeze the group with '{name}={FROZEN}'"
            )


def _rule(words: str) -> PlasticityRule | None:
    from neurosim.rule_words import rule_from_words

    return None if words.strip() == FROZEN else rule_from_words(words)


def _rules_of(circuit: Circuit) -> list[str]:
    """The rules that a circuit came with, each once and without its hyperparameters, as files are named."""
    from neurosim.plasticity import available_rules

    names = {kind: name for name, kind in available_rules().items()}
    kinds = dict.fromkeys(type(group.rule) for group in circuit.groups.values() if group.rule is not None)
    return [names.get(kind, kind.__name__) for kind in kinds] or [FROZEN]
