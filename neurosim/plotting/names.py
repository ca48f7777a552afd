"""The figures that `neurosim plot` draws, by name: known without loading h5py or matplotlib."""

from __future__ import annotations

from collections.abc import Mapping

#: name -> what it shows; where it is a figure of the paper, under the paper's number
DESCRIPTIONS: Mapping[str, str] = {
    "figure-2": "Figure 2: alignment angles on CIFAR-10, GEVB and DFA in nonnegative networks",
    "figure-3a": "Figure 3A: embedding of a population's activity, five classes, from files of `neurosim represent`",
    "figure-3b": "Figure 3B: cluster quality before and after training, from files of `neurosim represent`",
    "figure-4": "Figure 4: learning curves on MNIST, all experiments of Table 1",
    "figure-5": "Figure 5: learning curves on CIFAR-10, all experiments of Table 2",
    "figure-6": "Figure 6: alignment angles, mixed-sign networks on CIFAR-10 and all on MNIST",
    "alignment": "alignment angles of any runs, as in Figures 2 and 6",
    "learning-curves": "learning curves of any runs, as in Figures 4 and 5",
    "width-theory": "Eq. 15 against measurement, from the JSON file of examples/width_theory.py",
    "comparison": "errors and costs of a circuit's settings, from the comparison.json of `neurosim compare`",
    "scaling": "time and memory of a step over components and classes, from benchmarks/scaling.py",
    "quality": "a run's rule beside the gradient: angle, spread of credit (Eq. 22), agreement of signs",
    "credits": "credit of a run's rule beside the exact credit, before and after training",
    "weights": "weights of a run before and after training",
    "updates": "updates that one batch makes to a run's last weights",
    "receptive-fields": "first-layer weights of a run as images",
    "circuit": "the circuit of a run: populations, synapse groups, rules and signs",
}
NAMES = tuple(DESCRIPTIONS)
#: those of files of `neurosim represent`
REPRESENTED = ("figure-3a", "figure-3b")
#: those drawn from numbers alone, and what writes these
WRITTEN_BY: Mapping[str, str] = {
    "width-theory": "python examples/width_theory.py --json FILE.json",
    "comparison": "neurosim compare",
    "scaling": "python benchmarks/scaling.py --out FILE.json",
}


def figure_lines() -> list[str]:
    """Name and meaning of every figure.

    Example:
        >>> figure_lines()[0]
        'figure-2          Figure 2: alignment angles on CIFAR-10, GEVB and DFA in nonnegative networks'
    """
    width = max(map(len, NAMES))
    return [f"{name.ljust(width)}  {text}" for name, text in DESCRIPTIONS.items()]
