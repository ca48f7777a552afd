"""`neurosim plot`: figures of recorded runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from neurosim.errors import DataError, UnknownNameError
from neurosim.experiment import ConfigError

#: named here too, so that `--help` loads neither h5py nor matplotlib; a test compares them
NAMES = ("alignment", "learning-curves", "circuit", "weights", "updates", "receptive-fields")
SUFFIXES = (".png", ".svg", ".pdf")
_WHERE = "Picture: .png, .svg or .pdf. [default: FIGURE.png]"


def plot(
    figure: Annotated[str, typer.Argument(help=f"What to draw: {', '.join(NAMES)}.")],
    runs: Annotated[list[Path], typer.Argument(help="Run files, or a folder of `neurosim reproduce`.")],
    out: Annotated[Path | None, typer.Option(help=_WHERE)] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the run's]")] = None,
    data_dir: Annotated[Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets.")] = None,
) -> None:
    """Draw a figure of recorded runs, with the paper's numbers where it has some."""
    if figure not in NAMES:
        raise UnknownNameError("figure", figure, NAMES)
    place = out or Path(f"{figure}.png")
    if place.suffix not in SUFFIXES:
        raise ConfigError(f"--out {place}: expected a name that ends in {', '.join(SUFFIXES)}")
    if place.exists() and not overwrite:
        raise DataError(f"{place}: this file exists already; replace it with --overwrite, or name another with --out")
    from neurosim.plotting import FIGURES, Options
    from neurosim.run_series import find_runs

    drawn = FIGURES[figure](find_runs(runs), Options(data_dir=data_dir, dataset=dataset))
    save(drawn, place)
    print(f"picture in {place}")


def save(figure: Any, path: Path) -> None:
    """Write a picture, all or nothing: what fails leaves the old file.

    Raises:
        DataError: it cannot be written there.
    """
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(beside, dpi=200)
        beside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: the picture cannot be written: {error}") from error
    finally:
        with suppress(OSError):  # where its folder could not be made, there is nothing to remove
            beside.unlink(missing_ok=True)
