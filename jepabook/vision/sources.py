"""Where images to convert come from: class folders, parquet files, a Hugging Face hub name.

A source has a ``name``, ``facts`` (what it is, with a digest of what it holds), ``labelled``,
``classes`` (names, or None), ``total`` (entries, or None where that is not known),
``entries(seen, state)``, which yields from entry number `seen` on, and ``state()``, what JSON can
hold and ``entries`` needs to go on later.
"""

import hashlib
import logging
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepabook.vision.decoding import EMPTY, HUGE, LARGEST_BYTES, UNREADABLE, Skipped

SPLITS = {"train", "val", "validation", "test"}
SHARD = re.compile(r"([a-z]+)-\d+-of-\d+.*\.parquet")  # as the hub names parquet files
HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")
IMAGE_COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "cls", "fine_label")
STRAY = "outside the class folders"


@dataclass(frozen=True)
class Entry:
    """An image that is still encoded: its name, its class or -1, its bytes or its file."""

    name: str
    label: int
    content: object

    def read(self):
        """The bytes; `Skipped` where there are none, or too many."""
        if self.content is None:
            raise Skipped(EMPTY)
        if isinstance(self.content, bytes):
            return self.content
        if isinstance(self.content, Skipped):
            raise self.content
        try:
            told = os.stat(self.content)
            if not stat.S_ISREG(told.st_mode):  # a pipe would wait for ever
                raise Skipped(UNREADABLE)
            if told.st_size > LARGEST_BYTES:
                raise Skipped(HUGE)
            return self.content.read_bytes()
        except OSError:
            raise Skipped(UNREADABLE) from None


def source(words, split="train"):
    """The source that a command's words name.

    Parameters
    ----------
    words : str or path
        A folder with one folder of images per class, or with such folders ``train``, ``val``,
        ...; a parquet file, or a folder of them; or else ``owner/name`` or ``owner/name:config``
        on the Hugging Face hub.
    split : str
        Which part to read where the source is divided.

    Raises
    ------
    ValueError
        In one line, if there is nothing to read.
    """
    path = Path(words)
    if path.is_dir():
        if files := sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet")):
            return _parquet(path, _of_split(path, files, split), split)
        return ClassFolders(path, split)
    if path.is_file():
        if path.suffix != ".parquet":
            raise ValueError(f"{words} must be a folder or a .parquet file, got another file")
        return _parquet(path, [path], split)
    if path.suffix == ".parquet" or not HUB.fullmatch(str(words)):
        raise ValueError(f"{words} must be a folder or a .parquet file, but there is none")
    return _hub(str(words), split)


class ClassFolders:
    """A folder of images for each class, classes and files in the order of their names."""

    def __init__(self, path, split):
        self.name, inside = path.name or str(path.resolve().name), _folders(path)
        if inside and set(inside) <= SPLITS:
            if split not in inside:
                raise ValueError(f"{path} must hold {split!r}, got the splits {', '.join(inside)}")
            path, inside = path / split, _folders(path / split)
            self.name = f"{self.name}/{split}"
        if not inside:
            raise ValueError(f"{path} must hold one folder of images per class, got none")
        self.path, self.classes, self.labelled = path, inside, True
        self.files, digest = [], hashlib.sha256()
        stray = sorted(entry.name for entry in os.scandir(path) if not entry.is_dir())
        self.files += [(name, -1) for name in stray]
        for label, name in enumerate(inside):
            below = sorted(_files(path / name))
            self.files += [(os.path.join(name, file), label) for file in below]
        if not self.files:
            raise ValueError(f"{path} must hold images, got empty folders")
        for name, _ in self.files:
            digest.update(os.fsencode(name) + f"\0{os.lstat(path / name).st_size}\n".encode())
        self.total = len(self.files)
        self.facts = {"kind": "class folders", "name": self.name, "entries": self.total}
        self.facts["digest"] = digest.hexdigest()[:16]

    def entries(self, seen, state):
        """Entries from number `seen` on."""
        for name, label in self.files[seen:]:
            yield Entry(name, label, Skipped(STRAY) if label < 0 else self.path / name)

    def state(self):
        """Nothing: the number of entries seen is enough."""
        return None


class Table:
    """Rows of a streamed Hugging Face dataset; images stay encoded, so that a bad one can go.

    Parameters
    ----------
    rows : datasets.IterableDataset
    facts : dict
    total : int or None
    files : list of (int, str)
        For every file the number of its first row, and its name, for errors.
    """

    def __init__(self, rows, facts, total, files):
        import datasets

        self.facts, self.total, self.name = facts, total, facts["name"]
        self.files = files or [(0, self.name)]
        features = rows.features or {}
        columns = list(features) or list(next(iter(rows), {}))
        typed = [name for name in columns if isinstance(features.get(name), datasets.Image)]
        named = [name for name in IMAGE_COLUMNS if name in columns]
        if not (typed or named):
            raise ValueError(
                f"{self.name} must have a column of images, such as 'image', got {columns}"
            )
        self.image = (typed or named)[0]
        self.label = next((name for name in LABEL_COLUMNS if name in columns), None)
        kind = features.get(self.label)
        self.classes = list(kind.names) if isinstance(kind, datasets.ClassLabel) else None
        whole = kind is None or "int" in getattr(kind, "dtype", "")
        self.labelled = self.label is not None and whole
        keep = [name for name in (self.image, self.label) if name]
        rows = rows.select_columns(keep).cast_column(self.image, datasets.Image(decode=False))
        self.rows = rows

    def entries(self, seen, state):
        """Entries from number `seen` on; `state` is what `state()` said there."""
        if state is not None:
            self.rows.load_state_dict(state)
        number, rows = seen, iter(self.rows)
        while True:
            try:
                with _hushed():
                    row = next(rows, None)
            except Exception as error:  # a damaged file or a lost connection, in many forms
                first, file = max(start for start in self.files if start[0] <= number)
                raise ValueError(
                    f"{file} cannot be read from row {number - first} on: {_line(error)}"
                ) from None
            if row is None:
                return
            image, label = row[self.image], row.get(self.label, -1)
            image = image if isinstance(image, dict) else {}
            name = f"row {number}" + (f" ({Path(image['path']).name})" if image.get("path") else "")
            whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
            yield Entry(name, int(label) if whole else -1, image.get("bytes"))
            number += 1

    def state(self):
        """Where the stream is, for `entries`."""
        return self.rows.state_dict()


def _parquet(path, files, split):
    import datasets
    from pyarrow import parquet

    starts, total, digest = [], 0, hashlib.sha256()
    for file in files:
        try:
            rows = parquet.ParquetFile(file).metadata.num_rows
        except Exception as error:  # damaged, or not a file of this kind
            raise ValueError(f"{file} must be a whole parquet file: {_line(error)}") from None
        starts.append((total, str(file)))
        total += rows
        digest.update(f"{file.name}\0{total}\0{file.stat().st_size}\n".encode())
    if not total:
        raise ValueError(f"{path} must hold images, got no rows")
    with _hushed():
        try:
            rows = datasets.load_dataset(
                "parquet", data_files={split: [str(f) for f in files]}, split=split, streaming=True
            )
        except Exception as error:
            raise ValueError(f"{path} must be a table of images: {_line(error)}") from None
    facts = {"kind": "parquet", "name": path.name, "entries": total}
    return Table(rows, facts | {"digest": digest.hexdigest()[:16]}, total, starts)


def _hub(words, split):
    """A stream of a dataset on the hub, held to the revision of now."""
    import datasets
    from huggingface_hub import HfApi

    name, _, config = words.partition(":")
    try:
        with _hushed():
            revision = HfApi().dataset_info(name, timeout=10).sha
            rows = datasets.load_dataset(
                name, config or None, split=split, streaming=True, revision=revision
            )
    except Exception as error:  # no connection, no such name, no permission, no such split
        raise ValueError(
            f"{words} is no file or folder, and as a name on the Hugging Face hub it cannot be "
            f"read: {_line(error)}"
        ) from None
    splits = rows.info.splits or {}
    total = splits[split].num_examples if split in splits else None
    facts = {"kind": "hub", "name": words, "split": split, "revision": revision}
    return Table(rows, facts, total, [])


def _of_split(path, files, split):
    """The files whose names say that they are of a split, or all where none says so."""
    splits = [found and found[1] for found in (SHARD.fullmatch(file.name) for file in files)]
    if not any(splits):
        return files
    if split not in splits:
        told = ", ".join(sorted({str(name) for name in splits if name}))
        raise ValueError(f"{path} must hold {split!r}, got the splits {told}")
    return [file for file, of in zip(files, splits, strict=True) if of == split]


def _folders(path):
    return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())


def _files(folder):
    """All files below a folder, relative to it."""
    for place, _, names in os.walk(folder):
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in names)


@contextmanager
def _hushed():
    """Keep libraries from telling the log what an exception tells as well."""
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _line(error):
    """An exception in one short line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 160 else text[:157] + "..."
