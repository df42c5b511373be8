"""Where pairs of views come from: arrays, files, or any iterable of batches."""

import os

import numpy as np

from jepabook._support import validate
from jepabook._support.regular import shown
from jepabook.spectrum.formats import Parts, opened
from jepabook.spectrum.moments import LARGEST

MOST_ROWS = 4096  # of a block
LEAST_ROWS = 256
IN_CACHE = 2**16  # numbers


class Pairs:
    """Pairs of views from two arrays, NumPy's, torch's, memory-mapped, or files (`formats`).

    Parameters
    ----------
    x, y : arrays (n, ...) or paths
        Row i of each is one pair. Axes after the first are flattened.
    clusters : array (n,) or path, optional
        Integers: rows with the same one belong together.
    """

    def __init__(self, x, y, clusters=None):
        self.names = _name("x", x), _name("y", y)
        self.x, self.y = (
            _numbers(name, opened(view) if isinstance(view, (str, os.PathLike)) else view)
            for name, view in zip(self.names, (x, y), strict=True)
        )
        if len(self.x) != len(self.y):
            raise ValueError(
                f"{self.names[0]} and {self.names[1]} must have the same number of rows, one pair "
                f"each, got {len(self.x)} and {len(self.y)}"
            )
        self.count, self.width = len(self.x), _width(self.names, self.x, self.y)
        self.clusters = None if clusters is None else clusters_of(clusters, self.count)

    @property
    def clustered(self):
        return self.clusters is not None

    def blocks(self, start=0, stop=None):
        """Rows start ... stop - 1 in blocks: the first row's number, x, y, clusters or None."""
        stop = self.count if stop is None else stop
        rows = block_rows(self.width)
        for row in range(start, stop, rows):
            rows_here = slice(row, min(stop, row + rows))
            labels = self.clusters[rows_here] if self.clustered else None
            yield row, _rows(self.x[rows_here]), _rows(self.y[rows_here]), labels


class Batches:
    """Pairs of views from an iterable of batches (x, y), such as a torch ``DataLoader``.

    Parameters
    ----------
    batches : iterable of pairs of arrays (n, ...), or of triples with clusters, integers (n,)
    """

    def __init__(self, batches):
        self.names, self.count, self.width, self.clustered = ("x", "y"), None, None, None
        self.batches = batches

    def blocks(self):
        """All rows in blocks as `Pairs.blocks` has them; small batches are put together."""
        waiting, held, row = [], 0, 0
        for number, batch in enumerate(self.batches):
            views = self._views(number, batch)
            rows, count = block_rows(self.width), len(views[0])
            if not waiting:
                whole = count // rows * rows
                for start in range(0, whole, rows):
                    yield row + start, *_cut(views, start, start + rows)
                views, row, count = _cut(views, whole, None), row + whole, count - whole
            if count:
                # the iterable may use its memory again
                waiting.append(tuple(None if view is None else view.copy() for view in views))
                held += count
            if held >= rows:
                yield row, *_joined(waiting)
                waiting, held, row = [], 0, row + held
        if waiting:
            yield row, *_joined(waiting)

    def _views(self, number, batch):
        """x, y and clusters, or None, of a batch."""
        try:
            x, y, *labels = batch
            (labels,) = labels or [None]
        except (TypeError, ValueError):
            kind = type(batch).__name__
            raise ValueError(
                f"x must yield batches that are pairs (x, y) or triples (x, y, clusters), got "
                f"{kind} as batch {number}"
            ) from None
        x, y = (
            _rows(_numbers(f"{name} of batch {number}", view))
            for name, view in zip("xy", (x, y), strict=True)
        )
        if len(x) != len(y):
            raise ValueError(
                f"x and y of batch {number} must have the same number of rows, got {len(x)} and "
                f"{len(y)}"
            )
        width = _width((f"x of batch {number}", f"y of batch {number}"), x, y)
        if width != (self.width or width):
            raise ValueError(f"batch {number} must have {self.width} features, got {width}")
        clustered = labels is not None
        if clustered != (clustered if self.clustered is None else self.clustered):
            raise ValueError(f"batch {number} must name clusters if and only if batch 0 does")
        self.width, self.clustered = width, clustered
        if clustered:
            labels = _labels(f"clusters of batch {number}", labels, len(x))
        return x, y, labels


def _cut(views, start, stop):
    return tuple(None if view is None else view[start:stop] for view in views)


def _joined(waiting):
    """Views (x, y, clusters or None) put together."""
    return tuple(
        None if parts[0] is None else np.concatenate(parts) for parts in zip(*waiting, strict=True)
    )


def _labels(name, value, count):
    """Clusters as integers (count,)."""
    labels = validate.real(name, plain(value), kinds="iu")
    if labels.shape != (count,):
        raise ValueError(
            f"{name} must be one integer for each of {count} rows, got shape {labels.shape}"
        )
    return labels.astype(np.int64)


def clusters_of(value, count, numbered=True):
    """Clusters of an array or a file, as they are or numbered from 0: integers (count,)."""
    name = _name("clusters", value)
    value = opened(value) if isinstance(value, (str, os.PathLike)) else value
    labels = _labels(name, value, count)
    return np.unique(labels, return_inverse=True)[1].reshape(count) if numbered else labels


def plain(value):
    """A tensor as an array, if it is a plain one."""
    if validate.is_tensor(value) and validate.is_dense(value):
        return value.detach().cpu()  # numbers are all that is wanted of what a network made
    return value


def block_rows(width):
    """Rows of a block: it stays in the cache, or its products outweigh the rest by far."""
    return min(MOST_ROWS, max(LEAST_ROWS, IN_CACHE // width, width // 4))


def source(x, y=None, clusters=None):
    """`Pairs` of two arrays or files, or `Batches` of one iterable."""
    if y is not None:
        return Pairs(x, y, clusters)
    if isinstance(x, (str, os.PathLike)) or hasattr(x, "shape") or not hasattr(x, "__iter__"):
        raise ValueError(f"y must be given where x is not an iterable of batches, got {_kind(x)}")
    if clusters is not None:
        told = validate.one_line(clusters)
        raise ValueError(
            f"clusters must be the third part of each batch where x is an iterable, got {told}"
        )
    return Batches(x)


def _name(name, value):
    """How errors name an array: by its argument, or by its file."""
    return shown(value) if isinstance(value, (str, os.PathLike)) else name


def _kind(value):
    return f"{type(value).__name__}{tuple(getattr(value, 'shape', ()))}"


def _numbers(name, value):
    """`value` as a NumPy array (n, ...) of numbers, not copied where that can be avoided."""
    if isinstance(value, Parts):
        return value
    value = validate.real(name, plain(value), kinds="fiub")
    if value.ndim < 1 or value.size == 0:
        raise ValueError(f"{name} must have rows and features, got shape {value.shape}")
    return value


def _rows(array):
    return array.reshape(len(array), -1)


def _width(names, x, y):
    width, other = (view[:1].size for view in (x, y))
    if width != other:
        raise ValueError(
            f"{names[0]} and {names[1]} must have as many features as each other, got {width} "
            f"and {other}"
        )
    return width


def refuse(names, row, *views):
    """Raise ValueError for a block of views with which sums of squares are not `finite`."""
    for name, view in zip(names, views, strict=False):
        bad = np.argwhere(~(np.abs(view.astype(np.float64)) < LARGEST))
        if len(bad):
            at, feature = (int(i) for i in bad[0])
            raise ValueError(
                f"{name} must be finite and below {LARGEST}, got {view[at, feature]} in row "
                f"{row + at}, feature {feature}: repair or drop that pair"
            )
    raise ValueError(
        f"{names[0]} and {names[1]} must be so small that sums of squares fit in float64: scale "
        "them down"
    )
