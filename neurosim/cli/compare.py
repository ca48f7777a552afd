"""`neurosim compare`: one circuit under several settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli.interrupted import telling
from neurosim.cli.reproduce import read_seeds
from neurosim.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from neurosim.circuit import Circuit
    from neurosim.comparison.comparison import Comparison
    from neurosim.comparison.setting import Setting

_VARY = "FACTOR=VALUE,VALUE,...: what to change, one value at a time. May be repeated."
_CONFIG = "TOML file of these options and of [[setting]] tables; options given here win."
_FOLDER = "comparison"
_RESUME = "Continue the folder; finished epochs stay. It remembers all options; epochs and seeds may be added."
_SEEDS = "How many seeds, from 0 on; or the seeds themselves, as in 0,2,5. [default: 1]"

#: what a file may hold besides the settings of an experiment
_OWN = ("seeds", "optimizer", "vary", "setting", "out", "data_dir", "jobs")
#: of these, what a folder remembers
_COMPARED = ("seeds", "optimizer", "vary", "setting")
_OF_AN_EXPERIMENT = (
    "circuit", "sign", "rule", "dataset", "epochs", "batch_size", "learning_rate", "device", "precision",
    "train_examples", "test_examples",
)  # fmt: skip


def compare(
    vary: Annotated[list[str] | None, typer.Option(help=_VARY)] = None,
    circuit: Annotated[str | None, typer.Option(help="Name of a circuit, or .json file. [default: digits-fc]")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Of the circuit that is changed, see train.")] = None,
    sign: Annotated[str | None, typer.Option(help="'nonnegative' or 'mixed' weights past the first layer.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the circuit's]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in all. [default: 5]")] = None,
    seeds: Annotated[str | None, typer.Option(help=_SEEDS)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples per update. [default: 128]")] = None,
    optimizer: Annotated[str | None, typer.Option(help="'adam' or 'sgd'. [default: adam]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="[default: 0.0003]")] = None,
    device: Annotated[str | None, typer.Option(help="'cpu', 'cuda', 'cuda:1', ... [default: cpu]")] = None,
    precision: Annotated[str | None, typer.Option(help="'float32', 'float64', 'bfloat16'. [default: float32]")] = None,
    train_examples: Annotated[int | None, typer.Option(min=1, help="Train on the first so many only.")] = None,
    test_examples: Annotated[int | None, typer.Option(min=1, help="Test on the first so many only.")] = None,
    config: Annotated[Path | None, typer.Option(help=_CONFIG)] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets; downloads go there.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of runs and report. [default: comparison]")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time; they share the cores. [default: 1]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help=_RESUME)] = False,
) -> None:
    """Train one circuit under several settings, from the same weights and data order, and set them side by side.

    The circuit as it is comes first and is the reference; then every value of --vary, one change at a time:

    \b
    vectorization=group,temporal,temporal:causal
    gate=SignGate,FirstBinGate,ExternalGate
    code=onehot,onehot:squared,binary,gray,error-correcting:15
    relaxation=tied,never,every 1,every 100,noise every 100 x 2000
    rule=gevb,bp

    Relaxation counts in steps of learning; `noise every 100 x 2000` presents noise 2000 times every 100 steps.

    A TOML file may combine them, with hyperparameters as tables; there the first setting is the reference:

    \b
    circuit = "digits-fc"
    [[setting]]
    name = "paper"
    [[setting]]
    name = "external gates, BP"
    gate = {type = "ExternalGate", spread = 1.0}
    rule = "bp"
    """
    from neurosim.comparison.options import continued, remember

    given: dict[str, Any] = {
        "vary": vary or None, "circuit": circuit, "rule": rule or None, "sign": sign, "dataset": dataset,
        "epochs": epochs, "seeds": seeds and read_seeds(seeds), "batch_size": batch_size, "optimizer": optimizer,
        "learning_rate": learning_rate, "device": device, "precision": precision, "train_examples": train_examples,
        "test_examples": test_examples, "data_dir": data_dir and str(data_dir), "out": out and str(out), "jobs": jobs,
    }  # fmt: skip
    table = read_table(config) if config else {}
    table |= {key: value for key, value in given.items() if value is not None}
    table = continued(Path(table.get("out", _FOLDER)), table) if resume else table
    comparison, options = comparison_of(table, resume=resume)
    remember(comparison.folder, options)
    with telling(lambda: f"the same command with --resume continues the folder {comparison.folder}"):
        rows = comparison.run()
    print(f"\n{comparison.report(rows)}\nwritten to {comparison.folder / 'comparison.md'}, .json and .png")
    if any(row.failures for row in rows):
        raise typer.Exit(1)


def comparison_of(table: Mapping[str, Any], *, resume: bool) -> tuple[Comparison, dict[str, Any]]:
    """The comparison that options describe, and these options in full, as the folder remembers them.

    Args:
        table: options by name, as :func:`read_table` gives them.
        resume: continue the one in the folder.

    Raises:
        ConfigError: nothing is varied, or in two ways, or nothing comes of it.
        NeurosimError: as :class:`~neurosim.comparison.comparison.Comparison`.
    """
    from neurosim.comparison.comparison import Comparison
    from neurosim.experiment import Experiment

    experiment = Experiment.from_settings(
        {"epochs": 5} | {key: value for key, value in table.items() if key in _OF_AN_EXPERIMENT}
    )
    base = experiment.build_circuit()
    settings, same = _settings_of(table, base)
    chosen = {"seeds": [0], "optimizer": "adam"} | {key: table[key] for key in _COMPARED if key in table}
    plain = {key: value for key, value in experiment.to_dict().items() if key in _OF_AN_EXPERIMENT}
    options = plain | {"dataset": experiment.dataset_name} | chosen
    comparison = Comparison(
        base,
        experiment.load_data(table.get("data_dir")),
        settings,
        table.get("out", _FOLDER),
        epochs=experiment.epochs,
        seeds=chosen["seeds"],
        batch_size=experiment.batch_size,
        optimizer=chosen["optimizer"],
        learning_rate=experiment.learning_rate,
        precision=experiment.precision,
        device=experiment.device,
        jobs=table.get("jobs", 1),
        resume=resume,
        remark=f"The circuit as it is has {', '.join(same)}." if same else "",
    )
    return comparison, {key: value for key, value in options.items() if value is not None}


def _settings_of(table: Mapping[str, Any], base: Circuit) -> tuple[list[Setting], list[str]]:
    """What is compared, and which values of --vary the circuit has already."""
    from neurosim.comparison.setting_words import one_at_a_time, settings_from

    changes = table.get("vary", [])
    if bool(changes) == ("setting" in table):
        found = "both" if changes else "neither"
        raise ConfigError(f"expected --vary FACTOR=VALUE,... or [[setting]] tables in a --config file, found {found}")
    settings, same = one_at_a_time(base, changes) if changes else (settings_from(table["setting"], base), [])
    if len(settings) < 2:
        raise ConfigError(f"nothing to compare: {', '.join(same) or 'one setting'} is the circuit as it is")
    return settings, same


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file of the command's options and of ``[[setting]]`` tables; ``-`` and ``_`` are the same in names.

    Raises:
        UnknownNameError: an option that does not exist.
        ConfigError: one of another type.
    """
    from neurosim.experiment import read_settings

    table = {key.replace("-", "_"): value for key, value in read_settings(path).items()}
    for key in table:
        if key not in (*_OF_AN_EXPERIMENT, *_OWN):
            raise UnknownNameError("setting", key, [*_OF_AN_EXPERIMENT, *_OWN])
    if "vary" in table:
        table["vary"] = _texts("vary", table["vary"])
    if "seeds" in table:
        table["seeds"] = _seeds(table["seeds"])
    for key in ("optimizer", "out", "data_dir"):
        if not isinstance(table.get(key, ""), str):
            raise ConfigError(f"setting '{key}': expected a text in quotes, got {table[key]!r}")
    return table


def _texts(key: str, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"setting '{key}': expected texts in quotes, got {value!r}")
    return texts


def _seeds(value: Any) -> list[int]:
    """A number of seeds, or a list of seeds."""
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in numbers):
        raise ConfigError(f"setting 'seeds': expected a number of seeds, or seeds such as [0, 2, 5]; got {value!r}")
    return numbers if isinstance(value, list) else list(range(value))
