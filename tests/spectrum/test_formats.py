"""Files of numbers: every format gives the array it was made of, and what is wrong is one line."""

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from jepabook import spectrum
from jepabook.spectrum import formats

X = np.random.default_rng(0).standard_normal((120, 3)).astype(np.float32)


def written(folder, kind):
    """X in a file or folder of a kind; its path."""
    if kind == "npy":
        np.save(folder / "x.npy", X)
        return folder / "x.npy"
    if kind == "folder":
        (folder / "x").mkdir()
        for part, rows in enumerate(np.split(X, [7, 50, 51, 80, 81, 90, 95, 100, 105, 118])):
            np.save(folder / "x" / f"part-{part}.npy", rows)
        return folder / "x"
    if kind == "safetensors":
        save_file({"x": X}, folder / "x.safetensors")
        return folder / "x.safetensors"
    if kind == "one of several tensors":
        save_file({"x": X, "b": X[:2]}, folder / "x.safetensors")
        return f"{folder}/x.safetensors:x"
    lists = {
        "parquet": pyarrow.array(X.tolist()),
        "parquet of one length": pyarrow.FixedSizeListArray.from_arrays(X.ravel(), 3),
    }[kind]
    table = pyarrow.table({"x": lists, "label": np.arange(120) % 4, "word": ["a", "b"] * 60})
    parquet.write_table(table, folder / "x.parquet", row_group_size=50)
    return f"{folder}/x.parquet" if kind == "parquet" else f"{folder}/x.parquet:x"


KINDS = ["npy", "folder", "safetensors", "one of several tensors", "parquet"]
KINDS += ["parquet of one length"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_read_as_what_was_written(tmp_path, kind):
    found = formats.opened(written(tmp_path, kind))
    assert found.shape == X.shape and len(found) == 120
    np.testing.assert_array_equal(np.asarray(found), X)
    for start, stop in ((0, 1), (3, 60), (49, 52), (110, 120), (50, 51)):
        np.testing.assert_array_equal(found[start:stop], X[start:stop])


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_one_estimate(tmp_path, kind):
    options = {"device": "cpu", "replicates": 5, "progress": False}
    expected = spectrum.estimate(X, X[::-1], **options)
    np.save(tmp_path / "y.npy", X[::-1])
    found = spectrum.estimate(written(tmp_path, kind), tmp_path / "y.npy", **options)
    np.testing.assert_allclose(found.lam, expected.lam, rtol=1e-12)


def test_columns_of_numbers_and_words_can_be_labels(tmp_path):
    written(tmp_path, "parquet")
    numbers = formats.opened(f"{tmp_path}/x.parquet:label")
    np.testing.assert_array_equal(numbers, np.arange(120) % 4)
    assert formats.opened(f"{tmp_path}/x.parquet:word").tolist() == ["a", "b"] * 60


def bad(folder, name):
    path = folder / "x"
    if name == "empty folder":
        path.mkdir()
        return path, "must hold .npy files where it is a folder, got none"
    if name == "widths":
        path.mkdir()
        np.save(path / "0.npy", X)
        np.save(path / "1.npy", X[:, :2])
        return path / "1.npy", "must have rows as "
    if name == "words in a folder":
        path.mkdir()
        np.save(path / "0.npy", X.astype(str))
        return path / "0.npy", "must be real numbers, got an array of <U"
    if name == "two tensors":
        save_file({"a": X, "b": X}, folder / "x.safetensors")
        return folder / "x.safetensors", "must name one tensor (as "
    if name == "no such tensor":
        save_file({"a": X}, folder / "x.safetensors")
        return f"{folder}/x.safetensors:b", "must name one tensor (as "
    if name == "a single number":
        save_file({"a": np.array(1.0)}, folder / "x.safetensors")
        return folder / "x.safetensors", "must have rows, got a single number"
    if name == "bfloat16":
        import torch
        from safetensors.torch import save_file as save_tensors

        save_tensors({"a": torch.zeros(3, 2, dtype=torch.bfloat16)}, folder / "x.safetensors")
        return folder / "x.safetensors", "must hold numbers that NumPy has, got BF16"
    if name in ("no safetensors", "no parquet"):
        path = folder / f"x.{name[3:]}"
        path.write_bytes(b"nothing of the kind" * 9)
        kind = "safetensors" if "safe" in name else "Parquet"
        return path, "must be a safetensors file" if kind == "safetensors" else "must be a whole P"
    columns = {
        "two columns": {"a": X.tolist(), "b": X.tolist()},
        "gaps": {"a": [[1.0], None]},
        "lengths": {"a": [[1.0], [1.0, 2.0, 3.0]]},
        "words": {"a": [["b"], ["c"]]},
    }[name]
    parquet.write_table(pyarrow.table(columns), folder / "x.parquet")
    return folder / "x.parquet", {
        "two columns": "must name one column (as ",
        "gaps": ", column a, must have no gaps, got 1",
        "lengths": ", column a, must hold lists of one length, got 1 and more",
        "words": ", column a, must be real numbers, got an array of object",
    }[name].lstrip()


NAMES = ["empty folder", "widths", "words in a folder", "two tensors", "no such tensor"]
NAMES += ["a single number", "bfloat16", "no safetensors", "no parquet", "two columns", "gaps"]
NAMES += ["lengths", "words"]


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path, name):
    path, told = bad(tmp_path, name)
    source = tmp_path / "x" if "x/" in str(path).removeprefix(str(tmp_path) + "/") else path
    with pytest.raises(ValueError) as caught:
        formats.opened(source)
    message = str(caught.value)
    assert message.startswith(str(path)) and told in message and "\n" not in message
