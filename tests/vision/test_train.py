"""What a training computes: against a plain loop, for any number of workers and processes."""

import shutil
import signal
import time

import numpy as np
import pytest
import torch

from jepabook.vision import images, model, recipes, runs, train
from jepabook.vision.batches import Batches
from tests import commands
from tests.trainings import MICRO, Killed, distance, left, pictures, plan, weights

BOTH = pytest.mark.parametrize("objective", recipes.RECIPES)
NETWORKS = {name: recipes.recipe(name).model for name in recipes.RECIPES}


def go(folder, of, **options):
    return train.train(of, pictures(), folder, **options)


@BOTH
@pytest.mark.parametrize("crop", [0.3, 1.0])
def test_the_weights_are_those_of_a_plain_loop_with_adamw(tmp_path, objective, crop):
    of = plan(objective, steps=15, rate=3e-3, crop=crop, seed=4)
    last = go(tmp_path, of)
    source = Batches(pictures().pixels, MICRO, 16, 4, crop)
    network, recipe = NETWORKS[objective](MICRO, 4), recipes.recipe(objective)
    wide = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    flat = [p for p in network.parameters() if p.requires_grad and p.ndim == 1]
    groups = [{"params": wide}, {"params": flat, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, betas=recipe.betas, foreach=False, fused=False)
    for step in range(15):
        for group in adamw.param_groups:
            group["lr"] = recipes.learning_rate(recipe, 3e-3, step, 15)
        adamw.param_groups[0]["weight_decay"] = recipes.weight_decay(recipe, step, 15)
        loss = network(*source.at(step))
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        if objective == "jepa":
            momentum = 0.996 + 0.004 * step / 15
            pairs = zip(network.target.parameters(), network.encoder.parameters(), strict=True)
            for slow, fast in pairs:
                slow.data = momentum * slow + (1 - momentum) * fast.detach()
    assert last["step"] == 15 and last["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert last["rate"] == adamw.param_groups[0]["lr"]
    assert last["weight_decay"] == adamw.param_groups[0]["weight_decay"]
    start, found = (train.trained(tmp_path, step) for step in (0, 15))
    assert distance(found, network, start) < 1e-4


@BOTH
def test_the_loss_falls(tmp_path, objective):
    go(tmp_path, plan(objective, steps=40, rate=5e-3, crop=1.0))
    losses = [line["loss"] for line in runs.log_of(tmp_path)]
    assert [line["step"] for line in runs.log_of(tmp_path)] == [10, 20, 30, 40]
    assert losses[-1] < 0.96 * losses[0]


@BOTH
def test_workers_do_not_change_a_bit(tmp_path, objective):
    for workers in (1, 2, 3):
        go(tmp_path / str(workers), plan(objective), workers=workers)
        assert left(tmp_path / str(workers)) == left(tmp_path / "1")


@BOTH
def test_kept_models_are_the_live_ones(tmp_path, monkeypatch, objective):
    of, live, save = plan(objective, keep=4), {}, runs.Folder.save
    shown = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def both(network):
        return [network.encode(shown, online=online) for online in (False, True)]

    def noted(self, step, network, optimiser=None):
        live[step] = both(network)
        save(self, step, network, optimiser)

    monkeypatch.setattr(runs.Folder, "save", noted)
    go(tmp_path, of)
    assert runs.steps_of(tmp_path) == of.kept == [0, 1, 2, 3, 6]
    for step in of.kept:
        network = train.trained(tmp_path, step)
        assert type(network) is type(NETWORKS[objective](MICRO, 0)) and network.config == MICRO
        target, online = both(network)
        assert torch.equal(target, live[step][0]) and torch.equal(online, live[step][1])
        # JEPA's target is behind from the first step on; MAE has none
        assert torch.equal(target, online) == (objective != "jepa" or step == 0)
    assert hasattr(network, "target") == (objective == "jepa")


def test_both_objectives_start_with_the_same_encoder_and_see_the_same_batches(tmp_path):
    encoders = []
    for objective in recipes.RECIPES:
        go(tmp_path / objective, plan(objective, steps=1, seed=5))
        encoders.append(train.trained(tmp_path / objective, 0).encoder.state_dict())
    assert all(torch.equal(encoders[0][name], encoders[1][name]) for name in encoders[0])
    go(tmp_path / "other", plan(steps=1, seed=6))
    other = train.trained(tmp_path / "other", 0).encoder.state_dict()
    assert not torch.equal(other["embed.weight"], encoders[0]["embed.weight"])


# the command itself, one process or two

WORDS = ["--objective", "jepa", "--images", "photos", "--count", "40", "--preset", "toy"]
WORDS += ["--batch", "16", "--part", "4", "--steps", "12", "--keep", "2", "--rate", "1e-4"]
WORDS += ["--device", "cpu", "--workers", "1", "--out", "run"]
MODULE = "jepabook.vision.train"


def test_after_kill_9_the_command_goes_on_alone_or_in_two_processes_and_stops_at_damage(
    tmp_path, monkeypatch, capsys
):
    for name in ("right", "killed", "together"):
        (tmp_path / name).mkdir()
    process = commands.started(tmp_path / "killed", MODULE, *WORDS, "--save-every", "0")
    try:
        killed = tmp_path / "killed/run"
        while process.poll() is None and max(runs.steps_of(killed, "state"), default=0) < 3:
            time.sleep(0.005)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    shutil.copytree(tmp_path / "killed", tmp_path / "together", dirs_exist_ok=True)
    for name in ("right", "killed"):
        monkeypatch.chdir(tmp_path / name)
        assert train.main(WORDS) == 0
    right = tmp_path / "right/run"
    assert left(tmp_path / "killed/run") == left(right)

    done = max(runs.steps_of(tmp_path / "together/run", "state"))
    ran = commands.ran(tmp_path / "together", MODULE, *WORDS, torchrun=2)
    assert ran.returncode == 0, ran.stderr
    assert 3 <= done < 12 and ran.stdout.count("after 12 steps: run\n") == 1
    together = tmp_path / "together/run"
    assert left(together).keys() == left(right).keys()
    places = ((together, 12), (right, 12), (right, 0))
    assert 0 < distance(*(train.trained(*place) for place in places)) < 1e-4
    losses = [[line["loss"] for line in runs.log_of(run)] for run in (right, together)]
    np.testing.assert_allclose(*losses, rtol=1e-5)

    state = together / "state-0000012.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    before = commands.contents(together)
    ran = commands.ran(tmp_path / "together", MODULE, *WORDS, torchrun=2)
    told = [line for line in ran.stderr.splitlines() if f"{MODULE}: error" in line]
    assert ran.returncode != 0 and len(told) == 1, ran.stderr
    assert told[0].endswith(
        "run/state-0000012.safetensors is damaged: its checksum is not the one in "
        "state-0000012.json"
    )
    assert commands.contents(together) == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@BOTH
def test_a_gpu_finds_what_a_cpu_finds_up_to_bfloat16_and_goes_on(tmp_path, monkeypatch, objective):
    config = model.preset("toy")
    of = train.Plan(objective, config, 30, 64, rate=1e-3, part=24, keep=3)
    seen = images.photographs(32, 200, 0)
    train.train(of, seen, tmp_path / "cpu", workers=4)
    save = runs.Folder.save

    def stops(self, step, network, optimiser=None):
        save(self, step, network, optimiser)
        if optimiser is not None and step == 13:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runs.Folder, "save", stops)
        train.train(of, seen, tmp_path / "gpu", "cuda", save_every=0)
    train.train(of, seen, tmp_path / "gpu", "cuda", save_every=0)
    both = [[line["loss"] for line in runs.log_of(tmp_path / name)] for name in ("cpu", "gpu")]
    np.testing.assert_allclose(*both, rtol=0.05)
    places = (("gpu", 30), ("cpu", 30), ("cpu", 0))
    models = [train.trained(tmp_path / name, step) for name, step in places]
    assert weights(models[0]).dtype == torch.float32 and distance(*models) < 0.7
