"""The basis in which two covariances are nearest to diagonal."""

import numpy as np

from jepabook._support.canonical import pointed

ANGLES = np.pi / 8 * np.array([1, 3, 5, 7])
TURNS, LEAST_GAIN = 12, 0.01
SINGLE = 512  # features from which on bases are turned in single precision: noise is far above it


def symmetric(matrix):
    return (matrix + matrix.T) / 2


def along(directions, matrix):
    """u' M u for every column u."""
    return ((matrix @ directions) * directions).sum(0)


def common_basis(sigma_xx, sigma_yx, machine, angles=ANGLES):
    """The orthonormal basis that comes nearest to diagonalising both covariances.

    The eigenvectors of a generic combination of two commuting matrices diagonalise both, also
    where one of them has equal eigenvalues. The best of such bases, one for each of `angles`, is
    turned until it mixes no features that differ in either matrix, though noise mixed them in the
    combination.

    Returns
    -------
    directions : ndarray (d, d)
        Sorted by falling u' Sigma_yx u.
    angle : float
        Of the best combination.
    """
    scaled = [m / np.abs(m).max() for m in (sigma_xx, symmetric(sigma_yx)) if m.any()]
    scaled = [machine.array(m / np.linalg.norm(m)) for m in scaled]
    if not scaled:
        return np.eye(len(sigma_xx)), angles[0]
    best, chosen, most = None, None, -1.0
    for angle in angles:
        parts = zip((np.cos(angle), np.sin(angle)), scaled, strict=False)
        basis = machine.eigenvectors(sum(weight * m for weight, m in parts))
        diagonal = sum(float((along(basis, m) ** 2).sum()) for m in scaled)
        if diagonal > most:
            best, chosen, most = basis, angle, diagonal
    if len(sigma_xx) >= SINGLE:
        singles = [machine.single(m) for m in (best, *scaled)]
        best = machine.double(_turned(singles[0], singles[1:], machine))
        best = best @ (1.5 * machine.eye(len(best)) - 0.5 * (best.T @ best))  # orthonormal again
    else:
        best = _turned(best, scaled, machine)
    best = machine.numpy(best)
    return pointed(best[:, np.argsort(-along(best, sigma_yx), kind="stable")]), chosen


def _turned(basis, matrices, machine):
    """Turn a basis until small rotations bring symmetric matrices no nearer to diagonal.

    Gauss-Newton: to first order the rotation 1 + K by an antisymmetric K takes K_ij (M_jj - M_ii)
    off entry (i, j) of each matrix M; K_ij solves this for all of them by least squares.
    """
    mixed, step = [basis.T @ m @ basis for m in matrices], 1.0
    for _ in range(TURNS):
        gaps = [m.diagonal() - m.diagonal()[:, None] for m in mixed]
        weight = sum(gap * gap for gap in gaps)
        angles = sum(m * gap for m, gap in zip(mixed, gaps, strict=True)) / (weight + (weight == 0))
        turn = machine.rotation(step * (angles - angles.T).clip(-1, 1) / 2)
        turned = [turn.T @ m @ turn for m in mixed]
        before, after = (sum(_off_diagonal(m) for m in ms) for ms in (mixed, turned))
        if after >= before:
            step /= 4
            continue
        basis, mixed, step = basis @ turn, turned, 1.0
        if before - after < LEAST_GAIN * before:
            break
    return basis


def _off_diagonal(matrix):
    """Sum of squares."""
    return float((matrix * matrix).sum() - (matrix.diagonal() ** 2).sum())
