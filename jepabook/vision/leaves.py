"""Dead leaves: discs that hide each other, drawn exactly and antialiased.

Leaves fall one over the other for ever; the picture is what is seen from above. Seen that way the
youngest leaf comes first, so discs are drawn from front to back until every sample of every pixel
is covered: an exact sample of the stationary law, with no trace of a start or of the border.
With a density of radii proportional to r^-3 no scale is preferred between the two cut-offs.
Sources: A. B. Lee, D. Mumford, J. Huang, "Occlusion models for natural images", 2001; from above:
W. S. Kendall, E. Thönnes, "Perfect simulation in stochastic geometry", 1999.
"""

import numpy as np

from jepabook._support import validate

MOST_PIXELS = 4096  # along a side
LEAST_SIDE = 1e-3  # of a picture, the smallest disc's radius
TOGETHER = 2**23  # samples of the pictures that are drawn at a time
LAYERS = 4  # times that discs cover the picture before the few samples left are listed
BLOCK = 32  # discs between two looks at which samples are left


def draw(size, count, rng, smallest=1.0, largest=None, palette=None, samples=2):
    """Pictures of dead leaves, and how many leaves are seen in each.

    Parameters
    ----------
    size : int
        Pixels along a side.
    count : int
        Pictures.
    rng : NumPy Generator
    smallest, largest : float
        Cut-offs of the radius in pixels; None for `largest` means `size`.
    palette : uint8 array (m, 3) or None
        Every leaf takes one of these colours at random; None: uniform in the RGB cube.
    samples : int
        A pixel is the mean of samples x samples points.

    Returns
    -------
    pixels : uint8 ndarray (count, size, size, 3)
    leaves : int64 ndarray (count,)

    Raises
    ------
    ValueError
        If an argument is not of these kinds, or 0 < smallest < largest does not hold.
    """
    size = validate.integer("size", size, most=MOST_PIXELS)
    samples = validate.integer("samples", samples, most=16)
    validate.memory("size", size, 32 * (size * samples) ** 2)
    count = validate.integer("count", count, each=3 * size**2 + 8)
    validate.instance("rng", rng, np.random.Generator)
    smallest = validate.number("smallest", smallest, validate.positive)
    largest = size if largest is None else largest
    largest = validate.number("largest", largest, validate.positive)
    if not smallest < largest:
        raise ValueError(f"largest must be above smallest = {smallest}, got {largest}")
    if not smallest >= LEAST_SIDE * size:  # the smaller the discs, the more must fall
        raise ValueError(f"smallest must be at least {LEAST_SIDE} of the size, got {smallest}")
    palette = _palette(palette)
    pixels, leaves = np.empty((count, size, size, 3), np.uint8), np.empty(count, np.int64)
    together = max(1, TOGETHER // (size * samples) ** 2)
    discs = _Discs(size, samples, smallest, largest, rng)
    for start in range(0, count, together):
        part = slice(start, min(count, start + together))
        here = part.stop - start
        label, leaves[part], last = _covered(here, size * samples, discs)
        if palette is None:
            colours = rng.integers(256, size=(here, last, 3), dtype=np.uint8)
        else:
            colours = palette[rng.integers(len(palette), size=(here, last))]
        pixels[part] = _averaged(label, colours, samples)
    return pixels, leaves


class _Discs:
    """Discs in units of a sample's spacing, from those alone that can touch the picture.

    A radius r is drawn with density proportional to r^-3 (side + 2 r)^2, the second factor being
    the area of the centres from which such a disc can touch a picture of that side.
    """

    def __init__(self, size, samples, smallest, largest, rng):
        self.rng, self.side = rng, size * samples
        self.smallest, self.largest = smallest * samples, largest * samples
        # the antiderivatives of the three terms side^2 r^-3 + 4 side r^-2 + 4 r^-1
        a, b, side = self.smallest, self.largest, self.side
        parts = [side**2 * (a**-2 - b**-2) / 2, 4 * side * (1 / a - 1 / b), 4 * np.log(b / a)]
        self.edges = np.cumsum(parts) / sum(parts)
        # the mean share of the picture that one such disc covers
        self.share = np.pi * np.log(b / a) / sum(parts)

    def draw(self, count):
        """Centres and radii: arrays x, y, r (count,); samples lie at 0.5, 1.5, ..."""
        a, b, (which, u, x, y) = self.smallest, self.largest, self.rng.random((4, count))
        radius = np.select(
            [which < self.edges[0], which < self.edges[1]],
            [1 / np.sqrt(a**-2 + u * (b**-2 - a**-2)), 1 / (1 / a + u * (1 / b - 1 / a))],
            a * (b / a) ** u,
        )
        span = self.side + 2 * radius
        return x * span - radius, y * span - radius, radius


def _covered(count, side, discs):
    """The number of the leaf seen at every sample (count, side, side), leaves seen, leaves drawn.

    First every disc is compared with the samples of a window around it; once most samples are
    covered, with the list of those that are not.
    """
    label = np.full((count, side, side), -1, np.int32)
    leaves = np.zeros(count, np.int64)
    first = int(np.ceil(LAYERS / discs.share))
    # half-octaves of the radius share a window's width
    octaves = np.log2(discs.largest / discs.smallest)
    diameters = 2 * discs.smallest * 2 ** np.append(np.arange(0.5, octaves, 0.5), octaves + 0.01)
    widths = np.unique(np.minimum(np.ceil(diameters).astype(int) + 1, side))
    for number in range(first):
        x, y, radius = discs.draw(count)
        window = np.searchsorted(widths, np.minimum(2 * radius + 1, side))
        for w, width in enumerate(widths):
            who = np.flatnonzero(window == w)
            if len(who):
                seen = _stamp(label, number, who, x[who], y[who], radius[who], width)
                leaves[who] += seen
    flat = label.reshape(-1)
    left = np.flatnonzero(flat < 0)
    number = first
    while len(left):
        alive, owner = np.unique(left // side**2, return_inverse=True)
        at_y, at_x = np.divmod(left % side**2, side)
        found = np.full(len(left), -1, np.int32)
        discs_here = discs.draw(BLOCK * len(alive))
        for x, y, radius in zip(*(c.reshape(BLOCK, -1) for c in discs_here), strict=True):
            gap_x, gap_y = at_x - (x - 0.5)[owner], at_y - (y - 0.5)[owner]
            inside = np.flatnonzero(gap_x**2 + gap_y**2 < (radius**2)[owner])
            inside = inside[found[inside] < 0]
            found[inside] = number
            leaves[alive[np.unique(owner[inside])]] += 1
            number += 1
        flat[left] = found
        left = left[found < 0]
    return label, leaves, number


def _stamp(label, number, who, x, y, radius, width):
    """Draw one disc behind what is there in each of the pictures `who`; whether any is seen."""
    side = label.shape[1]
    left, top = (np.ceil(c - radius - 0.5).astype(int).clip(0, side - width) for c in (x, y))
    along = np.arange(width)
    columns, rows = left[:, None] + along, top[:, None] + along
    inside = ((rows + 0.5 - y[:, None]) ** 2)[:, :, None] + ((columns + 0.5 - x[:, None]) ** 2)[
        :, None
    ] < (radius**2)[:, None, None]
    places = ((who[:, None] * side + rows) * side)[:, :, None] + columns[:, None]
    flat = label.reshape(-1)
    places = places[inside]
    free = flat[places] < 0
    flat[places[free]] = number
    owner = np.repeat(np.arange(len(who)), inside.sum((1, 2)))[free]
    return np.bincount(owner, minlength=len(who)) > 0


def _averaged(label, colours, samples):
    """Pixels: means of the colours (count, leaves, 3) at samples x samples points, rounded."""
    count, side, _ = label.shape
    size = side // samples
    total = np.zeros((count, size, size, 3), np.uint32)
    which = np.arange(count)[:, None, None]
    for row in range(samples):
        for column in range(samples):
            total += colours[which, label[:, row::samples, column::samples]]
    return ((total + samples**2 // 2) // samples**2).astype(np.uint8)


def _palette(palette):
    if palette is None:
        return None
    palette = validate.real("palette", palette)
    if palette.dtype != np.uint8 or palette.ndim != 2 or palette.shape[1] != 3 or not len(palette):
        raise ValueError(
            f"palette must be a uint8 array (m, 3), got {palette.dtype} of shape {palette.shape}"
        )
    return palette
