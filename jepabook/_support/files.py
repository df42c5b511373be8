"""Files and folders written whole or not at all, folders held by one process, and checked JSON.

What is being written has a name of its own beside its place, ``.NAME-12345678.unfinished``, is
locked while its process lives, and takes its place when it is on the disk. What a killed process
left of the kind is removed when the same file or folder is written again.
"""

import ctypes
import hashlib
import json
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path

from jepabook._support import regular

try:
    import fcntl
except ImportError:  # Windows has locks of another kind, and none of folders
    fcntl = None

LACKING = "missing"  # in place of what JSON lacks: None can be told
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux; the latter is macOS's RENAME_SWAP


@contextmanager
def alone(folder):
    """Hold a folder, made if need be, for one process; ValueError where another one does."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} must be a folder, got a file")
    if fcntl is None:
        raise ValueError(f"{folder} must be on Linux or macOS, to be held for one process (flock)")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        held = _lock(handle)
        if held is None:
            raise ValueError(f"{folder} must be on a file system that has locks (flock)")
        if not held:
            raise ValueError(f"{folder} is in use by another process: wait for it")
        yield
    finally:
        os.close(handle)


def refuse_foreign(folder, own):
    """Raise ValueError where a folder holds files beside the one that `own` names, half written."""
    names = {path.name for path in Path(folder).iterdir()}
    foreign = {name for name in names if not _unfinished(own).fullmatch(name)}
    if foreign:
        raise ValueError(f"{folder} must be empty or new, got {min(foreign)!r} in it")


def sha256(path):
    """The checksum of a file, in hexadecimal."""
    with regular.open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path):
    """The bytes of a regular file; ValueError for what is none."""
    with regular.open_regular(path) as file:
        return file.read()


@contextmanager
def named(path):
    """What the system says inside of a file that is open, of a full disk say, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # NumPy's: it counts what it could not write
            raise OSError(f"{path} cannot be written whole: {error}") from error
        error.filename = error.filename or str(path)
        raise


@contextmanager
def whole(path):
    """A file open for writing bytes, which takes the place of `path` when the block is left.

    If the block raises, what was at `path` stays. The file is on the disk before it takes its
    place, has the permissions of the one that it replaces, else those that the umask leaves, and
    where `path` is a link it is that link's target.

    Yields
    ------
    file
    """
    given, path = path, Path(os.path.realpath(path))
    tidy(path)
    unfinished, file = _begun(path)
    try:
        with named(given), file:
            yield file
            to_disk(file)
            with suppress(OSError):  # there is none, or it is another user's
                os.chmod(unfinished, stat.S_IMODE(path.stat().st_mode))
            if fcntl is None:  # Windows moves no open file
                file.close()
            os.replace(unfinished, path)
        _folder_to_disk(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def write(path, content):
    """Write bytes whole or not at all, also when the machine stops."""
    with whole(path) as file:
        file.write(content)


def write_json(path, facts):
    """Write JSON whole or not at all; ValueError for what JSON cannot hold, NaN included."""
    write(path, json.dumps(facts, indent=1, allow_nan=False).encode())


@contextmanager
def whole_folder(path, names, check):
    """A new folder, which takes the place of `path` when the block is left, at one instant.

    If the block raises, what was at `path` stays.

    Parameters
    ----------
    path : path
        Nothing, or a folder in a folder that exists.
    names : set of str
        Files that the folder may hold.
    check : callable
        Raises ValueError of a folder that may not be removed. Asked of the one that was replaced,
        which then takes its place again.

    Yields
    ------
    path
    """
    given, path = path, Path(os.path.realpath(path))
    tidy(path, names)
    unfinished = _name(path)
    unfinished.mkdir()
    handle = os.open(unfinished, os.O_RDONLY) if fcntl else None
    try:
        if handle is not None:
            _lock(handle)
        with named(given):
            yield unfinished
        for file in unfinished.iterdir():
            # Windows puts on the disk what is open for writing
            with named(given), open(file, "r+b") as written:
                os.fsync(written.fileno())
        if path.exists():
            with suppress(OSError):  # another user's
                os.chmod(unfinished, stat.S_IMODE(path.stat().st_mode))
            _exchange(unfinished, path)
            try:
                check(unfinished)
            except BaseException:
                _exchange(unfinished, path)
                raise
        else:
            os.rename(unfinished, path)
        _folder_to_disk(path.parent)
    finally:
        if handle is not None:
            os.close(handle)
        _remove(unfinished, names)


def tidy(path, names=None):
    """Remove what killed processes left of what they were writing.

    Parameters
    ----------
    path : path
    names : set of str, optional
        If it was a folder: the files that it may hold.
    """
    if not path.parent.is_dir():
        return
    for left in sorted(path.parent.iterdir()):
        if _previous(path.name).fullmatch(left.name) and names is not None:
            if path.exists():
                _remove(left, names)
            else:  # a process was killed in the middle of an exchange
                os.rename(left, path)
        elif _unfinished(path.name).fullmatch(left.name) and _of_the_dead(left):
            _remove(left, names)


def read_json(path, fields=None, number=None, rest=False):
    """The object in a JSON file.

    Parameters
    ----------
    path : path
    fields : dict of str to (type or callable), optional
        What it must hold, and nothing else: each value is of the type (a bool is no int), or the
        callable finds it true. A dict in place of a type describes an object within.
    number : int, optional
        Its entry "format", which is told first where it is another one.
    rest : bool
        Whether it may hold other entries.

    Raises
    ------
    ValueError
        With the file, if it is damaged.
    """
    content = read(path)
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise ValueError(f"{path} is damaged: it is no JSON object")
    if number is not None and facts.get("format") != number:
        raise ValueError(
            f"{path} must be of format {number}, got {facts.get('format')!r}: it is damaged, or of "
            "another version of this program"
        )
    if fields is not None:
        fields = fields if number is None else {"format": int, **fields}
        problem = misfit({k: facts[k] for k in facts if k in fields or not rest}, fields)
        if problem:
            raise ValueError(f"{path} is damaged: {problem}")
    return facts


def misfit(facts, fields):
    """What keeps a dict from being as `fields` say, as in `read_json`; "" if nothing does."""
    for name in [*fields, *facts]:
        if name not in facts:
            return f"it lacks {name!r}"
        if name not in fields:
            return f"it holds {name!r}, which does not belong there"
        wanted, found = fields[name], facts[name]
        if isinstance(wanted, dict):
            problem = misfit(found, wanted) if isinstance(found, dict) else "it is no object"
            if problem:
                return f"in {name!r}, {problem}"
            continue
        if isinstance(wanted, type):
            fits = isinstance(found, wanted) and not (wanted is int and isinstance(found, bool))
        else:
            fits = wanted(found)
        if not fits:
            return f"its {name!r} is {str(found)[:60]!r}"
    return ""


def is_count(value):
    """Whether a value is an integer >= 0, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_checksum(value):
    """Whether a value can be what `sha256` returns."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def to_disk(file):
    """Wait until an open file's bytes are on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _name(path):
    return path.with_name(f".{path.name}-{secrets.token_hex(4)}.unfinished")


def _unfinished(name):
    """What a file or folder of this name is called while it is being written."""
    return re.compile(rf"\.{re.escape(name)}-[0-9a-f]{{8}}\.unfinished")


def _previous(name):
    """What a folder of this name is called while another one takes its place step by step."""
    return re.compile(rf"\.{re.escape(name)}-[0-9a-f]{{8}}\.previous")


def _begun(path):
    """A new unfinished file, locked: its name, and itself open for writing."""
    while True:
        name = _name(path)
        file = open(name, "x+b")
        _lock(file.fileno())
        # another process may have taken it for a dead one's before it was locked
        if name.exists() and os.path.samestat(name.stat(), os.fstat(file.fileno())):
            return name, file
        file.close()


def _lock(handle):
    """Whether an open file or folder is now this process's alone, until it is closed.

    None where there are no locks: on Windows, and on some file systems.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _of_the_dead(path):
    """Whether it is sure that no process holds an unfinished file or folder any more."""
    if fcntl is None:
        return False
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:  # gone, no file of ours, or another user's
        return False
    try:
        return _lock(handle) is True
    finally:
        os.close(handle)


def _remove(path, names=None):
    """Remove a file, or those of these names in a folder, and the folder if it then is empty."""
    with suppress(OSError):
        if names is None:
            path.unlink()
            return
        for name in names:
            (path / name).unlink(missing_ok=True)
        path.rmdir()


def _exchange(one, other):
    """Exchange two folders, at one instant where the system can."""
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    names = os.fsencode(one), os.fsencode(other)
    for call, arguments in (
        ("renameat2", (_HERE, names[0], _HERE, names[1], _EXCHANGE)),
        ("renamex_np", (*names, _EXCHANGE)),
    ):
        if hasattr(libc, call) and getattr(libc, call)(*arguments) == 0:
            return
    aside = other.with_name(f".{other.name}-{secrets.token_hex(4)}.previous")
    os.rename(other, aside)
    try:
        os.rename(one, other)
    except BaseException:
        os.rename(aside, other)
        raise
    os.rename(aside, one)


def _folder_to_disk(folder):
    """Wait until the names in a folder are on the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
