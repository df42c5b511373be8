"""The benchmarks use the same references as the tests, and print their tables past the capture."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


@pytest.fixture
def show(capsys):
    """Print lines to the terminal though pytest captures the output."""

    def show_lines(*lines):
        with capsys.disabled():
            print("", *lines, sep="\n  ")

    return show_lines
