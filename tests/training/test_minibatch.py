"""Minibatches: three ways to draw them, one law; and which network sees which.

The covariances of n views z = (x, y) obey E S_ij = Sigma_ij and, exactly,
cov(S_ij, S_kl) = (Sigma_ik Sigma_jl + Sigma_il Sigma_jk) / n. The bounds were set beforehand: if
the law is right, all tests of moments together fail with probability 0.001 and all of trajectories
with 0.01; the seeds are fixed. By the same bounds, samplers that are wrong in one place fail.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from scipy.stats import ks_2samp, norm, ortho_group

from jepabook import JEPA, MAE, linear_net
from jepabook.training.minibatch import GaussianViews, Pairs, Population

WIDTH, FAMILY = 3, 1e-3
BATCHES = {"one view": 1, "batch < d": 2, "batch = d": 3, "batch > d": 5}
DRAWS = GaussianViews.DRAWS
PAIRS = [("samples", "covariances"), ("samples", "wishart"), ("covariances", "wishart")]


def joint(kind):
    """A covariance (6, 6) of (x, y)."""
    if kind == "diagonal":
        lam, var_x, var_y = [0.5, 0.9, -0.3], [1.0, 2.0, 0.5], [0.8, 1.0, 1.5]
        blocks = np.diag(var_x), np.diag(lam), np.diag(var_y)
    else:
        mix = np.random.default_rng(5).standard_normal((6, 6))
        full = mix @ mix.T / 3
        blocks = full[:3, :3], full[3:, :3], full[3:, 3:]
        noise = {"singular noise": np.diag([0, 0, 0.4]), "no noise": 0}
        if kind in noise:
            xx, yx, _ = blocks
            blocks = xx, yx, yx @ np.linalg.solve(xx, yx.T) + noise[kind]
    xx, yx, yy = blocks
    return np.block([[xx, yx.T], [yx, yy]])


KINDS = ["diagonal", "full", "singular noise", "no noise"]


def views(kind, batch, draw, streams, seed, make=GaussianViews):
    sigma = joint(kind)
    blocks = (sigma[:3, :3], sigma[3:, :3], sigma[3:, 3:])
    matrices = (np.stack([block] * streams) for block in blocks)
    return make(*matrices, batch, seed, draw, dtype=torch.float64)


class AllDegreesOfFreedom(GaussianViews):
    """Mutant: the diagonal of Bartlett's matrix has n degrees of freedom everywhere."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._half_freedom[:] = self.batch / 2


class NothingBelowTheDiagonal(GaussianViews):
    """Mutant: Bartlett's matrix is its diagonal."""

    def columns(self):
        before = self.state()
        x, y = super().columns()
        self.restore(before)
        a = torch.randn(self._shape, generator=self._generator, dtype=self.dtype)
        torch.randn(self._shape, generator=self._generator, dtype=self.dtype)
        wrong = a.tril(-1)
        to_x, to_y, _ = self._maps
        return x - to_x(wrong), y - to_y(wrong)


class NoiseSharedByAll(GaussianViews):
    """Mutant: y's noise is the same in every column."""

    def columns(self):
        x, y = super().columns()
        to_x, to_y, _ = self._maps
        mean = to_y(torch.linalg.solve(to_x(torch.eye(3, dtype=self.dtype)), x))
        return x, mean + (y - mean).mean(-1, keepdim=True)


def batch_of(share):
    """Mutant: a batch of another size, with the right normalisation."""
    return lambda *args, **kwargs: GaussianViews(
        *args[:3], round(share * args[3]), *args[4:], **kwargs
    )


MUTANTS = {
    "n degrees of freedom everywhere": (AllDegreesOfFreedom, 5),
    "nothing below the diagonal": (NothingBelowTheDiagonal, 5),
    "nothing below the diagonal, batch < d": (NothingBelowTheDiagonal, 2),
    "one noise for all columns": (NoiseSharedByAll, 5),
    "a batch 20 % too large": (batch_of(1.2), 5),
    "a batch 20 % too small": (batch_of(0.8), 5),
}
ENTRIES = [(i, j) for i in range(3) for j in range(i + 1)]
ENTRIES += [(i, j) for i in range(3, 6) for j in range(3)]


def z_scores(source, sigma, batch):
    """Of all means and covariances of the entries of S_xx (lower half) and S_yx."""
    xx, yx = (matrix.numpy() for matrix in source.covariances())
    both = np.concatenate([xx, yx], axis=1)
    sample = np.stack([both[:, i, j] for i, j in ENTRIES], axis=1)
    i, j = np.transpose(ENTRIES)
    centred = sample - sigma[i, j]
    exact = sigma[np.ix_(i, i)] * sigma[np.ix_(j, j)] + sigma[np.ix_(i, j)] * sigma[np.ix_(j, i)]
    products = (centred[:, :, None] * centred[:, None, :])[:, *np.tril_indices(len(i))]
    count = len(sample) ** 0.5
    of_means = count * centred.mean(0) / np.sqrt(np.diag(exact) / batch)
    excess = products.mean(0) - (exact / batch)[np.tril_indices(len(i))]
    return np.concatenate([of_means, count * excess / products.std(0)])


def z_bound(tests):
    return norm.isf(FAMILY / 2 / tests)


STREAMS = 20_000
CASES = [(kind, size, draw) for kind in KINDS for size in BATCHES for draw in DRAWS]
TESTS = len(CASES) * 135


@pytest.mark.parametrize(("kind", "size", "draw"), CASES)
def test_means_and_covariances_of_the_minibatch_covariances_are_wisharts(kind, size, draw):
    batch = BATCHES[size]
    scores = z_scores(views(kind, batch, draw, STREAMS, 11), joint(kind), batch)
    assert len(scores) == 135
    assert np.abs(scores).max() < z_bound(TESTS)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_moments_reject_a_sampler_that_is_wrong_in_one_place(name):
    make, batch = MUTANTS[name]
    source = views("full", batch, "wishart", STREAMS, 12, make)
    assert np.abs(z_scores(source, joint("full"), batch)).max() > 1.5 * z_bound(TESTS)


@pytest.mark.parametrize("kind", KINDS)
def test_views_themselves_have_the_joint_covariance_also_without_noise(kind):
    sigma = joint(kind)
    z = torch.cat(views(kind, 200_000, "samples", 1, 3).columns(), dim=1)[0].numpy()
    spread = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / z.shape[1])
    assert np.abs((z @ z.T / z.shape[1] - sigma) / spread).max() < norm.isf(FAMILY / 2 / 4 / 36)
    if kind == "no noise":
        regression = sigma[3:, :3] @ np.linalg.inv(sigma[:3, :3])
        np.testing.assert_allclose(z[3:], regression @ z[:3], rtol=0, atol=1e-13)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("size", BATCHES)
def test_the_rank_of_a_minibatch_is_that_of_its_views(size, draw):
    xx, yx = views("full", BATCHES[size], draw, 4, 0).covariances()
    for matrix in (*xx.numpy(), *yx.numpy()):
        assert np.linalg.matrix_rank(matrix) == min(BATCHES[size], WIDTH)


# the trajectories of trained networks


RUNS, STEPS, TIMES = 5000, 40, [5, 15, 40]
FEW = 250  # runs of the energy test, whose cost is their square


def trajectories(objective, kind, batch, draw, seed, make=GaussianViews):
    """Sizes of 3 features at 3 moments, (RUNS, 9), of one start under independent minibatches."""
    start = linear_net.initial_weights(
        "gaussian", 1, depth=2, width=WIDTH, gain=0.7, seed=4, dtype=torch.float64
    )
    weights = start.expand(-1, RUNS, -1, -1)
    chosen = linear_net.settings(objective, weights, 0.06)
    source = views(kind, batch, draw, RUNS, seed, make)
    sizes = linear_net.train(weights, chosen, source, STEPS, TIMES).sizes
    assert np.isfinite(sizes).all()
    return sizes.swapaxes(0, 1).reshape(RUNS, -1)


def energy_p_value(one, other, permutations=4999, seed=0):
    """Permutation test with the energy distance of two samples of vectors of unit spread."""
    both = np.concatenate([one, other])
    distance = squareform(pdist(both / both.std(0)))
    signs = np.repeat([1.0, -1.0], [len(one), len(other)])
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(np.tile(signs, (permutations, 1)), axis=1)
    found = -signs @ distance @ signs
    by_chance = -np.einsum("ij,ij->i", shuffled @ distance, shuffled)
    return (1 + np.sum(by_chance >= found)) / (1 + permutations)


def smallest_p(one, other):
    """Kolmogorov and Smirnov's test of every coordinate, the energy test of a few of the runs.

    Bonferroni's correction is made: the smallest p-value times the number of tests.
    """
    marginals = [ks_2samp(a, b).pvalue for a, b in zip(one.T, other.T, strict=True)]
    together = energy_p_value(one[:FEW], other[:FEW])
    return 2 * min(len(marginals) * min(marginals), together)


TRAININGS = [
    (objective, kind, size)
    for objective in (JEPA, MAE)
    for kind, size in [
        ("full", "batch < d"),
        ("singular noise", "batch = d"),
        ("full", "batch > d"),
    ]
]
LEAST_P = 0.01 / len(TRAININGS) / len(PAIRS)


@pytest.mark.parametrize(("objective", "kind", "size"), TRAININGS)
def test_trajectories_of_the_three_draws_agree_in_law(objective, kind, size):
    batch = BATCHES[size]
    found = {
        draw: trajectories(objective, kind, batch, draw, 20 + k) for k, draw in enumerate(DRAWS)
    }
    for one, other in PAIRS:
        assert smallest_p(found[one], found[other]) > LEAST_P


@pytest.mark.parametrize("name", MUTANTS)
def test_the_trajectories_reject_a_sampler_that_is_wrong_in_one_place(name):
    make, batch = MUTANTS[name]
    right = trajectories(MAE, "full", batch, "samples", 20)
    wrong = trajectories(MAE, "full", batch, "wishart", 21, make)
    assert smallest_p(right, wrong) < LEAST_P


# who sees what


@given(
    st.sampled_from([*DRAWS, "population"]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(KINDS),
    st.integers(1, 6),
    st.integers(0, 2**63),
)
def test_network_r_sees_the_covariances_of_stream_r_modulo_s(
    draw, streams, copies, kind, batch, seed
):
    sigma = joint(kind) * np.arange(1, streams + 1)[:, None, None]
    blocks = sigma[:, :3, :3], sigma[:, 3:, :3], sigma[:, 3:, 3:]
    if draw == "population":
        source = Population(*blocks[:2])
        xx, yx = source.sigma_xx, source.sigma_yx
    else:
        source = GaussianViews(*blocks, batch, seed, draw, dtype=torch.float64)
        before = source.state()
        xx, yx = source.covariances()
        source.restore(before)
    generator = torch.Generator().manual_seed(seed)
    product, target = torch.randn(
        (2, streams * copies, 3, 3), generator=generator, dtype=torch.float64
    )
    found = source.residual(product, target)
    for r in range(streams * copies):
        right = product[r] @ xx[r % streams] - target[r] @ yx[r % streams]
        torch.testing.assert_close(found[r], right, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("draw", DRAWS)
def test_a_seed_is_a_stream_that_goes_on_from_a_restored_state(draw):
    one, same, other = (views("full", 4, draw, 2, seed) for seed in (7, 7, 8))
    first = one.covariances()
    torch.testing.assert_close(same.covariances(), first, rtol=0, atol=0)
    assert (other.covariances()[0] - first[0]).abs().max() > 1e-2
    state = one.state()
    second = one.covariances()
    assert (second[0] - first[0]).abs().max() > 1e-2
    other.restore(state)
    torch.testing.assert_close(other.covariances(), second, rtol=0, atol=0)


@pytest.mark.parametrize("draw", DRAWS)
def test_streams_are_independent_of_each_other(draw):
    xx, _ = views("diagonal", 5, draw, STREAMS, 1).covariances()
    diagonal = xx.diagonal(dim1=-2, dim2=-1) - xx.mean(0).diagonal()
    one, next_one = diagonal[:-1], diagonal[1:]
    score = (one * next_one).mean(0) / (one.var(0) / len(one) ** 0.5)
    assert score.abs().max() < norm.isf(FAMILY / 2 / 9)


def gammas(alpha, uniform, real):
    """Marsaglia and Tsang's gamma numbers from uniform ones, with arithmetic of type `real`.

    Returns the numbers, the margins of the tests that take a logarithm, and how many were used.
    """
    found, margins, stream, spare = [], [], iter(uniform.astype(real)), []
    used = 0
    third, squeeze = np.float32(1 / 3), real(np.float32(0.0331))

    def one():
        nonlocal used
        used += 1
        return next(stream)

    def normal():
        if spare:
            return spare.pop()
        angle, radius = 2 * real(np.pi) * one(), np.sqrt(-2 * np.log1p(-one()))
        spare.append(radius * np.sin(angle))
        return radius * np.cos(angle)

    for a in alpha:
        d = real(a - third)
        c, accepted = 1 / np.sqrt(9 * d), False
        while not accepted:
            x = normal()
            while 1 + c * x <= 0:
                x = normal()
            v, u = (1 + c * x) ** 3, 1 - one()
            accepted = u < 1 - squeeze * x**4
            if not accepted:
                margins.append(np.log(u) - (x * x / 2 + d * (1 - v + np.log(v))))
                accepted = margins[-1] < 0
        found.append(d * v)
    return np.array(found, float), np.array(margins, float), used


@pytest.mark.parametrize("batch", [2, 100, 4096])
def test_rounding_turns_the_path_of_bartletts_gamma_once_in_5e12_draws_at_most(batch):
    """It is decided in float64, margins move by less than 1e-13, and have a density below 1."""
    seed = 8
    uniform = torch.rand(9000, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for dtype in (np.float32, np.float64):
        alpha = np.full(1500, batch / 2, dtype)
        right, margins, used = gammas(alpha, uniform.numpy(), np.float64)
        generator = torch.Generator().manual_seed(seed)
        found = torch._standard_gamma(torch.tensor(alpha), generator=generator)
        np.testing.assert_allclose(found, right, rtol=max(np.finfo(dtype).eps, 1e-13))
        left = torch.rand(1, dtype=torch.float64, generator=generator)
        assert left == uniform[used]  # so many were taken: the path is the same
    finer, moved, path = gammas(alpha, uniform.numpy(), np.longdouble)
    assert path == used and np.abs(moved - margins).max() < 1e-13
    np.testing.assert_allclose(finer, right, rtol=1e-13)
    near = np.mean([np.abs(margins) < width for width in (0.1, 0.2, 0.3)], axis=1)
    assert 20 < len(margins) < 0.2 * len(alpha)
    assert np.all(near * len(margins) / len(alpha) < 2 * np.array([0.1, 0.2, 0.3]))


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 2**32), st.floats(1e-3, 1e3))
def test_the_noises_root_is_the_symmetric_one_and_rounding_alone_has_none(d, rank, seed, scale):
    """Unique: it depends on no choice of eigenvectors. Equal eigenvalues are tried."""
    turn = ortho_group.rvs(d, random_state=np.random.default_rng(seed)) if d > 1 else np.eye(1)
    values = scale * (np.arange(d) < rank) * (1 + np.arange(d) // 2)
    noise = turn * values @ turn.T
    regression = turn * np.sqrt(scale * np.arange(1, d + 1)) @ turn.T
    yy = noise + regression @ regression
    source = GaussianViews(np.eye(d), regression, (yy + yy.T) / 2, 4, 0, dtype=torch.float64)
    root = source._maps[2](torch.eye(d, dtype=torch.float64))[0].numpy()
    np.testing.assert_allclose(root, turn * np.sqrt(values) @ turn.T, atol=1e-6 * scale**0.5)
    np.testing.assert_allclose(root, root.T, atol=1e-14 * scale**0.5)
    assert np.linalg.matrix_rank(root, tol=1e-7 * scale**0.5) == min(rank, d)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_diagonal_matrices_are_a_shortcut_and_change_nothing(draw, noise):
    def drawn(bump):
        xx, yx = np.diag([1.0, 2.0, 0.5]), np.diag([0.5, 0.9, -0.3])
        xx[0, 1] = xx[1, 0] = bump
        yy = yx @ np.linalg.solve(xx, yx.T) + noise * np.diag([1.0, 0.5, 0.5])
        return GaussianViews(xx, yx, (yy + yy.T) / 2, 4, 0, draw, torch.float64).covariances()

    torch.testing.assert_close(drawn(0.0), drawn(1e-14), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_minibatches_have_the_type_asked_for(dtype):
    sigma = joint("full")
    source = GaussianViews(sigma[:3, :3], sigma[3:, :3], sigma[3:, 3:], 4, 0, dtype=dtype)
    assert {matrix.dtype for matrix in (*source.columns(), *source.covariances())} == {dtype}
    assert Population(sigma[:3, :3], sigma[3:, :3], dtype=dtype).sigma_xx.dtype == dtype


def test_another_law_batch_seed_draw_or_type_is_another_identity():
    sigma = joint("full")
    right = {
        "sigma_xx": sigma[:3, :3],
        "sigma_yx": sigma[3:, :3],
        "sigma_yy": sigma[3:, 3:],
        "batch": 4,
        "seed": 0,
        "draw": "wishart",
        "dtype": torch.float32,
    }
    assert GaussianViews(**right).identity() == GaussianViews(**right).identity()
    for name, value in {
        "sigma_xx": 1.1 * sigma[:3, :3],
        "sigma_yx": 0.9 * sigma[3:, :3],
        "sigma_yy": 1.1 * sigma[3:, 3:],
        "batch": 5,
        "seed": 1,
        "draw": "samples",
        "dtype": torch.float64,
    }.items():
        assert GaussianViews(**(right | {name: value})).identity() != (
            GaussianViews(**right).identity()
        )
    xx, yx = right["sigma_xx"], right["sigma_yx"]
    assert Population(xx, yx).identity() == Population(xx, yx).identity()
    assert Population(xx, yx).identity() != Population(xx, 0.9 * yx).identity()


GOOD = {
    "sigma_xx": np.eye(2),
    "sigma_yx": np.eye(2) / 2,
    "sigma_yy": np.eye(2),
    "batch": 4,
    "seed": 0,
}
LOPSIDED = np.array([[2.0, 1.0], [0.5, 2.0]])


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        ("sigma_xx", np.ones((2, 3)), "sigma_xx must have shape (d, d) or (S, d, d), got (2, 3)"),
        ("sigma_xx", np.ones(2), "sigma_xx must have shape (d, d) or (S, d, d), got (2,)"),
        ("sigma_xx", np.empty((0, 0)), "sigma_xx must have shape (d, d) or (S, d, d), got (0, 0)"),
        ("sigma_xx", LOPSIDED, "sigma_xx must be symmetric, got 1.0 at index (0, 1)"),
        ("sigma_xx", "a", "sigma_xx must be real numbers, got 'a'"),
        ("sigma_xx", np.diag([1.0, -2.0]), "sigma_xx must be positive definite, got eigenvalue -2"),
        ("sigma_xx", np.zeros((2, 2)), "sigma_xx must be positive definite, got eigenvalue 0"),
        ("sigma_yx", np.full((2, 2), np.nan), "sigma_yx must not be NaN, got nan at index (0, 0)"),
        ("sigma_yx", np.eye(3), "sigma_yx must have sigma_xx's shape (2, 2), got (3, 3)"),
        ("sigma_yx", np.eye(2)[None], "sigma_yx must have sigma_xx's shape (2, 2), got (1, 2, 2)"),
        ("sigma_yy", np.stack([np.eye(2)] * 3), "sigma_yy must have sigma_xx's shape (2, 2), got"),
        ("sigma_yy", LOPSIDED, "sigma_yy must be symmetric, got 1.0 at index (0, 1)"),
        ("sigma_yy", np.eye(2) / 9, "sigma_yy must be at least sigma_yx sigma_xx^-1 sigma_xy, got"),
        ("sigma_yy", np.diag([1, np.inf]), "sigma_yy must be finite, got inf at index (1, 1)"),
        ("batch", 0, "batch must be an integer >= 1, got 0"),
        ("batch", 2.0, "batch must be an integer >= 1, got 2.0"),
        ("seed", -1, "seed must be an integer >= 0, got -1"),
        ("seed", None, "seed must be an integer >= 0, got None"),
        (
            "draw",
            "bartlett",
            "draw must be one of wishart, covariances, samples, got 'bart",
        ),
        ("dtype", torch.float16, "dtype must be torch.float32 or torch.float64, got torch.float16"),
        ("dtype", float, "dtype must be torch.float32 or torch.float64, got <class 'float'>"),
    ],
)
def test_bad_arguments_are_named_with_their_value_and_what_is_allowed(argument, value, start):
    with pytest.raises(ValueError) as caught:
        GaussianViews(**(GOOD | {argument: value}))
    message = str(caught.value)
    assert message.startswith(start) and "\n" not in message and len(message) < 250
    if argument in ("sigma_xx", "sigma_yx", "dtype") and "definite" not in start:
        arguments = {name: GOOD[name] for name in ("sigma_xx", "sigma_yx")}
        with pytest.raises(ValueError) as caught:
            Population(**(arguments | {argument: value}))
        assert str(caught.value) == message


def _pairs(**changes):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((300, 4))
    given = {"x": x, "y": x @ rng.standard_normal((4, 4)), "batch": 50, "seed": 1, "streams": 3}
    return Pairs(**(given | {"dtype": torch.float64} | changes))


def test_minibatches_of_given_pairs_have_their_covariances_on_average():
    source = _pairs()
    x, y = source._views.numpy()
    drawn = [source.covariances() for _ in range(2000)]
    for matrices, right in zip(zip(*drawn, strict=True), (x, y), strict=True):
        values = torch.cat(matrices).numpy()
        error = np.abs(values.mean(0) - right.T @ x / 300) / (values.std(0) / len(values) ** 0.5)
        assert error.max() < 4.5
        assert values.std(0).min() > 0.03  # minibatches differ, and the streams as well
    assert not torch.equal(drawn[0][0][0], drawn[0][0][1])


def test_a_minibatch_of_given_pairs_keeps_the_pairs_together():
    source = _pairs(batch=1)
    x, y = source._views
    outer = {
        tuple(np.round(np.outer(b, a).ravel(), 9))
        for a, b in zip(x.numpy(), y.numpy(), strict=True)
    }
    for matrix in source.covariances()[1].numpy():
        assert tuple(np.round(matrix.ravel(), 9)) in outer


def test_given_pairs_go_on_from_a_restored_state_and_are_named():
    source, twin = _pairs(), _pairs()
    source.covariances()
    state = source.state()
    expected = source.covariances()
    twin.restore(state)
    assert all(map(torch.equal, expected, twin.covariances()))
    names = [_pairs(**change).identity() for change in ({}, {"batch": 9}, {"seed": 2})]
    names.append(_pairs(x=np.ones((300, 4))).identity())
    assert len(set(names)) == 4 and names[0] == source.identity()


def test_the_residual_of_given_pairs_is_that_of_their_covariances():
    source, twin = _pairs(), _pairs()
    product, target = torch.randn(2, 6, 4, 4, dtype=torch.float64)
    xx, yx = (matrix.repeat(2, 1, 1) for matrix in twin.covariances())
    torch.testing.assert_close(source.residual(product, target), product @ xx - target @ yx)


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.ones(5)},
        {"y": np.ones((299, 4))},
        {"x": np.full((300, 4), np.nan)},
        {"batch": 0},
        {"seed": -1},
        {"streams": 1.5},
        {"dtype": torch.int64},
    ],
)
def test_bad_pairs_are_refused_in_one_line(change):
    with pytest.raises(ValueError, match=f"^{next(iter(change))}|^x and y ") as caught:
        _pairs(**change)
    assert "\n" not in str(caught.value)
