"""Arrays from files: ``.npy`` and safetensors. Nothing is ever unpickled."""

import os

import numpy as np

from jepabook._support.regular import open_regular, shown


def npy(path):
    """A ``.npy`` file, memory-mapped; ValueError in one line for what cannot be read as numbers."""
    name = shown(path)
    open_regular(path).close()
    try:
        array = np.lib.format.open_memmap(path, mode="r")  # never unpickles
        more = os.stat(path).st_size - array.offset - array.nbytes
    except OSError as error:
        raise ValueError(f"{name} must be readable, got {error.strerror or error}") from None
    except Exception as error:  # a damaged header can raise nearly anything
        told = str(error)
    else:
        if not more:
            return array
        raise ValueError(
            f"{name} must end with the last number that its header tells of, got {more} bytes "
            "more: write it again"
        )
    if "Python objects" in told:
        raise ValueError(
            f"{name} must hold numbers, got Python objects, which are never unpickled: save it "
            "again with a numeric dtype"
        )
    if "mmap length" in told or "EOF: reading" in told:
        raise ValueError(f"{name} must be whole, got a truncated file: copy or write it again")
    raise ValueError(f"{name} must be a .npy file as numpy.save writes it: save it again")


def tensors(path):
    """A safetensors file that is open for reading, and the names of its tensors.

    Raises
    ------
    ValueError
        In one line, if it cannot be read or is none.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise ValueError(f"{shown(path)} needs safetensors: pip install safetensors") from None
    open_regular(path).close()
    try:
        file = safe_open(path, framework="numpy")
        return file, list(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        told = str(error).splitlines()[0]
        raise ValueError(f"{shown(path)} must be a safetensors file, whole: {told}") from None


def tensor(path, file, name):
    """A tensor of such a file, whose slices are read when asked; ValueError for no numbers."""
    rows = file.get_slice(name)
    kind = rows.get_dtype()
    if kind[0] not in "FIU" or kind in ("F8_E4M3", "F8_E5M2"):
        raise ValueError(
            f"{shown(path)} must hold numbers that NumPy has, got {kind}: save it as float32 or "
            "float16"
        )
    return rows
