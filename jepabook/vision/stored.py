"""Folders of small pictures: a memory-mapped array, labels, and a JSON text with checksums.

A folder is finished when ``images.json`` is there, which is written last. Until then the arrays
grow in files that end in ``.part``, and ``journal.json`` tells how much of them counts: what a
killed process wrote after its last journal is written over by the next one.
"""

import json
import os
import zlib
from pathlib import Path

import numpy as np

from jepabook import _files as files
from jepabook.spectrum import sources

FORMAT = 1
FACTS, JOURNAL = "images.json", "journal.json"
ARRAYS = ("pixels", "labels")
PARTS = ("pixels", "labels", "held-pixels", "held-labels")  # the held ones are appended at the end
BLOCK = 2**24  # bytes read or copied at a time


def read(folder, verify=False):
    """The arrays and the facts of a finished folder.

    Parameters
    ----------
    folder : path
    verify : bool
        Whether to read all of it and compare the checksums (a second per gigabyte).

    Returns
    -------
    pixels : uint8 memmap (n, size, size, 3)
        The images for training, then those for testing.
    labels : int64 ndarray (n,)
        Classes; -1 where there is none.
    facts : dict
        What ``images.json`` holds.

    Raises
    ------
    ValueError
        If the folder is missing, unfinished, damaged or of another kind.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder that jepabook.vision.convert made, got none")
    if not (folder / FACTS).exists():
        if (folder / JOURNAL).exists():
            raise ValueError(f"{folder} is unfinished: run the same jepabook.vision.convert again")
        raise ValueError(f"{folder} must be made by jepabook.vision.convert: no {FACTS} in it")
    facts = files.read_json(folder / FACTS)
    try:
        size, count = facts["identity"]["size"], facts["images"]
        shapes = {"pixels": (count, size, size, 3), "labels": (count,)}
        sums = {name: facts["sha256"][name] for name in ARRAYS}
        whole = facts["train"] + facts["test"] == count and isinstance(facts["name"], str)
        counts = [skipped["count"] for skipped in facts["skipped"].values()]
        whole = whole and all(isinstance(number, int) for number in (size, count, *counts))
    except (KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise ValueError(f"{folder / FACTS} is damaged: convert the images again")
    arrays = []
    for name, kind in zip(ARRAYS, (np.uint8, np.int64), strict=True):
        path = folder / f"{name}.npy"
        array = sources.load(path)
        if array.dtype != kind or array.shape != shapes[name]:
            raise ValueError(
                f"{path} must be {kind.__name__} of shape {shapes[name]}, as {FACTS} says, got "
                f"{array.dtype} of shape {array.shape}"
            )
        if path.stat().st_size != array.offset + array.nbytes:
            raise ValueError(f"{path} is damaged: its length is wrong")
        if verify and files.sha256(path) != sums[name]:
            raise ValueError(f"{path} is damaged: its checksum is not the one in {FACTS}")
        arrays.append(array)
    return arrays[0], np.array(arrays[1]), facts


class Growing:
    """The arrays of an unfinished folder, and its journal.

    Parameters
    ----------
    folder : path
        Missing, empty, or an unfinished folder of the same identity.
    identity : dict
        What JSON can hold: another identity's unfinished folder is refused.

    Attributes
    ----------
    journal : dict
        "identity", "seen", "state", "rows" ([train, held]), "crc", "skipped", "modes".
    """

    def __init__(self, folder, identity):
        self.folder, self.size = Path(folder), identity["size"]
        empty = dict.fromkeys(PARTS, 0)
        self.journal = {"format": FORMAT, "identity": identity, "seen": 0, "state": None}
        self.journal |= {"rows": [0, 0], "crc": empty, "skipped": {}, "modes": {}}
        if not (self.folder / JOURNAL).exists():
            files.refuse_foreign(folder, JOURNAL)
            files.write_json(self.folder / JOURNAL, self.journal)
        else:
            self._go_on()

    def _go_on(self):
        journal = files.read_json(self.folder / JOURNAL)
        if set(journal) != set(self.journal) or journal["format"] != FORMAT:
            raise ValueError(f"{self.folder / JOURNAL} is damaged: delete {self.folder}")
        refuse_other(self.folder, journal["identity"], self.journal["identity"])
        self.journal = journal
        for name in ARRAYS:  # killed while they got their names
            if (self.folder / f"{name}.npy").exists():
                os.replace(self.folder / f"{name}.npy", self._path(name))
        for name in PARTS:
            length, crc = self._length(name), 0
            if length:
                path = self._path(name)
                for block in _blocks(path, len(self._header(name, 0)), length):
                    crc, length = zlib.crc32(block, crc), length - len(block)
            if length or crc != journal["crc"][name]:
                raise ValueError(f"{self._path(name)} is damaged: delete {self.folder}")

    def append(self, pixels, labels, held, **journal):
        """Add rows, then write the journal with the given entries changed.

        Parameters
        ----------
        pixels : uint8 array (n, size, size, 3)
        labels : int64 array (n,)
        held : boolean array (n,)
            Which rows are for testing.
        """
        chosen = (pixels[~held], labels[~held], pixels[held], labels[held])
        crc = dict(self.journal["crc"])
        for name, rows in zip(PARTS, chosen, strict=True):
            if len(rows):
                data = np.ascontiguousarray(rows).tobytes()
                with self._open(name) as file:
                    file.seek(len(self._header(name, 0)) + self._length(name))
                    file.write(data)
                    files.to_disk(file)
                crc[name] = zlib.crc32(data, crc[name])
        rows = [self.journal["rows"][0] + len(chosen[0]), self.journal["rows"][1] + len(chosen[2])]
        self.journal |= {"rows": rows, "crc": crc, **journal}
        files.write_json(self.folder / JOURNAL, self.journal)

    def finish(self, facts):
        """Turn the parts into the finished folder; returns what ``images.json`` holds."""
        train, test = self.journal["rows"]
        sums = {}
        for name in ARRAYS:
            with self._open(name) as file:
                header = self._header(name, train + test)
                file.seek(len(header) + self._length(name))
                if test:
                    held = f"held-{name}"
                    for block in _blocks(self._path(held), len(header), self._length(held)):
                        file.write(block)
                file.truncate(file.tell())
                file.seek(0)
                file.write(header)
                files.to_disk(file)
            sums[name] = files.sha256(self._path(name))
        for name in ARRAYS:
            os.replace(self._path(name), self.folder / f"{name}.npy")
        facts = {"format": FORMAT, "images": train + test, "train": train, "test": test} | facts
        told = {name: self.journal[name] for name in ("identity", "skipped", "modes")}
        facts |= told | {"sha256": sums}
        files.write_json(self.folder / FACTS, facts)
        tidy(self.folder)
        return facts

    def _path(self, name):
        return self.folder / f"{name}.npy.part"

    def _open(self, name):
        """A part, open for reading and writing; made if need be."""
        return os.fdopen(os.open(self._path(name), os.O_RDWR | os.O_CREAT, 0o644), "r+b")

    def _length(self, name):
        """Bytes of a part's rows that count."""
        rows = self.journal["rows"][PARTS.index(name) // 2]
        return rows * (8 if name.endswith("labels") else 3 * self.size**2)

    def _header(self, name, count):
        """The header of a ``.npy`` file; its length is the same for every count."""
        shape, kind = (count, self.size, self.size, 3), "|u1"
        if name.endswith("labels"):
            shape, kind = (count,), "<i8"
        # as numpy.save writes it: padded to a multiple of 64 bytes
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode() + b"\n"


def tidy(folder):
    """Remove what a finished conversion no longer needs."""
    for name in (*(f"{part}.npy.part" for part in PARTS), JOURNAL):
        (Path(folder) / name).unlink(missing_ok=True)
    for name in (JOURNAL, FACTS):
        files.tidy(Path(folder) / name)


def refuse_other(folder, found, wanted):
    """Raise ValueError where a folder belongs to another conversion, with what differs."""
    wanted = json.loads(json.dumps(wanted))
    if found != wanted:
        found = found if isinstance(found, dict) else {}
        name = next(key for key in {**wanted, **found} if found.get(key) != wanted.get(key))
        raise ValueError(
            f"{folder} belongs to another conversion: its {name} is {found.get(name)}, not "
            f"{wanted.get(name)}: choose another folder or delete it"
        )


def facts_of(folder):
    """What ``images.json`` holds, None where there is none; ValueError where it is damaged."""
    path = Path(folder) / FACTS
    return files.read_json(path) if path.exists() else None


def _blocks(path, start, length):
    """Bytes start ... start + length - 1 of a file in blocks; fewer where it is shorter."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        file.seek(start)
        while length and (block := file.read(min(BLOCK, length))):
            length -= len(block)
            yield block
