"""What is no file is refused in one line, wherever files are read, and nothing waits for it."""

import os
import socket
import stat
from pathlib import Path

import numpy as np
import pytest

from jepabook._support import arrays
from jepabook._support.regular import open_regular, shown


def listening(path):
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(path.name)  # a long path does not fit


IRREGULAR = {
    "got a folder": Path.mkdir,
    "got a pipe": os.mkfifo,
    "got a socket": listening,
    "got a device": lambda path: path.symlink_to("/dev/zero"),
    "there is none": lambda path: None,
    "it is a link to nothing": lambda path: path.symlink_to("moved"),
    "Too many levels": lambda path: path.symlink_to(path.name),
    "got a pipe ": lambda path: os.mkfifo("pipe") or path.symlink_to("pipe"),
}


@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("read", [open_regular, arrays.npy])
def test_what_is_no_file_is_refused_by_what_it_is(tmp_path, monkeypatch, read, kind):
    monkeypatch.chdir(tmp_path)
    IRREGULAR[kind](tmp_path / "x.npy")
    with pytest.raises(ValueError) as caught:
        read(tmp_path / "x.npy")
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'x.npy'} must be ") and kind.strip() in told
    assert "\n" not in told


def test_what_turns_into_a_pipe_while_it_is_opened_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    real, seen = os.stat, []

    def first_a_file(path, **options):
        seen.append(path)
        return os.stat_result((stat.S_IFREG, *real(path, **options)[1:]))

    monkeypatch.setattr(os, "stat", first_a_file)
    with pytest.raises(ValueError, match="must be a file, got a pipe"):
        open_regular(tmp_path / "pipe")
    assert seen == [tmp_path / "pipe"]


def test_a_file_behind_a_link_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3.0))
    (tmp_path / "b.npy").symlink_to("a.npy")
    assert np.array_equal(arrays.npy(tmp_path / "b.npy"), np.arange(3.0))


def test_paths_are_shown_in_one_short_line():
    assert shown("a/b c.npy") == "a/b c.npy" and shown(Path("é")) == "é"
    assert shown(b"a\xff\n".decode(errors="surrogateescape")) == r"a\udcff\n"
    assert len(shown("x" * 5000)) < 200
