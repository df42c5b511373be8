"""Folders of small pictures: a memory-mapped array, labels, and a JSON text with checksums.

A folder is finished when ``images.json`` is there, which is written last. Until then the arrays
and the list of what was left out grow in files that end in ``.part``, and ``journal.json`` tells
how much of them counts: what a killed process wrote after its last journal is written over by the
next one.
"""

import json
import os
import zlib
from pathlib import Path

import numpy as np

from jepabook._support import files
from jepabook._support.arrays import npy
from jepabook._support.regular import open_regular, shown

FORMAT = 2  # of images.json and journal.json; 1 counted what was left out, but did not name it
FACTS, JOURNAL, LEFT = "images.json", "journal.json", "left-out.jsonl"
ARRAYS = ("pixels", "labels")
PARTS = {  # the held ones are appended to the others at the end
    "pixels": "pixels.npy.part",
    "labels": "labels.npy.part",
    "held-pixels": "held-pixels.npy.part",
    "held-labels": "held-labels.npy.part",
    "left-out": f"{LEFT}.part",
}
FILES = {"pixels": "pixels.npy", "labels": "labels.npy", "left-out": LEFT}
BLOCK = 2**24  # bytes read or copied at a time
NAMED = 5  # of what was left out, for each reason, in the JSON; all are in LEFT


def _is_text(value):
    return value is None or isinstance(value, str)


def _are(check):
    """A check of lists, each entry of which passes `check`."""
    return lambda values: isinstance(values, list) and all(map(check, values))


def _counts(values, fields=None):
    """Whether a dict counts things by name; `fields`, where there are any, describe the counts."""
    if not isinstance(values, dict):
        return False
    if fields is None:
        return all(map(files.is_count, values.values()))
    return all(isinstance(v, dict) and not files.misfit(v, fields) for v in values.values())


_NAMED = {"count": files.is_count, "first": _are(lambda name: isinstance(name, str))}
_IDENTITY = {"source": dict, "size": int, "test_every": files.is_count, "decoder": dict}
_CLASS = {"label": int, "name": _is_text, "train": files.is_count, "test": files.is_count}
_TOLD = {
    "identity": _IDENTITY,
    "stamp": _is_text,
    "content": files.is_checksum,
    "skipped": lambda values: _counts(values, _NAMED),
    "modes": _counts,
}
_JOURNAL = {
    "seen": files.is_count,
    "state": lambda state: True,
    "rows": lambda rows: _are(files.is_count)(rows) and len(rows) == 2,
    "bytes": dict.fromkeys(PARTS, files.is_count),
    "crc": dict.fromkeys(PARTS, files.is_count),
    "listed": bool,
    **_TOLD,
}
_FACTS = {
    "images": files.is_count,
    "train": files.is_count,
    "test": files.is_count,
    "name": str,
    "labelled": bool,
    "classes": lambda names: names is None or _are(lambda name: isinstance(name, str))(names),
    "labels": _are(lambda entry: isinstance(entry, dict) and not files.misfit(entry, _CLASS)),
    "notes": lambda values: _counts(values, _NAMED),
    "versions": dict,
    "date": str,
    "bytes": dict.fromkeys(FILES, files.is_count),
    "sha256": dict.fromkeys(FILES, files.is_checksum),
    **_TOLD,
}
START = "0" * 64  # of the checksum of contents, which follows from one entry to the next


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
        What ``images.json`` holds. Every file that it names was there, in the length that it
        tells.

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
    facts = facts_of(folder)
    size, count = facts["identity"]["size"], facts["images"]
    shapes = {"pixels": (count, size, size, 3), "labels": (count,)}
    arrays = []
    for name, kind in zip(ARRAYS, (np.uint8, np.int64), strict=True):
        path = folder / FILES[name]
        array = npy(path)
        if array.dtype != kind or array.shape != shapes[name]:
            raise ValueError(
                f"{path} must be {kind.__name__} of shape {shapes[name]}, as {FACTS} says, got "
                f"{array.dtype} of shape {array.shape}"
            )
        arrays.append(array)
    for name, file in FILES.items():
        path = folder / file
        with open_regular(path) as content:
            length = os.fstat(content.fileno()).st_size
        if length != facts["bytes"][name]:
            raise ValueError(f"{path} is damaged: its length is wrong")
        if verify and files.sha256(path) != facts["sha256"][name]:
            raise ValueError(f"{path} is damaged: its checksum is not the one in {FACTS}")
    return arrays[0], np.array(arrays[1]), facts


class Growing:
    """The arrays of an unfinished folder, and its journal.

    Parameters
    ----------
    folder : path
        Missing, empty, or an unfinished folder of the same identity.
    identity : dict
        What JSON can hold: another identity's unfinished folder is refused.

    stamp : str or None
        Changes when the source may have changed.

    Attributes
    ----------
    journal : dict
        "identity", "stamp", "seen", "content" (a checksum of all that was seen), "state", "rows"
        ([train, held]), "bytes" and "crc" of the parts, "listed" (whether what the source left
        out is in the list), "skipped", "modes".
    """

    def __init__(self, folder, identity, stamp):
        self.folder, self.size = Path(folder), identity["size"]
        empty = dict.fromkeys(PARTS, 0)
        self.journal = {"format": FORMAT, "identity": identity, "stamp": stamp, "seen": 0}
        self.journal |= {"content": START, "state": None, "rows": [0, 0], "bytes": empty}
        self.journal |= {"crc": empty, "listed": False, "skipped": {}, "modes": {}}
        if not (self.folder / JOURNAL).exists():
            files.refuse_foreign(folder, JOURNAL)
            files.write_json(self.folder / JOURNAL, self.journal)
        else:
            self._go_on()

    def _go_on(self):
        journal = _checked(self.folder / JOURNAL, _JOURNAL, f"delete {shown(self.folder)}")
        refuse_other(self.folder, journal["identity"], self.journal["identity"])
        self.journal = journal
        for name, file in FILES.items():  # killed while they got their names
            if (self.folder / file).exists():
                os.replace(self.folder / file, self._path(name))
        for name in PARTS:
            length, crc = journal["bytes"][name], 0
            if length:
                path = self._path(name)
                for block in _blocks(path, len(self._header(name, 0)), length):
                    crc, length = zlib.crc32(block, crc), length - len(block)
            if length or crc != journal["crc"][name]:
                raise ValueError(f"{self._path(name)} is damaged: delete {shown(self.folder)}")

    def append(self, pixels, labels, held, left, **journal):
        """Add rows, then write the journal with the given entries changed.

        Parameters
        ----------
        pixels : uint8 array (n, size, size, 3)
        labels : int64 array (n,)
        held : boolean array (n,)
            Which rows are for testing.
        left : iterable of (str, str)
            Names of what is left out, and why.
        """
        skipped = {reason: dict(entry) for reason, entry in self.journal["skipped"].items()}
        lines = [json.dumps({"name": name, "reason": reason}) + "\n" for name, reason in left]
        for name, reason in left:
            entry = skipped.setdefault(reason, {"count": 0, "first": []})
            entry["count"] += 1
            entry["first"] = [*entry["first"], shown(name)][:NAMED]
        chosen = (pixels[~held], labels[~held], pixels[held], labels[held])
        added = [np.ascontiguousarray(rows).tobytes() for rows in chosen]
        added.append("".join(lines).encode())
        crc, size = dict(self.journal["crc"]), dict(self.journal["bytes"])
        for name, data in zip(PARTS, added, strict=True):
            if data:
                with files.named(self._path(name)), self._open(name) as file:
                    file.seek(len(self._header(name, 0)) + size[name])
                    file.write(data)
                    files.to_disk(file)
                crc[name], size[name] = zlib.crc32(data, crc[name]), size[name] + len(data)
        train, test = self.journal["rows"]
        self.journal |= {"rows": [train + len(chosen[0]), test + len(chosen[2])], "crc": crc}
        self.journal |= {"bytes": size, "skipped": skipped, **journal}
        files.write_json(self.folder / JOURNAL, self.journal)

    def finish(self, facts):
        """Turn the parts into the finished folder; returns what ``images.json`` holds.

        Parameters
        ----------
        facts : dict
            All that it is to hold beside what the journal tells; "classes" among it.
        """
        train, test = self.journal["rows"]
        labels = [self._labels(name, n) for name, n in (("labels", train), ("held-labels", test))]
        sums, sizes = {}, {}
        for name in FILES:
            with files.named(self._path(name)), self._open(name) as file:
                header = self._header(name, train + test)
                file.seek(len(header) + self.journal["bytes"][name])
                held = f"held-{name}"
                if test and held in PARTS:
                    length = self.journal["bytes"][held]
                    for block in _blocks(self._path(held), len(header), length):
                        file.write(block)
                sizes[name] = file.tell()
                file.truncate(sizes[name])
                file.seek(0)
                file.write(header)
                files.to_disk(file)
            sums[name] = files.sha256(self._path(name))
        for name, file in FILES.items():
            os.replace(self._path(name), self.folder / file)
        counts = _by_label(*labels, facts["classes"])
        facts = {"format": FORMAT, "images": train + test, "train": train, "test": test} | facts
        facts["labelled"] = facts["labelled"] and any((part >= 0).any() for part in labels)
        told = {name: self.journal[name] for name in _TOLD}
        facts |= told | {"labels": counts, "bytes": sizes, "sha256": sums}
        files.write_json(self.folder / FACTS, facts)
        tidy(self.folder)
        return facts

    def _labels(self, name, count):
        if not count:
            return np.empty(0, np.int64)
        return np.fromfile(self._path(name), "<i8", count, offset=len(self._header(name, 0)))

    def _path(self, name):
        return self.folder / PARTS[name]

    def _open(self, name):
        """A part, open for reading and writing; made if need be."""
        return os.fdopen(os.open(self._path(name), os.O_RDWR | os.O_CREAT, 0o644), "r+b")

    def _header(self, name, count):
        """The header of a ``.npy`` file; its length is the same for every count."""
        if name == "left-out":
            return b""
        shape, kind = (count, self.size, self.size, 3), "|u1"
        if name.endswith("labels"):
            shape, kind = (count,), "<i8"
        # as numpy.save writes it: padded to a multiple of 64 bytes
        text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
        return b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117).encode() + b"\n"


def tidy(folder):
    """Remove what a finished conversion no longer needs."""
    for name in (*PARTS.values(), JOURNAL):
        (Path(folder) / name).unlink(missing_ok=True)
    for name in (JOURNAL, FACTS):
        files.tidy(Path(folder) / name)


def refuse_other(folder, found, wanted):
    """Raise ValueError where a folder belongs to another conversion, with what differs."""
    name, wanted = "", json.loads(json.dumps(wanted))
    while isinstance(found, dict) and isinstance(wanted, dict) and found != wanted:
        pairs = {
            key: (found.get(key, files.LACKING), wanted.get(key, files.LACKING))
            for key in found | wanted
        }
        key, (found, wanted) = next(item for item in pairs.items() if item[1][0] != item[1][1])
        name = f"{name} {key}"
    if name:
        raise ValueError(
            f"{shown(folder)} belongs to another conversion: its{name} is {shown(str(found))}, not "
            f"{shown(str(wanted))}: choose another folder or delete it"
        )


def facts_of(folder):
    """What ``images.json`` holds, None where there is none; ValueError where it is damaged."""
    path = Path(folder) / FACTS
    if not path.exists():
        return None
    facts = _checked(path, _FACTS, "convert the images again")
    if facts["train"] + facts["test"] != facts["images"]:
        raise ValueError(f"{path} is damaged: its images are not those of both splits")
    return facts


def _checked(path, fields, remedy):
    """The object in a JSON file of this format; ValueError for anything else."""
    facts = files.read_json(path)
    number = facts.get("format")
    if number != FORMAT and isinstance(number, int) and not isinstance(number, bool):
        versions = facts.get("versions")
        maker = versions.get("jepabook") if isinstance(versions, dict) else None
        by = f", made by jepabook {shown(str(maker))}" if maker else ""
        raise ValueError(
            f"{shown(path)} must be of format {FORMAT}, got {number}{by}: {remedy} (python -m "
            "jepabook.vision.convert SOURCE FOLDER --size SIZE), or use the version that made it"
        )
    problem = files.misfit(facts, {"format": int, **fields})
    if problem:
        raise ValueError(f"{shown(path)} is damaged: {problem}: {remedy}")
    return facts


def _by_label(train, test, classes):
    """How many images of each split have each label: dicts, one for each label."""
    found = np.unique(np.concatenate([train, test, np.arange(len(classes or []))]))
    counts = [
        np.bincount(np.searchsorted(found, part), minlength=len(found)) for part in (train, test)
    ]
    return [
        {
            "label": int(label),
            "name": classes[label] if classes and label >= 0 else None,
            "train": int(counts[0][k]),
            "test": int(counts[1][k]),
        }
        for k, label in enumerate(found)
    ]


def _blocks(path, start, length):
    """Bytes start ... start + length - 1 of a file in blocks; fewer where it is shorter."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        file.seek(start)
        while length and (block := file.read(min(BLOCK, length))):
            length -= len(block)
            yield block
