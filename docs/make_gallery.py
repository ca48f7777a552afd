"""Makes every picture of docs/gallery.md from files under results/.

    python docs/make_gallery.py                    all pictures, into docs/gallery/ (make gallery)
    python docs/make_gallery.py --out FOLDER       into another folder
    python docs/make_gallery.py --train            first trains the two runs on digits again that some of them show

A picture is one `neurosim plot` command; to add one, add a line to PICTURES and to gallery.md. The other files under
results/ come from `neurosim plot figure-4 reproduction --numbers results/figure-4.json` (2, 5 and 6 alike), where
`reproduction` is a folder of `neurosim reproduce --checkpoints all`, from `examples/width_theory.py --json`,
`benchmarks/cluster_quality.py`, `benchmarks/scaling.py` and `neurosim compare`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from attrs import frozen

from neurosim.cli.plot import from_numbers, from_represented, from_runs, save
from neurosim.plotting.names import REPRESENTED
from neurosim.plotting.series import Options

ROOT = Path(__file__).resolve().parents[1]
FOLDER, RESULTS = ROOT / "docs" / "gallery", ROOT / "results"


@frozen
class Picture:
    """A picture of the gallery.

    Attributes:
        name: of its file, without the ending.
        figure: as `neurosim plot` calls it.
        files: what it is drawn from, under results/.
    """

    name: str
    figure: str
    files: tuple[str, ...]


PICTURES = (
    Picture("figure-2", "figure-2", ("figure-2.json",)),
    Picture("figure-3a", "figure-3a", ("cluster-quality.h5",)),
    Picture("figure-3b", "figure-3b", ("cluster-quality.h5",)),
    Picture("figure-4", "figure-4", ("figure-4.json",)),
    Picture("figure-5", "figure-5", ("figure-5.json",)),
    Picture("figure-6", "figure-6", ("figure-6.json",)),
    Picture("alignment", "alignment", ("digits-gevb.h5", "digits-dfa.h5")),
    Picture("learning-curves", "learning-curves", ("digits-gevb.h5", "digits-dfa.h5")),
    Picture("width-theory", "width-theory", ("width_theory.json",)),
    Picture("comparison", "comparison", ("comparison-mnist.json",)),
    Picture("scaling", "scaling", ("scaling.json",)),
    Picture("quality", "quality", ("digits-gevb.h5",)),
    Picture("quality-dfa", "quality", ("digits-dfa.h5",)),
    Picture("credits", "credits", ("digits-gevb.h5",)),
    Picture("credits-dfa", "credits", ("digits-dfa.h5",)),
    Picture("weights", "weights", ("digits-gevb.h5",)),
    Picture("updates", "updates", ("digits-gevb.h5",)),
    Picture("receptive-fields", "receptive-fields", ("digits-gevb.h5",)),
    Picture("circuit", "circuit", ("digits-gevb.h5",)),
)


def make(folder: Path = FOLDER, results: Path = RESULTS) -> list[Path]:
    """Draw all pictures; those that are there are replaced."""
    made = []
    for picture in PICTURES:
        files = [results / name for name in picture.files]
        if files[0].suffix == ".json":
            drawn = from_numbers(picture.figure, files)
        elif picture.figure in REPRESENTED:
            drawn = from_represented(picture.figure, files, Options())
        else:
            drawn = from_runs(picture.figure, files, Options())
        made.append(folder / f"{picture.name}.png")
        save(drawn, made[-1], dpi=110)
    return made


def train(results: Path = RESULTS) -> None:
    """Two small networks on the embedded digits: GEVB with vector units, DFA with scalar ones; seconds."""
    from neurosim import GEVB, Simulator
    from neurosim.circuits.paper import network
    from neurosim.datasets import load_dataset
    from neurosim.optimizers import Adam
    from neurosim.rules.dfa import DFA
    from neurosim.runs.recording import RunRecorder
    from neurosim.training import Trainer

    for name, rule in (("digits-gevb", GEVB()), ("digits-dfa", DFA(limits=(0.0, 1.0)))):
        circuit = network((1, 8, 8), [], (32, 16), rule=rule, conventional=isinstance(rule, DFA))
        simulator = Simulator(circuit, optimizer=Adam(1e-3), seed=0)
        recorder = RunRecorder(results / f"{name}.h5", checkpoints="all", overwrite=True)
        Trainer(simulator, load_dataset("digits"), epochs=60, checkpoint_every=30, observers=[recorder]).run()


def main() -> None:
    """Read the options, make the pictures, and say where they are."""
    parser = argparse.ArgumentParser(description="The pictures of docs/gallery.md")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the pictures")
    parser.add_argument("--train", action="store_true", help="train the runs on digits again first")
    given = parser.parse_args()
    if given.train:
        train()
    for path in make(given.out):
        print(path)


if __name__ == "__main__":
    main()
