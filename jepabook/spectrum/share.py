"""One estimate by several processes: each reads its share, and sums meet in an all_reduce."""

import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


class ElsewhereError(ValueError):
    """What another one of several processes met, which tells of it."""


@dataclass(frozen=True)
class Share:
    """This process's place among those that share the work.

    Attributes
    ----------
    rank, processes : int
    total : callable
        Maps a float64 array to its sum over all processes, which all call it with the same shape.
    """

    rank: int = 0
    processes: int = 1
    total: Callable = np.asarray

    def of(self, count):
        """The share [start, stop) of `count` things in a row."""
        edges = count * np.arange(self.processes + 1) // self.processes
        return int(edges[self.rank]), int(edges[self.rank + 1])


def among_processes():
    """The `Share` of this process in torch's default process group (gloo, nccl, ...)."""
    import torch
    from torch import distributed

    rank, processes = distributed.get_rank(), distributed.get_world_size()
    on_gpu = distributed.get_backend() == "nccl"

    def total(array):
        # all_reduce adds memory up as it lies: in the same order in every process
        tensor = torch.from_numpy(np.array(array, dtype=np.float64, order="C"))
        tensor = tensor.cuda() if on_gpu else tensor
        distributed.all_reduce(tensor)
        return tensor.cpu().numpy()

    return Share(rank, processes, total)


@contextmanager
def under_torchrun(device="auto"):
    """Join the processes that ``torchrun`` started, if it did; yields this one's `Share`.

    They meet on their GPUs where torch sees some, unless `device` is "cpu".
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Share()
        return
    import torch
    from torch import distributed

    gpu = device != "cpu" and torch.cuda.is_available() and distributed.is_nccl_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if gpu else "gloo")
    try:
        yield among_processes()
    finally:
        distributed.destroy_process_group()
