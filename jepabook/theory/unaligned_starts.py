"""Starts of a network, from aligned layers to independent Gaussian ones.

Weights are arrays (L + M, d, d): the encoder's L layers, then the decoder's M (M = 1 in the paper),
the layer that acts first standing first.
"""

import numpy as np
from scipy.linalg import expm
from scipy.stats import ortho_group

from jepabook._support import validate


def aligned_layers(objective, scales, seed, decoder_depth=1):
    """Layers W_a = Q_a diag(scales[a - 1]) Q_{a-1}' with random orthogonal Q_a and Q_0 = I.

    At the decoder's end stands Q_L for JEPA and I for MAE, as the direct proof of chapter 7 needs.

    Parameters
    ----------
    objective : Objective
    scales : array (L + M, d)
        Singular values, one for every layer and feature, > 0. All equal: Assumption 3.1.
    seed : int or NumPy Generator
    decoder_depth : int
        M >= 1.

    Returns
    -------
    ndarray (L + M, d, d)
    """
    validate.objective(objective)
    scales = validate.positive("scales", scales)
    decoder_depth = validate.layers("decoder_depth", decoder_depth)
    depth = len(np.atleast_1d(scales)) - decoder_depth
    if scales.ndim != 2 or scales.shape[1] < 2 or depth < 1:
        raise ValueError(
            f"scales must be (L + M, d) with d > 1, L > 0, M = {decoder_depth}, got {scales.shape}"
        )
    width = validate.width(len(scales), scales.shape[1])
    q = ortho_group.rvs(width, size=len(scales), random_state=validate.generator(seed))
    q = np.concatenate([np.eye(width)[None], q.reshape(-1, width, width)])
    q[-1] = q[depth] if objective.targets_encoder else q[0]
    return q[1:] * scales[:, None, :] @ q[:-1].mT


def rotation(width, angle, seed):
    """A random rotation of R^width whose largest angle is `angle` (radians, 0 to pi)."""
    width = validate.width(1, width)
    angle = validate.number("angle", angle)
    generator = validate.generator(seed).standard_normal((width, width))
    generator = generator - generator.T
    return expm(angle * generator / np.linalg.norm(generator, 2))


def loosened(weights, gain, share, seed):
    """Layers on the way from `weights` (share 0) to independent Gaussian ones (share 1).

    sqrt(1 - share^2) W_a + share N_a with entries of N_a ~ N(0, gain^2 / d).
    """
    weights = validate.finite("weights", weights)
    if weights.ndim < 3 or weights.shape[-1] != weights.shape[-2]:
        raise ValueError(f"weights must have shape (n, ..., d, d), got {weights.shape}")
    gain = validate.number("gain", gain, validate.non_negative)
    share = validate.number("share", share)
    validate.where("share", share, 0 <= share <= 1, "must lie in [0, 1]")
    noise = validate.generator(seed).standard_normal(weights.shape)
    noise *= gain / weights.shape[-1] ** 0.5
    return np.sqrt(1 - share**2) * weights + share * noise
