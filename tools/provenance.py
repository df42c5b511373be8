"""Where a page comes from: commit, date and versions, in the words of its footer."""

import os
import subprocess
from dataclasses import dataclass

from jepabook import recorded
from tools import surroundings

# what a page is made of, relative to the root of the repository
SOURCES = (
    *("_config.yml", "_toc.yml", "CHANGELOG.md", "book", "notebooks", "jepabook"),
    "pyproject.toml",
)
PACKAGES = {"jepabook": "jepabook", "NumPy": "numpy", "PyTorch": "torch"}


@dataclass(frozen=True)
class Commit:
    """The commit that a tree is at: short hash, its date (UTC), and whether sources differ."""

    hash: str
    date: str
    changed: bool


def _git(folder, *words):
    """What git says, or None where there is no git, no repository or no commit."""
    # not of the repository that a hook of git is run for: GIT_DIR and its like are not kept
    env = surroundings.clean(os.environ) | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",  # of a file's name
            env=env,
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def commit_of(folder):
    """The commit of the clone of this book that `folder` lies in; None where it lies in none.

    A copy without history has no commit, whatever repository is around it: one of this book, say.
    """
    folder = folder.resolve()
    around = (one for one in (folder, *folder.parents) if (one / "jepabook").is_dir())
    root = next((one for one in around if (one / "_toc.yml").is_file()), None)
    if root is None or _git(root, "rev-parse", "--show-prefix") != "":  # of a folder within
        return None
    if not _git(root, "ls-tree", "HEAD", "_toc.yml"):  # a repository of something else
        return None
    told = _git(root, "show", "-s", "--date=format-local:%Y-%m-%d", "--format=%h %cd", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", *SOURCES)
    if not told or changes is None:
        return None
    return Commit(*told.split(), changed=bool(changes))


def versions():
    """The versions of Python and of the packages that a page names; what is missing is left out."""
    found = recorded.versions(*PACKAGES.values())
    named = {"Python": "python"} | PACKAGES
    return {name: found[package] for name, package in named.items() if package in found}


def words(commit, found):
    """The footer's line: plain text."""
    made = ", ".join(f"{name} {version}" for name, version in found.items() if name != "jepabook")
    parts = [f"jepabook {found['jepabook']}"] if "jepabook" in found else []
    if commit:
        changed = " with uncommitted changes" if commit.changed else ""
        parts += [f"commit {commit.hash}{changed}, {commit.date}"]
    return " · ".join([*parts, made]) + "."


def run_words(entry, digest):
    """What the footer of a notebook's page says of its recorded run time."""
    if not entry:
        return "Run time not measured yet."
    before = "" if entry["code"] == digest else " before its code last changed"
    return f"All cells ran in {entry['seconds']:.0f} s{before} (measured {entry['date']})."
