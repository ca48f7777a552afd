"""The `neurosim` command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import neurosim
from neurosim.cli.align import align
from neurosim.cli.compare import compare
from neurosim.cli.interrupted import interruption_in
from neurosim.cli.plot import plot
from neurosim.cli.represent import represent
from neurosim.cli.reproduce import reproduce
from neurosim.cli.train import train
from neurosim.errors import NeurosimError, UnknownNameError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Simulate circuits of neural populations that learn by plug-in plasticity rules.",
)


_LISTS = (
    "Any of circuits, connectivities, rules, gates, initializers, codes, losses, relaxations, vectorizations, "
    "optimizers, datasets, experiments, figures. [default: all]"
)
_IMPORT = (
    "Import a module first, such as my_rules for my_rules.py in the current folder: a command that reads a run of a "
    "rule of your own needs its class. May be repeated."
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    modules: Annotated[list[str] | None, typer.Option("--import", metavar="MODULE", help=_IMPORT)] = None,
) -> None:
    """Simulate circuits of neural populations that learn by plug-in plasticity rules."""
    if modules:
        from neurosim.rule_words import import_own

        for module in modules:
            import_own(module)
    if version:
        print(f"neurosim {neurosim.__version__}")
        raise typer.Exit


app.command()(train)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run file, finished, interrupted or still being written.")],
    as_json: Annotated[bool, typer.Option("--json", help="Settings and tables as JSON, for programs.")] = False,
) -> None:
    """Tell what a run file holds."""
    from neurosim.runs.recorded_summary import recorded_as_plain
    from neurosim.runs.run import Run

    opened = Run(run)
    if not as_json:
        print(opened.summary())
        return
    tables = {name: getattr(opened, name).to_dict(orient="records") for name in ("epochs", "checkpoints")}
    about = {key: value for key, value in opened.attributes.items() if key not in ("circuit", "config", "recorders")}
    found = {"config": opened.config, "status": opened.status} | tables | recorded_as_plain(opened)
    print(json.dumps(about | found, indent=1, default=str))


for _command in (reproduce, compare, plot, represent, align):
    app.command()(_command)


@app.command("list")
def list_(what: Annotated[list[str] | None, typer.Argument(help=_LISTS)] = None) -> None:
    """List what is installed: circuits, their parts, how they run and learn, datasets, published experiments, figures.

    Rules are listed with what their synapses must have access to.
    """
    from neurosim.cli.listing import LISTS

    for kind in what or ():
        if kind not in LISTS:
            raise UnknownNameError("list", kind, LISTS)
    for kind in what or LISTS:
        print("\n".join([kind, *(f"  {line}" for line in LISTS[kind]())]))


def main() -> NoReturn:
    """Run the command; an interruption, or an error that neurosim raises on purpose, is one line and no traceback."""
    try:
        app()
    except (KeyboardInterrupt, SystemExit) as ended:
        words = interruption_in(ended)
        if words is None:
            raise
        print(f"neurosim: {words}", file=sys.stderr)
        raise SystemExit(130) from None
    except NeurosimError as error:
        print(f"neurosim: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    raise SystemExit(0)
