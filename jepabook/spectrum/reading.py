"""Moments of all pairs: every process reads its part, and the sums of all meet."""

import numpy as np

from jepabook.spectrum.basis import along
from jepabook.spectrum.moments import Groups, Moments
from jepabook.spectrum.share import ElsewhereError
from jepabook.spectrum.sources import Pairs, refuse


class PartError(ValueError):
    """Bad input in the share that one of several processes read."""


def read(pairs, groups, share, machine, progress):
    """This process's groups, and the error that stopped it or None."""
    if isinstance(pairs, Pairs):
        rows = -(-pairs.count // groups)
        start, stop = (min(pairs.count, rows * edge) for edge in share.of(groups))
        blocks, collected = pairs.blocks(start, stop), Groups(rows, groups, machine)
    else:
        start, stop = 0, None
        blocks, collected = pairs.blocks(), Groups(None, groups, machine)
    bar = _bar(stop and stop - start, share.rank == 0 and progress)
    try:
        with bar, np.errstate(over="ignore", invalid="ignore"):
            for row, x, y in blocks:
                if not collected.add(x, y):
                    refuse(pairs.names, row, x, y)
                bar.update(len(x))
        collected.close()
    except ValueError as error:
        if share.processes == 1 or pairs.width is None:
            raise
        return [], PartError(str(error))
    return collected.groups, None


def _bar(total, progress):
    from tqdm import tqdm

    disable = None if progress is None else not progress  # None: unless there is a terminal
    return tqdm(total=total, disable=disable, unit=" pairs", unit_scale=True, delay=1)


def total(local, failure, groups, pairs, share, machine):
    """`Moments` of the groups of all processes, in one sum over processes.

    Every process writes counts and means of its groups into places of its own, zeros elsewhere,
    and adds its groups' products; what the differences of means contribute is then known to all.
    """
    d = pairs.width
    if d is None:
        raise ValueError("x must yield at least one batch, got none")
    places = np.zeros((share.processes, groups, 1 + 2 * d))
    sums = [np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)]
    for place, group in zip(places[share.rank], local, strict=False):
        place[0] = group.count
        place[1 : 1 + d], place[1 + d :] = machine.numpy(group.mean_x), machine.numpy(group.mean_y)
        for mine, theirs in zip(sums, (group.xx, group.yx, group.yy), strict=True):
            mine += machine.numpy(theirs)
    joined = share.total(
        np.concatenate([[failure is not None], places.ravel(), *(part.ravel() for part in sums)])
    )
    if joined[0]:
        raise failure or ElsewhereError("x and y must be fit in every process's share")
    places, xx, yx, yy = np.split(joined[1:], np.cumsum([places.size, d * d, d * d]))
    counts, means_x, means_y = np.split(places.reshape(-1, 1 + 2 * d), [1, 1 + d], axis=1)
    count = counts.sum()
    mean_x, mean_y = (counts * means_x).sum(0) / count, (counts * means_y).sum(0) / count
    off_x, off_y = means_x - mean_x, means_y - mean_y
    return Moments(
        int(count),
        mean_x,
        mean_y,
        xx.reshape(d, d) + (counts * off_x).T @ off_x,
        yx.reshape(d, d) + (counts * off_y).T @ off_x,
        yy + (counts * off_y**2).sum(0),
    )


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
