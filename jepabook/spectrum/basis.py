"""The basis in which two covariances are nearest to diagonal."""

import numpy as np

from jepabook._support.canonical import pointed

ANGLES = np.pi / 8 * np.array([1, 3, 5, 7])
TURNS, LEAST_GAIN = 12, 0.01
# From so many features on bases are turned in single precision, and seldom: views whose features
# differ in variance need two to four turns, and where they do not directions mean nothing.
LARGE, FEW_TURNS = 512, 4


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
        weights = (np.cos(angle), np.sin(angle))[: len(scaled)]
        values, basis = machine.eigh(sum(w * m for w, m in zip(weights, scaled, strict=True)))
        # in this basis the combination is diagonal, so one matrix tells the other
        first = machine.along(basis, scaled[0], True)
        others = [(values - weights[0] * first) / w for w in weights[1:]]
        diagonal = sum(float((part * part).sum()) for part in (first, *others))
        if diagonal > most:
            best, chosen, most = (values, basis, weights), angle, diagonal
    values, best, weights = best
    mixed = [best.T @ scaled[0] @ best]
    for w in weights[1:]:
        mixed.append(machine.eye(len(values)) * (values / w) - mixed[0] * (weights[0] / w))
    if len(sigma_xx) < LARGE:
        best = best @ _turns(mixed, TURNS, machine)
    else:
        # turned in its own coordinates, single precision keeps the digits of small features, too
        turn = _turns([machine.single(m) for m in mixed], FEW_TURNS, machine)
        best = best @ machine.double(turn)
        best = best @ (1.5 * machine.eye(len(best)) - 0.5 * (best.T @ best))  # orthonormal again
    best = machine.numpy(best)
    return pointed(best[:, np.argsort(-along(best, sigma_yx), kind="stable")]), chosen


def _turns(mixed, most, machine):
    """The rotation after which small ones bring symmetric matrices no nearer to diagonal.

    Gauss-Newton: to first order the rotation 1 + K by an antisymmetric K takes K_ij (M_jj - M_ii)
    off entry (i, j) of each matrix M; K_ij solves this for all of them by least squares.
    """
    whole, step = None, 1.0
    for _ in range(most):
        gaps = [m.diagonal() - m.diagonal()[:, None] for m in mixed]
        weight = sum(gap * gap for gap in gaps)
        angles = sum(m * gap for m, gap in zip(mixed, gaps, strict=True)) / (weight + (weight == 0))
        turn = machine.rotation(step * (angles - angles.T).clip(-1, 1) / 2)
        turned = [turn.T @ m @ turn for m in mixed]
        before, after = (sum(_off_diagonal(m, machine) for m in ms) for ms in (mixed, turned))
        if after >= before:
            step /= 4
            continue
        whole, mixed, step = turn if whole is None else whole @ turn, turned, 1.0
        if before - after < LEAST_GAIN * before:
            break
    return 0 * turn + machine.eye(len(turn)) if whole is None else whole


def _off_diagonal(matrix, machine):
    """Sum of squares, in double precision: it may be far below that of the diagonal."""
    off = matrix - matrix * machine.eye(len(matrix))
    return float((off * off).sum())
