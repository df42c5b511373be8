"""Pairs of views of pictures, as methods make them: masks, blocks, crops, jitter, frames.

Pictures are grey, an array (n, side, side) of values between 0 and 1; pairs take them in turn.
Every function returns x and y, arrays (count, d) row by row the pairs, and of which picture each
pair is, integers (count,): pairs of one picture are not independent of each other.
"""

import numpy as np

from jepabook._support import validate

MOST_PAIRS = 10**7


def random_masks(pictures, count, seed, visible=0.25, patch=1):
    """x shows a random share of the patches, y the others, what is hidden is 0; eq. (123).

    The mean of all pictures is subtracted pixel by pixel before masking.

    Parameters
    ----------
    pictures : array (n, side, side)
    count : int
        Pairs.
    seed : int
    visible : float
        Probability with which a patch is in x. MAE's recipe masks 75 %: 0.25.
    patch : int
        Pixels along a side of a patch; a divisor of `side`.

    Returns
    -------
    x, y : ndarrays (count, side * side)
    picture : int64 ndarray (count,)
    """
    visible = validate.number("visible", visible, validate.open_unit)
    pictures, which, rng = _given(pictures, count, seed)
    grid = _grid(pictures, patch)
    seen = rng.random((len(which), grid, grid)) < visible
    return *_masked(pictures, which, seen, ~seen, patch), which


def block_masks(
    pictures,
    count,
    seed,
    blocks=4,
    share=(0.15, 0.2),
    aspect=(0.75, 1.5),
    context=(0.85, 1.0),
    patch=1,
):
    """y shows `blocks` random blocks, x one large block without them, what is hidden is 0.

    These are the masks of I-JEPA (its `src/masks/multiblock.py`), with its values as defaults, but
    every pair draws its own sizes, blocks may reach the last row and column, and none is drawn
    again for being small. `pictures`, `count`, `seed` and `patch` as for `random_masks`, also the
    mean.

    Parameters
    ----------
    blocks : int
        Target blocks of a pair; they may overlap.
    share, context : pairs of floats
        Least and largest part of the picture that a target block, that the context block has.
    aspect : pair of floats
        Least and largest height over width of target blocks; the context is a square.

    Returns
    -------
    x, y : ndarrays (count, side * side)
    picture : int64 ndarray (count,)
    """
    blocks = validate.integer("blocks", blocks, most=100)
    share, context = _span("share", share, 1.0), _span("context", context, 1.0)
    aspect = _span("aspect", aspect, np.inf)
    pictures, which, rng = _given(pictures, count, seed)
    grid = _grid(pictures, patch)
    one = np.ones(2)
    targets = np.zeros((len(which), grid, grid), bool)
    for _ in range(blocks):
        targets |= _blocks(len(which), grid, share, aspect, rng)
    seen = _blocks(len(which), grid, context, one, rng) & ~targets
    return *_masked(pictures, which, seen, targets, patch), which


def crops(pictures, count, seed, size, scale=(0.3, 1.0)):
    """x and y are two random square parts of a picture, averaged to `size` pixels a side.

    `pictures`, `count` and `seed` as for `random_masks`.

    Parameters
    ----------
    size : int
        Pixels along a side of a view, at most that of the smallest part.
    scale : pair of floats
        Least and largest share of the picture's area that a view has.

    Returns
    -------
    x, y : ndarrays (count, size * size)
    picture : int64 ndarray (count,)
    """
    scale = _span("scale", scale, 1.0)
    pictures, which, rng = _given(pictures, count, seed)
    side = pictures.shape[1]
    size = validate.integer("size", size, most=side)
    views = []
    for _ in range(2):
        length = side * np.sqrt(rng.uniform(*scale, len(which)))
        rows, columns = (_averages(rng.uniform(0, side - length), length, side, size) for _ in "xy")
        view = rows @ pictures[which] @ columns.transpose(0, 2, 1)
        views.append(view.reshape(len(which), -1))
    return *views, which


def jitter(pictures, count, seed, spread=0.3):
    """x and y are one picture, each brightened or darkened by an independent N(0, spread^2).

    `pictures`, `count` and `seed` as for `random_masks`; `spread` >= 0.

    Returns
    -------
    x, y : ndarrays (count, side * side)
    picture : int64 ndarray (count,)
    """
    spread = validate.number("spread", spread, validate.non_negative)
    pictures, which, rng = _given(pictures, count, seed)
    rows = pictures.reshape(len(pictures), -1)[which]
    x, y = (rows + rng.normal(0.0, spread, (len(rows), 1)) for _ in "xy")
    return x, y, which


def frames(pictures, clips, gap=1):
    """x is a picture, y the one `gap` places later in the same clip; every such pair once.

    Parameters
    ----------
    pictures : array (n, side, side)
        The frames of every clip in the order of time.
    clips : array (n,) of integers
        The clip of each frame.
    gap : int

    Returns
    -------
    x, y : ndarrays (count, side * side)
    clip : int64 ndarray (count,)
    """
    pictures, gap = _pictures(pictures), validate.integer("gap", gap)
    clips = validate.real("clips", clips, kinds="iu")
    if clips.shape != (len(pictures),):
        raise ValueError(f"clips must be one for each of {len(pictures)} pictures")
    order = np.argsort(clips, kind="stable")
    first, second = order[:-gap], order[gap:]
    same = clips[first] == clips[second]
    if not same.any():
        raise ValueError(f"gap must be shorter than a clip, got {gap}")
    rows = pictures.reshape(len(pictures), -1)
    return rows[first[same]], rows[second[same]], clips[first[same]].astype(np.int64)


def _pictures(pictures):
    pictures = validate.shaped("pictures", pictures, ("n", "side", "side"))
    if not pictures.size:
        raise ValueError(f"pictures must be some, got shape {pictures.shape}")
    return pictures


def _given(pictures, count, seed):
    """Pictures, which of them each pair is of, and a generator."""
    pictures = _pictures(pictures)
    count = validate.integer("count", count, most=MOST_PAIRS, each=48 * pictures[0].size)
    return pictures, np.arange(count) % len(pictures), validate.generator(seed)


def _grid(pictures, patch):
    """Patches along a side."""
    side = pictures.shape[1]
    patch = validate.integer("patch", patch, most=side)
    if side % patch:
        raise ValueError(f"patch must divide the pictures' side, {side}, got {patch}")
    if side == patch:
        raise ValueError(f"patch must be smaller than the pictures' side, {side}, got {patch}")
    return side // patch


def _masked(pictures, which, in_x, in_y, patch):
    rows = (pictures - pictures.mean(0))[which]
    views = (
        np.where(np.repeat(np.repeat(mask, patch, 1), patch, 2), rows, 0.0) for mask in (in_x, in_y)
    )
    return (view.reshape(len(which), -1) for view in views)


def _blocks(count, grid, share, aspect, rng):
    """Random blocks of patches, booleans (count, grid, grid)."""
    area = grid**2 * rng.uniform(*share, count)
    ratio = rng.uniform(*aspect, count)
    inside = np.ones((count, 2, grid), bool)
    for axis, length in enumerate((np.sqrt(area * ratio), np.sqrt(area / ratio))):
        length = np.round(length).clip(1, grid).astype(int)
        start = rng.integers(grid - length + 1)
        at = np.arange(grid)
        inside[:, axis] = (at >= start[:, None]) & (at < (start + length)[:, None])
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def _averages(start, length, side, size):
    """Weights (count, size, side) of pixels in the means over `size` equal parts of a stretch."""
    edges = start[:, None] + length[:, None] * np.arange(size + 1) / size
    low, high, at = edges[:, :-1, None], edges[:, 1:, None], np.arange(side)
    covered = (np.minimum(high, at + 1) - np.maximum(low, at)).clip(0)
    return covered / (length / size)[:, None, None]


def _span(name, value, most):
    """Least and largest, both in (0, most]."""
    low, high = validate.shaped(name, value, (2,))
    if not 0 < low <= high <= most:
        raise ValueError(f"{name} must be two rising numbers in (0, {most:g}], got {value}")
    return np.array([low, high])
