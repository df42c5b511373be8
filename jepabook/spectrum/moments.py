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
SMALLEST = 1e-290  # sum of squares whose terms keep their digits
GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio's fraction, times 2^64
SAMPLED = 256  # rows of a block whose energies are looked at


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
    energy : ndarray (4,)
        Of a sample of rows: their number, and sum, sum of squares and maximum of what they add to
        `yy` and the diagonal of `xx`, each feature in units of its variance in the first block that
        a process reads.
    """

    count: int
    mean_x: Any
    mean_y: Any
    xx: Any
    yx: Any
    yy: Any
    energy: Any

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
        self.count, self.energy = total, joined_energy(self.energy, other.energy)


def joined_energy(*energies):
    """Energies (4,) of several sets of rows as those of all of them."""
    return np.append(np.sum(energies, axis=0)[:3], np.max(energies, axis=0)[3])


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
    """Sums of products of pairs that come in blocks.

    Parameters
    ----------
    width, machine
        As for `Gram`.
    units : pair of arrays (d,)
        What the squares of x and y are multiplied by for energies.
    """

    def __init__(self, width, machine, units):
        self.machine, self.gram, self.shift = machine, Gram(width, machine), None
        self.y, self.yy = machine.zeros(width), machine.zeros(width)
        self.yx = machine.zeros(width, width)
        self.energy, self._units = np.zeros(4), units

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
        self._measure(x[:SAMPLED], y[:SAMPLED])

    def _measure(self, x, y):
        """Take in the energies of rows about the shift."""
        energies = sum(
            self.machine.numpy((view * view) @ unit)
            for view, unit in zip((x, y), self._units, strict=True)
        )
        here = len(x), energies.sum(), (energies * energies).sum(), energies.max()
        self.energy = joined_energy(self.energy, here)

    def finite(self):
        """Whether no sum of squares has met NaN or grown beyond what can still be added up."""
        squares = self.machine.numpy(self.yy + self.gram.xx.diagonal())
        return bool((squares < LARGEST**2).all())

    def moments(self):
        """Close the sums: they are used up."""
        x, y = self.gram.x / self.count, self.y / self.count
        self.machine.add_outer(self.yx, -self.y, x)
        count, mean_x, xx = self.gram.close()
        yy = self.yy - self.y * y
        return Moments(count, mean_x, self.shift + y, xx, self.yx, yy, self.energy)


def places_of(labels, most):
    """Which of at most `most` groups clusters are in, integers (n,): the same everywhere."""
    spread = (labels.astype(np.uint64) * GOLDEN) >> np.uint64(32)
    return (spread * np.uint64(most) >> np.uint64(32)).astype(int)


def first_mean(rows, machine):
    return machine.array(rows.mean(0, dtype=np.float64))


def units(x, y, machine):
    """For every feature of either view 1 over its variance in these rows, 1 if it has none."""
    variances = (view.var(0, dtype=np.float64) for view in (x, y))
    return tuple(machine.array(1 / np.where(part < SMALLEST, 1.0, part)) for part in variances)


def rows_of_a_group(width, most, count=1):
    """Rows of each of at most `most` groups of `count` rows, the same in arrays and in streams.

    At first as many rows as features make `most` groups; twice as many until the groups suffice.
    """
    rows = max(1, width // most)
    while rows * most < count:
        rows *= 2
    return rows


class Groups:
    """Moments of consecutive groups of rows, for the total and for a bootstrap over groups.

    When more than `most` groups are needed, neighbours are merged and the groups become twice as
    long: memory does not depend on the number of rows.

    Parameters
    ----------
    rows : int or None
        Rows of a group at first; None: as `rows_of_a_group` has them of however many will come.
    most : int
        Largest number of groups, even. After a merger there are half of them and one more.
    machine : object
        As for `Gram`.

    Attributes
    ----------
    groups : list of Moments
    numbers : None
        They are numbered as they come.
    """

    def __init__(self, rows, most, machine):
        self.rows, self.most, self.machine = rows, most, machine
        self.groups, self.numbers, self._open, self._units = [], None, None, None

    def add(self, x, y, labels=None):
        """Take in rows x and y, NumPy arrays (n, d) of any real type; there are no labels.

        Returns
        -------
        bool
            Whether all of them are finite.
        """
        start, fine = 0, True
        self._units = self._units or units(x, y, self.machine)
        self.rows = self.rows or rows_of_a_group(x.shape[1], self.most)
        while start < len(x):
            if self._open is None:
                if len(self.groups) == self.most:
                    self._halve()
                self._open = Sums(x.shape[1], self.machine, self._units)
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


class Clusters:
    """Moments of groups of clusters, rows that belong together wherever they come.

    A cluster's number says which group it is in, in every process: multiples of the golden ratio
    spread consecutive numbers evenly.

    Parameters
    ----------
    most : int
        Largest number of groups.
    rows : int
        Rows of a group that are collected before they are added up.
    machine : object
        As for `Gram`.

    Attributes
    ----------
    seen : set of int
        The clusters.
    groups : list of Moments
        Closed.
    numbers : list of int
        Of the groups, from 0 to `most` - 1: the same in every process.
    """

    def __init__(self, most, rows, machine):
        self.most, self.rows, self.machine = most, rows, machine
        self.seen, self.groups, self.numbers = set(), [], []
        self._sums, self._waiting, self._units = {}, {}, None

    def add(self, x, y, labels):
        """Take in rows x, y and the clusters that they belong to, integers (n,).

        Returns
        -------
        bool
            Whether all of them are finite.
        """
        if not all((np.abs(view.astype(np.float64)) < LARGEST).all() for view in (x, y)):
            return False
        self._units = self._units or units(x, y, self.machine)
        self.seen.update(np.unique(labels).tolist())
        places = places_of(labels, self.most)
        for place in np.unique(places).tolist():
            here = places == place
            waiting = self._waiting.setdefault(place, [])
            waiting.append((x[here], y[here]))
            if sum(len(rows) for rows, _ in waiting) >= self.rows:
                self._flush(place)
        return True

    def _flush(self, place):
        x, y = map(np.concatenate, zip(*self._waiting.pop(place), strict=True))
        if place not in self._sums:
            self._sums[place] = Sums(x.shape[1], self.machine, self._units)
        self._sums[place].add(x, y)

    def close(self):
        """Add up what waits."""
        for place in sorted(self._waiting):
            self._flush(place)
        self.numbers = sorted(self._sums)
        self.groups = [self._sums.pop(place).moments() for place in self.numbers]
