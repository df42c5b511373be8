"""Square crops at many scales from photographs: sets of them, and fresh ones for every step."""

import numpy as np

from jepabook._support import validate
from jepabook.vision.decoding import shrunk

SPLITS = ("train", "test")
TEST_SHARE = 0.25  # of every photograph's columns, the last ones
MOST_PIXELS = 2**14  # along a side
BINS_PER_OCTAVE = 2  # of the label scale


def region(image, split):
    """The part of a photograph (height, width, 3) that a split is cut from; a view.

    A vertical cut gives the last quarter of the columns to the test split.
    """
    one_of_splits(split)
    picture("image", image)
    cut = image.shape[1] - round(TEST_SHARE * image.shape[1])
    return image[:, cut:] if split == "test" else image[:, :cut]


def cut(images, size, count, rng, split="train", largest=None):
    """Crops with sides log-uniform between `size` and what the region allows, shrunk to `size`.

    Places are uniform, and the photographs take turns.

    Parameters
    ----------
    images : sequence of uint8 arrays (height, width, 3)
    size : int
        Pixels along a side.
    count : int
        Crops.
    rng : NumPy Generator
        The first n crops of a longer call are those of a call for n.
    split : {"train", "test"}
    largest : int or None
        Sides at most, in the photograph's pixels; None: the shorter side of the region. One value
        for both splits gives both the same scales.

    Returns
    -------
    pixels : uint8 ndarray (count, size, size, 3)
    photograph, scale : int64 ndarrays (count,)
        Which photograph, and floor(2 log2(side / size)).

    Raises
    ------
    ValueError
        If a region is smaller than `size`, or an argument is not of these kinds.
    """
    size = validate.integer("size", size, most=MOST_PIXELS)
    count = validate.integer("count", count, each=3 * size**2 + 128)
    validate.instance("rng", rng, np.random.Generator)
    if not np.iterable(images) or not len(images := list(images)):
        raise ValueError(f"images must be photographs, got {validate.one_line(images)}")
    regions = [np.ascontiguousarray(region(image, one_of_splits(split))) for image in images]
    shortest = np.array([min(image.shape[:2]) for image in regions])
    if size > shortest.min():
        raise ValueError(
            f"size must be at most {shortest.min()}, the {split} region's side, got {size}"
        )
    if largest is not None:
        shortest = np.minimum(shortest, validate.integer("largest", largest, least=size))
    photograph = np.arange(count) % len(regions)
    u, x, y = rng.random((count, 3)).T
    most = shortest[photograph]
    side = _sides(size, most, u)
    pixels = np.empty((count, size, size, 3), np.uint8)
    for row, (which, s) in enumerate(zip(photograph, side, strict=True)):
        pixels[row] = _window(regions[which], s, x[row], y[row], size)
    return pixels, photograph, _scales(size, side)


def octaves(image, size):
    """A photograph, and its halves, quarters and so on, as long as `size` fits into them.

    Parameters
    ----------
    image : uint8 array (height, width, 3)
    size : int
        Pixels along a side.

    Returns
    -------
    list of uint8 ndarray (height, width, 3)
        Each the mean of two by two pixels of the one before; an odd last row or column is left out.

    Raises
    ------
    ValueError
        If the photograph is smaller than `size`, or an argument is not of these kinds.
    """
    size = validate.integer("size", size, most=MOST_PIXELS)
    levels = [np.ascontiguousarray(picture("image", image))]
    if size > min(levels[0].shape[:2]):
        raise ValueError(f"size must be at most {min(levels[0].shape[:2])}, its side, got {size}")
    while min(levels[-1].shape[:2]) >= 2 * size:
        height, width = (side // 2 for side in levels[-1].shape[:2])
        pairs = levels[-1][: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3)
        # four bytes add up to 1020: two for rounding
        levels.append(((pairs.sum((1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8))
    return levels


def fresh(photographs, size, count, rng):
    """Crops as `cut` draws them, but from photographs at random, and fast enough for every step.

    A crop is taken from the octave in which it is between one and two times `size` large.

    Parameters
    ----------
    photographs : sequence of lists
        Of `octaves`, one a photograph, for this `size`.
    size, count : int
    rng : NumPy Generator

    Returns
    -------
    pixels : uint8 ndarray (count, size, size, 3)
    photograph, scale : int64 ndarrays (count,)
        As of `cut`.

    Raises
    ------
    ValueError
        If an argument is not of these kinds.
    """
    size = validate.integer("size", size, most=MOST_PIXELS)
    count = validate.integer("count", count, each=3 * size**2 + 128)
    validate.instance("rng", rng, np.random.Generator)
    if not np.iterable(photographs) or not len(photographs := list(photographs)):
        told = validate.one_line(photographs)
        raise ValueError(f"photographs must be lists of octaves, got {told}")
    for number, levels in enumerate(photographs):
        if not isinstance(levels, list) or not levels:
            told = validate.one_line(levels)
            raise ValueError(f"photographs[{number}] must be a list of octaves, got {told}")
        shortest = min(picture(f"photographs[{number}]", levels[0]).shape[:2])
        if shortest < size:
            raise ValueError(f"size must be at most {shortest}, a photograph's side, got {size}")
    photograph = rng.integers(len(photographs), size=count)
    u, x, y = rng.random((count, 3)).T
    most = np.array([min(levels[0].shape[:2]) for levels in photographs])[photograph]
    side = _sides(size, most, u)
    pixels = np.empty((count, size, size, 3), np.uint8)
    for row, which in enumerate(photograph):
        levels = photographs[which]
        level = min(int(side[row] / size).bit_length(), len(levels)) - 1
        pixels[row] = _window(levels[level], side[row] >> level, x[row], y[row], size)
    return pixels, photograph, _scales(size, side)


def picture(name, image):
    """`image`, called `name`, if it is an array (height, width, 3), or ValueError."""
    shape = validate.real(name, image).shape
    if not validate.fits(shape, ("height", "width", 3)):
        raise ValueError(f"{name} must be an array (height, width, 3), got shape {shape}")
    return image


def _window(image, side, x, y, size):
    """The square of `side` pixels at (x, y), shares of the way to the last place, shrunk."""
    from PIL import Image

    top, left = int(y * (image.shape[0] - side + 1)), int(x * (image.shape[1] - side + 1))
    return shrunk(Image.fromarray(image[top : top + side, left : left + side]), size)


def _sides(size, most, u):
    """Sides (count,) log-uniform from `size` to `most`, of uniform numbers u."""
    return np.floor(size * ((most + 1) / size) ** u).astype(int).clip(size, most)


def _scales(size, side):
    """floor(2 log2(side / size)), int64."""
    # the exponent, not a logarithm: at a side of exactly 2 or 4 sizes rounding would decide
    return np.frexp((side / size) ** BINS_PER_OCTAVE)[1].astype(np.int64) - 1


def one_of_splits(split):
    """`split` if it is one, or ValueError."""
    return validate.option("split", split, SPLITS)
