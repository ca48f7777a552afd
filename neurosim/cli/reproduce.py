"""`neurosim reproduce`: published tables, measured again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neurosim.cli.interrupted import telling
from neurosim.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from neurosim.published import PublishedExperiment

_SEEDS = "How many seeds, from 0 on; or the seeds themselves, as in 0,2,5. [default: 5]"
_CHECKPOINTS = "Keep the weights of the 'last' epoch or of 'all' ten. [default: last]"
_REPORT = "Train nothing: table of what the folder holds, of these experiments and seeds where some are named."


def reproduce(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Names, or beginnings of names, see `neurosim list experiments`.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="1 (MNIST) or 2 (CIFAR-10).")] = None,
    architecture: Annotated[str | None, typer.Option(help="fc, conv or lc; a,b for either, here and below.")] = None,
    network: Annotated[str | None, typer.Option(help="vectorized or conventional.")] = None,
    sign: Annotated[str | None, typer.Option(help="nonnegative or mixed.")] = None,
    rule: Annotated[str | None, typer.Option(help="gevb, bp or dfa.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in all. [default: as published, 190]")] = None,
    seeds: Annotated[str | None, typer.Option(help=_SEEDS)] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time; they share the cores. [default: 1]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the folder; finished epochs stay.")] = False,
    report: Annotated[bool, typer.Option("--report", help=_REPORT)] = False,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables.")] = Path("reproduction"),
    checkpoints: Annotated[str | None, typer.Option(help=_CHECKPOINTS)] = None,
    precision: Annotated[str | None, typer.Option(help="'float32', 'float64', 'bfloat16'. [default: float32]")] = None,
    device: Annotated[str | None, typer.Option(help="'cpu', 'cuda', 'cuda:1', ... [default: cpu]")] = None,
    train_examples: Annotated[int | None, typer.Option(min=1, help="Train on the first so many only.")] = None,
    test_examples: Annotated[int | None, typer.Option(min=1, help="Test on the first so many only.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets; downloads go there.")
    ] = None,
) -> None:
    """Train the experiments of the paper's Tables 1 and 2 and set what comes out beside the published numbers."""
    from neurosim.published import published_experiments, select

    if checkpoints not in (None, "last", "all"):  # a run that keeps none could not be continued
        raise ConfigError(f"--checkpoints: expected 'last' or 'all', got {checkpoints!r}")
    known = published_experiments()
    named = {"--architecture": architecture, "--network": network, "--sign": sign, "--rule": rule}
    _refuse_unknown_parts(named, known)
    filters = [_tables(table, known) if table else None, *named.values()]
    chosen = select(known, experiments or (), [part for part in filters if part])
    given = {
        "precision": precision, "checkpoints": checkpoints, "train_examples": train_examples,
        "test_examples": test_examples,
    }  # fmt: skip
    given = {key: value for key, value in given.items() if value is not None}
    if report:
        idle = {"--epochs": epochs, "--jobs": jobs, "--device": device, "--resume": resume or None}
        _report(out, given, chosen, seeds, [name for name, value in idle.items() if value is not None])
    elif _train(out, given, chosen, read_seeds(seeds or "5"), epochs, resume, jobs or 1, data_dir, device or "cpu"):
        raise typer.Exit(1)


def _tables(text: str, experiments: Iterable[str]) -> str:
    """``"1,2"`` as the parts of names that it stands for."""
    first = {name.partition("/")[0] for name in experiments}
    known = {part.removeprefix("table") for part in first if part.startswith("table")}
    numbers = [number.strip() for number in text.split(",")]
    for number in numbers:
        if number not in known:
            raise UnknownNameError("table", number, known)
    return ",".join(f"table{number}" for number in numbers)


def _refuse_unknown_parts(given: Mapping[str, str | None], experiments: Iterable[str]) -> None:
    """Each option is about one place in the names, counted from their end; what they begin with is their table."""
    parts = [name.split("/")[1:] for name in experiments]
    for place, (option, text) in enumerate(given.items(), -len(given)):
        known = {each[place] for each in parts if len(each) >= -place}
        for part in text.split(",") if text else ():
            if part not in known:
                raise UnknownNameError(f"value of {option}", part, known)


def _report(
    out: Path, given: dict[str, Any], chosen: list[PublishedExperiment], seeds: str | None, idle: list[str]
) -> None:
    """Write the tables of the whole folder, and print that of the experiments and seeds chosen."""
    from neurosim.reproduction.reproduction import Reproduction, recorded_settings
    from neurosim.reproduction.table import part_of_report, write_report

    if idle:
        raise ConfigError(f"--report trains nothing, so {', '.join(idle)} would have no effect; leave it out")
    settings = recorded_settings(out)
    for key, value in given.items():
        if value != getattr(settings, key):
            option = f"--{key.replace('_', '-')}"
            raise ConfigError(f"{option}: the runs in {out} were made with {getattr(settings, key)!r}, got {value!r}")
    folder = Reproduction(out, settings, resume=True)
    text = part_of_report(folder, chosen, None if seeds is None else read_seeds(seeds))
    write_report(folder)
    print(f"\n{text}\nthe whole folder's in {out / 'table.md'} and {out / 'table.json'}")


def _train(
    out: Path,
    given: dict[str, Any],
    chosen: list[PublishedExperiment],
    seeds: list[int],
    epochs: int | None,
    resume: bool,
    jobs: int,
    data_dir: Path | None,
    device: str,
) -> list[str]:
    """Make or continue the runs, and write the report after each. Returns what failed."""
    from neurosim.reproduction.reproduction import Reproduction, Settings
    from neurosim.reproduction.table import write_report

    folder = Reproduction(out, Settings(**given), resume=resume)
    tasks = folder.tasks(chosen, seeds, epochs)
    print(f"{len(chosen)} experiments, {len(seeds)} seeds: {len(tasks)} runs to make or continue in {out}")
    with telling(lambda: f"the same command with --resume continues the folder {out}"):
        failed = folder.run(tasks, jobs=jobs, data_dir=data_dir, device=device, after_each=lambda: write_report(folder))
    print(f"\n{write_report(folder)}\nwritten to {out / 'table.md'} and {out / 'table.json'}")
    return failed


def read_seeds(text: str) -> list[int]:
    """``"3"`` is three seeds, 0 to 2; ``"1,5"`` are the seeds 1 and 5.

    Raises:
        ConfigError: something else, or a seed twice.

    Example:
        >>> read_seeds("3"), read_seeds("1,5"), read_seeds("4,")
        ([0, 1, 2], [1, 5], [4])
    """
    parts = [part.strip() for part in text.split(",")]
    listed = len(parts) > 1
    numbers = [part for part in parts if part]
    if not numbers or not all(part.isdecimal() for part in numbers):
        raise ConfigError(f"--seeds: expected a number of seeds, or seeds such as 0,2,5; got {text!r}")
    seeds = [int(part) for part in numbers] if listed else list(range(int(numbers[0])))
    if not seeds:
        raise ConfigError(
            f"--seeds: expected at least one seed; {text!r} is how many, and N means the seeds 0 to N - 1, so seed 0 "
            "alone is --seeds 1; or name seeds, as in 0,2,5"
        )
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds: expected each seed once; got {text!r}")
    return seeds
