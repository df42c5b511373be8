"""Checks by the gradient of full matrices in float64, at and near aligned networks."""

import numpy as np

from jepabook.claims.ledger import decided_by
from jepabook.theory import matrix_flow
from jepabook.theory.objectives import JEPA


def encoder_velocity(weights, velocity):
    """The derivative of the encoder of weights (L + 1, d, d) whose layers move with `velocity`."""
    return sum(
        matrix_flow.product(weights[a + 1 : -1]) @ velocity[a] @ matrix_flow.product(weights[:a])
        for a in range(len(weights) - 1)
    )


@decided_by("E")
def invasion_check(lam, rho, depths):
    """A check of statements (lam, rho, i, j, L) -> the rate at which j grows in the place of i.

    JEPA's balanced aligned layers at rest with feature j missing; the rate is read off the
    gradient. lam and rho may be negative; the decoder's sign at i is that of rho_i.
    """
    sigma_xx, sigma_yx = np.diag(lam / rho), np.diag(lam)

    def agrees(statement, depth, host, missing):
        present = np.arange(len(lam)) != missing
        weights = np.tile(np.diag(np.abs(rho) * present), (depth + 1, 1, 1))
        weights[-1] = np.diag(rho * present)
        bump = np.zeros_like(weights)
        bump[0, host, missing] = 1e-6
        moved = -matrix_flow.gradient(JEPA, weights + bump, sigma_xx, sigma_yx)
        rate = moved[0, host, missing] / 1e-6
        alone = np.abs(moved - rate * bump).max() <= 1e-10
        return alone and np.isclose(rate, statement(lam, rho, host, missing, depth), rtol=1e-6)

    def check(statement):
        features = range(len(lam))
        return all(
            agrees(statement, depth, host, missing)
            for depth in depths
            for host in features
            for missing in features
            if host != missing
        )

    return check
