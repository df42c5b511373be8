"""``python -m jepabook.vision.convert SOURCE FOLDER --size 64``: images made small, once.

SOURCE is a folder of class folders, a parquet file or a folder of them, or ``hub:owner/name`` on
the Hugging Face hub. FOLDER then holds ``pixels.npy`` (memory-mapped when it is read),
``labels.npy``, ``images.json`` with what was taken, and ``left-out.jsonl`` with the name of all
that was not, and why. After an interruption of any kind the same command goes on.
"""

import datetime
import hashlib
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from jepabook import recorded
from jepabook._support import command as _command
from jepabook._support import files, validate
from jepabook._support.regular import shown
from jepabook.vision import sources, stored
from jepabook.vision.decoding import LARGEST_BYTES, LARGEST_PIXELS, Room, Skipped, decoded, quiet

CHUNK = 256  # images between two journals, at most
TEST_EVERY = 10
LARGEST = 4096  # of `size`
TOLD = 12  # classes, in the command's output


def convert(
    source,
    folder,
    size=64,
    split=None,
    test_every=TEST_EVERY,
    workers=None,
    chunk=CHUNK,
    progress=False,
    column=None,
    label=None,
    class_depth=None,
):
    """Make a folder of small pictures, or finish one that was begun.

    Every image's shorter side is resized to `size` and the central square kept, as
    `decoding.decoded` says. What cannot be used, and what is no data, is left out: its name and
    the reason go into ``left-out.jsonl``, the counts into ``images.json``. What could be read in
    more than one way is refused.

    Parameters
    ----------
    source : str or path
        A folder with one folder of images per class, or with such folders ``train``, ``val``,
        ...; a parquet file, or a folder of them; or ``hub:owner/name`` or
        ``hub:owner/name:config`` on the Hugging Face hub.
    folder : path
        New, empty, begun by the same call or finished by it (then nothing is done).
    size : int
        Pixels along a side.
    split : str or None
        Which part of the source to read; None for ``train`` where it is divided.
    test_every : int
        Every so many-th image is held out for testing, every tenth if not given; 0 for none.
    workers : int or None
        Threads that decode; None for one on every core. The result does not depend on it, nor
        does the memory that large images take, for they wait for each other.
    chunk : int
        Images between two points from which an interrupted conversion can go on, at most.
    progress : bool
        Whether to show a bar, if standard error is a terminal.
    column, label : str or None
        Of a table: the columns of images and of class numbers, where several can be meant; an
        empty `label` for none.
    class_depth : int or None
        Of folders: how many names, from the top, make a class, where that is not plain.

    Returns
    -------
    dict
        What ``images.json`` holds.

    Raises
    ------
    ValueError
        In one line, with the file: nothing to read, more than one reading, a damaged parquet file,
        a source that changed since it was begun, a folder of something else, one that another
        process fills, no room on the disk, no image that can be used.
    """
    from PIL import ImageFile, __version__, features

    folder = validate.path("folder", folder)
    size = validate.integer("size", size, most=LARGEST)
    test_every = validate.integer("test_every", test_every, least=0)
    chunk = validate.integer("chunk", chunk)
    workers = _cores() if workers is None else validate.integer("workers", workers)
    if test_every == 1:
        raise ValueError("test_every must be 0 or at least 2, got 1: nothing is left for training")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ValueError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES must be False, got True")
    words = source, split, column, label, class_depth
    images = sources.source(*words)
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    decoder = {"pillow": __version__, "jpeg": jpeg}
    identity = {"source": images.facts, "size": size, "test_every": test_every, "decoder": decoder}
    with files.alone(folder), quiet(), ThreadPoolExecutor(workers) as pool:
        work = _Work(images, folder, size, pool)
        facts = stored.facts_of(folder)
        if facts is not None:
            stored.refuse_other(folder, facts["identity"], identity)
            work.refuse_changed(facts["stamp"], images.total, facts["content"])
            stored.read(folder)  # all that it speaks of is there
            stored.tidy(folder)
            return facts
        growing = stored.Growing(folder, identity, images.stamp)
        seen, content = growing.journal["seen"], growing.journal["content"]
        work.refuse_changed(growing.journal["stamp"], seen, content)
        growing.journal["stamp"] = images.stamp
        _check_room(folder, images.total, growing)
        _grow(growing, work, chunk, progress)
        if images.stamp is not None and sources.source(*words).facts != images.facts:
            raise ValueError(
                f"{shown(source)} must stay as it is while it is converted, but has changed: "
                f"delete {shown(folder)} and start again"
            )
        if not sum(growing.journal["rows"]):
            stored.tidy(folder)
            raise ValueError(
                f"{shown(source)} must hold an image that can be used, got none of "
                f"{growing.journal['seen']}: {'; '.join(_told(growing.journal['skipped']))}"
            )
        return growing.finish(
            {
                "name": shown(images.name),
                "labelled": images.labelled,
                "classes": images.classes,
                "notes": {
                    what: {"count": len(names), "first": [*map(shown, names[: stored.NAMED])]}
                    for what, names in images.notes.items()
                },
                "versions": recorded.versions("jepabook", "numpy") | {"pillow": __version__},
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            }
        )


class _Work:
    """Reading and decoding by several threads, with one bound on the memory of all of them."""

    def __init__(self, images, folder, size, pool):
        self.images, self.folder, self.size, self.pool = images, folder, size, pool
        self.bytes, self.pixels = Room(LARGEST_BYTES), Room(LARGEST_PIXELS)

    def parts(self, seen, state, chunk):
        """Entries from number `seen` on in lists, so long as they and their pictures are small."""
        part, held, most = [], 0, min(chunk, max(1, LARGEST_BYTES // (3 * self.size**2)))
        for entry in self.images.entries(seen, state):
            part.append(entry)
            held += len(entry.content) if isinstance(entry.content, bytes) else 0
            if len(part) == most or held > LARGEST_BYTES:
                yield part
                part, held = [], 0
        if part:
            yield part

    def decoded(self, part):
        """(checksum, pixels, mode) of each entry, or (checksum, None, why it is skipped)."""
        return list(self.pool.map(lambda entry: self._read(entry, self._decoded), part))

    def refuse_changed(self, stamp, seen, content):
        """Raise ValueError where the first `seen` entries are not those that were read.

        Nothing is read if the source's stamp tells that nothing changed.
        """
        if stamp == self.images.stamp:
            return
        found, left = stored.START, seen
        for part in self.parts(0, None, CHUNK):
            part, left = part[:left], left - len(part[:left])
            sums = self.pool.map(lambda entry: self._read(entry, lambda data: (None, "")), part)
            found = _chained(found, part, [checksum for checksum, *_ in sums])
            if not left:
                break
        if found != content:
            raise ValueError(
                f"{shown(self.folder)} belongs to another conversion: the images of its source "
                f"are not those that were read: choose another folder or delete it"
            )

    def _read(self, entry, function):
        with self.bytes.hold(entry.length):
            try:
                data = entry.read()
            except Skipped as reason:
                return hashlib.sha256(str(reason).encode()).digest(), None, str(reason)
            return hashlib.sha256(data).digest(), *function(data)

    def _decoded(self, data):
        try:
            return decoded(data, self.size, self.pixels)
        except Skipped as reason:
            return None, str(reason)


def _chained(content, part, sums):
    """The checksum of all entries, from that of those before and the next ones' own."""
    for entry, checksum in zip(part, sums, strict=True):
        told = f"{content} {entry.label} ".encode() + checksum
        content = hashlib.sha256(told).hexdigest()
    return content


def _grow(growing, work, chunk, progress):
    """Read, decode and append what the journal does not hold yet."""
    from tqdm import tqdm

    images, journal, size = work.images, growing.journal, growing.size
    every, seen = journal["identity"]["test_every"], journal["seen"]
    if not journal["listed"]:
        empty = np.empty((0, size, size, 3), np.uint8), np.empty(0, np.int64), np.empty(0, bool)
        growing.append(*empty, images.left, listed=True)
    hidden = None if progress else True
    with tqdm(total=images.total, initial=seen, unit=" images", disable=hidden) as bar:
        for part in work.parts(seen, journal["state"], chunk):
            state = images.state()
            sums, results, words = zip(*work.decoded(part), strict=True)
            modes, left = dict(growing.journal["modes"]), []
            for entry, pixels, word in zip(part, results, words, strict=True):
                if pixels is None:
                    left.append((entry.name, word))
                else:
                    modes[word] = modes.get(word, 0) + 1
            kept = [k for k, pixels in enumerate(results) if pixels is not None]
            pixels = np.array([results[k] for k in kept], np.uint8).reshape(-1, size, size, 3)
            labels = np.array([part[k].label for k in kept], np.int64)
            number = seen + np.array(kept, int)
            held = (number + 1) % every == 0 if every else np.zeros(len(kept), bool)
            seen += len(part)
            content = _chained(growing.journal["content"], part, sums)
            told = {"seen": seen, "state": state, "content": content, "modes": modes}
            growing.append(pixels, labels, held, left, **told)
            bar.update(len(part))


def _check_room(folder, total, growing):
    """Raise ValueError if the finished arrays cannot fit on the disk."""
    every = growing.journal["identity"]["test_every"]
    row = 3 * growing.size**2 + 8
    need = ((total or 0) - sum(growing.journal["rows"])) * row
    need += (total or 0) // every * row if every else 0  # held-out rows are copied at the end
    free = shutil.disk_usage(folder).free
    if need > free:
        raise ValueError(
            f"{folder} must have {need / 1e9:.3g} GB of room on its disk, got {free / 1e9:.3g} GB"
        )


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _told(counted):
    """Reasons with their counts and the first names, one text each."""
    return [
        f"{reason}: {entry['count']} ({', '.join(entry['first'])}"
        f"{', ...' if entry['count'] > len(entry['first']) else ''})"
        for reason, entry in sorted(counted.items())
    ]


def _classes(facts):
    """How many images there are of each class, in a line or two."""
    known = [entry for entry in facts["labels"] if entry["label"] >= 0]
    if not facts["labelled"]:
        return ["they have no labels"]
    counts = [entry["train"] + entry["test"] for entry in known]
    each = [
        f"{shown(str(entry['label'] if entry['name'] is None else entry['name']))} {count}"
        for entry, count in zip(known, counts, strict=True)
    ]
    lines = [f"images of each class: {', '.join(each)}"]
    if len(known) > TOLD:
        each = [*each[: TOLD // 2], "...", *each[-TOLD // 2 :]]
        span = f"{min(counts)} to {max(counts)} images"
        lines = [f"{len(known)} classes of {span}: {', '.join(each)} (all in {stored.FACTS})"]
    without = sum(e["train"] + e["test"] for e in facts["labels"] if e["label"] < 0)
    return lines + ([f"without a label: {without}"] if without else [])


def parser():
    """The command's arguments."""
    command = _command.Parser(
        "python -m jepabook.vision.convert",
        description="Make a memory-mapped array of small pictures from a collection of images.",
    )
    command.add_argument("source", help="class folders, parquet file(s), or hub:owner/name")
    command.add_argument("folder", help="where the array goes; the same command goes on with it")
    command.add_argument("--size", type=int, default=64, help="pixels along a side (64)")
    command.add_argument("--split", help="of a divided source (train)")
    command.add_argument(
        "--test-every", type=int, default=TEST_EVERY, help="held out for testing; 0: none (10)"
    )
    command.add_argument("--workers", type=int, help="threads (one on every core)")
    command.add_argument("--column", help="of images, where a table has several")
    command.add_argument("--label", help="column of class numbers, likewise; '' for none")
    command.add_argument(
        "--class-depth", type=int, help="folders whose names make a class, where that is not plain"
    )
    return command


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""

    def work(options):
        _report(convert(**vars(options), progress=True), options.folder)

    return _command.status(parser(), work, argv, "the same command goes on from here")


def _report(facts, folder):
    """Print what was taken and what was left out."""
    modes = ", ".join(f"{mode} {count}" for mode, count in sorted(facts["modes"].items()))
    print(f"{facts['images']} images: {facts['train']} for training, {facts['test']} for testing")
    print(f"they were stored as {modes}")
    for line in [*_classes(facts), *_told(facts["notes"])]:
        print(line)
    for line in _told(facts["skipped"]):
        print(f"skipped, {line}")
    if facts["skipped"]:
        print(f"all that was skipped: {shown(Path(folder) / stored.LEFT)}")
    print(f"sha256 of pixels.npy: {facts['sha256']['pixels']}")
    print(f"images: {shown(Path(folder))}")


if __name__ == "__main__":
    sys.exit(main())
