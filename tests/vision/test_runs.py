"""A training's folder: refused to others, damaged; and the errors of the command."""

import functools
import hashlib
import itertools
import json
import pickle
import random
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from jepabook._support import files
from jepabook._support.processes import Share
from jepabook.vision import images, model, runs, stored, train
from tests import commands
from tests.commands import Trap, contents
from tests.trainings import MICRO, left, pictures, plan

MODULE, KINDS = "jepabook.vision.train", ("json", "safetensors")
WORDS = ["--objective", "mae", "--images", "photos", "--count", "32", "--preset", "micro"]
WORDS += ["--batch", "16", "--part", "5", "--keep", "3", "--device", "cpu", "--workers", "1"]
WORDS += ["--save-every", "0", "--out", "run"]
open_images = functools.cache(images.open_images)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the command trains, in run; with a preset that takes no time."""
    monkeypatch.setitem(model.PRESETS, "micro", MICRO)
    monkeypatch.setattr(images, "open_images", open_images)
    monkeypatch.setattr(train, "LOGGED", 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def run(*changes, length=("--steps", "6")):
    return train.main([*WORDS, *length, *changes])


def one_error(capsys, start):
    return commands.one_error(capsys, MODULE, start, most=700)


def go(folder, of=None, **options):
    return train.train(of or plan(), pictures(), folder, **{"save_every": 0} | options)


def before_step(patch, number, happens):
    """Let something happen when a training comes to a step."""
    step = train._Training.step

    def comes(self, at):
        if at == number:
            happens()
        return step(self, at)

    patch.setattr(train._Training, "step", comes)


def interrupted():
    raise KeyboardInterrupt


# whose folder


def test_the_same_command_finds_a_finished_training_and_does_nothing(folder, capsys):
    assert run() == 0
    told, before = capsys.readouterr(), contents(folder)
    assert told.err == "" and told.out.endswith(" after 6 steps: run\n")
    assert {p.name for p in folder.iterdir()} == {
        "run.json", "log.jsonl", "state-0000006.json", "state-0000006.safetensors",
        *(f"weights-000000{step}.{kind}" for step in (0, 1, 2, 6) for kind in KINDS),
    }  # fmt: skip
    assert run() == 0 and run("--save-every", "9", "--workers", "2") == 0
    assert contents(folder) == before and capsys.readouterr().out == 2 * told.out


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (["--seed", "1"], "its seed is 0, not 1"),
        (["--objective", "jepa"], "its objective is mae, not jepa"),
        (["--steps", "7"], "its steps is 6, not 7"),
        (["--count", "33"], "its images is {'name': 'photos (train)', 'count': 32, "),
        (["--batch", "8"], "its batch is 16, not 8"),
        (["--part", "6"], "its part is 5, not 6"),
        (["--crop", "0.5"], "its crop is 0.3, not 0.5"),
        (["--rate", "0.5"], "its rate is 9.375e-06, not 0.5"),
        (["--keep", "4"], "its keep is 3, not 4"),
    ],
)
def test_another_training_in_the_same_folder_is_refused_with_what_differs(
    folder, capsys, changes, what
):
    assert run() == 0
    capsys.readouterr()
    before = contents(folder)
    assert run(*changes) == 2
    message = one_error(capsys, "run/run.json is of another training: ")
    assert what in message and message.endswith(": choose another folder\n")
    assert contents(folder) == before


@pytest.mark.parametrize("count", [40, 2500])
def test_a_picture_that_is_another_one_is_another_training(count, tmp_path):
    train.train(plan(), pictures(count), tmp_path / "run")
    other = pictures(count)
    other.pixels[7, 3, 2, 1] ^= 1
    with pytest.raises(ValueError, match=r"is of another training: its images is .*digest"):
        train.train(plan(), other, tmp_path / "run")


def test_folders_with_other_things_in_them_are_refused_and_left_alone(folder, capsys):
    folder.mkdir()
    (folder / "thesis.txt").write_text("dear")
    before = contents(folder)
    assert run() == 2 and contents(folder) == before
    one_error(capsys, "run must be empty or new, got 'thesis.txt' in it")
    shutil.rmtree(folder)
    folder.write_text("a file")
    assert run() == 2
    one_error(capsys, "run must be a folder, got a file")
    folder.unlink()
    assert run("--out", "run/a/b") == 0
    (folder / "a/b/run.json").unlink()
    capsys.readouterr()
    assert run("--out", "run/a/b") == 2
    one_error(capsys, "run/a/b must be empty or new, got 'log.jsonl' in it")


def test_notes_beside_the_files_of_a_training_stay(folder):
    assert run("--save-every", "99") == 0
    (folder / "state-of-the-art.txt").write_text("mine")
    (folder / "state-0000006.json").unlink()
    assert run() == 0 and (folder / "state-of-the-art.txt").read_text() == "mine"


def test_a_folder_in_which_another_process_trains_is_refused(folder, capsys):
    with files.alone(folder):
        assert run() == 2
        one_error(capsys, "run is in use by another process: wait for it")
        assert contents(folder) == {}
    assert run() == 0


# damaged


def flipped(at):
    def flip(content):
        return content[:at] + bytes([content[at] ^ 4]) + content[at:][1:]

    return flip


def halved(content):
    return content[: len(content) // 2]


def always(content):
    return lambda _: content


def torch_pickle(_):
    torch.save({"model": Trap()}, "pickle")
    return Path("pickle").read_bytes()


STATE = "state-0000006.safetensors"
FACTS = "state-0000006.json"
CHECKSUM = f"{STATE} is damaged: its checksum is not the one in {FACTS}"
DAMAGE = {
    "a number": (STATE, flipped(-400), CHECKSUM),
    "the header": (STATE, flipped(30), CHECKSUM),
    "the header's length": (STATE, flipped(6), CHECKSUM),
    "half": (STATE, halved, CHECKSUM),
    "empty": (STATE, always(b""), CHECKSUM),
    "a pickle": (STATE, lambda _: pickle.dumps(Trap()), CHECKSUM),
    "torch's pickle": (STATE, torch_pickle, CHECKSUM),
    "gone": (STATE, None, f"{STATE} must be a checkpoint with its .json, got none"),
    "facts: a list": (FACTS, always(b"[1]"), f"{FACTS} is damaged: it is no JSON object"),
    "facts: empty": (FACTS, always(b""), f"{FACTS} is damaged: it is no JSON object"),
    "facts: half": (FACTS, halved, f"{FACTS} is damaged: it is no JSON object"),
    "facts: not text": (FACTS, always(b"\xff\xfe"), f"{FACTS} is damaged: it is no JSON object"),
    "facts: deep": (FACTS, always(b"[" * 10**5), f"{FACTS} is damaged: it is no JSON object"),
    "facts: a pickle": (FACTS, lambda _: pickle.dumps(Trap()), f"{FACTS} is damaged: it is no"),
    "facts: nothing": (FACTS, always(b"{}"), f"{FACTS} must be of format 1, got None: it is d"),
    "facts: another format": (
        FACTS,
        lambda content: content.replace(b'"format": 1', b'"format": 2'),
        f"{FACTS} must be of format 1, got 2: it is damaged, or of another version of this",
    ),
    "facts: a checksum less": (
        FACTS,
        lambda content: content.replace(b'"sha256"', b'"sha"'),
        f"{FACTS} is damaged: it lacks 'sha256'",
    ),
    "facts: one more": (
        FACTS,
        lambda content: content.replace(b'"step"', b'"more": 1, "step"'),
        f"{FACTS} is damaged: it holds 'more', which does not belong there",
    ),
    "facts: a truth for a step": (
        FACTS,
        lambda content: content.replace(b'"step": 6', b'"step": true'),
        f"{FACTS} is damaged: its 'step' is 'True'",
    ),
    "facts: another step": (
        FACTS,
        lambda content: content.replace(b'"step": 6', b'"step": 5'),
        f"{FACTS} must be of step 6, got 5",
    ),
    "facts: another training": (
        FACTS,
        lambda content: content.replace(b'"seed": 0', b'"seed": 3'),
        f"{FACTS} is of another training: its seed is 3, not 0: choose another folder",
    ),
    "run: a list": ("run.json", always(b"[]"), "run.json is damaged: it is no JSON object"),
    "run: nothing": ("run.json", always(b"{}"), "run.json must be of format 1, got None: it is d"),
    "run: no identity": (
        "run.json",
        lambda content: content.replace(b'"identity"', b'"identities"'),
        "run.json is damaged: it lacks 'identity'",
    ),
    "run: half": ("run.json", halved, "run.json is damaged: it is no JSON object"),
    "log: gone": ("log.jsonl", None, "log.jsonl is damaged: line 1 must be of step 2"),
    "log: half": ("log.jsonl", halved, "log.jsonl is damaged: line 2 must be of step 4"),
    "log: a letter": ("log.jsonl", flipped(3), "log.jsonl is damaged: line 1 must be of step 2"),
    "log: the end": ("log.jsonl", lambda c: c[:-1], "log.jsonl is damaged: line 3 must be of ste"),
    "log: not text": (
        "log.jsonl",
        lambda content: content.replace(b'"loss"', b'"\xff"', 1),
        "log.jsonl is damaged: line 1 must be of step 2",
    ),
    "log: numbers": ("log.jsonl", always(b"1\n2\n3\n"), "log.jsonl is damaged: line 1 must be of"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_in_one_line_with_the_file_and_nothing_changes(folder, capsys, name):
    assert run() == 0
    capsys.readouterr()
    file, change, message = DAMAGE[name]
    if change is None:
        (folder / file).unlink()
    else:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(change(content))
        assert (folder / file).read_bytes() != content
    before = contents(folder)
    assert run() == 2
    one_error(capsys, f"run/{message}")
    assert contents(folder) == before and not Path("sprung").exists()


OTHER = f"{STATE} is a checkpoint of another model: "


def replaced(folder, content):
    """Another content for the state, with the checksum that fits."""
    (folder / STATE).write_bytes(content)
    facts = json.loads((folder / FACTS).read_text())
    facts["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / FACTS).write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("pickle", f"{STATE} is no safetensors file (SafetensorError)"),
        ("torch", f"{STATE} is no safetensors file (SafetensorError)"),
        ("zeros", f"{STATE} is no safetensors file (SafetensorError)"),
        ("optimiser", f"{OTHER}it lacks optimiser.encoder.embed.weight.exp_avg_sq"),
        ("shape", f"{OTHER}its model.encoder.embed.weight is torch.float32 of shape (3,), not "),
        ("type", f"{OTHER}its model.encoder.embed.weight is torch.float64 of shape "),
        ("missing", f"{OTHER}it lacks model.encoder.embed.weight"),
        ("extra", f"{OTHER}it holds model.encoder.extra"),
        ("stray", f"{OTHER}it holds stray"),
        ("nan", f"{STATE} is damaged: not all numbers in model.encoder.embed.weight are finite"),
        (
            "inf",
            f"{STATE} is damaged: not all numbers in optimiser.encoder.embed.weight.exp_avg_sq",
        ),
        ("count", f"{STATE} is damaged: its optimiser has not done 6 steps"),
    ],
)
def test_what_is_no_state_is_refused_also_with_the_right_checksum(folder, capsys, wrong, message):
    assert run() == 0
    tensors = safetensors.torch.load_file(folder / STATE)
    contents_of = {"pickle": pickle.dumps(Trap()), "torch": torch_pickle(None), "zeros": bytes(99)}
    weight, second = "model.encoder.embed.weight", "optimiser.encoder.embed.weight.exp_avg_sq"
    changes = {
        "optimiser": {second: None},
        "missing": {weight: None},
        "shape": {weight: torch.zeros(3)},
        "type": {weight: tensors[weight].double()},
        "extra": {"model.encoder.extra": torch.zeros(3)},
        "stray": {"stray": torch.zeros(3)},
        "nan": {weight: torch.full_like(tensors[weight], torch.nan)},
        "inf": {second: torch.full_like(tensors[second], torch.inf)},
        "count": {"optimiser.encoder.embed.weight.step": torch.tensor(5.0)},
    }
    tensors |= changes.get(wrong, {})
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    replaced(folder, contents_of.get(wrong) or safetensors.torch.save(tensors))
    capsys.readouterr()
    before = contents(folder)
    assert run() == 2
    one_error(capsys, f"run/{message}")
    assert contents(folder) == before and not Path("sprung").exists()


def test_what_is_not_told_is_not_none(tmp_path):
    """A training or a conversion whose identity lacks an option is not one that has none of it."""
    runs.Folder(tmp_path, {"kind": "a", "jitter": None}, {})
    with pytest.raises(ValueError, match="its jitter is None, not missing: choose another folder"):
        runs.Folder(tmp_path, {"kind": "a"}, {})
    for found, wanted in (({"b": {"c": None}}, {"b": {}}), ({"b": {}}, {"b": {"c": None}})):
        with pytest.raises(ValueError, match="belongs to another conversion: its b c is"):
            stored.refuse_other(tmp_path, found, wanted)
    stored.refuse_other(tmp_path, {"b": {"c": None}}, {"b": {"c": None}})


def test_no_flipped_bit_of_a_state_goes_unnoticed(tmp_path):
    go(tmp_path)
    of = plan()
    network, rng = train.trained(tmp_path, 0), random.Random(0)
    optimiser = torch.optim.AdamW(model.decay_groups(network, 0.0))
    identity = json.loads((tmp_path / "run.json").read_text())["identity"]
    held = runs.Folder(tmp_path, identity, {})
    assert held.restore(network, optimiser) == of.steps
    for name in (STATE, FACTS):
        whole = (tmp_path / name).read_bytes()
        for _ in range(60):
            content, place = bytearray(whole), rng.randrange(len(whole))
            content[place] ^= 1 << rng.randrange(8)
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError) as caught:
                held.restore(network, optimiser)
            message = str(caught.value)
            assert message.startswith(f"{tmp_path}/state-0000006.") and "\n" not in message
        (tmp_path / name).write_bytes(whole)
    assert held.restore(network, optimiser) == of.steps


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("weights-0000002.safetensors", b"x", "weights-0000002.safetensors is damaged: its chec"),
        ("weights-0000002.safetensors", None, "weights-0000002.safetensors must be a checkpoint"),
        ("weights-0000002.json", b"5", "weights-0000002.json is damaged: it is no JSON object"),
        (
            "weights-0000002.json",
            "identity",
            "weights-0000002.json is damaged: it lacks 'identity'",
        ),
        ("weights-0000002.json", "config", "weights-0000002.json is of another training: its con"),
        ("run.json", "config", "weights-0000002.json is of another training: its other"),
        ("run.json", "identity", "run.json is damaged: it lacks 'identity'"),
    ],
)
def test_a_model_that_is_damaged_is_refused_by_name(tmp_path, file, content, message):
    go(tmp_path)
    path = tmp_path / file
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(path.read_text().replace(f'"{content}"', '"other"'))
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        train.trained(tmp_path, 2)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_a_model_that_was_not_kept_is_refused_by_name(tmp_path):
    go(tmp_path)
    with pytest.raises(ValueError, match=r"weights-0000003.safetensors must be a checkpoint with"):
        train.trained(tmp_path, 3)


def test_a_damaged_log_is_told_by_name(tmp_path):
    go(tmp_path)
    assert [line["step"] for line in runs.log_of(tmp_path)] == [6]
    (tmp_path / "log.jsonl").write_text('{"step": 1')
    with pytest.raises(ValueError) as caught:
        runs.log_of(tmp_path)
    assert str(caught.value) == f"{tmp_path}/log.jsonl is damaged: line 1 is no line of a log"


def test_a_full_disk_is_told_in_one_line_and_the_training_goes_on_when_there_is_room(
    folder, capsys, monkeypatch
):
    assert run("--out", "right") == 0
    capsys.readouterr()
    to_disk, count = files.to_disk, itertools.count()

    def full(file):
        if next(count) == 14:
            file.truncate(9)
            raise OSError(28, "No space left on device")
        to_disk(file)

    with monkeypatch.context() as patch:
        patch.setattr(files, "to_disk", full)
        assert run() == 2
    one_error(capsys, "[Errno 28] No space left on device")
    assert run() == 0 and left(folder) == left(folder.parent / "right")


# the command


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--objective", "simclr"], "objective must be one of jepa, mae, mae-pixels, got 'simclr'"),
        (["--preset", "big"], "preset must be one of toy, "),
        (["--images", "nowhere"], "images must be 'photos' or a folder, got 'nowhere'"),
        (["--device", "cuda"], "device must be cpu or auto where torch sees no GPU, got 'cuda'"),
        (["--device", "tpu"], "device must be auto, cpu or cuda, got 'tpu'"),
        (["--batch", "33"], "batch must be at most 32, all images, got 33"),
        (["--batch", "0"], "batch must be an integer >= 1, got 0"),
        (["--steps", "0"], "steps must be an integer >= 1, got 0"),
        (["--part", "0"], "part must be an integer >= 1, got 0"),
        (["--keep", "-1"], "keep must be an integer >= 1, got -1"),
        (["--count", "0"], "count must be an integer >= 1, got 0"),
        (["--seed", "-1"], "seed must be an integer >= 0, got -1"),
        (["--workers", "0"], "workers must be an integer >= 1, got 0"),
        (["--save-every", "nan"], "save_every must not be NaN, got nan"),
        (["--save-every", "-1"], "save_every must be non-negative and finite, got -1.0"),
        (["--rate", "-1"], "rate must be positive and finite, got -1.0"),
        (["--rate", "inf"], "rate must be positive and finite, got inf"),
        (["--crop", "0"], "crop must lie in (0, 1], got 0.0"),
        (["--crop", "1.5"], "crop must lie in (0, 1], got 1.5"),
    ],
)
def test_bad_options_are_refused_in_one_line_before_there_is_a_folder(
    folder, capsys, monkeypatch, changes, message
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(*changes) == 2
    one_error(capsys, message)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--epochs", "0"], "epochs must be positive and finite, got 0.0"),
        (["--epochs", "nan"], "epochs must not be NaN, got nan"),
        (["--epochs", "inf"], "epochs must be positive and finite, got inf"),
        (["--epochs", "1", "--batch", "0"], "batch must be an integer >= 1, got 0"),
        (["--epochs", "1", "--batch", "33"], "batch must be at most 32, all images, got 33"),
    ],
)
def test_bad_epochs_are_refused_in_one_line(folder, capsys, changes, message):
    assert run(*changes, length=()) == 2
    one_error(capsys, message)
    assert not folder.exists()


@pytest.mark.parametrize(("epochs", "steps"), [("1.5", 3), ("2", 4), ("0.01", 1)])
def test_epochs_count_the_steps_in_passes_through_the_images(folder, epochs, steps):
    assert run("--epochs", epochs, "--seed", "3", length=()) == 0
    assert runs.log_of(folder)[-1]["step"] == steps


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (["--steps", "3", "--epochs", "2"], "argument --epochs: not allowed with argument --steps"),
        ([], "one of the arguments --steps --epochs is required"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--steps", "3", "--out", ""], "--out must be a path, got ''"),
    ],
)
def test_words_that_are_no_command_end_with_status_2(folder, capsys, length, message):
    assert run(length=length) == 2
    one_error(capsys, f"{message}\n")
    assert not list(folder.parent.iterdir())


@pytest.mark.parametrize("every", ["0", "60"])
def test_a_loss_that_is_not_finite_ends_the_training_in_one_line(folder, capsys, every):
    after = {"0": "after step 1 the loss is nan; what was", "60": "after step 1 the loss is nan"}
    for _ in range(2):
        assert run("--rate", "1e30", "--save-every", every) == 2
        one_error(capsys, f"rate must be smaller than 1e+30: {after[every]}")
    assert runs.log_of(folder) == []


@pytest.mark.parametrize("objective", ["mae", "jepa"])
@pytest.mark.parametrize("rate", ["1e38", "1e30", "1e20"])
def test_one_step_that_spoils_the_model_is_no_success_and_leaves_nothing_spoilt(
    folder, capsys, objective, rate
):
    words = ("--rate", rate, "--objective", objective)
    for _ in range(2):
        assert run(*words, length=("--steps", "1")) == 2
        one_error(capsys, f"rate must be smaller than {float(rate)}: after step 1 ")
    assert runs.steps_of(folder) == [0] and runs.steps_of(folder, "state") == []


@pytest.mark.parametrize("what", ["weight", "target", "exp_avg", "exp_avg_sq"])
def test_numbers_that_are_not_finite_never_replace_good_ones(folder, capsys, monkeypatch, what):
    """Whatever spoils them, and at whatever step; and what is left is gone on with."""
    words = ("--objective", "jepa")
    assert run(*words, "--out", "right") == 0
    capsys.readouterr()
    step = train._Training.step

    def spoils(self, number):
        loss = step(self, number)
        if number == 4:
            parameter = self.network.encoder.embed.weight
            spoilt = {"weight": parameter, "target": self.network.target.embed.weight}
            spoilt |= self.optimiser.state[parameter]
            spoilt[what].data.view(-1)[5] = torch.inf
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(train._Training, "step", spoils)
        for _ in range(2):
            assert run(*words) == 2
            one_error(capsys, "rate must be smaller than ")
            assert runs.steps_of(folder, "state") == [4] and runs.steps_of(folder) == [0, 1, 2]
    assert run(*words) == 0 and left(folder) == left(folder.parent / "right")


# models that were kept


def spoilt(folder, how):
    """One kept model damaged; the file that is to be named."""
    weights, facts = (folder / f"weights-0000001.{kind}" for kind in ("safetensors", "json"))
    other = folder / "weights-0000002"
    if how == "flipped":
        weights.write_bytes(flipped(-40)(weights.read_bytes()))
    elif how == "truncated":
        weights.write_bytes(halved(weights.read_bytes()))
    elif how == "weights gone":
        weights.unlink()
    elif how == "both gone":
        weights.unlink()
        facts.unlink()
    elif how == "weights of another step":
        shutil.copy(other.with_suffix(".safetensors"), weights)
    elif how == "another step":
        shutil.copy(other.with_suffix(".safetensors"), weights)
        shutil.copy(other.with_suffix(".json"), facts)
        return facts.name
    elif how == "another run":
        assert run("--out", "other", "--seed", "3") == 0
        shutil.copy(folder.parent / "other" / weights.name, weights)
        shutil.copy(folder.parent / "other" / facts.name, facts)
        return facts.name
    return weights.name


@pytest.mark.parametrize("when", ["finished", "stopped", "measured"])
@pytest.mark.parametrize(
    "how",
    [
        "flipped", "truncated", "weights gone", "both gone", "weights of another step",
        "another step", "another run",
    ],
)  # fmt: skip
def test_a_training_speaks_for_every_model_that_it_kept(folder, capsys, monkeypatch, how, when):
    with monkeypatch.context() as patch:
        if when == "stopped":
            before_step(patch, 3, interrupted)
        run()
    named = spoilt(folder, how)
    capsys.readouterr()
    before = contents(folder)
    if when == "measured":
        with pytest.raises(ValueError, match=rf"^run/{named} (is|must be) "):
            train.trained("run", 1)
    else:
        assert run() == 2
        one_error(capsys, f"run/{named} ")
    assert contents(folder) == before


def test_a_model_spoilt_while_the_training_runs_is_told_when_it_ends(folder, capsys, monkeypatch):
    before_step(monkeypatch, 4, lambda: spoilt(folder, "flipped"))
    assert run() == 2
    one_error(capsys, "run/weights-0000001.safetensors is damaged: its checksum is not the one in")


# how it stops


def test_ctrl_c_tells_how_to_go_on(folder, capsys, monkeypatch):
    assert run("--out", "right") == 0
    with monkeypatch.context() as patch:
        before_step(patch, 3, interrupted)
        assert run() == 130
    told = capsys.readouterr().err
    assert told == "interrupted: the same command goes on from here\n"
    assert run() == 0 and left(folder) == left(folder.parent / "right")


def test_pictures_and_processes_that_do_not_fit_are_refused_before_there_is_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"^batch must be a multiple of 3, got 16$"):
        go(tmp_path / "run", share=Share(0, 3))
    small = images.ImageSet("small", np.zeros((20, 8, 8, 3), np.uint8), {}, {})
    with pytest.raises(ValueError, match=r"^images must have 16 pixels a side, got 8$"):
        train.train(plan(), small, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@contextmanager
def room(size):
    """Inside, no file grows beyond so many bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("size", "named"),
    [
        (200, "log.jsonl"),  # in the middle of its second line
        (450, "run.json"),  # which has 700 bytes or so
        (40_000, "weights-0000000.safetensors"),
        (100_000, "state-0000001.safetensors"),
    ],
)
def test_want_of_room_is_one_line_with_the_file_and_changes_nothing_in_the_end(
    folder, capsys, monkeypatch, size, named
):
    assert run("--out", "right") == 0
    words = ()
    if named == "log.jsonl":
        words = "--save-every", "99"
        with monkeypatch.context() as patch:
            before_step(patch, 3, interrupted)
            run()
    capsys.readouterr()
    with room(size):
        assert run(*words) == 2
    one_error(capsys, f"[Errno 27] File too large: 'run/{named}'")
    assert run() == 0 and left(folder) == left(folder.parent / "right")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space"), r"\[Errno 28\] No space: 'a'"),
        (OSError(2, "None", "b"), r"\[Errno 2\] None: 'b'"),
        (OSError("7 requested and 5 written"), "a cannot be written whole: 7 requested and 5 wr"),
    ],
)
def test_what_the_system_says_of_an_open_file_names_it(error, told):
    with pytest.raises(OSError, match=rf"^{told}"), files.named(Path("a")):
        raise error


def test_a_copy_of_a_training_goes_on_as_the_training_itself(folder, monkeypatch):
    assert run("--out", "right") == 0
    with monkeypatch.context() as patch:
        before_step(patch, 3, interrupted)
        run()
    shutil.copytree(folder, "copy")
    assert run("--out", "copy") == 0 and run() == 0
    assert left(Path("copy")) == left(folder) == left(Path("right"))
