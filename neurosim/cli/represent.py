"""`neurosim represent`: activity, embedding and cluster quality of recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurosim.analysis.representation_file import Representation

_POPULATIONS = (
    "Which, repeated or a,b. [default: the last with space, pools included; without any the last before the output]"
)
_EPOCHS = "Numbers, 'first' (before training), 'last', 'all'; a,b for several."
_EXAMPLES = "The first so many images. [default: 2000, or all where there are fewer]"


def represent(
    runs: Annotated[list[Path], typer.Argument(help="Run files, or a folder of `neurosim reproduce`.")],
    population: Annotated[list[str] | None, typer.Option(help=_POPULATIONS)] = None,
    epochs: Annotated[str, typer.Option(help=_EPOCHS)] = "first,last",
    examples: Annotated[int | None, typer.Option(min=1, help=_EXAMPLES)] = None,
    split: Annotated[str, typer.Option(help="'test' or 'train' images.")] = "test",
    components: Annotated[int, typer.Option(help="Principal components kept before t-SNE.")] = 600,
    perplexity: Annotated[float, typer.Option(help="Of t-SNE.")] = 20.0,
    iterations: Annotated[int, typer.Option(help="Of t-SNE.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of t-SNE.")] = 0,
    activity: Annotated[bool, typer.Option(help="Keep the activity itself in the file; it is large.")] = True,
    out: Annotated[Path, typer.Option(help="HDF5 file.")] = Path("representations.h5"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file of its kind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The table as JSON, for programs.")] = False,
    dataset: Annotated[str | None, typer.Option(help="Dataset or .h5 file. [default: the run's]")] = None,
    data_dir: Annotated[Path | None, typer.Option(envvar="NEUROSIM_DATA", help="Folder of datasets.")] = None,
    device: Annotated[str, typer.Option(help="'cpu', 'cuda', 'cuda:1', ...")] = "cpu",
) -> None:
    """Record what populations represent before and after training: activity, PCA and t-SNE, cluster quality."""
    from neurosim.analysis.embedding import EmbeddingSettings
    from neurosim.analysis.representations import populations_of
    from neurosim.analysis.run_representations import epochs_of
    from neurosim.analysis.run_representations import represent as write
    from neurosim.circuit import Circuit
    from neurosim.presented import usable_device
    from neurosim.runs.series import find_runs

    opened = find_runs(runs)
    names = [name.strip() for text in population or () for name in text.split(",")]
    wanted = [word.strip() for word in epochs.split(",")]
    for run in opened:  # before the file that may be there: a misspelt name is what to mend first
        populations_of(Circuit.from_json(run.circuit_json), names, where=str(run.path))
        epochs_of(run, wanted)
    usable_device(device)
    width = max(len(str(run.path)) for run in opened)
    head = f"{'run'.ljust(width)}  {'population'.ljust(12)}{'epoch'.rjust(6)}{'quality'.rjust(9)}{'rms'.rjust(9)}"
    lines = iter([head])  # printed before the first row, once nothing is refused

    def tell(made: Representation) -> None:
        for line in (*lines, _line(made, width)):
            print(line, flush=True)

    made = write(
        opened,
        out,
        populations=names,
        epochs=wanted,
        examples=examples,
        split=split,
        settings=EmbeddingSettings(components=components, perplexity=perplexity, iterations=iterations, seed=seed),
        keep_activity=activity,
        overwrite=overwrite,
        data_dir=data_dir,
        dataset=dataset,
        device=device,
        tell=(lambda each: None) if as_json else tell,
    )
    if as_json:
        print(json.dumps([_plain(each) for each in made], indent=1))
        return
    print(
        f"cluster quality of the first {len(made[0].labels)} {split} images in two dimensions; rms: with unsquared "
        f"distances\nwritten to {out}; `neurosim plot figure-3a {out}` draws it"
    )


def _line(made: Representation, width: int) -> str:
    numbers = f"{made.epoch:6d}{made.quality:9.3f}{made.quality_rms:9.3f}"
    return f"{made.run.ljust(width)}  {made.population.ljust(12)}{numbers}"


def _plain(made: Representation) -> dict[str, str | int | float]:
    return {
        "run": made.run,
        "label": made.label,
        "seed": made.seed,
        "population": made.population,
        "epoch": made.epoch,
        "examples": len(made.labels),
        "cluster_quality": made.quality,
        "cluster_quality_rms": made.quality_rms,
    }
