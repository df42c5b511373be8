"""The wheel: all that it offers works there, and what needs the book is not in it."""

import subprocess
import sys
import zipfile

import pytest

import jepabook
from tests.environments import copy_of_repository, environment_of
from tools.notebooks import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package's wheel, unpacked, and its file's names."""
    home = tmp_path_factory.mktemp("wheel")
    copy_of_repository(home / "copy")
    build = "pip wheel --quiet --no-deps --no-build-isolation --wheel-dir".split()
    command = [sys.executable, "-I", "-m", *build, home, home / "copy"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = home.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(home / "site")
        return home / "site", archive.namelist()


def told(site, program):
    """What a program prints that has the wheel's package and not this clone's."""
    path = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", path + program],
        cwd=site,
        env=environment_of(site),
        capture_output=True,
        text=True,
    )
    return ran.stdout.strip() or ran.stderr


def test_a_wheel_has_every_module_but_the_ledger_s(wheel):
    _, names = wheel
    ours = {str(path.relative_to(ROOT)) for path in ROOT.glob("jepabook/**/*.py")}
    ledger = {name for name in ours if name.startswith("jepabook/claims/")}
    assert {name for name in names if name.startswith("jepabook/")} == ours - ledger


def test_every_public_name_works_from_a_wheel(wheel):
    program = (
        "import jepabook\n"
        "for name in jepabook.__all__:\n"
        "    exec(f'from jepabook import {name}')\n"
        "print(jepabook.__file__)\n"
    )
    site, _ = wheel
    assert told(site, program) == str(site / "jepabook" / "__init__.py")
    assert "claims" not in jepabook.__all__


def test_recorded_results_are_said_to_be_in_the_repository(wheel):
    program = "from jepabook import recorded\nrecorded.result('sgd')"
    last = told(wheel[0], program).splitlines()[-1]
    assert last.startswith("ValueError: name must be of a result in a clone of the book, got 'sgd'")
