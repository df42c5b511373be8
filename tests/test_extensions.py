"""Repairs of pages and of docstrings: `book/_ext/repairs.py` and `docstrings.py`."""

import docstrings
import pytest
import repairs
from docutils.core import publish_doctree
from docutils.nodes import inline, literal


def unbroken(rst):
    """What is kept on one line, and the whole text."""
    doctree = publish_doctree(rst)
    text = doctree.astext()
    repairs.keep_punctuation(None, doctree, "page")
    assert doctree.astext() == text  # nothing is lost, nothing is twice
    return [node.astext() for node in doctree.findall(inline) if "unbroken" in node["classes"]]


@pytest.mark.parametrize(
    ("rst", "kept"),
    [
        ("It is :math:`a`, or :math:`b`.", ["a,", "b."]),
        ("A feature (:math:`L=2`) and [:math:`c` and more]", ["(L=2)", "[c"]),
        ("`by a`_ :math:`z`\n\n.. _by a: https://a.example", []),
        (":math:`a` at both ends :math:`b`", []),
        ("(:math:`a`:math:`b`)", ["(a", "b)"]),
    ],
)
def test_a_formula_keeps_the_marks_around_it(rst, kept):
    assert unbroken(rst) == kept


def test_a_number_keeps_its_unit_and_code_its_spaces():
    doctree = publish_doctree("65 % of :math:`2` GB, 3 Greeks, ``2 GB``")
    repairs.keep_units(None, doctree, "page")
    assert doctree.astext() == "65\u00a0% of 2\u00a0GB, 3 Greeks, 2 GB"
    assert next(doctree.findall(literal)).astext() == "2 GB"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("|W e_i|", r"\|W e_i\|"),
        ("E[z z'] and B'GB, (V W)' R", "E[z z′] and B′GB, (V W)′ R"),
        ("the encoder's, JEPA's and L's; networks' starts", None),
        ("below 1e-140, a one-way e-mail", "below 1e‑140, a one-way e-mail"),
        ("eqs. (128)-(130), L-1", "eqs. (128)–(130), L-1"),
        ("``|a| b'`` and `x'`", None),
    ],
)
def test_a_formula_in_a_docstring_is_shown_as_written(written, shown):
    lines = [written]
    docstrings.plain_formulas(None, None, None, None, None, lines)
    assert lines == [shown or written]


def test_a_literal_block_and_a_doctest_are_left_alone():
    lines = ["obeys::", "", "    |a|' = 1e-3", "", ">>> |b|", "|c|"]
    shown = [*lines[:-1], r"\|c\|"]
    docstrings.plain_formulas(None, None, None, None, None, lines)
    assert lines == shown
