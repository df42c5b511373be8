"""A pytest plugin: a notebook whose kernel took too much memory fails, whatever its cells printed.

`make test` loads it where nbval runs the notebooks (`-p tools.kernel_memory`). On Linux it is the
kernel's own peak, elsewhere the most that it held at the end of a cell. Before, fonts are found.
"""

from pathlib import Path

import psutil
import pytest

from tools.notebooks import MEMORY_LIMIT, find_fonts

TOLD = pytest.StashKey[bool]()


def pytest_addoption(parser):
    parser.addoption(
        "--kernel-memory",
        type=float,
        default=MEMORY_LIMIT,
        metavar="MB",
        help="the most that a notebook's kernel may take (default: %(default)s)",
    )


def pytest_configure(config):
    find_fonts()


def peak_mb(pid):
    """The most memory that a process has held so far, in MB, as far as the system tells."""
    status = Path(f"/proc/{pid}/status")
    if status.is_file():
        lines = dict(
            line.split(":", 1)
            for line in status.read_text(encoding="utf-8").splitlines()
            if ":" in line
        )
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 1024
    return psutil.Process(pid).memory_info().rss / 2**20


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """Look at the kernel after each cell, before nbval ends it; the first cell too many fails."""
    kernel = getattr(item.parent, "kernel", None)
    peak = peak_mb(kernel.km.provisioner.pid) if kernel and kernel.is_alive() else 0
    result = yield
    allowed = item.config.getoption("--kernel-memory")
    if peak > allowed and not item.parent.stash.get(TOLD, False):
        item.parent.stash[TOLD] = True
        pytest.fail(f"took {peak:.0f} MB of memory, at most {allowed:.0f} allowed", pytrace=False)
    return result
