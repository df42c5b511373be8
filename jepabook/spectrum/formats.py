"""Files of numbers: ``.npy``, folders of them, safetensors, Parquet.

``table.parquet:column`` and ``file.safetensors:tensor`` name one of several. Nothing is unpickled.
"""

import os
import re
from pathlib import Path

import numpy as np

from jepabook._support import arrays
from jepabook._support.regular import open_regular, shown

READ = "fiub"  # kinds of numbers


class Parts:
    """Arrays (n_1, ...), (n_2, ...), ... one after the other; slices of rows are read when asked.

    Parameters
    ----------
    parts : list of arrays, or of what has their shape and gives their rows
    """

    def __init__(self, parts):
        self.parts = parts
        self.edges = np.cumsum([0, *(len(part) for part in parts)])
        self.shape = (int(self.edges[-1]), *parts[0].shape[1:])
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        """Rows of a slice of step 1, as one array."""
        start, stop, _ = rows.indices(len(self))
        first, last = np.searchsorted(self.edges, [start, max(start, stop - 1)], side="right") - 1
        found = [
            np.asarray(self.parts[k][max(start - edge, 0) : stop - edge])
            for k, edge in zip(range(first, last + 1), self.edges[first:], strict=False)
        ]
        return np.concatenate(found) if len(found) > 1 else found[0]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)


class _Tensor:
    """One tensor of a safetensors file."""

    def __init__(self, rows):
        self.rows, self.shape = rows, tuple(rows.get_shape())

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return self.rows[rows]


def opened(path):
    """A file, or a folder of ``.npy`` files in the order of their names, as an array or `Parts`.

    In names, numbers count as such: part-2 comes before part-10.

    Raises
    ------
    ValueError
        In one line, if it cannot be read, or holds no numbers (a Parquet column may hold words).
    """
    path = os.fspath(path)
    name, within = (path, None) if os.path.lexists(path) else _split(path)
    kind = Path(name).suffix.casefold()
    if os.path.isdir(name):
        return _folder(name)
    if kind == ".safetensors":
        return _safetensors(name, within)
    if kind in (".parquet", ".pq"):
        return _parquet(name, within)
    return arrays.npy(path)


def _split(path):
    """A path and what follows its last colon, where what is before it has a kind that has parts."""
    name, colon, within = path.rpartition(":")
    several = Path(name).suffix.casefold() in (".parquet", ".pq", ".safetensors")
    return (name, within) if colon and several else (path, None)


def _folder(path):
    names = [name for name in os.listdir(path) if name.endswith(".npy") and name[0] != "."]
    if not names:
        raise ValueError(f"{shown(path)} must hold .npy files where it is a folder, got none")
    names.sort(key=lambda name: [(int(n or -1), t) for t, n in re.findall(r"(\D*)(\d*)", name)])
    parts = [arrays.npy(os.path.join(path, name)) for name in names]
    for name, part in zip(names, parts, strict=True):
        where = shown(os.path.join(path, name))
        if part.dtype.kind not in READ:
            raise ValueError(f"{where} must be real numbers, got an array of {part.dtype}")
        if not part.ndim or part.shape[1:] != parts[0].shape[1:]:
            first = shown(os.path.join(path, names[0]))
            raise ValueError(
                f"{where} must have rows as {first} has them, of shape {parts[0].shape[1:]}, got "
                f"{part.shape[1:]}"
            )
    return Parts(parts)


def _safetensors(path, within):
    file, names = arrays.tensors(path)
    rows = arrays.tensor(path, file, _one(path, "tensor", names, within))
    if not rows.get_shape():
        raise ValueError(f"{shown(path)} must have rows, got a single number")
    return Parts([_Tensor(rows)])


def _parquet(path, within):
    """One column, in memory: numbers, words, or lists of numbers of one length."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"{shown(path)} needs pyarrow: pip install pyarrow") from None
    with open_regular(path) as file:
        try:
            table = parquet.ParquetFile(file)
            schema = table.schema_arrow
            lists = (pyarrow.types.is_list, pyarrow.types.is_large_list)
            lists += (pyarrow.types.is_fixed_size_list,)
            vectors = [f.name for f in schema if any(test(f.type) for test in lists)]
            name = _one(path, "column", vectors if within is None else schema.names, within)
            column = table.read([name]).column(0).combine_chunks()
        except (pyarrow.ArrowException, OSError) as error:
            told = str(error).splitlines()[0]
            raise ValueError(f"{shown(path)} must be a whole Parquet file: {told}") from None
    where = f"{shown(path)}, column {shown(name)},"
    if column.null_count:
        raise ValueError(f"{where} must have no gaps, got {column.null_count}")
    if name not in vectors:
        values = column.to_numpy(zero_copy_only=False)
        return values.astype(str) if values.dtype == object else values
    flat = column.flatten()
    if flat.null_count or not len(column) or len(flat) % len(column):
        raise ValueError(f"{where} must hold lists of numbers of one length")
    lengths = pyarrow.compute.list_value_length(column).to_numpy(zero_copy_only=False)
    if np.ptp(lengths):
        raise ValueError(f"{where} must hold lists of one length, got {lengths.min()} and more")
    values = flat.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in READ:
        raise ValueError(f"{where} must be real numbers, got an array of {values.dtype}")
    return values.reshape(len(column), -1)


def _one(path, what, names, within):
    """The name that is asked for, or the only one."""
    if within is not None and within in names:
        return within
    told = ", ".join(map(shown, names[:8])) or "none"
    if within is None and len(names) == 1:
        return names[0]
    asked = f"{shown(path)}:{within}" if within is not None else shown(path)
    raise ValueError(f"{asked} must name one {what} (as {shown(path)}:NAME), got {told}")
