"""`neurosim align`: a rule beside the gradient, at the checkpoints of recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from neurosim.errors import ConfigError

_EXAMPLES = "The first so many training images. [default: 128, or all where there are fewer]"
_SIGN_EXAMPLES = "Those of them whose signs are compared one by one; each costs a few steps. [default: 16]"
#: as they are called here: by the tables of `Run.alignment`, of which signs fill two
_MEASURES = ("degrees", "relative_std", "signs")


def align(
    runs: Annotated[list[Path], typer.Argument(help="Run files, recorded with the weights of every checkpoint.")],
    rule: Annotated[
        str | None, typer.Option(help="Whose credit. [default: the rule that each layer learned by]")
    ] = None,
    examples: Annotated[int | None, typer.Option(min=1, help=_EXAMPLES)] = None,
    sign_examples: Annotated[int | None, typer.Option(min=1, help=_SIGN_EXAMPLES)] = None,
    measure: Annotated[
        list[str] | None, typer.Option(help="'degrees', 'relative_std' or 'signs'. May be repeated. [default: degrees]")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the run's]")] = None,
    data_dir: Annotated[Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure a rule beside the gradient at every checkpoint of a run.

    degrees: angle between the credits; relative_std: relative standard deviation r of the exact credit over the units;
    signs: share of the weights whose update has the gradient's sign, of the first 16 examples one by one and of all as
    one batch. The run tells the same of checkpoints measured while training: Run(path).alignment("degrees").
    """
    from neurosim.analysis.credit_quality import SIGN_EXAMPLES, TABLES
    from neurosim.analysis.run_alignment import as_text, run_alignment, to_plain
    from neurosim.rule_words import rule_from_words
    from neurosim.runs.run import Run

    measures = [_known(word) for word in measure or ("degrees",)]
    if sign_examples is not None and "signs" not in {TABLES.get(word, word) for word in measures}:
        raise ConfigError(
            f"--sign-examples {sign_examples}: no signs are measured; add --measure signs, or leave it out"
        )
    named = None if rule is None else rule_from_words(rule)
    measured = {}
    for path in runs:
        found = run_alignment(
            Run(path),
            rule=named,
            examples=examples,
            data_dir=data_dir,
            dataset=dataset,
            measures=measures,
            sign_examples=sign_examples or SIGN_EXAMPLES,
        )
        measured[str(path)] = to_plain(found)
        if not as_json:
            what = "" if measure else "degrees between "
            print(f"{path}: {what}the credit of {named or 'each rule'} and of BP, {found[0].examples} examples")
            print(as_text(found))
    if as_json:
        print(json.dumps(measured, indent=1))


def _known(word: str) -> str:
    """A measure by its own name or by that of its table; of others the error lists those that the help names."""
    from neurosim.analysis.credit_quality import MEASURES, TABLES
    from neurosim.errors import UnknownNameError

    if word not in (*TABLES, *MEASURES):
        raise UnknownNameError("measure", word, _MEASURES)
    return word
