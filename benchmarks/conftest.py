"""The benchmarks print their tables past the capture."""

import pytest


@pytest.fixture
def show(capsys):
    """Print lines to the terminal though pytest captures the output."""

    def show_lines(*lines):
        with capsys.disabled():
            print("", *lines, sep="\n  ")

    return show_lines


@pytest.fixture
def two_threads():
    """torch on two threads, whatever it has otherwise."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
