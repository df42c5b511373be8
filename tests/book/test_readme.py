"""The README's code runs as printed, and the core needs NumPy and SciPy only."""

import doctest
import re
import subprocess
import sys

from tools.notebooks import ROOT

OPTIONAL = ("matplotlib", "sympy", "mpmath", "flint", "IPython")


def test_the_snippet_prints_what_the_readme_says():
    tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried.attempted >= 3 and not tried.failed


def test_nothing_is_left_to_fill_in():
    for page in (ROOT / "README.md", *(ROOT / "book").glob("*.md")):
        assert not re.findall(r"@[A-Z]+@|\bTODO\b|\bTBD\b", page.read_text(encoding="utf-8"))


def test_every_target_that_the_readme_names_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", readme, flags=re.MULTILINE)) <= targets


def test_the_core_imports_without_any_extra():
    block = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))"
    call = "j.critical_time.exact(j.JEPA, 1.0, 1.0, depth=5, epsilon=0.01)"
    use = f"import jepabook as j; print({call}.round())"
    done = subprocess.run([sys.executable, "-c", f"{block}; {use}"], capture_output=True, text=True)
    assert done.stdout.strip() == "4055.0", done.stderr
