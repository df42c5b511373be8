"""Colab: copies of the notebooks, how they are published, and one that runs in a bare folder.

Colab itself is not to be had. Its stand-in is an environment made with pip, with the versions that
Colab has of what a chapter of theory imports. What is large is there by name only, PyTorch first:
enough for pip, which must leave it alone.
"""

import json
import os
import subprocess

import pytest
import yaml
from nbformat.v4 import new_code_cell

from tests.environments import copy_of_repository, environment_of, git, make, texts
from tools import colab
from tools.notebooks import ROOT, in_toc, read, write

URL = "https://github.com/someone/the-book"
CHAPTER = "08-solving-the-dynamics.ipynb"  # needs python-flint, which Colab has not
# github.com/googlecolab/backend-info, pip-freeze.txt of August 2026
KERNEL = {"ipython": "7.34.0", "ipykernel": "6.17.1", "nbclient": "0.10.4"}
COLAB = KERNEL | {
    "numpy": "2.1.3",
    "scipy": "1.16.3",
    "matplotlib": "3.10.0",
    "mpmath": "1.3.0",
    "sympy": "1.14.0",
    "tqdm": "4.67.3",
    "pillow": "11.3.0",
}
BY_NAME = {
    "torch": "2.11.0+cpu",
    "transformers": "5.15.0",
    "datasets": "4.0.0",
    "safetensors": "0.8.0",
    "scikit-image": "0.25.2",
    "scikit-learn": "1.6.1",
}


def configured(folder, text):
    """The folder, with this book's notebooks and another configuration."""
    for name in ("_toc.yml", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "_config.yml").write_text(text, encoding="utf-8")
    return folder


def naming(url=URL, branch="main"):
    return yaml.safe_dump({"repository": {"url": url, "branch": branch}})


class TestCopies:
    def test_one_of_every_notebook_with_two_cells_more(self, tmp_path):
        copies = colab.make_copies(configured(tmp_path, naming(branch="stable/1.0")))
        files = sorted((copies / "notebooks").iterdir())
        assert files == sorted(copies / "notebooks" / path.name for path in in_toc())
        for path in in_toc():
            chapter, copy = read(path), read(copies / "notebooks" / path.name)
            first = [cell.cell_type for cell in chapter.cells].index("code")
            note, setup = copy.cells[first], copy.cells.pop(first + 1)
            del copy.cells[first]
            assert copy == chapter
            assert note.cell_type == "markdown" and len(note.source.splitlines()) == 1
            assert f"--branch stable/1.0 {URL} " in setup.source and setup.outputs == []

    def test_none_without_a_repository(self, tmp_path, monkeypatch, capsys):
        root = configured(tmp_path, naming(url=""))
        (root / "_build" / "colab" / "notebooks").mkdir(parents=True)  # of an earlier repository
        monkeypatch.setattr(colab, "ROOT", root)
        monkeypatch.setattr("sys.argv", ["colab"])
        assert colab.main() == 0
        told = capsys.readouterr()
        assert told.out.count("\n") == 1 and "names no repository" in told.out and not told.err
        assert list((root / "_build").iterdir()) == []

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                naming("https://gitlab.com/someone/the-book"),
                "'https://gitlab.com/someone/the-book'",
            ),
            (naming(URL + "/tree/main"), "https://github.com/OWNER/NAME only"),
            (naming("https://github.com/a/b;c"), "https://github.com/OWNER/NAME only"),
            (naming(branch=""), "branch that holds the book: ''"),
            (naming(branch="a b"), "branch that holds the book: 'a b'"),
            (naming(branch="--all"), "branch that holds the book: '--all'"),
            (naming(branch=colab.BRANCH), "branch that holds the book: 'colab'"),
            ("repository: {url: ''}", "`repository` with `url` and `branch`"),
            ("repository:", "`repository` with `url` and `branch`"),
            ("repository: [", "`repository` with `url` and `branch`"),
        ],
    )
    def test_a_wrong_configuration_is_one_line(self, tmp_path, monkeypatch, capsys, text, told):
        monkeypatch.setattr(colab, "ROOT", configured(tmp_path, text))
        monkeypatch.setattr("sys.argv", ["colab"])
        assert colab.main() == 1
        said = capsys.readouterr()
        assert said.err.startswith("python -m tools.colab: error: ") and told in said.err
        assert said.err.count("\n") == 1 and not said.out

    def test_all_or_none(self, tmp_path):
        root = configured(tmp_path, naming())
        (root / "notebooks").unlink()
        (root / "notebooks").mkdir()
        for path in in_toc():
            (root / "notebooks" / path.name).write_bytes(path.read_bytes())
        assert len(list((colab.make_copies(root) / "notebooks").iterdir())) == len(in_toc())
        (root / "notebooks" / in_toc()[-1].name).write_text("{", encoding="utf-8")
        with pytest.raises(ValueError, match="JSON"):
            colab.make_copies(root)
        assert list((root / "_build").iterdir()) == []


def test_published_as_one_commit(tmp_path):
    """What the workflow runs, twice, with a folder for GitHub and a `gh` that does nothing."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text("utf-8"))
    (script,) = (step["run"] for step in workflow["jobs"]["colab"]["steps"] if "run" in step)
    remote = tmp_path / "someone" / "the-book"
    git(tmp_path, "init", "--quiet", "--bare", remote)
    (tmp_path / "gh").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    env = os.environ | {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_SERVER_URL": tmp_path.as_uri(),
        "GITHUB_REPOSITORY": "someone/the-book",
    }
    for name in ("first", "second"):
        notebooks = tmp_path / name / "notebooks"
        notebooks.mkdir(parents=True)
        (notebooks / f"{name}.ipynb").write_text("{}", encoding="utf-8")
        run = {"cwd": notebooks.parent, "env": env | {"GITHUB_SHA": name}, "check": True}
        subprocess.run(["bash", "-e", "-c", script], **run)
    assert git(remote, "log", "--format=%s", "colab") == "The notebooks of second, for Colab\n"
    assert git(remote, "ls-tree", "-r", "--name-only", "colab") == "notebooks/second.ipynb\n"


@pytest.fixture
def machine(tmp_path):
    """An environment as Colab's, an empty folder `content`, and the repository in `remote`."""
    copy_of_repository(tmp_path / "remote")
    git(tmp_path / "remote", "init", "--quiet", "--initial-branch", "trial")
    git(tmp_path / "remote", "add", "--all", "--force")
    git(tmp_path / "remote", "commit", "--quiet", "--message", "Now")
    (tmp_path / "content").mkdir()
    wanted = [f"{name}=={version}" for name, version in COLAB.items()]
    python = tmp_path / "env" / "bin" / "python"
    make(tmp_path, [python, *"-m pip install --quiet".split(), *wanted], cwd=tmp_path)
    (packages,) = (tmp_path / "env" / "lib").glob("python3*/site-packages")
    for name, version in BY_NAME.items():
        about = packages / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir()
        facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (about / "METADATA").write_text(facts, encoding="utf-8")
        (about / "INSTALLER").write_text("pip\n", encoding="utf-8")
        (about / "RECORD").touch()
    return tmp_path


@pytest.mark.environment
def test_a_chapter_runs_alone(machine):
    """It prints what is committed, after a setup that is run twice and replaces nothing."""
    content, env = machine / "content", environment_of(machine)
    notebook = colab.with_setup(read(ROOT / "notebooks" / CHAPTER), "URL", "trial")
    (at,) = (i for i, cell in enumerate(notebook.cells) if cell.id == "colab-setup")
    setup = notebook.cells[at].source.replace("URL", (machine / "remote").as_uri())
    notebook.cells[at : at + 1] = [new_code_cell(setup), new_code_cell(setup)]
    write(notebook, content / CHAPTER)

    python = machine / "env" / "bin" / "python"
    command = [python, "-m", "jupyter", "execute", "--inplace", content / CHAPTER]
    done = subprocess.run(command, cwd=content, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert texts(content / CHAPTER)[2:] == texts(ROOT / "notebooks" / CHAPTER)
    assert sorted(path.name for path in content.iterdir()) == [CHAPTER, "jepabook"]
    assert git(content / "jepabook", "rev-list", "--count", "HEAD") == "1\n"

    command = [python, *"-m pip list --format json".split()]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    found = {row["name"].lower(): row["version"] for row in json.loads(told)}
    assert found.items() >= (COLAB | BY_NAME).items()
    assert found.keys() >= {"jepabook", "python-flint", "torchdiffeq"}
