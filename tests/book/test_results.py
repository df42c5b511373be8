"""Recorded results: each carries its provenance, and its beginning can be run again."""

import datetime
import re
import runpy
import sys
from importlib import import_module

import numpy as np
import pytest
import torch

from jepabook import JEPA, FeatureSpectrum, recorded, same_minibatches
from jepabook.vision import images, model, recipes, runs, train
from jepabook.worlds import photographs
from results import (
    assumptions,
    brightness,
    coverage,
    decay,
    flicker,
    folds,
    random_starts,
    returns,
    sgd,
    sgd_orders,
    sgd_scales,
    target_network,
    vision,
    watch,
)
from tools import gpu

# Relative. Records made on a processor of one vendor, and the same beginnings on one of another
# vendor, there under three kinds of arithmetic, were at most 2.4e-7 apart: float32's last digits.
ROUNDING = 1e-5
PENDING = {"folds"}  # their rule is committed, and they have not been run
NAMES = sorted({path.stem for path in recorded.RESULTS.glob("[a-z]*.py")} - PENDING)


@pytest.fixture(scope="module", params=NAMES)
def result(request):
    return request.param, *recorded.result(request.param)


def test_every_script_has_its_recorded_file_and_no_file_is_without():
    files = {path.stem for path in recorded.RESULTS.glob("*.npz")}
    lacking = set(NAMES) ^ (files - {gpu.RESULT.stem})  # made by `make gpu`, where there is one
    assert not lacking, f"results/ must hold NAME.py and NAME.npz of each: {lacking}"


def test_provenance_is_complete(result):
    name, _, facts = result
    assert facts["command"] == f"python -m results.{name}"
    assert {"python", "numpy", "torch", "jepabook"} <= set(facts["versions"])
    assert facts["device"] and isinstance(facts["seed"], int)
    assert facts["wall_seconds"] > 0
    assert datetime.date.fromisoformat(facts["date"]) >= datetime.date(2026, 11, 1)


def test_no_path_of_a_machine(result):
    assert not re.search(r"/(home|root|Users|work|tmp)/", str(result[2]))


def test_files_are_small_and_documented(result):
    name, *_ = result
    assert (recorded.RESULTS / f"{name}.npz").stat().st_size < 2**20
    command = f"python -m results.{name}"
    readme = (recorded.RESULTS / "README.md").read_text()
    assert f"{command}`" in readme, f"results/README.md has no row with {command}"
    told = import_module(f"results.{name}").__doc__
    assert told.count(command) == 1, f"the docstring must name {command} once"


def test_a_script_that_waits_for_its_run_is_told_as_such():
    readme = (recorded.RESULTS / "README.md").read_text()
    for name in PENDING:
        assert not (recorded.RESULTS / f"{name}.npz").exists()
        assert f"`.venv/bin/python -m results.{name}`, " in readme.partition("not been run yet")[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_script_takes_no_arguments_and_says_so(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, "--quick"])
    monkeypatch.delitem(sys.modules, f"results.{name}", raising=False)
    with pytest.raises(SystemExit, match=r"^2$"):
        runpy.run_module(f"results.{name}", run_name="__main__")
    assert capsys.readouterr().err.endswith(": error: unrecognized arguments: --quick\n")


@pytest.mark.parametrize("panel", ["distribution_2", "lam_only"])
def test_the_first_iterations_of_a_panel_come_out_as_recorded(panel):
    """The same seeds, the same code: profiles after 25 and 50 of 5000 iterations."""
    arrays, facts = recorded.result("sgd")
    runs = same_minibatches.train_both(
        FeatureSpectrum(*sgd.PANELS[panel]),
        16,
        [facts["gain"]],
        [0.03],
        steps=50,
        record_at=[0, 25, 50],
        seed=facts["seed"],
    )
    sizes = runs.sizes[:, :, 0, 0]
    np.testing.assert_allclose(sizes.mean(2), arrays[f"{panel}__profile_mean"][:3], rtol=ROUNDING)


def test_the_first_common_sizes_are_reached_as_recorded_and_the_runs_are_those_of_the_panel():
    """The times in the first 60 of 5000 iterations, which are some of MAE's."""
    arrays, _ = recorded.result("sgd_orders")
    found = sgd_orders.reached(sgd_orders.train(steps=60))
    within = arrays["reached"] < 58  # iterations
    assert within.sum() > 100
    np.testing.assert_allclose(found[within], arrays["reached"][within], rtol=ROUNDING)
    panel, _ = recorded.result("sgd")
    np.testing.assert_allclose(arrays["last"], panel["distribution_2__last"], rtol=1e-3)


def test_the_first_iterations_at_larger_scales_come_out_as_recorded():
    """Profiles after 25 and 50 of 5000 iterations at all gains and rates."""
    arrays, _ = recorded.result("sgd_scales")
    found = sgd_scales.profiles(sgd_scales.train(steps=50))
    assert len(found) == 3
    np.testing.assert_allclose(found, arrays["profile_mean"][:3], rtol=ROUNDING)


@pytest.mark.parametrize("kind", ["stream", "shuffled"])
def test_the_beginning_on_the_flickering_world_comes_out_as_recorded(kind):
    """The same seeds, the same code: when MAE at its largest rate learns, in 200 of 4000 steps."""
    arrays, _ = recorded.result("flicker")
    found = flicker.train("aligned", kind, steps=200)["half"][:, 1]
    due = arrays[f"half__aligned_{kind}"][:, 1]
    within = due < 190  # iterations; a few are not there yet
    assert within.mean() > 0.99
    np.testing.assert_allclose(found[within], due[within], rtol=ROUNDING)


def test_the_beginning_under_target_networks_comes_out_as_recorded():
    """When features reach half of their final sizes, in 1500 of 60 000 steps."""
    arrays, _ = recorded.result("target_network")
    rates = target_network.RATES
    chosen = target_network.ALIKE, len(rates), 1500
    times, sizes = target_network.runs(None, JEPA, *chosen, target_rate=rates)
    found, due = target_network.moments(times, sizes)["half"], arrays["half"]
    within = np.isfinite(found) & np.isfinite(due)  # a few fall back later
    assert within.sum() > 0.9 * np.isfinite(found).sum() > 300
    np.testing.assert_allclose(found[within], due[within], rtol=ROUNDING)


@pytest.mark.parametrize("name", ["orthogonal_population_2", "gaussian_100_2"])
def test_the_beginning_of_the_long_trainings_comes_out_as_recorded(name):
    """Sizes and the decoder's eigenvalues in the first 300 of 200 000 steps."""
    arrays, _ = recorded.result("returns")
    found = returns.follow(*returns.SETTINGS[name], stretches=40)
    for key in ("sizes", "modulus"):
        due = arrays[f"{name}_{key}"][: len(found[key])]
        np.testing.assert_allclose(found[key], due, rtol=ROUNDING, err_msg=key)


def test_the_beginning_under_weight_decay_comes_out_as_recorded():
    """Imbalance and sizes of all decays and seeds, two layers, in the first 106 of 20 000 steps."""
    arrays, _ = recorded.result("decay")
    found = decay.follow(2, stretches=2)
    for key, values in found.items():
        due = arrays[key][: len(values)]
        if key == "law_off_2":  # small differences of what is nearly the same
            np.testing.assert_allclose(values, due, rtol=1e-3, atol=1e-6)
        else:
            np.testing.assert_allclose(values, due, rtol=ROUNDING, err_msg=key)


def test_intervals_hold_the_truth_in_every_cell_as_recorded_and_again_in_the_smallest_views():
    arrays, _ = recorded.result("coverage")
    assert (np.abs(arrays["held"] - 0.95) <= 0.02).all() and (arrays["nothing"][:, 2] < 0.1).all()
    assert (np.abs(arrays["photographs"] - 0.95) < 0.05).all()
    d, n, share = arrays["nothing"][0]
    assert coverage.nothing(int(d), int(n), 100) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("gain", [0, 2])
def test_the_first_random_starts_keep_the_features_that_are_recorded(gain):
    """Sizes are those of an integrator whose steps are its machine's, to its tolerance."""
    arrays, _ = recorded.result("random_starts")
    found = random_starts.part(0, gain, 12)
    for key in ("lam", "rho", "positive", "right"):
        np.testing.assert_allclose(found[key], arrays[f"g0_k{gain}_{key}"][:12], rtol=1e-12)
    recorded_sizes = arrays[f"g0_k{gain}_sizes"][:, :12]
    np.testing.assert_allclose(found["sizes"], recorded_sizes, atol=1e-3)


@pytest.mark.parametrize("name", ["balance", "batch"])
def test_the_first_level_of_a_violation_comes_out_as_recorded(name):
    """Layers out of balance, and the smallest minibatches: a part of chapter 13's grid."""
    arrays, _ = recorded.result("assumptions")
    part = assumptions.parts()[name]
    level = {"balance": 2, "batch": 0}[name]
    kind, levels, *rest = part.args if name == "balance" else ("", *part.args)
    found = part.func(*filter(None, [kind]), levels[level : level + 1], *rest)
    for key in ("jepa_half", "jepa_final", "mae_half", "mae_final"):
        right = arrays[f"{name}_{key}"][level : level + 1]
        np.testing.assert_allclose(found[key], right, rtol=ROUNDING, err_msg=key)


class Stop(Exception):
    """Ends a training early."""


def losses(plan, pictures, folder, monkeypatch, after):
    """The losses that a training logs in its first steps, and a few more."""
    save = runs.Folder.save

    def stop(run, step, *parts):
        if step > after:
            raise Stop
        save(run, step, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(runs.Folder, "save", stop)
        with pytest.raises(Stop):
            train.train(plan, pictures, folder)
    return [line["loss"] for line in runs.log_of(folder)]


def test_the_first_steps_on_photographs_come_out_as_recorded(tmp_path, monkeypatch):
    arrays, _ = recorded.result("vision")
    size = model.preset(vision.PRESET).image_size
    pictures = images.photographs(size, vision.TRAINED, vision.SEEDS[0])
    for row, name in enumerate(vision.OBJECTIVES):
        plan = vision.plan(name, vision.SEEDS[0])
        found = losses(plan, pictures, tmp_path / name, monkeypatch, arrays["logged"][0])
        np.testing.assert_allclose(found[0], arrays["loss"][row, 0, 0], rtol=ROUNDING)


@pytest.mark.parametrize("name", brightness.NAMES)
def test_the_first_steps_with_jittered_brightness_come_out_as_recorded(name, tmp_path, monkeypatch):
    """At four times the spread, which the rule is about; and the theory's first prediction."""
    arrays, facts = recorded.result("brightness")
    shown = brightness.clean(facts["count"], 0)
    spread = float(brightness.brightness(shown).std())
    assert spread == pytest.approx(float(arrays["spread"]), rel=ROUNDING)
    pictures = images.Photographs("photos", list(photographs.colour().values()))
    plan = brightness.plan(name, 4, 0, spread)
    found = losses(plan, pictures, tmp_path, monkeypatch, arrays["logged"][0])
    of = facts["names"].index(name), list(arrays["times"]).index(4), 0, 0
    np.testing.assert_allclose(found[0], arrays["loss"][of], rtol=ROUNDING)


@pytest.mark.parametrize("name", folds.OBJECTIVES)
def test_the_folds_train_as_a_plain_loop_does(name, tmp_path, monkeypatch):
    """Fresh crops, a warm-up and a constant momentum, on the photographs that are shipped."""
    pictures = images.Photographs("shipped", list(photographs.colour().values()))
    plan = folds.plan(name, 0, 1e-3)
    source, network, recipe = plan.batches(pictures), plan.network, plan.recipe
    optimiser = torch.optim.AdamW(model.decay_groups(network, 0.0), betas=recipe.betas)
    for step in range(10):
        decay = recipes.weight_decay(recipe, step, plan.steps)
        for group, value in zip(optimiser.param_groups, (decay, 0.0), strict=True):
            group["lr"] = recipes.learning_rate(recipe, plan.rate, step, plan.steps)
            group["weight_decay"] = value
        optimiser.zero_grad()
        loss = network(*source.at(step))
        loss.backward()
        optimiser.step()
        network.after_step(step / plan.steps)
    logged = losses(plan, pictures, tmp_path, monkeypatch, 10)
    np.testing.assert_allclose(float(loss.detach()), logged[0], rtol=ROUNDING)


def test_the_first_steps_of_what_the_rule_was_tried_on_come_out_as_recorded():
    """Losses and variances of the targets over 20 of 3000 steps."""
    arrays, facts = recorded.result("watch")
    runs = watch.networks(facts["seed"])
    _, logs = watch.train(runs, 20)
    np.testing.assert_allclose(logs[:, :, ::60], arrays["log"], rtol=ROUNDING)
    assert arrays["table"].sum(axis=(1, 2)).tolist() == [facts["runs"]] * 3
