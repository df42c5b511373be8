"""Tables of the book: real ones on a page, with formulas and links, and plain text in a terminal.

A table is Markdown in a notebook, so that what is between dollar signs in it is set as the rest of
the page is, and text elsewhere. Both are in a notebook's output, and both are compared when the
cells run again.
"""

import math
import re
from dataclasses import dataclass
from numbers import Real

import numpy as np

from jepabook._support import validate

_NUMBER = re.compile(r"[+-]?\.?\d")
# the minus sign of a zero: not a hyphen, a dash or a difference
_ZERO = re.compile(r"(?<![\w.)\]}])[-\u2212](?=(0+\.?0*|\.0+)(e[+-]?0+)?(?!\d|\.\d|e[+-]?\d))")


@dataclass(frozen=True)
class Table:
    """What `table` returns.

    Attributes
    ----------
    head : tuple of str
    rows : tuple of tuples of str
        As long as the head.
    """

    head: tuple
    rows: tuple

    def __repr__(self):
        lines = [self.head, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = self._right()
        return "\n".join(
            "  ".join(
                cell.rjust(width) if of_numbers else cell.ljust(width)
                for cell, width, of_numbers in zip(line, widths, right, strict=True)
            ).rstrip()
            for line in lines
        )

    def _repr_markdown_(self):
        rule = ["---:" if of_numbers else ":---" for of_numbers in self._right()]
        body = [[cell.replace("|", r"\|") for cell in line] for line in (self.head, *self.rows)]
        lines = [f"| {' | '.join(line)} |" for line in (body[0], rule, *body[1:])]
        return "\n".join(lines)

    def _right(self):
        """Which columns hold numbers, and so are flush right."""
        return [any(map(_NUMBER.match, column)) for column in zip(*self.rows, strict=True)]


def table(head, rows, formats=None):
    r"""A table of texts and numbers.

    Parameters
    ----------
    head : sequence of str
        Names of the columns, in Markdown with formulas between dollar signs. So are texts below.
    rows : sequence of sequences
        Each as long as the head. A cell is a text, a number, or None for an empty one; so is NaN.
    formats : sequence of str, optional
        A template a column, such as ``"{:.2f}"`` or ``"{:.1f} %"``, for its numbers; "" writes
        them as Python does.

    Returns
    -------
    Table
        Columns with numbers are flush right. A stroke \| inside a cell does not end it. A number
        that rounds to zero has no minus sign, whatever the template, in texts neither.

    Raises
    ------
    ValueError
        Names the argument, its value and what is allowed.

    Examples
    --------
    >>> table(["objective", "half-time"], [["JEPA", 4055.1], ["MAE", 49.4]], ["", "{:.0f}"])
    objective  half-time
    JEPA            4055
    MAE               49
    """
    head = _line("head", head)
    formats = ("",) * len(head) if formats is None else _line("formats", formats)
    if len(formats) != len(head):
        raise ValueError(f"formats must be of {len(head)} columns, got {len(formats)}")
    cells = []
    for number, row in enumerate(_sequence("rows", rows)):
        row = _sequence("rows", row.tolist() if isinstance(row, np.ndarray) else row)
        if len(row) != len(head):
            raise ValueError(f"rows must be of {len(head)} cells, got {len(row)} in row {number}")
        cells.append(tuple(_cell(*pair) for pair in zip(row, formats, strict=True)))
    return Table(head, tuple(cells))


def _line(name, values):
    """A tuple of texts, one or more."""
    return tuple(_text(name, value) for value in _sequence(name, values))


def _sequence(name, values):
    """One or more values in their order."""
    if not isinstance(values, (list, tuple)) or not values:
        told = validate.one_line(values)
        raise ValueError(f"{name} must be a list with something in it, got {told}")
    return values


def _text(name, value, zero=""):
    """A text of one line, its zeros signed by `zero` in place of a minus."""
    if not isinstance(value, str) or "\n" in value or "\r" in value:
        raise ValueError(f"{name} must hold texts of one line, got {validate.one_line(value)}")
    return _ZERO.sub(zero, value)


def _cell(value, template):
    if isinstance(value, np.ndarray) and not value.ndim:
        value = value.item()
    if value is None or (isinstance(value, Real) and math.isnan(value)):
        return ""
    if not isinstance(value, Real) or isinstance(value, (bool, np.bool_)):
        return _text("rows", value)
    try:
        told = template.format(value) if template else str(value)
    except (ValueError, LookupError) as error:
        raise ValueError(f"formats must fit the numbers, got {template!r}: {error}") from None
    return _text("formats", told, "+" if ":+" in template else "")
