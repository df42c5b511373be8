"""How the commands end, whatever stops them: one line and a status, as shells count them.

Nothing but the standard library is imported here, for `begin` comes before all other imports.
"""

import argparse
import os
import signal
import sys
from contextlib import contextmanager, suppress

OURS = ("jepabook", "results")  # packages that hold commands
LAUNCHED = "TORCHELASTIC_RUN_ID"  # a variable that torchrun sets
FAILED, CLOSED, INTERRUPTED, TERMINATED = 2, 1, 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM: stops a command as Ctrl-C does."""


class Parser(argparse.ArgumentParser):
    """A command's arguments: what is wrong with them is one line, and the usage is for --help."""

    def error(self, message):
        _tell(f"{self.prog}: error: {message}")
        self.exit(FAILED)


def begin():
    """Let Ctrl-C and SIGTERM end the process at once while a command's modules are imported.

    Nothing has been written by then, and an exception would come as a traceback of whatever
    library is being imported. And let what the output's encoding has no letter for be printed as
    its number: no work is to end in an error of that. Does nothing unless the program is one of our
    commands.
    """
    # what Python calls the program while it looks for the module in its packages
    looking = sys.argv[:1] == ["-m"]
    words = (word.removeprefix("-m").partition(".")[0] for word in sys.orig_argv)
    if not looking or not any(word in OURS for word in words):
        return
    for number in _signals():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    if LAUNCHED in os.environ:  # what torch's C++ warns of would be told besides the error
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.reconfigure(errors="backslashreplace")


def torchrun(name, default):
    """What torchrun gave the variable `name`, an integer; `default` where it started no process.

    A cluster, or work that is over, may have left variables of the same names. The default is the
    least that it may be; ValueError for what is none.
    """
    text = os.environ.get(name, "") if LAUNCHED in os.environ else str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= default):
        raise ValueError(f"{name} must be an integer >= {default} under torchrun, got {text!r}")
    return int(text)


def status(parser, work, arguments=None, stopped=""):
    """Do a command's work and return its exit status; what went wrong is told in one line.

    Parameters
    ----------
    parser : Parser
        Its `prog` is how errors name the command.
    work : callable
        Takes what was parsed, and returns an exit status, None for 0.
    arguments : list of str, optional
        As the shell would give them; None: as it gave them.
    stopped : str
        What there is to say of an interrupted command.

    Returns
    -------
    int
        2 for bad input, no room on the disk or in memory; 1 where nobody reads the output any
        more; 130 after Ctrl-C and 143 after SIGTERM.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # none, or another program's
            # a name that an output which is not UTF-8 cannot show is shown in escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        with _stoppable():
            try:
                found = _done(parser, work, arguments)
                if sys.stdout:
                    sys.stdout.flush()
                return found
            except BrokenPipeError:  # the reader, `head` say, has seen enough
                _close_output()
                return CLOSED
            except (ValueError, OSError) as error:
                _close_output()
                _tell(f"{parser.prog}: error: {error}", error)
                return FAILED
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                what = str(error) or "no more is to be had"
                _tell(f"{parser.prog}: error: there must be more free memory: {what}", error)
                return FAILED
    except KeyboardInterrupt as error:
        by_user = not isinstance(error, Terminated)
        word = "interrupted" if by_user else "terminated"
        _tell(f"{word}: {stopped}" if stopped else word, error)
        return INTERRUPTED if by_user else TERMINATED


def _done(parser, work, arguments):
    """The status with which the work ends, or the parser, where it is asked for help or refuses."""
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:
        return end.code or 0
    return work(options) or 0


@contextmanager
def workers(count):
    """A pool of processes, which all end when the block is left, or this process is killed.

    Ctrl-C is this process's to tell, and not the workers'.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    heard = signal.getsignal(signal.SIGINT)
    pool = ProcessPoolExecutor(count, context, initializer=_end_with_parent)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # which processes that are started inherit
        pool.submit(int)  # starts all of them
        signal.signal(signal.SIGINT, heard)
        yield pool
    finally:
        signal.signal(signal.SIGINT, heard)
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()


def _end_with_parent():
    """In a worker: end when its parent has died."""
    import multiprocessing
    import threading

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def out_of_memory(error):
    """Whether an error of Python's, NumPy's or torch's says that memory ran out."""
    kinds = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return kinds or "can't allocate memory" in str(error)


def _signals():
    """Those that stop a command and are told of.

    Processes under torchrun end by SIGTERM at once: they may be waiting for each other where Python
    does not look at signals.
    """
    return (signal.SIGINT,) if LAUNCHED in os.environ else (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _stoppable():
    """Inside, Ctrl-C and SIGTERM raise; the second time they end the process at once.

    Where a signal is ignored (``nohup``) it stays so.
    """
    before = {}
    for number in _signals():
        known = signal.getsignal(number)
        if known in (signal.SIG_DFL, signal.default_int_handler, _end):
            try:
                before[number] = signal.signal(number, _stop)
            except ValueError:  # not in the main thread
                pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number, frame):
    signal.signal(number, _end)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _end(number, frame):
    """End the process at once."""
    by_user = number == signal.SIGINT
    try:
        os.write(2, b"interrupted\n" if by_user else b"terminated\n")
    finally:
        os._exit(INTERRUPTED if by_user else TERMINATED)


def _tell(text, error=None):
    """One line on standard error.

    What all processes of a machine meet, only the first one tells; an error can say that it is to
    be told, or that another process tells it.
    """
    if getattr(error, "told", _first()):
        try:
            print(" ".join(text.split()), file=sys.stderr, flush=True)
        except OSError:  # nobody to tell
            pass


def _first():
    """Whether this is the first process of a machine, or nobody can say which it is."""
    try:
        return torchrun("LOCAL_RANK", 0) == 0
    except ValueError:
        return True


def _close_output():
    """Write out what is still to be printed, or drop it where that fails."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:
        # else the interpreter fails once more when it ends
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            pass
