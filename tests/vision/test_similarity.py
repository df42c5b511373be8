"""Mean CCA and linear CKA against independent references, and their chance levels."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from jepabook._support import memory
from jepabook.vision.similarity import (
    chance_of_cca,
    linear_cka,
    mean_cca,
    projection_weighted_cca,
    svcca,
)


def draw(seed, n=80, p=5, q=7, shared=2):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, shared)) * 2
    x = np.concatenate([common, np.zeros((n, p - shared))], 1) + rng.standard_normal((n, p))
    y = np.concatenate([common, np.zeros((n, q - shared))], 1) + rng.standard_normal((n, q))
    return x + rng.standard_normal(p), y + rng.standard_normal(q)


@given(st.integers(0, 10**6))
def test_cca_is_the_mean_cosine_of_scipys_angles_between_the_centred_spaces(seed):
    x, y = draw(seed)
    angles = subspace_angles(x - x.mean(0), y - y.mean(0))
    found = mean_cca(x, y)
    assert abs(found.value - np.cos(angles).mean()) < 1e-10 and found.ranks == (5, 7)


@given(st.integers(0, 10**6))
def test_cca_ignores_invertible_maps_and_shifts_and_cka_rotations_and_scales(seed):
    x, y = draw(seed)
    rng = np.random.default_rng(seed)
    maps = [rng.standard_normal((d, d)) + 3 * np.eye(d) for d in (5, 7)]
    assert mean_cca(x @ maps[0] + 9, y @ maps[1] - 3).value == pytest.approx(mean_cca(x, y).value)
    turns = [np.linalg.qr(m)[0] for m in maps]
    turned = linear_cka(2 * x @ turns[0] + 9, 0.1 * y @ turns[1])
    assert turned.value == pytest.approx(linear_cka(x, y).value)
    assert linear_cka(x @ maps[0], y).value != pytest.approx(linear_cka(x, y).value)


def by_eigenvalues(x, y):
    """Canonical correlations and x's directions (n, p), by the textbook's eigenvalue problem."""
    x, y = x - x.mean(0), y - y.mean(0)
    xx, yy, xy = x.T @ x, y.T @ y, x.T @ y
    values, vectors = scipy.linalg.eigh(xy @ np.linalg.solve(yy, xy.T), xx)
    return np.sqrt(values.clip(0))[::-1], (x @ vectors)[:, ::-1], x


@given(st.integers(0, 10**6))
def test_the_weighted_mean_is_that_of_the_eigenvalue_problem_with_its_published_weights(seed):
    x, y = draw(seed)
    x[:, 0] *= 30
    correlations, directions, centred = by_eigenvalues(x, y)
    weights = np.abs(directions.T @ centred).sum(1)
    due = (weights * correlations).sum() / weights.sum()
    found = projection_weighted_cca(x, y)
    assert abs(found.value - due) < 1e-8 and found.ranks == (5, 7)
    assert found.chance == mean_cca(x, y).chance


def test_the_weighted_mean_leans_to_where_x_varies_and_is_plain_where_all_is_alike():
    x, y = np.random.default_rng(0).standard_normal((2, 400, 4))
    y[:, 0] = x[:, 0]
    plain = mean_cca(x, y).value
    wide = x * [100, 1, 1, 1]
    assert mean_cca(wide, y).value == pytest.approx(plain)
    assert projection_weighted_cca(wide, y).value > 0.95 > 2 * plain
    assert projection_weighted_cca(x * [0.01, 1, 1, 1], y).value < 0.6 * plain
    # not symmetric: of y no direction varies more than the others
    assert projection_weighted_cca(y, wide).value < 1.2 * plain


def test_independent_representations_have_the_chance_of_the_plain_mean():
    rng, found = np.random.default_rng(1), []
    for _ in range(40):
        x, y = (
            rng.standard_normal((300, 10)) * np.geomspace(1, 30, 10),
            rng.standard_normal((300, 8)),
        )
        found.append(projection_weighted_cca(x, y))
    mean = np.mean([similarity.value for similarity in found])
    assert abs(mean - found[0].chance) < 0.01


def test_svcca_keeps_the_fewest_components_with_their_share():
    x, y = draw(3, n=60)
    values = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    for share in (0.3, 0.6, 0.9, 0.999999):
        count = 1 + int((np.cumsum(values) < share * values.sum()).sum())
        found = svcca(x, y, share=share)
        assert found.ranks[0] == count
        left = np.linalg.svd(x - x.mean(0), full_matrices=False)[0][:, :count]
        right = np.linalg.svd(y - y.mean(0), full_matrices=False)[0][:, : found.ranks[1]]
        due = np.linalg.svd(left.T @ right, compute_uv=False).mean()
        assert abs(found.value - due) < 1e-10
    assert svcca(x, y, share=1 - 1e-15).value == pytest.approx(mean_cca(x, y).value)


def test_equal_spaces_have_similarity_1_and_order_does_not_matter():
    x, y = draw(1)
    assert mean_cca(x, x[:, ::-1] * 3).value == pytest.approx(1)
    assert linear_cka(x, -x).value == pytest.approx(1)
    for similarity in (mean_cca, linear_cka):
        assert similarity(x, y).value == pytest.approx(similarity(y, x).value)
        assert similarity(x, y).chance == pytest.approx(similarity(y, x).chance)


def test_directions_below_the_tolerance_are_cut():
    x, y = draw(2)
    noise = np.random.default_rng(3).standard_normal((80, 1))
    faint = np.concatenate([x, 1e-9 * noise, x[:, :1] + x[:, 1:2]], axis=1)
    assert mean_cca(faint, y).value == pytest.approx(mean_cca(x, y).value)
    assert mean_cca(faint, y).ranks == (5, 7)
    assert mean_cca(faint, y, tolerance=1e-12).ranks == (6, 7)


def test_constant_representations_have_no_similarity():
    x, y = draw(4)
    for similarity in (mean_cca, linear_cka):
        assert np.isnan(similarity(np.full((80, 3), 0.1), y).value)
    mixed = np.concatenate([x, np.full((80, 1), 1e6 / 3)], 1)
    assert mean_cca(mixed, y).ranks == (5, 7)


@pytest.mark.parametrize("n, p, q", [(400, 40, 40), (400, 15, 90), (300, 200, 200), (200, 150, 90)])
def test_the_chance_level_of_cca_is_what_independent_gaussians_show(n, p, q):
    rng = np.random.default_rng(5)
    found = [mean_cca(rng.standard_normal((n, p)), rng.standard_normal((n, q))) for _ in range(6)]
    values = [each.value for each in found]
    assert abs(np.mean(values) - found[0].chance) < 0.006
    assert found[0].chance == chance_of_cca(p, q, n - 1)


def test_the_floor_of_the_papers_figure_7():
    """768 features of 50 000 images: 0.105, the rule 0.85 sqrt(D / n) of small ratios."""
    assert chance_of_cca(768, 768, 50_000) == pytest.approx(0.105, abs=0.0005)
    assert chance_of_cca(20, 20, 10**6) / (20 / 10**6) ** 0.5 == pytest.approx(0.8488, abs=1e-3)


@pytest.mark.parametrize("p, q, n", [(3, 5, 5), (4, 4, 4), (5, 2, 5)])
def test_a_space_of_all_dimensions_contains_every_other(p, q, n):
    assert chance_of_cca(p, q, n) == 1


def test_the_chance_level_of_cka_is_the_mean_over_all_pairings():
    x, y = draw(6, n=6, p=3, q=4)
    values = [linear_cka(x, y[list(order)]).value for order in itertools.permutations(range(6))]
    assert linear_cka(x, y).chance == pytest.approx(np.mean(values))


def test_wide_representations_and_tensors_are_welcome():
    x, y = draw(7, n=10, p=30, q=4)
    assert mean_cca(x, y).value == pytest.approx(1)
    a = linear_cka(torch.tensor(x, dtype=torch.float32), torch.tensor(y)).value
    assert a == pytest.approx(linear_cka(x, y).value, rel=1e-5)


@pytest.mark.parametrize(
    "x, y, name",
    [
        (np.ones((3, 2)), np.ones((4, 2)), "x and y"),
        (np.ones(3), np.ones((3, 2)), "x"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "y"),
        (np.ones((1, 2)), np.ones((1, 2)), "x"),
    ],
)
def test_bad_input_is_named_in_one_line(x, y, name):
    for similarity in (mean_cca, linear_cka):
        with pytest.raises(ValueError, match=rf"^{name} must") as caught:
            similarity(x, y)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"^tolerance"):
        mean_cca(np.ones((3, 2)), np.ones((3, 2)), tolerance=0)


@pytest.mark.parametrize("measure", [mean_cca, linear_cka])
def test_representations_that_would_not_fit_in_memory_are_refused_before_it_is_asked_for(
    monkeypatch, measure
):
    monkeypatch.setattr(memory, "free", lambda: 10**8)
    wide = np.broadcast_to(np.float32(1), (20, 10**5))  # takes no memory
    with pytest.raises(
        ValueError, match=r"^x and y must fit in the 0.1 GB of memory that are free"
    ):
        measure(wide, wide)
