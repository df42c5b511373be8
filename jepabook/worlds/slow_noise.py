"""Trajectories with slow noise, and contrast with frames of the same one or of others (ours).

A component of a frame is a process of some power and autocorrelation gamma^lag within its
trajectory, independent between trajectories, plus white noise. What is contrasted are distances:
between neighbours in time (positives) and between two frames (negatives), of one trajectory or
of two.
"""

import numpy as np

from jepabook._support import validate


def mean_autocorrelation(gamma, length):
    """The mean of gamma^|t - s| over all pairs t != s of a trajectory.

    Parameters
    ----------
    gamma : array_like
        In [0, 1].
    length : int
        Frames in a trajectory, 2 to 10^6.

    Returns
    -------
    ndarray or float64
    """
    gamma = validate.non_negative("gamma", gamma)
    validate.where("gamma", gamma, gamma <= 1, "must lie in [0, 1]")
    length = validate.integer("length", length, least=2, most=10**6)
    lag = np.arange(1, length)
    weights = 2 * (length - lag) / (length * (length - 1.0))
    return np.sum(weights * gamma[..., None] ** lag, axis=-1)[()]


def remaining_correlation(power, gamma, white, length=None):
    """1 - (distance of neighbours)^2 / (distance of negatives)^2, of one component.

    With negatives from other trajectories, this is the feature's rho; with negatives from the
    same one, what is left of it.

    Parameters
    ----------
    power, gamma, white : array_like
        Variance of the process, >= 0, its memory in [0, 1], variance of the white noise, > 0.
    length : int, optional
        Of the trajectories that negatives are taken from; default: from others.

    Returns
    -------
    ndarray or float64
    """
    power, gamma, white = validate.broadcast(
        power=validate.non_negative("power", power),
        gamma=validate.non_negative("gamma", gamma),
        white=validate.positive("white", white),
    )
    shared = 0.0 if length is None else mean_autocorrelation(gamma, length)
    validate.where("gamma", gamma, gamma <= 1, "must lie in [0, 1]")
    return (1 - (power * (1 - gamma) + white) / (power * (1 - shared) + white))[()]


def trajectories(power, gamma, white, length, count, seed):
    """Draw trajectories of Gaussian components.

    Parameters
    ----------
    power, gamma, white : arrays (d,)
    length, count : int
        Frames in a trajectory, >= 2, and trajectories.
    seed : int or NumPy Generator

    Returns
    -------
    ndarray (count, length, d)
    """
    power, gamma, white = (
        validate.shaped(name, value, ("d",), validate.non_negative)
        for name, value in (("power", power), ("gamma", gamma), ("white", white))
    )
    power, gamma, white = validate.broadcast(power=power, gamma=gamma, white=white)
    validate.where("gamma", gamma, gamma <= 1, "must lie in [0, 1]")
    length = validate.integer("length", length, least=2, most=10**6)
    count = validate.integer("count", count, each=32 * length * len(power))
    rng = validate.generator(seed)
    state = rng.standard_normal((count, len(power)))
    frames = np.empty((count, length, len(power)))
    for t in range(length):
        frames[:, t] = np.sqrt(power) * state
        state = gamma * state + np.sqrt(1 - gamma**2) * rng.standard_normal(state.shape)
    return frames + np.sqrt(white) * rng.standard_normal(frames.shape)


def distances(frames, within):
    """Half the mean squares of differences: of neighbours, and of negatives; matrices (d, d).

    Parameters
    ----------
    frames : array (count, length, d)
        count, length >= 2.
    within : bool
        Whether negatives are two frames of one trajectory, else of two.

    Returns
    -------
    positives, negatives : ndarrays (d, d)
        Over all pairs of the kind.
    """
    frames = validate.shaped("frames", frames, ("count", "length", "d"))
    count, length, width = frames.shape
    if min(count, length) < 2:
        raise ValueError(f"frames must hold 2 trajectories of 2 frames, got shape {frames.shape}")
    steps = np.diff(frames, axis=1).reshape(-1, width)
    positives = steps.T @ steps / (2 * len(steps))
    flat = frames.reshape(-1, width)
    about = flat - flat.mean(0)
    # pairs of all frames, and pairs of one trajectory: half of sum over pairs of |a - b|^2
    everyone = len(flat) * about.T @ about
    apart = (frames - frames.mean(1, keepdims=True)).reshape(-1, width)
    inside = length * apart.T @ apart
    if validate.flag("within", within):
        return positives, inside / (count * length * (length - 1.0))
    return positives, (everyone - inside) / (length**2 * count * (count - 1.0))
