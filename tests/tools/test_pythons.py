"""What `make pythons` runs, and how its outcome is kept and told."""

import platform
import sys

import pytest

from tools import measured, pythons, stages, status
from tools.stages import Outcome


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """The verdicts that are kept after these outcomes, by Python and stage."""
    monkeypatch.setattr(status, "PYTHONS", tmp_path / "pythons.json")

    def keep(python, *outcomes):
        monkeypatch.setattr(platform, "python_version_tuple", lambda: tuple(python.split(".")))
        pythons.record([Outcome(*outcome) for outcome in outcomes])
        return {name: one["verdict"] for name, one in measured.read(status.PYTHONS).items()}

    return keep


def test_each_outcome_stays_until_its_stage_runs_again_on_that_python(kept):
    first = kept("3.12.1", ("site", "passed"), ("notebooks", "failed"))
    assert first == {"3.12: site": "passed", "3.12: notebooks": "failed"}
    both = kept("3.13.0", ("site", "failed"), ("browser", "not run"), ("lint", "interrupted"))
    assert both == first | {"3.13: site": "failed"}
    again = kept("3.12.9", ("notebooks", "passed"))
    assert again == both | {"3.12: notebooks": "passed"}


def test_the_stages_that_are_asked_for_run_and_what_fails_fails(monkeypatch, kept, capsys):
    def run(stage):
        verdict = "failed" if stage.name == "site" else "passed"
        return Outcome(stage.name, verdict, int(verdict == "passed"), int(verdict == "failed"))

    monkeypatch.setattr(stages, "run", run)
    monkeypatch.setattr(stages, "listen", lambda: None)
    command = ["pythons", "--jobs", "1"]
    monkeypatch.setattr(sys, "argv", command)
    assert pythons.main() == 1
    names = [stage.name for stage in stages.stages(1)]
    found = {name.partition(": ")[2]: one for name, one in measured.read(status.PYTHONS).items()}
    # the browser is not opened where there is no site
    assert set(found) == set(names) - {"browser"} and found["site"]["verdict"] == "failed"
    monkeypatch.setattr(sys, "argv", [*command, "--only", "notebooks"])
    capsys.readouterr()
    assert pythons.main() == 0
    told = capsys.readouterr().out
    assert "notebooks" in told and "site" not in told


def test_the_outcome_is_on_the_page(tmp_path):
    outcome = vars(Outcome("site", "passed", 1, 0, 0, 61.0))
    facts = {"device": "a machine", "versions": {"Python": "3.12.1"}, "commit": "abc"}
    record = {"3.12: site": outcome | facts | {"date": "2026-01-02"}}
    measured.write_whole(tmp_path / status.PYTHONS, record)
    said = "\n".join(status.pythons({}, tmp_path))
    assert "| 3.12: site | 1 | 0 | 61 s | passed | 2026-01-02 |" in said
    assert "Measured on a machine; Python 3.12.1; commit abc." in said
