"""Other arithmetic: the first numbers of all records are the same to rounding; `make portable`."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.first_numbers import first_numbers
from tools import portable, stages, status, surroundings
from tools.notebooks import ROOT
from tools.portable import COMBINATIONS, Combination
from tools.stages import Outcome

ROUNDING = 1e-5  # of the largest: a hundred times that of float32; another choice is of order 1
OWN = {
    "openblas": ["Haswell"],
    "mkl": ["OFF"],
    "torch": ["AVX2"],
    "numpy": ["X86_V3"],
    "threads": [1],
    "machine": "x86_64",
}
NEHALEM = next(one for one in COMBINATIONS if one.name == "Nehalem")
AS_ASKED = OWN | {
    "openblas": ["Nehalem"],
    "mkl": ["COMPATIBLE"],
    "torch": ["DEFAULT"],
    "numpy": [],
}


@pytest.fixture(scope="module")
def own():
    return portable.answer({})


def test_first_numbers_do_not_depend_on_what_computes_them(own, tmp_path):
    """Nor on signs of eigenvectors, the basis of an eigenspace, or ties."""
    for combination in filter(lambda one: one.openblas, COMBINATIONS):
        environment, why = portable.settled(combination, own)
        if not why:
            break
    else:
        pytest.skip(f"no other arithmetic can be had here: {why}")
    env = surroundings.clean(os.environ) | environment | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "tests" / "first_numbers.py", tmp_path / "found.npz"]
    subprocess.run(command, env=env, check=True, timeout=120)
    here, there = first_numbers(), np.load(tmp_path / "found.npz")
    assert here.keys() == set(there.files)
    off = {name: np.abs(there[name] - here[name]).max() / np.abs(here[name]).max() for name in here}
    assert {name: share for name, share in off.items() if share > ROUNDING} == {}
    assert max(off.values()) > 0  # other arithmetic it was


def test_a_processor_without_the_instructions_is_not_asked():
    due = {"as it comes", "as it comes, two threads", "Nehalem"}
    for machine, numpy, there in [
        ("x86_64", [], due),
        ("AMD64", ["X86_V3"], due | {"Prescott", "Sandybridge", "Haswell"}),
        ("x86_64", ["AVX2", "AVX512_SKX"], {one.name for one in COMBINATIONS} - {"ARMV8"}),
        ("arm64", ["ASIMDHP"], due - {"Nehalem"} | {"ARMV8"}),
    ]:
        own = OWN | {"machine": machine, "numpy": numpy}
        assert {one.name for one in COMBINATIONS if not portable.lacking(one, own)} == there


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, ""),
        ({"openblas": ["Haswell"]}, "openblas, asked for Nehalem, takes Haswell"),
        ({"openblas": ["Haswell", "Nehalem"]}, "openblas, asked for Nehalem, takes Haswell"),
        ({"mkl": ["AUTO"]}, "mkl, asked for COMPATIBLE, takes AUTO"),
        ({"mkl": []}, "mkl, asked for COMPATIBLE, takes nothing"),
        ({"torch": ["AVX2"]}, "torch, asked for default, takes AVX2"),
        ({"numpy": ["X86_V3"]}, "numpy still takes X86_V3"),
        ({"threads": [1, 2]}, "threads, asked for 1, are [1, 2]"),
    ],
)
def test_a_combination_counts_only_if_every_library_took_what_it_was_asked_for(given, why):
    assert portable.refused(NEHALEM, AS_ASKED | given).startswith(why)
    assert bool(portable.refused(NEHALEM, AS_ASKED | given)) == bool(why)


def test_kernels_that_bear_two_names_are_known_by_both():
    prescott = replace(NEHALEM, openblas="Prescott")
    assert not portable.refused(prescott, AS_ASKED | {"openblas": ["Katmai"]})
    assert portable.refused(NEHALEM, AS_ASKED | {"openblas": ["Katmai"]})


def test_what_cannot_be_had_is_named_and_what_fails_fails(monkeypatch, tmp_path, capsys):
    """Two combinations, a part that passes under one of them, and a combination refused."""

    def run(stage):
        verdict = "failed" if "MKL_CBWR" in stage.environment else "passed"
        return Outcome(stage.name, verdict, int(verdict == "passed"), int(verdict == "failed"))

    monkeypatch.setattr(stages, "run", run)
    answers = {"": OWN, "COMPATIBLE": OWN | {"mkl": ["COMPATIBLE"]}, "AVX2": OWN}
    monkeypatch.setattr(portable, "answer", lambda env: answers[env.get("MKL_CBWR", "")])
    monkeypatch.setattr(portable, "PARTS", {"trial": ("test_trial.py",)})
    monkeypatch.setattr(status, "PORTABLE", tmp_path / "portable.json")
    tried = tuple(Combination(mkl or "own", mkl=mkl) for mkl in ("", "COMPATIBLE", "AVX2"))
    monkeypatch.setattr(portable, "COMBINATIONS", tried)
    monkeypatch.setattr(stages, "listen", lambda: None)
    monkeypatch.setattr(sys, "argv", ["portable", "--jobs", "1"])
    monkeypatch.setenv("MKL_CBWR", "SSE4_2")  # the user's own has no say
    assert portable.main() == 1
    names = ["own: trial", "COMPATIBLE: trial", "AVX2"]
    verdicts = ["passed", "failed", "skipped: mkl, asked for AVX2, takes OFF"]
    told = capsys.readouterr().out
    kept = json.loads((tmp_path / "portable.json").read_text(encoding="utf-8"))
    due = dict(zip(names, verdicts, strict=True))
    assert {name: one["verdict"] for name, one in kept.items()} == due
    assert all(name in told and verdict in told for name, verdict in due.items())
    monkeypatch.setattr(portable, "COMBINATIONS", tried[:1])
    assert portable.main() == 0
    monkeypatch.setattr(portable, "COMBINATIONS", tried[2:])
    assert portable.main() == 1  # nothing ran


def test_the_page_tells_what_the_record_says(tmp_path):
    assert status.portable({}, tmp_path) == ["Other arithmetic: not measured yet."]
    (tmp_path / "book").mkdir()
    facts = {
        "device": "a machine",
        "versions": {"numpy": "2.4"},
        "commit": "abc1234",
        "date": "2026-01-02",
    }
    outcomes = Outcome("Nehalem: notebooks", "passed", 9, 0, 0, 3.0), Outcome("Zen", "skipped: no")
    record = {one.name: vars(one) | facts for one in outcomes}
    (tmp_path / status.PORTABLE).write_text(json.dumps(record), encoding="utf-8")
    lines = status.portable({}, tmp_path)
    assert lines[2] == "| Nehalem: notebooks | 9 | 0 | 3 s | passed | 2026-01-02 |"
    assert lines[4:] == ["", "Measured on a machine; numpy 2.4; commit abc1234."]


def test_what_is_run_again_takes_the_place_of_what_was_and_the_rest_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(status, "PORTABLE", tmp_path / "portable.json")

    def kept(*outcomes):
        portable.record([Outcome(*outcome) for outcome in outcomes])
        read = json.loads((tmp_path / "portable.json").read_text(encoding="utf-8"))
        return {name: one["verdict"] for name, one in read.items()}

    first = {"a: x": "passed", "a: y": "failed", "ab": "skipped: no"}
    assert kept(*first.items(), ("c: x", "interrupted"), ("c: y", "not run")) == first
    assert kept(("a: y", "passed")) == first | {"a: y": "passed"}
    assert kept(("a", "skipped: no")) == {"ab": "skipped: no", "a": "skipped: no"}
    assert kept(("a: x", "failed")) == {"ab": "skipped: no", "a: x": "failed"}
