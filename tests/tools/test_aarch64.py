"""What `make aarch64` runs on an emulated processor, and how its outcome is told."""

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
    chapters, _ = aarch64.rounds().values()
    named = [path for path in chapters if path.startswith("notebooks/")]
    assert [path[len("notebooks/") :][:2] for path in named] == list(aarch64.CHAPTERS)


def test_the_outcome_is_on_the_page(tmp_path):
    facts = {"device": "aarch64", "versions": {"Python": "3.11.2"}, "commit": "abc"}
    outcome = asdict(stages.Outcome("tests", stages.FAILED, 3, 1, 0, 61.0))
    record = {"tests": outcome | facts | {"date": "2026-01-02"}}
    measured.write_whole(tmp_path / status.AARCH64, record)
    said = "\n".join(status.aarch64({}, tmp_path))
    assert "| tests | 3 | 1 | 61 s | failed | 2026-01-02 |" in said
    assert "Measured on aarch64; Python 3.11.2; commit abc." in said
