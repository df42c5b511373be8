"""Binder: its versions, the launch buttons, its environment, and a chapter in JupyterLab.

conda's own packages are not to be had from a package registry of Python's, so the environment is
made with pip, in a folder of its own: JupyterLab in the version that `environment.yml` names, then
`postBuild` as it is. It has no PyTorch, so it runs the chapters of theory.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import expect

from tests.environments import copy_of_repository, environment_of, make, pinned, texts
from tools import audit, book, colab, lock, stages, surroundings
from tools.notebooks import MEMORY_LIMIT, ROOT, read, strip_volatile, write

ENVIRONMENT = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))
POST_BUILD = (ROOT / "binder" / "postBuild").read_text(encoding="utf-8")
PYPI = {"pytorch-cpu": "torch"}  # conda's names, where they differ
LAB = "02-what-is-learned.ipynb"  # sympy, SciPy and figures
ALONE = "08-solving-the-dynamics.ipynb"  # mpmath and python-flint
PATIENCE = 60_000  # milliseconds, for a machine that has other things to do


def conda_pins():
    named = dict(line.split("=") for line in ENVIRONMENT["dependencies"] if "=" in line)
    return {PYPI.get(name, name): version for name, version in named.items()}


class TestFiles:
    def test_conda_takes_the_pinned_versions(self):
        named = conda_pins()
        python = named.pop("python")
        assert set(named) == {"torch", "jupyterlab"}
        assert named == {name: pinned()[name] for name in named}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["requires-python"] == f">={python}"
        assert set(ENVIRONMENT["channels"]) == {"conda-forge", "nodefaults"}

    def test_pip_adds_what_the_chapters_need_and_never_pytorch(self):
        taken = {entry.name for entry in lock.locked("binder")}
        asked = [*lock.requirements(*lock.BINDER), *lock.requirements("torch"), *lock.BINDER_ALONE]
        assert {re.split("[<>=]", line)[0] for line in asked} - taken == {"torch"}
        assert {str(e) for e in lock.locked("binder")} <= {str(e) for e in lock.locked("all")}
        assert (
            "(python -m pip install --no-cache-dir --disable-pip-version-check --no-deps)"
            in POST_BUILD
        )
        assert re.findall(r'"\${install\[@]}" (.*)', POST_BUILD) == [
            "--requirement lock/binder.txt",
            "--no-build-isolation --editable .",
        ]

    def test_the_repository_is_one_on_github_or_none(self):
        settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
        assert set(settings) == {"url", "branch"} and settings["branch"]
        if settings["url"]:
            assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", settings["url"])


class TestButtons:
    """A book of one page and one notebook, with the settings of this one."""

    @staticmethod
    def build(folder, url, branch, address="", doi=""):
        source = folder / "source"
        shutil.copytree(ROOT / "book", source / "book")
        for page in (source / "book").glob("*.md"):
            page.unlink()
        settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
        settings["repository"] = {"url": url, "branch": branch}
        settings["html"]["baseurl"], settings["doi"] = address, doi
        (source / "_config.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        parts = [{"chapters": [{"file": "notebooks/01-a-chapter"}]}]
        toc = {"format": "jb-book", "root": "book/index", "parts": parts}
        (source / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
        (source / "book" / "index.md").write_text("# A book\n", encoding="utf-8")
        # links of figures that this book has not
        (source / "book" / "live" / "links.yml").write_text("{}\n", encoding="utf-8")
        (source / "notebooks").mkdir()
        notebook = new_notebook(cells=[new_markdown_cell("# A chapter"), new_code_cell("1 + 1")])
        write(strip_volatile(notebook), source / "notebooks" / "01-a-chapter.ipynb")
        return book.build(source, folder / "stage")

    @staticmethod
    def launches(page):
        soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        links = {a["href"] for a in soup.select(".dropdown-launch-buttons a")}
        return links, soup.select(".dropdown-launch-buttons, .fa-rocket")

    def test_a_notebook_opens_in_binder_and_colab(self, browser, tmp_path):
        html = self.build(tmp_path, "https://github.com/someone/the-book", "stable")
        links, _ = self.launches(html / "notebooks" / "01-a-chapter.html")
        binder = "stable?urlpath=lab/tree/notebooks/01-a-chapter.ipynb"
        copy = f"blob/{colab.BRANCH}/notebooks/01-a-chapter.ipynb"
        assert links == {
            f"https://mybinder.org/v2/gh/someone/the-book/{binder}",
            f"https://colab.research.google.com/github/someone/the-book/{copy}",
        }
        assert self.launches(html / "book" / "index.html") == (set(), [])
        assert audit.links(html) == []  # the logo is the theme's own, and has a text

        with audit.served(html) as address, audit.in_theme(browser, "light") as context:
            page, problems = audit.visit(context, f"{address}/notebooks/01-a-chapter.html")
            page.locator(".dropdown-launch-buttons button").click()
            for name in ("Binder", "Colab"):
                expect(page.get_by_role("link", name=name)).to_be_visible()
            problems += audit.accessibility(page) + audit.furniture(page)
        assert not problems, "\n".join(problems)

    def test_colab_opens_github_only(self, tmp_path):
        html = self.build(tmp_path, "https://gitlab.com/someone/the-book", "stable")
        links, _ = self.launches(html / "notebooks" / "01-a-chapter.html")
        assert [link.split("?")[0] for link in links] == [
            "https://mybinder.org/v2/gl/someone%2Fthe-book/stable"
        ]

    def test_without_a_repository_there_is_no_button(self, tmp_path):
        html = self.build(tmp_path, "", "main")
        for page in ("notebooks/01-a-chapter.html", "book/index.html"):
            assert self.launches(html / page) == (set(), [])
            text = (html / page).read_text(encoding="utf-8").lower()
            assert "binder" not in text and "colab" not in text


class TestMemory:
    """`tools.kernel_memory`, which `make test` loads, measures every chapter."""

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only what is held is seen")
    @pytest.mark.parametrize(
        ("limit", "verdict"), [(1000, "2 passed in"), (300, "2 passed, 1 error in")]
    )
    def test_a_peak_counts_even_if_it_is_given_back(self, tmp_path, limit, verdict):
        cells = []
        for source, output in (("len(b'1' * 3 * 10**8)", "300000000"), ("1", "1")):
            shown = new_output("execute_result", {"text/plain": output}, execution_count=1)
            cells.append(new_code_cell(source, execution_count=1, outputs=[shown]))
        write(new_notebook(cells=cells), tmp_path / "big.ipynb")
        command = [
            *(sys.executable, "-m", "pytest", "-p", "tools.kernel_memory", "-c", os.devnull),
            *("--nbval", "--nbval-current-env", f"--kernel-memory={limit}", "big.ipynb"),
        ]
        env = surroundings.clean(os.environ)
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert verdict in done.stdout.splitlines()[-1], done.stdout + done.stderr

    def test_the_limit_leaves_room_for_jupyterlab(self):
        assert MEMORY_LIMIT <= 1024
        (command,) = (one.command for one in stages.stages(jobs=1) if "--nbval" in one.command)
        assert "-p tools.kernel_memory" in " ".join(command)


@pytest.fixture(scope="class")
def binder(tmp_path_factory):
    """A copy of this repository, and an environment made for it: two folders."""
    home = tmp_path_factory.mktemp("binder")
    clone, python = home / "clone", home / "env" / "bin" / "python"
    copy_of_repository(clone)
    versions = "".join(f"{name}=={version}\n" for name, version in pinned().items())
    (clone / "versions.txt").write_text(versions, encoding="utf-8")
    pip = [python, *"-m pip install --quiet --constraint versions.txt jupyterlab".split()]
    make(home, pip, [clone / "binder" / "postBuild"], cwd=clone)
    return home


def said(home, *command):
    done = subprocess.run(
        [home / "env" / "bin" / "python", *command],
        cwd=home / "clone",
        env=environment_of(home),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def imported():
    """The modules that the chapters and the package import at any place, without the ViT's."""
    sources = [
        re.sub(r"^[%!].*", "", cell.source, flags=re.MULTILINE)
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in read(path).cells
        if cell.cell_type == "code"
    ]
    for path in (ROOT / "jepabook").rglob("*.py"):
        if "vision" not in path.parts:
            sources.append(path.read_text(encoding="utf-8"))
    names = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return sorted(names)


@pytest.fixture
def jupyterlab(binder):
    """The address of a JupyterLab in the copy, and its token."""
    token = "chapter"
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": 0,
        "IdentityProvider.token": token,
        "LabApp.news_url": "",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [
        *(binder / "env" / "bin" / "python", "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    log = binder / "lab.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command,
            cwd=binder / "clone",
            env=environment_of(binder),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 60
        about = binder / "runtime" / f"jpserver-{server.pid}.json"
        while "is running at" not in log.read_text(encoding="utf-8"):
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield json.loads(about.read_text(encoding="utf-8"))["url"], token
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.mark.environment
class TestEnvironment:
    """In one class: a worker of pytest-xdist that got a part of it would make its own."""

    def test_every_version_is_the_pinned_one(self, binder):
        listed = json.loads(said(binder, *"-m pip list --format json".split()))
        found = {re.sub("[._]", "-", row["name"].lower()): row["version"] for row in listed}
        own = {name: found.pop(name, None) for name in ("jepabook", "pip")}
        assert own["jepabook"] and "torch" not in found and "torchdiffeq" in found
        assert found == {name: pinned().get(name) for name in found}

    def test_whatever_is_imported_is_there(self, binder):
        program = (
            "import sys; from importlib.util import find_spec\n"
            "print([name for name in sys.argv[1:] if find_spec(name) is None])"
        )
        # a Parquet file is read with pyarrow, and refused in one line without it
        assert said(binder, "-c", program, *imported()).strip() == "['pyarrow', 'torch']"

    def test_a_chapter_runs_and_fits(self, binder):
        program = (
            "from tools.notebooks import ROOT, run_all, write\n"
            f"(run,) = run_all([ROOT / 'notebooks' / '{ALONE}'], jobs=1)\n"
            "write(run.notebook, run.path)"
        )
        told = said(binder, "-c", program)
        (peak,) = re.findall(rf"{ALONE} .* (\d+) MB +ok", told)
        assert 50 < int(peak) <= MEMORY_LIMIT
        assert texts(binder / "clone" / "notebooks" / ALONE) == texts(ROOT / "notebooks" / ALONE)

    def test_a_chapter_in_jupyterlab(self, binder, jupyterlab, browser):
        """Run All Cells gives what is committed; an edited cell runs too, and all is saved."""
        address, token = jupyterlab
        path = binder / "clone" / "notebooks" / LAB
        with browser.new_context(viewport={"width": audit.WIDE, "height": 900}) as context:
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}lab/tree/notebooks/{LAB}?token={token}")
            cells = page.locator(".jp-Notebook .jp-CodeCell")
            prompts = cells.locator(".jp-InputPrompt")
            count = len(texts(path))
            expect(cells).to_have_count(count, timeout=PATIENCE)
            toolbar = page.locator(".jp-NotebookPanel-toolbar")
            expect(toolbar).to_contain_text("Python 3", timeout=PATIENCE)

            page.locator("#jp-MainMenu").get_by_text("Run", exact=True).click()
            page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            expect(prompts.last).to_have_text("[*]:", timeout=PATIENCE)
            numbers = [f"[{n}]:" for n in range(1, count + 1)]
            expect(prompts).to_have_text(numbers, timeout=2 * PATIENCE)

            edited = cells.first
            edited.scroll_into_view_if_needed()
            edited.locator(".cm-content").click()
            page.keyboard.press("Control+End")
            page.keyboard.type("\nprint(len(dynamics.__name__) + 6 * 7)")
            page.keyboard.press("Shift+Enter")
            expect(prompts.first).to_have_text(f"[{count + 1}]:", timeout=PATIENCE)
            expect(edited.locator(".jp-OutputArea-output")).to_have_text("66", timeout=PATIENCE)
            page.keyboard.press("Control+s")
            expect(page.locator(".jp-mod-dirty")).to_have_count(0, timeout=PATIENCE)

        after = texts(path)
        assert after[0] == "66\n"
        assert after[1:] == texts(ROOT / "notebooks" / LAB)[1:]
        outputs = [out for cell in read(path).cells for out in cell.get("outputs", [])]
        assert not [out for out in outputs if out.output_type == "error"]
        assert not [out for out in outputs if out.get("name") == "stderr"]
        assert sum("image/png" in out.get("data", {}) for out in outputs) >= 3
