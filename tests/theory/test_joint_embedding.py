"""Losses of joint embedding: their gradients, what the penalties are, descents."""

import numpy as np
import pytest

from jepabook import joint_embedding

RNG = np.random.default_rng(2)
ROOT = RNG.standard_normal((3, 3))
XX = ROOT @ ROOT.T + np.eye(3)
YX = 0.4 * XX + 0.1 * RNG.standard_normal((3, 3))


def penalty_of(penalty, code):
    """P(C), written out."""
    d = len(code)
    if penalty == "moments":
        return sum((code[i, j] - (i == j)) ** 2 for i in range(d) for j in range(d)) / 4
    if penalty == "slices":
        return penalty_of("moments", code) + (sum(code[i, i] for i in range(d)) - d) ** 2 / 8
    hinge = sum(max(0.0, 1 - code[k, k] ** 0.5) for k in range(d))
    crossed = sum(code[i, j] ** 2 for i in range(d) for j in range(d) if i != j) / 4
    return hinge + (crossed if penalty == "variance and covariance" else 0.0)


def loss(encoder, penalty, strength):
    distance = encoder @ (2 * XX - YX - YX.T) @ encoder.T
    return np.trace(distance) / 2 + strength * penalty_of(penalty, encoder @ XX @ encoder.T)


@pytest.mark.parametrize("penalty", joint_embedding.PENALTIES)
@pytest.mark.parametrize("scale", [0.1, 0.3, 1.5])
def test_gradient_is_the_loss_differentiated(penalty, scale):
    encoder = scale * RNG.standard_normal((3, 3))
    found = joint_embedding.gradient(encoder, XX, YX, penalty, 0.7)
    for i, j in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[i, j] = 1e-6
        ahead, behind = (loss(encoder + sign * step, penalty, 0.7) for sign in (1, -1))
        assert found[i, j] == pytest.approx((ahead - behind) / 2e-6, rel=1e-4, abs=1e-6)


def test_slices_are_a_mean_over_directions():
    """On the circle, by the trapezoidal rule, which is exact for these polynomials."""
    code = np.array([[1.7, 0.4], [0.4, 0.6]])
    angle = 2 * np.pi * np.arange(16) / 16
    unit = np.stack([np.cos(angle), np.sin(angle)])
    mean = np.mean((np.einsum("in,ij,jn->n", unit, code, unit) - 1) ** 2)
    assert penalty_of("slices", code) == pytest.approx(2 * (2 + 2) / 8 * mean)


def test_many_networks_descend_as_each_alone():
    layers = 0.3 * RNG.standard_normal((2, 4, 3, 3))
    known = XX, YX, [0, 3, 10], "variance and covariance", 0.5, 0.01
    together = joint_embedding.descend(layers, *known)
    for run in range(4):
        alone = joint_embedding.descend(layers[:, run], *known)
        assert np.allclose(together[:, run], alone, rtol=1e-12)
    assert np.allclose(together[0], layers[1] @ layers[0])


def test_a_step_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="rate must be so small"):
        joint_embedding.descend([np.eye(3)], XX, YX, [0, 50], "moments", 1.0, 10.0)
