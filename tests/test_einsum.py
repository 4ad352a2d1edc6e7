"""The algebra of einsum equations."""

import math

import pytest
import torch
from conformance import close
from zoo import normal, uniform

from rlra_torch.functional.einsum import Equation, Layout


@pytest.mark.parametrize(
    ("equation", "message"),
    [
        ("ir,jr", "needs an output"),
        ("ir,jr->", "needs an output"),
        ("", "needs an output"),
        ("i1,jr->ij", "has the term 'i1': use letters only"),
        ("...ir,jr->ij", "use letters only"),
        ("ir,,jr->ij", "has the term ''"),
        ("->ij", "has the term ''"),
        ("ir,jr->ij->k", "use letters only"),
        ("αr,jr->αj", "use letters only"),
        ("iir,jr->ij", "repeats a letter in 'iir'"),
        ("ir,jr->iij", "repeats a letter in 'iij'"),
        ("ir,jr->ijk", "letter 'k' is in no factor"),
        ("irs,jr->ij", "letter 's' is in one factor only"),
    ],
)
def test_parse_refuses(equation, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Equation.parse(equation)


@pytest.mark.parametrize("equation", [None, 3, ("ir", "jr")])
def test_parse_needs_a_string(equation):
    with pytest.raises(TypeError, match="an equation is a string"):
        Equation.parse(equation)


def test_parse_reads_spaces():
    assert Equation.parse(" ir , jr -> ij ") == Equation(("ir", "jr"), "ij")


@pytest.mark.parametrize(
    ("equation", "roles"),
    [
        ("ir,jr->ij", [("", "i", "r"), ("", "j", "r")]),
        ("ia,jb,kc,abc->ijk", [("", "i", "a"), ("", "j", "b"), ("", "k", "c"), ("", "", "abc")]),
        ("ir,kr,kjr->ijk", [("", "i", "r"), ("k", "", "r"), ("k", "j", "r")]),
        ("mp,pr,sr->ms", [("", "m", "p"), ("", "", "pr"), ("", "s", "r")]),
        ("i,j->ij", [("", "i", ""), ("", "j", "")]),
        ("bir,bjr->bij", [("b", "i", "r"), ("b", "j", "r")]),
    ],
)
def test_letters_sort_themselves(equation, roles):
    parsed = Equation.parse(equation)
    assert [parsed.roles(n) for n in range(len(roles))] == roles


def test_adjoint_and_gram_by_hand():
    eq = Equation.parse("ir,kr,kjr->ijk")
    assert eq.forward == "...ir,...kr,...kjr->...ijk"
    assert eq.adjoint(1) == "...ijk,...ir,...kjr->...kr"
    assert eq.sums(2) == "...ir,...kr->...kr"
    assert eq.gram(2, diagonal=True) == "...ir,...kr,...ir,...kr->...kr"
    w, b = torch.rand(4, 2), torch.rand(3, 2)
    expected = torch.einsum("ir,ia,kr,ka->kra", w, w, b, b)
    torch.testing.assert_close(torch.einsum(eq.gram(2), w, b, w, b), expected)


@pytest.mark.parametrize(
    ("layout", "shape", "block"),
    [
        (Layout((0, 1), 0, 1), (5, 3), (5, 3)),
        (Layout((0, 1, 2), 1, 1), (4, 5, 3), (4, 5, 3)),
        (Layout((1, 0), 0, 1), (3, 5), (5, 3)),
        (Layout((0, 1), 1, 0), (4, 3), (4, 1, 3)),  # no rows
        (Layout((0, 1, 2), 0, 0), (2, 3, 4), (1, 24)),  # rank only
        (Layout((2, 0, 1), 0, 2), (3, 4, 5), (15, 4)),  # two rows
        (Layout((1, 2, 0), 1, 1), (3, 4, 5), (4, 5, 3)),
        (Layout((0,), 0, 1), (5,), (5, 1)),  # no rank
    ],
)
@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_layouts(layout, shape, block, lead, generator):
    x = normal(generator, *lead, *shape)
    packed = layout.pack(x)
    assert packed.shape == (*lead, *block)
    assert torch.equal(layout.unpack(packed, x), x)
    # Leading dimensions come from the block, the factor's own from `like`.
    many = torch.stack([packed, 2 * packed])
    assert torch.equal(layout.unpack(many, x)[1], 2 * x)
    assert layout.trivial == (packed is x)


def test_a_rank_one_equation_without_rank_letters(generator):
    eq = Equation.parse("i,j->ij")
    u, v, residual = uniform(generator, 4), uniform(generator, 3), normal(generator, 4, 3)
    close(torch.einsum(eq.adjoint(0), residual, v), residual @ v)
    close(torch.einsum(eq.gram(0), v, v), v @ v)
    assert eq.layout(0).pack(u).shape == (4, 1)
    assert math.prod(eq.layout(1).pack(v).shape) == 3
