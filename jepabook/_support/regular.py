"""Reading files that can be read to an end: no pipes, devices, sockets or folders."""

import os
import stat

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


def open_regular(path):
    """A regular file, or what a link leads to, open for reading bytes.

    A pipe would wait for ever, and a device such as /dev/zero has no end.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    binary file

    Raises
    ------
    ValueError
        In one line, if it is something else, is not there or must not be read.
    """
    try:
        # looked at before it is opened: to open a device can already do something
        refuse_irregular(path, os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        what = "it is a link to nothing" if os.path.islink(path) else "there is none"
        raise ValueError(f"{shown(path)} must be a file, but {what}: check the path") from None
    except OSError as error:
        raise ValueError(f"{shown(path)} must be readable, got {error.strerror or error}") from None
    try:
        refuse_irregular(path, os.fstat(file.fileno()).st_mode)
    except ValueError:
        file.close()
        raise
    return file


def refuse_irregular(path, mode):
    """Raise ValueError unless `mode`, of ``os.stat``, is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in _KINDS if test(mode)), "something else")
        raise ValueError(f"{shown(path)} must be a file, got {kind}")


def shown(path):
    """A path in one line that any output can print; a long one without its middle."""
    text = repr(os.fspath(path) if isinstance(path, os.PathLike) else path)[1:-1]
    return text if len(text) <= 200 else f"{text[:80]}...{text[-110:]}"
