"""What lies in a folder: what may be images or tables of them, and all the rest, by name.

What a tool left, what is hidden and what is no file is never data. Nothing is left out without a
name and a reason, and what cannot be listed is an error: it could be a class.
"""

import os
import re
import stat
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jepabook._support.regular import open_regular, shown
from jepabook.vision.decoding import HEAD, NO_IMAGE, UNREADABLE, known

TOOL, BACK = "hidden or left by a tool", "a link back to where it lies"
# further suffixes are those of files that begin as images do
SUFFIXES = set(
    "jpg jpeg jpe jfif png apng gif bmp dib webp ppm pgm pbm pnm "
    "tif tiff avif heic heif jp2 j2k jxl".split()
)
TABLES = {"parquet", "pq"}
TOOLS = set(
    "__macosx __pycache__ @eadir @tmp @recycle @recently-snapshot @__thumb #recycle #snapshot "
    "lost+found $recycle.bin recycler recycled thumbs.db ehthumbs.db ehthumbs_vista.db "
    "desktop.ini icon\r found.000 _gsdata_ thumbnails".split(" ")
) | {"system volume information", "temporary items", "network trash folder"}
# backups and what is not yet written in full
UNFINISHED = re.compile(
    r"~\$.*|.*~|#.*#|.*\.(bak|orig|old|tmp|temp|swp|part|partial|crdownload|download|aria2|rej)"
)
# as file managers and synchronisers name a second one
COPY = re.compile(r"( ?\((\d+|[^(]*copy[^(]*)\)|[ _-]+copy( \d+| ?\(\d+\))?)$")


@dataclass
class Survey:
    """What was found below a folder; names are relative to it.

    Attributes
    ----------
    files : list of str
        What may be images, in the order of their names.
    stamps : int64 array (n, 3)
        Of the files: bytes, and the times of the last changes of content and of state, in ns.
    tables : list of str
    folders : set of str
        All that were listed.
    left : list of (str, str)
        Names of all the rest, those of folders with a slash at the end, and why.
    """

    files: list = field(default_factory=list)
    stamps: np.ndarray = None
    tables: list = field(default_factory=list)
    folders: set = field(default_factory=set)
    left: list = field(default_factory=list)


def survey(root):
    """Look at all that lies below a folder, also behind links.

    Raises
    ------
    ValueError
        In one line, if a folder cannot be listed, or two names lead to one folder.
    """
    found, root = Survey(), Path(root)
    above = {_identity(os.stat(place)) for place in root.resolve().parents}
    visited = {}
    # folders themselves before links to folders, for these may lead to those
    waiting, links = [("", frozenset(above))], []
    files = []
    while waiting or links:
        name, around = waiting.pop() if waiting else links.pop(0)
        here = os.path.join(root, name)
        identity = _identity(_look(os.stat, here))
        if identity in around:
            found.left.append((f"{name}/", BACK))
            continue
        if identity in visited:
            first = shown(os.path.join(root, visited[identity]))
            raise ValueError(f"{shown(here)} and {first} must be two folders, got a link from one")
        visited[identity] = name
        found.folders.add(name)
        for entry in sorted(_look(os.scandir, here), key=lambda entry: entry.name):
            inner = os.path.join(name, entry.name)
            if is_left(entry.name):
                slash = "/" * entry.is_dir(follow_symlinks=False)
                found.left.append((inner + slash, TOOL))
                continue
            try:
                told = entry.stat()
            except OSError as error:
                if isinstance(error, PermissionError):  # it could be a folder
                    raise ValueError(_unlisted(os.path.join(root, inner), error)) from None
                # a link to nothing, or to itself
                found.left.append((inner, UNREADABLE))
                continue
            if stat.S_ISDIR(told.st_mode):
                (links if entry.is_symlink() else waiting).append((inner, around | {identity}))
            elif not stat.S_ISREG(told.st_mode):
                found.left.append((inner, UNREADABLE))
            elif suffix(entry.name) in TABLES:
                found.tables.append(inner)
            elif suffix(entry.name) in SUFFIXES:
                files.append((inner, stamp(told)))
            else:
                reason = _no_image(os.path.join(root, inner))
                if reason:
                    found.left.append((inner, reason))
                else:
                    files.append((inner, stamp(told)))
    files.sort()
    found.files = [name for name, _ in files]
    found.stamps = np.array([told for _, told in files], np.int64).reshape(-1, 3)
    found.tables.sort()
    found.left.sort()
    return found


def stamp(told):
    """What changes where a file does, of what ``os.stat`` tells."""
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns


def is_left(name):
    """Whether a name is one that a tool gives to what is not data."""
    name = name.casefold()
    return name.startswith(".") or name in TOOLS or bool(UNFINISHED.fullmatch(name))


def alike(name):
    """What names have in common that differ in case, in how letters are coded, or as copies."""
    name = unicodedata.normalize("NFKC", name).casefold().strip()
    return COPY.sub("", name).removeprefix("copy of ")


def suffix(name):
    """The suffix of a name in small letters, without the dot."""
    return os.path.splitext(name)[1][1:].casefold()


def _no_image(path):
    """Why a file without an image's suffix is none; None where it begins as one."""
    try:
        with open_regular(path) as file:
            return NO_IMAGE if known(file.read(HEAD)) is None else None
    except (OSError, ValueError):
        return UNREADABLE


def _identity(told):
    return told.st_dev, told.st_ino


def _look(function, path):
    try:
        return function(path)
    except OSError as error:
        raise ValueError(_unlisted(path, error)) from None


def _unlisted(path, error):
    return f"{shown(path)} must be a folder that can be listed, got {error.strerror or error}"
