"""Where images to convert come from: class folders, parquet files, a Hugging Face hub name.

A source has a ``name``, ``facts`` (what it is, with a digest of what it holds), ``stamp`` (changes
when a file of it may have changed; None where nothing can), ``labelled``, ``classes`` (names, or
None), ``total`` (entries, or None where that is not known), ``left`` (names of what is there but
no entry, with the reasons), ``notes`` (what else is to be told, with names),
``entries(seen, state)``, which yields from entry number `seen` on, and ``state()``, what JSON can
hold and ``entries`` needs to go on later.
"""

import hashlib
import logging
import os
import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from jepabook._support import validate
from jepabook._support.regular import open_regular, shown
from jepabook.vision import tables
from jepabook.vision.decoding import (
    EMPTY,
    HUGE,
    LARGEST_BYTES,
    NO_IMAGE,
    UNREADABLE,
    Skipped,
)
from jepabook.vision.layout import OTHER, Layout
from jepabook.vision.survey import TABLES, stamp, suffix, survey

HUB = "hub:"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")
WITHIN = "in folders inside a class folder"
ROWS = 16  # of a parquet file that are read at a time


class ChangedError(ValueError):
    """A file is no longer what it was when the source was looked at."""


@dataclass(frozen=True)
class Entry:
    """An image that is still encoded: its name, its class or -1, its bytes or its file.

    A file comes with its stamp, which is compared when it is read.
    """

    name: str
    label: int
    content: object
    stamp: tuple | None = None

    @property
    def length(self):
        """Bytes that reading takes."""
        return self.stamp[0] if self.stamp and self.stamp[0] <= LARGEST_BYTES else 0

    def read(self):
        """The bytes; `Skipped` where there are none, or too many."""
        if isinstance(self.content, Skipped):
            raise self.content
        if isinstance(self.content, bytes):
            return self.content
        if self.stamp[0] > LARGEST_BYTES:
            raise Skipped(HUGE)
        try:
            with unchanged(self.content, self.stamp) as file:
                return file.read()
        except ChangedError:
            raise
        except (OSError, ValueError):
            raise Skipped(UNREADABLE) from None


def source(words, split=None, column=None, label=None, class_depth=None):
    """The source that a command's words name.

    Parameters
    ----------
    words : str or path
        A folder with one folder of images per class, or with such folders ``train``, ``val``,
        ...; a parquet file, or a folder of them; or ``hub:owner/name`` or
        ``hub:owner/name:config`` on the Hugging Face hub.
    split : str or None
        Which part to read; None for ``train`` where the source is divided.
    column, label : str or None
        Of a table: the columns of images and of class numbers, where several can be meant; an
        empty `label` for none.
    class_depth : int or None
        Of folders: how many names, from the top, make a class, where that is not plain. With it
        every folder is a class, whatever it is called.

    Raises
    ------
    ValueError
        In one line, if there is nothing to read, more than one reading, or an argument does not
        apply.
    """
    path = validate.path("source", words)
    if class_depth is not None:
        class_depth = validate.integer("class_depth", class_depth)
    if str(words).startswith(HUB):
        _refuse(words, class_depth=class_depth)
        return Hub(str(words).removeprefix(HUB), split, column, label)
    if not os.path.lexists(path):
        raise ValueError(
            f"{shown(path)} must be a folder or a .parquet file, but there is none (what is on the "
            f"Hugging Face hub is named {HUB}owner/name)"
        )
    if not path.is_dir():
        open_regular(path).close()
        if suffix(path.name) not in TABLES:
            raise ValueError(f"{shown(path)} must be a folder or a .parquet file, got another file")
        _refuse(words, class_depth=class_depth)
        if split is not None:
            tables.refuse_other_split(path, split)
        return Parquet(path, [path], split, column, label, [])
    found = survey(path)
    if not found.tables:
        _refuse(words, column=column, label=label)
        return ClassFolders(path, found, split, class_depth)
    _refuse(words, class_depth=class_depth)
    if inside := [name for name in found.files if os.sep in name]:
        raise ValueError(
            f"{shown(path)} must hold tables or folders of images, got {found.tables[0]} and "
            f"{shown(inside[0])}: take the one that is meant as the source"
        )
    names, split, others = tables.chosen(path, found.tables, split)
    left = [(name, OTHER) for name in others] + [(name, tables.NO_TABLE) for name in found.files]
    left += [(n, tables.NO_TABLE if why == NO_IMAGE else why) for n, why in found.left]
    return Parquet(path, [path / name for name in names], split, column, label, left)


class ClassFolders:
    """A folder of images for each class, classes and files in the order of their names."""

    def __init__(self, path, found, split, class_depth):
        layout = Layout(path, found, split, class_depth)
        self.path, self.classes, self.labelled = path, layout.classes, True
        self.name = _name(path, layout.split)
        self.files, self.stamps, self.rows = found.files, found.stamps, layout.rows
        self.left, self.total = layout.left, len(layout.rows)
        self.notes = {WITHIN: layout.within} if layout.within else {}
        digest = hashlib.sha256("\0".join(map(ascii, self.classes)).encode())
        for label, row in self.rows:
            told = f"\0{label}\0{self.stamps[row, 0]}\n"
            digest.update(os.fsencode(self.files[row]) + told.encode())
        self.facts = {"kind": "class folders", "name": shown(self.name)}
        self.facts |= {"split": layout.split, "class_depth": class_depth, "entries": self.total}
        self.facts["digest"] = digest.hexdigest()[:16]
        self.stamp = _digest(self.stamps[[row for _, row in self.rows]])

    def entries(self, seen, state):
        """Entries from number `seen` on."""
        for label, row in self.rows[seen:]:
            name, told = self.files[row], tuple(map(int, self.stamps[row]))
            yield Entry(name, label, self.path / name, told)

    def state(self):
        """Nothing: the number of entries seen is enough."""
        return None


class Table:
    """Rows of a table: what parquet files and the hub have in common.

    ``columns`` says which columns, ``starts`` holds the number of every file's first row and
    ``places`` what errors call the file.
    """

    def take(self, columns):
        """Hold the columns that are read, and what follows from them."""
        self.columns, self.classes = columns, columns.classes
        self.labelled, self.notes = columns.label is not None, {}

    def entries(self, seen, state):
        """Entries from number `seen` on; `state` is what `state()` said there."""
        number, rows = seen, self._rows(seen, state)
        while True:
            file = np.searchsorted(self.starts, number, "right") - 1
            place, row = self.places[file], number - self.starts[file]
            try:
                with _hushed():
                    image, label = next(rows)
            except StopIteration:
                return
            except ChangedError:
                raise
            except Exception as error:  # a damaged file or a lost connection, in many forms
                raise ValueError(
                    f"{place} cannot be read from row {row} on: {_line(error)}"
                ) from None
            label = self.columns.number(label, f"{place}, row {row},")
            image = image if isinstance(image, dict) else {"bytes": image}
            told = image.get("path")
            name = f"row {number}" + (f" ({os.path.basename(told)})" if told else "")
            yield Entry(name, label, image.get("bytes") or Skipped(EMPTY))
            number += 1

    def state(self):
        """Nothing: the number of entries seen is enough."""
        return None


class Parquet(Table):
    """Rows of parquet files, in the order of the files."""

    def __init__(self, path, files, split, column, label, left):
        import datasets
        from pyarrow import parquet

        self.name, self.files, self.starts, self.total = _name(path, split), files, [], 0
        self.places, self.stamps, digest = [shown(file) for file in files], [], hashlib.sha256()
        kinds = []
        for file, place in zip(files, self.places, strict=True):
            with open_regular(file) as content:
                self.stamps.append(stamp(os.fstat(content.fileno())))
                try:
                    table = parquet.ParquetFile(content)
                    rows, schema = table.metadata.num_rows, table.schema_arrow
                    features = datasets.Features.from_arrow_schema(schema)
                except Exception as error:  # damaged, or not a file of this kind
                    raise ValueError(
                        f"{place} must be a whole parquet file: {_line(error)}"
                    ) from None
            columns = tables.Columns(place, features, column, label)
            kinds.append(([*filter(None, (columns.image, columns.label))], columns.classes))
            if double := [name for name in kinds[-1][0] if schema.names.count(name) > 1]:
                raise ValueError(f"{place} must have one column {double[0]!r}, got more")
            if kinds[-1] != kinds[0]:
                raise ValueError(
                    f"{place} must have the columns and classes that {self.places[0]} has, got "
                    "others"
                )
            self.starts.append(self.total)
            self.total += rows
            digest.update(f"{file.name!a}\0{rows}\0{self.stamps[-1][0]}\n".encode())
        if not self.total:
            raise ValueError(f"{shown(path)} must hold images, got no rows")
        digest.update(ascii(kinds[0]).encode())
        self.take(columns)
        self.left = left + columns.others
        self.facts = {"kind": "parquet", "name": shown(self.name), "split": split}
        self.facts |= {"columns": kinds[0][0], "entries": self.total}
        self.facts["digest"] = digest.hexdigest()[:16]
        self.stamp = _digest(self.stamps)

    def _rows(self, seen, state):
        from pyarrow import parquet

        names = [*filter(None, (self.columns.image, self.columns.label))]
        for file, start, told in zip(self.files, self.starts, self.stamps, strict=True):
            with unchanged(file, told) as content:
                table = parquet.ParquetFile(content, pre_buffer=False, buffer_size=2**20)
                for group in range(table.num_row_groups):
                    skip, start = seen - start, start + table.metadata.row_group(group).num_rows
                    if start <= seen:
                        continue
                    for batch in table.iter_batches(ROWS, [group], names, use_threads=False):
                        values = [batch.column(name)[max(0, skip) :].to_pylist() for name in names]
                        skip -= len(batch)
                        for row in zip(*values, strict=True):
                            yield row if len(row) == 2 else (*row, None)


class Hub(Table):
    """A stream of a dataset on the hub, held to the revision of now."""

    def __init__(self, words, split, column, label):
        import datasets
        from huggingface_hub import HfApi

        if not NAME.fullmatch(words):
            raise ValueError(
                f"source must be {HUB}owner/name or {HUB}owner/name:config, got {HUB}{shown(words)}"
            )
        name, _, config = words.partition(":")
        split = "train" if split is None else split
        try:
            with _hushed():
                revision = HfApi().dataset_info(name, timeout=10).sha
                rows = datasets.load_dataset(
                    name, config or None, split=split, streaming=True, revision=revision
                )
                # where no one says what the columns hold, the first row does
                features = rows.features or datasets.Dataset.from_list([*rows.take(1)]).features
        except Exception as error:  # no connection, no such name, no permission, no such split
            raise ValueError(
                f"{HUB}{words} cannot be read from the Hugging Face hub: {_line(error)}"
            ) from None
        self.take(tables.Columns(f"{HUB}{words}", features, column, label))
        names = [*filter(None, (self.columns.image, self.columns.label))]
        self.rows = rows.select_columns(names)
        if rows.features:  # else nobody would decode the images
            self.rows = self.rows.cast_column(self.columns.image, datasets.Image(decode=False))
        splits = rows.info.splits or {}
        self.total = splits[split].num_examples if split in splits else None
        self.name, self.starts, self.places = words, [0], [f"{HUB}{words}"]
        self.left, self.stamp = self.columns.others, None
        self.facts = {"kind": "hub", "name": words, "split": split, "columns": names}
        self.facts["revision"] = revision

    def _rows(self, seen, state):
        if state is not None:
            self.rows.load_state_dict(state)
        for row in self.rows:
            yield row[self.columns.image], row.get(self.columns.label)

    def state(self):
        """Where the stream is, for `entries`."""
        return self.rows.state_dict()


@contextmanager
def unchanged(path, told):
    """A file open for reading; `ChangedError` where it is, or ends up, not as its stamp tells."""
    try:
        file = open_regular(path)
    except ValueError:
        with suppress(OSError):
            if stamp(os.stat(path)) == told:
                raise
        raise ChangedError(_changed(path)) from None
    with file:
        _compare(file, path, told)
        yield file
        _compare(file, path, told)


def _compare(file, path, told):
    if stamp(os.fstat(file.fileno())) != told:
        raise ChangedError(_changed(path))


def _changed(path):
    return f"{shown(path)} must stay as it is while it is converted, but has changed: start again"


def _refuse(words, **given):
    """Raise ValueError for an argument that says nothing of such a source."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} must be left out for {shown(words)}, got {value!r}")


def _name(path, split):
    name = path.name or path.resolve().name
    return name if split is None else f"{name}/{split}"


def _digest(stamps):
    return hashlib.sha256(np.array(stamps, np.int64).tobytes()).hexdigest()[:16]


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
