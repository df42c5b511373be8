"""Files of arrays with the facts that belong to them: recorded results, and checkpoints.

A file is a compressed ``.npz`` that holds numbers only, and one JSON text of
facts. It is written whole or not at all, and nothing in it is ever unpickled.
"""

import argparse
import datetime
import hashlib
import io
import json
import platform
import re
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from jepabook import __version__
from jepabook import _files as files

FACTS = "facts"
RESERVED = (FACTS, "file", "allow_pickle")  # the latter two are NumPy's own
RESULTS = Path(__file__).resolve().parents[1] / "results"
BLOCK = 2**24  # bytes of an array that are looked at together


def save(path, arrays, facts):
    """Write arrays and facts to `path`, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.npz``; its folder is made if need be.
    arrays : dict of str to array
        Numbers or booleans.
    facts : dict
        Anything that JSON can hold.
    """
    path, text = _npz(path), _json(facts)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not str(name).isidentifier() or name in RESERVED:
            raise ValueError(f"arrays must have plain names, none of {RESERVED}, got {name!r}")
        if array.dtype.kind not in "biufc":
            raise ValueError(f"arrays must hold numbers, got {name!r} of type {array.dtype}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path) as file:
        np.savez_compressed(file, **arrays, **{FACTS: np.array(text)})


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
        If the file is damaged or was not written by `save`.
    """
    path = _npz(path)
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop(FACTS)))
    except Exception as error:  # a damaged archive can raise nearly anything
        kind = type(error).__name__
        raise ValueError(f"{path} is damaged or not a file of this book ({kind})") from None
    return arrays, facts


def result(name):
    """The recorded result `name` of the book's folder ``results``, as `load` returns it.

    Raises
    ------
    ValueError
        If there is none, with the command that makes it.
    """
    if not str(name).isidentifier():
        raise ValueError(f"name must be that of a module in results, got {name!r}")
    path = RESULTS / f"{name}.npz"
    if not path.exists():
        raise ValueError(f"{name!r} is not recorded: make it with python -m results.{name}")
    return load(path)


def refuse_arguments(about):
    """End a script that takes no arguments if it is given one; ``--help`` prints `about`."""
    layout = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=about, formatter_class=layout).parse_args()


def digest(*arrays):
    """One short hexadecimal name for the values, shapes and types of arrays."""
    sha = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
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
    """The running program's name and arguments, a module as ``-m name``, without folders."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    return [*program, *(re.sub(r"(?:^|(?<=[=:,]))[/~]\S*/", "", word) for word in sys.argv[1:])]


def _json(facts):
    try:
        return json.dumps(dict(facts))
    except (TypeError, ValueError) as error:
        raise ValueError(f"facts must be a dict that JSON can hold, got {error}") from None


def _npz(path):
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {str(path)!r}")
    return path
