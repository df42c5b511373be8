"""Folders held by one process, and files written whole or not at all: for the vision commands."""

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def alone(folder):
    """Hold a folder, made if need be, for one process; ValueError where another one does."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} must be a folder, got a file")
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder} is in use by another process: wait for it") from None
        yield
    finally:
        os.close(handle)


def refuse_foreign(folder, own):
    """Raise ValueError where a folder holds files beside the one that `own` names, half written."""
    foreign = {path.name for path in Path(folder).iterdir()} - {temporary(own)}
    if foreign:
        raise ValueError(f"{folder} must be empty or new, got {min(foreign)!r} in it")


def sha256(path):
    """The checksum of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path, content):
    """Write bytes whole or not at all, also when the machine stops."""
    unfinished = path.with_name(temporary(path.name))
    with open(unfinished, "wb") as file:
        file.write(content)
        to_disk(file)
    os.replace(unfinished, path)


def write_json(path, facts):
    """Write JSON whole or not at all."""
    write(path, json.dumps(facts, indent=1).encode())


def read_json(path):
    """The object in a JSON file; ValueError where the file is damaged."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise ValueError(f"{path} is damaged: it is no JSON object")
    return facts


def temporary(name):
    """What a file is called while it is being written."""
    return f".{name}"


def to_disk(file):
    """Wait until an open file's bytes are on the disk."""
    file.flush()
    os.fsync(file.fileno())
