"""What a circuit refuses: the place, what was found, what would fit; and nothing is lost by asking."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from neurosim import (
    BP,
    GEVB,
    AvgPool,
    Binary,
    Circuit,
    Conv2d,
    Dense,
    HalfNormal,
    He,
    Local2d,
    OneHot,
    OnOff,
    SignGate,
    Zeros,
)
from neurosim.errors import CircuitError, UnknownNameError


def vector() -> Circuit:
    """input (1, 6, 6) -> c1 (4, 4, 4) -> p1 (4, 2, 2) -> f1 (6,) -> output (1,), and a pooled input."""
    c = Circuit((1, 6, 6), OneHot(4))
    c.relay("p0", "input", AvgPool(2))
    c.population("c1", (4, ...), gate=SignGate(), bias="channel")
    c.connect("input", "c1", Conv2d(3), rule=GEVB())
    c.relay("p1", "c1", AvgPool(2))
    c.population("f1", 6, gate=SignGate())
    c.connect("p1", "f1", Dense(), rule=GEVB(), init=OnOff(), sign="nonnegative")
    c.connect("p0", "f1", Dense(), rule=GEVB(), init=OnOff())
    c.connect("f1", "output", Dense(), rule=GEVB())
    return c.check()


def conventional() -> Circuit:
    c = Circuit(5, OneHot(3), K=1)
    c.population("f1", 4, gate=SignGate())
    c.connect("input", "f1", Dense(), rule=BP())
    c.connect("f1", "output", Dense(), rule=BP())
    return c.check()


CONV_3 = "Conv2d(kernel=(3, 3), stride=(1, 1), padding=(0, 0))"

#: what is done to vector() -> a part of what is said
REFUSED: dict[str, tuple[Callable[[Circuit], object], str]] = {
    # names
    "presynaptic name": (
        lambda c: c.connect("inptu", "f1", Dense()),
        "unknown population 'inptu'; did you mean 'input'? Known: c1, f1, input, output, p0, p1",
    ),
    "postsynaptic name": (
        lambda c: c.connect("input", "x", Dense()),
        "unknown population 'x'; known: c1, f1, input, output, p0, p1",
    ),
    "relayed name": (
        lambda c: c.relay("p2", "c2", AvgPool(2)),
        "unknown population 'c2'; known: c1, f1, input, output",
    ),
    "group name": (
        lambda c: c.group("f1->out"),
        "unknown group 'f1->out'; did you mean 'f1->output'? Known: f1->output, ",
    ),
    "group in with_rules": (lambda c: c.with_rules({"f1": BP()}), "unknown group 'f1'; known: f1->output, input->c1, "),
    "relay in with_rules": (lambda c: c.with_rules({"c1->p1": BP()}), "unknown group 'c1->p1'; did you mean"),
    "sign": (
        lambda c: c.connect("c1", "f1", Dense(), sign="positive"),
        "unknown sign 'positive'; did you mean 'nonpositive'? Known: mixed, nonnegative, nonpositive",
    ),
    "bias": (
        lambda c: c.population("f2", 4, bias="channels"),
        "unknown bias for population 'f2' 'channels'; did you mean 'channel'? Known: None, channel, unit",
    ),
    "vectorization": (lambda c: c.check("grup"), "vectorization 'grup'; did you mean 'group'? Known: group, temporal"),
    # shapes
    "dense into an image": (
        lambda c: c.connect("input", "c1", Dense(), name="second"),
        "group 'second': Dense() makes (4,) from 'input' (1, 6, 6), but 'c1' has the shape (4, 4, 4); "
        "give 'c1' the shape (4,) or change the connectivity",
    ),
    "convolution into a vector": (
        lambda c: c.connect("c1", "f1", Conv2d(3)),
        f"group 'c1->f1': {CONV_3} makes (6, 2, 2) from 'c1' (4, 4, 4), but 'f1' has the shape (6,)",
    ),
    "convolution of another size": (
        lambda c: c.connect("input", "c1", Local2d(2), name="second"),
        "makes (4, 5, 5) from 'input' (1, 6, 6), but 'c1' has the shape (4, 4, 4)",
    ),
    "convolution of a vector": (
        lambda c: c.connect("f1", "output", Conv2d(3), name="second"),
        f"group 'second': {CONV_3} needs a presynaptic population of shape (channels, height, width), got (6,)",
    ),
    "kernel larger than the image": (
        lambda c: c.connect("p1", "f1", Local2d(3), name="second"),
        "does not fit into the presynaptic 2 x 2 even once",
    ),
    "pool larger than the image": (
        lambda c: c.relay("p2", "p1", AvgPool(3)),
        "relay 'p2' of 'p1': AvgPool(kernel=(3, 3), stride=None): its kernel does not fit into the presynaptic 2 x 2",
    ),
    "pool of a vector": (
        lambda c: c.relay("p2", "f1", AvgPool(2)),
        "relay 'p2' of 'f1': AvgPool(kernel=(2, 2), stride=N",
    ),
    **{
        f"shape {shape}": (
            lambda c, shape=shape: c.population("f2", shape),
            f"population 'f2': a shape is (n,), (channels, height, width) or (channels, ...), got {shape}",
        )
        for shape in [0, -3, (), (4, 5), (4, 0, 5), (4, 5, 6, 7), (...,), (4, ..., 4), (4, 5, 6, ...)]
    },
    # the graph
    "cycle": (
        lambda c: c.connect("f1", "c1", Dense()),
        "group 'f1->c1' would close the cycle c1 -> p1 -> f1 -> c1; circuits are acyclic",
    ),
    "loop": (
        lambda c: c.connect("f1", "f1", Dense()),
        "group 'f1->f1' would close the cycle f1 -> f1; circuits are ac",
    ),
    "into the input": (
        lambda c: c.connect("f1", "input", Dense()),
        "group 'f1->input': 'input' is the input and takes no synapses",
    ),
    "into a relay": (
        lambda c: c.connect("input", "p1", Dense()),
        "group 'input->p1': 'p1' is a relay of 'c1' and takes no synapses",
    ),
    "into a relay of the input": (
        lambda c: c.connect("c1", "p0", Dense()),
        "group 'c1->p0': 'p0' is a relay of 'input' and takes no synapses",
    ),
    "out of the output": (
        lambda c: c.connect("output", "f1", Dense()),
        "group 'output->f1': 'output' is the readout and has no synapses onto others",
    ),
    "pooling with connect": (
        lambda c: c.connect("c1", "f1", AvgPool(2)),
        "group 'c1->f1': AvgPool(kernel=(2, 2), stride=None) has no weights; use relay()",
    ),
    "weights with relay": (
        lambda c: c.relay("p2", "c1", Conv2d(3)),
        f"relay 'p2': {CONV_3} has weights; use population() and connect()",
    ),
    # names taken, or that cannot be
    "population twice": (lambda c: c.population("f1", 4), "a population 'f1' exists already"),
    "another input": (lambda c: c.population("input", 4), "a population 'input' exists already"),
    "relay like a population": (lambda c: c.relay("f1", "c1", AvgPool(2)), "a population 'f1' exists already"),
    "group twice": (
        lambda c: c.connect("f1", "output", Dense()),
        "a group 'f1->output' exists already; give this one another name=",
    ),
    "group called like a relay's": (
        lambda c: c.connect("c1", "f1", Dense(), name="c1->p1"),
        "a group 'c1->p1' exists already; give this one another name=",
    ),
    "empty name": (lambda c: c.population("", 4), "a name must be a printable, non-empty text without '/', got ''"),
    "empty group name": (
        lambda c: c.connect("c1", "f1", Dense(), name=""),
        "a name must be a printable, non-empty text without",
    ),
    "path as name": (
        lambda c: c.population("a/b", 4),
        "a name must be a printable, non-empty text without '/', got 'a/b'",
    ),
    "name of a folder": (lambda c: c.population("..", 4), "'..' names a folder in a run file; choose another name"),
    "unprintable name": (lambda c: c.population("a\nb", 4), "a name must be a printable, non-empty text without"),
    "name of a bias": (
        lambda c: c.connect("c1", "f1", Dense(), name="bias of f1"),
        "'bias of f1' is what the bias of a population is called; choose another name",
    ),
    # signs, initializers, pairs
    "nonnegative from He": (
        lambda c: c.connect("c1", "f1", Dense(), sign="nonnegative"),
        "group 'c1->f1': He() draws weights for sign='mixed' here, not for sign='nonnegative'; "
        "use OnOff() past the first layer, HalfNormal() or Zeros()",
    ),
    "nonpositive from ON/OFF": (
        lambda c: c.connect("c1", "f1", Dense(), sign="nonpositive", init=OnOff()),
        "OnOff() draws weights for sign='mixed' or 'nonnegative' here, not for sign='nonpositive'; use HalfNormal()",
    ),
    "nonnegative first layer from ON/OFF": (
        lambda c: c.connect("input", "f1", Dense(), sign="nonnegative", init=OnOff()),
        "group 'input->f1': OnOff() draws weights for sign='mixed' here, not for sign='nonnegative'",
    ),
    "mixed from HalfNormal": (
        lambda c: c.connect("c1", "f1", Dense(), init=HalfNormal()),
        "draws weights for sign='nonnegative' or 'nonpositive' here, not for sign='mixed'; use He(), OnOff() or",
    ),
    "odd gate": (
        lambda c: c.population("f2", (7,), gate=SignGate()),
        "population 'f2': SignGate pairs units 2i and 2i + 1 as ON and OFF, got an odd number of units (or channels)",
    ),
    # biases
    "rule of no bias": (
        lambda c: c.population("f2", 4, bias=None, bias_rule=BP()),
        "population 'f2' has no bias (bias=None), so bias_rule=BP() has no effect",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_the_circuit_as_it_was(case: str) -> None:
    call, text = REFUSED[case]
    c, untouched = vector(), vector()
    with pytest.raises((CircuitError, UnknownNameError), match=re.escape(text)):
        call(c)
    assert c == untouched
    assert list(c.graph.nodes(data=True)) == list(untouched.graph.nodes(data=True))
    assert list(c.graph.edges(keys=True, data=True)) == list(untouched.graph.edges(keys=True, data=True))
    c.check()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: Circuit(4, OneHot(4), K=3),
            "K = 3 does not fit the readout OneHot(classes=4, loss='cross_entropy') of 4 components: use K=4 "
            "(vector units, one output unit) or K=1 (scalar units, 4 outputs)",
        ),
        (lambda: Circuit(4, Binary(9), K=9), "K = 9 does not fit the readout Binary(classes=9, loss='logistic') of 4"),
        (lambda: Circuit(4, OneHot(4), K=0), "K must be a whole number of at least 1, got 0"),
        (lambda: Circuit(0, OneHot(4)), "population 'input': a shape is (n,), (channels, height, width)"),
        (lambda: Circuit((4, 4), OneHot(4)), "population 'input': a shape is (n,), (channels, height, width)"),
        (
            lambda: conventional().with_rules(GEVB()),
            "group 'input->f1': the rule GEVB() cannot apply: its credit multiplies one global error vector, which "
            "needs exactly one output unit, but the output has 3 scalar units; use K=3 (one vector output unit) or ",
        ),
        (lambda: conventional().with_rules({"f1->output": GEVB()}), "group 'f1->output': the rule GEVB() cannot apply"),
    ],
)
def test_circuits_that_cannot_be(make: Callable[[], object], text: str) -> None:
    with pytest.raises(CircuitError, match=re.escape(text)):
        make()


@pytest.mark.parametrize("widths", [(3, 4), (4, 3)])
def test_odd_widths_are_not_paired(widths: tuple[int, int]) -> None:
    c = Circuit((1, 4, 4), OneHot(4))
    c.population("c1", (widths[0], ...))
    c.population("c2", (widths[1], ...))
    c.connect("input", "c1", Conv2d(1))
    side = "presynaptic" if widths[0] == 3 else "postsynaptic"
    text = rf"group 'c1->c2': OnOff pairs units 2i and 2i \+ 1; the {side} population has an odd number .* 3; use 4, or"
    for connectivity in (Conv2d(2), Local2d(2)):
        with pytest.raises(CircuitError, match=text):
            c.connect("c1", "c2", connectivity, init=OnOff())
        assert c.populations["c2"].shape_open, "the shape is still open"


def test_an_odd_number_of_scalar_outputs_is_not_paired() -> None:
    c = Circuit(4, OneHot(3), K=1)
    with pytest.raises(CircuitError, match="the postsynaptic population has an odd number of units .* 3; use 4"):
        c.connect("input", "output", Dense(), init=OnOff())
    c.connect("input", "output", Dense(), init=Zeros())


def dangling(*groups: tuple[str, str]) -> Circuit:
    c = Circuit(4, OneHot(3))
    for name in ("a", "b"):
        c.population(name, 2)
    for pre, post in groups:
        c.connect(pre, post, Dense())
    return c


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ([], "population 'output' has no input; connect() a group into it"),
        ([("a", "output")], "population 'a' has no input; connect() a group into it"),
        ([("input", "output")], "population 'a' has no input; connect() a group into it"),
        (
            [("input", "output"), ("input", "a"), ("a", "b")],
            "population 'a' has no way to 'output'",
        ),
        ([("input", "output"), ("b", "a"), ("a", "output")], "population 'b' has no input; connect() a group into it"),
        ([("input", "a"), ("input", "b"), ("a", "output")], "population 'b' has no way to 'output'"),
    ],
)
def test_dangling_populations(groups: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(CircuitError, match=re.escape(text)):
        dangling(*groups).check()


def test_a_population_whose_shape_is_open_has_no_listeners() -> None:
    c = Circuit((1, 6, 6), OneHot(4))
    c.population("c1", (2, ...))
    text = "the shape of population 'c1' is not known yet; connect a group into it before others listen to it"
    for call in (lambda: c.connect("c1", "output", Dense()), lambda: c.relay("p1", "c1", AvgPool(2))):
        with pytest.raises(CircuitError, match=text):
            call()
    assert list(c.populations) == ["input", "output", "c1"]


def test_an_unknown_output_bias() -> None:
    data = vector().to_dict() | {"output_bias": "channel"}
    with pytest.raises((CircuitError, UnknownNameError), match="output.bias"):
        Circuit.from_dict(data)


def test_he_is_the_default() -> None:
    assert vector().connect("c1", "output", Dense()).init == He()
