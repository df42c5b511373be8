"""The command: its report, whole or not at all, its errors in one line, and several processes."""

import csv
import io
import itertools
import json
import os
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure

from jepabook import JEPA, MAE, recorded, spectrum
from jepabook._support import arrays, files
from jepabook.spectrum import report, sources
from jepabook.spectrum.__main__ import main
from jepabook.spectrum.prediction import VERDICTS
from results import random_starts
from tests import commands
from tests.commands import Trap, contents
from tests.trainings import Death, Killed

FILES = {"features.csv", "generalised.csv", "directions.npy", "figure.png", "spectrum.json"}
START = ["--depth", "5", "--epsilon", "1e-2"]


def example(n=900, seed=0):
    """Six features, rotated: one JEPA and MAE disagree on, one that is negative."""
    rng = np.random.default_rng(seed)
    lam, rho = np.array([2, 1, 0.7, 0.4, 0.2, -0.1]), np.array([0.5, 0.9, 0.4, 0.8, 1.0, -0.4])
    basis = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    x = rng.standard_normal((n, 6)) * np.sqrt(lam / rho)
    y = rho * x + 0.2 * rng.standard_normal((n, 6))
    return x @ basis.T, y @ basis.T


X, Y = example()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """x.npy and y.npy in the current folder."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*changes):
    return main(["x.npy", "y.npy", *START, "--out", "report", *changes])


def strict_json(path):
    def no(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=no)


def one_error(capsys, start):
    return commands.one_error(capsys, "jepabook.spectrum", start)


# the report


def test_the_report_holds_what_the_functions_return(folder, capsys):
    assert run("--fraction", "0.4", "--groups", "8", "--confidence", "0.9", "--seed", "3") == 0
    told = capsys.readouterr()
    assert told.err == "" and {p.name for p in (folder / "report").iterdir()} == FILES
    assert {p.name for p in folder.iterdir()} == {"x.npy", "y.npy", "report"}
    found = spectrum.estimate(X, Y, groups=8, confidence=0.9, seed=3, device="cpu")
    predicted = spectrum.predict(found, depth=5, epsilon=1e-2, fraction=0.4)
    table = (folder / "report/features.csv").read_text(encoding="utf-8")
    assert table == spectrum.table(found, predicted)
    np.testing.assert_array_equal(np.load(folder / "report/directions.npy"), found.directions)

    rows = list(csv.DictReader(io.StringIO(table)))
    lam_ends, rho_ends = (found.interval(r) for r in (found.lam_replicates, found.rho_replicates))
    for i, row in enumerate(rows):
        assert int(row["feature"]) == i and float(row["lam"]) == found.lam[i]
        assert float(row["rho"]) == found.rho[i]
        assert [float(row["lam_low"]), float(row["lam_high"])] == lam_ends[:, i].tolist()
        assert [float(row["rho_low"]), float(row["rho_high"])] == rho_ends[:, i].tolist()
        assert float(row["sigma_squared"]) == found.sigma_squared[i]
        for objective in (JEPA, MAE):
            name, at = objective.name.lower(), predicted.times[objective][i]
            assert row[f"{name}_learned"] == predicted.learned[objective][i]
            assert float(row[f"{name}_growth"]) == predicted.growth[objective][i]
            assert row[f"{name}_time"] == (repr(float(at)) if np.isfinite(at) else "")
            assert int(row[f"{name}_place"]) == predicted.ranks(objective)[i]
    assert len(rows) == 6 and rows[5]["jepa_time"] == rows[5]["mae_time"] == ""

    facts = strict_json(folder / "report/spectrum.json")
    assert facts["pairs"] == 900 and facts["features"] == 6 and facts["seed"] == 3
    assert (facts["depth"], facts["epsilon"], facts["fraction"]) == (5, 0.01, 0.4)
    for name in ("explained", "misalignment", "correlation", "confidence"):
        assert facts[name] == getattr(found, name)
    assert facts["order"] == {o.name: predicted.order(o).tolist() for o in (JEPA, MAE)}
    assert facts["disagreements"] == [vars(pair) for pair in predicted.disagreements] != []
    assert {"command", "versions", "date", "wall_seconds"} <= set(facts)

    text = (folder / "report/generalised.csv").read_text(encoding="utf-8")
    generalised = list(csv.DictReader(io.StringIO(text)))
    rho, v = found.generalised()
    assert [float(row["rho"]) for row in generalised] == rho.tolist()
    along = [float(row["lam"]) for row in generalised]
    np.testing.assert_allclose(along, np.diag(v.T @ found.sigma_yx @ v), rtol=1e-10)

    assert "900 pairs, 6 features" in told.out and told.out.endswith("report: report\n")
    order = ", ".join(map(str, predicted.order(JEPA)))
    counts = facts["learned"]["JEPA"]
    assert sum(counts[word] for word in ("sure", "likely")) == len(predicted.order(JEPA))
    surely = f"JEPA learns {counts['sure']} features surely, {counts['likely']} likely"
    assert f"{surely}, in the order {order}\n" in told.out
    assert "far from a common basis" not in told.out
    kept = sorted(predicted.order(JEPA).tolist(), key=lambda i: -found.rho[i])
    assert facts["random_starts"] == kept
    some = ", ".join(map(str, kept))
    assert (
        f"from random starts JEPA keeps some of these, mostly from the largest rho on: {some}\n"
        in (told.out)
    )


@pytest.mark.parametrize("gain", range(len(random_starts.GAINS)))
def test_the_trials_that_came_true_are_the_recorded_ones_of_the_nearest_gain(gain):
    arrays, _ = recorded.result("random_starts")
    right = []
    for grid in range(len(random_starts.GRIDS)):
        found = {key: arrays[f"g{grid}_k{gain}_{key}"] for key in ("sizes", "rho")}
        right += [*random_starts.by_rho(random_starts.kept(found), found["rho"])[0]]
    found, start = spectrum.estimate(X, Y, device="cpu"), random_starts.GAINS[gain] ** 2
    for factor in (0.9, 1.1):
        predicted = spectrum.predict(found, depth=2, epsilon=factor * start)
        told = report.came_true(predicted)
        assert told == (round(random_starts.GAINS[gain], 2), sum(right), len(right))


def doubtful(name):
    """Views, and words of the command, that must raise one warning of the report."""
    rng = np.random.default_rng(2)
    classes = np.arange(900) % 2
    if name == "all well":
        return X, Y, classes + (X[:, 0] > 0), []
    if name == "tails":
        x = rng.standard_t(2.1, (4000, 2))
        return x, x + rng.standard_t(2.1, x.shape), None, []
    if name == "few rows":
        return X[:68], Y[:68], None, []
    if name == "rows in time":
        order = np.argsort(X[:, 0])
        return X[order], Y[order], None, []
    if name == "means":
        return X + 5, Y + 5, None, []
    if name == "near":
        return X, Y, None, ["--epsilon", "0.28"]
    if name == "nothing shared":
        return X, rng.standard_normal(X.shape), None, []
    if name == "no basis":
        return X, X @ rng.standard_normal((6, 6)) + Y, None, []
    if name == "rare classes":
        return X, Y, np.arange(900) // 300, []
    return X, Y, classes, []  # labels that mean nothing


WARNINGS = {
    "tails": "caution: one row has a tenth or more of the spread of all squares",
    "few rows": "caution: 68 rows are too few to notice heavy tails",
    "rows in time": "caution: each group of rows resembles the next one",
    "means": "caution: the squared mean is",
    "near": "start near the size at which they count as learned",
    "nothing shared": "misalignment: none can be told, for x explains no more than chance would",
    "no basis": "caution: the covariances are far from a common basis",
    "rare classes": "caution: 3 of 3 classes are in fewer than 4 groups",
    "empty labels": "caution: of no feature can it be told that the labels vary along it",
}


@pytest.mark.parametrize("name", ["all well", *WARNINGS])
def test_each_warning_of_the_report_is_there_where_it_must_and_not_where_all_is_well(
    folder, quick, capsys, name
):
    """Each objective's line of no order, and that of random starts, go with an order or none."""
    x, y, labels, words = doubtful(name)
    np.save("x.npy", x)
    np.save("y.npy", y)
    if labels is not None:
        np.save("labels.npy", labels)
        words = [*words, "--labels", "labels.npy"]
    if name == "rare classes":
        words += ["--groups", "8"]
    assert run(*words) == 0
    told = capsys.readouterr().out
    found = {key for key, warning in WARNINGS.items() if warning in told}
    also = {"empty labels"} if name == "rare classes" else set()
    assert found == {name} - {"all well"} | also, told
    order = strict_json(folder / "report/spectrum.json")["order"]
    for objective, features in order.items():
        none = f"{objective}: of no feature can it be told that it is learned"
        assert (none in told) == (not features)
    assert ("all this for aligned starts" in told) == any(order.values())
    assert ("from random starts JEPA keeps" in told) == bool(order["JEPA"])


def test_covariances_without_a_common_basis_are_told_with_their_generalised_eigenvalues(
    folder, capsys
):
    mixing = np.random.default_rng(1).standard_normal((6, 6))
    np.save("y.npy", X @ mixing + Y)
    assert run() == 0
    told = capsys.readouterr().out
    found = spectrum.estimate("x.npy", "y.npy")
    first = [float(word) for word in re.search(r"eigenvalues: \[(.*)\] \.\.\.", told)[1].split(",")]
    assert found.misalignment > 0.1 and "far from a common basis" in told
    np.testing.assert_allclose(first, found.generalised()[0][:5], atol=1e-3)


@pytest.mark.parametrize("count", [1, 6, 60])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_the_figure_is_drawn_for_one_and_many_features_and_for_none_that_grows(
    folder, count, sign, capsys
):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, count)) * np.geomspace(3, 0.1, count)
    y = sign * rng.uniform(0.2, 1, count) * x + 0.3 * rng.standard_normal(x.shape)
    np.save("x.npy", x)
    np.save("y.npy", y)
    assert run() == 0
    pixels = image.imread(folder / "report/figure.png")
    assert pixels.shape[0] > 400 and pixels.shape[1] > 900
    ink = (pixels[..., :3].min(-1) < 0.9).mean(0)
    assert (ink[: len(ink) // 2] > 0).any() and (ink[len(ink) // 2 :] > 0).any()
    facts = strict_json(folder / "report/spectrum.json")
    if sign:
        learned = len(facts["order"]["MAE"])
        assert count - learned <= max(1, count // 12) if sign > 0 else learned == 0
    else:
        assert facts["order"] == {"JEPA": [], "MAE": []} and facts["disagreements"] == []
        told = capsys.readouterr().out
        assert told.count("of no feature can it be told that it is learned") == 2
        if facts["explained"] < 0:
            assert facts["misalignment"] is None and "x explains no more than chance would" in told


def test_few_groups_leave_no_interval_and_nothing_to_tell_but_a_report(folder, capsys):
    np.save("x.npy", X[:68])
    np.save("y.npy", Y[:68])
    assert run("--groups", "4") == 0  # of 32, 32 and 4 rows
    text = (folder / "report/features.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["lam_low"] for row in rows} == {""}
    assert "JEPA: of no feature can it be told that it is learned" in capsys.readouterr().out


def test_numbers_in_the_figure_do_not_cover_each_other_and_one_that_comes_first_has_its():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((400, 30))
    found = spectrum.estimate(x, x + rng.standard_normal(x.shape))  # thirty alike
    predicted = spectrum.predict(found, depth=3, epsilon=1e-2)
    axes = Figure(figsize=(9.0, 4.2)).subplots(1, 2)
    spectrum.draw(axes, found, predicted)
    boxes = {label.get_text(): label.get_window_extent() for label in axes[0].texts}
    assert {str(predicted.order(o)[0]) for o in (JEPA, MAE)} & boxes.keys()
    assert 3 < len(boxes) < report.MOST_DRAWN
    assert not any(one.overlaps(other) for one, other in combinations(boxes.values(), 2))


def test_an_earlier_report_is_replaced_and_files_that_are_not_of_it_go_nowhere(folder, capsys):
    assert run() == 0
    first = contents(folder)
    assert run("--epsilon", "0.001") == 0
    assert strict_json(folder / "report/spectrum.json")["epsilon"] == 0.001
    assert contents(folder).keys() == first.keys()
    (folder / "report/notes.txt").write_text("mine")
    capsys.readouterr()
    before = contents(folder)
    assert run() == 2 and contents(folder) == before
    one_error(
        capsys, "--out must be new, empty or an earlier report, got report, in which is notes"
    )


def test_the_report_may_go_to_an_empty_folder_a_link_or_another_place(folder):
    for name in ("empty", "target", "other place"):
        (folder / name).mkdir()
    (folder / "link").symlink_to("target")
    for out in ("empty/", "link", "other place/report"):
        for _ in range(2):
            assert run("--out", out) == 0
            assert {p.name for p in (folder / out).iterdir()} == FILES
    assert (folder / "link").is_symlink()
    assert {p.name for p in folder.iterdir()} == {
        "x.npy", "y.npy", "empty", "target", "link", "other place",
    }  # fmt: skip


class Stop(BaseException):
    """Such as KeyboardInterrupt."""


@pytest.fixture
def quick(monkeypatch):
    """No figure is drawn."""
    monkeypatch.setattr(report, "save_figure", lambda path, *_: path.write_bytes(b"a figure"))


def without_exchange(one, other):
    """What a system that cannot exchange two folders at one instant does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files.ctypes, "CDLL", lambda name: object())
        exchange(one, other)


exchange = files._exchange


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("error", [Stop, RuntimeError])
@pytest.mark.parametrize("broken", ["save_figure", "table", "rename", "_exchange", "_check_ours"])
def test_whatever_stops_the_report_leaves_the_earlier_one_and_nothing_else(
    folder, quick, monkeypatch, before, error, broken
):
    if before:
        assert run() == 0
    elif broken.startswith("_"):
        pytest.skip("there is nothing to replace")
    there, calls = contents(folder), []

    def fails(*args):
        calls.append(args)
        if broken == "_check_ours" and len(calls) < 3:  # the third time of what was replaced
            return check(*args)
        raise error

    check = report._check_ours
    if broken == "rename":
        monkeypatch.setattr(files, "_exchange", without_exchange)
        monkeypatch.setattr(files.os, "rename", fails)
    else:
        monkeypatch.setattr(files if broken == "_exchange" else report, broken, fails)
    with pytest.raises(error):
        run("--epsilon", "0.5")
    assert contents(folder) == there and calls


@pytest.fixture(scope="module")
def death():
    return Death()


@pytest.mark.parametrize("way", [exchange, without_exchange])
def test_death_before_any_file_operation_leaves_one_whole_report_and_the_next_run_cleans_up(
    folder, quick, monkeypatch, death, way
):
    monkeypatch.setattr(files, "_exchange", way)
    assert run() == 0
    entries, seen = {p.name for p in folder.iterdir()}, set()
    for count in itertools.count():
        try:
            with death.after(folder, count):
                run("--epsilon", "0.5")
        except Killed:
            if way is exchange:  # never half a report, never none
                report.check_folder("report")
                seen.add(strict_json(folder / "report/spectrum.json")["epsilon"])
            assert run("--depth", "0") == 2  # an error is no reason to lose a report
            assert run() == 0 and {p.name for p in folder.iterdir()} == entries
            report.check_folder("report")
        else:
            break
    assert count > 20 and seen in ({0.01, 0.5}, set())


def test_leftovers_of_the_living_and_things_of_other_people_stay(folder, quick):
    kept = {
        ".report-0123456.unfinished": None,  # seven digits
        ".report-0123456z.unfinished": None,
        ".other-01234567.unfinished": None,
        ".report-01234567.unfinished/notes.txt": "mine",
        ".report-00000001.unfinished/figure.png/mine.txt": "mine",
    }
    for name, text in kept.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/features.csv").write_text("mine")
    (folder / ".report-89abcdef.unfinished").symlink_to("elsewhere")
    dead, alive = (folder / f".report-{n}.unfinished" for n in ("aaaaaaaa", "bbbbbbbb"))
    for path in (dead, alive):
        path.mkdir()
        (path / "features.csv").write_text("half")
    before = contents(folder)
    with files.alone(alive):
        assert run() == 0
    found = contents(folder)
    assert not dead.exists() and all(
        found[name] == before[name] for name in before if not name.startswith(dead.name)
    )


# whose folder


def changed_text(name):
    def change(report):
        path = report / name
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")

    return change


def json_with(**entries):
    def change(report):
        path = report / "spectrum.json"
        path.write_text(json.dumps(strict_json(path) | entries), encoding="utf-8")

    return change


def a_folder_called(name):
    def change(report):
        (report / name).unlink()
        (report / name).mkdir()
        (report / name / "thesis.txt").write_text("mine")

    return change


def a_link_called(name):
    def change(report):
        (report / name).rename(report.parent / "mine")
        (report / name).symlink_to("../mine")

    return change


WHOSE = {
    "a table with notes": (
        changed_text("features.csv"),
        "which features.csv was changed: move it",
    ),
    "other directions": (
        lambda r: np.save(r / "directions.npy", X),
        "in which directions.npy was ",
    ),
    "facts with a note": (json_with(note="mine"), "in which spectrum.json was ch"),
    "facts with another number": (
        json_with(depth=6),
        "in which spectrum.json was ch",
    ),
    "facts of tomorrow": (json_with(format=2), "report/spectrum.json must be of format 1, got 2: "),
    "facts of somebody": (
        lambda r: (r / "spectrum.json").write_text("{}"),
        "must be of format 1",
    ),
    "facts without sums": (
        json_with(sha256=3),
        "damaged: in 'sha256', it is no",
    ),
    "no JSON": (
        lambda r: (r / "spectrum.json").write_text("mine"),
        "is damaged: it is no JSON object",
    ),
    "a folder": (a_folder_called("figure.png"), "in which figure.png is no file of it"),
    "a link": (a_link_called("features.csv"), "in which features.csv is no file of it"),
    "a part": (lambda r: (r / "figure.png").unlink(), "in which is no figure.png"),
    "one more": (lambda r: (r / ".DS_Store").write_text(""), "in which is .DS_Store"),
}


@pytest.mark.parametrize("name", WHOSE)
def test_only_a_report_as_it_was_written_is_replaced(folder, quick, capsys, name):
    assert run() == 0
    change, message = WHOSE[name]
    change(folder / "report")
    capsys.readouterr()
    before = contents(folder)
    assert run() == 2 and contents(folder) == before
    assert message in one_error(capsys, "")


def test_what_comes_into_a_report_while_the_next_one_is_written_stays(folder, monkeypatch, capsys):
    assert run() == 0
    capsys.readouterr()

    def figure(path, *_):
        path.write_bytes(b"a figure")
        (folder / "report/notes.txt").write_text("mine")

    monkeypatch.setattr(report, "save_figure", figure)
    before = contents(folder)
    assert run() == 2 and contents(folder) == before | {"report/notes.txt": b"mine"}
    one_error(capsys, "--out must be new, empty or an earlier report, got report, in which is not")


def test_a_report_has_the_permissions_that_the_umask_leaves_and_keeps_those_it_was_given(
    folder, quick
):
    old = os.umask(0o027)
    try:
        assert run() == 0
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("report*/*")}
        assert (
            set(modes.values()) == {0o640} and (folder / "report").stat().st_mode & 0o777 == 0o750
        )
        (folder / "report").chmod(0o700)
        assert run() == 0 and (folder / "report").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)


def test_home_is_no_place_for_a_report_also_when_it_is_empty(folder, monkeypatch, capsys):
    (folder / "home").mkdir()
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert run("--out", "home") == 2
    one_error(capsys, "--out must be a folder for the report alone, got home")


@pytest.mark.parametrize(
    ("out", "start"),
    [
        ("x.npy", "--out must be a folder, got a file: x.npy"),
        ("full", "--out must be new, empty or an earlier report, got full, in which is a.txt"),
        (
            "half",
            "--out must be new, empty or an earlier report, got half, in which is no directions",
        ),
        ("no/such/place", "--out must lie in a folder that exists, got no/such/place"),
        ("inside/..", "--out must be "),
        (".", "--out must be "),
        ("/", "--out must be "),
    ],
)
def test_a_folder_that_is_no_report_is_refused_and_left_as_it_is(folder, capsys, out, start):
    for name in ("full/a.txt", "half/figure.png", "inside/a.txt"):
        (folder / name).parent.mkdir()
        (folder / name).write_text("mine")
    before = contents(folder)
    assert run("--out", out) == 2
    one_error(capsys, start)
    assert contents(folder) == before


def test_the_folder_one_is_in_is_refused_also_when_it_is_empty(folder, capsys, monkeypatch):
    (folder / "here").mkdir()
    monkeypatch.chdir("here")
    assert main(["../x.npy", "../y.npy", *START, "--out", "."]) == 2
    one_error(capsys, "--out must be another folder than the one you are in, got .")


# bad input


def changed(row, column, value):
    x = X.copy()
    x[row, column] = value
    return x


def truncated(by):
    content = io.BytesIO()
    np.save(content, X)
    return content.getvalue()[:by]


def archive():
    content = io.BytesIO()
    np.savez(content, x=X)
    return content.getvalue()


BAD_FILES = {
    "missing": (None, "x.npy must be a file, but there is none: check the path"),
    "lengths": (
        X[:-1],
        "x.npy and y.npy must have the same number of rows, one pair each, got 899",
    ),
    "widths": (X[:, 1:], "x.npy and y.npy must have as many features as each other, got 5 and 6"),
    "nan": (changed(800, 4, np.nan), "x.npy must be finite and below 1e+150, got nan in row 800, "),
    "inf": (changed(0, 0, -np.inf), "x.npy must be finite and below 1e+150, got -inf in row 0, "),
    "constant": (changed(slice(None), 2, 7), "x.npy must vary in every feature, got constant feat"),
    "dependent": (
        changed(slice(None), 2, X[:, 0]),
        "x.npy must have linearly independent features",
    ),
    "objects": (
        np.array([Trap()] * 900, object),
        "x.npy must hold numbers, got Python objects, wh",
    ),
    "text": (X.astype(str), "x.npy must be real numbers, got an array of <U"),
    "complex": (X * 1j, "x.npy must be real numbers, got an array of complex128"),
    "fields": (
        np.zeros(900, "f8,i4"),
        "x.npy must be real numbers, got an array of [('f0', '<f8')",
    ),
    "empty array": (X[:0], "x.npy must have rows and features, got shape (0, 6)"),
    "empty file": (b"", "x.npy must be whole, got a truncated file: copy or write it again"),
    "half a header": (truncated(50), "x.npy must be whole, got a truncated file"),
    "longer than it says": (truncated(None) + b"x", "x.npy must end with the last number that its"),
    "header only": (truncated(128), "x.npy must be whole, got a truncated file"),
    "half": (truncated(20_000), "x.npy must be whole, got a truncated file"),
    "archive": (archive(), "x.npy must be a .npy file as numpy.save writes it: save it again"),
    "half archive": (archive()[:9000], "x.npy must be a .npy file as numpy.save writes it"),
    "no numpy": (b"1 2 3\n" * 99, "x.npy must be a .npy file as numpy.save writes it"),
    "folder": (Path.mkdir, "x.npy must hold .npy files where it is a folder, got none"),
    "pipe": (os.mkfifo, "x.npy must be a file, got a pipe"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused_in_one_line_and_the_earlier_report_stays(folder, capsys, name):
    assert run() == 0
    capsys.readouterr()
    bad, start = BAD_FILES[name]
    (folder / "x.npy").unlink()
    if isinstance(bad, bytes):
        (folder / "x.npy").write_bytes(bad)
    elif isinstance(bad, np.ndarray):
        np.save("x.npy", bad)
    elif bad:
        bad(folder / "x.npy")
    before = contents(folder)
    assert run() == 2
    one_error(capsys, start)
    assert contents(folder) == before and not (folder / "sprung").exists()


def test_too_few_pairs_are_refused(folder, capsys):
    np.save("x.npy", X[:7])
    np.save("y.npy", Y[:7])
    assert run() == 2
    one_error(capsys, "x.npy must have at least 8 rows for 6 features, got 7: collect more pairs")
    assert not (folder / "report").exists()


def test_every_truncation_of_a_file_is_refused_in_one_line(tmp_path):
    whole, path = truncated(None), tmp_path / "x.npy"
    for length in [*range(0, 200), *range(200, len(whole), 977), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError) as caught:
            arrays.npy(path)
        message = str(caught.value)
        assert message.startswith(f"{path} must be ") and "\n" not in message
        assert "truncated" in message or length < 10


@pytest.mark.parametrize("kind", ["f8", "O"])
def test_damage_to_the_header_is_refused_in_one_line_or_read_as_it_says(tmp_path, kind):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 2), kind))
    whole, refused = path.read_bytes(), 0
    for position in range(128):
        for bit in (0, 1, 4, 6):
            content = bytearray(whole)
            content[position] ^= 1 << bit
            path.write_bytes(content)
            try:
                sources.Pairs(str(path), np.zeros((4, 2)))
            except ValueError as error:
                assert str(error).startswith(str(path)) and "\n" not in str(error)
                refused += 1
    assert refused > 128


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["--depth", "0"], "depth must be an integer >= 1, got 0"),
        (["--epsilon", "-1"], "epsilon must be positive and finite, got -1.0"),
        (["--epsilon", "nan"], "epsilon must not be NaN, got nan"),
        (["--fraction", "1"], "fraction must lie in (0, 1), got 1.0"),
        (["--groups", "5"], "groups must be even, got 5"),
        (["--confidence", "95"], "confidence must lie in (0, 1), got 95.0"),
        (["--seed", "-1"], "seed must be an integer >= 0, got -1"),
        (["--device", "tpu"], "device must be one of auto, cpu, cuda, got 'tpu'"),
    ],
)
def test_bad_options_are_refused_in_one_line(folder, capsys, options, start):
    assert run(*options) == 2
    one_error(capsys, start)
    assert not (folder / "report").exists()


def test_a_full_disk_is_told_in_one_line_and_nothing_stays(folder, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "save_figure", full)
    before = contents(folder)
    assert run() == 2 and contents(folder) == before
    one_error(capsys, "[Errno 28] No space left on device")


# the command itself, one process or several


def command(folder, *arguments, torchrun=0):
    """Start it in a folder; what it printed, and its status."""
    words = ["x.npy", "y.npy", *START, "--device", "cpu", *arguments]
    return commands.ran(folder, "jepabook.spectrum", *words, torchrun=torchrun)


def test_the_command_writes_its_report_or_one_line_and_status_2(folder):
    ran = command(folder, "--out", "report")
    assert ran.returncode == 0 and ran.stderr == "" and "900 pairs, 6 features" in ran.stdout
    facts = strict_json(folder / "report/spectrum.json")
    told = "x.npy y.npy --depth 5 --epsilon 1e-2 --device cpu --out report"
    assert facts["command"] == f"python -m jepabook.spectrum {told}"
    ran = command(folder, "--out", "x.npy")
    assert ran.returncode == 2 and ran.stdout == ""
    assert ran.stderr == (
        "python -m jepabook.spectrum: error: --out must be a folder, got a file: x.npy\n"
    )


NUMBERS = {verdict: 1.0 + place for place, verdict in enumerate(VERDICTS)}


def numbers(folder):
    """The report's numbers as one array, with its facts."""
    facts = strict_json(folder / "spectrum.json")
    values = [facts["explained"], facts["misalignment"], facts["correlation"]]
    for name in ("features.csv", "generalised.csv"):
        rows = list(csv.reader(io.StringIO((folder / name).read_text(encoding="utf-8"))))[1:]
        values += [NUMBERS.get(cell) or float(cell or "inf") for row in rows for cell in row]
    return np.array(values), facts


@pytest.mark.parametrize("processes", [2, 4])
def test_torchrun_s_processes_find_what_one_finds(folder, processes):
    assert run("--device", "cpu") == 0
    one, facts = numbers(folder / "report")
    ran = command(folder, "--out", "together", torchrun=processes)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("900 pairs, 6 features") == 1
    several, facts_of_several = numbers(folder / "together")
    finite = np.isfinite(one)
    np.testing.assert_array_equal(np.isfinite(several), finite)
    # relative to each number; differences of nearly equal ones, such as the misalignment, to 1
    np.testing.assert_allclose(several[finite], one[finite], rtol=1e-12, atol=1e-12)
    for name in ("order", "disagreements", "pairs"):
        assert facts_of_several[name] == facts[name]
    ours, theirs = (np.load(folder / name / "directions.npy") for name in ("report", "together"))
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-12)


def test_a_bad_row_in_one_process_s_share_stops_all_with_one_line(folder):
    np.save(folder / "x.npy", changed(700, 3, np.inf))
    ran = command(folder, "--out", "report", torchrun=2)
    told = [line for line in ran.stderr.splitlines() if "jepabook.spectrum: error" in line]
    assert ran.returncode != 0 and len(told) == 1, ran.stderr
    assert told[0].endswith("got inf in row 700, feature 3: repair or drop that pair")
    assert {p.name for p in folder.iterdir()} == {"x.npy", "y.npy"}


# labels, and views of images


def test_labels_get_columns_a_panel_and_lines(folder, capsys):
    classes = (X[:, 0] + 0.3 * np.random.default_rng(0).standard_normal(900) > 0).astype(int)
    np.save("labels.npy", classes)
    assert run() == 0
    plain = image.imread("report/figure.png").shape
    capsys.readouterr()
    assert run("--labels", "labels.npy") == 0
    told = capsys.readouterr().out
    found = spectrum.estimate(X, Y, device="cpu")
    stand = spectrum.label_shares(found, X, classes)
    predicted = spectrum.predict(found, depth=5, epsilon=1e-2)
    table = (folder / "report/features.csv").read_text(encoding="utf-8")
    assert table == spectrum.table(found, predicted, stand)
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [float(row["label_share"]) for row in rows] == stand.share.tolist()
    assert [row["label_told"] for row in rows] == stand.told.tolist()
    facts = strict_json(folder / "report/spectrum.json")["labels"]
    assert facts["classes"] == 2 and facts["rho"] == stand.rho
    for objective in (JEPA, MAE):
        assert facts[objective.name]["half"] == stand.place(predicted, objective)
        assert facts[objective.name]["in_all"] == stand.curve(predicted, objective)[-1]
    assert f"labels (2 classes): told from {facts['sure']} features surely" in told
    assert f"rho {stand.rho:.3f} with standard error" in told
    assert image.imread("report/figure.png").shape[1] > 1.3 * plain[1]
    np.save("labels.npy", classes[:5])
    assert run("--labels", "labels.npy") == 2
    one_error(capsys, "labels.npy must be one for each of 900 rows, (n,) or (n, k), got shape (5,)")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Class folders of pictures, and a flat one: smooth patterns, bright or dark by class."""
    from PIL import Image

    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    at = np.arange(16) / 16
    for number in range(120):
        kind = number % 3
        waves = [rng.normal() * np.cos(np.pi * k * at) / (1 + k) for k in range(1, 5)]
        grey = 0.35 + 0.15 * kind + 0.2 * np.add.outer(sum(waves[:2]), sum(waves[2:]))
        grey = grey + 0.05 * rng.standard_normal((16, 16))
        pixels = np.repeat((255 * grey.clip(0, 1)).astype(np.uint8)[..., None], 3, axis=2)
        for place in (root / "classes" / f"c{kind}", root / "flat"):
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{number:03}.png")
    return root


def of_images(pictures, views, *changes, where="classes"):
    words = ["--images", str(pictures / where), "--views", views, "--size", "4"]
    return main([*words, "--pairs", "2400", *START, "--out", "report", "--device", "cpu", *changes])


@pytest.mark.parametrize("views", ["random-masks", "block-masks", "crops", "jitter", "frames"])
@pytest.mark.parametrize("where", ["classes", "flat"])
def test_a_folder_of_images_is_all_that_a_report_needs(
    pictures, tmp_path, monkeypatch, capsys, views, where
):
    monkeypatch.chdir(tmp_path)
    assert of_images(pictures, views, where=where) == 0
    told = capsys.readouterr().out
    facts = strict_json(tmp_path / "report/spectrum.json")
    # frames are no draws: every pair is there once
    clips = 3 if where == "classes" else 1
    assert (
        facts["pairs"] == (120 - clips if views == "frames" else 2400) and facts["features"] == 16
    )
    assert ("labels" in facts) == (where == "classes" and views != "frames")
    assert ("labels (3 classes)" in told) == ("labels" in facts)
    assert ("labels: none, for folders of frames are clips" in told) == (views == "frames")
    height = image.imread(tmp_path / "report/figure.png").shape[0]  # with features as pictures
    assert (height > 700) == any(facts["order"].values())


def test_brightness_that_tells_the_class_is_what_jitter_takes_from_jepa(
    pictures, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rho_of = {}
    for jitter in ("0.01", "0.1"):
        assert of_images(pictures, "jitter", "--jitter", jitter, "--epsilon", "0.1") == 0
        labels = strict_json(tmp_path / "report/spectrum.json")["labels"]
        rho_of[jitter] = labels["rho"]
    assert rho_of["0.01"] > 0.9 and rho_of["0.1"] < 0.75


def test_several_kinds_of_views_have_reports_of_their_own_and_labels_side_by_side(
    pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    kinds = ["crops", "frames", "jitter", "random-masks"]
    for _ in range(2):  # the second time reports are replaced
        words = ["--images", str(pictures / "classes"), "--size", "4", "--pairs", "2400"]
        words += ["--views", *kinds, *START, "--out", "all", "--device", "cpu"]
        assert main(words) == 0
        told = capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == kinds
    lines = told[told.index("half of what labels tell") :].splitlines()
    assert [line.split()[0] for line in lines[1:]] == kinds
    for line, kind in zip(lines[1:], kinds, strict=True):
        if kind == "frames":
            assert line.split() == ["frames", "has", "no", "labels"]
            continue
        assert of_images(pictures, kind) == 0
        capsys.readouterr()
        one = strict_json(tmp_path / "report/spectrum.json")["labels"]
        several = strict_json(tmp_path / "all" / kind / "spectrum.json")["labels"]
        assert several == one
        half = [one[name]["half"] for name in ("JEPA", "MAE")]
        if half[0] is not None:
            in_all = [f"{one[name]['in_all']:.0%}" for name in ("JEPA", "MAE")]
            assert line.split()[1:] == [*(str(place or "never") for place in half), *in_all]
    (tmp_path / "all" / "crops" / "more").write_text("mine")
    assert main(words) == 2
    one_error(
        capsys, "--out must be new, empty or an earlier report, got all/crops, in which is more"
    )


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["--images", "photos"], "--images and --views must be given together, got one of them"),
        (["--views", "crops"], "--images and --views must be given together, got one of them"),
        (
            ["--images", "photos", "--views", "frames", "--labels", "l.npy"],
            "--labels must be left out with --views frames, whose folders are clips, got l.npy",
        ),
        (
            ["--images", "photos", "--views", "crops", "--labels", "l.npy"],
            "labels must be left out with --images, got l.npy",
        ),
        ([], "x and y must be given, or --images and --views, got neither"),
        (["x.npy"], "x and y must be given, or --images and --views, got neither"),
        (["x.npy", "--images", "photos", "--views", "crops"], "x must be left out with --images"),
        (
            ["--images", "nowhere", "--views", "crops"],
            "images must be 'photos', a folder, a .parquet file",
        ),
        (["--images", "photos", "--views", "crops", "--size", "0"], "size must be an integer >= "),
        (
            ["--images", "photos", "--views", "random-masks", "--size", "4", "--patch", "3"],
            "patch must divide the pictures' side, 4, got 3",
        ),
    ],
)
def test_bad_words_on_images_are_refused_in_one_line(folder, capsys, words, start):
    assert main([*words, *START, "--out", "report", "--most-images", "40"]) == 2
    one_error(capsys, start)
    assert not (folder / "report").exists()
