"""Reading what `python -m jepabook.watch` is given: embeddings or a log; nothing is unpickled."""

import csv
import json

import numpy as np

from jepabook._support import arrays
from jepabook._support.regular import open_regular, shown

LOGS = (".csv", ".jsonl")
ARRAYS = (".npy", ".safetensors")
VARIANCE = "target_variance"


def checkpoint(path):
    """The array (2, n, p) of a ``.npy`` file, or of a ``.safetensors`` file's x and y."""
    if str(path).endswith(".npy"):
        return arrays.npy(path)
    file, names = arrays.tensors(path)
    name = shown(path)
    if not {"x", "y"} <= set(names):
        raise ValueError(f"{name} must hold tensors x and y, got {sorted(names)[:8]}")
    x, y = (arrays.tensor(path, file, which) for which in "xy")
    if x.get_shape() != y.get_shape():
        shapes = " and ".join(str(tuple(part.get_shape())) for part in (x, y))
        raise ValueError(f"{name}'s x and y must have one shape, got {shapes}")
    return np.stack([x[:], y[:]])


def columns(path):
    """The columns "loss" and, where there is one, "target_variance" of a CSV or JSON-lines log.

    Rows without a loss are passed over: logs mix kinds of rows. A variance must stand in all rows
    that have a loss, or in none.
    """
    name = shown(path)
    with open_regular(path) as file:
        content = file.read()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name} must be UTF-8 text, got other bytes") from None
    lines = text.splitlines()
    if str(path).endswith(".csv"):
        rows = list(csv.DictReader(lines))
    else:
        rows = [_parsed(name, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    kept = [row for row in rows if row.get("loss") not in (None, "")]
    if not kept:
        raise ValueError(
            f"{name} must have a column loss, got {sorted(rows[0])[:8] if rows else []}"
        )
    found = {"loss": _numbers(name, "loss", [row["loss"] for row in kept])}
    given = [row.get(VARIANCE) not in (None, "") for row in kept]
    if any(given):
        if not all(given):
            missing = given.index(False) + 1
            raise ValueError(
                f"{name} must have {VARIANCE} in every row with a loss, got none in {missing}"
            )
        found["variance"] = _numbers(name, VARIANCE, [row[VARIANCE] for row in kept])
    return found


def _parsed(name, number, line):
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError(
            f"{name} must hold one JSON object a line, got another thing in line {number}"
        )
    return row


def _numbers(name, column, values):
    found = []
    for value in values:
        try:
            if isinstance(value, bool):
                raise ValueError
            found.append(float(value))
        except (TypeError, ValueError, OverflowError):
            raise ValueError(
                f"{name}'s {column} must be numbers, got {str(value)[:40]!r}"
            ) from None
    return np.array(found)


def integers(path):
    """The array of a ``.npy`` file of clusters."""
    found = checkpoint(path) if str(path).endswith(".npy") else None
    if found is None or found.dtype.kind not in "iu":
        raise ValueError(f"{shown(path)} must be a .npy file of integers")
    return found
