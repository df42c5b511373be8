"""What to watch: each case where it is certain, against sizes that are known, and the command."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jepabook import watch
from jepabook.watch import rule
from jepabook.watch.__main__ import main
from tests.commands import Trap, one_error

ROWS, CLEAN = 4000, np.array([0.9, 0.9, 0.9, 0.2, 0.2, 0.2])


def views(sizes, rows=ROWS, seed=0, turned=False):
    """Embeddings (2, rows, 6) of one world by an encoder of these sizes, perhaps turned."""
    rng = np.random.default_rng(seed)
    x, more = rng.standard_normal((2, rows, 6))
    y = CLEAN * x + np.sqrt(1 - CLEAN**2) * more
    basis = np.linalg.qr(np.random.default_rng(9).standard_normal((6, 6)))[0]
    return np.array([x, y]) * sizes @ (basis if turned else np.eye(6))


ALL, FEW = np.ones(6), np.array([1, 1, 1, 0.3, 0.3, 0.3])
CASES = {
    rule.STALLED: (ALL, ALL),
    rule.RISING: (0.5 * ALL, np.array([1.2, 1.2, 0.6, 1, 1, 0.6])),
    rule.GROWING: (0.5 * ALL, ALL),
    rule.LEARNING: (np.array([0.5, 0.5, 0.5, 1, 1, 1]), np.array([1, 1, 1, 0.5, 0.5, 0.5])),
    rule.NOISE: (FEW, np.array([1, 1, 1, 2, 2, 2])),
    rule.PARTIAL: (FEW, np.array([1, 1, 0.01, 0.3, 0.3, 0.3])),
    rule.SHRINKING: (ALL, 0.3 * ALL),
    rule.FULL: (ALL, 0.05 * ALL),
}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_each_case_is_told_where_it_is_plain(case, turned):
    first, last = CASES[case]
    assert set(CASES) | {watch.CANNOT} == set(watch.CASES)
    found = watch.embeddings([views(first), views(last, turned=turned)])
    assert found.case == case, (found.why, found.changes)


def test_levels_and_changes_are_those_of_the_features():
    found = watch.embeddings([views(FEW), views(ALL), views(2 * ALL)])
    for name, of_one in (("explained", CLEAN**2), ("unexplained", 1 - CLEAN**2)):
        known = [of_one @ sizes**2 for sizes in (FEW, ALL, 2 * ALL)]
        assert found.levels[name] == pytest.approx(known, rel=0.05)
        change = found.changes[name]
        assert change.low < known[2] / known[0] < change.high
    ranks = [np.sum(sizes**2) ** 2 / np.sum(sizes**4) for sizes in (FEW, ALL, 2 * ALL)]
    assert found.levels["rank"] == pytest.approx(ranks, rel=0.05)


def test_lost_is_the_share_of_what_was_explained_whatever_grows_beside_it():
    dead = np.array([1, 1, 0, 3, 1, 1])
    found = watch.embeddings([views(ALL), views(dead, turned=True)]).changes["lost"]
    share = 0.81 / (3 * 0.81 + 3 * 0.04)
    assert found.low - 0.01 < share < found.high + 0.01 and found.high - found.low < 0.1


@pytest.mark.parametrize("power", [1.0, 0.9, 0.5])
def test_unlike_is_the_spread_of_the_factors_whatever_the_turn(power):
    first = np.array([1, 0.8, 0.6, 0.5, 0.4, 0.3])
    factors = 3.0 * first ** (2 * power - 2)  # of variances; all alike at power 1
    found = watch.embeddings([views(first), views(np.sqrt(factors) * first, turned=True)])
    weights = first**4 / np.sum(first**4)
    mean = weights @ factors
    spread = np.sqrt(weights @ (factors - mean) ** 2) / mean
    change = found.changes["unlike"]
    assert change.low - 0.01 <= spread <= change.high + 0.01
    alike = spread < rule.UNLIKE * (1 - 1 / mean)
    assert (found.case == rule.GROWING) == (alike and found.changes["odds"].course != "down")
    assert change.value == 0 or power < 1


def test_a_new_feature_is_not_growing_alike():
    found = watch.embeddings([views(np.array([1, 1, 0.01, 0.3, 0.3, 0.3])), views(1.5 * FEW)])
    assert found.case == rule.RISING and found.changes["unlike"].low > 0.2


def test_small_mixed_changes_seen_in_few_rows_are_hardly_ever_called_a_case():
    mixed = np.array([1.15, 0.9, 0.97, 0.9, 1.15, 1.0])
    told = [
        watch.embeddings([views(ALL, 60, seed), views(mixed, 60, seed)]).case for seed in range(20)
    ]
    assert sum(case in (watch.CANNOT, rule.STALLED) for case in told) >= 18, told


def test_rows_that_are_other_pairs_look_like_features_that_are_gone():
    """Which is why they must be the same."""
    found = watch.embeddings([views(ALL), views(ALL, seed=1)])
    assert found.case == rule.PARTIAL and found.changes["lost"].low > 0.5


def test_clusters_widen_intervals_of_copied_rows():
    few = [views(FEW, 200), views(np.array([1, 1, 1, 0.5, 0.3, 0.3]), 200, seed=1)]
    copied = [np.repeat(view, 20, axis=1) for view in few]
    shuffled = np.random.default_rng(0).permutation(4000)
    copied = [view[:, shuffled] for view in copied]
    labels = np.repeat(np.arange(200), 20)[shuffled]
    widths = []
    for clusters in (None, labels):
        change = watch.embeddings(copied, clusters=clusters).changes["unexplained"]
        widths.append(np.log(change.high / change.low))
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(
    ("loss", "variance", "case"),
    [
        ([1, 2], None, watch.CANNOT),
        ([1, 2], [1, 4], rule.RISING),
        ([1, 0.8], [1, 2], rule.LEARNING),
        ([1, 2], [1, 2], watch.CANNOT),
        ([1, 2], [1, 1.5], watch.CANNOT),
        ([1, 0.5], [1, 0.2], watch.CANNOT),
        ([1, 0.1], [1, 0.5], watch.CANNOT),
        ([1, 0.0005], [1, 0.0005], rule.FULL),
        ([1, 0.5], [1, 1], rule.LEARNING),
        ([1, 1], [1, 1], rule.STALLED),
    ],
)
def test_logs(loss, variance, case):
    rng = np.random.default_rng(3)
    between = [*loss, *(variance or [])]
    columns = [
        np.geomspace(*ends, 2000) * np.exp(0.1 * rng.standard_normal(2000))
        for ends in (between[:2], between[2:])
        if ends
    ]
    assert watch.log(*columns, since=0.0).case == case


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", views(0.5 * ALL))
    x, y = views(ALL)
    save_file({"x": x, "y": y}, "b.safetensors")
    loss = [f'{{"loss": {1 + k / 100}, "target_variance": {1 + k / 20}}}' for k in range(400)]
    (tmp_path / "log.jsonl").write_text("\n".join([*loss, '{"epoch": 1}']))
    (tmp_path / "log.csv").write_text("step,loss\n" + "\n".join(f"{k},1.5" for k in range(200)))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "case"),
    [
        (["a.npy", "b.safetensors"], rule.GROWING),
        (["a.npy", "a.npy", "--groups", "6"], rule.STALLED),
        (["log.jsonl"], rule.RISING),
        (["log.csv"], watch.CANNOT),
    ],
)
def test_the_command_tells_and_gives_json(folder, capsys, words, case):
    assert main(words) == 0
    assert capsys.readouterr().out.startswith(f"{case}: ")
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["case"] == case and set(told) == {"case", "why", "changes", "levels"}


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["a.npy"], "files must be one .csv"),
        (["a.npy", "log.csv"], "files must be one .csv"),
        (["a.npy", "no.npy"], "no.npy must be a file"),
        (["a.npy", "bad.npy"], "bad.npy must be whole, got a truncated file"),
        (["a.npy", "text.npy"], "text.npy must be a .npy file as numpy.save writes it"),
        (["a.npy", "trap.npy"], "trap.npy must hold numbers, got Python objects, which are never"),
        (["a.npy", "bad.safetensors"], "bad.safetensors must be a safetensors file, whole"),
        (["a.npy", "x.safetensors"], "x.safetensors must hold tensors x and y"),
        (["a.npy", "xy.safetensors"], "xy.safetensors's x and y must have one shape, got (3, 2) a"),
        (["a.npy", "short.npy"], "checkpoints must have the same pairs"),
        (["a.npy", "flat.npy"], "checkpoints[1] must have shape (2, n, p)"),
        (["a.npy", "a.npy", "--groups", "5"], "groups must be even"),
        (["a.npy", "a.npy", "--clusters", "a.npy"], "a.npy must be a .npy file of integers"),
        (["empty.csv"], "empty.csv must have a column loss"),
        (["words.jsonl"], "words.jsonl must hold one JSON object a line"),
        (["holes.csv"], "holes.csv must have target_variance in every row"),
        (["text.csv"], "text.csv's loss must be numbers"),
        (["log.csv", "--since", "2"], "since must lie in [0, 0.8]"),
    ],
)
def test_bad_files_are_one_line(folder, capsys, words, start):
    (folder / "bad.npy").write_bytes(b"no")
    (folder / "text.npy").write_text("1 2 3\n" * 99)
    np.save("trap.npy", np.array([Trap()]), allow_pickle=True)
    (folder / "bad.safetensors").write_bytes(b"no")
    save_file({"x": np.zeros((3, 2))}, "x.safetensors")
    save_file({"x": np.zeros((3, 2)), "y": np.zeros((2, 2))}, "xy.safetensors")
    np.save("short.npy", views(ALL, 100))
    np.save("flat.npy", np.zeros((8, 2)))
    (folder / "empty.csv").write_text("step,value\n1,2\n")
    (folder / "words.jsonl").write_text("[1]\n")
    (folder / "holes.csv").write_text("loss,target_variance\n1,2\n1,\n")
    (folder / "text.csv").write_text("loss\nsome\n")
    assert main(words) == 2
    one_error(capsys, "jepabook.watch", start)
    assert not (folder / "sprung").exists()
