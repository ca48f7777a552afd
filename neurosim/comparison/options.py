"""What a folder of `neurosim compare` remembers of its options, so that --resume needs no other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosim import __version__
from neurosim.errors import DataError
from neurosim.reproduction.reproduction import write_whole

RECORD, FORMAT, FORMAT_VERSION = "comparison-settings.json", "neurosim-comparison", 1
#: options that another time may change: they add to what is trained, or say how and where
MAY_CHANGE = ("epochs", "seeds", "device", "data_dir", "jobs", "out")


def remember(folder: Path, options: Mapping[str, Any]) -> None:
    """Write down the options of a comparison, before anything is trained.

    Raises:
        DataError: the folder cannot be made or written.
    """
    about = {"format": FORMAT, "version": FORMAT_VERSION, "neurosim": __version__, "options": dict(options)}
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        write_whole(folder / RECORD, json.dumps(about, indent=1) + "\n")
    except OSError as error:
        raise DataError(f"{folder}: the comparison's settings cannot be written there: {error}") from error


def continued(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options to go on with: those remembered, and of those given the ones that may change.

    A folder that remembers nothing (it was made in Python, or by a version that did not write it down) takes what is
    given, if that says what is compared.

    Raises:
        DataError: a folder of another version, an option that differs from the one remembered, or nothing to go by.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     remember(Path(folder), {"circuit": "digits-fc", "vary": ["rule=bp"], "epochs": 5})
        ...     continued(Path(folder), {"epochs": 9})
        {'circuit': 'digits-fc', 'vary': ['rule=bp'], 'epochs': 9}
    """
    record = folder / RECORD
    if not record.exists():
        if "vary" in given or "setting" in given:
            return dict(given)
        raise DataError(
            f"{folder}: expected a comparison to resume, but there is no {RECORD} in it; name its folder with --out, "
            "or repeat the options that it was made with"
        )
    before = _read(record)
    plain = {key: [value] if key == "rule" and isinstance(value, str) else value for key, value in given.items()}
    different = [
        f"{_spelled(key)} was {before[key]!r}, is {value!r}" if key in before else f"{_spelled(key)} was not given"
        for key, value in plain.items()
        if key not in MAY_CHANGE and before.get(key) != value
    ]
    if different:
        raise DataError(
            f"{folder}: its runs were made with other options, and a comparison must not mix them: "
            f"{'; '.join(different)}. Leave these out, or name another folder with --out"
        )
    return before | plain


def _spelled(key: str) -> str:
    return "[[setting]]" if key == "setting" else f"--{key.replace('_', '-')}"


def _read(record: Path) -> dict[str, Any]:
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        known = (about["format"], about["version"]) == (FORMAT, FORMAT_VERSION)
        made, options = str(about["neurosim"]), dict(about["options"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{record}: expected the settings of a comparison, but they cannot be read: {error}") from error
    if not known:
        raise DataError(
            f"{record}: expected format '{FORMAT}' version {FORMAT_VERSION}, found '{about['format']}' "
            f"{about['version']}; name another folder with --out"
        )
    if made != __version__:
        raise DataError(
            f"{record.parent}: this comparison was made by neurosim {made}, this is neurosim {__version__}, and a "
            f"comparison must not mix versions; finish it with version {made}, or name another folder with --out"
        )
    return options
