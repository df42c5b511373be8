"""Where labels stand: against analysis of variance, exact populations, and views without any."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from jepabook import JEPA, MAE, spectrum
from jepabook._support.processes import Share

LAM, RHO = np.array([2.0, 1.0, 0.7, 0.4, 0.2]), np.array([0.5, 0.9, 0.4, 0.8, 0.6])


def views(n, means=None, seed=0, basis=None):
    """Pairs of uncorrelated features; of classes with these means, (K, d), if there are any."""
    rng, d = np.random.default_rng(seed), len(LAM)
    means = np.zeros((3, d)) if means is None else means
    classes = rng.integers(len(means), size=n)
    within = np.diag(LAM / RHO) - np.cov(means.T, bias=True)
    x = rng.standard_normal((n, d)) @ np.linalg.cholesky(within).T + means[classes]
    y = RHO * x + 0.2 * rng.standard_normal((n, d))
    return (x, y, classes) if basis is None else (x @ basis.T, y @ basis.T, classes)


def estimate(x, y, **others):
    return spectrum.estimate(
        x, y, **({"device": "cpu", "replicates": 20, "progress": False} | others)
    )


MEANS = np.zeros((2, 5))
MEANS[:, 1], MEANS[:, 3] = (0.3, -0.3), (-0.4, 0.4)


def test_shares_are_the_part_of_each_variance_between_classes():
    x, y, classes = views(60_000, MEANS)
    found = estimate(x, y)
    stand = spectrum.label_shares(found, x, classes)
    between = MEANS.var(0) / (LAM / RHO)
    order = np.abs(found.directions).argmax(0)
    np.testing.assert_allclose(stand.share, between[order], atol=0.012)
    assert (np.abs(stand.share - between[order]) < 4 * stand.error + 1e-4).all()
    assert set(np.flatnonzero(stand.told == "sure")) == set(np.flatnonzero(between[order]))
    weight = between / between.sum()
    assert abs(stand.rho - weight @ RHO) < 4 * stand.rho_error < 0.05
    assert abs(stand.lam - weight @ LAM) < 4 * stand.lam_error < 0.1
    # the direction that separates the two classes has this rho
    v = np.linalg.solve(np.diag(LAM / RHO), MEANS[0] - MEANS[1])
    assert abs(v @ (LAM * v) / (v @ (LAM / RHO * v)) - weight @ RHO) < 1e-12


def test_shares_come_from_the_rows_held_out_and_agree_with_analysis_of_variance_there():
    x, y, classes = views(4_000, MEANS, basis=np.linalg.qr(np.ones((5, 5)) + np.eye(5))[0])
    found = estimate(x, y)
    held = found.cut.of(0, len(x), None) >= 0
    assert held.sum() == found.held_out
    stand, other = (spectrum.label_shares(s, x, classes) for s in (found, found.swapped))
    along = (x[held] - x[held].mean(0)) @ found.directions
    inside = sum(
        ((part - part.mean(0)) ** 2).sum(0)
        for part in (along[classes[held] == k] for k in range(2))
    )
    raw = 1 - inside / (along**2).sum(0)
    np.testing.assert_allclose(stand.share, raw - (1 - raw) / held.sum(), atol=0.01)
    spoilt = x.copy()
    spoilt[~held] = np.random.default_rng(1).standard_normal((~held).sum() * 5).reshape(-1, 5)
    again = spectrum.label_shares(found, spoilt, classes)
    np.testing.assert_array_equal(again.share, stand.share)
    assert not np.allclose(other.share, stand.share, atol=1e-6)


@pytest.mark.parametrize("kind", ["classes", "many classes", "numbers"])
def test_of_labels_that_mean_nothing_no_more_is_told_than_the_confidence_leaves(kind):
    some, together = 0, 0
    for seed in range(120):
        x, y, classes = views(600, seed=seed)
        rng = np.random.default_rng(1000 + seed)
        target = {
            "classes": classes,
            "many classes": rng.integers(20, size=600),
            "numbers": rng.standard_normal((600, 2)),
        }[kind]
        stand = spectrum.label_shares(estimate(x, y, seed=seed), x, target)
        some += (stand.told != "cannot be told").any()
        together += np.isfinite(stand.rho)
    assert some <= 14 and together <= 14  # 6 are to be expected, more than 14 once in 1000


def test_clusters_are_what_is_independent():
    rng, told = np.random.default_rng(0), {True: 0, False: 0}
    for _ in range(30):
        image = np.repeat(np.arange(60), 30)
        base = rng.standard_normal((60, 5))
        x = base[image] + 0.3 * rng.standard_normal((1800, 5))
        y = base[image] + 0.3 * rng.standard_normal((1800, 5))
        classes = rng.integers(2, size=60)[image]  # of images, and of nothing in them
        order = rng.permutation(1800)
        for named in told:
            clusters = image[order] if named else None
            found = estimate(x[order], y[order], clusters=clusters)
            stand = spectrum.label_shares(found, x[order], classes[order], clusters=clusters)
            told[named] += (stand.told != "cannot be told").any()
    assert told[True] <= 6 and told[False] > 20


def test_words_integers_files_and_one_column_for_each_class_give_the_same(tmp_path):
    x, y, classes = views(1_000, MEANS)
    found = estimate(x, y)
    expected = spectrum.label_shares(found, x, classes)
    np.save(tmp_path / "labels.npy", classes)
    np.save(tmp_path / "x.npy", x)
    for labels in (
        np.array(["cat", "dog"])[classes],
        ["cat" if k == 0 else "dog" for k in classes],
        tmp_path / "labels.npy",
        classes == 1,
        classes.astype(float),
    ):
        stand = spectrum.label_shares(found, tmp_path / "x.npy", labels)
        np.testing.assert_allclose(stand.share, expected.share, rtol=1e-9, atol=1e-12)
    assert list(spectrum.label_shares(found, x, np.array(["a", "b"])[classes]).classes) == [
        "a",
        "b",
    ]


def test_a_regression_target_is_told_by_what_it_explains():
    x, y, _ = views(20_000)
    found = estimate(x, y)
    target = x[:, 1] / x[:, 1].std() + np.random.default_rng(5).standard_normal(len(x))
    stand = spectrum.label_shares(found, x, target)
    best = np.abs(found.directions[1]).argmax()
    assert abs(stand.share[best] - 0.5) < 0.03 and abs(stand.weight[best] - 1) < 0.02


def test_several_processes_give_what_one_gives():
    import threading

    x, y, classes = views(900, MEANS)
    clusters = np.random.default_rng(0).integers(40, size=900)
    for named in (None, clusters):
        found = estimate(x, y, clusters=named)
        expected = spectrum.label_shares(found, x, classes, clusters=named)
        meeting, parts, results = threading.Barrier(3), [None] * 3, [None] * 3

        def work(rank, named=named, found=found, meeting=meeting, parts=parts, results=results):
            def total(array):
                parts[rank] = np.array(array, float)
                meeting.wait()
                summed = sum(parts)
                meeting.wait()
                return summed

            share = Share(rank, 3, total)
            results[rank] = spectrum.label_shares(found, x, classes, clusters=named, share=share)

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for stand in results:
            np.testing.assert_allclose(stand.share, expected.share, rtol=1e-9, atol=1e-12)


def test_places_and_curves_follow_each_objective_s_order():
    x, y, classes = views(20_000, MEANS)
    found = estimate(x, y)
    predicted = spectrum.predict(found, depth=3, epsilon=0.01)
    stand = spectrum.label_shares(found, x, classes)
    for objective in (JEPA, MAE):
        curve, order = stand.curve(predicted, objective), predicted.order(objective)
        assert curve[0] == 0 and len(curve) == 1 + len(order)
        for part in (0.3, 0.5, 0.9):
            place, held = stand.place(predicted, objective, part), 0.0
            for number, feature in enumerate(order, 1):
                held += stand.weight[feature]
                if held >= part:
                    assert place == number
                    break
            else:
                assert place == 0
    hidden = replace(predicted, learned={o: np.full(5, "cannot be told") for o in (JEPA, MAE)})
    assert stand.place(hidden, JEPA) == 0 and stand.curve(hidden, JEPA).tolist() == [0.0]


@pytest.mark.parametrize("sorted_by_class", [False, True])
def test_classes_in_few_groups_are_told_of_and_others_are_not(sorted_by_class):
    x, y, classes = views(2_000, np.zeros((12, 5)))
    order = np.argsort(classes, kind="stable") if sorted_by_class else np.arange(2_000)
    stand = spectrum.label_shares(estimate(x[order], y[order]), x[order], classes[order])
    assert any("fewer than 4 groups" in caution for caution in stand.cautions) == sorted_by_class


@pytest.mark.parametrize("means", [None, MEANS])
def test_labels_of_which_nothing_is_told_are_told_of(means):
    x, y, classes = views(1_000, means, seed=3)
    stand = spectrum.label_shares(estimate(x, y), x, classes)
    nothing = any("of no feature" in caution for caution in stand.cautions)
    assert nothing == (means is None) == np.isnan(stand.rho) == np.isnan(stand.weight).all()
    ax = Figure().subplots()
    predicted = spectrum.predict(estimate(x, y), depth=2, epsilon=0.01)
    spectrum.draw_labels(ax, stand, predicted)
    assert any("not clear of chance" in text.get_text() for text in ax.texts) == nothing


@pytest.mark.parametrize("strength", [0.12, 1.0])
def test_labels_that_all_features_together_hardly_tell_have_no_places(strength):
    x, y, classes = views(2_000, strength * MEANS, seed=5)
    found = estimate(x, y)
    stand = spectrum.label_shares(found, x, classes)
    faint = any("not clear of chance" in caution for caution in stand.cautions)
    assert (stand.told != "cannot be told").any()
    assert faint == (strength < 1) == np.isnan(stand.weight).all()


X, Y, CLASSES = views(400, MEANS)
FOUND = estimate(X, Y)
BAD = [
    ({"x": X[:300]}, "x must be what the spectrum is of, 400 rows of 5 features, got 300 of 5"),
    ({"x": X[:, :4]}, "x must be what the spectrum is of, 400 rows of 5 features, got 400 of 4"),
    (
        {"x": iter([(X, Y)])},
        "x must be an array or a file where labels are asked for, which are re",
    ),
    ({"x": DataLoader(list(zip(X, Y, strict=True)))}, "x must be an array or a file where labels"),
    ({"labels": CLASSES[:9]}, "labels must be one for each of 400 rows, (n,) or (n, k), got shape"),
    ({"labels": np.zeros(400, int)}, "labels must be of two classes or more, got one: 0"),
    ({"labels": np.zeros(400)}, "labels must vary, got a constant column 0"),
    ({"labels": np.full(400, np.nan)}, "labels must be finite, got [nan] in row 0"),
    (
        {"labels": CLASSES[:, None]},
        "labels must be (n,) where they are classes, got shape (400, 1)",
    ),
    ({"labels": np.array([object()] * 400)}, "labels must be real numbers, got an array of object"),
    ({"clusters": CLASSES}, "clusters must be None, as they were to estimate, got array("),
    ({"spectrum": estimate(X, Y, groups=4)}, "spectrum must have 4 groups of rows held out, got 2"),
    ({"spectrum": 3}, "spectrum must be a Spectrum"),
]


@pytest.mark.parametrize(("change", "start"), BAD)
def test_bad_labels_are_refused_in_one_line(change, start):
    with pytest.raises(ValueError) as caught:
        spectrum.label_shares(**({"spectrum": FOUND, "x": X, "labels": CLASSES} | change))
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)


def test_labels_of_batches_are_those_of_their_rows():
    batches = [(X[i : i + 37], Y[i : i + 37]) for i in range(0, 400, 37)]
    found = spectrum.estimate(batches, device="cpu", replicates=20, progress=False)
    held = found.cut.of(0, 400, None) >= 0
    assert held.sum() == found.held_out
    assert np.isfinite(spectrum.label_shares(found, X, CLASSES).share).all()
