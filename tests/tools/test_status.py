"""What pages say of themselves: the footer's commit and versions, and the status page's numbers."""

import json
import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from jepabook import claims
from tests.environments import git
from tools import book, measured, notebooks, provenance, stages, status
from tools.notebooks import ROOT

SUITE = (
    '<testsuites><testsuite name="pytest" tests="{}" failures="{}" errors="0" skipped="2" '
    'time="{}" timestamp="2026-01-02T10:{}:00.000000+00:00" hostname="here"/></testsuites>'
)


@pytest.fixture
def clone(tmp_path):
    """A repository that has what a clone of the book has, with one commit."""
    root = tmp_path / "clone"
    (root / "jepabook").mkdir(parents=True)
    (root / "jepabook" / "__init__.py").write_text("one = 1\n")
    (root / "_toc.yml").write_text("root: index\n")
    (root / "README.md").write_text("read me\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def saved(folder, name, *sources):
    cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), path)
    return path


def run_of(path, seconds=12.3, peak=400.2):
    return notebooks.Run(path, seconds, peak)


class TestFooter:
    def test_commit_date_and_changes(self, clone):
        inside = clone / "_build" / "source"
        inside.mkdir(parents=True)
        found = provenance.commit_of(inside)
        assert re.fullmatch("[0-9a-f]{7,}", found.hash)
        assert (found.date, found.changed) == ("2026-01-03", False)  # the date is UTC
        (clone / "README.md").write_text("no page is made of it\n")
        assert not provenance.commit_of(inside).changed
        (clone / "jepabook" / "__init__.py").write_text("one = 2\n")
        assert provenance.commit_of(inside).changed

    def test_a_copy_without_history_names_no_commit(self, tmp_path, clone):
        assert provenance.commit_of(tmp_path) is None
        git(tmp_path, "init", "--quiet")  # a stranger's repository around the copy
        (tmp_path / "copy").mkdir()
        git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "not ours")
        assert provenance.commit_of(tmp_path / "copy") is None

    def test_a_copy_inside_a_clone_of_the_book_names_no_commit(self, clone, monkeypatch):
        copy = clone / "_build" / "copy"
        for folder in (copy / "jepabook", copy / "_build" / "source"):
            folder.mkdir(parents=True)
        (copy / "_toc.yml").write_text("root: index\n")
        assert provenance.commit_of(copy / "_build" / "source") is None
        git(copy, "init", "--quiet")
        assert provenance.commit_of(copy) is None
        git(copy, "commit", "--quiet", "--allow-empty", "--message", "the copy is not in it")
        assert provenance.commit_of(copy) is None

    def test_a_hook_of_another_repository_changes_nothing(self, clone, tmp_path, monkeypatch):
        git(tmp_path, "init", "--quiet", "other")
        git(tmp_path / "other", "commit", "--quiet", "--allow-empty", "--message", "not ours")
        here = provenance.commit_of(clone)
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
        monkeypatch.setenv("GIT_WORK_TREE", str(clone))
        assert here is not None and provenance.commit_of(clone) == here

    @pytest.mark.parametrize("program", ["exit 128", "printf 'caf\\351\\n'", "exit 0"])
    def test_a_git_that_fails_is_none(self, clone, tmp_path, monkeypatch, program):
        (tmp_path / "git").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        assert provenance.commit_of(clone) is None

    def test_no_git_at_all(self, clone, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert provenance.commit_of(clone) is None

    def test_words(self):
        found = {"Python": "3.11.7", "jepabook": "0.1.0", "NumPy": "2.4.6"}
        at = provenance.Commit("abc1234", "2026-01-02", changed=False)
        assert (
            provenance.words(at, found)
            == "jepabook 0.1.0 · commit abc1234, 2026-01-02 · Python 3.11.7, NumPy 2.4.6."
        )
        changed = provenance.Commit("abc1234", "2026-01-02", changed=True)
        assert "abc1234 with uncommitted changes" in provenance.words(changed, found)
        assert provenance.words(None, found) == "jepabook 0.1.0 · Python 3.11.7, NumPy 2.4.6."

    def test_versions_are_those_installed(self):
        found = provenance.versions()
        assert {"Python", "jepabook", "NumPy"} <= set(found)

    def test_run_time_of_a_page(self):
        entry = {"seconds": 12.3, "code": "a", "date": "2026-01-02"}
        assert provenance.run_words(entry, "a") == "All cells ran in 12 s (measured 2026-01-02)."
        assert "before its code last changed" in provenance.run_words(entry, "b")
        assert provenance.run_words(None, "a") == "Run time not measured yet."


class TestMeasuring:
    def test_runs_are_kept_beside_each_other(self, tmp_path):
        a, b = saved(tmp_path, "a", "1"), saved(tmp_path, "b", "2")
        measured.note_runs(tmp_path, [run_of(a), run_of(b)], 2)
        measured.note_runs(tmp_path, [run_of(b, seconds=20.0)], 2)
        known = measured.read(tmp_path / measured.FOLDER / "notebooks.json")
        assert [known[name]["seconds"] for name in "ab"] == [12.3, 20.0]
        assert known["a"]["peak_mb"] == 400 and known["b"]["at_once"] == 1

    def test_the_digest_is_of_the_code_alone(self, tmp_path):
        path = saved(tmp_path, "a", "1", "2")
        before = measured.code_digest(path)
        notebook = notebooks.read(path)
        notebook.cells[0].source = "# Another title"
        notebook.cells[1].execution_count = 5
        nbformat.write(notebook, path)
        assert measured.code_digest(path) == before
        notebook.cells[1].source = "3"
        nbformat.write(notebook, path)
        assert measured.code_digest(path) != before

    def test_a_broken_write_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "facts.json"
        measured.write_whole(path, {"a": 1})
        with pytest.raises(TypeError):
            measured.write_whole(path, {"a": object()})
        assert measured.read(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]

    def test_tests_count_only_as_a_whole_that_passed(self, tmp_path):
        for (name, minute), failed in zip(
            [("test-package", 10), ("test-notebooks", 20), ("test-site", 30)],
            (0, 0, 1),
            strict=True,
        ):
            assert status.tests(tmp_path) == {}
            (tmp_path / f"{name}.xml").write_text(SUITE.format(100, failed, 90.0, minute))
        assert status.tests(tmp_path) == {}
        (tmp_path / "test-site.xml").write_text(SUITE.format(100, 0, 90.0, 30))
        found = status.tests(tmp_path)
        assert found["seconds"] == 20 * 60 + 90 and found["date"] == "2026-01-02"
        assert found["rounds"]["test-package"]["tests"] == 100
        assert "here" not in json.dumps(found)

    def test_pytest_writes_what_is_read(self, tmp_path):
        (tmp_path / "test_two.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
        command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", "two.xml", "."]
        env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        program = [sys.executable, *command]
        subprocess.run(program, cwd=tmp_path, env=env, check=True, capture_output=True)
        found = stages.test_round(tmp_path / "two.xml")
        assert (found["tests"], found["failures"], found["skipped"]) == (2, 0, 0)

    def test_collected_from_one_folder(self, tmp_path):
        measured.note_runs(tmp_path, [run_of(saved(tmp_path, "a", "1"))], 1)
        measured.note(tmp_path, "book", {"seconds": 100, "jobs": 2})
        html = tmp_path / "_build" / "html"
        html.mkdir()
        (html / "index.html").write_bytes(b"x" * 250_000)
        facts = status.collect(tmp_path)
        assert facts["book"]["seconds"] == 100 and facts["test"] == {} and facts["commit"] is None
        assert facts["site"] == {"pages": 1, "mb": 0.2}
        assert set(facts["notebooks"]) == {"a"} and "cores" in facts["device"]

    def test_make_test_writes_where_the_tool_reads(self):
        reports = [stage.report for stage in stages.stages(jobs=1) if stage.report]
        assert reports == [ROOT / measured.FOLDER / f"{name}.xml" for name in status.ROUNDS]


class TestPage:
    def test_every_part_is_on_a_page(self):
        parts = {
            name: re.findall(
                r"^```\{measured\} (\S+)$",
                (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8"),
                flags=re.MULTILINE,
            )
            for name in ("status", "reproducibility")
        }
        assert parts["reproducibility"] == ["portable", "pythons", "aarch64"]
        assert sorted(parts["status"] + parts["reproducibility"]) == sorted(status.PARTS)

    def test_no_number_on_the_status_page_is_typed_by_hand(self):
        page = (ROOT / "book" / "status.md").read_text(encoding="utf-8")
        assert not re.findall(r"\d+ (?:s|MB|min)\b", page), "a number typed by hand"

    def test_nothing_measured(self, tmp_path):
        saved(tmp_path, "a", "1")
        for name, part in status.PARTS.items():
            said = "\n".join(part({}, tmp_path))
            assert ("not measured yet" in said) == (name != "machine")
        assert status.machine({}, tmp_path) == ["Nothing is measured yet."]

    def test_what_was_measured(self, tmp_path):
        path = saved(tmp_path, "a", "1")
        entry = {"seconds": 12.3, "peak_mb": 400, "date": "2026-01-02"}
        entry["code"] = measured.code_digest(path)
        facts = {
            "device": "2 cores",
            "versions": {"Python": "3.11.7"},
            "commit": "abc1234",
            "book": {"seconds": 200, "jobs": 2, "date": "2026-01-02"},
            "site": {"seconds": 20, "date": "2026-01-02", "mb": 40.2, "pages": 30},
            "test": {"rounds": {}, "seconds": 1800, "date": "2026-01-02"},
            "notebooks": {"a": entry},
            "pages": {
                "pages": {"notebooks/a": {"kb": 900, "ms": 420, "shift": 0.0012}},
                "date": "2026-01-02",
            },
        }
        assert "2 cores; Python 3.11.7; commit abc1234." in status.machine(facts, tmp_path)[0]
        said = "\n".join(status.commands(facts, tmp_path))
        assert all(
            words in said for words in ("3 min 20 s", "20 s", "30 min 00 s", "40 MB, 30 pages")
        )
        assert "| page | kB | usable after | layout shift |" in status.pages(facts, tmp_path)
        assert "| [](../notebooks/a.ipynb) | 900 | 0.4 s | 0.001 |" in status.pages(facts, tmp_path)
        row = "| [](../notebooks/a.ipynb) | 12 s | 400 MB | 2026-01-02 |"
        assert row in status.notebooks(facts, tmp_path)
        saved(tmp_path, "a", "2")
        assert "before its code changed" in status.notebooks(facts, tmp_path)[-1]

    def test_the_ledger_is_counted(self, tmp_path):
        total = sum(len(claim.mutants) for claim in claims.book().values())
        tried = {"variants": 1000, "listed": 10, "date": "2026-01-02"}
        said = status.ledger({"mutants": tried}, tmp_path)
        assert said[4].endswith(f"rejected by its check | {total} |")
        assert said[5].endswith(", measured 2026-01-02 | 990 |") and said[6].endswith("| 10 |")

    def test_the_record_of_this_book_names_its_notebooks_only(self):
        known = measured.read(ROOT / status.FILE).get("notebooks", {})
        assert set(known) <= {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def test_the_site_is_made_of_docstrings_too(tmp_path):
    for name in ("book", "notebooks", "jepabook"):
        (tmp_path / name).mkdir()
    for name in ("_config.yml", "_toc.yml", "CHANGELOG.md", "jepabook/a.py"):
        (tmp_path / name).write_text("")
    before = book.fingerprint(tmp_path)
    (tmp_path / "jepabook" / "a.py").write_text('"""Told."""\n')
    assert book.fingerprint(tmp_path) != before


def terms():
    page = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    inside = page.partition("```{glossary}\n")[2].partition("\n```")[0]
    entries = [entry.split("\n", 1) for entry in inside.split("\n\n")]
    return {term: " ".join(line.strip() for line in body.splitlines()) for term, body in entries}


def test_the_glossary_is_short_sorted_and_leads_to_chapters():
    assert 25 <= len(terms()) <= 50
    assert list(terms()) == sorted(terms(), key=str.casefold)
    for term, said in terms().items():
        assert len(re.findall(r"\.(?= [A-Z*\[]|$)", said)) <= 4, f"{term}: at most three and a link"
        links = re.findall(r"\]\((?:\.\./notebooks/[\w-]+\.ipynb|api/\w+\.md)(?:#[\w-]+)?\)", said)
        assert links and said.endswith("."), term
