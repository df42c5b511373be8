"""Moments of all pairs: every process reads its part, and the sums of all meet."""

import numpy as np

from jepabook._support import command, memory
from jepabook.spectrum.basis import along
from jepabook.spectrum.moments import Groups, Moments
from jepabook.spectrum.sources import Pairs, block_rows, refuse

# matrices (d, d) that an estimate holds at once beside two for each group, at most, as measured
MATRICES = 26
ON_GPU = 14  # of these, those on the GPU where there is one
ROWS = 12  # arrays (replicates, d)


def read(pairs, groups, replicates, share, machine, progress):
    """This process's groups; ValueError for bad input, and where they would not fit in memory."""
    if isinstance(pairs, Pairs):
        rows = -(-pairs.count // groups)
        start, stop = (min(pairs.count, rows * edge) for edge in share.of(groups))
        blocks, collected = pairs.blocks(start, stop), Groups(rows, groups, machine)
        check_memory(pairs, -(-(stop - start) // rows), groups, replicates, share, machine)
    else:
        start, stop = 0, None
        blocks, collected = pairs.blocks(), Groups(None, groups, machine)
    bar = _bar(stop and stop - start, share.rank == 0 and progress)
    with bar, np.errstate(over="ignore", invalid="ignore"):
        for row, x, y in blocks:
            if stop is None and row == 0:
                check_memory(pairs, groups, groups, replicates, share, machine)
            if not collected.add(x, y):
                refuse(pairs.names, row, x, y)
            bar.update(len(x))
    collected.close()
    if pairs.width is None:
        raise ValueError("x must yield at least one batch, got none")
    return collected.groups


def check_memory(pairs, own, groups, replicates, share, machine):
    """Raise ValueError unless an estimate fits in the memory that is free.

    Parameters
    ----------
    pairs : Pairs or Batches
        Their width is known.
    own, groups : int
        Groups of this process at most, and of each process at most.
    """
    d = pairs.width
    square, held = 8 * d**2, 8 * d * block_rows(d) * 3
    small = 8 * (ROWS * replicates * d + 4 * share.processes * groups * (1 + 4 * d))
    # what is summed over processes is copied on the way
    there = square * (MATRICES + (6 if share.processes > 1 else 0)) + small
    here = square * 2 * own + held
    needs = {"memory": (here + there, machine.free())}
    if machine.on_gpu:
        needs = {
            "memory": (held + there, memory.free()),
            "memory on the GPU": (here + ON_GPU * square, machine.free()),
        }
    together = command.torchrun("LOCAL_WORLD_SIZE", 1) if share.processes > 1 else 1
    for where, (need, free) in needs.items():
        if need * together > free:
            raise ValueError(
                f"{pairs.names[0]} must have so few features that {together * need / 1e9:.3g} GB "
                f"of {where} suffice, got {d} features in {own} groups and {free / 1e9:.3g} GB "
                "that are free: ask for fewer groups, or project both views on the leading "
                "principal components of x"
            )


def _bar(total, progress):
    from tqdm import tqdm

    disable = None if progress is None else not progress  # None: unless there is a terminal
    return tqdm(total=total, disable=disable, unit=" pairs", unit_scale=True, delay=1)


def total(local, groups, pairs, share, machine):
    """`Moments` of the groups of all processes, in one sum over processes.

    Every process writes counts and means of its groups into places of its own, zeros elsewhere,
    and adds its groups' products; what the differences of means contribute is then known to all.
    """
    d = pairs.width
    widths = share.gathered(d, pairs.count or 0, groups)
    if (widths != widths[0]).any():
        told = " and ".join(
            f"{int(w)} features, {int(n)} rows, {int(g)} groups"
            for w, n, g in np.unique(widths, axis=0)
        )
        raise ValueError(f"all processes must see the same x and y, got {told}")
    places = np.zeros((share.processes, groups, 1 + 2 * d))
    sums = [np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)]
    for place, group in zip(places[share.rank], local, strict=False):
        place[0] = group.count
        place[1 : 1 + d], place[1 + d :] = machine.numpy(group.mean_x), machine.numpy(group.mean_y)
        for mine, theirs in zip(sums, (group.xx, group.yx, group.yy), strict=True):
            mine += machine.numpy(theirs)
    joined = share.total(np.concatenate([places.ravel(), *(part.ravel() for part in sums)]))
    places, xx, yx, yy = np.split(joined, np.cumsum([places.size, d * d, d * d]))
    counts, means_x, means_y = np.split(places.reshape(-1, 1 + 2 * d), [1, 1 + d], axis=1)
    count = counts.sum()
    mean_x, mean_y = (counts * means_x).sum(0) / count, (counts * means_y).sum(0) / count
    off_x, off_y = means_x - mean_x, means_y - mean_y
    with np.errstate(over="ignore", invalid="ignore"):
        xx = xx.reshape(d, d) + (counts * off_x).T @ off_x
        yx = yx.reshape(d, d) + (counts * off_y).T @ off_x
        yy = yy + (counts * off_y**2).sum(0)
    if not all(np.isfinite(part).all() for part in (mean_x, mean_y, xx, yx, yy)):
        refuse(pairs.names, 0)
    return Moments(int(count), mean_x, mean_y, xx, yx, yy)


def projected(local, directions, groups, share, machine):
    """For every group of every process: count, and mean_x, mean_y, xx, yx along the directions.

    Returns counts (G, 1) and four arrays (G, d).
    """
    d = len(directions)
    places, basis = np.zeros((share.processes, groups, 1 + 4 * d)), machine.array(directions)
    for place, group in zip(places[share.rank], local, strict=False):
        place[0] = group.count
        place[1:] = np.concatenate(
            [
                machine.numpy(part)
                for part in (
                    group.mean_x @ basis,
                    group.mean_y @ basis,
                    along(basis, group.xx),
                    along(basis, group.yx),
                )
            ]
        )
    places = share.total(places).reshape(-1, 1 + 4 * d)
    places = places[places[:, 0] > 0]
    return np.split(places, [1, 1 + d, 1 + 2 * d, 1 + 3 * d], axis=1)
