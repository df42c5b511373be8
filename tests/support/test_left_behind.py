"""The package's commands where a cluster, a locale or a matplotlib file left their settings."""

import json

import numpy as np
import pytest

from tests.commands import ran

LEFT = {
    "WORLD_SIZE": "4",
    "RANK": "3",
    "LOCAL_RANK": "3",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "PYTHONIOENCODING": "ascii",
    "MPLBACKEND": "tkagg",
}
NOTE = "alone: WORLD_SIZE=4 is not of torchrun and not heeded\n"


@pytest.fixture(autouse=True)
def left(monkeypatch):
    for name, value in LEFT.items():
        monkeypatch.setenv(name, value)


def test_a_report_is_made_and_told(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("x", "y"):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(64, 3)))
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: big\n", encoding="utf-8")
    options = "x.npy y.npy --depth 3 --epsilon 1e-2 --out größe".split()
    done = ran(tmp_path, "jepabook.spectrum", *options)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert NOTE in done.stderr
    assert done.stdout.endswith("report: gr\\xf6\\xdfe\n")
    assert (tmp_path / "größe" / "figure.png").stat().st_size > 0


def test_a_setting_with_which_no_figure_can_be_drawn_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nosuch")
    done = ran(tmp_path, "jepabook.spectrum", *"x y --depth 3 --epsilon 1e-2 --out out".split())
    error = done.stderr.removeprefix(NOTE)
    assert done.returncode == 2 and error.count("\n") == 1
    assert error.startswith("python -m jepabook.spectrum: error: MPLBACKEND and matplotlibrc must")


def test_the_ledger_is_json_in_every_encoding(tmp_path):
    done = ran(tmp_path, "jepabook.claims", "eq:46", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["id"] == "eq:46" and done.stdout.isascii()


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (
            "jepabook.vision.train",
            "--objective jepa --images fotös --preset toy --steps 1 --out out",
        ),
        ("jepabook.vision.convert", "fotös out"),
        ("results.sgd", "wörd"),
    ],
)
def test_bad_input_is_told_in_letters_that_the_output_has(tmp_path, module, options):
    done = ran(tmp_path, module, *options.split())
    assert done.returncode == 2 and "\\xf6" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
