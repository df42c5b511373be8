"""The package's commands in processes of their own, and what they tell and leave: for tests."""

import os
import subprocess
import sys
from pathlib import Path

from tools.notebooks import ROOT


class Trap:
    """Unpickled, it makes the file "sprung"."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def contents(folder):
    """Every file below a folder with its bytes, hidden ones too."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def one_error(capsys, module, start, most=300):
    """The message of the only line on standard error, of `most` letters, for nothing else."""
    told = capsys.readouterr()
    head = f"python -m {module}: error: "
    assert told.err.count("\n") == 1 and told.err.startswith(head + start), told.err
    assert len(told.err) < most and told.out == ""
    return told.err


def started(folder, module, *arguments, torchrun=0):
    """``python -m module`` in a folder, or as many processes of it under torchrun: a Popen."""
    program = ["-m", module]
    if torchrun:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        program = [*launcher, str(torchrun), *program]
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ran(folder, module, *arguments, torchrun=0, timeout=120):
    """As `started`, but to its end: a CompletedProcess."""
    process = started(folder, module, *arguments, torchrun=torchrun)
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
