"""`neurosim reproduce`: published tables, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neurosim.experiment import ConfigError

_SEEDS = "How many seeds, from 0 on; or the seeds themselves, as in 0,2,5."


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
    seeds: Annotated[str, typer.Option(help=_SEEDS)] = "5",
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time; they share the cores.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the folder; finished epochs stay.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Train nothing: table of what the folder holds.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of runs and tables.")] = Path("reproduction"),
    checkpoints: Annotated[str, typer.Option(help="Keep the weights of the 'last' epoch or of 'all' ten.")] = "last",
    precision: Annotated[str, typer.Option(help="'float32', 'float64', 'bfloat16'.")] = "float32",
    device: Annotated[str, typer.Option(help="'cpu', 'cuda', 'cuda:1', ...")] = "cpu",
    train_examples: Annotated[int | None, typer.Option(min=1, help="Train on the first so many only.")] = None,
    test_examples: Annotated[int | None, typer.Option(min=1, help="Test on the first so many only.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets; downloads go there.")
    ] = None,
) -> None:
    """Train the experiments of the paper's Tables 1 and 2 and set what comes out beside the published numbers."""
    from neurosim.published import published_experiments, select
    from neurosim.reproduction import Reproduction, Settings
    from neurosim.reproduction_table import write_report

    if checkpoints not in ("last", "all"):  # a run that keeps none could not be continued
        raise ConfigError(f"--checkpoints: expected 'last' or 'all', got {checkpoints!r}")
    filters = [f"table{table}" if table else None, architecture, network, sign, rule]
    chosen = select(published_experiments(), experiments or (), [part for part in filters if part])
    wanted = read_seeds(seeds)
    settings = Settings(
        precision=precision, checkpoints=checkpoints, train_examples=train_examples, test_examples=test_examples
    )
    folder = Reproduction(out, settings, resume=resume or report)
    tasks = [] if report else folder.tasks(chosen, wanted, epochs)
    if not report:
        print(f"{len(chosen)} experiments, {len(wanted)} seeds: {len(tasks)} runs to make or continue in {out}")
    failed = folder.run(tasks, jobs=jobs, data_dir=data_dir, device=device, after_each=lambda: write_report(folder))
    print("\n" + write_report(folder) + f"\nwritten to {out / 'table.md'} and {out / 'table.json'}")
    if failed:
        raise typer.Exit(1)


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
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds: expected at least one seed, each once; got {text!r}")
    return seeds
