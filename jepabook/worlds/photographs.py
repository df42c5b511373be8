"""Pairs of views cut from the photographs that scikit-image and scikit-learn ship.

Needs the extra ``photographs``. Views are grey patches as rows: arrays (count, size * size) of
values between 0 and 1.
"""

import numpy as np

from jepabook._support import validate

SCIKIT_IMAGE = ("astronaut", "chelsea", "coffee", "rocket")
SCIKIT_LEARN = ("china", "flower")
LARGEST = 10**4  # pixels along a side of a patch


def colour():
    """The photographs as they are shipped.

    Returns
    -------
    dict of str to uint8 ndarray (height, width, 3)
    """
    from skimage import data
    from sklearn.datasets import load_sample_image

    shipped = {name: getattr(data, name)() for name in SCIKIT_IMAGE}
    return shipped | {name: load_sample_image(f"{name}.jpg") for name in SCIKIT_LEARN}


def load():
    """The photographs in grey.

    Returns
    -------
    dict of str to ndarray (height, width)
        Luminance between 0 and 1.
    """
    from skimage.color import rgb2gray

    return {name: rgb2gray(image) for name, image in colour().items()}


def stereo_pair():
    """The rectified stereo pair ``motorcycle`` in grey, and its disparity.

    Returns
    -------
    left, right : ndarrays (height, width)
    disparity : ndarray (height, width)
        What is at column c of the left picture is at column c - disparity of the right one; NaN
        where it is not known.
    """
    from skimage import data
    from skimage.color import rgb2gray

    left, right, disparity = data.stereo_motorcycle()
    known = np.where(np.isfinite(disparity), disparity, np.nan)
    return rgb2gray(left), rgb2gray(right), known


def masked(images, size, count, visible, seed):
    """Views of one patch: x shows a random share of its pixels, y the others; eq. (123).

    The mean of all patches is subtracted pixel by pixel before masking.

    Parameters
    ----------
    images : dict of str to ndarray (height, width)
        Every photograph gives the same number of patches, up to one.
    size : int
        Pixels along a side.
    count : int
        Pairs.
    visible : float
        Share of the pixels in x.
    seed : int

    Returns
    -------
    x, y : ndarrays (count, size * size)
    """
    visible = validate.number("visible", visible, validate.open_unit)
    rng, size = validate.generator(seed), validate.integer("size", size, most=LARGEST)
    patches = _cut(images, size, size, count, rng)
    patches = patches.reshape(len(patches), -1)
    patches -= patches.mean(0)
    mask = rng.random(patches.shape) < visible
    return np.where(mask, patches, 0.0), np.where(mask, 0.0, patches)


def neighbours(images, size, count, seed, gap=0):
    """Views of two patches side by side, `gap` pixels apart; either may be x.

    Parameters as for `masked`.

    Returns
    -------
    x, y : ndarrays (count, size * size)
    """
    gap = validate.integer("gap", gap, least=0, most=LARGEST)
    rng, size = validate.generator(seed), validate.integer("size", size, most=LARGEST)
    strips = _cut(images, size, 2 * size + gap, count, rng)
    left, right = strips[:, :, :size], strips[:, :, size + gap :]
    count = len(strips)
    swap = rng.random((count, 1, 1)) < 0.5
    x, y = np.where(swap, right, left), np.where(swap, left, right)
    return x.reshape(count, -1), y.reshape(count, -1)


def stereo(size, count, seed):
    """Views of one patch by the two eyes of the stereo pair.

    Parameters
    ----------
    size, count, seed
        As for `masked`.

    Returns
    -------
    x, y : ndarrays (count, size * size)
        x from the left picture, y from where the right one has it: the disparity is that of the
        patch's centre.
    """
    size = validate.integer("size", size, most=LARGEST)
    count = validate.integer("count", count, each=32 * size**2)
    rng = validate.generator(seed)
    left, right, disparity = stereo_pair()
    left, right = (_windows(image, size, size) for image in (left, right))
    half = size // 2
    shift = disparity[half : half + left.shape[0], half : half + left.shape[1]]
    columns = np.arange(left.shape[1]) - np.round(shift)
    rows, starts = np.nonzero(columns >= 0)
    chosen = rng.integers(len(rows), size=count)
    rows, starts = rows[chosen], starts[chosen]
    ends = columns[rows, starts].astype(int)
    return left[rows, starts].reshape(count, -1), right[rows, ends].reshape(count, -1)


def brightened(x, y, spread, seed):
    """Views whose brightness varies: an independent N(0, spread^2) is added to every row of each.

    Parameters
    ----------
    x, y : arrays (count, d)
    spread : float
        Standard deviation >= 0.
    seed : int

    Returns
    -------
    x, y : ndarrays (count, d)
    """
    spread = validate.number("spread", spread, validate.non_negative)
    rng = validate.generator(seed)
    x, y = (validate.shaped(name, view, ("n", "d")) for name, view in (("x", x), ("y", y)))
    return tuple(view + rng.normal(0.0, spread, (len(view), 1)) for view in (x, y))


def _windows(image, height, width):
    """All windows of an image, a view (rows, columns, height, width)."""
    if height > image.shape[0] or width > image.shape[1]:
        raise ValueError(f"size must leave room in {image.shape} pixels, got {(height, width)}")
    return np.lib.stride_tricks.sliding_window_view(image, (height, width))


def _cut(images, height, width, count, rng):
    """Random windows, (count, height, width), the photographs in turn."""
    count = validate.integer("count", count, each=24 * height * width)
    if not isinstance(images, dict) or not images:
        told = validate.one_line(images)
        raise ValueError(f"images must be a dict of photographs by name, got {told}")
    known = (
        validate.shaped(f"images[{name!r}]", image, ("height", "width"))
        for name, image in images.items()
    )
    cut = np.empty((count, height, width))
    for number, image in enumerate(known):
        windows, places = _windows(image, height, width), slice(number, count, len(images))
        here = len(cut[places])
        rows = rng.integers(windows.shape[0], size=here)
        cut[places] = windows[rows, rng.integers(windows.shape[1], size=here)]
    return cut
