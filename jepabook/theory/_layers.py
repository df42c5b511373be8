"""Products and gradients of layers, of NumPy or of torch. Nothing here checks its input."""

from itertools import accumulate
from operator import matmul

import numpy as np


def partial_products(layers, matmul=matmul):
    """W_1, W_2 W_1, ..., W_n ... W_1 as a list, of layers (n, ..., d, d), NumPy or torch.

    `matmul` as for `layer_gradients`.
    """
    return list(accumulate(layers, lambda below, layer: matmul(layer, below)))


def layer_gradients(layers, products, residual, matmul=matmul):
    """The gradient by every layer of a loss whose gradient by the whole product is `residual`.

    By layer a it is (W_n ... W_{a+1})' R (W_{a-1} ... W_1)', eqs. (20), (21), (24), (25).

    Parameters
    ----------
    layers : NumPy array or torch tensor (n, ..., d, d)
    products : list of n arrays (..., d, d)
        The layers' `partial_products`.
    residual : array (..., d, d)
    matmul : callable, optional
        A faster product for the kind of array at hand.

    Returns
    -------
    list of n arrays (..., d, d)
    """
    gradients = []
    for a in range(len(layers) - 1, 0, -1):
        gradients.append(matmul(residual, products[a - 1].mT))
        residual = matmul(layers[a].mT, residual)
    return [residual, *reversed(gradients)]


def gradient(objective, weights, sigma_xx, sigma_yx):
    """The gradient of eq. (5) by all weights, NumPy arrays; see `matrix_flow.gradient`."""
    products = partial_products(weights)
    target = products[-2] @ sigma_yx if objective.targets_encoder else sigma_yx
    residual = products[-1] @ sigma_xx - target
    return np.stack(layer_gradients(weights, products, residual))
