"""A training killed at any moment goes on, and ends with what it would have ended with."""

import itertools
import multiprocessing
import random
import shutil
import signal
import time

import pytest

from jepabook.vision import runs, train
from tests.trainings import Death, Killed, left, pictures, plan


def go(folder, of=None, **options):
    return train.train(of or plan(), pictures(), folder, **{"save_every": 0} | options)


@pytest.fixture(scope="module")
def death():
    return Death()


def test_death_before_any_file_operation_changes_nothing_in_the_end(death, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "LOGGED", 1)
    short = plan(steps=2)
    go(tmp_path / "right", short)
    right = left(tmp_path / "right")
    assert [line["step"] for line in right["log.jsonl"]] == [1, 2]
    for count in itertools.count():
        at = tmp_path / str(count)
        try:
            with death.after(at, count):
                go(at, short)
        except Killed:
            go(at, short)
        else:
            break
        assert left(at) == right, count
        shutil.rmtree(at)
    assert count > 30


@pytest.mark.parametrize("gone", [1, 25, 60])
def test_death_in_the_middle_of_a_line_of_the_log_changes_nothing_in_the_end(
    tmp_path, monkeypatch, gone
):
    monkeypatch.setattr(train, "LOGGED", 2)
    go(tmp_path / "right")
    right = left(tmp_path / "right")
    save = runs.Folder.save

    def stops(self, step, network, optimiser=None):
        if step == 4:
            raise Killed
        save(self, step, network, optimiser)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runs.Folder, "save", stops)
        go(tmp_path / "cut")
    log = tmp_path / "cut" / "log.jsonl"
    assert log.read_bytes().count(b"\n") == 2
    log.write_bytes(log.read_bytes()[:-gone])
    go(tmp_path / "cut")
    assert left(tmp_path / "cut") == right


@pytest.fixture(scope="module")
def processes():
    """Forked from a process that has imported torch, and does nothing else."""
    context = multiprocessing.get_context("forkserver")
    # the second is what AdamW imports
    context.set_forkserver_preload(["jepabook.vision.train", "torch._dynamo"])
    return context


@pytest.mark.parametrize(("objective", "seed"), [("jepa", 0), ("mae", 1)])
def test_after_kill_9_again_and_again_the_weights_and_the_log_are_the_same(
    processes, tmp_path, objective, seed
):
    of, at = plan(objective, steps=24), tmp_path / "killed"
    words = of, pictures(), at, "cpu", None, 2, 0  # a state after every step
    go(tmp_path / "right", of, save_every=60)
    rng = random.Random(seed)
    # the first one dies before there is a state
    for target in [0, *sorted(rng.sample(range(1, 20), 4))]:
        process = processes.Process(target=train.train, args=words)
        process.start()
        while process.is_alive():
            names = [path.stem for path in at.glob("state-*")] if target else [*at.glob("*")]
            if any(not target or int(name[-7:]) >= target for name in names):
                break
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    go(at, of, save_every=60)
    assert left(at) == left(tmp_path / "right")
