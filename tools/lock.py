"""Write `lock/`: the exact versions that are installed, with the SHA-256 of each of their files.

`make lock` keeps the versions that are there and adds what `pyproject.toml` needs besides,
`make lock UPGRADE=1` takes the newest. Nothing is written unless every Python and platform that
is supported finds a wheel of everything.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from jepabook._support.command import Parser
from tools.notebooks import ROOT

LOCK = ROOT / "lock"
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)
# Binder's PyTorch and JupyterLab come from conda-forge; chapters import the two
BINDER = ("symbolic", "spectrum", "photographs")
BINDER_ALONE = ("torchdiffeq", "safetensors")
# PyTorch, and what its build with CUDA needs and its CPU build does not
TORCH = re.compile(r"torch|cuda-.+|nvidia-.+|triton")
# the CPU builds for Linux, which are not on PyPI: the hashes of PyTorch's own index
TORCH_CPU = {
    "2.13.0": (
        "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",  # 3.11, x86_64
        "84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7",  # 3.11, aarch64
        "4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2",  # 3.12, x86_64
        "6f307c2c32d764ffc6ff6893b801fad6d4752f3e67966cb8abf1843427c02604",  # 3.12, aarch64
        "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6",  # 3.13, x86_64
        "0b8f7d0423027ae8b90c7977c627f3379f325363a08224dffad9b4b2d684a83d",  # 3.13, aarch64
    )
}
TITLES = {
    "all": "What `make install` installs, but for PyTorch.",
    "torch": "PyTorch from PyPI, which for Linux is built with CUDA, and what that needs.",
    "torch-cpu": "PyTorch's CPU build for Linux, from its own index.",
    "theory": "What `make theory` installs: all that the theory needs, without PyTorch.",
    "binder": "What Binder installs with pip, beside PyTorch and JupyterLab from conda-forge.",
    "uv": "What `make lock` runs.",
}
# every entry is complete, and a source distribution would fetch what builds it, unchecked
HEAD = """\
# {title}
# Made by `make lock`, not to be edited. For `pip install --no-deps --requirement`.
--require-hashes
--only-binary :all:
"""
ENTRY = re.compile(
    r"([\w.-]+)==([\w.+!-]+)(?: ; (.+?))?((?: \\\n {4}--hash=sha256:[0-9a-f]{64})+)\n"
)


@dataclass(frozen=True)
class Entry:
    name: str
    version: str
    marker: str  # empty: everywhere
    hashes: tuple[str, ...]  # SHA-256, in hexadecimal digits

    @property
    def pin(self):
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")

    def __str__(self):
        return " \\\n".join([self.pin, *(f"    --hash=sha256:{digest}" for digest in self.hashes)])


def parse(text):
    """The entries of a file of requirements; a ValueError names a line that is part of none."""
    body = re.sub(r"^(#|--(require-hashes|only-binary)\b).*\n|^\n", "", text, flags=re.MULTILINE)
    found, end = [], 0
    while end < len(body):
        match = ENTRY.match(body, end)
        if not match:
            raise ValueError(f"not a version with its hashes: {body[end:].splitlines()[0]!r}")
        name, version, marker, hashes = match.groups()
        digests = tuple(re.findall(r"[0-9a-f]{64}", hashes))
        found.append(Entry(name, version, marker or "", digests))
        end = match.end()
    return found


def locked(name):
    """The entries of `lock/NAME.txt`."""
    return parse((LOCK / f"{name}.txt").read_text(encoding="utf-8"))


def written(name, entries):
    return HEAD.format(title=TITLES[name]) + "".join(f"{entry}\n" for entry in entries)


def _settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def core():
    """What `pyproject.toml` asks for to build the package and to import it."""
    settings = _settings()
    return [*settings["build-system"]["requires"], *settings["project"]["dependencies"]]


def requirements(*extras):
    """What `pyproject.toml` asks for: the core, and what some extras need (none named: all)."""
    settings, listed = _settings(), core()
    for extra in extras or settings["project"]["optional-dependencies"]:
        listed += settings["project"]["optional-dependencies"][extra]
    return [line for line in listed if not line.startswith("jepabook[")]


def solve(uv, wanted, preferred, scratch, *, without=()):
    """The entries that fulfil requirements on every platform, in the versions preferred."""
    lines = {"wanted": wanted, "without": without, "solved": [entry.pin for entry in preferred]}
    files = {name: scratch / f"{name}.txt" for name in lines}
    for name, file in files.items():
        file.write_text("".join(f"{line}\n" for line in lines[name]), encoding="utf-8")
    options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    options += ["--python-version", PYTHONS[0], "--excludes", files["without"]]
    command = [uv, "pip", "compile", *options, "--output-file", files["solved"], files["wanted"]]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return parse(files["solved"].read_text(encoding="utf-8"))


def cpu_build(torch):
    try:
        hashes = TORCH_CPU[torch.version]
    except KeyError:
        raise ValueError(f"TORCH_CPU has no hashes of the CPU builds of {torch.pin}") from None
    return replace(torch, version=f"{torch.version}+cpu", hashes=hashes)


def solve_all(uv, upgrade, scratch):
    """The entries of each file of `lock/`."""
    known = [] if upgrade else [*locked("all"), *locked("torch")]
    solved = solve(uv, requirements(), known, scratch)
    (torch,) = (entry for entry in solved if entry.name == "torch")
    return {
        "all": [entry for entry in solved if not TORCH.fullmatch(entry.name)],
        "torch": [entry for entry in solved if TORCH.fullmatch(entry.name)],
        "torch-cpu": [cpu_build(torch)],
        "theory": solve(uv, core(), solved, scratch),
        "binder": solve(
            uv, [*requirements(*BINDER), *BINDER_ALONE], solved, scratch, without=["torch"]
        ),
        "uv": solve(uv, ["uv"], [] if upgrade else locked("uv"), scratch),
    }


def check_wheels(uv, file):
    """Refuse what a supported Python or platform finds no wheel of that has one of the hashes."""
    for python in PYTHONS:
        for platform in PLATFORMS:
            command = [uv, "pip", "install", "--quiet", "--dry-run", "--no-deps"]
            command += ["--target", file.parent / "none", "--python-version", python]
            command += ["--python-platform", platform, "--requirement", file]
            env = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}  # as old as PyTorch allows
            subprocess.run(command, env=env, check=True)


def main():
    parser = Parser("python -m tools.lock", description="Write lock/ from pyproject.toml.")
    parser.add_argument("--uv", default="uv", help="the command uv")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            solved = solve_all(options.uv, options.upgrade, Path(folder))
            for name, entries in solved.items():
                file = Path(folder) / f"{name}.txt"
                file.write_text(written(name, entries), encoding="utf-8")
                if name != "torch-cpu":  # whose index uv was not told of
                    check_wheels(options.uv, file)
        for name, entries in solved.items():
            (LOCK / f"{name}.txt").write_text(written(name, entries), encoding="utf-8")
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"python -m tools.lock: error: {error}", file=sys.stderr)
        return 1
    print(*(f"lock/{name}.txt: {len(entries)}" for name, entries in solved.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
