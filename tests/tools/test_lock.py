"""`lock/`: all that is installed, each package in one version that fits, with its hashes."""

from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.environments import pinned
from tools import lock

HASH = "    --hash=sha256:" + "0" * 64
FILES = tuple(lock.TITLES)


def test_these_are_the_files():
    assert {path.name for path in lock.LOCK.iterdir()} == {f"{name}.txt" for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_a_file_demands_hashes_and_wheels_and_each_line_has_them(name):
    text = (lock.LOCK / f"{name}.txt").read_text(encoding="utf-8")
    assert text == lock.written(name, lock.locked(name))  # no line besides
    assert "\n--require-hashes\n--only-binary :all:\n" in text
    pins = [entry.pin for entry in lock.locked(name)]
    assert pins and len(set(pins)) == len(pins)


@pytest.mark.parametrize(
    "line",
    [
        "numpy==2.4.6",
        f"numpy>=2 \\\n{HASH}",
        f"numpy \\\n{HASH}",
        f"numpy==2.* \\\n{HASH}",
        f"numpy @ https://host.test/numpy.whl \\\n{HASH}",
        f"numpy==2.4.6 \\\n{HASH[:-1]}",
        "numpy==2.4.6 \\\n    --hash=md5:" + "0" * 32,
        "numpy==2.4.6 --hash=sha256:" + "0" * 64,
        f"numpy==2.4.6 \\\n{HASH} \\\n",
        "--extra-index-url https://host.test",
        "--trusted-host host.test",
        "-e .",
    ],
)
def test_a_line_without_a_version_and_a_hash_is_told(line):
    with pytest.raises(ValueError, match="not a version with its hashes: '"):
        lock.parse(f"six==1.17.0 \\\n{HASH}\n{line}\n")


def unfulfilled(requirement, versions, extras=("",)):
    """The requirement if it counts here and no locked version fulfils it."""
    wanted = Requirement(requirement)
    counts = not wanted.marker or any(wanted.marker.evaluate({"extra": name}) for name in extras)
    version = versions.get(canonicalize_name(wanted.name))
    fits = version is not None and wanted.specifier.contains(version)
    return [requirement] if counts and not fits else []


def test_whatever_pyproject_asks_for_is_locked():
    wanted = lock.requirements()
    assert any(line.startswith("playwright") for line in wanted)  # of an extra
    assert [line for name in wanted for line in unfulfilled(name, pinned())] == []
    assert unfulfilled("numpy<2", pinned()) and unfulfilled("not-there", pinned())


def test_whatever_a_locked_package_asks_for_is_locked():
    """By the metadata of those that are installed in the version that is locked."""
    versions = pinned()
    asked = {Requirement(line).name: Requirement(line).extras for line in lock.requirements()}
    seen, missing = 0, []
    for name, version in pinned().items():
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if package.version.partition("+")[0] == version:
            seen += 1
            for line in package.requires or []:
                missing += unfulfilled(line, versions, {"", *asked.get(name, ())})
    assert seen and missing == []


def test_what_builds_the_package_is_one_version():
    (backend,) = lock.requirements("torch")[:1]
    assert backend == f"setuptools=={pinned()['setuptools']}"


def test_either_build_of_pytorch_may_be_installed():
    (torch,) = (entry for entry in lock.locked("torch") if entry.name == "torch")
    assert lock.locked("torch-cpu") == [lock.cpu_build(torch)]
    assert len(set(lock.TORCH_CPU[torch.version])) == 2 * len(lock.PYTHONS)
    assert not any(lock.TORCH.fullmatch(entry.name) for entry in lock.locked("all"))
    with pytest.raises(ValueError, match=r"^TORCH_CPU has no hashes .* torch==9.0$"):
        lock.cpu_build(lock.Entry("torch", "9.0", "", ()))
