"""The workflows of GitHub: linted, no wider than they must be, and doing what `make` does."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tools.notebooks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PREPARE = ROOT / ".github" / "actions" / "prepare" / "action.yml"
OURS = r"actions/[a-z-]+@v\d+|\./\.github/actions/prepare"
TOOLS = Path(sys.executable).parent  # where pip put actionlint and shellcheck
FROM_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "CONSTRAINTS")
REPORT = ROOT / ".github" / "report"


def lint(workflow):
    # the tools of this environment, whatever else the machine has
    command = [TOOLS / "actionlint", "-no-color", f"-shellcheck={TOOLS / 'shellcheck'}", workflow]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def jobs_of(workflow):
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]


def runs(job):
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actionlint_finds_nothing(workflow):
    assert lint(workflow) == (0, "")


@pytest.mark.parametrize(
    ("job", "caught"),
    [
        ("runs-on: ubuntu-latest\n    steps: [{run: 'echo ${{ github.nope }}'}]", "nope"),
        ("runs-on: ubuntu-latest\n    steps: [{run: 'rm -r $HOME/$x'}]", "shellcheck"),
        ("runs-on: ubuntu-latest\n    timeout: 5\n    steps: [{run: make}]", "timeout"),
    ],
)
def test_actionlint_would_find(tmp_path, job, caught):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(f"on: push\njobs:\n  a:\n    {job}\n", encoding="utf-8")
    code, said = lint(wrong)
    assert code == 1 and caught in said


@pytest.mark.parametrize("script", [REPORT, ROOT / ".ci" / "run", ROOT / "binder" / "postBuild"])
def test_scripts_pass_shellcheck_and_can_be_run(script):
    done = subprocess.run([TOOLS / "shellcheck", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_ends_and_may_do_little(workflow):
    whole = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert whole["permissions"] == {"contents": "read"}
    assert "group" in whole["concurrency"]
    wide = {
        name: job["permissions"] for name, job in jobs_of(workflow).items() if "permissions" in job
    }
    allowed = [
        {"pages": "write", "id-token": "write"},
        {"contents": "read", "issues": "write"},
        {"contents": "write"},
    ]
    assert all(permissions in allowed for permissions in wide.values())
    for job in jobs_of(workflow).values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert re.fullmatch(OURS, step.get("uses", "actions/x@v1"))
            if "checkout" in step.get("uses", ""):
                assert step["with"] == {"persist-credentials": False}


def test_workflows_call_make_and_every_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = {
        path.stem: " ".join(run for job in jobs_of(path).values() for run in runs(job))
        for path in WORKFLOWS
    }
    assert {
        name: re.findall(r"make (?:[A-Z]+=\S* )*(\w+)", run) for name, run in named.items()
    } == {
        "links": ["links"],
        "newest": ["install", "test"],
        "site": ["site", "colab"],
        "test": ["test"],
    }
    assert {"links", "install", "test", "site", "colab"} <= targets


def test_what_all_of_them_prepare():
    """actionlint looks at what a workflow hands to this action, not into it."""
    action = yaml.safe_load(PREPARE.read_text(encoding="utf-8"))
    (python,) = action["runs"]["steps"]
    assert re.fullmatch(OURS, python["uses"])
    assert python["with"]["python-version"] == "${{ inputs.python }}"
    assert all((ROOT / name).is_file() for name in python["with"]["cache-dependency-path"].split())
    jobs = [job for path in WORKFLOWS for job in jobs_of(path).values()]
    for job in jobs:
        prepared = any(step.get("uses") == "./.github/actions/prepare" for step in job["steps"])
        assert prepared == any(call.startswith("make ") for call in runs(job))


def test_newest_means_without_the_pins():
    command = ["make", "--dry-run", "--always-make", "install"]
    # not what an outer make was told
    env = {name: value for name, value in os.environ.items() if name not in FROM_MAKE}
    pinned, free = (
        subprocess.run([*command, *more], cwd=ROOT, env=env, capture_output=True, text=True).stdout
        for more in ([], ["CONSTRAINTS="])
    )
    assert "--constraint constraints.txt" in pinned and "constraint" not in free
    calls = runs(jobs_of(ROOT / ".github" / "workflows" / "newest.yml")["test"])
    assert all(call.startswith("make CONSTRAINTS= ") for call in calls if "make" in call)


def test_every_python_that_the_package_promises_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (job,) = jobs_of(ROOT / ".github" / "workflows" / "test.yml").values()
    pythons = job["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13"]
    assert project["requires-python"] == f">={pythons[0]}"


@pytest.mark.parametrize("known", ["", "7"])
def test_a_failure_becomes_one_issue(tmp_path, known):
    """With a `gh` that notes what it is asked and answers with the number of a known issue."""
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/bin/sh\nprintf "%s|" "$GH_REPO" "$@" >> asked\necho >> asked\n'
        f'if [ "$2" = list ]; then echo "{known}"; fi\n',
        encoding="utf-8",
    )
    gh.chmod(0o755)
    run = {
        "GITHUB_SERVER_URL": "https://host.test",
        "GITHUB_REPOSITORY": "someone/book",
        "GITHUB_RUN_ID": "12",
    }
    env = os.environ | run | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([REPORT, "A title"], cwd=tmp_path, env=env, check=True, capture_output=True)
    asked = [line.split("|")[:-1] for line in (tmp_path / "asked").read_text().splitlines()]
    body = ["--body", "This run failed: https://host.test/someone/book/actions/runs/12"]
    assert asked[0][:5] == ["someone/book", "issue", "list", "--state", "open"]
    title = ["--title", "A title"]
    told = ["comment", known] if known else ["create", *title]
    assert asked[1:] == [["someone/book", "issue", *told, *body]]


def test_failures_are_reported_where_nobody_looks():
    for name in ("newest", "links"):
        report = jobs_of(ROOT / ".github" / "workflows" / f"{name}.yml")["report"]
        (call,) = runs(report)
        assert report["if"] == "failure()" and call.startswith(".github/report ")
