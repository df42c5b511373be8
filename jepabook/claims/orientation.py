"""The orientation of a balanced network is conserved, and the wrong one costs a feature."""

from functools import cache

import numpy as np
from scipy.stats import ortho_group

from jepabook import MAE, FeatureSpectrum, critical_time, matrix_flow
from jepabook.claims.ledger import HOLDS, claim

DEPTH, WIDTH, EPSILON, RUNS = 3, 3, 0.1, 6


@cache
def _runs():
    """For random decoders: the layers' signs at start and end, and the excess of the loss then."""
    spectrum = FeatureSpectrum(lam=[0.7, 0.8, 1.3], rho=[1.2, 0.8, 0.6])
    xx, yx = spectrum.covariances()
    half = critical_time.exact(MAE, spectrum.lam, spectrum.rho, DEPTH, EPSILON).max()
    found = []
    for seed in range(RUNS):
        weights = matrix_flow.aligned_weights(MAE, DEPTH, WIDTH, EPSILON, seed // 2)
        weights[-1] = EPSILON ** (1 / DEPTH) * ortho_group.rvs(WIDTH, random_state=seed // 2)
        weights[-1, 0] *= (-1) ** seed  # both orientations
        times = np.array([0.0, 20.0]) * half / DEPTH
        end = matrix_flow.integrate(MAE, weights, xx, yx, times, rtol=1e-8, atol=1e-10)[-1]
        signs = [np.linalg.slogdet(layers)[0] for layers in (weights, end)]
        miss = matrix_flow.product(end) - np.diag(spectrum.rho)
        found.append((signs, 0.5 * np.trace(miss @ xx @ miss.T)))
    return spectrum, found


def excess_check(statement):
    """Statements (lam, rho) -> the excess of the loss below which only det > 0 can lead.

    The sign of every layer's determinant is kept; runs in which the product's is negative stay
    above the bound and one of them comes within 2 % of it; the other runs end below it. The
    feature of the smallest lam * rho has neither the smallest lam nor the smallest rho.
    """
    spectrum, found = _runs()
    bound = statement(spectrum.lam, spectrum.rho)
    wrong = [excess for signs, excess in found if signs[0].prod() < 0]
    right = [excess for signs, excess in found if signs[0].prod() > 0]
    return (
        all(np.array_equal(*signs) for signs, _ in found)
        and bool(wrong and right)
        and bound <= min(wrong) < 1.02 * bound
        and max(right) < bound
    )


@claim(
    "new:orientation",
    where="this book",
    says=r"For balanced layers the signs of $\det V$ and $\det W_a$ are conserved; MAE with "
    r"$\det V\bar W<0$ stays at least $\frac12\min_i\lambda_i\rho_i$ above its minimal "
    "loss. (Proved in chapter 2.)",
    methods="E",
    verdict=HOLDS,
    chapter="02-from-matrices-to-one-equation#orientation",
    check=excess_check,
    mutants=[
        lambda lam, rho: 0.5 * (lam * rho).max(),
        lambda lam, rho: 0.5 * lam.min(),
        lambda lam, rho: (lam * rho).min(),
        lambda lam, rho: 0.5 * (lam * rho**2).min(),
        lambda lam, rho: 0.5 * (lam * rho)[rho.argmin()],
        lambda lam, rho: 0.5 * (lam * rho)[lam.argmin()],
    ],
)
def smallest_excess(lam, rho):
    return 0.5 * (lam * rho).min()
