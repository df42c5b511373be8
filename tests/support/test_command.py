"""How the commands end, whatever stops them: one line, a status, and no process left."""

import errno
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from jepabook._support import command
from jepabook._support.processes import under_torchrun
from tests import commands
from tools.notebooks import ROOT

PARSER = command.Parser("python -m p")
ENDS = {
    "done": (lambda: None, 0, ""),
    "a status": (lambda: 7, 7, ""),
    "bad input": (ValueError("x must be y, got z"), 2, "python -m p: error: x must be y, got z\n"),
    "many lines": (
        ValueError("x must be\ny,\n  got z"),
        2,
        "python -m p: error: x must be y, got z\n",
    ),
    "a full disk": (
        OSError(errno.ENOSPC, "No space left on device", "a.npz"),
        2,
        "python -m p: error: [Errno 28] No space left on device: 'a.npz'\n",
    ),
    "no memory": (MemoryError(), 2, "python -m p: error: there must be more free memory: no more "),
    "no memory for torch": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        2,
        "python -m p: error: there must be more free memory: [enforce fail] DefaultCPUAllocator: ",
    ),
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted: go on\n"),
    "SIGTERM": (command.Terminated(), 143, "terminated: go on\n"),
    "no reader": (BrokenPipeError(), 1, ""),
}


@pytest.mark.parametrize("name", ENDS)
def test_whatever_ends_a_command_is_told_in_one_line(capsys, name):
    end, status, told = ENDS[name]

    def work(_):
        if isinstance(end, BaseException):
            raise end
        return end()

    assert command.status(PARSER, work, [], "go on") == status
    err = capsys.readouterr().err
    assert err.startswith(told) and err.count("\n") == bool(told)


def test_a_fault_of_the_program_is_not_hidden():
    def work(_):
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        command.status(PARSER, work, [])


SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("jepabook", "results", "tools")
    for path in ROOT.glob(f"{folder}/**/*.py")
    if path != Path(command.__file__)
}
WITH_ARGUMENTS = [
    name for name, text in SOURCES.items() if "Parser(" in text and "\ndef main(" in text
]


@pytest.mark.parametrize("word", ["--no\nsuch", "--help"])
@pytest.mark.parametrize("path", WITH_ARGUMENTS)
def test_wrong_arguments_of_any_command_are_one_line_and_the_usage_is_for_help(
    monkeypatch, capsys, path, word
):
    module = path.removesuffix(".py").replace("/", ".")
    program = f"python -m {module.removesuffix('.__main__')}"
    monkeypatch.setattr(sys, "argv", [program, word])
    with pytest.raises(SystemExit) as end:
        sys.exit(importlib.import_module(module).main())
    told = capsys.readouterr()
    if word == "--help":
        assert (end.value.code, told.err) == (0, "") and told.out.startswith(f"usage: {program} ")
    else:
        assert (end.value.code, told.out, told.err.count("\n")) == (2, "", 1)
        assert told.err.startswith(f"{program}: error: ")


def test_no_command_has_a_parser_of_its_own():
    assert not [path for path, text in SOURCES.items() if "ArgumentParser" in text]


@pytest.mark.parametrize(
    ("rank", "error", "lines"),
    [
        ("0", ValueError("x"), 1),
        ("1", ValueError("x"), 0),
        ("1", KeyboardInterrupt(), 0),
    ],
)
def test_of_several_processes_the_first_one_tells(capsys, monkeypatch, rank, error, lines):
    def work(_):
        raise error

    for name, value in torchrun(rank).items():
        monkeypatch.setenv(name, value)
    command.status(PARSER, work, [])
    assert capsys.readouterr().err.count("\n") == lines


def started(program, *arguments, folder=ROOT, path=(), **options):
    """A Python program in a process of its own, with the clone's package."""
    found = os.pathsep.join(map(str, [*path, ROOT]))
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": found, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


PROGRAM = """
import sys, time
from jepabook._support import command
from jepabook._support.processes import under_torchrun
def work(_):
    {work}
sys.exit(command.status(command.Parser("python -m p"), work, [], "go on"))
"""


def ended(work, number=None, **options):
    """What a command tells, and its status, after a signal that is sent when it is at work."""
    options = {"stdout": subprocess.PIPE} | options
    process = started(["-c", PROGRAM.format(work=work)], **options)
    if number:
        process.stdout.readline()
        process.send_signal(number)
    return process.communicate(timeout=60)[1], process.returncode


@pytest.mark.parametrize(
    ("number", "told", "status"),
    [
        (signal.SIGINT, "interrupted: go on\n", 130),
        (signal.SIGTERM, "terminated: go on\n", 143),
    ],
)
def test_signals_end_a_command_in_one_line(number, told, status):
    assert ended("print(flush=True); time.sleep(60)", number) == (told, status)
    # the second one does not wait for what the first one has begun
    hangs = (
        "try: print(flush=True); time.sleep(60)\n    finally: command.signal.raise_signal({0:d})"
    )
    told = told.partition(":")[0] + "\n"
    assert ended(hangs.format(number), number) == (told, status)


def test_a_closed_or_full_output_ends_a_command_without_a_traceback():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody, open("/dev/full", "w", encoding="utf-8") as full:
        for work in ("print('x' * 10**6)", "print('x')"):
            assert ended(work, stdout=nobody) == ("", 1)
            told, status = ended(work, stdout=full)
            assert status == 2 and told.count("\n") == 1 and "No space left on device" in told


COMMANDS = {
    "jepabook.spectrum": (
        "scipy",
        ["x.npy", "y.npy", "--depth", "2", "--epsilon", "1", "--out", "a"],
    ),
    "jepabook.vision.train": ("torch", ["--help"]),
    "jepabook.vision.convert": ("PIL", ["a", "b"]),
    "jepabook.claims": ("sympy", []),
    "results.sgd": ("torch", []),
    "results.assumptions": ("torch", []),
}


@pytest.mark.parametrize(
    ("module", "number", "told"),
    [(module, "SIGINT", ("interrupted\n", 130)) for module in COMMANDS]
    + [("results.sgd", "SIGTERM", ("terminated\n", 143))],
)
def test_a_signal_while_a_command_imports_its_modules_is_told_in_one_line(
    tmp_path, module, number, told
):
    library, arguments = COMMANDS[module]
    (tmp_path / library).mkdir()
    (tmp_path / library / "__init__.py").write_text(
        f"import os, signal, time\nos.kill(os.getpid(), signal.{number})\ntime.sleep(60)\n"
    )
    (tmp_path / "mine").mkdir()
    process = started(["-m", module], *arguments, folder=tmp_path / "mine", path=[tmp_path])
    assert (process.communicate(timeout=60)[1], process.returncode) == told
    assert not list((tmp_path / "mine").iterdir())


def test_a_program_that_uses_the_package_hears_its_own_signals():
    program = "import jepabook, signal; assert signal.getsignal(2) is signal.default_int_handler"
    process = started(["-c", program, "-m", "jepabook.spectrum"])
    assert process.communicate(timeout=60) == (None, "")


POOL = """
import os, sys, time
from jepabook._support import command
from jepabook._support.processes import under_torchrun
def work(path):
    open(path + str(os.getpid()), "w").close()
    time.sleep(60)
def main(_):
    with command.workers(2) as pool:
        list(pool.map(work, [sys.argv[1]] * 2))
if __name__ == "__main__":
    sys.exit(command.status(command.Parser("python -m p"), main, []))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command(tmp_path, number):
    (tmp_path / "pool.py").write_text(POOL)
    process = started([tmp_path / "pool.py"], f"{tmp_path}/worker-", start_new_session=True)
    while len(pids := [int(path.name[7:]) for path in tmp_path.glob("worker-*")]) < 2:
        time.sleep(0.01)
    workers = [psutil.Process(pid) for pid in pids]
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal sends it: to all of them
    else:
        process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    word = {signal.SIGINT: "interrupted\n", signal.SIGTERM: "terminated\n"}.get(number, "")
    if number == signal.SIGKILL:  # Python's own tracker of the pool's semaphores may tell of them
        assert "Traceback" not in told
    else:
        assert told == word
    assert not psutil.wait_procs(workers, timeout=30)[1]


# several processes: one that stops, or dies


def torchrun(rank):
    """What torchrun tells one of two processes."""
    place = {"TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    place |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "2")
    return place | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(PORT)}


def alone_of_two(folder, module, *arguments, rank):
    """One of two processes as torchrun would start it, without torchrun."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in torchrun(rank).items():
            patch.setenv(name, value)
        return commands.started(folder, module, *arguments)


PORT = 20_000 + os.getpid() % 10_000
WORDS = {
    "jepabook.spectrum": ["x.npy", "y.npy", "--depth", "2", "--epsilon", "1e-2", "--out", "out"],
    "jepabook.vision.train": [
        "--objective", "mae", "--images", "photos", "--count", "32", "--preset", "toy", "--batch",
        "16", "--steps", "100000", "--save-every", "0", "--workers", "1", "--out", "out",
    ],
}  # fmt: skip


def test_a_process_that_never_comes_ends_the_other_with_one_line(tmp_path):
    x = np.random.default_rng(0).standard_normal((90, 3))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x + 1)
    words = [*WORDS["jepabook.spectrum"], "--device", "cpu", "--patience", "2"]
    process = alone_of_two(tmp_path, "jepabook.spectrum", *words, rank=0)
    out, err = process.communicate(timeout=120)
    told = "all processes must answer within 2 s (--patience), got none from one"
    assert err == f"python -m jepabook.spectrum: error: {told}\n"
    assert process.returncode == 2 and out == ""
    assert not (tmp_path / "out").exists()


@contextmanager
def another_program_at_the_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", PORT + 1))
        taken.listen()
        yield


@pytest.mark.parametrize(
    ("rank", "place", "told"),
    [
        (0, {}, "MASTER_ADDR and MASTER_PORT must be a place to meet, got '127.0.0.1' and "),
        (1, {}, "all processes must answer within 1 s (--patience), got none from one"),
        (0, {"MASTER_PORT": "x"}, "MASTER_ADDR and MASTER_PORT must be a place to meet, got "),
        (0, {"RANK": "2"}, "RANK must be below WORLD_SIZE, 2, got 2"),
        (0, {"RANK": "-1"}, "RANK must be an integer >= 0 under torchrun, got '-1'"),
        (0, {"WORLD_SIZE": "x"}, "WORLD_SIZE must be an integer >= 1 under torchrun, got 'x'"),
        (0, {"LOCAL_RANK": ""}, "LOCAL_RANK must be an integer >= 0 under torchrun, got ''"),
    ],
)
def test_processes_that_cannot_meet_end_with_one_line(capsys, monkeypatch, rank, place, told):
    """A port at which another program listens: the first fails, the second would wait for ever."""
    for name, value in (torchrun(rank) | {"MASTER_PORT": str(PORT + 1)} | place).items():
        monkeypatch.setenv(name, value)

    def work(_):
        with under_torchrun("cpu", 1):
            pass

    with another_program_at_the_port():
        assert command.status(PARSER, work, []) == 2
    err = capsys.readouterr().err
    # what torch's own code warns of is let through here: a command says what it wants of it
    assert err.count("python -m p: error: ") == 1
    assert err.splitlines()[-1].startswith(f"python -m p: error: {told}")


@pytest.mark.parametrize(
    ("number", "patience", "which", "told"),
    [
        (signal.SIGSTOP, "15", 1, "answer within 15 s (--patience), got none from one"),
        (signal.SIGKILL, "90", 0, "go on, got one that has ended"),
    ],
)
def test_one_that_stops_or_dies_ends_the_other(tmp_path, number, patience, which, told):
    words = [*WORDS["jepabook.vision.train"], "--device", "cpu", "--patience", patience]
    module = "jepabook.vision.train"
    processes = [alone_of_two(tmp_path, module, *words, rank=rank) for rank in range(2)]
    try:
        while not list((tmp_path / "out").glob("state-*.json")):
            assert all(process.poll() is None for process in processes)
            time.sleep(0.01)
        processes[which].send_signal(number)
        other = processes[1 - which]
        err = other.communicate(timeout=120)[1]
        assert other.returncode == 2
        assert err == f"python -m {module}: error: all processes must {told}\n"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
