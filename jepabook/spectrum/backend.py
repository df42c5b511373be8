"""NumPy, or torch on a GPU: the few operations in which they differ."""

import importlib.util

import numpy as np
from scipy.linalg import blas

from jepabook._support import memory, validate

DEVICES = ("auto", "cpu", "cuda")
TILE = 256


class _NumPy:
    """float64 arrays."""

    on_gpu = False

    def __init__(self):
        self._scratch = {}

    def free(self):
        """Bytes of memory that are free where it computes."""
        return memory.free()

    def zeros(self, *shape):
        return np.zeros(shape)

    def array(self, array):
        return array

    def numpy(self, array):
        return array

    def single(self, array):
        return array.astype(np.float32)

    def double(self, array):
        return array.astype(np.float64)

    def eye(self, width):
        return np.eye(width)

    def eigh(self, matrix):
        return np.linalg.eigh(matrix)

    def rotation(self, angles):
        """Cayley's rotation (1 - K/2)^-1 (1 + K/2) = 1 + K + ... of an antisymmetric K."""
        half, one = angles / 2, np.eye(len(angles), dtype=angles.dtype)
        return np.linalg.solve(one - half, one + half)

    def along(self, directions, matrix, symmetric=False):
        """u' M u for every column u: half a product, for only a triangle of M is needed.

        With L the lower triangle of the symmetric part, diagonal included, u' M u is
        2 u' L u - sum_i M_ii u_i^2.
        """
        diagonal = matrix.diagonal()
        if not symmetric:
            matrix = matrix + matrix.T
            matrix *= 0.5
        # what is in Fortran's order, as transposes of ours are, is not copied element by element
        part = blas.dtrmm(1.0, matrix.T, directions.T, side=1, lower=0).T
        part *= directions
        return 2 * part.sum(0) - diagonal @ directions**2

    def centred(self, view, rows, shift):
        """rows - shift, in the memory of the last such call for the same view (0 or 1)."""
        scratch = self._scratch.get(view)
        if scratch is None or scratch.shape[1] != rows.shape[1] or len(scratch) < len(rows):
            scratch = self._scratch[view] = np.empty(rows.shape)
        return np.subtract(rows, shift, out=scratch[: len(rows)])

    # BLAS adds in place to arrays in Fortran's order, such as the transposes of ours

    def add_gram(self, total, rows):
        """total += rows' rows, the lower triangle only."""
        blas.dsyrk(1.0, rows.T, beta=1.0, c=total.T, overwrite_c=1)

    def add_product(self, total, left, right):
        """total += left' right."""
        blas.dgemm(1.0, right.T, left.T, trans_b=1, beta=1.0, c=total.T, overwrite_c=1)

    def add_outer(self, total, left, right):
        """total += left right'."""
        blas.dger(1.0, right, left, a=total.T, overwrite_a=1)

    def mirror(self, total):
        """Copy the lower triangle to the upper one, tile by tile."""
        for start in range(0, len(total), TILE):
            stop = start + TILE
            total[start:stop, stop:] = total[stop:, start:stop].T
            tile = total[start:stop, start:stop]
            tile += np.tril(tile, -1).T - np.triu(tile, 1)

    def sums(self, rows):
        return np.ones(len(rows)) @ rows

    def squares(self, rows):
        return np.einsum("ij,ij->j", rows, rows)


class _Torch:
    """float64 tensors, on torch's current GPU."""

    def __init__(self, torch, device="cuda"):
        self.torch, self.kind = torch, {"dtype": torch.float64, "device": device}
        self.on_gpu = device == "cuda"

    def free(self):
        return self.torch.cuda.mem_get_info()[0] if self.on_gpu else memory.free()

    def zeros(self, *shape):
        return self.torch.zeros(shape, **self.kind)

    def array(self, array):
        return self.torch.as_tensor(array, **self.kind)

    def numpy(self, tensor):
        return tensor.cpu().numpy()

    def single(self, array):
        return array.float()

    def double(self, array):
        return array.double()

    def eye(self, width):
        return self.torch.eye(width, **self.kind)

    def along(self, directions, matrix, symmetric=False):
        return ((matrix @ directions) * directions).sum(0)

    def eigh(self, matrix):
        return self.torch.linalg.eigh(matrix)

    def rotation(self, angles):
        half, one = angles / 2, self.torch.eye(len(angles), **self.kind | {"dtype": angles.dtype})
        return self.torch.linalg.solve(one - half, one + half)

    def centred(self, view, rows, shift):
        # a copy, for torch warns of memory that it may not write, and of a type that torch has
        single = np.can_cast(rows.dtype, np.float32)
        return self.array(np.array(rows, np.float32 if single else np.float64, order="C")) - shift

    def add_gram(self, total, rows):
        total.addmm_(rows.T, rows)

    def add_product(self, total, left, right):
        total.addmm_(left.T, right)

    def add_outer(self, total, left, right):
        total.addr_(left, right)

    def mirror(self, total):
        """Nothing: both triangles are there."""

    def sums(self, rows):
        return rows.sum(0)

    def squares(self, rows):
        return rows.square().sum(0)


def backend(device):
    """What computes on `device`: "cpu", "cuda", or "auto" for a GPU if torch sees one."""
    validate.option("device", device, DEVICES)
    if device != "cpu" and importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return _Torch(torch)
    if device == "cuda":
        raise ValueError("device must be 'cpu' or 'auto' where torch sees no GPU, got 'cuda'")
    return _NumPy()
