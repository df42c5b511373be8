"""Pixel PCA in one pass: the few directions of most variance, and all the rest.

The split is Balestriero and LeCun's (2024): eigenvalues of the pixels' covariance summed from the
smallest; components whose cumulative share of the variance stays within 25 % are the bottom, all
others the top. Of natural images the top holds some dozens of components and the bottom thousands,
so that only the top's are kept: the bottom's projection is what the top's leaves.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from jepabook._support import memory, tensors, validate
from jepabook._support.canonical import pointed
from jepabook.spectrum.backend import backend
from jepabook.spectrum.moments import Gram

WHICH = ("full", "top", "bottom")
LEVELS = 255  # of uint8 pixels above 0
FEW = 32  # leading eigenvectors that Lanczos' method looks for at least
AHEAD = 1.25  # as many times as must be, so that few tries are needed
MOST = 1 / 8  # of all: for more of them the full decomposition is faster
# matrices (d, d) held at once at most. On the CPU the covariance, its eigenvectors, and a copy of
# those in the top; on a GPU the covariance, torch's copy, a workspace of two, and one to spare
MATRICES = {"cpu": 3, "cuda": 5}


@dataclass(frozen=True, eq=False)
class Subspaces:
    """The mean image and the directions of most variance of images' pixels, in [0, 1].

    Attributes
    ----------
    size : int
        Pixels along a side; d = 3 size^2.
    mean : float64 array (d,)
    directions : float64 array (d, k)
        Of the top subspace: orthonormal columns by falling variance, largest entry positive.
    variances : float64 array (k,)
        Along them.
    total : float
        The variance along all d directions.
    share : float
        Of the total that the bottom subspace explains at most.
    """

    size: int
    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    total: float
    share: float


def fit(pixels, bottom=0.25, device="auto", block=1024):
    """Find the top subspace of images in one pass.

    Time grows as n d^2 for the covariance, then as d^2 for each product of Lanczos' method; spectra
    so flat that the top holds more than about d/8 components need a full decomposition, of order
    d^3, as a GPU always makes.

    Parameters
    ----------
    pixels : uint8 array or memmap (n, size, size, 3)
    bottom : float
        Share of the variance that the bottom subspace explains at most, in (0, 1).
    device : {"auto", "cpu", "cuda"}
        auto: a GPU if torch sees one.
    block : int
        Images taken in at a time.

    Returns
    -------
    Subspaces

    Raises
    ------
    ValueError
        In one line: no such pixels, fewer than two images, images that are all the same, or less
        free memory on the device than three matrices (d, d) (on a GPU five) in float64 need.
    """
    size = validate.pictures("pixels", pixels, least=2).shape[1]
    bottom = validate.number("bottom", bottom, validate.open_unit)
    block, machine = min(validate.integer("block", block), len(pixels)), backend(device)
    width = 3 * size**2
    on_gpu = getattr(machine.zeros(0), "is_cuda", False)
    need = 8 * width * (block + MATRICES["cuda" if on_gpu else "cpu"] * width)
    free = torch.cuda.mem_get_info()[0] if on_gpu else memory.free()
    if need > free:
        raise ValueError(
            f"pixels must be of a size whose covariances fit in memory: {size} a side need "
            f"{need / 1e9:.2f} GB, got {free / 1e9:.2f} GB that are free"
        )
    gram = Gram(width, machine)
    for start in range(0, len(pixels), block):
        gram.add(pixels[start : start + block].reshape(-1, width))
    count, mean, squares = gram.close()
    total = float(squares.diagonal().sum())
    if total <= 0:
        raise ValueError(f"pixels must differ between images, got {count} times the same image")
    values, directions = _leading(squares, (1 - bottom) * total)
    unit = LEVELS**2 * (count - 1)
    mean = machine.numpy(mean) / LEVELS
    return Subspaces(size, mean, pointed(directions), values / unit, total / unit, bottom)


def project(subspaces, pixels, which, block=1024):
    """Images without what they have in the other subspace; the mean image stays.

    Less the mean image, the projections on "top" and "bottom" add up to the whole, "full".

    Parameters
    ----------
    subspaces : Subspaces
    pixels : tensor or array (n, size, size, 3)
        uint8, or floating-point numbers in [0, 1].
    which : {"full", "top", "bottom"}
    block : int
        Images worked on at a time.

    Returns
    -------
    float32 tensor (n, size, size, 3)
        In the scale [0, 1], beyond which projections may reach; where the pixels are (arrays: on
        the CPU).

    Raises
    ------
    ValueError
        In one line, if an argument is not of these kinds.
    """
    validate.instance("subspaces", subspaces, Subspaces)
    validate.option("which", which, WHICH)
    block = validate.integer("block", block)
    if torch.is_tensor(pixels):
        tensors.dense("pixels", pixels)
    elif isinstance(pixels, np.ma.MaskedArray) or not isinstance(pixels, np.ndarray):
        told = validate.one_line(pixels)
        raise ValueError(f"pixels must have shape (n, size, size, 3), got {told}")
    if _size(pixels) != subspaces.size:
        raise ValueError(
            f"pixels must have {subspaces.size} a side, as the subspaces, got {_size(pixels)}"
        )
    # a copy of no image shows the type, also of a memmap that torch could not share
    whole = not torch.is_tensor(pixels)
    if whole and not (pixels.dtype == np.uint8 or pixels.dtype.kind == "f"):
        raise ValueError(f"pixels must be uint8 or floating-point numbers, got {pixels.dtype}")
    like = torch.as_tensor(np.array(pixels[:0]) if whole else pixels[:0])
    scale = LEVELS if like.dtype == torch.uint8 else 1
    if scale == 1 and not like.is_floating_point():
        raise ValueError(f"pixels must be uint8 or floating-point numbers, got {pixels.dtype}")
    projected = torch.empty(pixels.shape, dtype=torch.float32, device=like.device)
    mean, directions = (
        torch.as_tensor(part, dtype=torch.float32, device=like.device)
        for part in (subspaces.mean, subspaces.directions)
    )
    for start in range(0, len(pixels), block):
        rows = pixels[start : start + block]
        rows = torch.as_tensor(rows if torch.is_tensor(rows) else np.array(rows))
        rows = rows.reshape(-1, len(mean)).to(torch.float32) / scale
        if which != "full":
            top = ((rows - mean) @ directions) @ directions.mT
            rows = mean + top if which == "top" else rows - top
        projected[start : start + block] = rows.reshape(-1, *pixels.shape[1:])
    return projected


def _size(pixels):
    """The side of images (n, size, size, 3)."""
    shape = tuple(getattr(pixels, "shape", ()))
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2] or shape[1] < 1:
        raise ValueError(f"pixels must have shape (n, size, size, 3), got {shape}")
    return shape[1]


def _leading(matrix, aim):
    """The fewest leading eigenvalues that sum to `aim` or more, and their vectors, as arrays.

    With an aim of 1 - b of the trace these are all components but those whose sum from the
    smallest stays within b. The matrix, of NumPy or of torch, is used up.
    """
    if torch.is_tensor(matrix):
        values, vectors = torch.linalg.eigh(matrix)
        values = values.cpu().numpy()
    else:
        # in place: LAPACK takes the transpose, the same matrix, as it lies
        values, vectors = _lanczos(matrix, aim) or scipy.linalg.eigh(
            matrix.T, overwrite_a=True, check_finite=False, driver="evr"
        )
    most = len(values)
    count = min(most, 1 + np.count_nonzero(np.cumsum(values[::-1]) < aim))
    vectors = vectors[:, most - count :]
    vectors = vectors.cpu().numpy() if torch.is_tensor(vectors) else vectors
    return values[::-1][:count].copy(), np.ascontiguousarray(vectors[:, ::-1])


def _lanczos(matrix, aim):
    """Rising leading eigenvalues with a sum of at least `aim`, and vectors; None if too many."""
    most, start = int(MOST * len(matrix)), np.random.default_rng(0).standard_normal(len(matrix))
    # the k largest sum to sqrt(k) |matrix| at most (Cauchy and Schwarz)
    fewest = (aim / np.linalg.norm(matrix)) ** 2
    while max(FEW, fewest) <= most:
        count = min(most, max(FEW, int(AHEAD * fewest)))
        try:
            values, vectors = eigsh(matrix, count, which="LA", v0=start)
        except ArpackNoConvergence:
            return None
        missing = aim - values.sum()
        if missing <= 0:
            return values, vectors
        if values[0] <= 0:
            return None
        fewest = count + missing / values[0]  # those that follow are no larger
    return None
