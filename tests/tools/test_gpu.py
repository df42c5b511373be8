"""`make gpu` without a GPU: its stages at toy sizes, what it keeps, and its one line of error."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from jepabook import recorded, same_minibatches
from jepabook.vision import model
from tests.elsewhere import NAME, Elsewhere
from tests.trainings import MICRO
from tools import gpu
from tools.notebooks import ROOT

TOY = gpu.Sizes("micro", 16, 2, 32, 2, 4, 4, 40, "eager")
IDENTITY = {"device": "a card", "torch": "1", "images": "random", "commit": "c0ffee"}
NEEDS = re.compile(r"torch\.cuda\.is_available\(\)")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setitem(model.PRESETS, "micro", MICRO)
    return gpu.Place("cpu", tmp_path / "gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
@pytest.mark.parametrize("more", [(), ("--stage", "nccl")])
def test_without_a_gpu_it_is_one_line_of_error_and_status_2(more):
    words = [sys.executable, "-m", "tools.gpu", *more]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 2 and ran.stdout == ""
    assert re.fullmatch(r"python -m tools\.gpu: error: a GPU must be there .*\n", ran.stderr)


def test_every_test_that_needs_a_gpu_is_in_its_list():
    """Those that are skipped without one, and those that try it if there is one."""
    named = {test.partition("::")[0] for test in gpu.TESTS}
    due = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(rf"not {NEEDS.pattern}|\* {NEEDS.pattern}", path.read_text(encoding="utf-8"))
    }
    assert named == due
    for test in gpu.TESTS:
        path, _, function = test.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")


def test_tests_that_are_skipped_are_no_pass(place, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "TESTS", ("tests/no_such_test.py",))
    with pytest.raises(ValueError, match="must all pass, got 0,"):
        gpu.tests(place, TOY)


@pytest.mark.parametrize("name", ["nccl", "bf16", "compiled"])
def test_a_gradient_is_the_plain_one(place, name):
    gpu.run_stage(place, name, IDENTITY, TOY)
    found, seconds = gpu.kept(place, name, IDENTITY)
    assert seconds >= 0 and all(value.ndim == 0 for value in found.values())
    assert all(0.97 < found[key] <= 1 + 1e-12 for key in found if key.endswith("cosine"))


def test_another_gradient_is_refused():
    one = 1.0, np.array([1.0, 0.0])
    assert gpu._compared(one, one, 0.99, "it") == {"loss_off": 0.0, "cosine": 1.0}
    with pytest.raises(ValueError, match=r"it must keep the gradient to 0\.99, got cosine 0"):
        gpu._compared(one, (1.0, np.array([0.0, 1.0])), 0.99, "it")
    with pytest.raises(ValueError, match="got cosine nan"):
        gpu._compared(one, (1.0, np.array([np.nan, 1.0])), 0.99, "it")


def test_speeds_and_shares_are_measured(place):
    pytest.importorskip("transformers")
    found = gpu.transformer(place, TOY)
    assert found.keys() == {
        "peak",
        *(f"{name}_images_per_second" for name in ("transformers", "mae", "jepa")),
        *(f"{name}_share" for name in ("mae", "jepa")),
    }
    assert all(value > 0 for value in found.values())


def test_networks_are_those_of_the_recorded_figure(place, monkeypatch):
    from benchmarks import test_linear_net

    monkeypatch.setattr(test_linear_net, "ROUNDS", 1)
    asked = {}
    train_both = same_minibatches.train_both

    def seen(*arguments, **options):
        asked.update(options)
        return train_both(*arguments, **options)

    monkeypatch.setattr(same_minibatches, "train_both", seen)
    found = gpu.networks(place, TOY)
    assert found["order_by_lam"].shape == (2, TOY.seeds) and found["share_of_products"] > 0
    assert asked["device"] == "cpu" and asked["steps"] == TOY.steps
    assert 2 * gpu.Sizes().seeds == 256 and gpu.Sizes().steps == 5000


def test_a_pair_is_trained_on_a_second_device_and_goes_on(place, monkeypatch):
    adam = torch.optim.AdamW  # the second device has no fused step
    monkeypatch.setattr(torch.optim, "AdamW", lambda *a, **o: adam(*a, **o | {"fused": False}))
    with Elsewhere():
        there = gpu.Place(NAME, place.folder)
        found, again = gpu.pair(there, TOY), gpu.pair(there, TOY)
    assert found["steps"].tolist() == [TOY.pair_steps]
    for objective in ("jepa", "mae"):
        assert np.isfinite(found[f"{objective}_loss"]).all()
        np.testing.assert_array_equal(found[f"{objective}_loss"], again[f"{objective}_loss"])


@pytest.fixture
def toy_stages(monkeypatch, place):
    """Three stages that say when they run."""
    ran = []

    def stage(name):
        def work(place, sizes):
            ran.append(name)
            return {"number": len(ran)}

        return work

    monkeypatch.setattr(gpu, "STAGES", {name: stage(name) for name in ("one", "two", "three")})
    return ran


def start(place, identity=IDENTITY, fails=()):
    def begin(name, left):
        if name in fails:
            return "exit status 1"
        return gpu.run_stage(place, name, identity, TOY)

    return begin


def test_it_goes_on_where_it_was_and_writes_all_or_nothing(place, toy_stages, tmp_path, capsys):
    result = tmp_path / "gpu.npz"
    assert gpu.run_all(place, IDENTITY, start(place, fails=["two"]), result) == 1
    assert toy_stages == ["one", "three"] and not result.exists()
    assert "not done: exit status 1" in capsys.readouterr().out
    assert gpu.run_all(place, IDENTITY, start(place), result) == 0
    assert toy_stages == ["one", "three", "two"]
    arrays, facts = recorded.load(result)
    assert {key: int(value) for key, value in arrays.items()} == {
        "one__number": 1,
        "two__number": 3,
        "three__number": 2,
    }
    assert facts["device"] == "a card" and facts["identity"] == IDENTITY
    assert list(facts["seconds"]) == ["one", "two", "three"]


def test_no_stage_begins_when_the_time_is_over(place, toy_stages, tmp_path):
    assert gpu.run_all(place, IDENTITY, start(place), tmp_path / "gpu.npz", limit=0) == 1
    assert toy_stages == []


def test_what_was_found_elsewhere_or_is_damaged_does_not_count(place, toy_stages, tmp_path):
    result = tmp_path / "gpu.npz"
    assert gpu.run_all(place, IDENTITY, start(place), result) == 0
    other = IDENTITY | {"device": "another card"}
    assert gpu.run_all(place, other, start(place, other), result) == 0
    gpu.path_of(place, "two").write_bytes(b"PK")
    assert gpu.run_all(place, other, start(place, other), result) == 0
    assert toy_stages == ["one", "two", "three"] * 2 + ["two"]


def test_a_stage_that_leaves_no_file_is_not_done(place, toy_stages, tmp_path, capsys):
    assert gpu.run_all(place, IDENTITY, lambda name, left: None, tmp_path / "gpu.npz") == 1
    assert capsys.readouterr().out.count("not done: it left no file") == 3
