"""What `make aarch64` runs on an emulated processor, and how its outcome is told."""

import subprocess
import sys
from dataclasses import asdict

import pytest

from tools import aarch64, measured, stages, status
from tools.notebooks import ROOT, read


@pytest.mark.parametrize(
    "path", [path for paths in aarch64.rounds().values() for path in paths if path[0] != "-"]
)
def test_what_runs_is_there_and_needs_no_pytorch(path):
    if path.endswith(".ipynb"):
        code = "".join(c.source for c in read(ROOT / path).cells if c.cell_type == "code")
    else:
        code = (ROOT / path).read_text(encoding="utf-8")
    assert code and "torch" not in code


def test_every_chapter_that_is_named_runs():
    named = [paths[-1] for name, paths in aarch64.rounds().items() if name.startswith("chapter")]
    assert [path[len("notebooks/") :][:2] for path in named] == list(aarch64.CHAPTERS)


def test_each_outcome_is_kept_when_it_is_there_and_others_stay(tmp_path, monkeypatch):
    names = list(aarch64.rounds())
    monkeypatch.setattr(sys, "argv", ["aarch64"])
    monkeypatch.setattr(status, "AARCH64", tmp_path / "aarch64.json")
    monkeypatch.setattr(aarch64, "prepare", lambda uv: None)
    told = subprocess.CompletedProcess([], 0, "aarch64 3.11.2 2.0 1.0\n")
    monkeypatch.setattr(aarch64, "inside", lambda *command, **options: told)

    def run(named, jobs):
        yield stages.Outcome(names[1], stages.PASSED, 3, 0, 0, 1.0)
        yield stages.Outcome(names[0], "killed by signal 2 (Interrupt)")
        raise KeyboardInterrupt

    measured.write_whole(status.AARCH64, {name: {"passed": 1} for name in (names[0], "gone")})
    monkeypatch.setattr(aarch64, "run", run)
    with pytest.raises(KeyboardInterrupt):
        aarch64.main()
    kept = measured.read(status.AARCH64)
    assert [kept[name]["passed"] for name in kept] == [1, 3] and list(kept) == names[:2]


def test_the_outcome_is_on_the_page(tmp_path):
    facts = {"device": "aarch64", "versions": {"Python": "3.11.2"}, "commit": "abc"}
    outcome = asdict(stages.Outcome("tests", stages.FAILED, 3, 1, 0, 61.0))
    record = {"tests": outcome | facts | {"date": "2026-01-02"}}
    measured.write_whole(tmp_path / status.AARCH64, record)
    said = "\n".join(status.aarch64({}, tmp_path))
    assert "| tests | 3 | 1 | 61 s | failed | 2026-01-02 |" in said
    assert "Measured on aarch64; Python 3.11.2; commit abc." in said
