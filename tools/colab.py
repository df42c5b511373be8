"""Copy the notebooks into `_build/colab`, each with a cell that fetches and installs the book.

Colab opens one notebook alone. `site.yml` publishes these copies on the branch `colab`, and the
button of `book/_ext/repairs.py` leads there. While `_config.yml` names no repository there are no
buttons and no copies, which is no error: the workflow then publishes the site alone.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell

from jepabook._support.command import Parser
from tools.notebooks import ROOT, in_toc, read, write

BRANCH = "colab"
NOTE = "In Colab, run this cell first: it fetches the book's repository and installs the package."
# pip replaces nothing that meets the package's requirements: Colab keeps its PyTorch and its NumPy.
# An editable package is seen by processes that start later, hence the path.
SETUP = """\
import os
import sys

if not os.path.isfile("../pyproject.toml"):
    if not os.path.isdir("jepabook"):
        !git clone --quiet --depth 1 --branch {branch} {url} jepabook
    os.chdir("jepabook/notebooks")
!{{sys.executable}} -m pip install --quiet --editable "..[symbolic,spectrum,vision]"
sys.path.insert(0, os.path.abspath(".."))"""


def repository(root=ROOT):
    """The address that `_config.yml` names, which may be empty, and the branch."""
    try:
        named = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
        url, branch = named["url"] or "", named["branch"]
    except (yaml.YAMLError, KeyError, TypeError):
        raise ValueError("_config.yml must hold `repository` with `url` and `branch`") from None
    if url and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", str(url)):
        raise ValueError(f"Colab opens https://github.com/OWNER/NAME only, _config.yml has {url!r}")
    if not re.fullmatch(r"\w[\w./-]*", str(branch)) or branch == BRANCH:
        raise ValueError(f"not a branch that holds the book: {branch!r} in _config.yml")
    return url, branch


def with_setup(notebook, url, branch):
    """Put the note and the cell, in place, before the first code cell."""
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells[first:first] = [
        new_markdown_cell(NOTE, id="colab-note"),
        new_code_cell(SETUP.format(url=url, branch=branch), id="colab-setup"),
    ]
    return notebook


def make_copies(root=ROOT):
    """Write all copies or none; the folder, or None if there is no repository to fetch."""
    copies = root / "_build" / "colab"
    shutil.rmtree(copies, ignore_errors=True)
    url, branch = repository(root)
    if not url:
        return None
    copies.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=copies.parent, prefix="colab-") as scratch:
        notebooks = Path(scratch) / "colab" / "notebooks"
        notebooks.mkdir(parents=True)
        for path in in_toc(root):
            write(with_setup(read(path), url, branch), notebooks / path.name)
        notebooks.parent.rename(copies)
    return copies


def main():
    Parser("python -m tools.colab", description="Copy the notebooks for Colab.").parse_args()
    try:
        copies = make_copies(ROOT)
    except (ValueError, OSError) as error:
        print(f"python -m tools.colab: error: {error}", file=sys.stderr)
        return 1
    print(copies or "no copies for Colab: _config.yml names no repository (`repository: url`)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
