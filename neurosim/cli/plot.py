"""`neurosim plot`: figures of recorded runs."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.errors import ConfigError, DataError, UnknownNameError
from neurosim.plotting.names import NAMES, REPRESENTED, WRITTEN_BY, figure_lines

SUFFIXES = (".png", ".svg", ".pdf")
_WHERE = "Picture: .png, .svg or .pdf. [default: FIGURE.png]"
_FROM = "Run files, a folder of `neurosim reproduce`, files of `neurosim represent`, or .json files of numbers."
_NUMBERS = "Write the numbers too, a .json file that draws the figure again (figures of several runs)."
_HELP = "\n".join(
    [
        "Draw a figure of recorded runs, with the paper's numbers where it has some.",
        "",
        "\b",
        *figure_lines(),
    ]
)


def plot(
    figure: Annotated[str, typer.Argument(help="What to draw, see above.")],
    runs: Annotated[list[Path], typer.Argument(help=_FROM)],
    out: Annotated[Path | None, typer.Option(help=_WHERE)] = None,
    numbers: Annotated[Path | None, typer.Option(help=_NUMBERS)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the run's]")] = None,
    data_dir: Annotated[Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets.")] = None,
) -> None:
    if figure not in NAMES:
        raise UnknownNameError("figure", figure, NAMES)
    place = out or Path(f"{figure}.png")
    if place.suffix not in SUFFIXES:
        raise ConfigError(f"--out {place}: expected a name that ends in {', '.join(SUFFIXES)}")
    if numbers is not None and numbers.suffix != ".json":
        raise ConfigError(f"--numbers {numbers}: expected a name that ends in .json")
    for path in (place, numbers):
        if path is not None and path.exists() and not overwrite:
            option = "--out" if path is place else "--numbers"
            raise DataError(
                f"{path}: this file exists already; replace it with --overwrite, or name another with {option}"
            )
    from neurosim.plotting.series import Options

    options = Options(data_dir=data_dir, dataset=dataset)
    if any(path.suffix == ".json" for path in runs):
        drawn = from_numbers(figure, runs, numbers)
    elif figure in REPRESENTED:
        drawn = from_represented(figure, runs, options, numbers)
    else:
        drawn = from_runs(figure, runs, options, numbers)
    save(drawn, place)
    print(f"picture in {place}")


plot.__doc__ = _HELP


def from_numbers(figure: str, paths: Sequence[Path], numbers: Path | None = None) -> Any:
    """Draw JSON files.

    Raises:
        DataError: the figure is not drawn from numbers, or other files are among them.
    """
    from neurosim.plotting.numbers import FROM_NUMBERS

    others = [str(path) for path in paths if path.suffix != ".json"]
    if figure not in FROM_NUMBERS:
        raise DataError(f"'{figure}' is drawn from run files (.h5), not from numbers; name a run of `neurosim train`")
    if others:
        raise DataError(f"{', '.join(others)}: .json files of numbers and runs do not go into one figure")
    if numbers is not None:
        raise DataError(f"--numbers {numbers}: the numbers are in a file already, {', '.join(map(str, paths))}")
    return FROM_NUMBERS[figure](paths)


def from_runs(figure: str, paths: Sequence[Path], options: Any, numbers: Path | None = None) -> Any:
    """Draw run files, and write the numbers behind them where a place for them is named.

    Raises:
        DataError: the figure is not drawn from runs, or its numbers are not written.
    """
    from neurosim.plotting.runs import FIGURES, SERIES, lay_out, measure
    from neurosim.plotting.series_numbers import as_plain
    from neurosim.runs.series import find_runs

    if figure not in FIGURES:
        raise DataError(
            f"'{figure}' is drawn from a .json file of numbers, found {', '.join(map(str, paths))}; "
            f"`{WRITTEN_BY[figure]}` writes one"
        )
    if numbers is None:
        return FIGURES[figure](find_runs(paths), options)
    if figure not in SERIES:
        raise DataError(f"--numbers {numbers}: numbers are written of {', '.join(SERIES)}; '{figure}' needs its run")
    series = measure(figure, find_runs(paths), options)
    drawn = lay_out(figure, series)
    command = shlex.join(["neurosim", *sys.argv[1:]])
    write_text(numbers, json.dumps({"command": command, **as_plain(series)}) + "\n")
    print(f"numbers in {numbers}")
    return drawn


def from_represented(figure: str, paths: Sequence[Path], options: Any, numbers: Path | None = None) -> Any:
    """Draw files of `neurosim represent`.

    Raises:
        DataError: one that it did not write, or an option that has no effect here.
    """
    from neurosim.plotting.representations import OF_REPRESENTATIONS, read_all

    if numbers is not None:
        raise DataError(f"--numbers {numbers}: '{figure}' is drawn from files of `neurosim represent`, which hold them")
    if options.dataset is not None:
        raise DataError(
            f"--dataset {options.dataset}: the files of '{figure}' hold their images' activity; give it to "
            "`neurosim represent`"
        )
    return OF_REPRESENTATIONS[figure](read_all(paths))


def write_text(path: Path, text: str) -> None:
    """All or nothing.

    Raises:
        DataError: it cannot be written there.
    """
    from neurosim.reproduction.reproduction import write_whole

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise DataError(f"{path}: the numbers cannot be written: {error}") from error


def save(figure: Any, path: Path, dpi: int = 200) -> None:
    """Write a picture, all or nothing: what fails leaves the old file.

    Raises:
        DataError: it cannot be written there.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(beside, dpi=dpi)
        beside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: the picture cannot be written: {error}") from error
    finally:
        with suppress(OSError):  # where its folder could not be made, there is nothing to remove
            beside.unlink(missing_ok=True)
