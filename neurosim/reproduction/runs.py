"""Whether the run files of a reproduction are what their places say, and of one dataset: else no table mixes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neurosim.errors import DataError
from neurosim.runs.run import Run


def run_files(folder: Path) -> list[Path]:
    """All run files of a reproduction's folder, ``runs/EXPERIMENT/seedS.h5``."""
    return sorted((folder / "runs").rglob("seed*.h5"))


def seed_of(path: Path) -> int:
    """The seed that the name of a run file tells."""
    return int(path.stem[4:])


def refuse_foreign(folder: Path, precision: str, fingerprints: Mapping[str, str] | None = None) -> None:
    """Raise where a run is not the one that its place says, or was trained on other images than the rest.

    Args:
        folder: of the reproduction.
        precision: of all its runs.
        fingerprints: dataset -> fingerprint of what further runs would be trained on, where that is known.

    Raises:
        DataError: names the file, what was expected and what was found.
    """
    seen: dict[str, tuple[str, str]] = {
        name: (fingerprint, "the dataset at hand") for name, fingerprint in (fingerprints or {}).items()
    }
    for path in run_files(folder):
        run = Run(path)
        about = run.attributes
        place = path.parent.relative_to(folder / "runs").as_posix()
        found = (run.config["notes"].get("experiment"), int(about["seed"]), str(about["precision"]))
        if found != (place, seed_of(path), precision):
            raise DataError(
                f"{path}: expected the run of {place}, seed {seed_of(path)}, in {precision}, found that of {found[0]}, "
                f"seed {found[1]}, in {found[2]}; a table must not mix them, move it to another folder"
            )
        dataset, fingerprint = str(about["dataset"]), str(about["dataset_fingerprint"])
        other, whose = seen.setdefault(dataset, (fingerprint, str(path)))
        if other != fingerprint:
            raise DataError(
                f"{path}: it was trained on other images named '{dataset}' than {whose}, and a table must not mix "
                "them; name the same --data-dir, or another folder with --out"
            )
