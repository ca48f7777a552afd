"""Type-check neurosim as a plain install lays it out, where rules/ and circuits/ have their true names.

Run by `make lint`. mypy reports no error for a file it never reads, so the files are counted as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "types"
INSTALLED = WORK / "installed"
FOLDERS = {"neurosim": "neurosim", "rules": "neurosim/rules", "circuits": "neurosim/circuits"}  # in the tree: installed


def expected_files() -> set[str]:
    """Where every .py file of the tree belongs in an installed package."""
    return {
        (Path(target) / path.relative_to(ROOT / folder)).as_posix()
        for folder, target in FOLDERS.items()
        for path in (ROOT / folder).rglob("*.py")
    }


def install() -> None:
    """A plain install under build/, made from a copy: setuptools would ship what an older build left in build/lib."""
    source = WORK / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(INSTALLED, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--target", str(INSTALLED), str(source)], check=True)


def check_layout() -> int:
    """Compare the installed files with those of the tree; return their number."""
    expected = expected_files()
    installed = {path.relative_to(INSTALLED).as_posix() for path in INSTALLED.rglob("*.py")}
    if installed != expected:
        missing, extra = sorted(expected - installed), sorted(installed - expected)
        sys.exit(
            f"a plain install does not hold the files of the tree: missing {missing}, extra {extra}\n"
            "Every folder needs an __init__.py for setup.py to find it."
        )
    return len(expected)


def main() -> None:
    install()
    expected = check_layout()
    # From another folder, because mypy prefers ./neurosim, which lacks rules and circuits.
    command = [sys.executable, "-m", "mypy", "-p", "neurosim", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(ROOT / ".mypy_cache")]
    environment = os.environ | {"MYPYPATH": str(INSTALLED)}
    result = subprocess.run(command, cwd=WORK, env=environment, stdout=subprocess.PIPE, text=True)
    # Findings are shown where one would edit them.
    report = re.sub(r"^\S*?installed/neurosim/(rules|circuits)/", r"\1/", result.stdout, flags=re.M)
    print(re.sub(r"^\S*?installed/", "", report, flags=re.M), end="")
    if result.returncode != 0:
        sys.exit(result.returncode)
    checked = re.search(r"(\d+) source files?", result.stdout)
    if checked is None or int(checked[1]) != expected:
        sys.exit(f"mypy checked {checked[1] if checked else 'no'} files, but the tree holds {expected}")


if __name__ == "__main__":
    main()
