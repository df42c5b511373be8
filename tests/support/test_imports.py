"""Arrows run one way, the theory does without torch, ``python -O`` passes over no check, and no
type is annotated."""

import ast
import subprocess
import sys
from importlib import import_module

import pytest
from importlinter.cli import lint_imports

import jepabook
from tools.notebooks import ROOT

HEAVY = {"torch", "torchdiffeq", "matplotlib", "safetensors", "datasets"}


def test_arrows_run_one_way():
    """The contracts of pyproject.toml."""
    config = str(ROOT / "pyproject.toml")
    assert lint_imports(config_filename=config, no_cache=True) == 0


def test_the_names_are_known_without_importing_what_is_behind_them():
    program = "import sys, jepabook; print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    assert told(program) == "[]"


def test_every_public_name_is_where_the_package_says():
    for name in jepabook.__all__:
        assert getattr(jepabook, name, None) is not None or import_module(f"jepabook.{name}")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jepabook.nothing


def test_the_theory_and_the_ledger_do_without_torch():
    program = (
        "import pkgutil, sys, jepabook.theory, jepabook.worlds, jepabook.claims\n"
        "from importlib import import_module\n"
        "import jepabook.training.learning_order, jepabook.recorded\n"
        "for folder in (jepabook.theory, jepabook.worlds):\n"
        "    for module in pkgutil.iter_modules(folder.__path__, folder.__name__ + '.'):\n"
        "        import_module(module.name)\n"
        "jepabook.claims.book()\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    assert told(program) == "[]"


FOLDERS = ("benchmarks", "book", "jepabook", "results", "tests", "tools")


def annotated(source):
    """The lines that annotate a type; of fields Python makes dataclasses, so these do not count."""
    tree = ast.parse(source)
    bodies = (node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    fields = [node for body in bodies for node in body if isinstance(node, ast.AnnAssign)]
    for node in ast.walk(tree):
        name = isinstance(node, ast.AnnAssign) and node not in fields
        argument = isinstance(node, ast.arg) and node.annotation
        if name or argument or getattr(node, "returns", None):
            yield node.lineno


def test_nothing_is_annotated():
    """Shapes, units and what is allowed stand in docstrings; of two habits one is followed."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = {path: list(annotated(path.read_text(encoding="utf-8"))) for path in paths}
    assert len(paths) > 250 and not {path: lines for path, lines in found.items() if lines}
    made = "class A:\n    x: int = 0\ndef f(x: int, *, y=1):\n    z: int = x\ndef g() -> int: ..."
    assert sorted(annotated(made)) == [3, 4, 5]


def told(program):
    """What a program prints in a Python of its own."""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return ran.stdout.strip() or ran.stderr


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
    command = [sys.executable, "-O", "-m", "pytest", "-q", "tests/support/test_imports.py"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert told.returncode and "assert statements are not executed" in told.stderr, told.stdout
