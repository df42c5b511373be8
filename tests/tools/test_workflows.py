"""The workflows of GitHub: pinned, no wider than they must be, and doing what `make` does."""

import os
import re
import shutil
import subprocess
import tomllib

import pytest
import yaml

from tools.notebooks import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PREPARE = ROOT / ".github" / "actions" / "prepare" / "action.yml"
FROM_MAKE = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "CONSTRAINTS")
REPORT = ROOT / ".github" / "report"

COMMIT, VERSION = r"[\w./-]+@[0-9a-f]{40}", r" # v\d+\.\d+\.\d+$"


def is_pinned(uses, text):
    """Whether an action of others is named by a commit, with its version behind it."""
    told = re.search(re.escape(uses) + VERSION, text, flags=re.MULTILINE)
    return uses.startswith("./") or bool(re.fullmatch(COMMIT, uses) and told)


def shellcheck(script):
    """What shellcheck says of a script; it comes from the system, as the browser does."""
    tool = shutil.which("shellcheck")
    if not tool and not os.environ.get("CI"):
        pytest.skip("no shellcheck on this machine")
    assert tool, "shellcheck is to be installed where CI runs"
    done = subprocess.run([tool, "--shell=bash", "-"], input=script, capture_output=True, text=True)
    return done.stdout


def jobs_of(workflow):
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]


def runs(job):
    return [step["run"] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", [*WORKFLOWS, PREPARE], ids=lambda path: path.stem)
def test_actions_are_pinned_and_no_expression_is_put_into_a_script(path):
    """What others wrote, a branch's name say, would be run. All else `actionlint` reads, in CI."""
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)", text)
    assert used and all(is_pinned(name, text) for name in used)
    whole = yaml.safe_load(text)
    jobs = whole["jobs"].values() if "jobs" in whole else [whole["runs"]]
    assert not [run for job in jobs for run in runs(job) if "${{" in run]


@pytest.mark.parametrize(
    "line", ["@v7", f"@{'a' * 40}", f"@{'a' * 39} # v7.0.1", f"@{'A' * 40} # v7.0.1"]
)
def test_an_action_that_is_not_pinned_is_found(line):
    text = f"uses: actions/checkout{line}"
    assert not is_pinned(text.split()[1], text)


def test_no_file_is_overlooked():
    known = {*WORKFLOWS, PREPARE, ROOT / ".github" / "dependabot.yml"}
    assert {*(ROOT / ".github").rglob("*.y*ml")} == known


def test_the_same_action_is_the_same_commit_and_dependabot_moves_it():
    texts = [path.read_text(encoding="utf-8") for path in (*WORKFLOWS, PREPARE)]
    pinned = {line for text in texts for line in re.findall(r"uses: ([^.].*)", text)}
    assert len({line.partition("@")[0] for line in pinned}) == len(pinned)
    settings = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    (update,) = settings["updates"]
    assert update["package-ecosystem"] == "github-actions"
    assert update["directories"] == ["/", f"/{PREPARE.parent.relative_to(ROOT).as_posix()}"]


@pytest.mark.parametrize("script", [REPORT, ROOT / ".ci" / "run", ROOT / "binder" / "postBuild"])
def test_scripts_pass_shellcheck_and_can_be_run(script):
    assert os.access(script, os.X_OK)
    assert shellcheck(script.read_text(encoding="utf-8")) == ""


def test_what_workflows_run_passes_shellcheck():
    scripts = [run for path in WORKFLOWS for job in jobs_of(path).values() for run in runs(job)]
    assert shellcheck("\n".join(scripts)) == ""
    assert "SC2086" in shellcheck('rm -r "$HOME"/$1')


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
    action = yaml.safe_load(PREPARE.read_text(encoding="utf-8"))
    (python,) = action["runs"]["steps"]
    assert python["with"]["python-version"] == "${{ inputs.python }}"
    assert all((ROOT / name).is_file() for name in python["with"]["cache-dependency-path"].split())
    jobs = [job for path in WORKFLOWS for job in jobs_of(path).values()]
    for job in jobs:
        prepared = any(step.get("uses") == "./.github/actions/prepare" for step in job["steps"])
        assert prepared == any(call.startswith("make ") for call in runs(job))


def test_newest_means_without_the_pins():
    command = ["make", "--dry-run", "--always-make", "TORCH=cpu", "install"]
    # not what an outer make was told
    env = {name: value for name, value in os.environ.items() if name not in FROM_MAKE}
    pinned, free = (
        subprocess.run([*command, *more], cwd=ROOT, env=env, capture_output=True, text=True).stdout
        for more in ([], ["CONSTRAINTS="])
    )
    assert "--no-deps --requirement lock/all.txt" in pinned and "lock/" not in free
    installs = re.findall(r"pip install[^|\n]*", pinned)
    assert len(installs) == 4 and all("--no-deps" in words for words in installs)
    calls = runs(jobs_of(ROOT / ".github" / "workflows" / "newest.yml")["test"])
    assert all(call.startswith("make CONSTRAINTS= ") for call in calls if "make" in call)


def test_every_python_that_the_package_promises_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    job = jobs_of(ROOT / ".github" / "workflows" / "test.yml")["test"]
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
