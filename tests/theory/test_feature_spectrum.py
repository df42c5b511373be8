"""`FeatureSpectrum` and the paper's two families of features."""

import numpy as np
import pytest

from jepabook import FeatureSpectrum, feature_spectrum


def test_scalars_broadcast_and_values_are_float64_copies_that_cannot_be_written():
    lam = np.array([1, 2, 3])
    spectrum = FeatureSpectrum(lam, 0.5)
    assert len(spectrum) == 3
    assert spectrum.lam.dtype == spectrum.rho.dtype == np.float64
    np.testing.assert_array_equal(spectrum.rho, 0.5)
    lam[0] = 7
    assert spectrum.lam[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        spectrum.lam[0] = 7


def test_sigma_squared_is_lam_over_rho():
    spectrum = FeatureSpectrum([1.0, 2.0], [0.5, 4.0])
    np.testing.assert_array_equal(spectrum.sigma_squared, [2.0, 0.5])


def test_covariances_are_diagonal_with_the_stated_entries():
    xx, yx = FeatureSpectrum([1.0, 2.0], [0.5, 4.0]).covariances()
    np.testing.assert_array_equal(xx, np.diag([2.0, 0.5]))
    np.testing.assert_array_equal(yx, np.diag([1.0, 2.0]))


def test_samples_have_these_covariances_and_the_stated_noise():
    """Every entry within 6 standard errors; without noise y is rho x exactly."""
    spectrum, count = FeatureSpectrum([1.0, 2.0], [0.5, 4.0]), 100_000
    x, y = spectrum.sample(count, seed=0, noise=[0.1, 0.4])
    xx, yx = spectrum.covariances()
    yy = np.diag(spectrum.rho * spectrum.lam + [0.1, 0.4])
    for left, right, exact in ((x, x, xx), (y, x, yx), (y, y, yy)):
        products = left[:, :, None] * right[:, None, :]
        error = products.std(axis=0) / np.sqrt(count)
        assert np.all(np.abs(products.mean(axis=0) - exact) < 6 * error)
    x, y = spectrum.sample(10, seed=1)
    np.testing.assert_array_equal(y, spectrum.rho * x)


def test_samples_reproduce_with_the_seed():
    spectrum = FeatureSpectrum([1.0, 2.0], 0.5)
    np.testing.assert_array_equal(spectrum.sample(3, seed=5), spectrum.sample(3, seed=5))
    assert np.all(spectrum.sample(3, seed=5)[0] != spectrum.sample(3, seed=6)[0])


@pytest.mark.parametrize("number", [1, 2])
def test_distributions_order_lam_and_rho_as_the_paper_says(number):
    spectrum = feature_spectrum.distribution(number, 6, lam=(0.5, 1.0), rho=(0.2, 0.9))
    assert len(spectrum) == 6
    assert np.all(np.diff(spectrum.lam) > 0)
    assert np.all(np.diff(spectrum.rho) > 0 if number == 1 else np.diff(spectrum.rho) < 0)
    assert (spectrum.lam[0], spectrum.lam[-1]) == (0.5, 1.0)
    assert sorted(spectrum.rho)[:: len(spectrum) - 1] == [0.2, 0.9]


def test_distribution_of_one_feature():
    assert len(feature_spectrum.distribution(2, 1)) == 1


def test_empty_spectrum():
    assert len(FeatureSpectrum([], [])) == 0
