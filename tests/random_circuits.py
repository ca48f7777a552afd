"""Random circuits that the builder accepts: skips, relays, parallel groups, frozen ones, every part somewhere."""

from __future__ import annotations

from random import Random

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    CodeTable,
    Conv2d,
    Dense,
    ErrorCorrecting,
    ExternalGate,
    FirstBinGate,
    Gray,
    HalfNormal,
    He,
    Hierarchical,
    Local2d,
    OneHot,
    OnOff,
    ReLU,
    SignGate,
    Zeros,
)

READOUTS = [
    (OneHot(4), None), (OneHot(4, "squared"), 1), (Binary(2), None), (Binary(7, "squared"), None), (Gray(4), 1),
    (ErrorCorrecting(4, 5), None), (Hierarchical(4, (0, 1, 1, 0)), None), (CodeTable(2, ("0101", "1011")), 1),
]  # fmt: skip
WEIGHTS = [("mixed", He()), ("nonnegative", HalfNormal(0.5)), ("nonpositive", Zeros()), ("mixed", OnOff())]


def random_circuit(random: Random) -> Circuit:
    """Up to six populations and relays between the input and the output."""
    readout, K = random.choice(READOUTS)
    c = Circuit((2, 7, 6), readout, K=K, output_bias=random.choice(["unit", None]))
    for number in range(random.randint(0, 6)):
        kind = random.choice(["vector", "space", "relay"])
        images = [p.name for p in c.populations.values() if len(p.shape) == 3 and min(p.shape[1:]) > 1]
        if kind == "relay":
            c.relay(f"r{number}", random.choice(images), AvgPool(2, stride=random.choice([None, 1])))
            continue
        bias = random.choice(["unit", "channel", None])
        bias_rule = random.choice([None, BP(), "shared"]) if bias is not None else "shared"
        shape = (random.choice([2, 4]), ...) if kind == "space" else random.choice([2, 6])
        heard = random.choice([p.name for p in c.populations.values() if p.scalar])
        gates = [SignGate(), FirstBinGate(), ExternalGate(heard, random.choice([0.0, 0.5])), None]
        gate = random.choice([*gates, ReLU()] if c.K == 1 else gates)
        c.population(f"p{number}", shape, gate=gate, bias=bias, bias_rule=bias_rule)
        _drive(c, f"p{number}", random, images if kind == "space" else None)
    _drive(c, "output", random, None)
    return c


def _drive(c: Circuit, post: str, random: Random, images: list[str] | None) -> None:
    """One to three groups onto ``post``, in space two of them from the same population, side by side."""
    others = [name for name in c.populations if name not in (post, "output")]
    rules = [None, BP()] + ([GEVB()] if c.output_units == 1 else [])
    options = {"padding": random.choice([0, 1]), "stride": random.choice([1, (1, 2)])}
    source = random.choice(images or others)
    for number in range(random.randint(1, 3)):
        connectivity = random.choice([Conv2d, Local2d])(2, **options) if images else Dense()
        sign, init = random.choice(WEIGHTS)
        pre = source if images else random.choice(others)
        name = None if f"{pre}->{post}" not in c.groups else f"{pre}->{post}, {number}"
        c.connect(pre, post, connectivity, rule=random.choice(rules), sign=sign, init=init, name=name)
