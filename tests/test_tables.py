"""Tables: what a page shows of them, what a terminal does, and what they refuse."""

import numpy as np
import pytest
from markdown_it import MarkdownIt

from jepabook import tables

ROWS = [["JEPA", 4055.1, None], ["MAE", np.array(-0.001), np.int64(3)], ["a|b", 0.5, np.nan]]
MIXED = tables.table(["which", "$|w|$", "n"], ROWS, ["", "{:+.2f} %", ""])


def on_a_page(table):
    """Alignment and text of every cell, row by row, as a reader of Markdown finds them."""
    rows = []
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(table._repr_markdown_())
    for token, inside in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((token.attrGet("style").removeprefix("text-align:"), inside.content))
    return rows


def test_a_page_shows_every_cell_and_numbers_flush_right():
    sides = ("left", "right", "right")
    shown = [
        ("which", "$|w|$", "n"),
        ("JEPA", "+4055.10 %", ""),
        ("MAE", "+0.00 %", "3"),
        ("a|b", "+0.50 %", ""),
    ]
    assert on_a_page(MIXED) == [list(zip(sides, row, strict=True)) for row in shown]


def test_a_terminal_shows_the_same_in_columns():
    assert repr(MIXED).splitlines() == [
        "which       $|w|$  n",
        "JEPA   +4055.10 %",
        "MAE       +0.00 %  3",
        "a|b       +0.50 %",
    ]
    assert repr(tables.table(["L"], [[1]])) == "L\n1"


@pytest.mark.parametrize(
    ("value", "template", "shown"),
    [
        (-1e-9, "{:.2f}", "0.00"),
        (-1e-9, "{:+.0%}", "+0%"),
        (-0.0, "", "0.0"),
        (-0.0, "{:.0e}", "0e+00"),
        (-1e-30, "{:.0e}", "-1e-30"),
        (-0.5, "{:.1f}", "-0.5"),
        (-10, "{:d}", "-10"),
    ],
)
def test_a_number_that_rounds_to_zero_has_no_minus_sign(value, template, shown):
    assert tables.table(["x"], [[value]], [template]).rows == ((shown,),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{-1e-9:.1f}", "0.0"),
        (f"{-1e-9:.0%}", "0%"),
        ("\u22120.00", "0.00"),
        ("-0.005 [-0.012, -0.000]", "-0.005 [-0.012, 0.000]"),
        ("at $-0.0$ and (-0) it is -0.00.", "at $0.0$ and (0) it is 0.00."),
        ("-0e+00, -.0, -0.", "0e+00, .0, 0."),
        # no zeros, or no signs of them
        *((text, text) for text in ("-0.05", "-0.5e-3", "-0e+05", "-10", "-", "a - b", "-x")),
        *((text, text) for text in ("10-0", "$c-0.0$", "$(a)-0$", "v-0", "0.1-0.0", "-0.0.1")),
    ],
)
def test_a_zero_within_a_text_has_no_minus_sign_either(text, shown):
    found = tables.table([text], [[text]])
    assert (found.head, found.rows) == ((shown,), ((shown,),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a", "b"], [[1, 2], [1]]), "rows must be of 2 cells, got 1 in row 1"),
        ((["a"], []), "rows must be a list with something in it, got []"),
        ((["a"], ["b"]), "rows must be a list with something in it, got 'b'"),
        ((["a"], [["b\nc"]]), "rows must hold texts of one line, got 'b\\nc'"),
        ((["a"], [[True]]), "rows must hold texts of one line, got True"),
        (("a", [[1]]), "head must be a list with something in it, got 'a'"),
        (([], [[]]), "head must be a list with something in it, got []"),
        ((["a"], [[1]], ["", ""]), "formats must be of 1 columns, got 2"),
        ((["a"], [[1.5]], ["{:d}"]), "formats must fit the numbers, got '{:d}': Unknown format"),
        ((["a"], [[1.5]], ["{} {}"]), "formats must fit the numbers, got '{} {}': Replacement"),
    ],
)
def test_what_makes_no_table_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError) as caught:
        tables.table(*arguments)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
