"""Output codes, losses, error vectors and decoding, each against an independent definition."""

from __future__ import annotations

import math
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from neurosim import Binary, Circuit, CodeTable, Dense, ErrorCorrecting, Gray, Hierarchical, OneHot, Simulator
from neurosim.errors import CircuitError, UnknownNameError
from neurosim.readout import Readout

CODES = {kind for kind in Readout.known().values() if kind.__module__.startswith("neurosim.")}
READOUTS = [kind(classes, loss) for kind in (OneHot, Binary, Gray) for classes in (2, 3, 8, 10) for loss in kind.losses]
READOUTS += [ErrorCorrecting(classes, 7, loss) for classes in (2, 10) for loss in ErrorCorrecting.losses]
READOUTS += [CodeTable(3, ["00000", "00001", "11111"], loss) for loss in CodeTable.losses]  # words of many weights
READOUTS += [Hierarchical(5, (0, 2, 2, 1, 2), loss) for loss in Hierarchical.losses]


def batch(readout: Readout, size: int, scale: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator(device="cpu").manual_seed(seed)
    output = scale * torch.randn(size, readout.length, generator=generator, dtype=torch.float64, device="cpu")
    return output, torch.randint(readout.classes, (size,), generator=generator, device="cpu")


def torch_losses(readout: Readout, output: Tensor, labels: Tensor) -> Tensor:
    """The loss of every example by torch's own losses."""
    target = readout.codewords()[labels]
    if readout.loss == "cross_entropy":
        return F.cross_entropy(output, labels, reduction="none")
    if readout.loss == "squared":
        return F.mse_loss(output, target, reduction="none").sum(1) / 2
    return F.binary_cross_entropy_with_logits(output, target, reduction="none").sum(1)


def test_every_code_is_among_those_tested() -> None:
    assert {type(readout) for readout in READOUTS} == CODES


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_losses_and_errors_are_torchs(readout: Readout) -> None:
    output, labels = batch(readout, 7)
    target = readout.codewords()[labels]
    leaf = output.clone().requires_grad_()
    expected = torch_losses(readout, leaf, labels)
    assert float((readout.losses_of(output, target) - expected.detach()).abs().max()) < 1e-12
    (gradient,) = torch.autograd.grad(expected.mean(), leaf)
    error = readout.error(output, target)
    assert float(gradient.abs().max()) > 1e-2
    assert float((error - gradient).abs().max()) < 1e-14, "the 1 / batch enters here, once"


@given(st.sampled_from(READOUTS), st.integers(1, 6), st.floats(0, 50), st.integers(0, 10_000))
def test_errors_are_the_gradient_of_the_mean_loss(readout: Readout, size: int, scale: float, seed: int) -> None:
    output, labels = batch(readout, size, scale, seed)
    target = readout.codewords()[labels]
    leaf = output.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(readout.losses_of(leaf, target).mean(), leaf)
    assert float((readout.error(output, target) - gradient).abs().max()) < 1e-13 * max(1.0, scale)


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_large_outputs_stay_finite(readout: Readout) -> None:
    output, labels = batch(readout, 5, scale=1e4)
    target = readout.codewords()[labels]
    assert bool(readout.losses_of(output, target).isfinite().all())
    assert bool(readout.error(output, target).isfinite().all())


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_codewords_differ_and_decode_to_themselves(readout: Readout) -> None:
    table = readout.codewords()
    assert table.shape == (readout.classes, readout.length)
    assert table.unique(dim=0).shape == table.shape, "no two classes are written alike"
    classes = torch.arange(readout.classes, device="cpu")
    logits = 20 * (2 * table - 1) if readout.loss != "squared" else table
    assert torch.equal(readout.decode(logits, table), classes)


@given(st.sampled_from(READOUTS), st.integers(0, 10_000))
def test_decoding_is_the_class_of_least_loss(readout: Readout, seed: int) -> None:
    """Nearest codeword in squared distance, or greatest likelihood: the class whose loss would be smallest."""
    output, _ = batch(readout, 8, seed=seed)
    found = readout.decode(output, readout.codewords())
    for example, chosen in zip(output, found.tolist(), strict=True):
        losses = [float(torch_losses(readout, example[None], torch.tensor([c]))) for c in range(readout.classes)]
        assert losses[chosen] <= min(losses) + 1e-12


@given(st.integers(0, 10_000))
def test_logistic_decoding_is_maximum_likelihood(seed: int) -> None:
    """Bits that are 1 with the probability sigmoid(o), whatever the number of ones in a word."""
    readout = CodeTable(4, ["000000", "000001", "011111", "111111"])
    output, _ = batch(readout, 6, seed=seed)
    words = readout.codewords()
    p = torch.sigmoid(output).unsqueeze(1)
    likelihood = torch.where(words > 0, p, 1 - p).prod(2)
    assert torch.equal(readout.decode(output, words), likelihood.argmax(1))
    assert readout.decode(torch.full((1, 6), -1.0, dtype=torch.float64, device="cpu"), words).tolist() == [0]


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_bit_errors_count_each_component_by_itself(readout: Readout) -> None:
    output, labels = batch(readout, 40)
    target = readout.codewords()[labels]
    found = readout.bit_errors(output, target)
    assert (found.shape, found.dtype) == ((readout.length,), torch.int64)
    edge = 0.5 if readout.loss == "squared" else 0.0
    estimate = torch.softmax(output, 1) - 0.5 if readout.loss == "cross_entropy" else output - edge
    for component in range(readout.length):
        wrong = [
            (float(guess) > 0) != bool(bit)
            for guess, bit in zip(estimate[:, component], target[:, component], strict=True)
        ]
        assert int(found[component]) == sum(wrong)
    confident = 20 * (2 * target - 1) if readout.loss != "squared" else target
    assert not readout.bit_errors(confident, target).any()


def test_a_corrected_bit_is_no_mistake() -> None:
    readout = ErrorCorrecting(10, 7)
    words = readout.codewords()
    labels = torch.arange(10, device="cpu")
    for bit in range(7):
        output = 4 * (2 * words - 1)
        output[:, bit] *= -1
        assert torch.equal(readout.decode(output, words), labels)
        assert readout.bit_errors(output, words).tolist() == [10 if place == bit else 0 for place in range(7)]


def test_squared_decoding_weighs_the_length_of_codewords() -> None:
    """The greatest inner product alone would favour long codewords."""
    readout = Binary(4, "squared")
    output = torch.tensor([[0.3, 0.3]], dtype=torch.float64, device="cpu")
    assert readout.decode(output, readout.codewords()).tolist() == [0]


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 8, 9, 10, 100, 1000])
def test_binary_codes_are_the_numbers_in_binary(classes: int) -> None:
    readout = Binary(classes)
    assert readout.length == math.ceil(math.log2(classes))
    digits = [[int(bit) for bit in format(number, f"0{readout.length}b")] for number in range(classes)]
    assert readout.codewords().tolist() == digits


def test_one_hot_codes_are_unit_vectors() -> None:
    assert OneHot(3).codewords().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert (OneHot(7).length, OneHot(7).loss, Binary(7).loss) == (7, "cross_entropy", "logistic")


@pytest.mark.parametrize("readout", READOUTS, ids=str)
def test_saved_and_loaded_equals_unsaved(readout: Readout) -> None:
    assert Readout.from_dict(readout.to_dict()) == readout


@pytest.mark.parametrize("kind", [OneHot, Binary, Gray])
@pytest.mark.parametrize("classes", [1, 0, -3])
def test_fewer_than_two_classes_are_refused(kind, classes: int) -> None:
    with pytest.raises(CircuitError, match=rf"{kind.__name__}.classes must be an integer of at least 2, got {classes}"):
        kind(classes)


@pytest.mark.parametrize(
    ("kind", "loss", "text"),
    [
        (
            OneHot,
            "crossentropy",
            "unknown loss for OneHot 'crossentropy'; did you mean 'cross_entropy'. Known: .*squar",
        ),
        (Binary, "cross_entropy", "unknown loss for Binary 'cross_entropy'; known: logistic, squared"),
    ],
)
def test_an_unknown_loss_lists_the_known_ones(kind, loss: str, text: str) -> None:
    with pytest.raises(UnknownNameError, match=text):
        kind(10, loss)


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["00", "01"], "must be one word per class, 3 in all, got 2 words"),
        (["00", "01", "10", "11"], "must be one word per class, 3 in all, got 4 words"),
        (["00", "01", "00"], "must differ, but the classes 0 and 2 have the same word 00"),
        (["00", "01", "101"], "must have one length, got 2 and 3 bits"),
        (["00", "01", "12"], "must be words of 0 and 1; that of class 2 is '12'"),
        ([[0, 1], [1, 0], [0.5, 1]], r"must be words of 0 and 1; that of class 2 is \[0.5, 1\]"),
        (["00", "01", ""], "must be words of 0 and 1; that of class 2 is ''"),
        (7, "must be one word of 0 and 1 per class, got 7"),
        ("011", "must be one word of 0 and 1 per class, got '011'"),
    ],
)
def test_a_table_that_is_no_code(words: object, text: str) -> None:
    with pytest.raises(CircuitError, match=f"CodeTable.words {text}"):
        CodeTable(3, words)


def test_tables_of_every_sort_are_one() -> None:
    table = torch.tensor([[0, 1], [1, 0], [1, 1]], device="cpu")
    expected = CodeTable(3, ["01", "10", "11"])
    forms = [
        table,
        table.double(),
        table.bool(),
        table.numpy(),
        table.tolist(),
        list(table.numpy()),
        ("01", "10", "11"),
    ]
    assert all(CodeTable(3, form) == expected for form in forms)
    assert expected.codewords().tolist() == table.tolist()


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize(
    ("coarse", "text"),
    [
        ((0, 1, 1), "must be the coarse class of every class, 4 in all, got 3"),
        ((0, 0, 0, 0), r"must number two or more coarse classes 0, 1, 2, ... and use them all, got \(0, 0, 0, 0\)"),
        ((0, 2, 2, 0), r"use them all, got \(0, 2, 2, 0\)"),
        ((1, 2, 2, 1), "use them all"),
        ((0, 1, 1, -1), "use them all"),
        ((0, 1.0, 1, 0), "must number"),
        ("0110", "must be the coarse class of every class, got '0110'"),
    ],
)
def test_coarse_classes_that_are_none(coarse: object, text: str) -> None:
    with pytest.raises(CircuitError, match=f"Hierarchical.coarse .*{text}|Hierarchical.coarse {text}"):
        Hierarchical(4, coarse)


@pytest.mark.usefixtures("wrong_types_allowed")
@pytest.mark.parametrize("length", [3, 0, -1, 7.0, True, None])
def test_too_few_bits(length: object) -> None:
    with pytest.raises(CircuitError, match="ErrorCorrecting.length must be an integer of at least 4, .* 10 classes"):
        ErrorCorrecting(10, length)


@frozen
class Careless(Readout):
    """A stranger's code whose table does not keep its promise."""

    rows: tuple[tuple[float, ...], ...] = ()

    @property
    def length(self) -> int:
        return 2

    def codewords(self) -> Tensor:
        return torch.tensor(self.rows, dtype=torch.float64, device="cpu")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (((0.0, 1.0), (1.0, 0.0)), r"must have the shape \(3, 2\), one word per class, got \(2, 2\)"),
        (((0.0, 1.0), (1.0, 0.0), (0.0, 1.0)), r"codewords\(\) repeats a word; no two classes may be written alike"),
        (((0.0, 1.0), (1.0, nan), (1.0, 1.0)), "must be finite numbers, but component 1 of class 1 is nan"),
        (((0.0, 1.0), (1.0, 0.0), (-inf, 1.0)), "must be finite numbers, but component 0 of class 2 is -inf"),
    ],
)
def test_a_strangers_code_is_checked_too(rows: tuple[tuple[float, ...], ...], text: str) -> None:
    c = Circuit(4, Careless(3, rows=rows))
    c.connect("input", "output", Dense())
    for refused in (c.check, lambda: c.check("temporal"), lambda: Simulator(c)):
        with pytest.raises(CircuitError, match=text):
            refused()


@frozen
class Untyped(Careless):
    """The table is no tensor."""

    made: str = "list"

    def codewords(self) -> Any:
        rows = [[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
        return rows if self.made == "list" else np.array(rows)


@pytest.mark.parametrize("made", ["list", "ndarray"])
def test_a_table_is_a_tensor(made: str) -> None:
    c = Circuit(4, Untyped(3, made=made))
    c.connect("input", "output", Dense())
    for refused in (c.check, lambda: Simulator(c)):
        with pytest.raises(CircuitError, match=rf"codewords\(\) must be a torch tensor .*, got {made}; make it"):
            refused()


def test_what_a_subclass_must_define_is_said() -> None:
    with pytest.raises(NotImplementedError, match="Readout must define length"):
        _ = Readout(3).length
    with pytest.raises(NotImplementedError, match=r"Readout must define codewords\(\)"):
        Readout(3).codewords()
