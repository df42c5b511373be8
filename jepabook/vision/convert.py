"""``python -m jepabook.vision.convert SOURCE FOLDER --size 64``: images made small, once.

SOURCE is a folder of class folders, a parquet file or a folder of them, or a name on the Hugging
Face hub. FOLDER then holds ``pixels.npy`` (memory-mapped when it is read), ``labels.npy`` and
``images.json``. After an interruption of any kind the same command goes on.
"""

import argparse
import datetime
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from jepabook import _files as files
from jepabook import _validate, recorded
from jepabook.vision import sources, stored
from jepabook.vision.decoding import Skipped, decoded, quiet

CHUNK = 256  # images between two journals
NAMED = 5  # skipped images that are named, for each reason
TEST_EVERY = 10


def convert(
    source,
    folder,
    size=64,
    split="train",
    test_every=TEST_EVERY,
    workers=None,
    chunk=CHUNK,
    progress=False,
):
    """Make a folder of small pictures, or finish one that was begun.

    Every image's shorter side is resized to `size` and the central square kept, as
    `decoding.decoded` says; images that cannot be used are skipped and counted by reason.

    Parameters
    ----------
    source : str or path
        As in `sources.source`.
    folder : path
        New, empty, begun by the same call or finished by it (then nothing is done).
    size : int
        Pixels along a side.
    split : str
        Which part of the source to read, where it is divided.
    test_every : int
        Every so many-th image is held out for testing, every tenth if not given; 0 for none.
    workers : int or None
        Threads that decode; None for one on every core. The result does not depend on it.
    chunk : int
        Images between two points from which an interrupted conversion can go on.
    progress : bool
        Whether to show a bar, if standard error is a terminal.

    Returns
    -------
    dict
        What ``images.json`` holds.

    Raises
    ------
    ValueError
        In one line, with the file: nothing to read, a damaged parquet file, a folder of something
        else, one that another process fills, no room on the disk, no image that can be used.
    """
    from PIL import ImageFile, __version__, features

    size = _validate.integer("size", size)
    test_every = _validate.integer("test_every", test_every, least=0)
    chunk = _validate.integer("chunk", chunk)
    workers = _cores() if workers is None else _validate.integer("workers", workers)
    if test_every == 1:
        raise ValueError("test_every must be 0 or at least 2, got 1: nothing is left for training")
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ValueError("PIL.ImageFile.LOAD_TRUNCATED_IMAGES must be False, got True")
    images = sources.source(source, split)
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    decoder = {"pillow": __version__, "jpeg": jpeg}
    identity = {"source": images.facts, "size": size, "test_every": test_every, "decoder": decoder}
    with files.alone(folder):
        facts = stored.facts_of(folder)
        if facts is not None:
            stored.refuse_other(folder, facts.get("identity"), identity)
            stored.tidy(folder)
            return facts
        growing = stored.Growing(folder, identity)
        _check_room(folder, images.total, growing)
        with quiet(), ThreadPoolExecutor(workers) as pool:
            _grow(growing, images, pool, chunk, progress)
        if not sum(growing.journal["rows"]):
            stored.tidy(folder)
            raise ValueError(
                f"{source} must hold an image that can be used, got none of "
                f"{growing.journal['seen']}: {'; '.join(_told(growing.journal['skipped']))}"
            )
        return growing.finish(
            {
                "name": images.name,
                "labelled": images.labelled,
                "classes": images.classes,
                "versions": recorded.versions("jepabook", "numpy") | {"pillow": __version__},
                "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            }
        )


def _grow(growing, images, pool, chunk, progress):
    """Read, decode and append what the journal does not hold yet."""
    from tqdm import tqdm

    journal, size = growing.journal, growing.size
    every, seen = journal["identity"]["test_every"], journal["seen"]
    entries = images.entries(seen, journal["state"])
    hidden = None if progress else True
    with tqdm(total=images.total, initial=seen, unit=" images", disable=hidden) as bar:
        while part := list(islice(entries, chunk)):
            state = images.state()
            results = list(pool.map(lambda entry: _decoded(entry, size), part))
            skipped, modes = dict(growing.journal["skipped"]), dict(growing.journal["modes"])
            for entry, (pixels, word) in zip(part, results, strict=True):
                if pixels is None:
                    old = skipped.get(word, {"count": 0, "first": []})
                    names = [*old["first"], repr(entry.name)[1:-1]][:NAMED]
                    skipped[word] = {"count": old["count"] + 1, "first": names}
                else:
                    modes[word] = modes.get(word, 0) + 1
            kept = [k for k, (pixels, _) in enumerate(results) if pixels is not None]
            pixels = np.array([results[k][0] for k in kept], np.uint8).reshape(-1, size, size, 3)
            labels = np.array([part[k].label for k in kept], np.int64)
            number = seen + np.array(kept, int)
            held = (number + 1) % every == 0 if every else np.zeros(len(kept), bool)
            seen += len(part)
            growing.append(
                pixels, labels, held, seen=seen, state=state, skipped=skipped, modes=modes
            )
            bar.update(len(part))


def _decoded(entry, size):
    """(pixels, mode) of an entry, or (None, the reason why it is skipped)."""
    try:
        return decoded(entry.read(), size)
    except Skipped as reason:
        return None, str(reason)


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


def _told(skipped):
    """The reasons with their counts and the first names, one text each."""
    return [
        f"{reason}: {entry['count']} ({', '.join(entry['first'])}"
        f"{', ...' if entry['count'] > len(entry['first']) else ''})"
        for reason, entry in sorted(skipped.items())
    ]


def parser():
    """The command's arguments."""
    command = argparse.ArgumentParser(
        prog="python -m jepabook.vision.convert",
        description="Make a memory-mapped array of small pictures from a collection of images.",
    )
    command.add_argument("source", help="class folders, parquet file(s), or a name on the hub")
    command.add_argument("folder", help="where the array goes; the same command goes on with it")
    command.add_argument("--size", type=int, default=64, help="pixels along a side (64)")
    command.add_argument("--split", default="train", help="of a divided source (train)")
    command.add_argument(
        "--test-every", type=int, default=TEST_EVERY, help="held out for testing; 0: none (10)"
    )
    command.add_argument("--workers", type=int, help="threads (one on every core)")
    return command


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""
    options = parser().parse_args(argv)
    try:
        facts = convert(
            options.source,
            options.folder,
            options.size,
            options.split,
            options.test_every,
            options.workers,
            progress=True,
        )
    except (ValueError, OSError) as error:
        print(f"python -m jepabook.vision.convert: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        return 130
    modes = ", ".join(f"{mode} {count}" for mode, count in sorted(facts["modes"].items()))
    print(f"{facts['images']} images: {facts['train']} for training, {facts['test']} for testing")
    print(f"they were stored as {modes}" + ("" if facts["labelled"] else "; they have no labels"))
    for line in _told(facts["skipped"]):
        print(f"skipped, {line}")
    print(f"sha256 of pixels.npy: {facts['sha256']['pixels']}")
    print(f"images: {Path(options.folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
