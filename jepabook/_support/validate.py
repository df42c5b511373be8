"""Input checks shared by the package: an error is one line with name, value, what is allowed."""

import math
import operator
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jepabook._support import memory as _memory

MOST = 10**9  # of anything that is counted: beyond it a loop would not end in days
MOST_STEPS = 10**8  # of a training
MOST_LAYERS = 10**4  # of a network: the clock of so deep a one takes a second
MOST_TERMS = 2 * MOST_LAYERS  # powers that are summed one by one: so many has the deepest
SEEDS = 2**64  # what NumPy's and torch's generators both take
TEMPORARIES = 16  # arrays of the shape of the answer that a formula holds at a time, or more
MOST_WIDTH = 10**5  # of matrices
MOST_AXES = 64  # of an array
MASKED = "not be masked: fill it or drop what is"


def integer(name, value, least=1, most=MOST, each=0):
    """Return `value` as an int, if it is an integer (no bool) from `least` to `most`.

    ValueError otherwise, and where so many times `each` bytes are more than the memory that is
    free.
    """
    whole = None
    if not (_masked(value) or _is_bool(value) or getattr(value, "ndim", 0)):
        try:
            whole = int(operator.index(value))
        except Exception:  # what is asked for its index may raise anything
            pass
    if whole is None or whole < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {one_line(value)}")
    if whole > most:
        raise ValueError(f"{name} must be an integer <= {most}, got {one_line(value)}")
    memory(name, whole, each * whole)
    return whole


def integers(name, values, least=1, most=MOST):
    """Return a sequence of integers as an int64 array (n,), or raise ValueError."""
    as_array = real(name, values)
    if as_array.dtype.kind not in "iu" or as_array.ndim != 1 or as_array.size == 0:
        kind = f"{as_array.dtype} of shape {as_array.shape}"
        raise ValueError(f"{name} must be a sequence of integers, got {kind}")
    allowed = (as_array >= least) & (as_array <= most)
    where(name, as_array, allowed, f"must be integers from {least} to {most}")
    return as_array.astype(np.int64)


def depth(value):
    """Return the encoder depth L as an int; ValueError unless it is an integer >= 1."""
    return layers("depth", value)


def layers(name, value):
    """Return a number of layers as an int; ValueError unless it is one."""
    return integer(name, value, most=MOST_LAYERS)


def seed(value, name="seed"):
    """Return a seed of random numbers as an int; ValueError unless 0 <= seed < 2^64."""
    return integer(name, value, least=0, most=SEEDS - 1)


def generator(value, name="seed"):
    """The NumPy Generator of a seed, or of a sequence of them; a Generator is taken as it is."""
    if isinstance(value, np.random.Generator):
        return value
    if isinstance(value, (list, tuple)) and value:
        return np.random.default_rng([seed(part, name) for part in value])
    return np.random.default_rng(seed(value, name))


def objective(value, name="objective"):
    """Raise ValueError unless `value` is one of the two objectives (a name is not enough)."""
    if isinstance(value, type) or not hasattr(value, "saturation_power"):
        raise ValueError(f"{name} must be jepabook.JEPA or jepabook.MAE, got {one_line(value)}")


def objectives(value, runs=1):
    """A list, tuple or array of objectives as a tuple; one objective as often as there are runs."""
    several = isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) == 1
    many = tuple(value) if several else (value,) * runs
    for one in many:
        objective(one, "objectives")
    return many


def instance(name, value, kind):
    """Return `value` if it is an instance of a class, or of one of several, or raise ValueError."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names = " or ".join(each.__name__ for each in kinds)
        raise ValueError(f"{name} must be a {names}, got {one_line(value)}")
    return value


def option(name, value, allowed):
    """Return `value` if it is one of the texts `allowed`, or raise ValueError."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {one_line(value)}")
    return value


def switch(name, value):
    """Return `value` as a bool, or None, which leaves the choice to the function."""
    return None if value is None else flag(name, value)


def flag(name, value):
    """Return `value` as a bool; ValueError for anything else, however true."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {one_line(value)}")
    return bool(value)


def path(name, value):
    """Return `value` as a Path; ValueError unless it is a text or path that can name a file."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError(f"{name} must be a path, got {one_line(value)}")
    return Path(text)


def real(name, value, kinds="fiu"):
    """Return `value` as an array of real numbers of whatever type, not copied if it is one.

    ValueError, with the reason, for what numpy.asarray would take and lose part of: masks,
    gradients, imaginary parts, tensors that are no plain arrays in memory; and for what is no
    number: truth values (unless `kinds` has "b"), texts, times, objects.
    """
    try:
        as_array = np.asanyarray(_plain(value, "b" in kinds))
        if _masked(as_array):  # netCDF's variables make one of themselves
            raise _Refused(MASKED)
        as_array = np.asarray(as_array)
        if as_array.dtype.kind not in kinds:
            raise TypeError
    except Exception as error:  # what makes an array of itself may raise anything
        wanted = "be numbers" if "c" in kinds else "be real numbers"
        reason = error if isinstance(error, _Refused) else wanted
        plain = isinstance(value, np.ndarray) and not _masked(value)
        got = f"an array of {value.dtype}" if plain else one_line(value)
        raise ValueError(f"{name} must {reason}, got {got}") from None
    return as_array


def array(name, value):
    """Return `value` as a new float64 array; ValueError for NaN or what is not a real number."""
    as_array = numbers(name, value)
    return where(name, as_array, ~np.isnan(as_array), "must not be NaN")


def numbers(name, value):
    """`array`, where NaN is allowed: it is how what did not happen is recorded."""
    found = real(name, value)
    memory(name, f"shape {found.shape}", 16 * found.size)
    if found.dtype.itemsize <= 8:
        return found.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        as_array = found.astype(np.float64)
    fits = (np.isfinite(as_array) | ~np.isfinite(found)) & ((as_array != 0) | (found == 0))
    where(name, found, fits, "must fit in float64")
    return as_array


def positive(name, value):
    """Return `value` as a float64 array of finite numbers > 0, or raise ValueError."""
    as_array = array(name, value)
    return where(
        name, as_array, (as_array > 0) & np.isfinite(as_array), "must be positive and finite"
    )


def non_negative(name, value):
    """Return `value` as a float64 array of finite numbers >= 0, or raise ValueError."""
    as_array = array(name, value)
    return where(
        name, as_array, (as_array >= 0) & np.isfinite(as_array), "must be non-negative and finite"
    )


def finite(name, value):
    """Return `value` as a float64 array of finite numbers, or raise ValueError."""
    as_array = array(name, value)
    return where(name, as_array, np.isfinite(as_array), "must be finite")


def number(name, value, check=finite):
    """Return one number, which passes one of the checks of this module, as a float."""
    as_array = check(name, value)
    if as_array.ndim:
        raise ValueError(f"{name} must be one number, got shape {as_array.shape}")
    return float(as_array)


def open_unit(name, value):
    """Return `value` as a float64 array inside (0, 1), or raise ValueError."""
    as_array = array(name, value)
    return where(name, as_array, (as_array > 0) & (as_array < 1), "must lie in (0, 1)")


def half_open_unit(name, value):
    """Return `value` as a float64 array inside (0, 1], or raise ValueError."""
    as_array = array(name, value)
    return where(name, as_array, (as_array > 0) & (as_array <= 1), "must lie in (0, 1]")


def shaped(name, value, shape, check=finite):
    """Return `value` as an array of that many axes and those lengths; a letter allows any > 0.

    Letters that stand twice stand for the same length: ``("n", "d", "d")``.
    """
    as_array = check(name, value)
    if not fits(as_array.shape, shape):
        raise ValueError(f"{name} must have shape {told(shape)}, got {as_array.shape}")
    return as_array


def fits(found, shape):
    """Whether the lengths `found` are those of a shape, in which letters stand for any > 0."""
    lengths = {}
    return len(found) == len(shape) and all(
        length == (lengths.setdefault(wanted, length or -1) if isinstance(wanted, str) else wanted)
        for length, wanted in zip(found, shape, strict=True)
    )


def told(shape):
    """A shape with letters as an error shows it."""
    return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"


def pictures(name, value, least=1):
    """Return `value` if it is a uint8 array (n >= least, size, size, 3), or raise ValueError."""
    plain = isinstance(value, np.ndarray) and not _masked(value)
    if not plain or value.dtype != np.uint8:
        got = value.dtype if plain else one_line(value)
        raise ValueError(f"{name} must be a uint8 array (n, size, size, 3), got {got}")
    if value.ndim != 4 or not fits(value.shape[1:], ("size", "size", 3)):
        raise ValueError(f"{name} must have shape (n, size, size, 3), got {value.shape}")
    if len(value) < least:
        raise ValueError(f"{name} must hold at least {least} images, got {len(value)}")
    return value


def squares(width="d", /, **matrices):
    """Return the named matrices, all of one shape (d, d), as float64 arrays; or ValueError."""
    found = []
    for name, value in matrices.items():
        found.append(shaped(name, value, (width, width)))
        width = len(found[0])
    return found


def positive_definite(name, matrix):
    """Return a matrix; ValueError unless it is positive definite (its upper half is not read)."""
    least = np.linalg.eigvalsh(matrix)[0]
    if not least > 0:
        raise ValueError(f"{name} must be positive definite, got eigenvalue {least:.3g}")
    return matrix


def width(layers, value):
    """Return the width d >= 2 of a network of so many layers as an int, if one fits in memory."""
    value = integer("width", value, least=2, most=MOST_WIDTH)
    memory("width", value, 64 * layers * value**2)
    return value


def tolerances(rtol, atol):
    """Return an integrator's two tolerances as floats; ValueError unless rtol lies in (0, 1)."""
    rtol, atol = number("rtol", rtol, positive), number("atol", atol, positive)
    where("rtol", rtol, rtol < 1, "must be below 1")
    return rtol, atol


def times(name, value):
    """Return `value` as a float64 array (n >= 2,) that increases from 0, or raise ValueError."""
    as_array = finite(name, value)
    if as_array.ndim != 1 or as_array.size < 2:
        raise ValueError(f"{name} must be a sequence of at least two, got shape {as_array.shape}")
    rising = np.append(as_array[0] == 0, np.diff(as_array) > 0)
    return where(name, as_array, rising, "must increase from 0")


def broadcast(**arrays):
    """Broadcast the named arrays against each other; ValueError that lists the shapes."""
    try:
        shape = np.broadcast_shapes(*map(np.shape, arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items())
        raise ValueError(f"shapes must broadcast against each other, got {shapes}") from None
    memory(" and ".join(arrays), f"shape {shape}", 8 * TEMPORARIES * math.prod(shape))
    return np.broadcast_arrays(*arrays.values())


def memory(name, value, need):
    """Raise ValueError unless `need` bytes, which `name` = value asks for, are free."""
    if need > _memory.NOTHING and need > (free := _memory.free()):
        raise ValueError(
            f"{name} must fit in the {free / 1e9:.3g} GB of memory that are free, got {value}, "
            f"which needs {need / 1e9:.3g} GB"
        )


def where(name, value, allowed, what):
    """Return `value` if `allowed`, booleans of the same shape, is all true, or raise ValueError."""
    if not np.all(allowed):
        index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(allowed))[0])
        bad = np.atleast_1d(value)[index]
        at = f" at index {index}" if np.ndim(value) else ""
        raise ValueError(f"{name} {what}, got {bad!s}{at}")
    return value


class _Refused(Exception):
    """Why something that numpy.asarray would take is not taken."""


def _plain(value, flags, level=0):
    """`value` as what numpy.asarray reads whole; for sequences part by part."""
    if type(value) in (float, int):
        return value
    if _masked(value):
        raise _Refused(MASKED)
    if isinstance(value, (str, bytes, bytearray)) or (level and not flags and _is_bool(value)):
        raise TypeError
    if isinstance(value, Sequence) and not isinstance(value, (range, memoryview)):
        if level == MOST_AXES:
            raise TypeError
        return [_plain(part, flags, level + 1) for part in value]
    if not is_tensor(value):
        return value
    if value.requires_grad:
        raise _Refused("not require a gradient: detach it")
    if not is_dense(value) or value.device.type != "cpu":
        raise _Refused("be a dense tensor in the memory of the CPU")
    return (value.float() if "bfloat16" in str(value.dtype) else value).resolve_neg().numpy()


def is_tensor(value):
    """Whether `value` is one of torch's; without torch, for where that was not imported is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def is_dense(value, traced=False):
    """Whether a tensor is a dense array of numbers, on whatever device.

    `traced`: or what stands for one where torch looks at a network without running it.
    """
    torch = sys.modules["torch"]
    if value.layout is not torch.strided or value.is_nested or value.is_quantized:
        return False
    known = type(value) in (torch.Tensor, torch.nn.Parameter)
    return traced or (known and value.device.type != "meta")


def _masked(value):
    return isinstance(value, np.ma.MaskedArray)


def _is_bool(value):
    """Whether `value` is a truth value, or an array or tensor of them."""
    kind = str(getattr(value, "dtype", ""))
    return isinstance(value, (bool, np.bool_)) or kind in ("bool", "torch.bool", "boolean")


def one_line(value):
    """repr(value) on one line, cut after 80 characters (arrays print on many)."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of 5000 digits, say
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
