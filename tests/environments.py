"""Environments made with pip, each in a folder of its own, what runs there, and git: for tests."""

import os
import shutil
import subprocess
import sys

import pytest
from packaging.markers import Marker

from tools import lock, surroundings
from tools.notebooks import ROOT, read

OFFLINE = ("NewConnectionError", "NameResolutionError", "Network is unreachable")


def copy_of_repository(folder):
    """Copy what there is, committed or not."""
    unwanted = shutil.ignore_patterns(".*", "_build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=unwanted)


def pinned():
    """The locked versions for this Python and system, by the name that pip compares."""
    return {
        entry.name: entry.version
        for entry in [*lock.locked("all"), *lock.locked("torch")]
        if not entry.marker or Marker(entry.marker).evaluate()
    }


def make(home, *commands, cwd):
    """Make the environment `home / "env"` and run commands in it; skip without a registry."""
    for command in ([sys.executable, "-m", "venv", home / "env"], *commands):
        env = environment_of(home)
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
        said = done.stdout + done.stderr
        if done.returncode and not os.environ.get("CI") and any(word in said for word in OFFLINE):
            pytest.skip("no package registry can be reached, so there is no environment to try")
        assert done.returncode == 0, said


def environment_of(home):
    """Environment variables in which only the environment of `home` has a say."""
    env = surroundings.clean(os.environ)
    del env["PYTHONPATH"]  # this clone's package
    return env | {
        "PATH": f"{home / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }


def git(folder, *words):
    """What git says in a folder, whatever settings the user has; a copy may come without git."""
    if shutil.which("git") is None:
        pytest.skip("there is no git, so there is no repository to try")
    env = surroundings.clean(os.environ) | {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_COMMITTER_DATE": "2026-01-02T23:30:00-0500",
    }
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.test", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def texts(path):
    """What each code cell printed."""
    return [
        "".join(output.get("text", "") for output in cell.outputs)
        for cell in read(path).cells
        if cell.cell_type == "code"
    ]
