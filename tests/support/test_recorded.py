"""Files with provenance: whole or not there, numbers only, damage noticed."""

import io
import itertools
import json
import os
import pickle
import resource
import subprocess
import sys
import time
import tracemalloc
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import jepabook
from jepabook import recorded
from jepabook._support import files
from tests.trainings import Death, Killed
from tools.notebooks import ROOT

NUMBERS = st.sampled_from(["f4", "f8", "i8", "u1", "?", "c16"])
NAMES = st.text("abcxyz_", min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
SHAPES = array_shapes(min_dims=0, min_side=0)


@given(
    st.dictionaries(NAMES, NUMBERS.flatmap(lambda kind: arrays(kind, SHAPES)), max_size=3),
    st.dictionaries(st.text(max_size=4), JSON, max_size=3),
)
def test_what_is_saved_is_loaded_bit_by_bit(tmp_path_factory, content, facts):
    path = tmp_path_factory.mktemp("saved") / "deep" / "file.npz"
    recorded.save(path, content, facts, ["*"])
    found, found_facts = recorded.load(path)
    assert found_facts == facts and found.keys() == content.keys()
    for name, array in content.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
    assert [p.name for p in path.parent.iterdir()] == ["file.npz"]


class FullDisk(Exception):
    pass


@pytest.mark.parametrize("broken", ["savez", "fsync", "replace"])
@pytest.mark.parametrize("before", [True, False])
def test_a_failure_while_writing_leaves_the_old_file_and_no_other(
    tmp_path, monkeypatch, broken, before
):
    path = tmp_path / "file.npz"
    if before:
        recorded.save(path, {"a": np.arange(3)}, {"version": 1})

    def fails_half_way(file, *args, **kwargs):
        if broken == "savez":
            file.write(b"half a file")
        raise FullDisk

    where, name = {
        "savez": (np, "savez_compressed"),
        "fsync": (os, "fsync"),
        "replace": (os, "replace"),
    }[broken]
    monkeypatch.setattr(where, name, fails_half_way)
    with pytest.raises(FullDisk):
        recorded.save(path, {"a": np.arange(9)}, {"version": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["file.npz"] * before
    if before:
        found, facts = recorded.load(path)
        assert facts == {"version": 1} and found["a"].tolist() == [0, 1, 2]


def damaged(path, function):
    content = bytearray(path.read_bytes())
    path.write_bytes(function(content))
    with pytest.raises(ValueError) as caught:
        recorded.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged or not a file of this book")
    assert "\n" not in message


def test_every_truncation_is_refused_in_one_line(tmp_path):
    path = tmp_path / "file.npz"
    recorded.save(path, {"a": np.arange(50.0)}, {"b": "c"})
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole)
        damaged(path, lambda content, length=length: content[:length])


def test_no_flipped_bit_changes_a_number_in_silence(tmp_path):
    """Every bit: refused in one line, or the numbers and facts are still right."""
    path = tmp_path / "file.npz"
    right = {"a": np.random.default_rng(0).standard_normal(20)}
    recorded.save(path, right, {"b": "c"})
    whole, refused = path.read_bytes(), 0
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            found, facts = recorded.load(path)
        except ValueError as error:
            assert "is damaged" in str(error) and "\n" not in str(error)
            refused += 1
        else:
            assert facts == {"b": "c"} and found["a"].tolist() == right["a"].tolist()
    assert refused > len(whole) / 2


@pytest.mark.parametrize("names", [["a.npy", "a.npy"], ["a.npy", "a"], ["../a.npy"]])
def test_names_that_save_does_not_give_are_refused(tmp_path, names):
    one, text = io.BytesIO(), io.BytesIO()
    np.save(one, np.ones(2))
    np.save(text, np.array("{}"))
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "file.npz", "w") as file:
        warnings.simplefilter("ignore")
        for name in names:
            file.writestr(name, one.getvalue())
        file.writestr("facts.npy", text.getvalue())
    damaged(tmp_path / "file.npz", bytes)


def test_what_unpacks_to_more_than_the_free_memory_is_refused_before(tmp_path, monkeypatch):
    path = tmp_path / "file.npz"
    recorded.save(path, {"a": np.zeros(10**6)}, {})
    assert path.stat().st_size < 10**5
    monkeypatch.setattr(recorded.memory, "free", lambda: 10**6)
    with pytest.raises(ValueError, match=r"is damaged, or needs 0\.008 GB of memory"):
        recorded.load(path)


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_ever_unpickled(tmp_path):
    path, sprung = tmp_path / "file.npz", tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    np.savez(path, a=trap, facts=np.array("{}"))
    damaged(path, bytes)
    path.write_bytes(pickle.dumps(Trap(sprung)))
    damaged(path, bytes)
    plain = io.BytesIO()
    np.save(plain, trap)
    path.write_bytes(plain.getvalue())
    damaged(path, bytes)
    assert not sprung.exists()
    with pytest.raises(ValueError, match=r"^arrays\['a'\] must be numbers, got "):
        recorded.save(path, {"a": trap}, {})


def with_number(path, number):
    np.savez(path, a=np.arange(3), facts=np.array('{"b": "c"}'), **number)


def test_the_number_of_the_format_is_checked_and_may_lack_in_old_files(tmp_path):
    path = tmp_path / "file.npz"
    recorded.save(path, {"a": np.arange(3)}, {"b": "c"})
    assert np.load(path)["format"] == 1
    for number in ({}, {"format": np.array(1)}):
        with_number(path, number)
        found, facts = recorded.load(path)
        assert found.keys() == {"a"} and facts == {"b": "c"}
    with_number(path, {"format": np.array(2)})
    with pytest.raises(
        ValueError, match=r"file.npz must be of format 1, got 2: it is of another v"
    ):
        recorded.load(path)
    for number in (np.array([1]), np.array("1"), np.array(1.0)):
        with_number(path, {"format": number})
        damaged(path, bytes)
    for text in ("3", "[1]", "null", '"b"'):
        np.savez(path, a=np.arange(3), facts=np.array(text))
        damaged(path, bytes)
    np.savez(path, a=np.array(["text"]), facts=np.array("{}"))
    damaged(path, bytes)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, complex(0, np.nan)])
def test_numbers_that_are_not_finite_are_saved_only_where_they_are_meant(tmp_path, bad):
    path, spoilt = tmp_path / "file.npz", np.array([[1, 2], [3, bad]])
    recorded.save(path, {"half_a": np.arange(3)}, {})
    before = path.read_bytes()
    for names in ((), ["half_b", "*a_half"]):
        with pytest.raises(
            ValueError, match=r"^arrays must be finite, got .* in 'half_a' at index \(1, 1"
        ):
            recorded.save(path, {"half_a": spoilt}, {}, names)
        assert path.read_bytes() == before
    with pytest.raises(ValueError, match=r"^facts must be a dict that JSON can hold, got "):
        recorded.save(path, {}, {"a": np.real(bad) + np.imag(bad)})
    recorded.save(path, {"half_a": spoilt, "sure": np.ones(2)}, {}, ["half_*"])
    np.testing.assert_array_equal(recorded.load(path)[0]["half_a"], spoilt)


@pytest.fixture(scope="module")
def death():
    return Death()


def test_death_before_any_file_operation_leaves_the_old_file_or_the_new_one(tmp_path, death):
    path = tmp_path / "deep" / "file.npz"
    recorded.save(path, {"a": np.arange(3)}, {"version": 0})
    for count in itertools.count():
        try:
            with death.after(tmp_path, count):
                recorded.save(path, {"a": np.arange(3)}, {"version": 1 + count})
        except Killed:
            assert recorded.load(path)[1]["version"] in (0, 1 + count)
        else:
            break
        recorded.save(path, {"a": np.arange(3)}, {"version": 0})
        assert [p.name for p in path.parent.iterdir()] == ["file.npz"]
    assert count > 3


def test_two_that_write_the_same_file_at_once_do_not_mix(tmp_path):
    """Neither takes the other's unfinished file for a dead one's."""
    path = tmp_path / "file"
    with files.whole(path) as first:
        first.write(b"first")
        with files.whole(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first" and len(list(tmp_path.iterdir())) == 1


def test_a_file_keeps_its_link_and_its_permissions_or_has_those_the_umask_leaves(tmp_path):
    (tmp_path / "disk").mkdir()
    there, link = tmp_path / "disk" / "there.npz", tmp_path / "link.npz"
    link.symlink_to("disk/there.npz")
    old = os.umask(0o077)
    try:
        recorded.save(link, {"a": np.arange(3)}, {})
        assert there.stat().st_mode & 0o777 == 0o600 and link.is_symlink()
        there.chmod(0o640)
        recorded.save(link, {"a": np.arange(4)}, {})
        assert there.stat().st_mode & 0o777 == 0o640 and len(recorded.load(there)[0]["a"]) == 4
    finally:
        os.umask(old)


def test_a_disk_without_room_leaves_the_old_file(tmp_path):
    """As the system tells it: no file may grow beyond some bytes."""
    path = tmp_path / "file.npz"
    recorded.save(path, {"a": np.arange(3)}, {})
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            recorded.save(path, {"a": np.random.default_rng(0).random(10_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [{"a": np.arange(3)}, {"facts": np.array("no json")}])
def test_a_file_without_facts_is_refused(tmp_path, content):
    path = tmp_path / "file.npz"
    np.savez(path, **content)
    damaged(path, bytes)
    np.save(tmp_path / "file.npy", np.arange(3))
    (tmp_path / "file.npy").rename(path)
    damaged(path, bytes)


def test_a_missing_file_is_not_found_and_a_folder_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        recorded.load(tmp_path / "file.npz")
    (tmp_path / "folder.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    for name, told in (("folder", "a folder"), ("pipe", "a pipe")):
        with pytest.raises(ValueError, match=rf"{name}.npz must be a file, got {told}$"):
            recorded.load(tmp_path / f"{name}.npz")


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"path": "file.txt"}, "path must end in .npz, got 'file.txt'"),
        ({"path": "file"}, "path must end in .npz, got 'file'"),
        ({"arrays": {"facts": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"format": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"file": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"allow_pickle": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"../a": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"": np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {3: np.ones(2)}}, "arrays must have plain names"),
        ({"arrays": {"a": np.array(["text"])}}, "arrays['a'] must be numbers, got an array of <U4"),
        ({"arrays": {"a": None}}, "arrays['a'] must be numbers, got None"),
        ({"facts": {"a": np.int64(3)}}, "facts must be a dict that JSON can hold, got Object of"),
        ({"facts": {"a": {1}}}, "facts must be a dict that JSON can hold, got Object of type set"),
        ({"facts": 3}, "facts must be a dict that JSON can hold, got "),
    ],
)
def test_bad_arguments_of_save_are_named_and_nothing_is_written(
    tmp_path, monkeypatch, changes, start
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        recorded.save(**({"path": "file.npz", "arrays": {}, "facts": {}} | changes))
    assert str(caught.value).startswith(start) and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no_such_result", "../results/sgd", "a b", "", "a.b", None])
def test_a_result_that_is_not_recorded_is_refused_in_one_line(name):
    with pytest.raises(ValueError) as caught:
        recorded.result(name)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)


def test_a_result_is_read_from_the_folder_of_results_and_is_told_how_to_make(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "RESULTS", tmp_path)
    with pytest.raises(ValueError, match=r"make it with python -m results\.ours$"):
        recorded.result("ours")
    recorded.save(tmp_path / "ours.npz", {"a": np.arange(2)}, {"seed": 1})
    found, facts = recorded.result("ours")
    assert found["a"].tolist() == [0, 1] and facts == {"seed": 1}


def test_the_digest_tells_values_shapes_types_and_order_apart():
    one = np.arange(6.0)
    different = [
        (one,),
        (one.reshape(2, 3),),
        (one.astype("f4"),),
        (one + 1e-15 * (one == 3),),
        (one, one),
        (),
        (one[:3], one[3:]),
    ]
    names = [recorded.digest(*arrays) for arrays in different]
    assert len(set(names)) == len(names)
    assert recorded.digest(one) == recorded.digest(one.copy())
    assert recorded.digest(one.reshape(2, 3)) == recorded.digest(
        np.asfortranarray(one.reshape(2, 3))
    )


def test_the_digest_of_a_file_is_that_of_its_array_and_takes_no_memory(tmp_path, monkeypatch):
    array = np.random.default_rng(0).integers(256, size=(5000, 64), dtype=np.uint8)
    np.save(tmp_path / "a.npy", array)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    whole = recorded.digest(array)
    tracemalloc.start()
    assert recorded.digest(mapped) == whole
    assert tracemalloc.get_traced_memory()[1] < array.nbytes / 4
    tracemalloc.stop()
    monkeypatch.setattr(recorded, "BLOCK", 1000)
    assert recorded.digest(mapped) == whole


PROGRAM = """
import json, time
import jepabook
from jepabook import recorded
print(json.dumps(recorded.provenance(7, time.time() - 2.0, "cpu, 1 thread")))
"""


def provenance_of(arguments, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout)


def test_provenance_has_every_field_and_no_path_of_the_machine(tmp_path):
    (tmp_path / "make.py").write_text(PROGRAM)
    options = [str(tmp_path), f"--out={tmp_path}/a.npz", "--seed", "7", "inside/b.npz"]
    program = provenance_of([str(tmp_path / "make.py"), *options], tmp_path)
    module = provenance_of(["-m", "make", *options], tmp_path)
    last = f"{tmp_path.name} --out=a.npz --seed 7 inside/b.npz"
    assert program["command"] == f"python make.py {last}"
    assert module["command"] == f"python -m make {last}"
    for facts in (program, module):
        assert set(facts) == {"command", "seed", "versions", "device", "wall_seconds", "date"}
        assert facts["seed"] == 7 and facts["device"] == "cpu, 1 thread"
        assert set(facts["versions"]) == {"python", "jepabook", "numpy", "scipy", "torch"}
        assert facts["versions"]["numpy"] == np.__version__
        assert 2.0 <= facts["wall_seconds"] < 60
        time.strptime(facts["date"], "%Y-%m-%d")
        assert str(tmp_path.parent) not in json.dumps(facts)
        assert str(Path.home()) + os.sep not in json.dumps(facts)


def test_versions_are_told_of_copies_that_are_not_installed(monkeypatch):
    def missing(name):
        raise recorded.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(recorded.metadata, "version", missing)
    found = recorded.versions("jepabook", "numpy", "pytest", "no_such_package")
    assert found.pop("python") and found == {
        "jepabook": jepabook.__version__,
        "numpy": np.__version__,
        "pytest": pytest.__version__,
    }
    monkeypatch.setattr(recorded.metadata, "version", lambda name: None)  # damaged
    monkeypatch.setitem(sys.modules, "this", types.ModuleType("this"))
    sys.modules["this"].__spec__ = "found"
    assert recorded.versions("this")["this"] == "unknown"
