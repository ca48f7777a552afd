"""Which bits of an output code a trained circuit gets wrong."""

from __future__ import annotations

import torch
from attrs import frozen

from neurosim.datasets import Split, batches
from neurosim.readout import Hierarchical
from neurosim.simulator import Simulator


@frozen
class CodeErrors:
    """Errors of a code on a split, as fractions of its examples.

    Attributes:
        bits: of every output component by itself, most significant first.
        classes: of the decoded class.
        coarse: of the coarse class of the decoded class; None for a code without coarse classes.
    """

    bits: tuple[float, ...]
    classes: float
    coarse: float | None


@torch.no_grad()
def code_errors(simulator: Simulator, split: Split, batch_size: int = 1000) -> CodeErrors:
    """Per-bit, class and coarse errors of ``split``, in one pass that learns nothing.

    Args:
        simulator: whose readout decides.
        split: on any device; it is moved to the simulator's.
        batch_size: images at once.

    Example:
        >>> from neurosim import Binary, circuits
        >>> from neurosim.datasets import load_dataset
        >>> simulator = Simulator(circuits.load("digits-fc", readout=Binary(10)))
        >>> len(code_errors(simulator, load_dataset("digits").test).bits)
        4
    """
    readout = simulator.circuit.readout
    words = readout.codewords().to(simulator.device)
    coarse = torch.tensor(readout.coarse, device=simulator.device) if isinstance(readout, Hierarchical) else None
    bits = torch.zeros(readout.length, dtype=torch.int64, device=simulator.device)
    wrong = torch.zeros(2, dtype=torch.int64, device=simulator.device)
    for images, labels in batches(split.to(simulator.device), batch_size):
        output = simulator.forward(images).output.flatten(1)
        guess = readout.decode(output, words.to(output.dtype))
        bits += readout.bit_errors(output, words[labels].to(output.dtype))
        wrong[0] += (guess != labels).sum()
        if coarse is not None:
            wrong[1] += (coarse[guess] != coarse[labels]).sum()
    fractions = (torch.cat([wrong, bits]).cpu().double() / len(split)).tolist()
    return CodeErrors(tuple(fractions[2:]), fractions[0], fractions[1] if coarse is not None else None)
