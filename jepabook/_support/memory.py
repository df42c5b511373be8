"""How much memory a computation may ask for before the system would stop the process."""

import os
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

NOTHING = 2**26  # bytes that are not worth a look

_INFO, _GROUPS = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
# what a container may have, has, and could give back: today's control groups, and older ones
_BOUNDS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def free():
    """Bytes of memory that this process can still get; where nobody tells, all there is."""
    return max(0, min([_of_system(), *_of_groups(), *_of_limits()]))


def _of_system():
    try:
        told = dict(line.split(":") for line in _INFO.read_text(encoding="utf-8").splitlines())
        return 1024 * int(told["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 2**40


def _of_groups():
    for names in _BOUNDS:
        try:
            most, used, told = ((_GROUPS / name).read_text(encoding="utf-8") for name in names)
            cached = sum(
                int(line.split()[1])
                for line in told.splitlines()
                if line.startswith(("inactive_file ", "active_file "))
            )
            yield int(most) - int(used) + cached
        except (OSError, ValueError, IndexError):  # none, or "max"
            pass


def _of_limits():
    """What is left of the address space that ``ulimit -v`` allows."""
    most = resource.getrlimit(resource.RLIMIT_AS)[0] if resource else -1
    if resource and most != resource.RLIM_INFINITY:
        try:
            pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
            yield most - pages * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError):
            yield most
