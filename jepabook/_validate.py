"""Input checks shared by the package: an error is one line with name, value, what is allowed."""

import operator

import numpy as np


def integer(name, value, least=1):
    """Return `value` as an int; ValueError unless it is an integer (no bool) >= `least`."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        as_int = operator.index(value)
    except TypeError:
        as_int = None
    if as_int is None or as_int < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {_one_line(value)}")
    return as_int


def objective(value):
    """Raise ValueError unless `value` is one of the two objectives (a name is not enough)."""
    if not hasattr(value, "saturation_power"):
        raise ValueError(f"objective must be jepabook.JEPA or jepabook.MAE, got {_one_line(value)}")


def depth(value):
    """Return the encoder depth L as an int; ValueError unless it is an integer >= 1."""
    return integer("depth", value)


def array(name, value):
    """Return `value` as a float64 array; ValueError for NaN or what is not a real number."""
    try:
        as_array = np.asarray(value)
        if as_array.dtype.kind not in "fiu":
            raise TypeError
        as_array = as_array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be real numbers, got {_one_line(value)}") from None
    return where(name, as_array, ~np.isnan(as_array), "must not be NaN")


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
        return np.broadcast_arrays(*arrays.values())
    except ValueError:
        shapes = ", ".join(f"{name} {np.shape(a)}" for name, a in arrays.items())
        raise ValueError(f"shapes must broadcast against each other, got {shapes}") from None


def _one_line(value):
    """repr(value) on one line, cut after 80 characters (arrays print on many)."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def where(name, value, allowed, what):
    """Return `value` if `allowed`, booleans of the same shape, is all true, or raise ValueError."""
    if not np.all(allowed):
        index = tuple(int(i) for i in np.argwhere(~np.atleast_1d(allowed))[0])
        bad = np.atleast_1d(value)[index]
        at = f" at index {index}" if np.ndim(value) else ""
        raise ValueError(f"{name} {what}, got {bad}{at}")
    return value
