"""Run the theory on an emulated ARM processor: `make aarch64`, for authors.

Needs Linux, root, and debootstrap, qemu-user-static and binfmt-support of Debian. Debian's arm64
system and the locked packages but PyTorch go into `_build/aarch64`. There the last commit's tests
of the theory run, and the chapters that need no PyTorch, against their outputs. What came out is
kept in `book/aarch64.json`, from which the page on reproducibility has its table.
"""

import os
import subprocess
import sys
import time
from dataclasses import asdict

from jepabook._support.command import Parser
from tools import lock, measured, provenance, stages, status, surroundings
from tools.notebooks import ROOT

SYSTEM = ROOT / "_build" / "aarch64" / "system"
SUITE = "bookworm"  # with Python 3.11
PACKAGES = SYSTEM / "usr" / "local" / "lib" / "python3.11" / "dist-packages"
CHAPTERS = ("02", "03", "08", "09", "10")
TESTS = {
    "claims": ("critical_scale", "scalar"),
    "theory": tuple("critical_time dynamics feature_spectrum lerch matrix_flow objectives".split()),
    "training": ("learning_order",),
    "worlds": ("autocorrelation", "flickering_world", "random_masks"),
}
ABOUT = """
import platform, numpy, scipy
print(platform.machine(), platform.python_version(), numpy.__version__, scipy.__version__)
"""


def inside(*command, **options):
    """Run a command in the system, whose /proc and /dev are there as long as it runs."""
    mounts = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
    whole = ["unshare", "--mount", "sh", "-c", mounts, str(SYSTEM), *command]
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    return subprocess.run(whole, env=env, **options)


def prepare(uv):
    """Debian's system, unless it is there, the locked packages, and the last commit in /book."""
    # debootstrap takes its own folder away when it is done
    if not SYSTEM.is_dir() or (SYSTEM / "debootstrap").exists():
        options = ["--arch=arm64", "--variant=minbase", "--include=python3"]
        subprocess.run(["debootstrap", *options, SUITE, SYSTEM], check=True)
    wanted = SYSTEM / "wanted.txt"
    theory = [entry for entry in lock.locked("all") if entry.name != "torchdiffeq"]
    wanted.write_text(lock.written("all", theory), encoding="utf-8")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", PACKAGES]
    command += ["--python-version", "3.11.2", "--python-platform", "aarch64-manylinux_2_28"]
    subprocess.run([*command, "--requirement", wanted], check=True)
    subprocess.run(["rm", "-rf", SYSTEM / "book"], check=True)
    (SYSTEM / "book").mkdir()
    commit = subprocess.run(
        ["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-x", "-C", SYSTEM / "book"], input=commit.stdout, check=True)


def rounds():
    """What pytest is called with, by what the page calls it: the tests first, they are faster."""
    nbval = [
        "--nbval",
        "--nbval-current-env",
        # what takes seconds elsewhere takes minutes here
        "--nbval-kernel-startup-timeout=1200",
        "--nbval-cell-timeout=20000",
    ]
    tests = {
        f"tests of {folder}": [f"tests/{folder}/test_{name}.py" for name in names]
        for folder, names in TESTS.items()
    }
    chapters = {
        f"chapter {int(path.name[:2])}": [*nbval, f"notebooks/{path.name}"]
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
        if path.name[:2] in CHAPTERS
    }
    return tests | chapters


def run(named, jobs):
    """The rounds of these names, whatever fails."""
    python = ["env", "--chdir=/book", "python3", "-I", "tools/surroundings.py"]
    inside(*python, "-c", "from tools.notebooks import find_fonts; find_fonts()", check=True)
    for number, (name, arguments) in enumerate(rounds().items()):
        if name not in named:
            continue
        report = f"_build/{number}.xml"
        pytest = [
            *"-m pytest -q -p no:cacheprovider --dist=loadscope -n".split(),
            str(jobs),
            f"--junitxml={report}",
        ]
        started = time.monotonic()
        done = inside(*python, *pytest, *arguments)
        stage = stages.Stage(name, (), SYSTEM / "book" / report)
        yield stages.judged(stage, done.returncode, time.monotonic() - started)


def main():
    parser = Parser(
        "python -m tools.aarch64", description="Run the theory on an emulated ARM processor."
    )
    parser.add_argument("--uv", default="uv", help="the command uv")
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", choices=rounds(), help="one of the rounds")
    options = parser.parse_args()
    try:
        prepare(options.uv)
        about = inside("python3", "-c", ABOUT, stdout=subprocess.PIPE, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"python -m tools.aarch64: error: {error}", file=sys.stderr)
        return 1
    machine, python, numpy, scipy = about.stdout.split()
    commit, outcomes = provenance.commit_of(ROOT), []
    facts = {
        "device": f"{machine}, emulated by QEMU, with Debian {SUITE}",
        "versions": {"Python": python, "NumPy": numpy, "SciPy": scipy},
        "date": measured.today(),
        "commit": commit.hash if commit else None,
    }
    for outcome in run(options.only or rounds(), options.jobs):
        outcomes.append(outcome)
        if outcome.verdict not in stages.ENDED:
            continue
        # after each: the next one takes an hour
        known = {name: measured.read(ROOT / status.AARCH64).get(name) for name in rounds()}
        known[outcome.name] = asdict(outcome) | facts
        kept = {name: entry for name, entry in known.items() if entry}
        measured.write_whole(ROOT / status.AARCH64, kept)
    print(f"\n{stages.table(outcomes)}\nwrote {status.AARCH64.as_posix()}")
    return int(any(outcome.verdict != stages.PASSED for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
