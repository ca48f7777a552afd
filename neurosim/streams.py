"""One named random stream for every object that draws, all derived from one seed.

Adding a population, a rule or a recorder elsewhere changes no other draw, because a stream depends on nothing
but the seed and the object's own name. Generators live on the cpu, so that cpu and cuda runs start from the
same numbers.
"""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, *name: str | int) -> torch.Generator:
    """A cpu generator that depends on ``seed`` and ``name`` alone.

    Args:
        seed: the seed of the run.
        name: the parts of the object's name, for example ``"weights", "input->f1"``.

    Example:
        >>> first = torch.rand(2, generator=stream(0, "weights", "input->f1"))
        >>> again = torch.rand(2, generator=stream(0, "weights", "input->f1"))
        >>> other = torch.rand(2, generator=stream(0, "weights", "f1->output"))
        >>> bool((first == again).all()), bool((first == other).any())
        (True, False)
    """
    text = "\x1f".join([str(int(seed)), *map(str, name)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    generator = torch.Generator(device="cpu")
    generator.manual_seed(int.from_bytes(digest, "big") >> 1)  # manual_seed takes 63 bits on every platform
    return generator
