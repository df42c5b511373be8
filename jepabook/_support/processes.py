"""One estimate by several processes: each reads its share, and sums meet in an all_reduce."""

import datetime
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from jepabook._support import command, validate

PATIENCE = 600.0  # seconds that processes wait for each other
WAITING = "seconds that processes under torchrun wait for each other (600)"
GRACE = 2.0  # seconds more, after which torch's own limit has been passed
LONGEST = 10**7  # seconds: what is passed on as a limit must fit in nanoseconds


class ElsewhereError(ValueError):
    """What another one of several processes met, which tells of it."""

    told = False


class HereError(ValueError):
    """What this one of several processes met, and tells."""

    told = True


PLACE = {"WORLD_SIZE": 1, "RANK": 0, "LOCAL_WORLD_SIZE": 1, "LOCAL_RANK": 0}  # and their least


@dataclass(frozen=True)
class Share:
    """This process's place among those that share the work.

    Attributes
    ----------
    rank, processes : int
    total : callable
        Maps a float64 array to its sum over all processes, which all call it with the same shape.
    patience : float or None
        Seconds that a process waits for the others before it ends; None: as torch has it.
    """

    rank: int = 0
    processes: int = 1
    total: Callable = np.asarray
    patience: float | None = None

    def of(self, count):
        """The share [start, stop) of `count` things in a row."""
        edges = count * np.arange(self.processes + 1) // self.processes
        return int(edges[self.rank]), int(edges[self.rank + 1])

    @contextmanager
    def agreed(self):
        """What stops one process inside stops all of them after it; all must come here.

        The first process that was stopped tells why.
        """
        failure = None
        try:
            yield
        except Exception as error:
            failure = error
        self.agree(failure)

    def agree(self, failure):
        """Raise in all processes if there is a failure, an exception or None, in one of them."""
        failed = self.gathered(failure is not None)[:, 0]
        if not failed.any():
            return
        if failure is None or failed.argmax() != self.rank:
            raise ElsewhereError("another process cannot go on")
        if self.processes > 1 and isinstance(failure, (ValueError, OSError)):
            raise HereError(str(failure)) from failure
        raise failure

    def gathered(self, *numbers):
        """The numbers of every process, (processes, n)."""
        rows = np.zeros((self.processes, len(numbers)))
        rows[self.rank] = numbers
        return self.total(rows)

    @contextmanager
    def waiting(self):
        """What torch says inside of processes that do not answer is told in one line."""
        try:
            yield
        except RuntimeError as error:
            text, late = str(error).lower(), _late(error)
            if self.patience is None or not (late or "connection" in text or "peer" in text):
                raise
            limit = f"answer within {self.patience:g} s (--patience)"
            told = f"{limit}, got none from one" if late else "go on, got one that has ended"
            raise HereError(f"all processes must {told}") from None


def _late(error):
    """Whether an error of torch's says that a process did not come in time."""
    return any(words in str(error).lower() for words in ("timed out", "timeout"))


def among_processes():
    """The `Share` of this process in torch's default process group (gloo, nccl, ...)."""
    from torch import distributed

    return _share(distributed.group.WORLD, distributed.get_backend() == "nccl")


def _share(group, on_gpu, patience=None):
    import torch
    from torch import distributed

    def total(array):
        # all_reduce adds memory up as it lies: in the same order in every process
        tensor = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
        tensor = tensor.cuda() if on_gpu else tensor
        with Share(patience=patience).waiting():
            distributed.all_reduce(tensor, group=group)
        return tensor.cpu().numpy()

    return Share(distributed.get_rank(), distributed.get_world_size(), total, patience)


@contextmanager
def under_torchrun(device="auto", patience=PATIENCE):
    """Join the processes that ``torchrun`` started, if it did; yields this one's `Share`.

    On GPUs they exchange gradients where torch sees some, unless `device` is "cpu"; sums meet on
    CPUs.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
    patience : float
        Seconds that a process waits for the others at a meeting before it ends with an error.
    """
    patience = validate.number("patience", patience, validate.positive)
    if patience > LONGEST:
        raise ValueError(f"patience must be at most {LONGEST} seconds, got {patience}")
    place = {name: command.torchrun(name, least) for name, least in PLACE.items()}
    if place["WORLD_SIZE"] == 1:
        left = os.environ.get("WORLD_SIZE", "1")
        if left != "1":
            print(f"alone: WORLD_SIZE={left} is not of torchrun and not heeded", file=sys.stderr)
        yield Share()
        return
    for name, of in (("RANK", "WORLD_SIZE"), ("LOCAL_RANK", "LOCAL_WORLD_SIZE")):
        if place[name] >= place[of]:
            raise ValueError(f"{name} must be below {of}, {place[of]}, got {place[name]}")
    import torch
    from torch import distributed

    limit = datetime.timedelta(seconds=patience)
    gpu = device != "cpu" and torch.cuda.is_available() and distributed.is_nccl_available()
    if gpu:
        torch.cuda.set_device(place["LOCAL_RANK"])
    with Share(patience=patience).waiting():
        store, rank, processes = _met(limit)
        # nccl's own limit kills; it is to come after that of the sums, which tells
        backend, longer = ("nccl", 2 * limit) if gpu else ("gloo", limit)
        distributed.init_process_group(
            backend, timeout=longer, store=store, rank=rank, world_size=processes
        )
        sums = distributed.new_group(backend="gloo", timeout=limit)
    try:
        yield _share(sums, False, patience)
    finally:
        distributed.destroy_process_group()


def _met(limit):
    """What torch has of the place where torchrun says that processes meet: store, rank, number.

    Found in a thread of its own: another program that answers at the port keeps torch waiting
    without end.
    """
    from torch import distributed

    found = []

    def meet():
        try:
            # of a name that nobody knows torch asks again and again
            socket.getaddrinfo(os.environ.get("MASTER_ADDR", ""), None)
            found.append(next(distributed.rendezvous("env://", timeout=limit)))
        except (ValueError, OSError, RuntimeError) as error:
            found.append(error)

    thread = threading.Thread(target=meet, daemon=True)
    thread.start()
    thread.join(limit.total_seconds() + GRACE)
    if not found:
        raise RuntimeError("timed out")
    if not isinstance(found[0], Exception):
        return found[0]
    if _late(found[0]):
        raise found[0]
    reason = str(found[0]).partition("\n")[0]
    place = [os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT")]
    raise HereError(
        f"MASTER_ADDR and MASTER_PORT must be a place to meet, got {place[0]!r} and {place[1]!r}: "
        f"{reason}"
    )
