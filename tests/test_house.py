"""The floors of the house: who may import whom, under which name, and what an import may cost."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest

from neurosim.streams import stream

ROOT = Path(__file__).resolve().parents[1]
INSTALLED_AS = {"rules": "neurosim.rules", "circuits": "neurosim.circuits"}  # every other folder keeps its name
HEAVY = {"matplotlib", "pandas", "sklearn", "torchvision", "typer"}

# A lower floor never imports a higher one. The front door, neurosim/__init__.py, stands on no floor: it names things of
# every floor for type checkers, and loads them when they are asked for.
FRONT_DOOR = ROOT / "neurosim" / "__init__.py"
ABOVE = {
    "neurosim": ["neurosim.rules", "neurosim.circuits", "examples", "benchmarks", "tests"],
    "rules": ["neurosim.circuits", "examples", "benchmarks", "tests"],
    "circuits": ["examples", "benchmarks", "tests"],
    "benchmarks": ["examples", "tests"],
    "tests": ["examples"],
    "examples": ["tests"],
}


def tree_files() -> list[Path]:
    """The files that are, or are about to be, under version control."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted({path for name in listing.split("\0") if name and (path := ROOT / name).is_file()})


FILES = tree_files()
PYTHON = [path for path in FILES if path.suffix in {".py", ".ipynb"}]
ENGINE = sorted((ROOT / "neurosim").rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floor(path: Path) -> str:
    return relative(path).split("/")[0]


def module_name(path: Path) -> str:
    """The name a file is imported under, ``__init__`` included: rules/gevb.py is neurosim.rules.gevb."""
    folder, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([INSTALLED_AS.get(folder, folder), *rest])


def source(path: Path) -> str:
    """The Python of a script or of a notebook's cells, without a notebook's commands."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return text
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return "\n".join(line for cell in cells for line in cell.splitlines() if not line.lstrip().startswith(("%", "!")))


def imports(code: str, module: str) -> set[str]:
    """Every dotted name that the code of ``module`` imports, relative ones resolved, at any depth of the code."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: -node.level] if node.level else []
            base += node.module.split(".") if node.module else []
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def within(names: set[str], packages: list[str]) -> list[str]:
    return sorted(name for name in names if any(name == p or name.startswith(p + ".") for p in packages))


def run_python(code: str, folder: Path) -> object:
    """What a fresh interpreter, started elsewhere, prints as JSON."""
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import rules.gevb as g", {"rules.gevb"}),
        ("def f():\n    from rules import gevb", {"rules.gevb"}),
        ("from ..circuits import paper", {"neurosim.circuits.paper"}),
        ("from . import bp", {"neurosim.rules.bp"}),
        ("from .bp import BP", {"neurosim.rules.bp.BP"}),
        ("from neurosim import circuits", {"neurosim.circuits"}),
    ],
)
def test_imports_are_recognized(code: str, expected: set[str]) -> None:
    assert imports(code, "neurosim.rules.gevb") == expected


@pytest.mark.parametrize("path", PYTHON, ids=relative)
def test_no_second_spelling(path: Path) -> None:
    """``import rules`` would load a second copy of every class."""
    found = within(imports(source(path), module_name(path)), list(INSTALLED_AS))
    assert not found, f"write neurosim.{found[0]}"


@pytest.mark.parametrize("path", [path for path in PYTHON if path != FRONT_DOOR and floor(path) in ABOVE], ids=relative)
def test_no_floor_imports_a_higher_one(path: Path) -> None:
    found = within(imports(source(path), module_name(path)), ABOVE[floor(path)])
    assert not found, f"{relative(path)} imports {found}, which stand above it"


@pytest.mark.parametrize("path", [path for path in ENGINE if path != FRONT_DOOR], ids=relative)
def test_engine_does_not_use_the_front_door(path: Path) -> None:
    """``from neurosim import GEVB`` in the engine would reach a higher floor unseen."""
    homes = {module_name(other).split(".")[1] for other in ENGINE} | {"__version__"}
    pairs = {tuple(name.split(".")) for name in imports(source(path), module_name(path))}
    found = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "neurosim" and pair[1] not in homes]
    assert not found, "import it from the module that defines it"


def test_no_grab_bag() -> None:
    assert not [relative(path) for path in FILES if path.name in {"utils.py", "util.py"}]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_path_of_one_machine(path: Path) -> None:
    content = path.read_bytes()
    if b"\0" in content:
        pytest.skip("not text")
    # A path starts there, so no address and no relative path counts.
    found = re.findall(rb"(?<![\w.:/~$})-])/(?:home|root|work|Users)/[^\s\"'`)]*", content)
    assert not found


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = run_python("import json, sys, neurosim; print(json.dumps(sorted(sys.modules)))", tmp_path)
    assert isinstance(loaded, list)
    assert "neurosim" in loaded
    assert not HEAVY & set(loaded)


def test_import_changes_no_global(tmp_path: Path) -> None:
    code = """
import json, random
import numpy, torch

def state():
    return {name: str(value) for name, value in {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "gradients": torch.is_grad_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "cudnn deterministic": torch.backends.cudnn.deterministic,
        "torch seed": torch.initial_seed(),
        "torch random state": torch.get_rng_state().tolist(),
        "numpy random state": numpy.random.get_state(legacy=True)[1].tolist(),
        "python random state": random.getstate(),
    }.items()}

before = state()
import neurosim
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""
    assert run_python(code, tmp_path) == []


def test_engine_loads_no_particular_rule_or_circuit(tmp_path: Path) -> None:
    names = [module_name(path).removesuffix(".__init__") for path in ENGINE if path.name != "__main__.py"]
    code = f"import importlib, json, sys\nfor name in {names}: importlib.import_module(name)\n"
    loaded = run_python(code + "print(json.dumps(sorted(sys.modules)))", tmp_path)
    assert isinstance(loaded, list)
    assert not within(set(loaded), list(INSTALLED_AS.values()))


@pytest.mark.parametrize("folder", ["neurosim", *INSTALLED_AS])
def test_annotations_are_enforced_in_this_run(folder: str) -> None:
    """The pytest option has instrumented all modules but the top __init__, which an editable install finds itself."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name not in {"__init__.py", "__main__.py"}:
            module = importlib.import_module(module_name(path))
            assert type(module.__loader__).__module__.startswith("jaxtyping"), module.__name__


def test_a_wrong_argument_does_not_pass() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'seed'"):
        stream("7", "weights")  # type: ignore[arg-type]


@pytest.mark.usefixtures("wrong_types_allowed")
def test_a_wrong_argument_passes_where_a_test_asks_for_it() -> None:
    assert stream("7", "weights").initial_seed() == stream(7, "weights").initial_seed()  # type: ignore[arg-type]
