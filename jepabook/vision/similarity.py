"""How alike two representations of the same images are: three means of CCA, CKA, chance levels.

All compare the rows of x (n, p) and y (n, q), representations of n images. Codes in use differ in
thresholds and regularisation, and so in their numbers; here canonical correlations are plain
singular values after a cut of the numerical rank.
"""

from dataclasses import dataclass

import numpy as np
import torch

from jepabook._support import tensors, validate

COPIES = 4  # of both representations, in float64, that are held at once at most, as measured


@dataclass(frozen=True)
class Similarity:
    """A similarity and what independent representations would show.

    Attributes
    ----------
    value : float
        Between 0 and 1.
    chance : float
        For CCA the limit, as n, p and q grow in proportion, for independent Gaussian
        representations of these ranks; for CKA the exact mean over all pairings of the rows.
    ranks : (int, int) or None
        For CCA, numerical ranks of the centred representations.
    """

    value: float
    chance: float
    ranks: tuple | None = None


def mean_cca(x, y, tolerance=1e-6, device="cpu"):
    """The mean of the canonical correlations.

    Parameters
    ----------
    x, y : arrays or tensors (n, p), (n, q)
    tolerance : float
        Singular values of a centred representation below this share of its largest are cut.
    device : torch device

    Returns
    -------
    Similarity
        The mean is over min(ranks) correlations. NaN where a representation is constant.
    """
    tolerance = validate.number("tolerance", tolerance, validate.open_unit)
    bases = [_basis(view, _above(tolerance)) for view in _centred(x, y, device)]
    return _mean(bases, len(x))


def svcca(x, y, share=0.99, device="cpu"):
    """The mean of the canonical correlations of the leading principal components.

    From :cite:t:`raghu2017`.

    Parameters
    ----------
    x, y : arrays or tensors (n, p), (n, q)
    share : float
        Of each representation's variance that its fewest leading components have at least, in
        (0, 1).
    device : torch device

    Returns
    -------
    Similarity
        As of `mean_cca`, with the numbers of components as ranks.
    """
    share = validate.number("share", share, validate.open_unit)

    def few(values):
        explained = values.square().cumsum(0)
        # the last sum, and a share close to 1, are within rounding of each other
        return 1 + int((explained < share * explained[-1]).sum())

    bases = [_basis(view, few) for view in _centred(x, y, device)]
    return _mean(bases, len(x))


def projection_weighted_cca(x, y, tolerance=1e-6, device="cpu"):
    """The mean of the canonical correlations, each weighted by what x has of its direction.

    The weight of a canonical direction is the sum over x's columns of the size of their inner
    products with it (:cite:t:`morcos2018`): directions in which x hardly varies count
    little. Not symmetric in x and y.

    Parameters and results as for `mean_cca`. For independent Gaussian representations the canonical
    directions have no preference among x's, so that the expectation is that of the plain mean.
    """
    tolerance = validate.number("tolerance", tolerance, validate.open_unit)
    views = _centred(x, y, device)
    bases = [_basis(view, _above(tolerance)) for view in views]
    plain = _mean(bases, len(x))
    if min(plain.ranks) == 0:
        return plain
    turns, correlations, _ = torch.linalg.svd(bases[0].mT @ bases[1], full_matrices=False)
    weights = (turns.mT @ (bases[0].mT @ views[0])).abs().sum(1)
    value = (weights * correlations.clamp(max=1.0)).sum() / weights.sum()
    return Similarity(float(value), plain.chance, plain.ranks)


def linear_cka(x, y, device="cpu"):
    """Centred kernel alignment with linear kernels, |Y'X|^2 / (|X'X| |Y'Y|) (Frobenius norms).

    Parameters and results as for `mean_cca`, without a cut and without ranks. From
    :cite:t:`kornblith2019`.
    """
    x, y = _centred(x, y, device)
    scale = torch.linalg.matrix_norm(_smaller_gram(x)) * torch.linalg.matrix_norm(_smaller_gram(y))
    if scale == 0:
        return Similarity(np.nan, np.nan)
    value = (y.mT @ x).square().sum() / scale
    chance = x.square().sum() * y.square().sum() / ((len(x) - 1) * scale)
    return Similarity(float(value), float(chance))


def chance_of_cca(p, q, n, nodes=4000):
    """Mean canonical correlation of independent Gaussians of ranks p and q in n dimensions.

    The limit law of the squared correlations is that of :cite:t:`wachter1980`, with density
    ``sqrt((b - s)(s - a)) / (2 pi c s (1 - s))`` between a and b, c = min(p, q) / n, and mass at 1
    where p + q > n. For p = q much smaller than n the mean is 0.85 sqrt(p / n).

    Parameters
    ----------
    p, q, n : int
        Ranks, at most n, and dimensions.
    nodes : int
        Of the quadrature over the density, 2 to 10^7.

    Returns
    -------
    float
    """
    p, q = sorted((validate.integer("p", p), validate.integer("q", q)))
    n = validate.integer("n", n, least=q)
    nodes = validate.integer("nodes", nodes, least=2, most=10**7)
    small, large = p / n, q / n
    if q == n:
        return 1.0
    edges = (
        small**0.5 * (1 - large) ** 0.5 + np.array([-1, 1]) * (large * (1 - small)) ** 0.5
    ) ** 2
    # s = middle + half cos(angle) takes both square roots into sin^2
    angle = np.pi * (np.arange(nodes) + 0.5) / nodes
    half = (edges[1] - edges[0]) / 2
    s = edges.mean() + half * np.cos(angle)
    density = (half * np.sin(angle)) ** 2 / (2 * np.pi * small * s * (1 - s))
    at_one = max(0.0, (p + q - n) / p)
    return float((density * np.sqrt(s)).mean() * np.pi + at_one)


def _centred(x, y, device):
    """x and y as float64 tensors (n, p), (n, q) with columns of mean 0."""
    device = tensors.device(device)
    for name, view in (("x", x), ("y", y)):
        if torch.is_tensor(view):
            tensors.dense(name, view)
    shapes = tuple(tuple(getattr(view, "shape", ())) for view in (x, y))
    if device.type == "cpu" and all(len(shape) == 2 for shape in shapes):
        # copies, bases, small products of each with itself, and that of both, squared as well
        need = COPIES * sum(n * p + min(n, p) ** 2 for n, p in shapes)
        need = 8 * (need + 2 * shapes[0][1] * shapes[1][1])
        validate.memory("x and y", f"shapes {shapes[0]} and {shapes[1]}", need)
    views = []
    for name, view in (("x", x), ("y", y)):
        view = tensors.numbers(name, view, device)
        if view.ndim != 2 or view.shape[0] < 2 or view.shape[1] < 1:
            raise ValueError(f"{name} must have shape (n > 1, features), got {tuple(view.shape)}")
        if not torch.isfinite(view).all():
            raise ValueError(f"{name} must be finite, got a NaN or an infinity")
        centred = view - view.mean(0)
        rounding = len(view) * torch.finfo(view.dtype).eps * view.abs().amax(0)
        views.append(centred * (centred.abs().amax(0) > rounding))
    if len(views[0]) != len(views[1]):
        raise ValueError(f"x and y must have one row per image, got {len(x)} and {len(y)}")
    return views


def _above(tolerance):
    """A count of the falling singular values above a share of the first."""
    return lambda values: int((values > tolerance * values[0]).sum())


def _basis(view, count):
    """Orthonormal directions (n, rank) of the columns, as many as `count` of the values says."""
    left, values, _ = torch.linalg.svd(view, full_matrices=False)
    return left[:, : count(values) if values[0] > 0 else 0]


def _mean(bases, n):
    """The plain mean of the canonical correlations of two bases (n, rank), a Similarity."""
    ranks = tuple(basis.shape[1] for basis in bases)
    if min(ranks) == 0:
        return Similarity(np.nan, np.nan, ranks)
    correlations = torch.linalg.svdvals(bases[0].mT @ bases[1]).clamp(max=1.0)
    # centring takes one of the n dimensions
    return Similarity(float(correlations.mean()), chance_of_cca(*ranks, n - 1), ranks)


def _smaller_gram(view):
    """X'X or XX', whichever is smaller: their norms are the same."""
    return view.mT @ view if view.shape[1] <= len(view) else view @ view.mT
