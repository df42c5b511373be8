"""The scalar equation of a feature with weight decay and with a target network, followed in time.

With X = log w, X_T = log w_target and q of eqs. (7), (8)::

    dX/dt = lam e^((q - 2) X + X_T) - (lam / rho) e^(2 X) - kappa
    dX_T/dt = tau (e^((X - X_T) / L) - 1)

and X_T = X without a target network. What is followed is X and the lead X - X_T, which a fast
target makes small. The clock is log t, in which neither a long rest nor a late rise takes many
steps.
"""

import numpy as np

from jepabook._support import validate
from jepabook.theory import _ode

_NOTHING = 1e-17  # how far a feature gets before the clock starts
_LARGEST = 650.0  # of the logarithm of t times a rate


def follow(objective, t, lam, rho, depth, epsilon, decay, rate=None, teacher=None):
    """log w, and log w_target where there is a rate, as one array (1 or 2, n, ...).

    Parameters
    ----------
    t : array (n,)
        Increasing from 0.
    lam, rho, epsilon, decay, rate, teacher : arrays of one shape
    """
    shape, growth = epsilon.shape, objective.growth_exponent(depth=depth) - 1
    with np.errstate(divide="ignore"):
        log_lam, log_rho, start, log_decay = (
            np.log(values).ravel() for values in (lam, rho, epsilon, decay)
        )
        log_t, state, pull = np.log(t), start[:, None], None
        if rate is not None:
            state = np.stack([start, start - np.log(teacher).ravel()], axis=1)
            pull = np.log(rate).ravel()

    def exponents(which, state):
        """Logarithms of growth, loss, decay and pull on the target, at states (k, m, n)."""
        x, lead = state[..., 0], state[..., 1:].sum(-1)
        terms = [
            log_lam[which] + growth * x - lead,
            log_lam[which] - log_rho[which] + 2 * x,
            log_decay[which] + 0 * x,
        ]
        return terms if pull is None else [*terms, pull[which] + lead / depth]

    def slope(which, s, state):
        grown, lost, gone, *pulled = (np.exp(s + term) for term in exponents(which[:, None], state))
        change, by_size = grown - lost - gone, growth * grown - 2 * lost
        if pull is None:
            return change[..., None], by_size[..., None, None]
        follows = np.exp(s + pull[which, None]) * np.expm1(state[..., 1] / depth)
        jacobian = np.stack([by_size, -grown, 0 * s, pulled[0] / depth], axis=-1)
        return np.stack([change, follows], axis=-1), jacobian.reshape(*s.shape, 2, 2)

    everyone = np.arange(len(start))
    end = depth / objective.saturation_power(depth=depth) * log_rho
    largest = np.zeros_like(state)
    largest[:, 0] = np.maximum(np.maximum(start, start - state[:, 1:].sum(1)), end)
    first, most = (np.logaddexp.reduce(exponents(everyone, where)) for where in (state, largest))
    fastest = np.maximum(first, most) + log_t[-1]
    validate.where(
        "t",
        np.broadcast_to(t[-1], shape),
        (fastest < _LARGEST).reshape(shape),
        "must be small enough for its product with the fastest rate to fit in float64",
    )
    begin = np.log(_NOTHING) - first
    length, step = np.maximum(log_t[-1] - begin, 0), np.ones(len(start))
    mass = [[1.0]] if pull is None else [[1.0, 0.0], [1.0, -1.0]]  # of X and X_T
    _, _, found = _ode.collocate(
        "the path of a feature", slope, state, begin, length, step, at=log_t, mass=mass
    )
    return (found @ np.transpose(mass)).transpose(2, 1, 0).reshape(-1, len(t), *shape)
