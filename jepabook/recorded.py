"""Files of arrays with the facts that belong to them: recorded results, and checkpoints.

A file is a compressed ``.npz`` that holds numbers only, and one JSON text of
facts. It is written whole or not at all, and nothing in it is ever unpickled.
"""

import argparse
import datetime
import errno
import hashlib
import io
import json
import os
import platform
import re
import sys
import time
from fnmatch import fnmatchcase
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jepabook import __version__
from jepabook._support import files, memory, validate
from jepabook._support.command import Parser, status

FACTS, NUMBER = "facts", "format"
FORMAT = 1  # files that were written before there was a number are read as well
RESERVED = (FACTS, NUMBER, "file", "allow_pickle")  # the latter two are NumPy's own
KINDS = "biufc"  # of NumPy's types: numbers and booleans
RESULTS = Path(__file__).resolve().parents[1] / "results"
BLOCK = 2**24  # bytes of an array that are looked at together


def save(path, arrays, facts, undefined=()):
    """Write arrays and facts to `path`, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.npz``; its folder is made if need be.
    arrays : dict of str to array
        Numbers or booleans.
    facts : dict
        Anything that JSON can hold.
    undefined : sequence of str
        Names, or patterns of them as in `fnmatch`, of arrays in which NaN and infinity mean
        something, that a feature is never learned, say. In all others they are refused.

    Raises
    ------
    ValueError
        For what cannot be written, which leaves an earlier file as it is.
    OSError
        If there is no room.
    """
    path, text = _npz(path), _json(facts)
    if not isinstance(undefined, (list, tuple)) or any(not isinstance(n, str) for n in undefined):
        told = validate.one_line(undefined)
        raise ValueError(f"undefined must be a sequence of names, got {told}")
    for name in validate.instance("arrays", arrays, dict):
        if not _is_plain(name):
            raise ValueError(f"arrays must have plain names, none of {RESERVED}, got {name!r}")
    arrays = {
        name: validate.real(f"arrays[{name!r}]", array, KINDS) for name, array in arrays.items()
    }
    for name, array in arrays.items():
        meant = any(fnmatchcase(name, pattern) for pattern in undefined)
        if not meant and not np.isfinite(array).all():
            at = tuple(map(int, np.argwhere(~np.isfinite(np.atleast_1d(array)))[0]))
            bad = np.atleast_1d(array)[at]
            raise ValueError(f"arrays must be finite, got {bad} in {name!r} at index {at}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path) as file:
        np.savez_compressed(file, **arrays, **{FACTS: np.array(text), NUMBER: np.array(FORMAT)})


def load(path):
    """Read what `save` wrote.

    Returns
    -------
    arrays : dict of str to ndarray
    facts : dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, was not written by `save`, or by that of another version, or if
        its arrays need more memory than is free.
    """
    path = _npz(path)
    if not os.path.lexists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    content = io.BytesIO(files.read(path))
    try:
        with np.load(content, allow_pickle=False) as file:
            names = [name for name in file.files if name not in (FACTS, NUMBER)]
            if len({*file.files}) < len(file.files) or not all(map(_is_plain, names)):
                raise ValueError("names that save does not give")
            # what is compressed can be a thousand times as long
            need = sum(member.file_size for member in file.zip.infolist())
            if need > (free := memory.free()):
                raise _TooLarge(
                    f"needs {need / 1e9:.3g} GB of memory where {free / 1e9:.3g} are free"
                )
            arrays = {name: file[name] for name in file.files}
        number = arrays.pop(NUMBER, np.array(FORMAT))
        facts = json.loads(str(arrays.pop(FACTS))) if number.dtype.kind == "i" else None
        kinds = {array.dtype.kind for array in arrays.values()}
    except _TooLarge as error:
        raise ValueError(f"{path} is damaged, or {error}") from None
    except Exception as error:  # a damaged archive can raise nearly anything
        kind = type(error).__name__
        raise ValueError(f"{path} is damaged or not a file of this book ({kind})") from None
    if not isinstance(facts, dict) or number.shape or kinds - set(KINDS):
        raise ValueError(f"{path} is damaged or not a file of this book: it must hold numbers")
    if number != FORMAT:
        raise ValueError(
            f"{path} must be of format {FORMAT}, got {number}: it is of another version of this "
            "program"
        )
    return arrays, facts


def result(name):
    """The recorded result `name` of the book's folder ``results``, as `load` returns it.

    Raises
    ------
    ValueError
        If there is none, with the command that makes it.
    """
    if not (isinstance(name, str) and name.isidentifier()):
        told = validate.one_line(name)
        raise ValueError(f"name must be that of a module in results, got {told}")
    path = RESULTS / f"{name}.npz"
    if not RESULTS.is_dir():  # an installed wheel
        raise ValueError(
            f"name must be of a result in a clone of the book, got {name!r} outside of it"
        )
    if not path.exists():
        raise ValueError(f"{name!r} is not recorded: make it with python -m results.{name}")
    return load(path)


def script(about, main):
    """Run a script that takes no arguments, and end; ``--help`` prints `about`."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(" ".join(["python", *_program()]), description=about, formatter_class=layout)
    sys.exit(status(parser, lambda _: main(), stopped="the same command goes on from here"))


def digest(*arrays):
    """One short hexadecimal name for the values, shapes and types of arrays."""
    sha = hashlib.sha256()
    for number, given in enumerate(arrays):
        array = np.ascontiguousarray(validate.real(f"arrays[{number}]", given, KINDS))
        sha.update(f"{array.dtype}{array.shape}".encode())
        flat = array.reshape(-1).view(np.uint8)  # no copy, so that a memmap stays on the disk
        for start in range(0, flat.size, BLOCK):
            sha.update(flat[start : start + BLOCK])
    return sha.hexdigest()[:16]


def provenance(seed, started, device="cpu"):
    """The facts that every recorded result carries.

    Parameters
    ----------
    seed : int
    started : float
        time.time() when the run began.
    device : str
        What the numbers were computed on, in words or as torch names it.

    Returns
    -------
    dict
    """
    seed, started = validate.seed(seed), validate.number("started", started)
    if not isinstance(device, str) and type(device).__name__ != "device":  # torch's
        raise ValueError(f"device must be told in words, got {validate.one_line(device)}")
    return {
        "command": " ".join(["python", *_command()]),
        "seed": seed,
        "versions": versions("jepabook", "numpy", "scipy", "torch"),
        "device": str(device),
        "wall_seconds": round(time.time() - started, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def versions(*packages):
    """The versions of Python and of those of the packages that are there, "unknown" if need be.

    Returns
    -------
    dict of str to str
    """
    for package in packages:
        validate.instance("packages", package, str)
    found = {"python": platform.python_version()}
    return found | {name: _version(name) for name in packages if find_spec(name)}


def _version(name):
    """What the installation of a package says, or the package; never an error.

    This package is asked itself: it may be a copy beside the one that is installed, or instead.
    """
    if name == __package__:
        return __version__
    try:
        told = metadata.version(name)
    except (metadata.PackageNotFoundError, KeyError):
        told = None
    return told or str(getattr(sys.modules.get(name), "__version__", "unknown"))


def _command():
    """The running program's name and arguments, without folders."""
    return [*_program(), *(re.sub(r"(?:^|(?<=[=:,]))[/~]\S*/", "", word) for word in sys.argv[1:])]


def _program():
    """The running program's name, a module as ``-m name``, without folders."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]


def _json(facts):
    try:
        return json.dumps(dict(facts), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts must be a dict that JSON can hold, got {error}") from None


class _TooLarge(Exception):
    """How much memory a file's arrays need, and how much is free."""


def _is_plain(name):
    return isinstance(name, str) and name.isidentifier() and name not in RESERVED


def _npz(path):
    path = validate.path("path", path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    return path
