"""Moments of all pairs: every process reads its part, and the sums of all meet."""

from dataclasses import dataclass, replace

import numpy as np

from jepabook._support import command, memory
from jepabook.spectrum.intervals import following
from jepabook.spectrum.moments import (
    Clusters,
    Groups,
    Moments,
    joined_energy,
    places_of,
    rows_of_a_group,
)
from jepabook.spectrum.sources import Pairs, block_rows, refuse

# matrices (d, d) that an estimate holds at once beside two for each group, at most, as measured
MATRICES = 26
ON_GPU = 14  # of these, those on the GPU where there is one
ROWS = 12  # arrays (replicates, d)
FEWEST_GROUPS, MOST_GROUPS = 16, 64  # unless others are asked for
MEMORY = 2**25  # bytes that more groups than the fewest may take


def usual_groups(width, processes):
    """As many groups as the memory of a small estimate holds, from 16 to 64."""
    most = MEMORY // (16 * width**2) // 2 * 2
    return max(FEWEST_GROUPS, min(most, MOST_GROUPS), processes + processes % 2)


def read(pairs, groups, replicates, share, machine, progress):
    """This process's groups, closed; ValueError for bad input, and where memory is too small."""
    if isinstance(pairs, Pairs):
        groups = groups or usual_groups(pairs.width, share.processes)
        rows = rows_of_a_group(pairs.width, groups, pairs.count)
        start, stop = (min(pairs.count, rows * edge) for edge in share.of(-(-pairs.count // rows)))
        blocks = pairs.blocks(start, stop)
        own = groups if pairs.clustered else -(-(stop - start) // rows)
        check_memory(pairs, own, groups, replicates, share, machine)
    else:
        start, stop, rows = 0, None, None  # however many there are
        blocks = pairs.blocks()
    bar, collected = _bar(stop and stop - start, share.rank == 0 and progress), None
    with bar, np.errstate(over="ignore", invalid="ignore"):
        for row, x, y, labels in blocks:
            if collected is None:
                if stop is None:
                    groups = groups or usual_groups(pairs.width, share.processes)
                    check_memory(pairs, groups, groups, replicates, share, machine)
                collected = (
                    Groups(rows, groups, machine)
                    if labels is None
                    else Clusters(groups, block_rows(pairs.width), machine)
                )
            if not collected.add(x, y, labels):
                refuse(pairs.names, row, x, y)
            bar.update(len(x))
        if pairs.width is None:
            raise ValueError("x must yield at least one batch, got none")
        if collected is None:  # no rows are left for this process
            collected = Groups(rows, groups, machine)
        collected.close()
    return collected


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


@dataclass(frozen=True)
class Half:
    """What all processes know of the rows of every other group.

    Attributes
    ----------
    moments : Moments
        About the mean, or about 0 where means are not taken off.
    members : bool ndarray (processes, groups)
        The places whose groups it is made of.
    numbers : int ndarray (processes, groups)
        A group's number: those of clusters have parts in several processes.
    """

    moments: Moments
    members: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True, eq=False)
class Cut:
    """Which group of one half each row is in.

    Attributes
    ----------
    count, half : int
        Groups in all; 0 or 1.
    rows : int or None
        Of a group of consecutive rows; None for clusters.
    most : int
        Groups that clusters are spread over.
    places : int ndarray or None
        Those in which there are clusters, rising.
    numbered : bool
        Whether clusters were numbered from 0 before they were spread.
    """

    count: int
    half: int
    rows: int | None
    most: int
    places: np.ndarray | None
    numbered: bool

    @property
    def groups(self):
        """Groups of the half."""
        return (self.count + 1 - self.half) // 2

    def of(self, start, stop, clusters):
        """The group from 0 of each of rows start ... stop - 1; -1 for rows of the other half."""
        if self.rows:
            numbers = np.arange(start, stop) // self.rows
        else:
            numbers = np.searchsorted(self.places, places_of(clusters, self.most))
        return np.where(numbers % 2 == self.half, numbers // 2, -1)


def cuts(collected, pairs, share):
    """Two `Cut`, or None where several processes read rows that are known to nobody else."""
    if collected.numbers is None:
        if share.processes > 1 and pairs.count is None:
            return None, None
        counts = share.gathered(len(collected.groups), collected.rows or 0)
        found = int(counts[:, 0].sum()), int(counts[:, 1].max()), collected.most, None
    else:
        there = np.zeros(collected.most)
        there[collected.numbers] = 1
        places = np.flatnonzero(share.total(there))
        found = len(places), None, collected.most, places
    whole = pairs.count is not None
    return tuple(Cut(found[0], half, *found[1:], whole) for half in (0, 1))


def halves(collected, pairs, share, machine, centred):
    """The groups of all processes as two halves, every other one each, in one sum over processes.

    Every process writes counts and means of its groups into places of its own, zeros elsewhere,
    and adds its groups' products; what the differences of means contribute is then known to all.

    Returns
    -------
    list of two Half, and whether rows hang together over more than a group
    """
    d, local, groups = pairs.width, collected.groups, collected.most
    widths = share.gathered(d, pairs.count or 0, groups, len(local), bool(pairs.clustered))
    seen = widths[widths[:, 3] > 0][:, [0, 1, 2, 4]]
    if (widths[:, :3] != widths[0, :3]).any() or (seen != seen[0]).any():
        told = " and ".join(
            f"{int(w)} features, {int(n)} rows, {int(g)} groups"
            for w, n, g in np.unique(widths[:, :3], axis=0)
        )
        raise ValueError(f"all processes must see the same x and y, got {told}")
    numbers = _numbers(collected, widths[:, 3].astype(int), groups, share)
    places = np.zeros((share.processes, groups, 5 + 2 * d))
    sums = [[np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)] for _ in range(2)]
    for place, number, group in zip(places[share.rank], numbers[share.rank], local, strict=False):
        place[:5] = group.count, *group.energy
        place[5 : 5 + d], place[5 + d :] = machine.numpy(group.mean_x), machine.numpy(group.mean_y)
        for mine, theirs in zip(sums[number % 2], (group.xx, group.yx, group.yy), strict=True):
            mine += machine.numpy(theirs)
    parts = [part for half in sums for part in half]
    joined = share.total(np.concatenate([places.ravel(), *(part.ravel() for part in parts)]))
    edges = np.cumsum([places.size, *(part.size for part in parts)])[:-1]
    places, *parts = np.split(joined, edges)
    places = places.reshape(share.processes, groups, -1)
    found = []
    for half in range(2):
        members = (places[..., 0] > 0) & (numbers % 2 == half)
        moments = _pooled(places[members], parts[3 * half : 3 * half + 3], centred)
        sums = moments.mean_x, moments.mean_y, moments.xx, moments.yx, moments.yy
        if not all(np.isfinite(part).all() for part in sums):
            refuse(pairs.names, 0)
        found.append(Half(moments, members, numbers))
    there = places[places[..., 0] > 0]
    return found, not pairs.clustered and following(there[:, 0], there[:, 5:])


def _numbers(collected, counts, groups, share):
    """The number of the group in each place, (processes, groups), alike in all processes."""
    numbers = np.zeros((share.processes, groups), int)
    if collected.numbers is None:
        numbers += np.cumsum(counts)[:, None] - counts[:, None] + np.arange(groups)
        return numbers
    there = np.zeros((share.processes, groups))
    there[share.rank, : len(collected.numbers)] = 1.0 + np.array(collected.numbers)
    there = share.total(there).astype(int)  # which of all groups of clusters are not empty
    return np.searchsorted(np.unique(there[there > 0]), there)


def _pooled(places, parts, centred):
    """`Moments` of groups: their counts, energies and means, (groups, 5 + 2 d), summed products."""
    d = len(parts[2])
    counts, energies, means_x, means_y = np.split(places, [1, 5, 5 + d], axis=1)
    count = counts.sum()
    mean_x, mean_y = ((counts * means).sum(0) / max(count, 1) for means in (means_x, means_y))
    off_x, off_y = (means_x - mean_x, means_y - mean_y) if centred else (means_x, means_y)
    with np.errstate(over="ignore", invalid="ignore"):
        xx = parts[0].reshape(d, d) + (counts * off_x).T @ off_x
        yx = parts[1].reshape(d, d) + (counts * off_y).T @ off_x
        yy = parts[2] + (counts * off_y**2).sum(0)
    energy = joined_energy(*energies) if len(energies) else np.zeros(4)
    return Moments(int(count), mean_x, mean_y, xx, yx, yy, energy)


def both(halves, centred):
    """`Moments` of two halves together."""
    first, second = (half.moments for half in halves)
    d = len(first.yy)
    places = np.array([[m.count, *m.energy, *m.mean_x, *m.mean_y] for m in (first, second)])
    parts = first.xx + second.xx, first.yx + second.yx, first.yy + second.yy
    if centred:
        return _pooled(places, parts, True)
    whole = _pooled(places, [np.zeros(d * d), np.zeros(d * d), np.zeros(d)], True)
    return replace(whole, xx=parts[0], yx=parts[1], yy=parts[2])


def projected(collected, halves, bases, share, machine, centred):
    """The groups of each half along the directions of the other one.

    Parameters
    ----------
    halves : pair of Half
    bases : pair of ndarrays (d, d)
        Directions for the groups of either half.

    Returns
    -------
    pair of (counts (G, 1), xx (G, d), yx (G, d))
        Rows of each group, and their sums of products along the directions, about the mean of the
        half.
    """
    d = len(bases[0])
    places = np.zeros((share.processes, len(halves[0].numbers[0]), 2 * d))
    for half, basis in zip(halves, bases, strict=True):
        here, mean = machine.array(basis), half.moments
        members = half.members[share.rank]
        for place, group in enumerate(collected.groups):
            if not members[place]:
                continue
            off_x, off_y = machine.numpy(group.mean_x), machine.numpy(group.mean_y)
            if centred:
                off_x, off_y = off_x - mean.mean_x, off_y - mean.mean_y
            off_x, off_y = off_x @ basis, off_y @ basis
            parts = (group.xx, True), (group.yx, False)
            xx, yx = (machine.numpy(machine.along(here, *part)) for part in parts)
            with np.errstate(over="ignore", invalid="ignore"):
                xx, yx = xx + group.count * off_x**2, yx + group.count * off_y * off_x
            places[share.rank, place] = np.concatenate([xx, yx])
    places, counts = share.total(places), share.gathered(*_counts(collected, len(places[0])))
    found = []
    for half in halves:
        rows = half.numbers[half.members]
        numbers, at = np.unique(rows, return_inverse=True)
        whole = np.zeros((len(numbers), 1 + 2 * d))
        np.add.at(whole, at, np.column_stack([counts[half.members], places[half.members]]))
        found.append(np.split(whole, [1, 1 + d], axis=1))
    return found


def _counts(collected, groups):
    """Rows of each of this process's groups, 0 where there is none."""
    return np.pad([group.count for group in collected.groups], (0, groups - len(collected.groups)))
