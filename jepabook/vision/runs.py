"""A training's folder: what was asked for, the log, and checkpoints that a killed process leaves.

``run.json`` names the training; ``log.jsonl`` has a line for each logged step; ``weights-*`` are
models at the steps that a figure needs, ``state-*`` the newest model with its optimiser. Each of
these is a ``.safetensors`` file, and a ``.json`` with its checksum that is written after it:
without the latter the former does not count.
"""

import hashlib
import json
import re
from pathlib import Path

import safetensors.torch

from jepabook.vision import files

FORMAT = 1
RUN, LOG = "run.json", "log.jsonl"
WEIGHTS, STATE = "weights", "state"
MODEL, OPTIMISER = "model.", "optimiser."  # how names of tensors begin


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
            _refuse_other(self.path / RUN, files.read_json(self.path / RUN), self.identity)
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
        OSError
            If there is no room.
        """
        tensors = {MODEL + name: tensor for name, tensor in network.state_dict().items()}
        if optimiser is not None:
            for name, parameter in network.named_parameters():
                for key, tensor in optimiser.state.get(parameter, {}).items():
                    tensors[f"{OPTIMISER}{name}.{key}"] = tensor
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
        ours = re.compile(rf"\.?{STATE}-\d+\.(json|safetensors)")
        kept = file_of(self.path, STATE, step).stem
        # in alphabetical order the JSON first: what is left without it does not count
        for old in sorted(self.path.iterdir()):
            if ours.fullmatch(old.name) and old.stem != kept:
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
        tensors, facts = load(self.path, STATE, steps[-1])
        _refuse_other(path.with_suffix(".json"), facts, self.identity)
        fill(network, tensors, path)
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                start = f"{OPTIMISER}{name}."
                found = {key: tensors.get(start + key) for key in ("step", "exp_avg", "exp_avg_sq")}
                if any(tensor is None for tensor in found.values()):
                    raise ValueError(f"{path} lacks the optimiser's tensors of {name}")
                optimiser.state[parameter] = {
                    key: tensor.to(parameter.device) for key, tensor in found.items()
                }
        return steps[-1]

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
        content = path.read_bytes() if path.exists() else b""
        # what follows was written after the newest state, and may end in half a line
        lines = content.splitlines(True)[: len(logged)]
        found = [_step_of_line(line) for line in lines]
        if found != logged:
            place = next(i for i, step in enumerate(logged) if found[i : i + 1] != [step])
            raise ValueError(f"{path} is damaged: line {place + 1} must be of step {logged[place]}")
        return sum(map(len, lines))

    def open_log(self, length):
        """The log, cut to `length` bytes, open for appending."""
        log = open(self.path / LOG, "a", encoding="utf-8", buffering=1)
        log.truncate(length)
        return log


def steps_of(folder, kind="weights"):
    """The steps of a folder's checkpoints of one kind, rising."""
    names = (path.stem.rpartition("-")[2] for path in Path(folder).glob(f"{kind}-*.json"))
    return sorted(int(name) for name in names if name.isdecimal())


def load(folder, kind, step):
    """A checkpoint's tensors and facts.

    Parameters
    ----------
    folder : path
    kind : {"weights", "state"}
    step : int

    Returns
    -------
    tensors : dict of str to tensor
    facts : dict

    Raises
    ------
    ValueError
        With the file, if there is none, or it is damaged or of another kind.
    """
    path = file_of(folder, kind, step)
    told = path.with_suffix(".json")
    if not (path.exists() and told.exists()):
        raise ValueError(f"{path} must be a checkpoint with its .json, got none")
    facts = files.read_json(told)
    if facts.get("format") != FORMAT or facts.get("step") != step:
        raise ValueError(f"{told} must be of step {step} and format {FORMAT}, got another one")
    if files.sha256(path) != facts.get("sha256"):
        raise ValueError(f"{path} is damaged: its checksum is not the one in {told.name}")
    try:
        return safetensors.torch.load_file(path), facts
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is no safetensors file ({type(error).__name__})") from None


def log_of(folder):
    """The log's lines, a dict each; ValueError, with the file, where one is damaged."""
    path = Path(folder) / LOG
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        raise ValueError(f"{path} is damaged: it has a line that is no JSON") from None


def fill(network, tensors, path):
    """Fill a model from a checkpoint's tensors; ValueError, with the path, if they do not fit."""
    found = {name.removeprefix(MODEL): t for name, t in tensors.items() if name.startswith(MODEL)}
    try:
        network.load_state_dict(found)
    except RuntimeError:
        raise ValueError(f"{path} is a checkpoint of another model") from None


def file_of(folder, kind, step):
    """Where a checkpoint's tensors are; its .json is beside it."""
    return Path(folder) / f"{kind}-{step:07d}.safetensors"


def _step_of_line(line):
    """The step that a whole line of the log is of; None for anything else."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else None
    except (ValueError, TypeError, KeyError):
        return None


def _refuse_other(path, facts, identity):
    found = facts.get("identity")
    if facts.get("format") != FORMAT or not isinstance(found, dict):
        raise ValueError(f"{path} is damaged or of another format")
    differing = [key for key in {**identity, **found} if found.get(key) != identity.get(key)]
    if differing:
        key = differing[0]
        raise ValueError(
            f"{path} is of another training: its {key} is {found.get(key)}, not "
            f"{identity.get(key)}: choose another folder"
        )
