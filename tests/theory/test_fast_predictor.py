"""The optimal predictor, its flow, and where a predictor of finite rate ends."""

import numpy as np
import pytest

from jepabook import fast_predictor

RNG = np.random.default_rng(3)
ROOT = RNG.standard_normal((4, 4))
XX, YX = ROOT @ ROOT.T + np.eye(4), RNG.standard_normal((4, 4))


def test_the_predictor_is_the_regression_of_sampled_codes():
    """Least squares on draws whose second moments are exactly these."""
    encoder = RNG.standard_normal((2, 4))
    x = RNG.standard_normal((50, 4))
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / 50)).T @ np.linalg.cholesky(XX).T
    y = x @ np.linalg.inv(XX) @ YX.T
    expected = np.linalg.lstsq(x @ encoder.T, y @ encoder.T, rcond=None)[0].T
    assert np.allclose(fast_predictor.optimal_predictor(encoder, XX, YX), expected)


def test_the_flow_keeps_the_last_layers_gram_matrix_even_unbalanced():
    layers = [RNG.standard_normal((3, 4)), RNG.standard_normal((2, 3))]
    first, last = fast_predictor.flow(layers, XX, YX, [0.0, 0.5, 1.0])
    assert np.allclose(first[0], layers[0]) and np.allclose(last[0], layers[1])
    assert np.abs(last - last[0]).max() > 1e-3
    assert np.allclose(last @ last.mT, layers[1] @ layers[1].T, atol=1e-8)


def test_final_sizes_at_the_ends_of_the_rate():
    known = {"depth": 3, "epsilon": 0.2**3}
    rho = np.array([0.5, 0.9])
    assert np.allclose(fast_predictor.final_size(rho, predictor_rate=1.0, **known), rho**3)
    assert np.allclose(
        fast_predictor.final_size(rho, predictor_rate=np.float64(1e300), **known), 0.008
    )


def test_a_predictor_too_slow_for_a_shrinking_feature_is_refused():
    with pytest.raises(ValueError, match="predictor_rate must leave"):
        fast_predictor.final_size(0.1, depth=1, epsilon=0.9, predictor_rate=0.1)
