"""`make test`: all stages run whatever fails, it tells how each ended, and none passes idle."""

import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from tools import stages
from tools.notebooks import ROOT
from tools.stages import Outcome, Stage

SUITE = (
    '<testsuites><testsuite name="pytest" tests="{}" failures="{}" errors="{}" skipped="{}" '
    'time="1.0" timestamp="2026-01-02T10:00:00.000000+00:00"/></testsuites>'
)
LEAVE = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2]); sys.exit({})"


def check(name, program, needs=""):
    return Stage(name, ("-c", program), needs=needs)


def reporting(tmp_path, status, *counts, text=None):
    """A stage that ends with a status and leaves a report with these counts, or this text."""
    report = tmp_path / "report.xml"
    content = SUITE.format(*counts) if counts else text
    program = "import sys; " + (LEAVE.format(status) if content else f"sys.exit({status})")
    return Stage("tests", ("-c", program, str(report), *filter(None, [content])), report)


def test_all_stages_run_and_what_needs_a_failed_one_is_not_run_and_not_passed():
    first, second, third, fourth = stages.run_all(
        [
            check("lint", "raise SystemExit(1)"),
            check("site", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
            check("browser", "print('never')", needs="site"),
            check("last", ""),
        ]
    )
    assert (first.verdict, first.passed, first.failed) == ("failed", 0, 1)
    assert second.verdict.startswith("killed by signal 11") and second.failed == 1
    assert third == Outcome("browser", "not run, for site did not pass", failed=1)
    assert (fourth.verdict, fourth.passed, fourth.failed) == ("passed", 1, 0)


@pytest.mark.parametrize(
    ("ending", "verdict", "counts"),
    [
        ((0, 10, 0, 0, 2), "passed", (8, 0, 2)),
        ((1, 10, 1, 2, 2), "failed", (5, 3, 2)),
        ((0, 10, 1, 0, 0), "failed", (9, 1, 0)),
        ((0, 5, 0, 0, 5), "no test passed", (0, 1, 5)),
        ((0, 0, 0, 0, 0), "no test passed", (0, 1, 0)),
        ((5, 0, 0, 0, 0), "no tests were found", (0, 1, 0)),
        ((2, 3, 0, 1, 0), "stopped before its end", (2, 1, 0)),
        ((3, 3, 0, 0, 0), "pytest met an error of its own", (3, 1, 0)),
        ((4,), "pytest was called wrongly", (0, 1, 0)),
        ((77, 3, 0, 0, 0), "exit status 77", (3, 1, 0)),
        ((0,), "ended without a report", (0, 1, 0)),
    ],
)
def test_a_stage_of_tests_is_judged_by_its_status_and_its_report(tmp_path, ending, verdict, counts):
    (outcome,) = stages.run_all([reporting(tmp_path, *ending)])
    assert outcome.verdict == verdict
    assert (outcome.passed, outcome.failed, outcome.skipped) == counts


@pytest.mark.parametrize("text", ["<testsuites><testsuite name=", "<other/>", "<testsuite/>"])
def test_a_damaged_report_or_one_of_an_earlier_run_is_none(tmp_path, text):
    (outcome,) = stages.run_all([reporting(tmp_path, 0, text=text)])
    assert (outcome.verdict, outcome.passed) == ("ended without a report", 0)
    (tmp_path / "report.xml").write_text(SUITE.format(9, 0, 0, 0), encoding="utf-8")
    (outcome,) = stages.run_all([reporting(tmp_path, 0)])
    assert (outcome.verdict, outcome.passed) == ("ended without a report", 0)


def test_the_table_has_a_line_a_stage_and_ends_with_one_for_machines():
    lines = stages.table(
        [
            Outcome("lint", "passed", 1, 0, 0, 3.0),
            Outcome("site", "killed by signal 9", 2, 1, 4, 301),
        ]
    ).splitlines()
    assert lines[0].split() == ["stage", "passed", "failed", "skipped", "time"]
    assert lines[1].split() == ["lint", "1", "0", "0", "3", "s", "passed"]
    assert lines[2].endswith("2       1        4   5 min 01 s  killed by signal 9")
    assert lines[-1] == "3 passed, 1 failed, 4 skipped"


PROGRAM = """
import signal, sys
from tools import stages
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin without it
stages.stages = lambda jobs, quick: [
    stages.Stage("first", ("-c", {first!r})),
    stages.Stage("second", ("-c", "open({touched!r}, 'w')")),
]
sys.argv[1:] = []
sys.exit(stages.main())
"""


def running(tmp_path, first):
    """`make test` of two stages, and what the first one said until it had begun."""
    touched = str(tmp_path / "touched")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(first=first, touched=touched)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, list(iter(process.stdout.readline, "begun\n"))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_stage_and_the_whole_and_is_told(tmp_path, sent):
    wait = "import time; print('begun', flush=True); time.sleep(600)"
    process, _ = running(tmp_path, wait)
    process.send_signal(sent)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"^first .* interrupted$", said, flags=re.MULTILINE)
    assert re.search(r"^second .* not run$", said, flags=re.MULTILINE)
    assert said.endswith("\n0 passed, 2 failed, 0 skipped\n")
    assert not (tmp_path / "touched").exists()


def test_a_stage_that_does_not_end_is_killed_with_what_it_started(tmp_path):
    deaf = "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    child = f"{deaf}print(flush=True); time.sleep(600)"
    first = (
        f"{deaf}child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=-1); "
        "child.stdout.readline(); print(child.pid); print('begun', flush=True); time.sleep(600)"
    )
    process, said = running(tmp_path, first)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)  # and again, by one who does not wait
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in told
    assert not alive(int(said[-1]))


def alive(pid):
    """Whether a process runs; one that is dead may still have to be waited for by its parent."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_the_stages_are_those_that_the_readme_names_and_the_quick_ones_are_among_them():
    names = [stage.name for stage in stages.stages(jobs=2)]
    assert names == ["lint", "format", "package", "notebooks", "site", "browser"]
    assert [stage.name for stage in stages.stages(jobs=2, quick=True)] == names[:3]
    assert list((ROOT / stages.BROWSER_TESTS).glob("test_*.py"))


def test_a_stage_s_own_variables_reach_its_program_beside_those_that_all_get(monkeypatch):
    monkeypatch.setenv("MKL_CBWR", "the user's")
    due = {"MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2", "TZ": "UTC"}
    program = f"import os; assert os.environ.items() >= {due}.items()"
    stage = Stage(
        "one", ("-c", program), environment={"MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"}
    )
    assert stages.run(stage).verdict == "passed"
    assert stages.run(Stage("one", ("-c", program))).verdict == "failed"
