"""A training's folder: what was asked for, the log, and checkpoints that a killed process leaves.

``run.json`` names the training; ``log.jsonl`` has a line for each logged step; ``weights-*`` are
models at the steps that a figure needs, ``state-*`` the newest model with its optimiser. Each of
these is a ``.safetensors`` file, and a ``.json`` with its step, its checksum and the training's
identity that is written after it: without the latter the former does not count.
"""

import hashlib
import itertools
import json
import math
import re
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors.torch
import torch

from jepabook._support import files, validate

FORMAT = 1
RUN, LOG = "run.json", "log.jsonl"
WEIGHTS, STATE = "weights", "state"
MODEL, OPTIMISER = "model.", "optimiser."  # how names of tensors begin
MOMENTS = ("exp_avg", "exp_avg_sq")  # of AdamW, beside the number of its steps
FIELDS = {"step": files.is_count, "sha256": files.is_checksum, "identity": dict}


def _is_number(value):
    return type(value) in (int, float) and math.isfinite(value)


LINE = {"step": files.is_count} | dict.fromkeys(
    ("loss", "rate", "weight_decay", "images_per_second"), _is_number
)


class Folder:
    """The folder of one training, new or begun by the same one.

    Parameters
    ----------
    folder : path
    identity : dict
        All that decides what the training does; what JSON can hold.
    facts : dict
        What else is to be told of it; written when the folder is new.

    Raises
    ------
    ValueError
        If the folder is another training's, or has other things in it.
    """

    def __init__(self, folder, identity, facts):
        self.path = Path(folder)
        self.identity = json.loads(json.dumps(identity))
        if (self.path / RUN).exists():
            _refuse_other(self.path / RUN, identity_of(folder), self.identity)
        else:
            files.refuse_foreign(folder, RUN)
            run = {"format": FORMAT, "identity": self.identity, **facts}
            files.write_json(self.path / RUN, run)

    def save(self, step, network, optimiser=None):
        """Write a checkpoint, whole or not at all: weights, or a state if there is an optimiser.

        Of states the older ones are removed.

        Parameters
        ----------
        step : int
            Steps done.
        network : torch Module
        optimiser : AdamW, optional

        Raises
        ------
        ValueError
            If a number is not finite: what was saved before stays.
        OSError
            If there is no room.
        """
        tensors = {MODEL + name: tensor for name, tensor in network.state_dict().items()}
        if optimiser is not None:
            for name, parameter in network.named_parameters():
                for key, tensor in optimiser.state.get(parameter, {}).items():
                    tensors[f"{OPTIMISER}{name}.{key}"] = tensor
        broken = _broken(tensors)
        if broken:
            raise ValueError(
                f"rate must be smaller than {self.identity.get('rate')}: after step {step} not all "
                f"numbers in {broken} are finite; what was saved before is kept"
            )
        kind = WEIGHTS if optimiser is None else STATE
        path = file_of(self.path, kind, step)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        # save_file would leave files of names of its own where it is killed
        content = safetensors.torch.save(tensors)
        files.write(path, content)
        digest = hashlib.sha256(content).hexdigest()
        facts = {"format": FORMAT, "step": step, "sha256": digest}
        files.write_json(path.with_suffix(".json"), facts | {"identity": self.identity})
        if kind == STATE:
            self.tidy(step)

    def tidy(self, step):
        """Remove all states but that of a step, and what a killed process left of others."""
        ours = re.compile(
            rf"\.?({STATE}-\d{{7,}})\.(json|safetensors)(-[0-9a-f]{{8}}\.unfinished)?"
        )
        kept = file_of(self.path, STATE, step).stem
        # in alphabetical order the JSON first: what is left without it does not count
        for old in sorted(self.path.iterdir()):
            found = ours.fullmatch(old.name)
            if found and (found[1] != kept or found[3]) and old.is_file():
                old.unlink()

    def restore(self, network, optimiser):
        """Fill a model and its AdamW from the newest state.

        Parameters
        ----------
        network : torch Module
        optimiser : AdamW

        Returns
        -------
        int
            Steps done; 0 where there is no state yet.

        Raises
        ------
        ValueError
            With the file, if it is damaged or another training's.
        """
        steps = steps_of(self.path, STATE)
        if not steps:
            return 0
        path = file_of(self.path, STATE, steps[-1])
        tensors = load(self.path, STATE, steps[-1], self.identity)
        trained = {n: p for n, p in network.named_parameters() if p.requires_grad}
        wanted = {f"{OPTIMISER}{name}.step": torch.tensor(0.0) for name in trained}
        for name, parameter in trained.items():
            wanted |= {f"{OPTIMISER}{name}.{key}": parameter for key in MOMENTS}
        state = {name: tensor for name, tensor in tensors.items() if not name.startswith(MODEL)}
        _check(state, wanted, path)
        if any(state[f"{OPTIMISER}{name}.step"] != steps[-1] for name in trained):
            raise ValueError(f"{path} is damaged: its optimiser has not done {steps[-1]} steps")
        fill(network, {name: tensors[name] for name in tensors.keys() - state.keys()}, path)
        for name, parameter in trained.items():
            optimiser.state[parameter] = {
                key: state[f"{OPTIMISER}{name}.{key}"].to(parameter.device)
                for key in ("step", *MOMENTS)
            }
        return steps[-1]

    def verify(self, kept):
        """Read models that were kept, and compare what was noted when they were written.

        Parameters
        ----------
        kept : iterable of int
            Their steps.

        Raises
        ------
        ValueError
            With the file, if one is missing, damaged, or of another step or training.
        """
        for step in kept:
            _content(self.path, WEIGHTS, step, self.identity)

    def log_length(self, logged):
        """How much of the log there must be when a training goes on.

        Parameters
        ----------
        logged : list of int
            The steps up to here that have a line.

        Returns
        -------
        int
            Bytes of these lines, the first ones.

        Raises
        ------
        ValueError
            With the file, if one is missing or damaged.
        """
        path = self.path / LOG
        content = files.read(path) if path.exists() else b""
        # what follows was written after the newest state, and may end in half a line
        lines = content.splitlines(True)[: len(logged)]
        found = [(_line(line) or {}).get("step") for line in lines]
        if found != logged:
            place = next(i for i, step in enumerate(logged) if found[i : i + 1] != [step])
            raise ValueError(f"{path} is damaged: line {place + 1} must be of step {logged[place]}")
        return sum(map(len, lines))

    @contextmanager
    def open_log(self, length):
        """Yields the log, cut to `length` bytes, open for appending lines."""
        log = open(self.path / LOG, "a", encoding="utf-8", buffering=1)
        try:
            log.truncate(length)
            yield log
        finally:
            with suppress(OSError):  # for want of room, which was told when the line was written
                log.close()


def steps_of(folder, kind="weights"):
    """The steps of a folder's checkpoints of one kind, rising."""
    validate.option("kind", kind, (WEIGHTS, STATE))
    folder = validate.path("folder", folder)
    names = (path.stem.rpartition("-")[2] for path in folder.glob(f"{kind}-*.json"))
    steps = sorted(int(name) for name in names if re.fullmatch("[0-9]{7,18}", name))
    return [step for step in steps if file_of(folder, kind, step).with_suffix(".json").exists()]


def identity_of(folder):
    """The identity in a folder's ``run.json``; ValueError, with the file, if it is damaged."""
    path = validate.path("folder", folder) / RUN
    return files.read_json(path, {"identity": dict}, FORMAT, rest=True)["identity"]


def load(folder, kind, step, identity):
    """A checkpoint's tensors.

    Parameters
    ----------
    folder : path
    kind : {"weights", "state"}
    step : int
    identity : dict
        The training's.

    Returns
    -------
    dict of str to tensor

    Raises
    ------
    ValueError
        With the file, if there is none, or it is damaged, of another step or training.
    """
    validate.instance("identity", identity, dict)
    content = _content(folder, kind, step, identity)
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        path = file_of(folder, kind, step)
        raise ValueError(f"{path} is no safetensors file ({type(error).__name__})") from None


def _content(folder, kind, step, identity):
    """The bytes of a checkpoint, if they are what its .json says."""
    path = file_of(folder, kind, step)
    told = path.with_suffix(".json")
    if not (path.exists() and told.exists()):
        raise ValueError(f"{path} must be a checkpoint with its .json, got none")
    facts = files.read_json(told, FIELDS, FORMAT)
    if facts["step"] != step:
        raise ValueError(f"{told} must be of step {step}, got {facts['step']}")
    _refuse_other(told, facts["identity"], identity)
    content = files.read(path)
    if hashlib.sha256(content).hexdigest() != facts["sha256"]:
        raise ValueError(f"{path} is damaged: its checksum is not the one in {told.name}")
    return content


def log_of(folder):
    """The log's lines, a dict each; ValueError, with the file, where one is damaged."""
    path = validate.path("folder", folder) / LOG
    lines = [_line(line) for line in files.read(path).splitlines(True)]
    if None in lines:
        raise ValueError(f"{path} is damaged: line {lines.index(None) + 1} is no line of a log")
    return lines


def hours(lines, batch):
    """How long the steps of a log took.

    Parameters
    ----------
    lines : list of dict
        Of `log_of`.
    batch : int
        Images a step.

    Returns
    -------
    float
    """
    batch = validate.integer("batch", batch)
    fits = isinstance(lines, list) and all(
        isinstance(line, dict) and not files.misfit(line, LINE) for line in lines
    )
    if not fits:
        raise ValueError(f"lines must be those of a log, got {validate.one_line(lines)}")
    steps = [0, *(line["step"] for line in lines)]
    parts = (now - before for before, now in itertools.pairwise(steps))
    return (
        sum(
            part * batch / line["images_per_second"]
            for part, line in zip(parts, lines, strict=True)
        )
        / 3600
    )


def fill(network, tensors, path):
    """Fill a model from a checkpoint's tensors; ValueError, with the path, if they do not fit."""
    wanted = {MODEL + name: tensor for name, tensor in network.state_dict().items()}
    _check(tensors, wanted, path)
    network.load_state_dict({name.removeprefix(MODEL): tensors[name] for name in wanted})


def file_of(folder, kind, step):
    """Where a checkpoint's tensors are; its .json is beside it."""
    validate.option("kind", kind, (WEIGHTS, STATE))
    step = validate.integer("step", step, least=0, most=10**18 - 1)
    return validate.path("folder", folder) / f"{kind}-{step:07d}.safetensors"


def _check(tensors, wanted, path):
    """Raise ValueError unless tensors have the names, shapes and types wanted, and are finite."""
    odd = sorted(tensors.keys() ^ wanted.keys())
    if odd:
        what = "lacks" if odd[0] in wanted else "holds"
        raise ValueError(f"{path} is a checkpoint of another model: it {what} {odd[0]}")
    for name, like in wanted.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"{path} is a checkpoint of another model: its {name} is {found.dtype} of shape "
                f"{tuple(found.shape)}, not {like.dtype} of shape {tuple(like.shape)}"
            )
    broken = _broken(tensors)
    if broken:
        raise ValueError(f"{path} is damaged: not all numbers in {broken} are finite")


def _broken(tensors):
    """The name of a tensor that holds NaN or infinity; None if there is none."""
    return next((name for name, x in tensors.items() if not torch.isfinite(x).all()), None)


def _line(line):
    """A whole line of the log, read; None for anything else."""
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and not files.misfit(found, LINE) else None


def _refuse_other(path, found, identity):
    for key in {**identity, **found}:
        # what is lacking is not None, which an option can be
        told, wanted = (facts.get(key, files.LACKING) for facts in (found, identity))
        if told != wanted:
            raise ValueError(
                f"{path} is of another training: its {key} is {told}, not {wanted}: choose another "
                "folder"
            )
