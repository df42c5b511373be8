"""`make install` and `make theory`: which build of PyTorch is taken; a theory without any."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.environments import copy_of_repository, environment_of
from tests.environments import make as make_environment
from tools import lock, theory
from tools.notebooks import ROOT

# notes what pip is asked for, and fails where that is not to be had
PYTHON = """#!/bin/sh
echo "$*" >> asked
case "$*" in *"show torch"*) cat installed; exit 0;; esac
for word in $(cat unreachable); do case "$*" in *"$word"*) exit 1;; esac; done
"""
GPU = "#!/bin/sh\necho 'GPU 0: one'\n"
NONE = "#!/bin/sh\necho 'no driver' >&2\nexit 9\n"
CPU, CUDA = "lock/torch-cpu.txt", "lock/torch.txt"


@pytest.fixture
def clone(tmp_path):
    """A folder with the Makefile, the locks and an environment that only notes."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "lock", tmp_path / "lock")
    written(tmp_path / ".venv" / "bin" / "python", PYTHON)
    for name in ("asked", "installed", "unreachable"):
        (tmp_path / name).touch()
    return tmp_path


def written(path, program):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(program, encoding="utf-8")
    path.chmod(0o755)


def install(clone, *words, gpu=NONE, system="Linux"):
    """What pip was asked to install and to remove, in order, and what make said."""
    written(clone / "driver" / "nvidia-smi", gpu)
    written(clone / "driver" / "uname", f"#!/bin/sh\necho {system}\n")
    (clone / "asked").write_text("", encoding="utf-8")
    told = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")
    env = {name: value for name, value in os.environ.items() if name not in told}
    env["PATH"] = f"{clone / 'driver'}{os.pathsep}{env['PATH']}"
    command = ["make", f"PYTHON={sys.executable}", *words, "install"]
    done = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True)
    lines = (clone / "asked").read_text(encoding="utf-8").splitlines()
    wanted = [line.split()[-1] for line in lines if "--requirement" in line]
    removed = [line.split()[-1] for line in lines if " uninstall " in line]
    return done, wanted, removed


@pytest.mark.parametrize(
    ("words", "gpu", "system", "build"),
    [
        ((), NONE, "Linux", CPU),
        ((), GPU, "Linux", CUDA),
        ((), NONE, "Darwin", CUDA),  # PyPI's, which is the only one there
        (("TORCH=cpu",), GPU, "Linux", CPU),
        (("TORCH=cuda",), NONE, "Linux", CUDA),
    ],
)
def test_the_build_is_what_the_machine_can_use_or_what_is_asked_for(
    clone, words, gpu, system, build
):
    done, wanted, _ = install(clone, *words, gpu=gpu, system=system)
    assert done.returncode == 0 and wanted == ["lock/all.txt", build], done.stderr


def test_without_the_index_of_cpu_builds_pypi_s_is_taken_and_that_is_told(clone):
    (clone / "unreachable").write_text(CPU, encoding="utf-8")
    done, wanted, _ = install(clone)
    assert wanted == ["lock/all.txt", CPU, CUDA] and "with CUDA" in done.stderr
    assert done.returncode == 0 and (clone / ".venv" / ".installed").is_file()


def test_without_either_nothing_counts_as_installed(clone):
    (clone / "unreachable").write_text(f"{CPU} {CUDA}", encoding="utf-8")
    done, *_ = install(clone)
    assert done.returncode and not (clone / ".venv" / ".installed").exists()


def test_a_build_that_is_asked_for_takes_the_place_of_another(clone):
    assert install(clone)[1] and not install(clone)[1]  # once
    (clone / "installed").write_text("Version: 2.13.0+cpu\n", encoding="utf-8")
    _, wanted, removed = install(clone, "TORCH=cuda")
    assert wanted[1:] == [CUDA] and removed == ["torch"]
    assert not install(clone, "TORCH=cuda")[1] and not install(clone)[1]  # it stays
    _, wanted, removed = install(clone, "TORCH=cpu")
    assert wanted[1:] == [CPU] and not removed
    (clone / "installed").write_text("Version: 2.13.0\n", encoding="utf-8")
    assert install(clone, "TORCH=cuda")[2] == []


@pytest.mark.parametrize("build", ["gpu", "cpu cuda", "CPU"])
def test_a_build_that_there_is_not_is_refused(clone, build):
    done, wanted, _ = install(clone, f"TORCH={build}")
    assert done.returncode and f"TORCH must be cpu or cuda, got '{build}'" in done.stderr
    assert not wanted


def test_the_theory_is_locked_in_the_versions_of_the_book_without_pytorch():
    every = {entry.name: entry for entry in lock.locked("all")}
    entries = lock.locked("theory")
    assert {"numpy", "scipy"} <= {entry.name for entry in entries} <= every.keys()
    for entry in entries:
        assert (entry.version, entry.hashes) == (
            every[entry.name].version,
            every[entry.name].hashes,
        )


def test_a_first_result_tells_who_goes_first():
    assert list(theory.lines())[-2] == "JEPA learns the clean one first, MAE the noisy one."


@pytest.mark.environment
def test_make_theory_installs_the_theory_alone(tmp_path):
    copy = tmp_path / "a clone"
    copy_of_repository(copy)
    make_environment(tmp_path, ["make", f"PYTHON={sys.executable}", "theory"], cwd=copy)
    program = "import importlib.util as u, jepabook; print(u.find_spec('torch'), jepabook.__file__)"
    python = copy / ".venv-theory" / "bin" / "python"
    done = subprocess.run(
        [python, "-I", "-c", program], env=environment_of(tmp_path), capture_output=True, text=True
    )
    assert done.stdout.split() == ["None", *str(copy / "jepabook" / "__init__.py").split()]
