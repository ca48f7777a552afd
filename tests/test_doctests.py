"""Every example of every docstring runs and prints what it says."""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"neurosim": "neurosim", "rules": "neurosim.rules", "circuits": "neurosim.circuits"}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def module_name(path: Path) -> str:
    """The one true name of a file: rules/gevb.py is neurosim.rules.gevb."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *rest]).removesuffix(".__init__")


# From the disk, not by pkgutil: an editable install keeps rules and circuits out of neurosim.__path__.
MODULES = {
    module_name(path): path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__main__.py"  # importing it would run the command
}


class Finder(doctest.DocTestFinder):
    """Finds examples under decorators too, for instance under ``torch.no_grad``."""

    def _from_module(self, module: ModuleType | None, object: object) -> bool:
        return super()._from_module(module, inspect.unwrap(object))  # type: ignore[misc, arg-type]


def examples_written(path: Path) -> int:
    """The number of examples in the docstrings of a file, read without importing it."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, documented)]
    return sum(len(doctest.DocTestParser().get_examples(ast.get_docstring(node, clean=False) or "")) for node in nodes)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_module(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == MODULES[name], "another copy is installed: run `make install`"

    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        for test in Finder().find(module, name):
            runner.run(test)
    assert runner.failures == 0, report.getvalue()
    assert runner.tries == examples_written(MODULES[name]), "doctest does not reach every example of this file"


def test_there_are_examples() -> None:
    assert sum(map(examples_written, MODULES.values())) > 0
