"""Where balanced layers of full rank rest, whether the covariances commute or not (ours)."""

import numpy as np

from jepabook._support import validate


def final_encoder(objective, sigma_xx, sigma_yx, depth, tolerance=1e-13):
    """The encoder, up to a rotation of its output, where balanced layers of full rank rest.

    A root S of G = S'S, the positive definite solution of B'GB = G^(1+1/L) (JEPA) or
    B'B = G^(1+1/L) (MAE) with B = Sigma_yx Sigma_xx^-1. For JEPA the iteration
    G <- (B'GB)^(L/(L+1)) from I contracts Thompson's metric by L / (L + 1) a step; its first step
    is MAE's G.

    Parameters
    ----------
    objective : Objective
    sigma_xx, sigma_yx : arrays (d, d)
        sigma_xx positive definite, sigma_yx invertible.
    depth : int
    tolerance : float
        Largest change of G in the last step, relative to its largest entry.

    Returns
    -------
    ndarray (d, d)
        |S u| is the final size along a unit vector u.
    """
    validate.objective(objective)
    depth = validate.depth(depth)
    tolerance = validate.number("tolerance", tolerance, validate.positive)
    sigma_xx, sigma_yx = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    validate.positive_definite("sigma_xx", sigma_xx)
    regression = np.linalg.solve(sigma_xx, sigma_yx.T).T
    root = gram = np.eye(len(sigma_xx))
    for _ in range(100 * depth):
        # from S B = P diag(s) Q' the next root is diag(s)^(L/(L+1)) Q'
        _, scales, rows = np.linalg.svd(root @ regression)
        root = scales[:, None] ** (depth / (depth + 1)) * rows
        before, gram = gram, root.T @ root
        settled = np.abs(gram - before).max() <= tolerance * np.abs(gram).max()
        if settled or not objective.targets_encoder:
            return root
    raise RuntimeError(f"the iteration did not settle: {np.abs(gram - before).max():.1e}")


def final_gram(objective, sigma_xx, sigma_yx, depth):
    """W'W of the encoder at rest: S'S of `final_encoder`."""
    root = final_encoder(objective, sigma_xx, sigma_yx, depth)
    return root.T @ root
