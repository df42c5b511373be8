"""Choices that mathematics leaves open are made alike whatever rounding did before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hadamard

from jepabook import noncommuting, random_masks
from jepabook._support.canonical import complement, pointed
from jepabook.claims import examples
from jepabook.vision import crops

SEEDS = st.integers(0, 2**32)


class Sides(np.random.Generator):
    """A generator by which `crops.cut` takes every side in turn."""

    def __init__(self, size):
        super().__init__(np.random.PCG64(0))
        self.size, self.count = size, 3000

    def sides(self, most):
        return self.size + np.arange(self.count) % (most - self.size + 1)

    def random(self, shape):
        u = np.log((self.sides(200) + 0.5) / self.size) / np.log(201 / self.size)
        return np.column_stack([u, np.zeros((self.count, 2))])


@given(SEEDS, st.sampled_from(["generic", "flat", "two alike"]))
def test_signs_survive_rounding_also_where_entries_are_equally_large(seed, kind):
    rng = np.random.default_rng(seed)
    right = rng.standard_normal((8, 5))
    if kind == "flat":
        right = hadamard(8)[:, rng.permutation(8)[:5]] / 8**0.5
    if kind == "two alike":
        largest = 2 * np.abs(right).max()
        for column in right.T:
            column[rng.permutation(8)[:2]] = largest * np.array([1, -1])
    right = pointed(right)
    rounded = right * (1 + 1e-12 * rng.standard_normal(right.shape))
    found = pointed(rounded * rng.choice([-1, 1], 5))
    np.testing.assert_allclose(found, right, rtol=1e-10)
    assert (found.max(0) >= (1 - 1e-6) * np.abs(found).max(0)).all()


def test_a_column_of_zeros_stays_and_the_largest_entry_is_positive():
    np.testing.assert_array_equal(pointed(np.zeros((3, 1))), np.zeros((3, 1)))
    np.testing.assert_array_equal(pointed(np.array([[0.1], [-0.9]])), [[-0.1], [0.9]])


@given(SEEDS, st.integers(1, 9), st.sampled_from(["generic", "first axis", "its opposite", "zero"]))
def test_the_complement_is_orthonormal_and_moves_no_more_than_its_vector(seed, d, kind):
    rng = np.random.default_rng(seed)
    unit = rng.standard_normal(d)
    if kind == "zero" and d > 1:
        unit[0] = 0
    if "axis" in kind or "opposite" in kind:
        unit = np.eye(d)[0] * (1 if "axis" in kind else -1)
    unit /= np.linalg.norm(unit)
    found = complement(unit)
    whole = np.column_stack([unit, found])
    np.testing.assert_allclose(whole.T @ whole, np.eye(d), atol=1e-14)
    rounded = unit * (1 + 1e-13 * rng.standard_normal(d))
    np.testing.assert_allclose(complement(rounded), found, atol=1e-11)


@pytest.mark.parametrize("flip", [1, -1])
def test_bases_do_not_take_over_the_signs_of_lapack(monkeypatch, flip):
    """As if another LAPACK had chosen the opposite sign of every other eigenvector."""
    world = examples.patterns()
    xx, yx, _ = world.covariances()
    yx = yx + np.eye(8)

    def bases():
        found = noncommuting.candidate_bases(xx, yx, 0.4)
        return found | {"masks": random_masks.features(world.data_covariance(), 0.3).directions}

    due = bases()
    for module, name in ((np.linalg, "eigh"), (noncommuting, "eigh")):
        solve = getattr(module, name)

        def other(*matrices, solve=solve):
            values, vectors = solve(*matrices)
            return values, vectors * np.where(np.arange(len(values)) % 2, flip, -flip)

        monkeypatch.setattr(module, name, other)
    for name, found in bases().items():
        np.testing.assert_allclose(found, due[name], atol=1e-12, err_msg=name)


def test_the_octave_of_a_crop_is_exact():
    """Sides of 2 and 4 sizes, where a logarithm that is rounded down would be wrong, too."""
    for size in (5, 16, 31):
        _, _, scale = crops.cut([np.zeros((200, 300, 3), np.uint8)], size, 3000, Sides(size))
        due = [
            next(k for k in range(20) if 2 ** (k + 1) * size**2 > side**2)
            for side in Sides(size).sides(200)
        ]
        assert scale.tolist() == due and len(set(due)) > 5
