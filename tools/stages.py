"""The stages of `make test` and `make check`: all of them, whatever fails, then one table.

A stage is a program. What pytest runs leaves a JUnit file, whose tests are counted; any other stage
counts as one check. A stage passed if its program ended well and, of its tests, at least one passed
and none failed; how it ended otherwise is told. The last line is for machines.
"""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from jepabook._support.command import Parser
from tools import measured, surroundings
from tools.surroundings import ROOT

BROWSER_TESTS = "tests/browser"
PATIENCE = 20.0  # seconds that an interrupted stage may take to end by itself
PASSED, FAILED, INTERRUPTED = "passed", "failed", "interrupted"
ENDED = (PASSED, FAILED)  # by itself: what is kept for a page, for else it says nothing of the code
# what pytest's exit status says beside 0 and 1
PYTEST = {
    2: "stopped before its end",
    3: "pytest met an error of its own",
    4: "pytest was called wrongly",
    5: "no tests were found",
}


@dataclass(frozen=True)
class Stage:
    """A program: what follows `python`, its JUnit file, and the stage that it cannot do without.

    `environment` is set beside what every program of the book gets.
    """

    name: str
    command: tuple[str, ...]
    report: Path | None = None
    needs: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: its counts, errors among the failed, and `PASSED` or what it was else."""

    name: str
    verdict: str
    passed: int = 0
    failed: int = 1
    skipped: int = 0
    seconds: float = 0.0


NBVAL = tuple("--dist=loadscope -p tools.kernel_memory --nbval --nbval-current-env".split())


def tests(jobs, name, report, *arguments, needs="", **environment):
    """A stage in which pytest runs."""
    file = ROOT / measured.FOLDER / f"{report}.xml"
    command = (*"-m pytest -c pyproject.toml -n".split(), str(jobs), f"--junitxml={file}")
    return Stage(name, (*command, *arguments), file, needs, environment)


def stages(jobs, quick=False):
    """All stages; or the quick ones, which make no environment, no site and need no browser."""
    pytest = partial(tests, jobs)
    package = ("--dist=loadscope", "tests", f"--ignore={BROWSER_TESTS}")
    lint = [
        Stage("lint", tuple("-m ruff check --config pyproject.toml .".split())),
        Stage("format", tuple("-m ruff format --check --config pyproject.toml .".split())),
    ]
    if quick:
        return [*lint, pytest("package", "check-package", *package, "-m", "not environment")]
    return [
        *lint,
        pytest("package", "test-package", *package),
        pytest("notebooks", "test-notebooks", *NBVAL, "notebooks"),
        Stage("site", tuple("-m tools.book site".split())),
        pytest("browser", "test-site", BROWSER_TESTS, needs="site"),
    ]


def test_round(path):
    """Counts, seconds and start of the tests in a JUnit file; empty where there is no whole one."""
    counts = ("tests", "failures", "errors", "skipped")
    try:
        (suite,) = ET.parse(path).getroot().iter("testsuite")
        told = {name: int(suite.attrib[name]) for name in counts}
        return told | {"seconds": float(suite.attrib["time"]), "started": suite.attrib["timestamp"]}
    except (FileNotFoundError, ET.ParseError, ValueError, KeyError):
        return {}


def judged(stage, status, seconds, interrupted=False):
    """The outcome of a stage whose program ended with this status; negative: by that signal."""
    if interrupted:
        verdict = INTERRUPTED
    elif status < 0:
        verdict = f"killed by signal {-status} ({signal.strsignal(-status)})"
    else:
        told = PYTEST if stage.report else {}
        verdict = {0: PASSED, 1: FAILED}.get(status) or told.get(status, f"exit status {status}")
    one = {"tests": 1, "failures": int(verdict != PASSED)}
    found = test_round(stage.report) if stage.report else one
    skipped = found.get("skipped", 0)
    failed = found.get("failures", 0) + found.get("errors", 0)
    passed = found.get("tests", 0) - failed - skipped
    if verdict == PASSED and not found:
        verdict = "ended without a report"
    elif verdict == PASSED and failed:
        verdict = FAILED
    elif verdict == PASSED and not passed:
        verdict = "no test passed"
    # whatever else went wrong counts as a failure, too: there is no 0 beside a stage that failed
    return Outcome(stage.name, verdict, passed, failed or int(verdict != PASSED), skipped, seconds)


def run(stage):
    """Run a stage in `surroundings.clean`. Ctrl-C ends all that the stage started."""
    started = time.monotonic()
    command = [sys.executable, *stage.command]
    env = surroundings.clean(os.environ) | stage.environment
    # a group of its own: Ctrl-C reaches it once, from here
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, process_group=0
    )
    interrupted = False
    try:
        process.wait()
    except KeyboardInterrupt:
        interrupted = True
        _end(process)
    return judged(stage, process.returncode, time.monotonic() - started, interrupted)


def _end(process):
    """Interrupt a program and all that it started; kill it when asked again or after a while."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE)
    except (KeyboardInterrupt, subprocess.TimeoutExpired, ProcessLookupError):
        pass
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run_all(chosen):
    """Run stages one after the other, whatever fails, but for what cannot go on; none is left out.

    After Ctrl-C the rest is not run.
    """
    for stage in chosen:
        if stage.report:  # of an earlier run
            stage.report.unlink(missing_ok=True)
    outcomes = {}
    for stage in chosen:
        needed = outcomes.get(stage.needs)
        if any(outcome.verdict == INTERRUPTED for outcome in outcomes.values()):
            outcome = Outcome(stage.name, "not run")
        elif needed and needed.verdict != PASSED:
            outcome = Outcome(stage.name, f"not run, for {needed.name} did not pass")
        else:
            print(f"\n== {stage.name} ==", flush=True)
            outcome = run(stage)
        outcomes[stage.name] = outcome
    return list(outcomes.values())


def duration(seconds):
    """Seconds in words."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def table(outcomes):
    """One line a stage, and the line for machines."""
    head = ("stage", "passed", "failed", "skipped", "time", "")
    rows = [
        (one.name, one.passed, one.failed, one.skipped, duration(one.seconds), one.verdict)
        for one in outcomes
    ]
    width = max(len(str(row[0])) for row in [head, *rows])
    lines = [
        f"{name:{width}} {passed:>7} {failed:>7} {skipped:>8} {time:>12}  {verdict}".rstrip()
        for name, passed, failed, skipped, time, verdict in [head, *rows]
    ]
    sums = {
        count: sum(getattr(one, count) for one in outcomes)
        for count in ("passed", "failed", "skipped")
    }
    return "\n".join([*lines, "", ", ".join(f"{n} {count}" for count, n in sums.items())])


def listen():
    """Let other signals that end a program interrupt it, as Ctrl-C does."""

    def interrupt(*_):
        raise KeyboardInterrupt

    for other in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, interrupt)


def status(outcomes):
    """The exit status of a program that ran these: 0 if all passed, 130 after Ctrl-C."""
    if any(outcome.verdict == INTERRUPTED for outcome in outcomes):
        return 130
    return int(any(outcome.verdict != PASSED for outcome in outcomes))


def main():
    parser = Parser(
        "python -m tools.stages", description="Run the stages of make test, then tell of all."
    )
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="those of make check")
    arguments = parser.parse_args()
    listen()
    outcomes = run_all(stages(arguments.jobs, arguments.quick))
    print(f"\n{table(outcomes)}", flush=True)
    return status(outcomes)


if __name__ == "__main__":
    sys.exit(main())
