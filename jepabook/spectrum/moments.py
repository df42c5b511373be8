"""First and second moments of rows x and of pairs (x, y) in one pass, in float64.

`Gram`, for x, and `Sums`, for pairs, add up products about a shift, the mean of their first block,
so that a mean much larger than the spread costs no digits. (Should later blocks lie elsewhere, the
spread itself is that large: a first block of b in n rows brings rounding errors up to at most n/b
times those of sums about the mean.) Closed, those of pairs are `Moments` about the mean, which
merge by the formula of Chan, Golub and LeVeque (1983).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST = 1e150  # numbers whose squares, and some sums of these, fit in float64


@dataclass(eq=False)
class Moments:
    """Count, means, and sums of products about the means, of pairs (x, y).

    Attributes
    ----------
    count : int
    mean_x, mean_y : arrays (d,)
    xx, yx : arrays (d, d)
        Sums over pairs of (x - mean_x)(x - mean_x)' and (y - mean_y)(x - mean_x)'.
    yy : array (d,)
        The diagonal of the same for y.
    """

    count: int
    mean_x: Any
    mean_y: Any
    xx: Any
    yx: Any
    yy: Any

    def merge(self, other, machine):
        """Take in the moments of other pairs."""
        total = self.count + other.count
        share, weight = other.count / total, self.count * (other.count / total)
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        for mine, theirs, left in ((self.xx, other.xx, dx), (self.yx, other.yx, dy)):
            mine += theirs
            machine.add_outer(mine, weight * left, dx)
        self.yy += other.yy + weight * dy * dy
        self.mean_x, self.mean_y = self.mean_x + share * dx, self.mean_y + share * dy
        self.count = total


class Gram:
    """Sums of products of rows that come in blocks.

    Parameters
    ----------
    width : int
        Numbers in a row, d.
    machine : object
        NumPy's or torch's arithmetic, from `backend.backend`.
    """

    def __init__(self, width, machine):
        self.machine, self.count, self.shift = machine, 0, None
        self.x, self.xx = machine.zeros(width), machine.zeros(width, width)

    def add(self, rows):
        """Take in rows, a NumPy array (n, d) of any real type; returns them less the shift."""
        if self.shift is None:
            self.shift = first_mean(rows, self.machine)
        rows = self.machine.centred(0, rows, self.shift)
        self.machine.add_gram(self.xx, rows)
        self.x += self.machine.sums(rows)
        self.count += len(rows)
        return rows

    def close(self):
        """Count, mean and sums of products about it: the sums are used up."""
        x = self.x / self.count
        self.machine.mirror(self.xx)
        self.machine.add_outer(self.xx, -self.x, x)
        return self.count, self.shift + x, self.xx


class Sums:
    """Sums of products of pairs that come in blocks; parameters as for `Gram`."""

    def __init__(self, width, machine):
        self.machine, self.gram, self.shift = machine, Gram(width, machine), None
        self.y, self.yy = machine.zeros(width), machine.zeros(width)
        self.yx = machine.zeros(width, width)

    @property
    def count(self):
        return self.gram.count

    def add(self, x, y):
        """Take in rows x and y, NumPy arrays (n, d) of any real type."""
        if self.shift is None:
            self.shift = first_mean(y, self.machine)
        x, y = self.gram.add(x), self.machine.centred(1, y, self.shift)
        self.machine.add_product(self.yx, y, x)
        self.y += self.machine.sums(y)
        self.yy += self.machine.squares(y)

    def finite(self):
        """Whether no sum of squares has met NaN or grown beyond what can still be added up."""
        squares = self.machine.numpy(self.yy + self.gram.xx.diagonal())
        return bool((squares < LARGEST**2).all())

    def moments(self):
        """Close the sums: they are used up."""
        x, y = self.gram.x / self.count, self.y / self.count
        self.machine.add_outer(self.yx, -self.y, x)
        count, mean_x, xx = self.gram.close()
        return Moments(count, mean_x, self.shift + y, xx, self.yx, self.yy - self.y * y)


def first_mean(rows, machine):
    return machine.array(rows.mean(0, dtype=np.float64))


class Groups:
    """Moments of consecutive groups of rows, for the total and for a bootstrap over groups.

    When more than `most` groups are needed, neighbours are merged and the groups become twice as
    long: memory does not depend on the number of rows.

    Parameters
    ----------
    rows : int or None
        Rows of a group at first; None: so few that as many rows as features make `most` groups.
    most : int
        Largest number of groups, even. After a merger there are half of them and one more.
    machine : object
        As for `Gram`.
    """

    def __init__(self, rows, most, machine):
        self.rows, self.most, self.machine = rows, most, machine
        self.groups, self._open = [], None

    def add(self, x, y):
        """Take in rows x and y, NumPy arrays (n, d) of any real type.

        Returns
        -------
        bool
            Whether all of them are finite.
        """
        start, fine = 0, True
        self.rows = self.rows or max(1, x.shape[1] // self.most)
        while start < len(x):
            if self._open is None:
                if len(self.groups) == self.most:
                    self._halve()
                self._open = Sums(x.shape[1], self.machine)
            stop = min(len(x), start + self.rows - self._open.count)
            self._open.add(x[start:stop], y[start:stop])
            start, fine = stop, fine and self._open.finite()
            if self._open.count == self.rows:
                self.close()
        return fine

    def close(self):
        """End the last group, however short."""
        if self._open is not None:
            self.groups.append(self._open.moments())
            self._open = None

    def _halve(self):
        for first, second in zip(self.groups[::2], self.groups[1::2], strict=True):
            first.merge(second, self.machine)
        self.groups, self.rows = self.groups[::2], 2 * self.rows
