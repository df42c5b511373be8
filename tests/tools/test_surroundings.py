"""Nothing that a machine leaves in the environment reaches a kernel, a test or a builder."""

import json
import os
import re
import subprocess
import sys

import pytest

from tools import aarch64, book, notebooks, portable, stages, surroundings
from tools.notebooks import ROOT

LEFT = {
    "PYTHONPATH": "elsewhere",
    "PYTHONSTARTUP": "start.py",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "ignore",
    "PYTHONIOENCODING": "ascii",
    "PYTHONSAFEPATH": "1",
    "PYTHONINSPECT": "1",
    "PYTEST_ADDOPTS": "-k nothing",
    "RUFF_CONFIG": "other.toml",
    "MPLBACKEND": "agg",
    "JUPYTER_PATH": "kernels",
    "WORLD_SIZE": "4",
    "SLURM_PROCID": "1",
    "GIT_DIR": "/",
    "SOURCE_DATE_EPOCH": "0",
    "NODE_OPTIONS": "--inspect",
    "OPENBLAS_NUM_THREADS": "7",
    "TORCH_LOGS": "all",
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
    "LANGUAGE": "de",
    "FORCE_COLOR": "1",
    "COLUMNS": "20",
    "a_name_that_nobody_thought_of": "1",
}
NEEDED = {
    "PATH": os.environ["PATH"],
    "HOME": "/home/me",
    "https_proxy": "http://proxy",
    "PIP_INDEX_URL": "https://index",
    "SSL_CERT_FILE": "/certificates",
    "CHROMIUM": "/browser",
    "CI": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OPENBLAS_CORETYPE": "Haswell",
}
TELL = "import json, os, sys; print(json.dumps([dict(os.environ), sys.flags.optimize, sys.path]))"


def test_what_is_needed_stays_and_all_else_goes():
    made = surroundings.clean(LEFT | NEEDED)
    assert made.items() >= NEEDED.items()
    own = surroundings.FIXED | surroundings.OWN
    assert {name: made[name] for name in LEFT.keys() & made.keys()} == {
        name: own[name] for name in LEFT.keys() & own.keys()
    }
    assert surroundings.clean(made) == made


def test_at_the_desk_jupyter_keeps_its_users_settings():
    theirs = {"JUPYTER_CONFIG_DIR": "/theirs", "JUPYTER_PATH": "/kernels", "IPYTHONDIR": "/also"}
    made = surroundings.clean(LEFT | theirs, desk=True)
    assert made.items() >= theirs.items() and "PYTHONOPTIMIZE" not in made
    assert not theirs.items() & surroundings.clean(theirs).items()


def test_a_folder_for_temporary_files_is_one_that_is_there(tmp_path):
    program = "import os; from tools import surroundings as s; print(s.clean(os.environ)['TMPDIR'])"
    env = os.environ | {"TMPDIR": str(tmp_path / "missing")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert os.path.isdir(done.stdout.strip()), done.stderr


@pytest.mark.parametrize("module", ["surroundings", "json", "os"])
def test_the_makefile_s_python_hears_nothing_of_the_environment_outside(tmp_path, module):
    """Not even a module of a name that it imports itself."""
    (tmp_path / f"{module}.py").write_text("raise SystemExit('shadowed')\n", encoding="utf-8")
    program = [sys.executable, "-I", ROOT / "tools" / "surroundings.py", "-c", TELL]
    env = os.environ | LEFT | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(program, env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environment, optimize, path = json.loads(done.stdout)
    assert environment == surroundings.clean(env) | {
        name: environment[name] for name in ("PWD", "LC_CTYPE") if name in environment
    }
    assert optimize == 0 and str(tmp_path) not in path


def test_the_package_is_this_clone_s_whatever_is_installed(tmp_path):
    program = [sys.executable, "-c", "import jepabook; print(jepabook.__file__)"]
    done = subprocess.run(
        program, env=surroundings.clean({}), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(ROOT / "jepabook" / "__init__.py"), done.stderr


def test_make_installs_nowhere_else_because_of_a_variable():
    """VENV is what people call their own environment."""
    names = ("VENV", "CONSTRAINTS", "NB", "UPGRADE", "PY", "STAMP", "RUN", "PIP_INSTALL", "TORCH")
    command = ["make", "--dry-run", "--always-make", "execute"]
    said = [
        subprocess.run(
            command, cwd=ROOT, env=surroundings.clean(os.environ) | left, capture_output=True
        ).stdout
        for left in ({}, dict.fromkeys(names, "theirs"))
    ]
    assert said[0] == said[1] and b"theirs" not in said[0] and b"tools.notebooks" in said[0]


def test_every_python_of_the_makefile_is_started_in_it():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    recipes = [line for line in lines if re.match(r"\t.*\$\((?:PY|RUN)", line)]
    assert len(recipes) > 15
    for line in recipes:
        assert re.search(r"\$\(RUN\)|\$\(PY(THON)?\) -I |test -x \$\(PY\)", line), line


@pytest.mark.parametrize("word", ["0", "-1", "", "two", "1.5", "²"])
@pytest.mark.parametrize("module", [aarch64, book, notebooks, portable, stages])
def test_a_number_of_jobs_that_is_none_is_refused(monkeypatch, capsys, module, word):
    """No job at a time would wait for ever."""
    what = ["site"] if module is book else []
    monkeypatch.setattr(sys, "argv", ["make", *what, "--jobs", word])
    with pytest.raises(SystemExit):
        module.main()
    assert f"must be an integer of at least 1, got {word!r}" in capsys.readouterr().err


WITHOUT_POSIX = """
import importlib, os, pkgutil, sys
import jepabook
names = [one.name for one in pkgutil.walk_packages(jepabook.__path__, "jepabook.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:  # what others import may be different here
    importlib.import_module(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "jepabook"]:
    del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty"):
    sys.modules[name] = None
for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_DIRECTORY", "fork", "getuid", "sched_getaffinity"):
    delattr(os, name)
for name in names:
    importlib.import_module(name)
from jepabook import recorded
from jepabook._support import files
recorded.save("a.npz", {"a": [1.0]}, {})
recorded.save("a.npz", {"a": [2.0]}, {})
print(*recorded.load("a.npz")[0]["a"], *sorted(os.listdir()))
try:
    with files.alone("run"):
        pass
except ValueError as error:
    print(error)
"""


def test_what_only_posix_has_is_not_needed_but_where_it_is_told(tmp_path):
    """As on Windows: every module can be imported and results be saved; no folder can be held."""
    command = [sys.executable, "-c", WITHOUT_POSIX]
    env = surroundings.clean(os.environ)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    told = ["2.0 a.npz", "run must be on Linux or macOS, to be held for one process (flock)"]
    assert done.stdout.splitlines() == told, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
