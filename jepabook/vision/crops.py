"""Square crops at many scales from photographs, for training and testing from disjoint regions."""

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
    shape = validate.real("image", image).shape
    if not validate.fits(shape, ("height", "width", 3)):
        raise ValueError(f"image must be an array (height, width, 3), got shape {shape}")
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
    from PIL import Image

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
    side = np.floor(size * ((most + 1) / size) ** u).astype(int).clip(size, most)
    pixels = np.empty((count, size, size, 3), np.uint8)
    for row, (which, s) in enumerate(zip(photograph, side, strict=True)):
        image = regions[which]
        top, left = int(y[row] * (len(image) - s + 1)), int(x[row] * (image.shape[1] - s + 1))
        pixels[row] = shrunk(Image.fromarray(image[top : top + s, left : left + s]), size)
    # the exponent, not a logarithm: at a side of exactly 2 or 4 sizes rounding would decide
    scale = np.frexp((side / size) ** BINS_PER_OCTAVE)[1].astype(np.int64) - 1
    return pixels, photograph, scale


def one_of_splits(split):
    """`split` if it is one, or ValueError."""
    return validate.option("split", split, SPLITS)
