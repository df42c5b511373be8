"""What may take the features' place where the two covariances do not commute (ours)."""

import numpy as np
from scipy.linalg import eigh

from jepabook._support import validate
from jepabook._support.canonical import pointed

#: The bases of `candidate_bases`.
CANDIDATES = ("yx", "xx", "priority", "joint")


def features_along(basis, sigma_xx, sigma_yx):
    """(lam, rho) of the candidate features along the columns of `basis`, unit vectors.

    With x = basis s they are E[y_s s] and E[y_s s] / E[s^2] of each coordinate of s alone.
    """
    basis, sigma_xx, sigma_yx = validate.squares(basis=basis, sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    try:
        inverse = np.linalg.inv(basis)
    except np.linalg.LinAlgError:
        raise ValueError("basis must be invertible, got a singular matrix") from None
    lam, variance = (np.diag(inverse @ sigma @ inverse.T) for sigma in (sigma_yx, sigma_xx))
    return lam, lam / variance


def joint_basis(sigma_xx, sigma_yx):
    """Unit columns u_i in whose coordinates both symmetric covariances are diagonal.

    They are the right eigenvectors of Sigma_yx Sigma_xx^-1, with the generalised eigenvalues of
    (Sigma_yx, Sigma_xx) as eigenvalues, in increasing order; the largest entry is positive.
    """
    sigma_xx, sigma_yx = _covariances(sigma_xx, sigma_yx)
    _, vectors = eigh(sigma_yx, sigma_xx)
    basis = sigma_xx @ vectors
    return pointed(basis / np.linalg.norm(basis, axis=0))


def candidate_bases(sigma_xx, sigma_yx, share):
    """The directions that might take over the features' role when covariances do not commute.

    Parameters
    ----------
    sigma_xx, sigma_yx : arrays (d, d)
        Symmetric, positive definite.
    share : float
        Of the variance in `critical_time.deep_priority`: the gain for JEPA.

    Returns
    -------
    dict of str to ndarray (d, d)
        For each of `CANDIDATES` unit columns with a positive largest entry: the eigenvectors of
        Sigma_yx, of Sigma_xx and of Sigma_yx - share Sigma_xx, and the `joint_basis`.
    """
    sigma_xx, sigma_yx = _covariances(sigma_xx, sigma_yx)
    share = validate.number("share", share)
    symmetric = (sigma_yx, sigma_xx, sigma_yx - share * sigma_xx)
    bases = [pointed(np.linalg.eigh(matrix)[1]) for matrix in symmetric]
    return dict(zip(CANDIDATES, [*bases, joint_basis(sigma_xx, sigma_yx)], strict=True))


def _covariances(sigma_xx, sigma_yx):
    """The two as arrays (d, d); ValueError unless symmetric, and sigma_xx positive definite."""
    found = validate.squares(sigma_xx=sigma_xx, sigma_yx=sigma_yx)
    for name, matrix in zip(("sigma_xx", "sigma_yx"), found, strict=True):
        lopsided = np.abs(matrix - matrix.T) > 1e-6 * np.abs(matrix).max()
        validate.where(name, matrix, ~lopsided, "must be symmetric")
    validate.positive_definite("sigma_xx", found[0])
    return found
