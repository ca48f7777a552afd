"""pyproject.toml says what is on disk, what is imported and what is installed."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
FOLDERS = ["neurosim", "rules", "circuits"]  # installed
DISTRIBUTED_AS = {"sklearn": "scikit-learn"}  # imported under another name
GROUPS = ["neurosim.rules", "neurosim.circuits"]
PLUGINS = [(group, name) for group in GROUPS for name in PROJECT["entry-points"][group]]


def installed_plugins(group: str) -> dict[str, importlib.metadata.EntryPoint]:
    """Ours alone: other distributions may add to the same group."""
    found = importlib.metadata.distribution(PROJECT["name"]).entry_points.select(group=group)
    return {entry.name: entry for entry in found}


def test_every_package_has_an_init() -> None:
    """A folder without one would be importable here and absent from an install."""
    folders = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert not [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").is_file()]


def test_every_import_is_a_declared_dependency() -> None:
    declared = {re.split(r"[^\w-]", requirement, maxsplit=1)[0] for requirement in PROJECT["dependencies"]}
    imported = set()
    sources = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    for path in (path for path in sources if path.name != "testing.py"):  # it is for those who have pytest
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"neurosim"}
    assert {DISTRIBUTED_AS.get(name, name) for name in foreign} <= declared


@pytest.mark.parametrize("group", GROUPS)
def test_installed_plugins_are_the_declared_ones(group: str) -> None:
    installed = {name: entry.value for name, entry in installed_plugins(group).items()}
    assert installed == PROJECT["entry-points"][group], "the install is older than pyproject.toml: run `make install`"


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_plugin_loads(group: str, name: str) -> None:
    plugin = installed_plugins(group)[name].load()
    assert callable(plugin)
    assert plugin.__module__.startswith(group)


def test_types_are_shipped() -> None:
    assert (ROOT / "neurosim" / "py.typed").is_file()
    assert "py.typed" in PYPROJECT["tool"]["setuptools"]["package-data"]["neurosim"]


def test_citation_names_this_version() -> None:
    assert f"\nversion: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text()
