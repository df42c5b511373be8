"""The theory runs where torch is missing, and no check is passed over under ``python -O``."""

import subprocess
import sys

import pytest

from tools.notebooks import ROOT


def test_importing_the_theory_and_the_ledger_does_not_import_torch():
    program = (
        "import sys, jepabook, jepabook.claims, jepabook.learning_order, jepabook.recorded\n"
        "import jepabook.momentum, jepabook.weight_decay, jepabook.violations\n"
        "print(sorted({'torch', 'torchdiffeq', 'matplotlib'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stdout + told.stderr


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("from jepabook import figures; figures.use_style()", "RuntimeError: run the chapters"),
        (
            "from jepabook import claims\n"
            "claims.run = lambda ids: [(claims.book()['eq:46'], 'fails')]\n"
            "claims.verify('eq:46')",
            "AssertionError: eq:46: fails, recorded as",
        ),
    ],
)
def test_a_check_is_not_passed_over_without_asserts(call, error):
    told = subprocess.run([sys.executable, "-O", "-c", call], capture_output=True, text=True)
    assert told.stderr.splitlines()[-1].startswith(error), told.stderr


def test_pytest_refuses_to_run_without_asserts():
    command = [sys.executable, "-O", "-m", "pytest", "-q", "tests/test_imports.py"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode and "assert statements are not executed" in told.stderr, told.stdout
