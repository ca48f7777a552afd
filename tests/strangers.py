"""Packages of other people, really installed: into a folder of their own, for subprocesses that look there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LEFTOVERS = shutil.ignore_patterns("__pycache__", "build", "*.egg-info", ".pytest_cache")


def install(package: Path, folder: Path) -> Path:
    """Build and install a package without any network; returns the folder that python must be told of."""
    source, target = folder / "source", folder / "installed"
    shutil.copytree(package, source, ignore=LEFTOVERS)  # a build writes beside what it builds
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(target), str(source)], check=True)
    return target


def python(cwd: Path, *arguments: str, packages: list[Path], warnings: str = "error") -> subprocess.CompletedProcess:
    """Run python where ``packages`` are installed; an exit code other than 0 fails with what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "NEUROSIM_DATA"}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, packages)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", warnings, *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
