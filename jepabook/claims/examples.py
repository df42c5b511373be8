"""Features and worlds that only the chapters and their claims need."""

import numpy as np
from scipy.linalg import hadamard

from jepabook._support import validate
from jepabook.theory.feature_spectrum import FeatureSpectrum, distribution
from jepabook.worlds.generative import RandomMasks

#: Layers of the encoder in `task`.
DEPTH = 4
#: Scale of a layer at the start in `task`; epsilon is GAIN^DEPTH.
GAIN = 0.4


def task(width=8):
    """The features on which chapter 13 breaks assumptions: lam from 1 to 1.2, rho from 1 to 0.6.

    At `DEPTH` and at the initial scale `GAIN` of a layer the scalar theory has JEPA learn them in
    the order of rho and MAE in that of lam, the reverse.
    """
    width = validate.integer("width", width, each=128)
    return distribution(2, width, lam=(1.0, 1.2), rho=(0.6, 1.0))


def figure_2_families(count=6):
    """The three families of Figure 2, at values of ours: the paper gives none.

    Parameters
    ----------
    count : int
        Number of features in each.

    Returns
    -------
    dict of str to (FeatureSpectrum, ndarray)
        The features, and the values along which they are told apart: lam from 0.5 to 1.5 at
        rho = 1; rho from 0.5 to 1 at lam = 1 (also for Figure 4); lam from 0.9 to 1.1 while rho
        falls from 1 to 0.5.
    """
    count = validate.integer("count", count, 2, each=256)
    one, rho = np.ones(count), np.linspace(0.5, 1.0, count)
    wide, narrow = np.linspace(0.5, 1.5, count), np.linspace(0.9, 1.1, count)
    return {
        "lambda varies, rho = 1": (FeatureSpectrum(wide, one), wide),
        "rho varies, lambda = 1": (FeatureSpectrum(one, rho), rho),
        "lambda up, rho down": (FeatureSpectrum(narrow, rho[::-1]), narrow),
    }


def patterns(visible=0.25):
    """Eight flat patterns on eight pixels, of eight different powers, three above the average."""
    power = np.array([4.0, 2.5, 2.0, 0.7, 0.4, 0.2, 0.1, 0.0])
    return RandomMasks(hadamard(8) / np.sqrt(8), power, noise=0.1, visible=visible)
